//! A whole connection through the codec: what a gateway would take from it, and where it would stop.
#![allow(dead_code)] // each test uses its part

use tidegate_http1::{
    BodyLength, ChunkDecoder, ChunkLimits, Limits, RequestFacts, ResponseFacts, copy_request_fields,
    parse_request, parse_response, request_facts, response_facts,
};
use tidegate_message::{Known, Method, RequestHead, ResponseHead};

/// A request as an upstream would see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    pub method: Vec<u8>,
    pub target: Vec<u8>,
    /// The field lines that are forwarded.
    pub fields: Vec<u8>,
    pub body: Vec<u8>,
    pub trailers: Vec<u8>,
    pub facts: RequestFacts,
    /// The value of Upgrade, where a tunnel may be opened.
    pub upgrade: Option<Vec<u8>>,
}

/// How a connection's bytes end.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// All has been taken.
    Whole,
    /// More bytes are needed.
    Partial,
    /// Refused with this name and status.
    Refused(&'static str, u16),
}

/// Takes requests until the bytes end, one is refused, or one closes the connection.
pub fn requests(bytes: &[u8]) -> (Vec<Taken>, End) {
    let mut taken = Vec::new();
    let mut rest = bytes;
    let mut head = RequestHead::default();
    while !rest.is_empty() {
        let length = match parse_request(rest, &Limits::default(), &mut head) {
            Ok(Some(length)) => length,
            Ok(None) => return (taken, End::Partial),
            Err(refusal) => return (taken, End::Refused(refusal.as_str(), refusal.status())),
        };
        assert_eq!(head.bytes, rest[..length]);
        rest = &rest[length..];
        let facts = match request_facts(&head) {
            Ok(facts) => facts,
            Err(refusal) => return (taken, End::Refused(refusal.as_str(), refusal.status())),
        };
        let (body, trailers) = match body(&mut rest, facts.body) {
            Ok(Some(parts)) => parts,
            Ok(None) => return (taken, End::Partial),
            Err(reason) => return (taken, End::Refused(reason, 400)),
        };
        let mut fields = Vec::new();
        copy_request_fields(&head, &mut fields, |_| false);
        taken.push(Taken {
            method: head.slice(head.method_name).to_vec(),
            target: target(&head),
            fields,
            body,
            trailers,
            facts,
            upgrade: facts.upgrade.map(|span| head.slice(span).to_vec()),
        });
        if !facts.keep_alive {
            return (taken, End::Whole);
        }
    }
    (taken, End::Whole)
}

/// Takes one response.
pub fn response(bytes: &[u8], method: Method) -> (Option<(u16, ResponseFacts, Vec<u8>)>, End) {
    let mut head = ResponseHead::default();
    let length = match parse_response(bytes, &Limits::default(), &mut head) {
        Ok(Some(length)) => length,
        Ok(None) => return (None, End::Partial),
        Err(fault) => return (None, End::Refused(fault.as_str(), 502)),
    };
    let facts = match response_facts(&head, method) {
        Ok(facts) => facts,
        Err(fault) => return (None, End::Refused(fault.as_str(), 502)),
    };
    match body(&mut &bytes[length..], facts.body) {
        Ok(Some((body, _))) => (Some((head.status, facts, body)), End::Whole),
        Ok(None) => (None, End::Partial),
        Err(reason) => (None, End::Refused(reason, 502)),
    }
}

/// The target in the form that upstreams are sent (RFC 9112 §3.2.1, §3.2.4).
pub fn target(head: &RequestHead) -> Vec<u8> {
    if head.path.is_empty() {
        return b"*".to_vec();
    }
    let mut target = head.slice(head.path).to_vec();
    if head.has_query {
        target.push(b'?');
        target.extend_from_slice(head.slice(head.query));
    }
    target
}

/// The field lines as pairs, names in lower case.
pub fn pairs(fields: &[u8]) -> Vec<(String, String)> {
    fields
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| {
            let line = line.strip_suffix(b"\r\n").expect("every copied line ends with CRLF");
            let colon = line.iter().position(|byte| *byte == b':').expect("every copied line has a colon");
            let text = |part: &[u8]| String::from_utf8_lossy(part).into_owned();
            (text(&line[..colon]).to_ascii_lowercase(), text(line[colon + 1..].trim_ascii()))
        })
        .collect()
}

/// Whether the gateway reads this request's Host from a field.
pub fn has_host(head: &RequestHead) -> bool {
    head.known(Known::Host).is_some()
}

type BodyParts = (Vec<u8>, Vec<u8>);

fn body(rest: &mut &[u8], length: BodyLength) -> Result<Option<BodyParts>, &'static str> {
    match length {
        BodyLength::None => Ok(Some(Default::default())),
        BodyLength::UntilClose => Ok(Some((std::mem::take(rest).to_vec(), Vec::new()))),
        BodyLength::Exact(length) => {
            let Some(length) = usize::try_from(length).ok().filter(|length| *length <= rest.len()) else {
                return Ok(None);
            };
            let (body, after) = rest.split_at(length);
            *rest = after;
            Ok(Some((body.to_vec(), Vec::new())))
        }
        BodyLength::Chunked => chunked(rest),
    }
}

fn chunked(rest: &mut &[u8]) -> Result<Option<BodyParts>, &'static str> {
    let mut decoder = ChunkDecoder::new(ChunkLimits::default());
    let mut body = Vec::new();
    loop {
        let step = decoder.decode(rest).map_err(|fault| fault.as_str())?;
        body.extend_from_slice(&rest[step.data]);
        *rest = &rest[step.consumed..];
        if step.done {
            return Ok(Some((body, decoder.trailers().to_vec())));
        }
        if step.consumed == 0 || rest.is_empty() {
            return Ok(None);
        }
    }
}
