//! Whole requests against a reader that was written from the RFC, naively and apart from the codec.
//!
//! What the codec takes, the reader must take as the same request of the same length: that is the claim that
//! nothing can be smuggled past. And what is forwarded of it must read back as one request.

use tidegate_http1::{
    BodyLength, ChunkDecoder, ChunkLimits, LAST_CHUNK, Limits, RequestFacts, chunk_size_line,
    copy_request_fields, parse_request, request_facts,
};
use tidegate_message::{Known, RequestHead};

use crate::reader::{self, Request};

/// Checks what must hold for any bytes.
pub fn run(data: &[u8]) {
    let mut rest = data;
    let mut head = RequestHead::default();
    // Pipelined requests are read to the same boundaries.
    while let Some((facts, body, trailers, taken)) = take(rest, &mut head) {
        let read = reader::request(rest).unwrap_or_else(|why| panic!("the reader refuses it: {why}"));
        assert_eq!(read.taken, taken, "both see the same end");
        assert_eq!(read.method, head.slice(head.method_name));
        assert_eq!(read.target, head.slice(head.target));
        assert_eq!(read.body, body);
        assert_eq!(read.fields.len(), head.fields.len());
        for (field, (name, value)) in head.fields.iter().zip(&read.fields) {
            assert_eq!(
                (&head.slice(field.name).to_ascii_lowercase(), head.slice(field.value)),
                (name, &value[..])
            );
        }
        forwarded(&head, facts, &read, &trailers);
        rest = &rest[taken..];
    }
}

/// What is sent upstream reads as one request with the method, the path and the body of the first.
fn forwarded(head: &RequestHead, facts: RequestFacts, first: &Request, trailers: &[u8]) {
    let mut wire = head.slice(head.method_name).to_vec();
    wire.push(b' ');
    let path = head.slice(head.path);
    wire.extend_from_slice(if path.is_empty() { b"*" } else { path });
    if head.has_query {
        wire.push(b'?');
        wire.extend_from_slice(head.slice(head.query));
    }
    let target = wire[head.method_name.len() + 1..].to_vec();
    wire.extend_from_slice(b" HTTP/1.1\r\n");
    if head.known(Known::Host).is_none() {
        wire.extend_from_slice(b"Host: upstream\r\n");
    }
    copy_request_fields(head, &mut wire, |_| false);
    match facts.body {
        BodyLength::Exact(length) => {
            wire.extend_from_slice(format!("Content-Length: {length}\r\n\r\n").as_bytes());
            wire.extend_from_slice(&first.body);
        }
        BodyLength::Chunked => {
            wire.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            for chunk in first.body.chunks(1000) {
                let mut line = [0; 18];
                let length = chunk_size_line(chunk.len(), &mut line);
                wire.extend_from_slice(&line[..length]);
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(&LAST_CHUNK[..3]);
            wire.extend_from_slice(trailers);
            wire.extend_from_slice(b"\r\n");
        }
        BodyLength::None | BodyLength::UntilClose => wire.extend_from_slice(b"\r\n"),
    }
    let again = reader::request(&wire).unwrap_or_else(|why| panic!("what is forwarded is refused: {why}"));
    assert_eq!(again.taken, wire.len(), "exactly one request");
    assert_eq!((again.method, again.target), (first.method.clone(), target));
    assert_eq!(again.body, first.body);
    assert_eq!(again.fields.iter().filter(|field| field.0 == b"host").count(), 1);
}

/// One whole request as the codec reads it: its facts, body, trailers and length.
fn take(data: &[u8], head: &mut RequestHead) -> Option<(RequestFacts, Vec<u8>, Vec<u8>, usize)> {
    let length = parse_request(data, &Limits::default(), head).ok()??;
    let facts = request_facts(head).ok()?;
    let rest = &data[length..];
    match facts.body {
        BodyLength::None => Some((facts, Vec::new(), Vec::new(), length)),
        BodyLength::UntilClose => panic!("a request never ends with its connection"),
        BodyLength::Exact(exact) => {
            let exact = usize::try_from(exact).ok()?;
            Some((facts, rest.get(..exact)?.to_vec(), Vec::new(), length + exact))
        }
        BodyLength::Chunked => {
            let mut decoder = ChunkDecoder::new(ChunkLimits::default());
            let (mut body, mut taken) = (Vec::new(), 0);
            while !decoder.is_done() {
                let step = decoder.decode(&rest[taken..]).ok()?;
                if step.consumed == 0 {
                    return None;
                }
                body.extend_from_slice(&rest[taken..][step.data]);
                taken += step.consumed;
            }
            Some((facts, body, decoder.trailers().to_vec(), length + taken))
        }
    }
}
