//! The start of a response's text, for a client (RFC 9113 §8.3.2).

use crate::Fault;
use crate::field::Name;
use crate::inbound::{Facts, Pseudo};

/// Writes the status line; one that opens the `tunnel` that was asked for says so as HTTP/1.1 does.
pub(crate) fn start(
    pseudo: &Pseudo<'_>,
    tunnel: bool,
    facts: &mut Facts,
    text: &mut Vec<u8>,
) -> Result<(), Fault> {
    if pseudo.has_other_than(&[Name::Status]) {
        return Err(Fault::UnknownPseudo);
    }
    let status = pseudo.value(Name::Status).ok_or(Fault::MissingPseudo)?;
    let [a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9'] = status else {
        return Err(Fault::InvalidStatus);
    };
    facts.status = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
    if facts.status == 101 {
        return Err(Fault::InvalidStatus);
    }
    if tunnel && (200..300).contains(&facts.status) {
        facts.tunnel = true;
        text.extend_from_slice(
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n",
        );
        return Ok(());
    }
    text.extend_from_slice(b"HTTP/1.1 ");
    text.extend_from_slice(status);
    text.extend_from_slice(b" \r\n");
    Ok(())
}
