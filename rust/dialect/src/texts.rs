//! The texts that a model reads, in bodies that are no conversation: for those who look into them, and may change them.

use serde_json::Value;

use crate::{Fault, json};

/// Members that hold what a model reads, in all dialects: of embeddings, completions, moderations, rerankings, token counts.
const READ: [&str; 9] =
    ["input", "inputs", "texts", "prompt", "query", "documents", "content", "contents", "requests"];

/// A body whose texts may be changed.
#[derive(Debug, Clone)]
pub struct Texts(Value);

impl Texts {
    /// Reads a body.
    pub fn parse(body: &[u8]) -> Result<Self, Fault> {
        json::parse(body).map(Self)
    }

    /// Hands over one text after the other, in order, until one is not liked.
    pub fn each<E>(&mut self, mut look: impl FnMut(&mut String) -> Result<(), E>) -> Result<(), E> {
        for name in READ {
            if let Some(member) = self.0.get_mut(name) {
                strings(member, &mut look)?;
            }
        }
        Ok(())
    }

    /// Appends the body with its texts as they are now.
    pub fn write(&self, out: &mut Vec<u8>) {
        json::append(&self.0, out);
    }
}

/// The depth is bounded by [`json::DEPTH`].
fn strings<E>(value: &mut Value, look: &mut impl FnMut(&mut String) -> Result<(), E>) -> Result<(), E> {
    match value {
        Value::String(text) => look(text),
        Value::Array(items) => items.iter_mut().try_for_each(|item| strings(item, look)),
        Value::Object(map) => map.values_mut().try_for_each(|item| strings(item, look)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_changed_where_they_stand_and_nothing_else_is() {
        let body = br#"{"model":"m","input":["a",{"text":"b"},[1,2]],"query":"c","user":"d"}"#;
        let mut texts = Texts::parse(body).unwrap();
        let all = texts.each(|text| {
            text.make_ascii_uppercase();
            Ok::<_, ()>(())
        });
        assert_eq!(all, Ok(()));
        let mut out = Vec::new();
        texts.write(&mut out);
        let wanted = br#"{"model":"m","input":["A",{"text":"B"},[1,2]],"query":"C","user":"d"}"#;
        assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(wanted));
    }

    #[test]
    fn the_first_text_that_is_not_liked_ends_it() {
        let mut texts = Texts::parse(br#"{"input":["a","b","c"]}"#).unwrap();
        let mut seen = Vec::new();
        let ended = texts.each(|text| {
            seen.push(text.clone());
            if text == "b" { Err("b") } else { Ok(()) }
        });
        assert_eq!((ended, seen), (Err("b"), vec!["a".to_owned(), "b".to_owned()]));
    }
}
