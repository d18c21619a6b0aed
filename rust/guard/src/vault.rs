//! What was masked in one call, and how it comes back in the answer.

use std::{collections::HashMap, fmt, fmt::Write as _, sync::Arc};

/// The longest label and number that a placeholder can have, brackets included.
const PLACEHOLDER_MOST: usize = 64;

/// What one call's placeholders stand for. It is never printed.
#[derive(Clone, Default)]
pub struct Vault {
    /// By label and original.
    placeholders: HashMap<(String, String), String>,
    /// How many there are of each label.
    counts: HashMap<String, u32>,
    originals: Arc<Originals>,
}

#[derive(Clone, Default)]
struct Originals {
    by_placeholder: HashMap<String, String>,
    longest: usize,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({} originals)", self.placeholders.len())
    }
}

impl Vault {
    /// Whether nothing is to be restored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.placeholders.is_empty()
    }

    /// The placeholder of `original`: the same for the same value, so that the model can tell one from the other.
    pub(crate) fn placeholder(&mut self, label: &str, original: &str) -> &str {
        let Self { placeholders, counts, originals } = self;
        placeholders.entry((label.to_owned(), original.to_owned())).or_insert_with(|| {
            let count = counts.entry(label.to_owned()).or_default();
            *count += 1;
            let placeholder = format!("[{label}_{count}]");
            let originals = Arc::make_mut(originals);
            originals.longest = originals.longest.max(placeholder.len());
            originals.by_placeholder.insert(placeholder.clone(), original.to_owned());
            placeholder
        })
    }

    /// Puts originals back in a whole text.
    pub fn restore(&self, text: &mut String, written: Written) {
        if self.is_empty() || !text.contains('[') {
            return;
        }
        let mut restored = String::with_capacity(text.len());
        self.originals.restore(text, written, &mut restored);
        *text = restored;
    }

    /// Puts originals back in a text that comes in deltas: one for each text of an answer (each choice, each tool call).
    #[must_use]
    pub fn restorer(&self, written: Written) -> Restorer {
        Restorer { originals: self.originals.clone(), written, held: String::new() }
    }
}

/// How the text is written that originals are put back into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// As it is.
    Plain,
    /// As JSON, within whose strings the placeholders stand: the arguments of a tool call.
    Json,
}

/// Puts originals back in a text that comes in deltas, however it is cut. It holds back what may be the beginning of a
/// placeholder: less than the longest one has.
pub struct Restorer {
    originals: Arc<Originals>,
    written: Written,
    held: String,
}

impl fmt::Debug for Restorer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Restorer({} bytes held)", self.held.len())
    }
}

impl Restorer {
    /// Takes a delta and appends what is certain by now to `out`.
    pub fn push(&mut self, delta: &str, out: &mut String) {
        if self.originals.longest == 0 {
            out.push_str(delta);
            return;
        }
        let mut text = std::mem::take(&mut self.held);
        text.push_str(delta);
        let open = self.originals.open_from(&text);
        self.originals.restore(&text[..open], self.written, out);
        text.drain(..open);
        self.held = text;
    }

    /// The text is over: appends what was held back.
    pub fn finish(&mut self, out: &mut String) {
        out.push_str(&std::mem::take(&mut self.held));
    }
}

impl Originals {
    /// Where a placeholder begins that may go on beyond the end of `text`, or that end.
    fn open_from(&self, text: &str) -> usize {
        let floor = text.floor_char_boundary(text.len().saturating_sub(self.longest));
        // A placeholder has one bracket that opens, at its beginning.
        let Some(open) = text[floor..].rfind('[') else { return text.len() };
        let tail = &text[floor + open..];
        let begins = tail.len() < self.longest
            && self.by_placeholder.keys().any(|known| known.starts_with(tail) && known.len() > tail.len());
        if begins { floor + open } else { text.len() }
    }

    fn restore(&self, text: &str, written: Written, out: &mut String) {
        let mut at = 0;
        for open in memchr::memchr_iter(b'[', text.as_bytes()) {
            let Some((_, length)) = is_literal(&text[open..]) else { continue };
            let Some(original) = self.by_placeholder.get(&text[open..open + length]) else { continue };
            out.push_str(&text[at..open]);
            match written {
                Written::Plain => out.push_str(original),
                Written::Json => escape(original, out),
            }
            at = open + length;
        }
        out.push_str(&text[at..]);
    }
}

/// The label and the length of the placeholder that `text` begins with: `[EMAIL_1]`.
pub(crate) fn is_literal(text: &str) -> Option<(&str, usize)> {
    let bytes = text.as_bytes().get(1..)?;
    let length = bytes.iter().take(PLACEHOLDER_MOST).position(|byte| *byte == b']')?;
    let inside = text.get(1..=length)?;
    let (label, number) = inside.rsplit_once('_')?;
    let named = !label.is_empty()
        && label.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    let numbered = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (named && numbered).then_some((label, length + 2))
}

/// As RFC 8259 §7 has it.
fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
}
