//! Requests of every dialect: refused with a sentence, or written for every provider in words that read again.

use tidegate_dialect::{ApiError, Target, canonical};

use crate::dialects::{DIALECTS, picked};

/// Checks what must hold for any bytes; the first picks the client's dialect.
pub fn run(data: &[u8]) {
    let Some((client, body)) = picked(data) else { return };
    let request = match client.parse_request(body, None, None) {
        Ok(request) => request,
        Err(fault) => {
            assert!(!fault.message.is_empty(), "a refusal says why");
            for dialect in DIALECTS {
                dialect.write_error(&ApiError::from_fault(&fault), &mut Vec::new());
            }
            return;
        }
    };
    let _ = canonical::key(&request, b"salt");
    for to in DIALECTS {
        for drop_unsupported in [false, true] {
            let target = Target { model: "gpt-5", stream: request.stream, max_tokens: 10, drop_unsupported };
            let mut out = Vec::new();
            if to.write_request(&request, &target, &mut out).is_ok() {
                // Words that nobody understood pass as they came, and may be wrong at the provider too.
                if !request.rest.is_empty() || request.messages.iter().any(|message| !message.rest.is_empty())
                {
                    continue;
                }
                let read = to.parse_request(&out, Some("m"), Some(false));
                if let Err(fault) = read {
                    panic!("{client:?} to {to:?}: {fault}: {}", String::from_utf8_lossy(&out));
                }
            }
        }
    }
}
