//! Where words, and numbers with separators, begin and end.

/// Whether a word could go on with this character.
pub fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The character before `at`.
pub fn before(text: &str, at: usize) -> Option<char> {
    text.get(..at)?.chars().next_back()
}

/// The character from `at` on.
pub fn after(text: &str, at: usize) -> Option<char> {
    text.get(at..)?.chars().next()
}

/// Whether something that begins or ends with letters or digits may stand at `from..to`: no word goes on around it.
pub fn stands_alone(text: &str, from: usize, to: usize) -> bool {
    !before(text, from).is_some_and(is_word) && !after(text, to).is_some_and(is_word)
}

/// The same for numbers: `.`, `-`, `,` and a digit around it would make it a part of a longer one.
pub fn is_number_alone(text: &str, from: usize, to: usize) -> bool {
    let bytes = text.as_bytes();
    let digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let joins = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(|byte| b".-,".contains(byte));
    stands_alone(text, from, to)
        && !(joins(from.checked_sub(1)) && digit(from.checked_sub(2)))
        && !(joins(Some(to)) && digit(Some(to + 1)))
}

/// Where the next run of digits begins, from `at` on. Prose has few digits: it is passed over in blocks.
pub fn next_digit(bytes: &[u8], mut at: usize) -> Option<usize> {
    const BLOCK: usize = 32;
    while let Some(block) = bytes.get(at..at + BLOCK) {
        if block.iter().fold(false, |any, byte| any | byte.is_ascii_digit()) {
            break;
        }
        at += BLOCK;
    }
    let rest = bytes.get(at..)?;
    rest.iter().position(u8::is_ascii_digit).map(|found| at + found)
}

/// Digits and the separators between them, from `at` on.
#[derive(Debug, Default)]
pub struct Digits {
    /// The digits' values, at most [`Digits::MOST`].
    pub values: Vec<u8>,
    /// After how many digits a group ends, and where it does in the text.
    pub groups: Vec<(usize, usize)>,
}

impl Digits {
    /// More digits than anything has that is looked for.
    pub const MOST: usize = 24;

    /// Reads groups with one of `separators` between two of them. One group too many ends the reading.
    pub fn read(&mut self, bytes: &[u8], mut at: usize, separators: &[u8]) {
        self.values.clear();
        self.groups.clear();
        loop {
            while let Some(byte) = bytes.get(at).filter(|byte| byte.is_ascii_digit()) {
                if self.values.len() == Self::MOST {
                    return;
                }
                self.values.push(byte - b'0');
                at += 1;
            }
            self.groups.push((self.values.len(), at));
            let separated = bytes.get(at).is_some_and(|byte| separators.contains(byte));
            if !separated || !bytes.get(at + 1).is_some_and(u8::is_ascii_digit) {
                return;
            }
            at += 1;
        }
    }

    /// The sizes of the first `count` groups.
    pub fn sizes(&self, count: usize) -> impl Iterator<Item = usize> + '_ {
        let ends = self.groups.iter().take(count).map(|group| group.0);
        ends.scan(0, |before, end| Some(end - std::mem::replace(before, end)))
    }
}

/// Luhn's check (ISO/IEC 7812-1, annex B).
pub fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits.iter().rev().enumerate().fold(0, |sum, (place, digit)| {
        let digit = u32::from(*digit);
        sum + if place % 2 == 0 { digit } else { digit * 2 / 10 + digit * 2 % 10 }
    });
    sum.is_multiple_of(10)
}
