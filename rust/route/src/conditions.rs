//! What a route asks of a request beside its host and its path.

use tidegate_message::{Field, Known, RequestHead};
use tidegate_plan as plan;

use crate::{
    pattern::Pattern,
    query::{decoded, raw_parameter},
};

/// Conditions on fields and query parameters; all must hold.
///
/// A field that comes in several lines meets a condition if one line does, and is absent if there is none. Of a
/// query parameter the first counts, decoded as [`query_parameter`](crate::query_parameter) does it.
#[derive(Debug, Clone)]
pub struct ValueTests {
    headers: Box<[FieldTest]>,
    query: Box<[ParameterTest]>,
}

impl ValueTests {
    /// The error is where, as `headers[1].test.value`, and why.
    pub fn compile(
        headers: &[plan::ValueMatch],
        query: &[plan::ValueMatch],
    ) -> Result<Self, (String, String)> {
        let headers = headers.iter().enumerate().map(|(at, condition)| {
            let here = |part: &str| format!("headers[{at}].{part}");
            let name = condition.name.as_bytes();
            if !is_token(name) {
                return Err((here("name"), not_a_name(&condition.name)));
            }
            let test = Test::compile(&condition.test).map_err(|why| (here("test.value"), why))?;
            Ok(FieldTest { known: Known::parse(name), name: name.into(), test })
        });
        let headers = headers.collect::<Result<_, (String, String)>>()?;
        let query = query.iter().enumerate().map(|(at, condition)| {
            let test =
                Test::compile(&condition.test).map_err(|why| (format!("query[{at}].test.value"), why))?;
            Ok(ParameterTest { name: condition.name.as_bytes().into(), test })
        });
        Ok(Self { headers, query: query.collect::<Result<_, (String, String)>>()? })
    }

    /// Whether all hold for a request; `scratch` is room for a decoded value.
    pub fn hold(&self, head: &RequestHead, query: &[u8], scratch: &mut Vec<u8>) -> bool {
        self.headers.iter().all(|test| test.holds(head))
            && self.query.iter().all(|test| test.holds(query, scratch))
    }
}

/// The further conditions of one route.
#[derive(Debug, Clone)]
pub(crate) struct Conditions {
    /// Names as sent; empty for all.
    methods: Box<[Box<[u8]>]>,
    values: ValueTests,
}

impl Conditions {
    /// The conditions and their number: one for the methods, one for each field and each parameter. `None` where
    /// there are none.
    pub fn compile(matches: &plan::Matches) -> Result<Option<(Self, usize)>, (String, String)> {
        let values = ValueTests::compile(&matches.headers, &matches.query)?;
        for (at, name) in matches.methods.iter().enumerate() {
            if !is_token(name.as_bytes()) {
                return Err((format!("methods[{at}]"), format!("`{name}` is no method's name")));
            }
        }
        let methods: Box<[Box<[u8]>]> = matches.methods.iter().map(|name| name.as_bytes().into()).collect();
        let count = usize::from(!methods.is_empty()) + values.headers.len() + values.query.len();
        Ok((count > 0).then_some((Self { methods, values }, count)))
    }

    pub fn hold(&self, method_name: &[u8], head: &RequestHead, query: &[u8], scratch: &mut Vec<u8>) -> bool {
        (self.methods.is_empty() || self.methods.iter().any(|name| **name == *method_name))
            && self.values.hold(head, query, scratch)
    }
}

/// Whether `name` may name a field or a method (RFC 9110 §5.6.2).
pub(crate) fn is_token(name: &[u8]) -> bool {
    !name.is_empty()
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

pub(crate) fn not_a_name(name: &str) -> String {
    format!("`{name}` is no field name; letters, digits and !#$%&'*+-.^_`|~ may stand in one")
}

#[derive(Debug, Clone)]
struct FieldTest {
    known: Known,
    name: Box<[u8]>,
    test: Test,
}

impl FieldTest {
    fn holds(&self, head: &RequestHead) -> bool {
        let mut values =
            head.fields.iter().filter(|field| self.names(field, head)).map(|field| head.slice(field.value));
        match &self.test {
            Test::Present => values.next().is_some(),
            Test::Absent => values.next().is_none(),
            Test::Exact(expected) => values.any(|value| *value == **expected),
            Test::Pattern(pattern) => values.any(|value| pattern.is_match(value)),
        }
    }

    fn names(&self, field: &Field, head: &RequestHead) -> bool {
        field.known == self.known
            && (self.known != Known::Other || head.slice(field.name).eq_ignore_ascii_case(&self.name))
    }
}

#[derive(Debug, Clone)]
struct ParameterTest {
    name: Box<[u8]>,
    test: Test,
}

impl ParameterTest {
    fn holds(&self, query: &[u8], scratch: &mut Vec<u8>) -> bool {
        match (&self.test, raw_parameter(query, &self.name)) {
            (Test::Absent, value) => value.is_none(),
            (_, None) => false,
            (Test::Present, Some(_)) => true,
            (Test::Exact(expected), Some(value)) => decoded(value).eq(expected.iter().copied()),
            (Test::Pattern(pattern), Some(value)) => {
                scratch.clear();
                scratch.extend(decoded(value));
                pattern.is_match(scratch)
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Test {
    Present,
    Absent,
    Exact(Box<[u8]>),
    Pattern(Pattern),
}

impl Test {
    fn compile(test: &plan::ValueTest) -> Result<Self, String> {
        Ok(match test {
            plan::ValueTest::Present => Self::Present,
            plan::ValueTest::Absent => Self::Absent,
            plan::ValueTest::Exact { value } => Self::Exact(value.as_bytes().into()),
            plan::ValueTest::Regex { value } => Self::Pattern(Pattern::compile(value)?),
        })
    }
}
