//! What the tests share: heads made by hand, plans in few words, variables from a list.
#![allow(dead_code)] // each test file uses its part

use tidegate_message::{Field, Known, Method, RequestHead, Span};
use tidegate_plan::{Matches, Part, PathMatch, Template, ValueMatch, ValueTest, Variable};
use tidegate_route::{Asked, BuildError, Captures, Found, Router, Variables, query_parameter};

/// A head with this target and these fields.
pub fn head(method: &str, target: &str, fields: &[(&str, &str)]) -> RequestHead {
    let mut head = RequestHead { method: Method::parse(method.as_bytes()), ..RequestHead::default() };
    let append = |bytes: &mut Vec<u8>, text: &str| {
        let start = bytes.len();
        bytes.extend_from_slice(text.as_bytes());
        Span::new(start, bytes.len())
    };
    let bytes = &mut head.bytes;
    head.method_name = append(bytes, method);
    append(bytes, " ");
    head.target = append(bytes, target);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let start = head.target.start as usize;
    head.path = Span::new(start, start + path.len());
    head.has_query = target.contains('?');
    head.query = Span::new(head.target.end as usize - query.len(), head.target.end as usize);
    append(bytes, " HTTP/1.1\r\n");
    for (name, value) in fields {
        let start = bytes.len();
        let name_span = append(bytes, name);
        append(bytes, ": ");
        let value_span = append(bytes, value);
        append(bytes, "\r\n");
        let line = Span::new(start, bytes.len());
        let known = Known::parse(name.as_bytes());
        head.fields.push(Field { known, name: name_span, value: value_span, line });
    }
    append(bytes, "\r\n");
    head
}

pub fn prefix(value: &str) -> PathMatch {
    PathMatch::Prefix { value: value.into() }
}

pub fn exact(value: &str) -> PathMatch {
    PathMatch::Exact { value: value.into() }
}

pub fn regex(value: &str) -> PathMatch {
    PathMatch::Regex { value: value.into() }
}

pub fn matches(hosts: &[&str], path: PathMatch) -> Matches {
    let hosts = hosts.iter().map(|host| (*host).into()).collect();
    Matches { hosts, path, methods: vec![], headers: vec![], query: vec![] }
}

pub fn value_is(name: &str, value: &str) -> ValueMatch {
    ValueMatch { name: name.into(), test: ValueTest::Exact { value: value.into() } }
}

pub fn value(name: &str, test: ValueTest) -> ValueMatch {
    ValueMatch { name: name.into(), test }
}

/// Routes numbered from 0 in written order.
pub fn router(routes: &[Matches]) -> Result<Router, BuildError> {
    Router::build(routes.iter().enumerate().map(|(index, matches)| (index as u32, matches)))
}

/// Finds the route of a request whose host and path are normal already.
pub fn find(router: &Router, head: &RequestHead, host: &str, captures: &mut Captures) -> Option<Found> {
    let asked = Asked {
        head,
        host: host.as_bytes(),
        path: head.slice(head.path),
        method_name: head.slice(head.method_name),
        query: head.slice(head.query),
    };
    router.find(&asked, captures)
}

/// The route of a GET.
pub fn route(router: &Router, host: &str, target: &str) -> Option<u32> {
    find(router, &head("GET", target, &[]), host, &mut Captures::default()).map(|found| found.route)
}

pub fn text(value: &str) -> Part {
    Part::Text { value: value.into() }
}

pub fn variable(name: Variable) -> Part {
    Part::Variable { name }
}

/// `{kind:NAME}` in few words: `header`, `query`, `cookie` or `capture`.
pub fn of(kind: &str, name: &str) -> Part {
    let name = name.into();
    match kind {
        "header" => Part::Header { name },
        "query" => Part::Query { name },
        "cookie" => Part::Cookie { name },
        "capture" => Part::Capture { name },
        other => panic!("no kind of part: {other}"),
    }
}

pub fn compiled(template: Template) -> tidegate_route::Template {
    tidegate_route::Template::compile(&template).unwrap()
}

/// Variables from lists.
#[derive(Debug, Default)]
pub struct Values<'a> {
    pub path: &'a [u8],
    pub query: &'a [u8],
    pub headers: Vec<(&'a str, &'a [u8])>,
    pub cookies: Vec<(&'a str, &'a [u8])>,
    pub captures: Captures,
    pub captured: Vec<(&'a str, &'a [u8])>,
}

impl Variables for Values<'_> {
    fn write(&self, variable: Variable, out: &mut Vec<u8>) {
        match variable {
            Variable::Path => out.extend_from_slice(self.path),
            Variable::Query => out.extend_from_slice(self.query),
            Variable::ClientIp => out.extend_from_slice(b"192.0.2.7"),
            Variable::RequestUri => out.extend_from_slice(b"/a%2fb?c=d&e"),
            Variable::Authority => out.extend_from_slice(b"[::1]:8080"),
            Variable::Host => out.extend_from_slice(b"api.example.com"),
            Variable::Dollar => panic!("a dollar sign is text"),
            _ => {}
        }
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    fn query(&self, name: &str, out: &mut Vec<u8>) {
        query_parameter(self.query, name.as_bytes(), out);
    }

    fn claim(&self, _: &str, _: &mut Vec<u8>) {}

    fn cookie(&self, name: &str) -> Option<&[u8]> {
        self.cookies.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    fn capture(&self, name: &str) -> Option<&[u8]> {
        let listed = self.captured.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        listed.or_else(|| self.captures.get(name))
    }
}
