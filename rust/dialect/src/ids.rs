//! Ids for calls in dialects that have none, and the ties between calls and their results.

use xxhash_rust::xxh3::Xxh3;

/// The calls of a conversation while it is read from its beginning. Where a dialect tells no ids they are made from the
/// call's place, so that the same text gives the same ids each time it is sent again.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    prefix: String,
    made: usize,
    /// Calls without a result, in their order: id and name.
    open: Vec<(String, String)>,
}

impl Calls {
    /// For a conversation; [`Calls::turn`] tells where in it.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// For one answer: `seed` is what tells it from other answers (the response's id).
    pub(crate) fn of_answer(seed: &[&str]) -> Self {
        let mut hash = Xxh3::new();
        for part in seed {
            hash.update(part.as_bytes());
            hash.update(&[0]);
        }
        Self { prefix: format!("call_{:016x}_", hash.digest()), ..Self::default() }
    }

    /// The turn with that number begins.
    pub(crate) fn turn(&mut self, number: usize) {
        self.prefix = format!("call_{number}_");
        self.made = 0;
    }

    /// The id of the next call, the dialect's own where it told one.
    pub(crate) fn call(&mut self, id: Option<String>, name: &str) -> String {
        let id = id.filter(|id| !id.is_empty()).unwrap_or_else(|| self.make());
        self.open.push((id.clone(), name.to_owned()));
        id
    }

    /// The id of the call that a result is for, and the name of its tool: by its id, else the oldest open call of that
    /// name, else (where no name is told either) the oldest open call. A result without a call gets an id of its own.
    pub(crate) fn result(&mut self, id: Option<String>, name: Option<String>) -> (String, Option<String>) {
        let found = match (&id, &name) {
            (Some(id), _) if !id.is_empty() => self.open.iter().position(|(open, _)| open == id),
            (_, Some(name)) => self.open.iter().position(|(_, open)| open == name),
            _ => (!self.open.is_empty()).then_some(0),
        };
        match (found.map(|at| self.open.remove(at)), id.filter(|id| !id.is_empty())) {
            (Some((id, called)), _) => (id, name.or(Some(called))),
            (None, Some(id)) => (id, name),
            (None, None) => (self.make(), name),
        }
    }

    fn make(&mut self) -> String {
        let id = format!("{}{}", self.prefix, self.made);
        self.made = self.made.saturating_add(1);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_find_their_calls_by_id_then_by_name_then_by_order() {
        let mut calls = Calls::new();
        calls.turn(3);
        assert_eq!(calls.call(None, "a"), "call_3_0");
        assert_eq!(calls.call(None, "b"), "call_3_1");
        assert_eq!(calls.call(Some("own".into()), "b"), "own");
        assert_eq!(calls.result(Some("own".into()), None), ("own".into(), Some("b".into())));
        assert_eq!(calls.result(None, Some("b".into())), ("call_3_1".into(), Some("b".into())));
        assert_eq!(calls.result(None, None), ("call_3_0".into(), Some("a".into())));
        assert_eq!(calls.result(None, Some("c".into())), ("call_3_2".into(), Some("c".into())));
    }

    #[test]
    fn ids_of_answers_differ_by_answer_and_repeat_for_the_same() {
        let first = Calls::of_answer(&["r1"]).call(None, "a");
        assert_eq!(first, Calls::of_answer(&["r1"]).call(None, "a"));
        assert_ne!(first, Calls::of_answer(&["r2"]).call(None, "a"));
        assert_ne!(Calls::of_answer(&["a", "b"]).make(), Calls::of_answer(&["ab", ""]).make());
    }
}
