//! Names turned into small numbers, once and for good.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::OTHER;

/// Names in the order in which they came; the first two stand for none and for all that came too late.
#[derive(Debug)]
pub(super) struct Slots {
    most: usize,
    named: Mutex<Named>,
}

#[derive(Debug, Default)]
struct Named {
    by_name: HashMap<Name, u32>,
    names: Vec<Name>,
}

/// One part, or an upstream and its endpoint.
pub(super) type Name = Arc<[String]>;

impl Slots {
    pub(super) fn new(most: usize) -> Self {
        let reserved = [""; 2].map(|empty| Name::from([empty.to_owned(), String::new()]));
        Self { most, named: Mutex::new(Named { by_name: HashMap::new(), names: reserved.to_vec() }) }
    }

    /// Called when a plan is made ready, not for requests.
    pub(super) fn slot(&self, name: &[&str]) -> u32 {
        let name: Name = name.iter().map(|part| (*part).to_owned()).collect();
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = named.by_name.get(&name) {
            return *slot;
        }
        if named.names.len() >= self.most {
            return OTHER;
        }
        let slot = named.names.len() as u32;
        named.names.push(name.clone());
        named.by_name.insert(name, slot);
        slot
    }

    /// All names by slot.
    pub(super) fn names(&self) -> Vec<Name> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner).names.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_name_always_has_the_same_slot() {
        let slots = Slots::new(100);
        let a = slots.slot(&["a"]);
        let b = slots.slot(&["b"]);
        assert_ne!(a, b);
        assert_eq!(slots.slot(&["a"]), a);
        assert_eq!(slots.names()[b as usize][0], "b");
    }

    #[test]
    fn parts_of_a_name_do_not_run_into_each_other() {
        let slots = Slots::new(100);
        assert_ne!(slots.slot(&["ab", "c"]), slots.slot(&["a", "bc"]));
    }

    #[test]
    fn names_beyond_the_bound_share_a_slot() {
        let slots = Slots::new(4);
        assert_eq!((slots.slot(&["a"]), slots.slot(&["b"])), (2, 3));
        assert_eq!((slots.slot(&["c"]), slots.slot(&["d"])), (OTHER, OTHER));
        assert_eq!(slots.slot(&["b"]), 3);
        assert_eq!(slots.names().len(), 4);
    }
}
