//! Guards made ready, and what they do to one text.

use std::{fmt, ops::Range};

use tidegate_plan::{Guard, GuardAction, GuardScope, LookFor};

use crate::{
    find::{Finder, Keywords, Pii, PiiFinder},
    vault::{Vault, is_literal},
};

/// Characters of a guard's name that its placeholders take over.
const LABEL_MOST: usize = 32;

/// All guards of a plan, by their index in it.
#[derive(Debug, Default)]
pub struct Guards {
    list: Vec<Ready>,
}

#[derive(Debug)]
struct Ready {
    name: String,
    scope: GuardScope,
    action: GuardAction,
    finder: Finder,
    /// What placeholders are called, where no kind says it: `EMPLOYEE_ID` for the guard `employee-id`.
    label: String,
    /// What refusals call it, where no kind says it.
    kind: &'static str,
}

/// Which way a text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the model.
    Request,
    /// From the model.
    Response,
}

/// What guards say of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Nothing was found.
    Pass,
    /// So many places were replaced.
    Masked(u32),
    /// The call is refused, or the answer cut off.
    Blocked(Blocked),
}

/// Which guard said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocked {
    /// Its index; [`Guards::name`] has its name.
    pub guard: u32,
    /// What it found: `card`, `email` …, `keyword`, `pattern`. Never the text itself.
    pub kind: &'static str,
}

/// Why a guard can't be made ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardFault {
    /// Its index.
    pub guard: usize,
    /// Which part of it: `look_for.pattern`.
    pub part: &'static str,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for GuardFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "guards[{}].{}: {}", self.guard, self.part, self.why)
    }
}

impl std::error::Error for GuardFault {}

/// A place in a text, and what is to be done there.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub range: Range<usize>,
    guard: u32,
    kind: Option<Pii>,
    action: GuardAction,
    /// The user's own text that looks like a placeholder.
    literal: bool,
}

impl Guards {
    /// Makes all guards ready.
    pub fn compile(guards: &[Guard]) -> Result<Self, GuardFault> {
        let ready = |(index, guard): (usize, &Guard)| {
            let fault = |part, why| GuardFault { guard: index, part, why };
            let (finder, kind) = match &guard.look_for {
                LookFor::Pii { kinds } => {
                    (Finder::Pii(pii(kinds).map_err(|why| fault("look_for.kinds", why))?), "personal data")
                }
                LookFor::Keywords { words } => {
                    let keywords = Keywords::new(words).map_err(|why| fault("look_for.words", why))?;
                    (Finder::Keywords(keywords), "keyword")
                }
                LookFor::Regex { pattern } => {
                    (Finder::pattern(pattern).map_err(|why| fault("look_for.pattern", why))?, "pattern")
                }
            };
            let (name, label) = (guard.name.clone(), label(&guard.name));
            Ok(Ready { name, scope: guard.scope, action: guard.action, finder, label, kind })
        };
        Ok(Self { list: guards.iter().enumerate().map(ready).collect::<Result<_, _>>()? })
    }

    /// The name of a guard.
    #[must_use]
    pub fn name(&self, guard: u32) -> &str {
        self.list.get(guard as usize).map_or("", |guard| &guard.name)
    }

    /// Whether any of `chosen` looks at texts that go this way.
    #[must_use]
    pub fn look_at(&self, chosen: &[u32], direction: Direction) -> bool {
        self.chosen(chosen, direction).next().is_some()
    }

    /// Looks at one whole text and replaces what `chosen` guards mask in it. What is to be restored goes to `vault`.
    /// A text that is blocked is left as it was.
    pub fn scan(
        &self,
        chosen: &[u32],
        direction: Direction,
        text: &mut String,
        vault: &mut Vault,
    ) -> Verdict {
        let mut places = Vec::new();
        self.places(chosen, direction, text, &mut places);
        if places.is_empty() {
            return Verdict::Pass;
        }
        if let Some(blocked) = self.first_block(&places) {
            return Verdict::Blocked(blocked);
        }
        let mut masked = String::with_capacity(text.len());
        let mut at = 0;
        for place in &places {
            masked.push_str(&text[at..place.range.start]);
            self.replace(place, &text[place.range.clone()], vault, &mut masked);
            at = place.range.end;
        }
        masked.push_str(&text[at..]);
        *text = masked;
        Verdict::Masked(places.len().min(u32::MAX as usize) as u32)
    }

