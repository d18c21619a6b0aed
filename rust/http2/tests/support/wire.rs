//! A peer that writes frames by hand, so that it can break every rule.
#![allow(dead_code)] // each test program uses its part

use tidegate_http2::{Connection, Encoder, Over, Role, Settings};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;

/// A frame that was received: type, flags, stream, payload.
pub type Received = (u8, u8, u32, Vec<u8>);

/// The bytes of a frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// One side under test, and a peer of frames.
pub struct Wire {
    pub side: Connection,
    pub now: u64,
    encoder: Encoder,
}

impl Wire {
    /// The side under test, which has been greeted.
    pub fn new(role: Role, settings: Settings) -> Self {
        let mut wire = Self { side: Connection::new(role, settings), now: 1, encoder: Encoder::default() };
        if role == Role::Server {
            wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("the preface is taken");
        }
        wire.send(&frame(SETTINGS, 0, 0, &[])).expect("SETTINGS are taken");
        wire.frames();
        wire
    }

    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Over> {
        self.side.receive(bytes, self.now)
    }

    pub fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Result<(), Over> {
        self.send(&frame(kind, flags, stream, payload))
    }

    /// A field block; names as they are given.
    pub fn block(&mut self, fields: &[(&str, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        self.encoder.begin(&mut out);
        for (name, value) in fields {
            let line = format!("{name}: {value}\r\n");
            self.encoder.line(line.as_bytes(), name.len(), &mut out);
        }
        out
    }

    /// HEADERS that are whole.
    pub fn head(&mut self, stream: u32, end: bool, fields: &[(&str, &str)]) -> Result<(), Over> {
        let block = self.block(fields);
        self.frame(HEADERS, END_HEADERS | u8::from(end), stream, &block)
    }

    /// A plain request.
    pub fn get(&mut self, stream: u32, end: bool) -> Result<(), Over> {
        self.head(stream, end, &GET)
    }

    /// What the side has sent since the last time.
    pub fn frames(&mut self) -> Vec<Received> {
        let output = self.side.output().to_vec();
        self.side.sent(output.len());
        let mut rest = output.strip_prefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap_or(&output);
        let mut found = Vec::new();
        while rest.len() >= 9 {
            let length = usize::from(rest[0]) << 16 | usize::from(rest[1]) << 8 | usize::from(rest[2]);
            let stream = u32::from_be_bytes([rest[5], rest[6], rest[7], rest[8]]);
            found.push((rest[3], rest[4], stream, rest[9..9 + length].to_vec()));
            rest = &rest[9 + length..];
        }
        assert!(rest.is_empty());
        found
    }

    /// The streams that were reset, with their codes.
    pub fn resets(&mut self) -> Vec<(u32, u8)> {
        self.frames()
            .into_iter()
            .filter(|frame| frame.0 == RST_STREAM)
            .map(|frame| (frame.2, frame.3[3]))
            .collect()
    }
}

/// The fields of a plain request.
pub const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")];
