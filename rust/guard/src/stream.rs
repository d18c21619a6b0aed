//! Looks at an answer that comes in deltas, without letting pass what is cut between two of them.

use std::sync::Arc;

use crate::{
    Vault,
    guards::{Blocked, Direction, Guards, Place},
};

/// The most that is held back: a private key in PEM may have this many bytes. What is longer passes in part.
pub const HELD_MOST: usize = 16 * 1024;

/// How much of what has gone out is kept, to see whether a word began before.
const CONTEXT: usize = 64;

/// Looks at one text of an answer (one choice, one tool call).
///
/// Held back is what may still become, or go on as, something that is looked for:
/// - for personal data the last word, and words with digits before it: 336 bytes at most; a private key from its first line on;
/// - for keywords the length of the longest one;
/// - for patterns the length of their longest match, 256 bytes where there is none.
///
/// So whatever is not longer than that never passes, wherever the deltas were cut.
#[derive(Debug)]
pub struct StreamScan {
    guards: Arc<Guards>,
    chosen: Vec<u32>,
    /// The end of what has gone out, then what is held back.
    buffer: String,
    /// How much of it has gone out.
    out: usize,
    places: Vec<Place>,
}

impl StreamScan {
    /// `None` where none of `chosen` looks at answers.
    #[must_use]
    pub fn new(guards: &Arc<Guards>, chosen: &[u32]) -> Option<Self> {
        guards.look_at(chosen, Direction::Response).then(|| Self {
            guards: guards.clone(),
            chosen: chosen.to_vec(),
            buffer: String::new(),
            out: 0,
            places: Vec::new(),
        })
    }

    /// Takes a delta and appends what may pass by now to `out`. Returns how many places were masked.
    pub fn push(&mut self, delta: &str, out: &mut String) -> Result<u32, Blocked> {
        self.buffer.push_str(delta);
        let open = self.guards.open_from(&self.chosen, &self.buffer);
        let held = self.buffer.len() - open;
        self.pass(if held > HELD_MOST { self.buffer.len() } else { open }, out)
    }

    /// The text is over: looks at what was held back and appends it to `out`.
    pub fn finish(&mut self, out: &mut String) -> Result<u32, Blocked> {
        self.pass(self.buffer.len(), out)
    }

    /// Lets pass what stands before `open`, but for a place that goes on beyond.
    fn pass(&mut self, open: usize, out: &mut String) -> Result<u32, Blocked> {
        let Self { guards, chosen, buffer, out: gone, places } = self;
        guards.places(chosen, Direction::Response, buffer, places);
        // What is within what has gone out was no match when it went.
        places.retain(|place| place.range.end > *gone);
        let mut open = open.max(*gone);
        if let Some(place) = places.iter().find(|place| place.range.end > open && place.range.start < open)
            && buffer.len() - place.range.start <= HELD_MOST
            && open < buffer.len()
        {
            open = place.range.start.max(*gone);
        }
        places.retain(|place| place.range.start < open);
        if let Some(blocked) = guards.first_block(places) {
            buffer.clear();
            *gone = 0;
            return Err(blocked);
        }
        let mut at = *gone;
        let mut nothing = Vault::default(); // answers restore nothing of their own
        for place in places.iter() {
            let start = place.range.start.max(at);
            out.push_str(&buffer[at..start]);
            guards.replace(place, "", &mut nothing, out);
            at = place.range.end;
        }
        out.push_str(buffer.get(at..open).unwrap_or_default());
        let cut = open.max(at).min(buffer.len());
        *gone = cut;
        if *gone > CONTEXT {
            let from = buffer.ceil_char_boundary(*gone - CONTEXT);
            // What stood before is not known any more: nothing may be found that would begin just here.
            buffer.replace_range(..from, "x");
            *gone = *gone - from + 1;
        }
        Ok(places.len() as u32)
    }
}
