//! Edits a body where both sides speak one dialect: what is not edited stays as it is, byte for byte.

use std::ops::Range;

use crate::scan::{Scan, member, output_bound, unescaped};
use crate::{Dialect, Fault};

/// Edits to a body that was scanned; the last edit of a member holds.
#[derive(Debug)]
pub struct Edits<'a> {
    body: &'a [u8],
    scan: &'a Scan,
    /// New values by the number of the member; `None` removes it.
    members: Vec<(usize, Option<Vec<u8>>)>,
    /// New members, at the end of the object.
    added: Vec<(String, Vec<u8>)>,
    /// Whether the provider's model is one that knows `max_completion_tokens` alone.
    newer: bool,
}

impl<'a> Edits<'a> {
    /// None yet. `scan` must be of this very body.
    pub fn new(body: &'a [u8], scan: &'a Scan) -> Self {
        let newer = scan.model.as_deref().is_some_and(crate::openai::is_newer);
        Self { body, scan, members: Vec::new(), added: Vec::new(), newer }
    }

    /// Whether the body stays as it is.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.added.is_empty()
    }

    /// Sets a member to that JSON text, in its place, or at the end where the body has none.
    pub fn set(&mut self, name: &str, json: impl Into<Vec<u8>>) {
        let json = json.into();
        if let Some(at) = self.scan.position(self.body, name) {
            match self.members.iter_mut().find(|(member, _)| *member == at) {
                Some((_, value)) => *value = Some(json),
                None => self.members.push((at, Some(json))),
            }
        } else if let Some((_, value)) = self.added.iter_mut().find(|(added, _)| added == name) {
            *value = json;
        } else {
            self.added.push((name.to_owned(), json));
        }
    }

    /// Sets a member to a text.
    pub fn set_string(&mut self, name: &str, text: &str) {
        let mut json = Vec::with_capacity(text.len() + 2);
        crate::json::append_string(text, &mut json);
        self.set(name, json);
    }

    /// Sets the model, where the body names another or none.
    pub fn set_model(&mut self, model: &str) {
        self.newer = crate::openai::is_newer(model);
        if self.scan.model.as_deref() != Some(model) {
            self.set_string("model", model);
        }
    }

    /// Removes a member, however often it is there; whether it was.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = (self.members.len(), self.added.len());
        self.added.retain(|(added, _)| added != name);
        for (at, member) in self.scan.members.iter().enumerate() {
            if *unescaped(self.body, &member.key) == *name.as_bytes() {
                self.members.retain(|(member, _)| *member != at);
                self.members.push((at, None));
            }
        }
        before != (self.members.len(), self.added.len())
    }

    /// Sets `stream_options.include_usage`, beside other options that are there.
    pub fn ask_for_usage(&mut self) -> Result<(), Fault> {
        if self.scan.include_usage {
            return Ok(());
        }
        self.set_in("stream_options", "include_usage", b"true")
    }

    /// Lowers the bounds on output that the body names to `most`; where it names none, one is added in the dialect's
    /// word (for OpenAI's own reasoning models the newer one: set the model before). Whether anything was to be done.
    pub fn cap_output(&mut self, dialect: Dialect, most: u64) -> Result<bool, Fault> {
        let (parents, names) = output_bound(dialect);
        let most_text = most.to_string();
        let (mut named, mut cut) = (false, false);
        for parent in if parents.is_empty() { &[""][..] } else { parents } {
            for name in names {
                let value = if parent.is_empty() {
                    self.scan.find(self.body, name)
                } else {
                    match self.scan.find(self.body, parent) {
                        Some(at) => member(self.body, &at, name)?,
                        None => None,
                    }
                };
                let said = value.and_then(|at| self.body.get(at)).unwrap_or(b"null");
                // What is no count (null, Ollama's -1 for "no bound") is as much as nothing.
                let count = serde_json::from_slice(said).ok().and_then(|value| crate::json::unsigned(&value));
                match count {
                    Some(count) if count <= most => named = true,
                    None if said == b"null" => {}
                    _ => {
                        (named, cut) = (true, true);
                        if parent.is_empty() {
                            self.set(name, most_text.as_bytes());
                        } else {
                            self.set_in(parent, name, most_text.as_bytes())?;
                        }
                    }
                }
            }
        }
        if !named && let Some(name) = names.first() {
            match parents
                .iter()
                .find(|parent| self.scan.find(self.body, parent).is_some())
                .or(parents.first())
            {
                Some(parent) => self.set_in(parent, name, most_text.as_bytes())?,
                None if dialect == Dialect::OpenAi && !self.newer => self.set("max_tokens", most_text),
                None => self.set(name, most_text),
            }
        }
        Ok(cut || !named)
    }

    /// Sets a member of an object that is a member; a `parent` that is missing or no object becomes one.
    pub fn set_in(&mut self, parent: &str, name: &str, json: &[u8]) -> Result<(), Fault> {
        let position = self.scan.position(self.body, parent);
        let edited = position.and_then(|at| {
            self.members
                .iter()
                .find(|(member, _)| *member == at)
                .map(|(_, value)| value.clone().unwrap_or_default())
        });
        let added = self.added.iter().find(|(added, _)| added == parent).map(|(_, value)| value.clone());
        let lies = self.scan.find(self.body, parent).and_then(|at| self.body.get(at)).map(<[u8]>::to_vec);
        let mut object = edited.or(added).or(lies).unwrap_or_default();
        if object.first() != Some(&b'{') {
            object = b"{}".to_vec();
        }
        match member(&object, &(0..object.len()), name)? {
            Some(at) => {
                object.splice(at, json.iter().copied());
            }
            None => {
                let inner = object.get(1..object.len().saturating_sub(1)).unwrap_or_default();
                let empty = inner.iter().all(u8::is_ascii_whitespace);
                object.pop();
                if !empty {
                    object.push(b',');
                }
                crate::json::append_string(name, &mut object);
                object.push(b':');
                object.extend_from_slice(json);
                object.push(b'}');
            }
        }
        self.set(parent, object);
        Ok(())
    }

    /// Appends the edited body.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.reserve(self.body.len() + 64 * (self.members.len() + self.added.len()));
        if self.is_empty() {
            out.extend_from_slice(self.body);
            return;
        }
        let removed = |at: usize| self.members.iter().any(|(member, value)| *member == at && value.is_none());
        let count = self.scan.members.len();
        let last_kept = (0..count).rev().find(|&at| !removed(at));
        let any_removed = self.members.iter().any(|(_, value)| value.is_none());
        // Where the bytes that are still to be copied begin.
        let mut from = 0;
        let mut edits: Vec<&(usize, Option<Vec<u8>>)> = self.members.iter().collect();
        edits.sort_unstable_by_key(|(at, _)| *at);
        for (at, value) in edits {
            let Some(here) = self.scan.members.get(*at) else { continue };
            match value {
                Some(json) => {
                    self.copy(from..here.value.start, out);
                    out.extend_from_slice(json);
                    from = here.value.end;
                }
                // One with a kept member behind it goes with the comma behind it; the others together, below.
                None if last_kept.is_some_and(|last| *at < last) => {
                    let next = self.scan.members.get(at + 1).map_or(here.value.end, quoted);
                    self.copy(from..quoted(here), out);
                    from = next;
                }
                None => {}
            }
        }
        let kept_end = match last_kept {
            Some(last) => self.scan.members.get(last).map(|member| member.value.end),
            None => self.scan.members.first().map(quoted),
        };
        let all_end = self.scan.members.last().map(|member| member.value.end);
        let (kept_end, all_end) = match (kept_end, all_end) {
            (Some(kept), Some(all)) => (kept, if any_removed { all } else { kept }),
            _ => {
                let open = memchr::memchr(b'{', self.body).map_or(0, |at| at + 1);
                (open, open)
            }
        };
        self.copy(from..kept_end, out);
        let mut any = last_kept.is_some();
        for (name, json) in &self.added {
            if std::mem::replace(&mut any, true) {
                out.push(b',');
            }
            crate::json::append_string(name, out);
            out.push(b':');
            out.extend_from_slice(json);
        }
        self.copy(all_end.max(from)..self.body.len(), out);
    }

    fn copy(&self, range: Range<usize>, out: &mut Vec<u8>) {
        out.extend_from_slice(self.body.get(range).unwrap_or_default());
    }
}

