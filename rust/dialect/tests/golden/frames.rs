//! AWS's event frames as lines of text, and back: `contentBlockStop {"contentBlockIndex":0}`, `!throttlingException {…}`.

use tidegate_dialect::bedrock::frames::{Splitter, write_event, write_exception};

pub fn encode(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (name, payload) = line.split_once(' ').unwrap();
        match name.strip_prefix('!') {
            Some(name) => write_exception(name, &mut out, |out| out.extend_from_slice(payload.as_bytes())),
            None => write_event(name, &mut out, |out| out.extend_from_slice(payload.as_bytes())),
        }
    }
    out
}

pub fn decode(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut splitter = Splitter::new();
    let whole = splitter.feed(bytes, |frame| {
        let mark = if frame.kind == "event" { "" } else { "!" };
        text.push_str(&format!("{mark}{} {}\n", frame.name, String::from_utf8_lossy(frame.payload)));
        Ok(())
    });
    if let Err(fault) = whole {
        text.push_str(&format!("(fault: {}) {}\n", fault.message, String::from_utf8_lossy(bytes)));
    } else if splitter.is_within() {
        text.push_str("(a frame is not whole)\n");
    }
    text
}
