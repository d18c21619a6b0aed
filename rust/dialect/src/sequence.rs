//! Puts the parts of a stream one behind the other, for dialects whose blocks do not overlap.
//!
//! The first part that is not whole goes to the client at once; what comes for others in between waits for its turn. Of a
//! call, the first piece waits for what comes next: that may be the signature which the call's id has to carry (Gemini
//! tells a call as one piece and its signature).

use std::collections::VecDeque;
use std::marker::PhantomData;

use serde_json::Value;

use crate::{Event, PartKind};

/// How a dialect writes blocks.
pub(crate) trait Blocks {
    /// Appends a block's beginning; says whether the dialect has such a block.
    fn begin(index: u32, kind: &PartKind, signature: Option<&str>, out: &mut Vec<u8>) -> bool;
    /// Appends more of a block's text.
    fn text(index: u32, kind: &PartKind, text: &str, out: &mut Vec<u8>);
    /// Appends a thinking block's signature. `id` is the item's; the signature is empty where only the id is told.
    fn signature(index: u32, id: Option<&str>, signature: &str, out: &mut Vec<u8>);
    /// Appends a citation to a block of text.
    fn citation(index: u32, value: &Value, out: &mut Vec<u8>);
    /// Appends a block's end.
    fn end(index: u32, kind: &PartKind, out: &mut Vec<u8>);
}

/// The parts of the first choice, in order.
#[derive(Debug)]
pub(crate) struct Sequence<B> {
    /// Parts that are not whole. The first is the one that the client gets now.
    parts: VecDeque<Open>,
    /// Index of the next block.
    next: u32,
    blocks: PhantomData<B>,
}

#[derive(Debug)]
struct Open {
    part: u32,
    kind: PartKind,
    /// A call's signature, which goes into its id; of a thinking part, that it was written.
    signature: Option<String>,
    stage: Stage,
    /// What came for it before it was its turn.
    held: Vec<Piece>,
    whole: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waiting,
    Begun(u32),
    /// The dialect has no such block.
    Skipped,
}

#[derive(Debug)]
enum Piece {
    Text(String),
    Signature(String),
    Citation(Value),
}

impl<B: Blocks> Sequence<B> {
    pub(crate) fn new() -> Self {
        Self { parts: VecDeque::new(), next: 0, blocks: PhantomData }
    }

    /// Appends what the event is, if it is one of a part of the first choice. Other choices are no client's of such a
    /// dialect.
    pub(crate) fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Delta { choice: 0, part, text } => match self.parts.front_mut() {
                Some(front) if front.part == *part => front.text::<B>(text, &mut self.next, out),
                _ => self.hold(*part, || Piece::Text(text.clone())),
            },
            Event::Open { choice: 0, part, kind } => {
                let mut open = Open::new(*part, kind.clone());
                if self.parts.is_empty() && !open.is_call() {
                    open.begin::<B>(&mut self.next, out);
                }
                self.parts.push_back(open);
            }
            Event::Signature { choice: 0, part, signature } => match self.parts.front_mut() {
                Some(front) if front.part == *part => front.signature::<B>(signature, &mut self.next, out),
                _ => self.hold(*part, || Piece::Signature(signature.clone())),
            },
            Event::Citation { choice: 0, part, value } => match self.parts.front_mut() {
                Some(front) if front.part == *part => front.citation::<B>(value, &mut self.next, out),
                _ => self.hold(*part, || Piece::Citation(value.clone())),
            },
            Event::Close { choice: 0, part } => {
                if let Some(open) = self.parts.iter_mut().find(|open| open.part == *part) {
                    open.whole = true;
                }
                self.advance(out);
            }
            _ => {}
        }
    }

    /// Ends what is still open.
    pub(crate) fn end(&mut self, out: &mut Vec<u8>) {
        for open in &mut self.parts {
            open.whole = true;
        }
        self.advance(out);
    }

    fn hold(&mut self, part: u32, piece: impl FnOnce() -> Piece) {
        if let Some(open) = self.parts.iter_mut().find(|open| open.part == part) {
            open.held.push(piece());
        }
    }

    /// Ends blocks that are whole and begins the ones behind them.
    fn advance(&mut self, out: &mut Vec<u8>) {
        while let Some(front) = self.parts.front_mut() {
            front.catch_up::<B>(&mut self.next, out);
            if !front.whole {
                return;
            }
            front.end::<B>(&mut self.next, out);
            self.parts.pop_front();
        }
    }
}

