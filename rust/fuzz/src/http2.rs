//! HTTP/2: whatever comes in, what is delivered is exactly one HTTP/1.1 message, and what goes out are whole frames.

use std::io::IoSlice;

use tidegate_http1::{
    BodyLength, ChunkDecoder, ChunkLimits, Limits, parse_request, parse_response, request_facts,
    response_facts,
};
use tidegate_http2::{Connection, Read, Role, Settings, Write};
use tidegate_message::{Method, RequestHead, ResponseHead};

/// The client's first bytes, and SETTINGS.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const REQUEST: &[u8] = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx: y\r\n\r\n";

/// A stream, and its text so far.
type Delivered = (u32, Vec<u8>, bool);

/// Checks what must hold for any bytes. The first of them chooses the side, and how the others are cut.
pub fn run(data: &[u8]) {
    let Some((choice, data)) = data.split_first() else { return };
    let role = if choice & 1 == 0 { Role::Server } else { Role::Client };
    let step = usize::from(choice >> 1) + 1;
    let settings = Settings {
        stream_window: 1 + u32::from(*choice) * 300,
        header_list_bytes: 4000,
        max_streams: 8,
        ..Settings::default()
    };
    let mut side = Connection::new(role, settings);
    let mut sent = Vec::new();
    let mut open: Vec<Delivered> = Vec::new();
    if role == Role::Server {
        assert_eq!(side.receive(PREFACE, 0), Ok(()));
    } else {
        assert_eq!(side.receive(&PREFACE[24..], 0), Ok(()));
        for _ in 0..3 {
            let stream = side.open().expect("nobody has said less");
            assert_eq!(side.write(stream, &[IoSlice::new(REQUEST)]), Write::Taken(REQUEST.len()));
            open.push((stream, Vec::new(), false));
        }
    }
    let mut now = 0;
    for piece in data.chunks(step) {
        now += 1_000_000;
        let over = side.receive(piece, now).is_err();
        while let Some(stream) = side.accept() {
            open.push((stream, Vec::new(), false));
        }
        while side.woken().is_some() {}
        open.retain_mut(|delivered| !advance(&mut side, delivered, role));
        let count = side.output().len();
        assert!(count < 4 << 20, "what waits is bounded");
        sent.extend_from_slice(side.output());
        side.sent(count);
        assert!(side.streams() <= 16);
        if over {
            assert!(side.is_over());
            break;
        }
    }
    frames(sent.strip_prefix(&PREFACE[..24]).unwrap_or(&sent));
}

/// Reads on, and answers when the message is whole; whether the stream is done.
fn advance(side: &mut Connection, delivered: &mut Delivered, role: Role) -> bool {
    let (stream, text, answered) = delivered;
    let mut buffer = [0; 777];
    loop {
        match side.read(*stream, &mut buffer) {
            Read::Bytes(count) => text.extend_from_slice(&buffer[..count]),
            Read::Pending => return false,
            Read::Reset(_) => break,
            Read::End => {
                check(text, role);
                if role == Role::Server && !*answered {
                    *answered = true;
                    let _ = side.write(*stream, &[IoSlice::new(RESPONSE)]);
                }
                break;
            }
        }
    }
    side.release(*stream, None);
    true
}

/// A message that has come whole is read as exactly one, or refused.
fn check(text: &[u8], role: Role) {
    let limits = Limits::default();
    if role == Role::Server {
        let mut head = RequestHead::default();
        // Refused is fine: CONNECT, or a host that is none.
        let Ok(parsed) = parse_request(text, &limits, &mut head) else { return };
        let length = parsed.expect("a whole head was delivered");
        let facts = request_facts(&head);
        if let Ok(facts) = facts
            && facts.upgrade.is_none()
        {
            body(&text[length..], facts.body);
        }
        return;
    }
    let mut rest = text;
    loop {
        let mut head = ResponseHead::default();
        let length = parse_response(rest, &limits, &mut head)
            .expect("every head is one that HTTP/1.1 takes")
            .expect("a whole head was delivered");
        rest = &rest[length..];
        if head.status >= 200 {
            let facts = response_facts(&head, Method::Get).expect("its length is plain");
            body(rest, facts.body);
            return;
        }
    }
}

/// The body is what the head says, to its last byte.
fn body(text: &[u8], length: BodyLength) {
    match length {
        BodyLength::None => assert!(text.is_empty(), "bytes behind the message"),
        BodyLength::Exact(length) => assert_eq!(text.len() as u64, length),
        BodyLength::Chunked => {
            let limits =
                ChunkLimits { trailer_bytes: 1 << 20, trailer_fields: 1 << 16, ..ChunkLimits::default() };
            let mut decoder = ChunkDecoder::new(limits);
            let mut rest = text;
            while !decoder.is_done() {
                assert!(!rest.is_empty(), "the chunks have an end");
                let step = decoder.decode(rest).expect("chunks");
                rest = &rest[step.consumed..];
            }
            assert!(rest.is_empty(), "bytes behind the message");
        }
        BodyLength::UntilClose => panic!("a response without an end"),
    }
}

/// What was sent are whole frames.
fn frames(mut sent: &[u8]) {
    while !sent.is_empty() {
        assert!(sent.len() >= 9);
        let length = usize::from(sent[0]) << 16 | usize::from(sent[1]) << 8 | usize::from(sent[2]);
        assert!(length <= 16_384 || sent[3] != 0);
        sent = &sent[9 + length..];
    }
}
