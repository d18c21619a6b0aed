//! Requests that come back: every one that is forwarded bears this gateway's name, and names are counted.

use std::sync::OnceLock;

use tidegate_message::{Known, RequestHead, Version};
use tidegate_plan::{self as plan, LoopField};

use crate::failure::{Cause, Failure};

/// How requests are known that passed this gateway before, made ready.
#[derive(Debug)]
pub struct LoopGuard {
    name: Box<[u8]>,
    field: LoopField,
    most: u32,
    /// The field line, where it is always the same.
    line: Box<[u8]>,
}

impl From<&plan::LoopGuard> for LoopGuard {
    fn from(plan: &plan::LoopGuard) -> Self {
        let name = if plan.id.is_empty() { own_name() } else { &plan.id };
        let line = format!("CDN-Loop: {name}\r\n");
        Self {
            name: name.as_bytes().into(),
            field: plan.field,
            most: plan.most,
            line: line.into_bytes().into(),
        }
    }
}

impl LoopGuard {
    /// Refuses a request that passed here too often.
    ///
    /// A name within a quoted parameter counts as well: that only harms whoever writes it there.
    pub fn check(&self, head: &RequestHead) -> Result<(), Failure> {
        let known = if self.is_via() { Known::Via } else { Known::CdnLoop };
        let items = head.all(known).flat_map(|value| value.split(|byte| *byte == b','));
        let names = items.map(|item| if self.is_via() { received_by(item) } else { cdn_id(item) });
        let passed = names.filter(|name| **name == *self.name).count();
        if passed > self.most as usize { Err(Failure::gateway(Cause::LoopDetected)) } else { Ok(()) }
    }

    /// Whether its name stands in `Via`.
    pub fn is_via(&self) -> bool {
        self.field == LoopField::Via
    }

    /// Appends the line that bears the name; those that are there already stay (RFC 8586 §2).
    pub fn write(&self, received: Version, out: &mut Vec<u8>) {
        match self.field {
            LoopField::CdnLoop => out.extend_from_slice(&self.line),
            LoopField::Via => {
                out.extend_from_slice(match received {
                    Version::Http10 => b"Via: 1.0 ",
                    Version::Http11 => b"Via: 1.1 ",
                    Version::Http2 => b"Via: 2.0 ",
                });
                out.extend_from_slice(&self.name);
                out.extend_from_slice(b"\r\n");
            }
        }
    }
}

/// The name of this process, which no other has: an instance that is told no name still knows itself.
fn own_name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| format!("tidegate-{:012x}", fastrand::u64(..) >> 16))
}

/// `cdn-id *( OWS ";" OWS parameter )` (RFC 8586 §2).
fn cdn_id(item: &[u8]) -> &[u8] {
    item.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}

/// `received-protocol RWS received-by [ RWS comment ]` (RFC 9110 §7.6.3).
fn received_by(item: &[u8]) -> &[u8] {
    let mut words = item.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
    words.nth(1).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use tidegate_http1::{Limits, parse_request};

    use super::*;

    fn passes(field: LoopField, most: u32, lines: &str) -> bool {
        let guard = LoopGuard::from(&plan::LoopGuard { id: "edge-1".into(), field, most });
        let mut head = RequestHead::default();
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        parse_request(text.as_bytes(), &Limits::default(), &mut head).unwrap().unwrap();
        guard.check(&head).is_ok()
    }

    #[test]
    fn its_name_is_counted_over_all_lines_and_items() {
        let twice = "CDN-Loop: edge-1, other\r\ncdn-loop: x;a=b , edge-1 ; v=\"1\"\r\n";
        assert!(passes(LoopField::CdnLoop, 2, twice));
        assert!(!passes(LoopField::CdnLoop, 1, twice));
    }

    #[test]
    fn names_that_only_look_like_it_are_others() {
        let others = "CDN-Loop: edge-10, xedge-1, Edge-1, other;by=edge-1, \r\nX-Loop: edge-1\r\n";
        assert!(passes(LoopField::CdnLoop, 0, others));
    }

    #[test]
    fn in_via_the_name_is_who_received_it() {
        let via = "Via: 1.0 fred, 1.1 edge-1 (Tidegate)\r\n";
        assert!(!passes(LoopField::Via, 0, via));
        assert!(passes(LoopField::Via, 1, via));
        assert!(passes(LoopField::Via, 0, "Via: edge-1 p.example\r\n"));
        assert!(passes(LoopField::CdnLoop, 0, via));
    }

    #[test]
    fn a_process_has_one_name() {
        assert_eq!(own_name(), own_name());
        assert!(own_name().starts_with("tidegate-"));
    }
}
