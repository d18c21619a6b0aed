//! AWS's event frames: taken apart the same however they come, and refused rather than believed.

use tidegate_dialect::bedrock::frames::{Splitter, write_event};

/// Checks what must hold for any bytes.
pub fn run(data: &[u8]) {
    let whole = split(data, data.len().max(1));
    for step in [1, 5] {
        assert_eq!(split(data, step), whole, "in steps of {step}");
    }
    let mut framed = Vec::new();
    write_event("name", &mut framed, |out| out.extend_from_slice(data));
    assert_eq!(split(&framed, 9), Some(vec![("name".to_owned(), data.to_vec())]));
    // A flipped bit is found by a checksum.
    let at = data.first().map_or(0, |first| usize::from(*first)) % framed.len();
    framed[at] ^= 1;
    assert!(split(&framed, 9).is_none_or(|frames| frames.is_empty()));
}

/// `None` where a frame is refused.
fn split(data: &[u8], step: usize) -> Option<Vec<(String, Vec<u8>)>> {
    let (mut splitter, mut frames) = (Splitter::new(), Vec::new());
    for piece in data.chunks(step) {
        let fed = splitter.feed(piece, |frame| {
            frames.push((frame.name.to_owned(), frame.payload.to_vec()));
            Ok(())
        });
        fed.ok()?;
    }
    Some(frames)
}
