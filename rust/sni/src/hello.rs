//! The ClientHello, as far as it says where a connection is to go; it stays where it is, to be passed on untouched.

use std::borrow::Cow;

/// What a client asks for before anything is agreed on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hello {
    /// The server's name in lower case, without a dot at its end; `None` where the client says none.
    pub server_name: Option<String>,
    /// The application protocol, where the client offers just one: then it is the one that will be spoken.
    pub protocol: Option<Vec<u8>>,
}

/// Why there is no ClientHello in what came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HelloFault {
    /// It is something else than TLS.
    NotTls,
    /// It is longer than it may be.
    TooLarge,
    /// It begins as TLS, and can't be read on.
    Malformed,
}

impl HelloFault {
    /// As logs and metrics name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotTls => "not_tls",
            Self::TooLarge => "client_hello_too_large",
            Self::Malformed => "bad_client_hello",
        }
    }
}

/// The fatal alert of a server that has nothing for the name (RFC 6066 §3, RFC 8446 §6), as a record of its own.
pub const UNRECOGNIZED_NAME: &[u8; 7] = &[21, 3, 3, 0, 2, 2, 112];

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
/// Type, version and length (RFC 8446 §5.1).
const RECORD_HEAD: usize = 5;
/// A plaintext record has no more (RFC 8446 §5.1).
const RECORD_MOST: usize = 1 << 14;
/// Type and length (RFC 8446 §4).
const MESSAGE_HEAD: usize = 4;
const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
/// A name has no more (RFC 1035 §2.3.4).
const NAME_MOST: usize = 253;

/// Reads a ClientHello from the start of `bytes`, which is what has come so far. `None`: more is needed.
///
/// It may be spread over records and over reads in any way. No more than `most` bytes are asked for, records and all.
/// What is optional may be missing, as far back as TLS 1.0; what is there must be well formed.
///
/// # Errors
/// As soon as it is certain that no ClientHello will follow.
pub fn read(bytes: &[u8], most: usize) -> Result<Option<Hello>, HelloFault> {
    let Some(message) = message(bytes, most)? else { return Ok(None) };
    client_hello(&message).map(Some).ok_or(HelloFault::Malformed)
}

/// The handshake message that the records at the start carry, without its head.
fn message(bytes: &[u8], most: usize) -> Result<Option<Cow<'_, [u8]>>, HelloFault> {
    let mut whole: Cow<'_, [u8]> = Cow::Borrowed(&[]);
    let mut at = 0;
    loop {
        let record = bytes.get(at..).unwrap_or_default();
        let fault = if at == 0 { HelloFault::NotTls } else { HelloFault::Malformed };
        if record.first().is_some_and(|kind| *kind != HANDSHAKE)
            || record.get(1).is_some_and(|major| *major != 3)
        {
            return Err(fault);
        }
        let Some(head) = record.first_chunk::<RECORD_HEAD>() else {
            return if at + RECORD_HEAD > most { Err(HelloFault::TooLarge) } else { Ok(None) };
        };
        let length = usize::from(u16::from_be_bytes([head[3], head[4]]));
        // Handshake messages are never in empty records (RFC 8446 §5.1).
        if length == 0 || length > RECORD_MOST {
            return Err(fault);
        }
        // All of the record must fit, whatever stands in it: what is decided now holds when more has come.
        if at + RECORD_HEAD + length > most {
            return Err(HelloFault::TooLarge);
        }
        let content = &record[RECORD_HEAD..];
        let there = &content[..content.len().min(length)];
        if whole.is_empty() {
            whole = Cow::Borrowed(there);
        } else {
            whole.to_mut().extend_from_slice(there);
        }
        if whole.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
            return Err(fault);
        }
        if let Some([_, a, b, c]) = whole.first_chunk::<MESSAGE_HEAD>() {
            let needed = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
            if needed > most {
                return Err(HelloFault::TooLarge);
            }
            let end = MESSAGE_HEAD + needed;
            if whole.len() >= end {
                return Ok(Some(match whole {
                    Cow::Borrowed(whole) => Cow::Borrowed(&whole[MESSAGE_HEAD..end]),
                    Cow::Owned(whole) => Cow::Owned(whole[MESSAGE_HEAD..end].to_vec()),
                }));
            }
        }
        if there.len() < length {
            return Ok(None);
        }
        at += RECORD_HEAD + length;
        if at >= most {
            return Err(HelloFault::TooLarge);
        }
    }
}

/// `None` where a length leads out of what it stands in (RFC 8446 §4.1.2).
fn client_hello(bytes: &[u8]) -> Option<Hello> {
    let mut rest = Reader(bytes);
    rest.take(2 + 32)?; // version and random
    rest.short_list()?; // session
    rest.long_list()?; // suites
    rest.short_list()?; // compression methods
    let mut hello = Hello::default();
    if rest.0.is_empty() {
        return Some(hello); // a client from before there were extensions
    }
    let mut extensions = Reader(rest.long_list()?);
    if !rest.0.is_empty() {
        return None;
    }
    let (mut named, mut offered) = (false, false);
    while !extensions.0.is_empty() {
        let kind = extensions.number()?;
        let content = extensions.long_list()?;
        match kind {
            // No extension comes twice (RFC 8446 §4.2); two names could be read in two ways.
            SERVER_NAME if !std::mem::replace(&mut named, true) => hello.server_name = server_name(content)?,
            ALPN if !std::mem::replace(&mut offered, true) => hello.protocol = only_protocol(content)?,
            SERVER_NAME | ALPN => return None,
            _ => {}
        }
    }
    Some(hello)
}

/// The one name of type `host_name` (RFC 6066 §3). An empty name is none.
fn server_name(content: &[u8]) -> Option<Option<String>> {
    let mut outer = Reader(content);
    let mut list = Reader(outer.long_list()?);
    let mut found = None;
    while !list.0.is_empty() {
        let kind = list.take(1)?[0];
        let name = list.long_list()?;
        if kind != 0 {
            continue;
        }
        if found.is_some() {
            return None;
        }
        let name = name.strip_suffix(b".").unwrap_or(name);
        let good = |byte: &u8| byte.is_ascii_graphic();
        if name.len() > NAME_MOST || !name.iter().all(good) {
            return None;
        }
        found = Some(name.iter().map(|byte| char::from(byte.to_ascii_lowercase())).collect::<String>());
    }
    outer.0.is_empty().then_some(found.filter(|name| !name.is_empty()))
}

/// The protocol of a list of one (RFC 7301 §3.1).
fn only_protocol(content: &[u8]) -> Option<Option<Vec<u8>>> {
    let mut outer = Reader(content);
    let mut list = Reader(outer.long_list()?);
    let first = list.short_list()?;
    let only = list.0.is_empty();
    while !list.0.is_empty() {
        list.short_list()?;
    }
    outer.0.is_empty().then_some((only && !first.is_empty()).then(|| first.to_vec()))
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        let bytes = self.take(2)?.first_chunk()?;
        Some(u16::from_be_bytes(*bytes))
    }

    /// What a length of one byte stands before.
    fn short_list(&mut self) -> Option<&'a [u8]> {
        let length = *self.take(1)?.first()?;
        self.take(usize::from(length))
    }

    /// What a length of two bytes stands before.
    fn long_list(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(usize::from(length))
    }
}

#[cfg(test)]
mod tests;
