//! Beginnings of conversations as chains of hashes, so that one goes where its beginning was served last.
//!
//! A conversation is cut into blocks of [`BLOCK_BYTES`]; the hash of each block is seeded with the one before, so one
//! number stands for all of the conversation up to there. Bytes stand in for tokens: engines cache by blocks of 16
//! tokens or so, and 256 bytes are some 64 tokens.

mod index;
mod raw;
mod table;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::ChatRequest;
use crate::chat::{Media, Part, Role, Tool};
pub use index::{Match, PrefixIndex};
pub use raw::blocks_of_body;

/// Bytes of a block.
pub const BLOCK_BYTES: usize = 256;

/// Blocks of a conversation that are looked at: the first 64 KiB. Conversations that share so much share a cache worth
/// going back to, and longer ones would only fill the index.
pub const BLOCKS: usize = 256;

/// Appends the hashes of a request's blocks, [`BLOCKS`] at most. What is no whole block is left out. `salt` keeps apart what
/// must not meet (tenants, adapters); the model does so too.
///
/// Tools go first and messages behind them in order, as servers lay them out for the model. Ids of calls and what
/// changes no text (temperature and the like) are no part of it.
pub fn blocks(request: &ChatRequest, salt: u64, out: &mut Vec<u64>) {
    let mut chain = Chain::new(&request.model, salt, out);
    for tool in &request.tools {
        match tool {
            Tool::Function { name, description, parameters, .. } => {
                chain.text(TOOL, name);
                chain.text(TEXT, description.as_deref().unwrap_or(""));
                if let Some(schema) = parameters {
                    chain.value(schema);
                }
            }
            Tool::Native { value, .. } => chain.value(value),
        }
    }
    for message in &request.messages {
        if chain.full() {
            return;
        }
        chain.push(&[match message.role {
            Role::System | Role::Developer => SYSTEM,
            Role::User => USER,
            Role::Assistant => ASSISTANT,
            Role::Tool => RESULT,
        }]);
        for part in &message.parts {
            chain.part(part);
        }
    }
}

// Bytes that UTF-8 never has, so that no text reads as a border.
const SYSTEM: u8 = 0xFF;
const USER: u8 = 0xFE;
const ASSISTANT: u8 = 0xFD;
const RESULT: u8 = 0xFC;
const TOOL: u8 = 0xFB;
const TEXT: u8 = 0xFA;
const MEDIA: u8 = 0xF9;
const CALL: u8 = 0xF8;

/// The chain so far.
struct Chain<'o> {
    hash: u64,
    block: [u8; BLOCK_BYTES],
    /// Bytes of the block that are there.
    filled: usize,
    left: usize,
    out: &'o mut Vec<u64>,
}

impl<'o> Chain<'o> {
    fn new(model: &str, salt: u64, out: &'o mut Vec<u64>) -> Self {
        let hash = xxh3_64_with_seed(model.as_bytes(), salt);
        Self { hash, block: [0; BLOCK_BYTES], filled: 0, left: BLOCKS, out }
    }

    fn full(&self) -> bool {
        self.left == 0
    }

    fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.left > 0 {
            let room = BLOCK_BYTES.saturating_sub(self.filled);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            let end = self.filled + now.len();
            if let Some(place) = self.block.get_mut(self.filled..end) {
                place.copy_from_slice(now);
            }
            self.filled = end;
            bytes = later;
            if self.filled == BLOCK_BYTES {
                self.hash = xxh3_64_with_seed(&self.block, self.hash);
                self.out.push(self.hash);
                self.filled = 0;
                self.left -= 1;
            }
        }
    }

    fn text(&mut self, mark: u8, text: &str) {
        self.push(&[mark]);
        self.push(text.as_bytes());
    }

    fn value(&mut self, value: &serde_json::Value) {
        if !self.full() {
            self.push(&[TEXT]);
            self.push(value.to_string().as_bytes());
        }
    }

    fn part(&mut self, part: &Part) {
        match part {
            Part::Text { text, .. } | Part::Refusal { text } | Part::Thinking { text, .. } => {
                self.text(TEXT, text)
            }
            Part::Image { media, .. }
            | Part::Audio { media }
            | Part::Video { media }
            | Part::File { media, .. } => {
                let text = match media {
                    Media::Base64 { data: text, .. } | Media::Url { url: text, .. } => text,
                    Media::FileId { id: text } | Media::Text { text } => text,
                };
                self.text(MEDIA, text);
            }
            Part::ToolCall { name, arguments, .. } => {
                self.text(CALL, name);
                self.text(TEXT, arguments);
            }
            Part::ToolResult { parts, .. } => {
                self.push(&[RESULT]);
                for part in parts {
                    self.part(part);
                }
            }
            Part::RedactedThinking { data } => self.text(TEXT, data),
            Part::Other { value, .. } => self.value(value),
        }
    }
}

#[cfg(test)]
mod tests;
