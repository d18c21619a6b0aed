//! What a route's patterns caught of a request's path and host.

use regex_automata::util::primitives::NonMaxUsize;

use crate::pattern::{Pattern, Slots, group_of};

/// What groups of a route's pattern and its wildcard host matched; kept from request to request.
#[derive(Debug, Default, Clone)]
pub struct Captures {
    /// The path that the pattern was searched in; empty where the route has none.
    path: Vec<u8>,
    /// Two for each group.
    slots: Vec<Option<NonMaxUsize>>,
    /// Where a name ends in `names`, and its group's number.
    named: Vec<(usize, u32)>,
    names: Vec<u8>,
    /// What stood for the `*` of a wildcard host; never empty where there was one.
    host: Vec<u8>,
    /// Room for one decoded query parameter while conditions are tried.
    pub(crate) scratch: Vec<u8>,
}

impl Captures {
    /// Forgets the last request and keeps the room.
    pub fn clear(&mut self) {
        self.path.clear();
        self.slots.clear();
        self.named.clear();
        self.names.clear();
        self.host.clear();
    }

    /// What the group called `name` matched, or the group of that number; `0` is the whole match, and `host` what
    /// stood for the `*` of a wildcard host unless the pattern has a group of that name.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let group = match name.parse::<usize>() {
            Ok(number) => Some(number),
            Err(_) => self.number(name.as_bytes()),
        };
        if let Some(group) = group {
            let (start, end) = group_of(&self.slots, group)?;
            return self.path.get(start..end);
        }
        (name == "host" && !self.host.is_empty()).then_some(&self.host)
    }

    /// Room for the groups of `pattern`.
    pub(crate) fn slots_for(&mut self, pattern: &Pattern) -> &mut Slots {
        self.slots.clear();
        self.slots.resize(pattern.groups() * 2, None);
        &mut self.slots
    }

    /// No pattern has matched after all.
    pub(crate) fn drop_slots(&mut self) {
        self.slots.clear();
    }

    /// The slots stand for what `pattern` matched in `path`.
    pub(crate) fn keep_groups(&mut self, pattern: &Pattern, path: &[u8]) {
        self.path.extend_from_slice(path);
        for (group, name) in pattern.named() {
            self.names.extend_from_slice(name.as_bytes());
            self.named.push((self.names.len(), *group));
        }
    }

    /// `part` stood for the `*` of a wildcard host.
    pub(crate) fn keep_host(&mut self, part: &[u8]) {
        self.host.extend_from_slice(part);
    }

    fn number(&self, name: &[u8]) -> Option<usize> {
        let mut start = 0;
        self.named.iter().find_map(|(end, group)| {
            let candidate = &self.names[start..*end];
            start = *end;
            (candidate == name).then_some(*group as usize)
        })
    }
}
