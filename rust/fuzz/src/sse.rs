//! Server-sent events: the same events however the bytes come, and the same again when they are written.

use tidegate_dialect::sse::{Splitter, Sse, sse_comment, sse_event};

#[derive(Debug, PartialEq)]
enum Told {
    Event(String, Vec<u8>),
    Comment(Vec<u8>),
}

/// Checks what must hold for any bytes.
pub fn run(data: &[u8]) {
    let whole = events(data, data.len().max(1));
    for step in [1, 2, 7] {
        assert_eq!(events(data, step), whole, "in steps of {step}");
    }
    let Some(whole) = whole else { return };
    let mut out = Vec::new();
    for told in &whole {
        match told {
            Told::Event(name, data) => sse_event(name, data, &mut out),
            Told::Comment(text) => sse_comment(&String::from_utf8_lossy(text), &mut out),
        }
    }
    let again = events(&out, 5).expect("what is written is read");
    let of_events = |told: &[Told]| told.iter().filter(|told| matches!(told, Told::Event(..))).count();
    assert_eq!(of_events(&again), of_events(&whole));
}

/// `None` where the stream is refused.
fn events(data: &[u8], step: usize) -> Option<Vec<Told>> {
    let mut splitter = Splitter::with_limit(1024);
    let mut told = Vec::new();
    let mut each = |sse: Sse<'_>| {
        told.push(match sse {
            Sse::Event { name, data } => Told::Event(name.to_owned(), data.to_vec()),
            Sse::Comment(text) => Told::Comment(text.to_vec()),
        });
        Ok(())
    };
    for piece in data.chunks(step) {
        splitter.feed(piece, &mut each).ok()?;
    }
    splitter.finish(&mut each).ok()?;
    Some(told)
}
