//! What a token says of whoever bears it.

use std::{borrow::Cow, fmt};

use serde_json::{Map, Value};

/// The claims of a token whose signature was checked (RFC 7519 §4).
#[derive(Clone, Default, PartialEq)]
pub struct Claims {
    members: Map<String, Value>,
}

impl Claims {
    /// Reads a JSON object; of a name that is there twice the last counts (RFC 7519 §4).
    pub fn parse(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok().map(|members| Self { members })
    }

    /// All of them, as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        // Keys are texts, so this can't fail.
        serde_json::to_vec(&self.members).unwrap_or_default()
    }

    /// One claim: the member of that name, else what the dots in the name lead to (`realm_access.roles`).
    pub fn value(&self, name: &str) -> Option<&Value> {
        if let Some(value) = self.members.get(name) {
            return Some(value);
        }
        let mut parts = name.split('.');
        let mut found = self.members.get(parts.next()?)?;
        for part in parts {
            found = found.as_object()?.get(part)?;
        }
        // Without a dot the name was asked for already.
        name.contains('.').then_some(found)
    }

    /// One claim as text: strings as they are, numbers and truth values as JSON writes them, lists with commas
    /// between their members. `None` for what is not there, for null and for objects.
    pub fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        text(self.value(name)?)
    }

    /// Seconds since 1970 (RFC 7519 §2, NumericDate); a fraction is dropped.
    pub(super) fn date(&self, name: &str) -> Option<Result<i64, ()>> {
        let value = self.members.get(name)?;
        let whole = value.as_i64().or_else(|| {
            let seconds = value.as_f64()?;
            // Casts from floats saturate.
            seconds.is_finite().then_some(seconds as i64)
        });
        Some(whole.ok_or(()))
    }

    /// Whether a claim that may be a text or a list of texts is or has one of `wanted` (RFC 7519 §4.1.3).
    pub(super) fn is_or_has(&self, name: &str, wanted: &[String]) -> bool {
        match self.members.get(name) {
            Some(Value::String(one)) => wanted.contains(one),
            Some(Value::Array(all)) => {
                all.iter().any(|one| one.as_str().is_some_and(|one| wanted.iter().any(|other| other == one)))
            }
            _ => false,
        }
    }

    /// Whether a scope was granted: in `scope`, a list with spaces (RFC 8693 §4.2), or in `scp`, as some issuers say.
    pub(super) fn has_scope(&self, wanted: &str) -> bool {
        ["scope", "scp"].into_iter().any(|name| match self.members.get(name) {
            Some(Value::String(all)) => all.split(' ').any(|one| one == wanted),
            Some(Value::Array(all)) => all.iter().any(|one| one.as_str() == Some(wanted)),
            _ => false,
        })
    }
}

impl From<Map<String, Value>> for Claims {
    fn from(members: Map<String, Value>) -> Self {
        Self { members }
    }
}

/// Claims are about people: how many, and nothing else.
impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} claims", self.members.len())
    }
}

fn text(value: &Value) -> Option<Cow<'_, str>> {
    Some(match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Number(number) => Cow::Owned(number.to_string()),
        Value::Bool(truth) => Cow::Borrowed(if *truth { "true" } else { "false" }),
        Value::Array(members) => Cow::Owned(members.iter().filter_map(text).collect::<Vec<_>>().join(",")),
        Value::Null | Value::Object(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(text: &str) -> Claims {
        Claims::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_claim_is_told_as_text() {
        let claims = claims(
            r#"{"sub":"ann","n":7,"f":1.5,"yes":true,"no":null,"o":{"a":["x","y"],"b":{"c":1}},"roles":["r",2],"a.b":"dotted"}"#,
        );
        for (name, expected) in [
            ("sub", Some("ann")),
            ("n", Some("7")),
            ("f", Some("1.5")),
            ("yes", Some("true")),
            ("no", None),
            ("o", None),
            ("roles", Some("r,2")),
            ("o.a", Some("x,y")),
            ("o.b.c", Some("1")),
            ("o.b.d", None),
            ("a.b", Some("dotted")),
            ("sub.x", None),
            ("", None),
        ] {
            assert_eq!(claims.text(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn scopes_are_whole_words_wherever_the_issuer_puts_them() {
        for text in [r#"{"scope":"read write"}"#, r#"{"scp":["read","write"]}"#, r#"{"scp":"write read"}"#] {
            let claims = claims(text);
            assert!(claims.has_scope("read") && claims.has_scope("write"), "{text}");
            assert!(!claims.has_scope("rea") && !claims.has_scope("read write"), "{text}");
        }
    }

    #[test]
    fn dates_are_numbers_and_nothing_else() {
        let claims = claims(r#"{"a":5,"b":5.9,"c":"5","d":-1e300,"e":null}"#);
        assert_eq!(claims.date("a"), Some(Ok(5)));
        assert_eq!(claims.date("b"), Some(Ok(5)));
        assert_eq!(claims.date("c"), Some(Err(())));
        assert_eq!(claims.date("d"), Some(Ok(i64::MIN)));
        assert_eq!(claims.date("e"), Some(Err(())));
        assert_eq!(claims.date("f"), None);
    }

    #[test]
    fn printing_tells_nothing_of_anybody() {
        assert_eq!(format!("{:?}", claims(r#"{"sub":"ann"}"#)), "1 claims");
    }
}
