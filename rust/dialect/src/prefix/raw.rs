//! The chain of a body that is not parsed.

use memchr::{memchr, memchr_iter};

use super::{Chain, TEXT};

/// Top-level members that hold what the model reads, in the order in which servers lay them out: OpenAI's, Anthropic's, and
/// Gemini's names.
const MEMBERS: [&[u8]; 8] = [
    b"tools",
    b"system",
    b"systemInstruction",
    b"instructions",
    b"messages",
    b"contents",
    b"input",
    b"prompt",
];

/// Appends the hashes of the blocks of a body that is an OpenAI-shaped JSON object (Anthropic's and Gemini's names are known
/// too), as [`super::blocks`] does for a parsed one, but for all strings of those members, names of fields too, as they
/// are written: a text that is escaped otherwise is another. So the two functions agree with themselves and not with each
/// other, and one deployment should use one of them for a model. What is no JSON gives whatever it gives, and no fault.
pub fn blocks_of_body(body: &[u8], model: &str, salt: u64, out: &mut Vec<u64>) {
    // Never the chain of a parsed request.
    let mut chain = Chain::new(model, salt ^ 0x7261_775F_626F_6479, out);
    let mut found: [&[u8]; MEMBERS.len()] = [b""; MEMBERS.len()];
    for (name, value) in Members::of(body) {
        if let Some(index) = MEMBERS.iter().position(|member| *member == name)
            && let Some(place) = found.get_mut(index)
        {
            *place = value;
        }
    }
    for value in found {
        let mut rest = value;
        while let Some((text, behind)) = next_string(rest) {
            if chain.full() {
                return;
            }
            chain.push(&[TEXT]);
            chain.push(text);
            rest = behind;
        }
    }
}

/// The members of the outermost object: names and values as they are written.
struct Members<'b> {
    rest: &'b [u8],
}

impl<'b> Members<'b> {
    fn of(body: &'b [u8]) -> Self {
        let body = body.trim_ascii_start();
        Self { rest: body.strip_prefix(b"{").unwrap_or(b"") }
    }
}

impl<'b> Iterator for Members<'b> {
    type Item = (&'b [u8], &'b [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, behind) = next_string(self.rest)?;
        let value = behind.trim_ascii_start().strip_prefix(b":")?;
        let (value, behind) = value.split_at(value_end(value));
        self.rest = behind;
        Some((name, value))
    }
}

/// Where the value ends that begins here: at the comma or brace of the object around it.
fn value_end(bytes: &[u8]) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let inside = bytes.get(at + 1..).unwrap_or_default();
                at += 1 + string_end(inside);
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return at,
            b'}' | b']' => depth -= 1,
            b',' if depth == 0 => return at,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// The next string and what is behind its closing quote.
fn next_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = memchr(b'"', bytes)?;
    let inside = bytes.get(start + 1..)?;
    let (text, behind) = inside.split_at(string_end(inside));
    Some((text, behind.get(1..).unwrap_or_default()))
}

/// Where the closing quote is; the end where there is none. A quote behind an odd number of backslashes closes nothing.
fn string_end(bytes: &[u8]) -> usize {
    memchr_iter(b'"', bytes)
        .find(|at| {
            let before = bytes.get(..*at).unwrap_or_default();
            before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 0
        })
        .unwrap_or(bytes.len())
}
