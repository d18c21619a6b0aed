//! Host patterns and what belongs to them: a name itself before any `*.`, and of those the longest.

use std::collections::HashMap;

/// What belongs to names.
#[derive(Debug, Clone, Default)]
pub struct Names {
    exact: HashMap<Box<str>, u32>,
    /// By what stands behind `*`, its dot included.
    below: HashMap<Box<str>, u32>,
}

impl Names {
    /// Patterns as `a.example.com` and `*.example.com`, in lower case. Of one that is there twice the first counts.
    pub fn new<'a>(patterns: impl IntoIterator<Item = (&'a str, u32)>) -> Self {
        let mut made = Self::default();
        for (pattern, value) in patterns {
            match pattern.strip_prefix('*') {
                Some(suffix) => made.below.entry(suffix.into()).or_insert(value),
                None => made.exact.entry(pattern.into()).or_insert(value),
            };
        }
        made
    }

    /// What belongs to `name`, which is in lower case. `*.example.com` takes one and more labels, as routes have it.
    pub fn find(&self, name: &str) -> Option<u32> {
        if let Some(found) = self.exact.get(name) {
            return Some(*found);
        }
        if self.below.is_empty() {
            return None;
        }
        // A name has at most 253 characters, so at most as many looks.
        let dots = name.match_indices('.').map(|(at, _)| at).filter(|at| *at > 0);
        dots.filter_map(|at| self.below.get(&name[at..])).next().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_itself_comes_before_a_wildcard_and_the_longest_wildcard_before_others() {
        let names =
            Names::new([("a.example.com", 1), ("*.example.com", 2), ("*.deep.example.com", 3), ("b", 4)]);
        assert_eq!(names.find("a.example.com"), Some(1));
        assert_eq!(names.find("z.example.com"), Some(2));
        assert_eq!(names.find("y.z.example.com"), Some(2));
        assert_eq!(names.find("z.deep.example.com"), Some(3));
        assert_eq!(names.find("deep.example.com"), Some(2));
        assert_eq!(names.find("b"), Some(4));
    }

    #[test]
    fn a_wildcard_does_not_take_its_own_name_nor_what_only_ends_like_it() {
        let names = Names::new([("*.example.com", 1)]);
        for other in ["example.com", "notexample.com", ".example.com", "example.com.evil.org", ""] {
            assert_eq!(names.find(other), None, "{other}");
        }
    }
}
