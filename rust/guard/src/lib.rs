//! Finds in texts what must not pass: words, patterns, personal data; blocks it, masks it, or masks and restores it.
//!
//! Knows: texts, whole or cut into deltas; the shapes of cards, accounts, addresses, keys.
//! Never: requests, messages, dialects: who calls walks the parts and hands over one text after the other.
//!
//! [`Guards`] looks at whole texts ([`Guards::scan`]), [`StreamScan`] at answers that come in deltas. What was masked to
//! be restored is in a [`Vault`], one per call, and a [`Restorer`] puts it back wherever the deltas were cut.

mod chars;
mod find;
mod guards;
mod redact;
mod stream;
mod vault;

pub use guards::{Blocked, Direction, GuardFault, Guards, Verdict};
pub use redact::redact;
pub use stream::{HELD_MOST, StreamScan};
pub use vault::{Restorer, Vault, Written};
