//! All prompts by name, and which version of one a call gets.

use std::{collections::HashMap, fmt};

use tidegate_plan as plan;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::version::Version;

/// All prompts of a plan.
#[derive(Debug, Default)]
pub struct Prompts {
    list: Vec<Prompt>,
    by_name: HashMap<String, usize>,
}

/// One prompt.
#[derive(Debug)]
pub struct Prompt {
    /// The last part of its path.
    pub name: String,
    /// What the document tells of it.
    pub description: String,
    versions: Vec<Version>,
    /// Of all versions together; above zero.
    weight: u64,
}

/// Why a prompt can't be made ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptFault {
    /// Where: `prompts[0].versions[1].messages[0]`.
    pub path: String,
    /// What is wrong there.
    pub why: String,
}

impl fmt::Display for PromptFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.why)
    }
}

impl std::error::Error for PromptFault {}

/// The call pins a version that the prompt does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownVersion;

impl Prompts {
    /// Makes all prompts ready.
    pub fn compile(prompts: &[plan::Prompt]) -> Result<Self, PromptFault> {
        let mut made = Self::default();
        for (index, prompt) in prompts.iter().enumerate() {
            let fault = |part: &str, why: &str| PromptFault {
                path: format!("prompts[{index}].{part}"),
                why: why.into(),
            };
            let versions = (prompt.versions.iter().enumerate())
                .map(|(at, version)| Version::compile(version).map_err(|why| PromptFault::of(index, at, why)))
                .collect::<Result<Vec<_>, _>>()?;
            let weight = versions.iter().map(|version| u64::from(version.weight)).sum();
            if weight == 0 {
                return Err(fault("versions", "one must have a weight above zero"));
            }
            if made.by_name.insert(prompt.name.clone(), index).is_some() {
                return Err(fault("name", "is there already"));
            }
            let (name, description) = (prompt.name.clone(), prompt.description.clone());
            made.list.push(Prompt { name, description, versions, weight });
        }
        Ok(made)
    }

    /// The prompt of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Prompt> {
        self.list.get(*self.by_name.get(name)?)
    }

    /// All of them, in the plan's order.
    pub fn iter(&self) -> impl Iterator<Item = &Prompt> {
        self.list.iter()
    }
}

impl Prompt {
    /// The version that a call gets: the one it pins, else one by weight. `spread` decides which: a random number, or
    /// [`Prompt::spread`] of what should always get the same.
    pub fn choose(&self, pinned: Option<&str>, spread: u64) -> Result<&Version, UnknownVersion> {
        if let Some(name) = pinned {
            return self.versions.iter().find(|version| version.name == name).ok_or(UnknownVersion);
        }
        // The high bits of a product: every version gets its share of the numbers, without a remainder's bias.
        let mut place = ((u128::from(spread) * u128::from(self.weight)) >> 64) as u64;
        for version in &self.versions {
            let weight = u64::from(version.weight);
            if place < weight {
                return Ok(version);
            }
            place -= weight;
        }
        Err(UnknownVersion)
    }

    /// The number of a sticky key: the same for the same key, and another for another prompt.
    #[must_use]
    pub fn spread(&self, key: &[u8]) -> u64 {
        xxh3_64_with_seed(key, xxh3_64_with_seed(self.name.as_bytes(), 0))
    }

    /// All versions.
    #[must_use]
    pub fn versions(&self) -> &[Version] {
        &self.versions
    }

    /// The version with the largest share.
    pub(crate) fn main(&self) -> Option<&Version> {
        // Of several, the first.
        self.versions.iter().rev().max_by_key(|version| version.weight)
    }
}
