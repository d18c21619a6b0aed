//! JSON with faults that say where: typed fields out of objects, and objects written piece by piece.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::Fault;

/// Levels of arrays and objects that are read; deeper ones are refused, since a reader's stack is not. (Also
/// serde_json's own bound.)
pub const DEPTH: usize = 128;

/// Reads a JSON text. The fault names the line and column and quotes nothing.
pub fn parse(body: &[u8]) -> Result<Value, Fault> {
    serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Fault::syntax(match error.classify() {
            serde_json::error::Category::Eof => "The JSON text ends before it is whole.".to_owned(),
            _ => format!("Not JSON at line {line}, column {column}."),
        })
    })
}

/// Reads a JSON text that must be an object.
pub fn parse_object(body: &[u8]) -> Result<Map<String, Value>, Fault> {
    match parse(body)? {
        Value::Object(map) => Ok(map),
        _ => Err(Fault::syntax("The text must be a JSON object.")),
    }
}

/// Appends that as JSON.
pub fn append(value: &(impl Serialize + ?Sized), out: &mut Vec<u8>) {
    // Writing to memory does not fail, and what is written here (values, texts, numbers) has nothing that JSON lacks.
    let written = serde_json::to_writer(&mut *out, value);
    debug_assert!(written.is_ok());
}

/// Appends a JSON string.
pub fn append_string(text: &str, out: &mut Vec<u8>) {
    append(text, out);
}

/// Where a value is, without memory of its own: written out only for a fault.
#[derive(Debug, Clone, Copy)]
pub enum Path<'a> {
    /// The whole text.
    Root,
    /// A member.
    Key(&'a Path<'a>, &'a str),
    /// An element.
    Index(&'a Path<'a>, usize),
}

impl<'a> Path<'a> {
    /// A member of it.
    pub fn key(&'a self, key: &'a str) -> Self {
        Self::Key(self, key)
    }

    /// An element of it.
    pub fn index(&'a self, index: usize) -> Self {
        Self::Index(self, index)
    }
}

impl std::fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Key(Path::Root, key) => f.write_str(key),
            Self::Key(parent, key) => write!(f, "{parent}.{key}"),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// An object whose fields are taken out one by one; what is left is `rest`. `null` counts as absent everywhere.
#[derive(Debug)]
pub struct Fields<'p> {
    map: Map<String, Value>,
    path: Path<'p>,
}

impl<'p> Fields<'p> {
    /// Of a value that must be an object.
    pub fn of(value: Value, path: Path<'p>) -> Result<Self, Fault> {
        match value {
            Value::Object(map) => Ok(Self { map, path }),
            _ => Err(Fault::wrong(path.to_string(), "an object")),
        }
    }