impl Open {
    fn new(part: u32, kind: PartKind) -> Self {
        Self { part, kind, signature: None, stage: Stage::Waiting, held: Vec::new(), whole: false }
    }

    fn is_call(&self) -> bool {
        matches!(self.kind, PartKind::ToolCall { .. })
    }

    /// Begins the block if it has not begun; its index, if there is such a block.
    fn begin<B: Blocks>(&mut self, next: &mut u32, out: &mut Vec<u8>) -> Option<u32> {
        match self.stage {
            Stage::Begun(index) => return Some(index),
            Stage::Skipped => return None,
            Stage::Waiting => {}
        }
        let index = *next;
        let start = out.len();
        if !B::begin(index, &self.kind, self.signature.as_deref(), out) {
            out.truncate(start);
            self.stage = Stage::Skipped;
            return None;
        }
        self.stage = Stage::Begun(index);
        *next = next.saturating_add(1);
        Some(index)
    }

    fn text<B: Blocks>(&mut self, text: &str, next: &mut u32, out: &mut Vec<u8>) {
        if self.is_call() && self.stage == Stage::Waiting {
            if self.held.is_empty() {
                self.held.push(Piece::Text(text.to_owned()));
                return;
            }
            self.play::<B>(next, out);
        }
        self.say::<B>(text, next, out);
    }

    fn say<B: Blocks>(&mut self, text: &str, next: &mut u32, out: &mut Vec<u8>) {
        if let Some(index) = self.begin::<B>(next, out) {
            B::text(index, &self.kind, text, out);
        }
    }

    fn signature<B: Blocks>(&mut self, signature: &str, next: &mut u32, out: &mut Vec<u8>) {
        match self.kind {
            PartKind::ToolCall { .. } => self.signature = Some(signature.to_owned()),
            PartKind::Thinking { .. } => {
                let Some(index) = self.begin::<B>(next, out) else { return };
                self.signature = Some(String::new());
                if let PartKind::Thinking { id } = &self.kind {
                    B::signature(index, id.as_deref(), signature, out);
                }
            }
            _ => {}
        }
    }

    fn citation<B: Blocks>(&mut self, value: &Value, next: &mut u32, out: &mut Vec<u8>) {
        if let Some(index) = self.begin::<B>(next, out) {
            B::citation(index, value, out);
        }
    }

    /// It is its turn: writes what came before, but for a call that may still have its signature to come.
    fn catch_up<B: Blocks>(&mut self, next: &mut u32, out: &mut Vec<u8>) {
        if self.is_call() && self.stage == Stage::Waiting {
            let signature = self.held.iter().position(|piece| matches!(piece, Piece::Signature(_)));
            if let Some(Piece::Signature(signature)) = signature.map(|at| self.held.remove(at)) {
                self.signature = Some(signature);
            }
            if !self.whole && self.held.len() <= 1 {
                return;
            }
        }
        self.play::<B>(next, out);
        self.begin::<B>(next, out);
    }

    fn play<B: Blocks>(&mut self, next: &mut u32, out: &mut Vec<u8>) {
        for piece in std::mem::take(&mut self.held) {
            match piece {
                Piece::Text(text) => self.say::<B>(&text, next, out),
                Piece::Signature(signature) => self.signature::<B>(&signature, next, out),
                Piece::Citation(value) => self.citation::<B>(&value, next, out),
            }
        }
    }

    fn end<B: Blocks>(&mut self, next: &mut u32, out: &mut Vec<u8>) {
        if self.signature.is_none() && matches!(self.kind, PartKind::Thinking { id: Some(_) }) {
            // Only the signature can carry the item's id.
            self.signature::<B>("", next, out);
        }
        if let Some(index) = self.begin::<B>(next, out) {
            B::end(index, &self.kind, out);
        }
    }
}
