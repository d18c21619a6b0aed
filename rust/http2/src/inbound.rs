//! From a field block to the text of a head: what holds for requests, responses and trailers alike (RFC 9113 §8.2, §8.3).

use crate::Fault;
use crate::field::{self, Name};
use crate::hpack::{Decoder, Line};

/// What each field counts beside name and value (RFC 9113 §6.5.2).
const FIELD_OVERHEAD: usize = 32;

/// Memory that all heads of a connection share.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// The lines of pseudo-header fields, and the first line behind them.
    pseudo: Vec<u8>,
    /// The values of Cookie, joined (RFC 9113 §8.2.3).
    cookies: Vec<u8>,
}

impl Scratch {
    pub(crate) fn trim(&mut self) {
        *self = Self::default();
    }
}

/// The pseudo-header fields of one head.
pub(crate) struct Pseudo<'s> {
    bytes: &'s [u8],
    values: &'s Values,
}

/// Where the values stand: method, scheme, authority, path, status, protocol.
type Values = [Option<(usize, usize)>; 6];

impl<'s> Pseudo<'s> {
    pub(crate) fn value(&self, name: Name) -> Option<&'s [u8]> {
        let (start, end) = self.values[place(name)?]?;
        self.bytes.get(start..end)
    }

    /// Whether one is there that is not among `allowed`.
    pub(crate) fn has_other_than(&self, allowed: &[Name]) -> bool {
        let mut places = [false; 6];
        for name in allowed {
            if let Some(place) = place(*name) {
                places[place] = true;
            }
        }
        self.values.iter().zip(places).any(|(value, allowed)| value.is_some() && !allowed)
    }
}

fn place(name: Name) -> Option<usize> {
    match name {
        Name::Method => Some(0),
        Name::Scheme => Some(1),
        Name::Authority => Some(2),
        Name::Path => Some(3),
        Name::Status => Some(4),
        Name::Protocol => Some(5),
        _ => None,
    }
}

/// What a head says of its message, beside its text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Content-Length.
    pub(crate) length: Option<u64>,
    /// The request's method is HEAD.
    pub(crate) is_head: bool,
    /// The request asks for a tunnel, or the response opens it.
    pub(crate) tunnel: bool,
    /// The response's status.
    pub(crate) status: u16,
}

/// Which sort of head is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    Request,
    Response,
    Trailers,
}

/// Writes the start line, and whatever stands for pseudo-header fields behind it.
pub(crate) type Start<'f> = &'f mut dyn FnMut(&Pseudo<'_>, &mut Facts, &mut Vec<u8>) -> Result<(), Fault>;

/// Reads the whole `block`, and appends the head to `text`, without what frames the body and the empty line.
///
/// The block is read to its end whatever is wrong with it, since the decoder's state is the connection's (RFC 9113
/// §4.3). Where there is a fault `text` is as before.
///
/// # Errors
/// `Err(())` where the block cannot be decoded.
pub(crate) fn read(
    decoder: &mut Decoder,
    block: &[u8],
    sort: Sort,
    limit: usize,
    scratch: &mut Scratch,
    text: &mut Vec<u8>,
    start: Start<'_>,
) -> Result<Result<Facts, Fault>, ()> {
    let before = text.len();
    scratch.pseudo.clear();
    scratch.cookies.clear();
    decoder.begin();
    let mut reader = Reader {
        sort,
        values: [None; 6],
        started: sort == Sort::Trailers,
        facts: Facts::default(),
        authority: None,
        scratch,
        text,
        start,
    };
    let mut block = block;
    let mut list = 0_usize;
    let mut fault = None;
    loop {
        let into = if reader.started { &mut *reader.text } else { &mut reader.scratch.pseudo };
        let at = into.len();
        let Some(line) = decoder.next(&mut block, into).map_err(|_| ())? else { break };
        list = list.saturating_add(line.name_len + line.value_len + FIELD_OVERHEAD);
        if fault.is_some() {
            into.truncate(at);
        } else if list > limit {
            into.truncate(at);
            fault = Some(Fault::HeadTooLarge);
        } else if let Err(found) = reader.line(line, at) {
            fault = Some(found);
        }
    }
    let outcome = match fault {
        Some(fault) => Err(fault),
        None => reader.finish(),
    };
    if outcome.is_err() {
        text.truncate(before);
    }
    Ok(outcome)
}

struct Reader<'r> {
    sort: Sort,
    values: Values,
    /// Whether the start line has been written.
    started: bool,
    facts: Facts,
    /// Where `:authority` stands in the scratch, once it has been written as Host.
    authority: Option<(usize, usize)>,
    scratch: &'r mut Scratch,
    text: &'r mut Vec<u8>,
    start: Start<'r>,
}