    /// Of a whole text.
    pub fn parse(body: &[u8]) -> Result<Fields<'static>, Fault> {
        Ok(Fields { map: parse_object(body)?, path: Path::Root })
    }

    /// Of an object.
    pub fn from_map(map: Map<String, Value>, path: Path<'p>) -> Self {
        Self { map, path }
    }

    /// Where the object is.
    pub fn path(&self) -> &Path<'p> {
        &self.path
    }

    /// Where one of its fields is, in words.
    pub fn at(&self, key: &str) -> String {
        self.path.key(key).to_string()
    }

    /// Whether the field is there, and not `null`.
    pub fn has(&self, key: &str) -> bool {
        self.map.get(key).is_some_and(|value| !value.is_null())
    }

    /// The field where it lies.
    pub fn peek(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// The field where it lies, if it is a string.
    pub fn peek_str(&self, key: &str) -> Option<&str> {
        self.map.get(key).and_then(Value::as_str)
    }

    /// Takes a field of any type. The order of the others is kept.
    pub fn take(&mut self, key: &str) -> Option<Value> {
        self.map.shift_remove(key).filter(|value| !value.is_null())
    }

    /// Takes a string.
    pub fn string(&mut self, key: &str) -> Result<Option<String>, Fault> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(key, "a string")),
        }
    }

    /// Takes a string that must be there.
    pub fn required_string(&mut self, key: &str) -> Result<String, Fault> {
        self.string(key)?.ok_or_else(|| self.missing(key))
    }

    /// Takes a boolean.
    pub fn boolean(&mut self, key: &str) -> Result<Option<bool>, Fault> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(_) => Err(self.wrong(key, "true or false")),
        }
    }

    /// Takes a count. A float without a fraction is one too (`1e3`, `5.0`).
    pub fn unsigned(&mut self, key: &str) -> Result<Option<u64>, Fault> {
        match self.take(key) {
            None => Ok(None),
            Some(value) => match unsigned(&value) {
                Some(number) => Ok(Some(number)),
                None => Err(self.wrong(key, "a whole number, 0 or more")),
            },
        }
    }

    /// Takes a whole number.
    pub fn signed(&mut self, key: &str) -> Result<Option<i64>, Fault> {
        match self.take(key) {
            None => Ok(None),
            Some(value) => match value.as_i64() {
                Some(number) => Ok(Some(number)),
                None => Err(self.wrong(key, "a whole number")),
            },
        }
    }

    /// Takes a number.
    pub fn number(&mut self, key: &str) -> Result<Option<f64>, Fault> {
        match self.take(key) {
            None => Ok(None),
            Some(value) => match value.as_f64() {
                Some(number) => Ok(Some(number)),
                None => Err(self.wrong(key, "a number")),
            },
        }
    }

    /// Takes an array; empty where there is none.
    pub fn array(&mut self, key: &str) -> Result<Vec<Value>, Fault> {
        match self.take(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => Ok(values),
            Some(_) => Err(self.wrong(key, "an array")),
        }
    }

    /// Takes an object.
    pub fn object(&mut self, key: &str) -> Result<Option<Map<String, Value>>, Fault> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(_) => Err(self.wrong(key, "an object")),
        }
    }

    /// Takes a list of strings; a lone string is a list of one.
    pub fn strings(&mut self, key: &str) -> Result<Vec<String>, Fault> {
        match self.take(key) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(vec![text]),
            Some(Value::Array(values)) => values
                .into_iter()
                .map(|value| match value {
                    Value::String(text) => Ok(text),
                    _ => Err(self.wrong(key, "a list of strings")),
                })
                .collect(),
            Some(_) => Err(self.wrong(key, "a string or a list of strings")),
        }
    }

    /// A fault of one of its fields.
    pub fn wrong(&self, key: &str, wanted: &str) -> Fault {
        Fault::wrong(self.at(key), wanted)
    }

    /// A field that is not there.
    pub fn missing(&self, key: &str) -> Fault {
        Fault::missing(self.at(key))
    }

    /// What was not taken, in its order.
    pub fn rest(self) -> Map<String, Value> {
        self.map
    }
}

/// A count out of a value: a whole number, or a float without a fraction.
pub fn unsigned(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        // Up to 2⁵³ every whole float is exact.
        let float = value.as_f64()?;
        (float.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&float)).then_some(float as u64)
    })
}

/// Writes a JSON object member by member. [`Object::end`] closes it.
#[derive(Debug)]
pub struct Object<'o> {
    out: &'o mut Vec<u8>,
    any: bool,
}