/// Where a member's name begins, its quote included.
fn quoted(member: &crate::scan::Member) -> usize {
    member.key.start.saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::scan;
    use proptest::prelude::*;
    use serde_json::Value;

    fn edited(body: &str, edit: impl FnOnce(&mut Edits<'_>)) -> String {
        let scan = scan(body.as_bytes()).unwrap();
        let mut edits = Edits::new(body.as_bytes(), &scan);
        edit(&mut edits);
        let mut out = Vec::new();
        edits.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_rest_stays_byte_for_byte() {
        let body = "{ \"a\" : 1.0 ,\n \"model\" : \"m\", \"x\":{ \"y\" : [ ] } }\n";
        assert_eq!(edited(body, |_| ()), body);
        assert_eq!(
            edited(body, |edits| edits.set_model("other")),
            "{ \"a\" : 1.0 ,\n \"model\" : \"other\", \"x\":{ \"y\" : [ ] } }\n"
        );
        assert_eq!(
            edited(body, |edits| edits.set("stream", *b"true")),
            "{ \"a\" : 1.0 ,\n \"model\" : \"m\", \"x\":{ \"y\" : [ ] },\"stream\":true }\n"
        );
        assert_eq!(edited(body, |edits| edits.set_model("m")), body);
    }

    #[test]
    fn members_go_with_their_commas() {
        let body = r#"{"a":1,"b":2,"c":3}"#;
        let without = |names: &[&str]| {
            edited(body, |edits| {
                for name in names {
                    assert!(edits.remove(name));
                }
            })
        };
        assert_eq!(without(&["a"]), r#"{"b":2,"c":3}"#);
        assert_eq!(without(&["b"]), r#"{"a":1,"c":3}"#);
        assert_eq!(without(&["c"]), r#"{"a":1,"b":2}"#);
        assert_eq!(without(&["c", "b"]), r#"{"a":1}"#);
        assert_eq!(without(&["a", "c"]), r#"{"b":2}"#);
        assert_eq!(without(&["a", "b", "c"]), "{}");
        let all = edited(body, |edits| {
            for name in ["a", "b", "c"] {
                edits.remove(name);
            }
            edits.set("d", *b"4");
            edits.set("a", *b"5");
        });
        assert_eq!(all, r#"{"a":5,"d":4}"#);
        assert_eq!(edited("{ }", |edits| edits.set("d", *b"4")), r#"{"d":4 }"#);
    }

    #[test]
    fn usage_is_asked_for_beside_other_options() {
        let asked = |body: &str| edited(body, |edits| edits.ask_for_usage().unwrap());
        assert_eq!(asked("{}"), r#"{"stream_options":{"include_usage":true}}"#);
        assert_eq!(asked(r#"{"stream_options":null}"#), r#"{"stream_options":{"include_usage":true}}"#);
        assert_eq!(asked(r#"{"stream_options":{}}"#), r#"{"stream_options":{"include_usage":true}}"#);
        assert_eq!(
            asked(r#"{"stream_options":{"x":1, "include_usage" : false}}"#),
            r#"{"stream_options":{"x":1, "include_usage" : true}}"#
        );
        assert_eq!(
            asked(r#"{"stream_options":{"x":1}}"#),
            r#"{"stream_options":{"x":1,"include_usage":true}}"#
        );
    }

    #[test]
    fn output_is_cut_to_the_most() {
        let cut = |dialect, body: &str| edited(body, |edits| _ = edits.cap_output(dialect, 100).unwrap());
        assert_eq!(cut(Dialect::OpenAi, r#"{"max_tokens":50}"#), r#"{"max_tokens":50}"#);
        assert_eq!(cut(Dialect::OpenAi, r#"{"max_tokens":500}"#), r#"{"max_tokens":100}"#);
        assert_eq!(
            cut(Dialect::OpenAi, r#"{"max_completion_tokens":500}"#),
            r#"{"max_completion_tokens":100}"#
        );
        assert_eq!(cut(Dialect::OpenAi, "{}"), r#"{"max_tokens":100}"#);
        assert_eq!(
            cut(Dialect::OpenAi, r#"{"model":"gpt-5"}"#),
            r#"{"model":"gpt-5","max_completion_tokens":100}"#
        );
        assert_eq!(cut(Dialect::Responses, "{}"), r#"{"max_output_tokens":100}"#);
        assert_eq!(
            cut(Dialect::Gemini, r#"{"generationConfig":{"topK":1,"maxOutputTokens":500}}"#),
            r#"{"generationConfig":{"topK":1,"maxOutputTokens":100}}"#
        );
        assert_eq!(cut(Dialect::Bedrock, "{}"), r#"{"inferenceConfig":{"maxTokens":100}}"#);
        assert_eq!(
            cut(Dialect::Ollama, r#"{"options":{"num_predict":-1}}"#),
            r#"{"options":{"num_predict":100}}"#
        );
    }

    proptest! {
        #[test]
        fn edits_do_what_edits_of_the_tree_do(
            keys in proptest::collection::btree_set("[a-f]", 0..6),
            removed in proptest::collection::vec("[a-f]", 0..4),
            set in proptest::collection::vec("[a-h]", 0..4),
            pretty in any::<bool>(),
        ) {
            let mut tree: serde_json::Map<String, Value> =
                keys.iter().enumerate().map(|(at, key)| (key.clone(), Value::from(at))).collect();
            let body = if pretty { serde_json::to_string_pretty(&tree) } else { serde_json::to_string(&tree) }.unwrap();
            let text = edited(&body, |edits| {
                for key in &removed { edits.remove(key); }
                for key in &set { edits.set(key, *b"\"new\""); }
            });
            for key in &removed { tree.remove(key); }
            for key in &set { tree.insert(key.clone(), Value::from("new")); }
            prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), Value::Object(tree));
        }
    }
}
