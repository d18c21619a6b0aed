//! Streams of every dialect: the same events however the bytes come, in the order that writers rely on, for every client.

use tidegate_dialect::bedrock::frames::{write_event, write_exception};
use tidegate_dialect::usage_scan::PassedStream;
use tidegate_dialect::{Dialect, Event, EventReader, EventWriter};

use crate::dialects::{DIALECTS, REPLY, picked};

/// Checks what must hold for any bytes; the first picks the provider's dialect. Bedrock's frames are told as lines, so that
/// mutations come through their checksums.
pub fn run(data: &[u8]) {
    let Some((provider, body)) = picked(data) else { return };
    let frames = if provider == Dialect::Bedrock { frames(body) } else { Vec::new() };
    let body = if provider == Dialect::Bedrock { frames.as_slice() } else { body };
    let (whole, ended) = read(provider, body, body.len().max(1));
    in_order(&whole);
    for step in [1, 3, 11] {
        let (pieces, same) = read(provider, body, step);
        assert_eq!((&pieces, same), (&whole, ended), "{provider:?} in steps of {step}");
    }
    for client in DIALECTS {
        let (mut writer, mut out) = (EventWriter::new(client, &REPLY), Vec::new());
        whole.iter().for_each(|event| writer.write(event, &mut out));
        if client != Dialect::Bedrock {
            assert!(std::str::from_utf8(&out).is_ok(), "{client:?}");
        }
        let failed = whole.iter().any(|event| matches!(event, Event::Error(_)));
        if ended && !failed {
            let (again, whole) = read(client, &out, out.len().max(1));
            assert!(whole, "{provider:?} to {client:?}: {}", String::from_utf8_lossy(&out));
            in_order(&again);
        }
    }
    passed(provider, body);
}

/// What passes without being translated.
fn passed(dialect: Dialect, body: &[u8]) {
    let mut facts = Vec::new();
    for step in [body.len().max(1), 1, 5] {
        let (mut stream, mut out) = (PassedStream::new(dialect, true), Vec::new());
        for piece in body.chunks(step) {
            stream.filter(piece, &mut out);
        }
        stream.finish(&mut out);
        // Line ends behind the last event are nothing.
        let out = String::from_utf8_lossy(&out).trim_end().to_owned();
        facts.push((out, format!("{:?}", stream.facts()), stream.is_whole()));
    }
    for pieces in &facts[1..] {
        assert_eq!(&facts[0], pieces, "what passes does not depend on where it is cut");
    }
}

/// What was told, and whether the stream was whole.
fn read(dialect: Dialect, body: &[u8], step: usize) -> (Vec<Event>, bool) {
    let (mut reader, mut events) = (EventReader::new(dialect), Vec::new());
    for piece in body.chunks(step) {
        if reader.feed(piece, &mut events).is_err() {
            return (events, false);
        }
    }
    let whole = reader.finish(&mut events).is_ok();
    (events, whole)
}

/// The order that readers promise.
fn in_order(events: &[Event]) {
    let mut open: Vec<(u32, u32)> = Vec::new();
    let mut seen: Vec<(u32, u32)> = Vec::new();
    let mut over = false;
    let (mut started, mut finished) = (false, Vec::new());
    for event in events {
        assert!(!over || matches!(event, Event::Ping), "nothing comes after the end: {event:?}");
        match event {
            Event::Start { .. } => assert!(!std::mem::replace(&mut started, true), "it begins once"),
            Event::Open { choice, part, .. } => {
                assert!(started && !seen.contains(&(*choice, *part)), "a part opens once: {event:?}");
                open.push((*choice, *part));
                seen.push((*choice, *part));
            }
            Event::Delta { choice, part, .. } | Event::Citation { choice, part, .. } => {
                assert!(open.contains(&(*choice, *part)), "of an open part: {event:?}");
            }
            Event::Close { choice, part } => {
                let at = open.iter().position(|known| known == &(*choice, *part));
                open.remove(at.expect("only what is open is closed"));
            }
            Event::Finish { choice, .. } => {
                assert!(!finished.contains(choice), "a choice ends once");
                assert!(open.iter().all(|(of, _)| of != choice), "its parts are closed");
                finished.push(*choice);
            }
            Event::End | Event::Error(_) => over = true,
            Event::Signature { .. } | Event::Logprobs { .. } | Event::Usage(_) | Event::Ping => {}
        }
    }
}

/// Lines as frames: `contentBlockStop {…}`, `!throttlingException {…}`.
fn frames(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let space = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
        let (name, payload) = line.split_at(space);
        let name: String = String::from_utf8_lossy(name).chars().take(40).collect();
        match name.strip_prefix('!') {
            Some(name) => write_exception(name, &mut out, |out| out.extend_from_slice(payload)),
            None => write_event(&name, &mut out, |out| out.extend_from_slice(payload)),
        }
    }
    out
}
