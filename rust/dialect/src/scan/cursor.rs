//! Walks over a JSON text without building anything: validates it and finds where values begin and end.

use std::ops::Range;

use crate::Fault;
use crate::json::DEPTH;

/// Strings longer than this are looked at for being media (a picture in base64) instead of words.
const MEDIA_BYTES: usize = 512;

/// A place in a text that is known to be UTF-8.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'b> {
    body: &'b [u8],
    at: usize,
}

/// What strings have passed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    /// Bytes of words.
    pub(crate) text: usize,
    /// Strings that hold pictures, sound, files.
    pub(crate) media: usize,
}

impl<'b> Cursor<'b> {
    /// At the beginning of a text.
    pub(crate) fn new(body: &'b [u8]) -> Self {
        Self { body, at: 0 }
    }

    /// At some place of a text.
    pub(crate) fn at(body: &'b [u8], at: usize) -> Self {
        Self { body, at }
    }

    /// How far it has come.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// The next byte.
    #[inline]
    pub(crate) fn byte(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    /// Skips white space.
    #[inline]
    pub(crate) fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte() {
            self.at += 1;
        }
    }

    /// Takes that byte, if it is next.
    #[inline]
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        let found = self.byte() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// What is wrong here. Quotes nothing.
    #[cold]
    pub(crate) fn fault(&self) -> Fault {
        Fault::syntax(if self.at >= self.body.len() {
            "The JSON text ends before it is whole.".to_owned()
        } else {
            format!("Not JSON at byte {}.", self.at)
        })
    }

    /// Passes a string; gives what is between the quotes, escapes and all.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<Range<usize>, Fault> {
        if !self.eat(b'"') {
            return Err(self.fault());
        }
        let start = self.at;
        loop {
            self.plain();
            match self.byte() {
                Some(b'"') => {
                    let inner = start..self.at;
                    self.at += 1;
                    return Ok(inner);
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.escape()?;
                }
                _ => return Err(self.fault()),
            }
        }
    }

    /// Skips to the next quote, backslash, control character, or the end.
    #[inline]
    fn plain(&mut self) {
        while let Some(chunk) = self.body.get(self.at..).and_then(|rest| rest.first_chunk::<32>()) {
            // Written as a fold without a branch, so that the compiler uses vectors.
            let special = chunk.iter().fold(0u8, |special, &byte| {
                special | u8::from(byte == b'"') | u8::from(byte == b'\\') | u8::from(byte < 0x20)
            });
            if special != 0 {
                break;
            }
            self.at += 32;
        }
        while let Some(chunk) = self.body.get(self.at..).and_then(|rest| rest.first_chunk::<8>()) {
            let special = specials(u64::from_le_bytes(*chunk));
            if special != 0 {
                self.at += special.trailing_zeros() as usize / 8;
                return;
            }
            self.at += 8;
        }
        while self.byte().is_some_and(|byte| byte != b'"' && byte != b'\\' && byte >= 0x20) {
            self.at += 1;
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        match self.byte() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(())
            }
            Some(b'u') => {
                for _ in 0..4 {
                    self.at += 1;
                    if !self.byte().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return Err(self.fault());
                    }
                }
                self.at += 1;
                Ok(())
            }
            _ => Err(self.fault()),
        }
    }

    /// Passes a number (RFC 8259 §6).
    fn number(&mut self) -> Result<(), Fault> {
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { Err(self.fault()) } else { Ok(()) }
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Fault> {
        if self.body.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            self.at += word.len();
            Ok(())
        } else {
            Err(self.fault())
        }
    }

    /// Passes a member's name and its colon, up to the value; gives the name between the quotes.
    #[inline]
    pub(crate) fn key(&mut self) -> Result<Range<usize>, Fault> {
        self.space();
        let key = self.string()?;
        self.space();
        if !self.eat(b':') {
            return Err(self.fault());
        }
        self.space();
        Ok(key)
    }

    /// Passes a whole value that stands at `depth` levels, and gives where it was.
    pub(crate) fn value(&mut self, depth: usize, tally: &mut Tally) -> Result<Range<usize>, Fault> {
        let start = self.at;
        // One bit a level: whether it is an object. DEPTH is 128, so that they fit.
        let mut objects = 0u128;
        let mut open = 0usize;
        let mut key = 0..0;
        'value: loop {
            match self.byte() {
                Some(b'"') => {
                    let inner = self.string()?;
                    self.count(inner, &key, tally);
                }
                Some(opening @ (b'{' | b'[')) => {
                    self.at += 1;
                    let object = opening == b'{';
                    if depth.saturating_add(open) >= DEPTH - 1 {
                        return Err(Fault::syntax(format!(
                            "The JSON text is nested deeper than {DEPTH} levels."
                        )));
                    }
                    self.space();
                    if !self.eat(if object { b'}' } else { b']' }) {
                        objects = objects << 1 | u128::from(object);
                        open += 1;
                        if object {
                            key = self.key()?;
                        }
                        continue 'value;
                    }
                }
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.literal(b"true")?,
                Some(b'f') => self.literal(b"false")?,
                Some(b'n') => self.literal(b"null")?,
                _ => return Err(self.fault()),
            }
            loop {
                if open == 0 {
                    return Ok(start..self.at);
                }
                self.space();
                let object = objects & 1 == 1;
                if self.eat(b',') {
                    if object {
                        key = self.key()?;
                    } else {
                        self.space();
                    }
                    continue 'value;
                }
                if !self.eat(if object { b'}' } else { b']' }) {
                    return Err(self.fault());
                }
                objects >>= 1;
                open -= 1;
            }
        }
    }

    /// Tells each member of an object: its name between the quotes, and where its value is.
    pub(crate) fn members(
        &mut self,
        depth: usize,
        mut each: impl FnMut(&mut Self, Range<usize>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.space();
        if !self.eat(b'{') || depth >= DEPTH {
            return Err(self.fault());
        }
        self.space();
        if self.eat(b'}') {
            return Ok(());
        }
        loop {
            let key = self.key()?;
            each(self, key)?;
            self.space();
            if self.eat(b'}') {
                return Ok(());
            }
            if !self.eat(b',') {
                return Err(self.fault());
            }
        }
    }

    fn count(&self, inner: Range<usize>, key: &Range<usize>, tally: &mut Tally) {
        let bytes = inner.len();
        if bytes > MEDIA_BYTES {
            let key = self.body.get(key.clone()).unwrap_or_default();
            let named = matches!(key, b"data" | b"bytes" | b"file_data" | b"b64_json" | b"images");
            if named || self.body.get(inner).is_some_and(|text| text.starts_with(b"data:")) {
                tally.media += 1;
                return;
            }
        }
        tally.text += bytes;
    }
}

/// The lowest set bit is in the byte that is the first quote, backslash or control character; 0 for none. (Bits above
/// the lowest may be wrong: a borrow runs on from a true one.)
#[inline]
fn specials(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let zero = |x: u64| x.wrapping_sub(ONES) & !x & HIGH;
    let quote = zero(word ^ (ONES * b'"' as u64));
    let backslash = zero(word ^ (ONES * b'\\' as u64));
    let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
    quote | backslash | control
}