impl Reader<'_> {
    /// Deals with a line that was appended at `at` to the text, or to the scratch as long as nothing is started.
    fn line(&mut self, line: Line, at: usize) -> Result<(), Fault> {
        if line.name.is_pseudo() {
            return self.pseudo(line, at);
        }
        match line.name {
            Name::Uppercase => return Err(Fault::UppercaseName),
            Name::Invalid => return Err(Fault::InvalidName),
            Name::Connection => return Err(Fault::ConnectionField),
            _ if !line.sound => return Err(Fault::InvalidValue),
            _ => {}
        }
        let mut at = at;
        if !self.started {
            self.begin()?;
            let moved = self.text.len();
            self.text.extend_from_slice(&self.scratch.pseudo[at..]);
            self.scratch.pseudo.truncate(at);
            at = moved;
        }
        self.field(line, at)
    }

    fn pseudo(&mut self, line: Line, at: usize) -> Result<(), Fault> {
        if self.sort == Sort::Trailers {
            return Err(Fault::PseudoInTrailers);
        }
        let place = place(line.name).ok_or(Fault::UnknownPseudo)?;
        if self.started {
            return Err(Fault::PseudoAfterField);
        }
        if !line.sound {
            return Err(Fault::InvalidValue);
        }
        let value = at + line.name_len + 2;
        if self.values[place].replace((value, value + line.value_len)).is_some() {
            return Err(Fault::RepeatedPseudo);
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), Fault> {
        self.started = true;
        let pseudo = Pseudo { bytes: &self.scratch.pseudo, values: &self.values };
        (self.start)(&pseudo, &mut self.facts, self.text)?;
        self.authority = self.values[2];
        Ok(())
    }

    /// A field whose line was appended at `at` to the text.
    fn field(&mut self, line: Line, at: usize) -> Result<(), Fault> {
        let start = at + line.name_len + 2;
        let value = start..start + line.value_len;
        match line.name {
            Name::ContentLength if self.sort != Sort::Trailers => {
                let length = field::decimal(&self.text[value]).ok_or(Fault::InvalidLength)?;
                if self.facts.length.replace(length).is_some() {
                    return Err(Fault::InvalidLength);
                }
            }
            Name::Te if !self.text[value.clone()].eq_ignore_ascii_case(b"trailers") => {
                return Err(Fault::InvalidTe);
            }
            Name::Host if self.sort == Sort::Request => {
                if let Some((start, end)) = self.authority {
                    // One that says the same is not said twice (RFC 9113 §8.3.1).
                    if !self.text[value].eq_ignore_ascii_case(&self.scratch.pseudo[start..end]) {
                        return Err(Fault::HostMismatch);
                    }
                    self.text.truncate(at);
                }
            }
            Name::Cookie if self.sort == Sort::Request => {
                if !self.scratch.cookies.is_empty() {
                    self.scratch.cookies.extend_from_slice(b"; ");
                }
                self.scratch.cookies.extend_from_slice(&self.text[value]);
                self.text.truncate(at);
            }
            Name::WebsocketKey | Name::WebsocketAccept if self.facts.tunnel => self.text.truncate(at),
            _ => {}
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Facts, Fault> {
        if !self.started {
            self.begin()?;
        }
        if !self.scratch.cookies.is_empty() {
            self.text.extend_from_slice(b"cookie: ");
            self.text.extend_from_slice(&self.scratch.cookies);
            self.text.extend_from_slice(b"\r\n");
        }
        Ok(self.facts)
    }
}