impl<'o> Object<'o> {
    /// Opens it.
    pub fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, any: false }
    }

    /// Appends a member's name and gives the buffer for its value, which the caller must append.
    pub fn key(&mut self, key: &str) -> &mut Vec<u8> {
        if std::mem::replace(&mut self.any, true) {
            self.out.push(b',');
        }
        append_string(key, self.out);
        self.out.push(b':');
        self.out
    }

    /// A member with any value.
    pub fn put(&mut self, key: &str, value: &(impl Serialize + ?Sized)) -> &mut Self {
        append(value, self.key(key));
        self
    }

    /// A member, if there is a value.
    pub fn maybe(&mut self, key: &str, value: Option<&(impl Serialize + ?Sized)>) -> &mut Self {
        if let Some(value) = value {
            self.put(key, value);
        }
        self
    }

    /// All members of a map.
    pub fn all(&mut self, map: &Map<String, Value>) -> &mut Self {
        for (key, value) in map {
            self.put(key, value);
        }
        self
    }

    /// A member that is an object.
    pub fn object(&mut self, key: &str) -> Object<'_> {
        Object::begin(self.key(key))
    }

    /// A member that is an array.
    pub fn array(&mut self, key: &str) -> Array<'_> {
        Array::begin(self.key(key))
    }

    /// A last member, and closes it.
    pub fn put_and_end(mut self, key: &str, value: &(impl Serialize + ?Sized)) {
        self.put(key, value);
        self.end();
    }

    /// Closes it.
    pub fn end(self) {
        self.out.push(b'}');
    }
}

/// Writes a JSON array element by element. [`Array::end`] closes it.
#[derive(Debug)]
pub struct Array<'o> {
    out: &'o mut Vec<u8>,
    any: bool,
}

impl<'o> Array<'o> {
    /// Opens it.
    pub fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'[');
        Self { out, any: false }
    }

    /// Gives the buffer for the next element, which the caller must append.
    pub fn element(&mut self) -> &mut Vec<u8> {
        if std::mem::replace(&mut self.any, true) {
            self.out.push(b',');
        }
        self.out
    }

    /// Any element.
    pub fn put(&mut self, value: &(impl Serialize + ?Sized)) -> &mut Self {
        append(value, self.element());
        self
    }

    /// An element that is an object.
    pub fn object(&mut self) -> Object<'_> {
        Object::begin(self.element())
    }

    /// Closes it.
    pub fn end(self) {
        self.out.push(b']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn faults_say_where_and_quote_nothing() {
        let messages = Path::Root.key("messages");
        let second = messages.index(2);
        let mut fields = Fields::of(json!({"role": 5, "content": "secret"}), second).unwrap();
        let fault = fields.string("role").unwrap_err();
        assert_eq!(fault.path, "messages[2].role");
        assert!(!fault.message.contains("secret"));
        assert!(!parse(b"{\"sk-secret\" 1}").unwrap_err().message.contains("secret"));
    }

    #[test]
    fn null_is_absent_and_the_order_of_the_rest_is_kept() {
        let mut fields = Fields::parse(br#"{"a":null,"b":1,"c":2,"d":3}"#).unwrap();
        assert_eq!(fields.string("a").unwrap(), None);
        assert_eq!(fields.unsigned("b").unwrap(), Some(1));
        let rest: Vec<_> = fields.rest().into_iter().map(|(key, _)| key).collect();
        assert_eq!(rest, ["c", "d"]);
    }

    #[test]
    fn a_text_deeper_than_the_bound_is_refused() {
        let deep = "[".repeat(DEPTH + 1) + &"]".repeat(DEPTH + 1);
        assert!(parse(deep.as_bytes()).is_err());
    }

    #[test]
    fn counts_may_be_written_as_floats_but_have_no_fraction_and_no_sign() {
        let read = |value| Fields::of(json!({"n": value}), Path::Root).unwrap().unsigned("n");
        assert_eq!(read(json!(5.0)).unwrap(), Some(5));
        assert!(read(json!(5.5)).is_err());
        assert!(read(json!(-1)).is_err());
        assert!(read(json!("5")).is_err());
    }

    #[test]
    fn objects_written_piece_by_piece_are_json() {
        let mut out = Vec::new();
        let mut object = Object::begin(&mut out);
        object.put("a", "\"").maybe("b", None::<&u64>).maybe("c", Some(&1));
        let mut list = object.array("d");
        list.put(&1).put("x");
        list.object().end();
        list.end();
        object.object("e").end();
        object.end();
        assert_eq!(out, br#"{"a":"\"","c":1,"d":[1,"x",{}],"e":{}}"#);
    }
}