    /// Every place that `chosen` guards find in `text`, in order; those that overlap are one.
    pub(crate) fn places(&self, chosen: &[u32], direction: Direction, text: &str, places: &mut Vec<Place>) {
        places.clear();
        let mut restores = false;
        for (index, guard) in self.chosen(chosen, direction) {
            restores |= guard.action == GuardAction::Restore;
            guard.finder.find(text, |range, kind| {
                places.push(Place { range, guard: index, kind, action: guard.action, literal: false });
            });
        }
        if restores {
            self.literals(chosen, text, places);
        }
        // Where two begin at one place, a refusal goes first, then the longer one, then the more telling kind.
        let rank = |kind: Option<Pii>| Pii::ALL.iter().position(|known| Some(*known) == kind);
        places.sort_by_key(|place| {
            let blocks = place.action == GuardAction::Block;
            (place.range.start, !blocks, std::cmp::Reverse(place.range.end), rank(place.kind), place.guard)
        });
        places.dedup_by(|next, kept| {
            let overlap = next.range.start < kept.range.end;
            if overlap {
                kept.range.end = kept.range.end.max(next.range.end);
                if next.action == GuardAction::Block && kept.action != GuardAction::Block {
                    (kept.action, kept.guard, kept.kind) = (next.action, next.guard, next.kind);
                }
            }
            overlap
        });
    }

    pub(crate) fn first_block(&self, places: &[Place]) -> Option<Blocked> {
        places.iter().find(|place| place.action == GuardAction::Block).map(|place| self.blocked(place))
    }

    fn blocked(&self, place: &Place) -> Blocked {
        let kind = self.list.get(place.guard as usize).map_or("", |guard| guard.kind);
        Blocked { guard: place.guard, kind: place.kind.map_or(kind, Pii::as_str) }
    }

    /// Appends what takes the place of `original`.
    pub(crate) fn replace(&self, place: &Place, original: &str, vault: &mut Vault, out: &mut String) {
        let named = self.list.get(place.guard as usize).map_or("", |guard| guard.label.as_str());
        let label = match place.kind {
            Some(kind) => kind.label(),
            None => named,
        };
        if place.literal {
            out.push_str(vault.placeholder(LITERAL, original));
        } else if place.action == GuardAction::Restore {
            out.push_str(vault.placeholder(label, original));
        } else {
            out.push('[');
            out.push_str(label);
            out.push(']');
        }
    }

    /// From where on `text` may still become something that `chosen` guards look for in answers.
    pub(crate) fn open_from(&self, chosen: &[u32], text: &str) -> usize {
        let open = self.chosen(chosen, Direction::Response).map(|(_, guard)| guard.finder.open_from(text));
        open.min().unwrap_or(text.len())
    }

    /// Those of `chosen` that look at texts that go this way. Restoring is for what is sent: an answer gets the
    /// originals back, and nothing in it is masked for that.
    fn chosen<'a>(
        &'a self,
        chosen: &'a [u32],
        direction: Direction,
    ) -> impl Iterator<Item = (u32, &'a Ready)> + 'a {
        let guards = chosen.iter().filter_map(|index| Some((*index, self.list.get(*index as usize)?)));
        guards.filter(move |(_, guard)| match direction {
            Direction::Request => guard.scope != GuardScope::Response,
            Direction::Response => guard.scope != GuardScope::Request && guard.action != GuardAction::Restore,
        })
    }

    /// The user's own text may look like a placeholder. It gets one of its own, so that what comes back is what was sent.
    fn literals(&self, chosen: &[u32], text: &str, places: &mut Vec<Place>) {
        for open in memchr::memchr_iter(b'[', text.as_bytes()) {
            let Some((label, length)) = is_literal(&text[open..]) else { continue };
            let mut guards = self.chosen(chosen, Direction::Request);
            let used = label == LITERAL
                || guards.any(|(_, guard)| match &guard.finder {
                    _ if guard.action != GuardAction::Restore => false,
                    Finder::Pii(_) => Pii::ALL.iter().any(|kind| kind.label() == label),
                    _ => guard.label == label,
                });
            if used {
                let range = open..open + length;
                let action = GuardAction::Restore;
                places.push(Place { range, guard: u32::MAX, kind: None, action, literal: true });
            }
        }
    }
}

/// What placeholders are called that stand for the user's own text of their shape.
const LITERAL: &str = "LITERAL";

fn pii(kinds: &[String]) -> Result<PiiFinder, String> {
    let known = |name: &String| {
        let kind = Pii::ALL.into_iter().find(|kind| kind.as_str() == name);
        kind.ok_or_else(|| {
            format!("{name:?} is no kind; there are card, iban, email, phone, ip, ssn, api_key")
        })
    };
    let kinds: Vec<Pii> = kinds.iter().map(known).collect::<Result<_, _>>()?;
    if kinds.is_empty() { Err("there is no kind".into()) } else { Ok(PiiFinder::new(kinds)) }
}

fn label(name: &str) -> String {
    let plain = |character: char| {
        if character.is_ascii_alphanumeric() { character.to_ascii_uppercase() } else { '_' }
    };
    name.chars().take(LABEL_MOST).map(plain).collect()
}
