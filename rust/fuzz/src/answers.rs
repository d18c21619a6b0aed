//! Answers and errors of every dialect: refused, or told to every client in words that read again.

use tidegate_dialect::{EventWriter, Gather, replay, usage_scan};

use crate::dialects::{DIALECTS, REPLY, picked};

/// Checks what must hold for any bytes; the first picks the provider's dialect.
pub fn run(data: &[u8]) {
    let Some((provider, body)) = picked(data) else { return };
    let _ = usage_scan::pass_through_usage(provider, body);
    let error = provider.parse_error(429, body);
    for client in DIALECTS {
        let mut out = Vec::new();
        client.write_error(&error, &mut out);
        client.parse_error(429, &out);
    }
    let Ok(answer) = provider.parse_answer(body) else { return };
    let mut events = Vec::new();
    replay(&answer, &mut events);
    let mut gather = Gather::new();
    events.iter().for_each(|event| gather.feed(event));
    assert!(gather.ended());
    for client in DIALECTS {
        let mut out = Vec::new();
        client.write_answer(&answer, &REPLY, &mut out);
        assert!(
            client.parse_answer(&out).is_ok(),
            "{provider:?} to {client:?}: {}",
            String::from_utf8_lossy(&out)
        );
        let mut writer = EventWriter::new(client, &REPLY);
        events.iter().for_each(|event| writer.write(event, &mut out));
    }
}
