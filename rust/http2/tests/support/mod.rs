//! Two ends of a connection, back to back in memory.
#![allow(dead_code)] // each test program uses its part

pub mod wire;

use std::io::IoSlice;

use tidegate_http2::{Connection, Over, Read, Role, Settings, Write};

/// A client, a server, and nothing between them.
pub struct Pair {
    pub client: Connection,
    pub server: Connection,
    pub now: u64,
}

impl Pair {
    /// Both sides with the same settings.
    pub fn new(settings: Settings) -> Self {
        Self::of(settings, settings)
    }

    /// A client and a server that have greeted each other.
    pub fn of(client: Settings, server: Settings) -> Self {
        let mut pair = Self {
            client: Connection::new(Role::Client, client),
            server: Connection::new(Role::Server, server),
            now: 1,
        };
        pair.settle();
        pair
    }

    /// Moves bytes until nothing waits on either side.
    pub fn settle(&mut self) {
        while self.step(usize::MAX).expect("both sides keep to the rules") {}
    }

    /// Moves up to `most` bytes each way; whether there were any.
    pub fn step(&mut self, most: usize) -> Result<bool, Over> {
        let up = pass(&mut self.client, &mut self.server, most, self.now)?;
        let down = pass(&mut self.server, &mut self.client, most, self.now)?;
        Ok(up + down > 0)
    }

    /// Sends a request's text, and returns what the client and the server call the stream.
    pub fn request(&mut self, text: &[u8]) -> (u32, u32) {
        let stream = self.client.open().expect("a stream is free");
        write_all(&mut self.client, stream, text);
        self.settle();
        (stream, self.server.accept().expect("the request arrives"))
    }

    /// What the server reads of a request.
    pub fn arrives(&mut self, text: &[u8]) -> String {
        let (stream, accepted) = self.request(text);
        let read = read_all(&mut self.server, accepted);
        self.client.release(stream, None);
        self.server.release(accepted, None);
        self.settle();
        read
    }
}

fn pass(from: &mut Connection, to: &mut Connection, most: usize, now: u64) -> Result<usize, Over> {
    let count = from.output().len().min(most);
    let bytes = from.output()[..count].to_vec();
    from.sent(count);
    to.receive(&bytes, now)?;
    Ok(count)
}

/// Writes all of `text` at once.
pub fn write_all(connection: &mut Connection, stream: u32, text: &[u8]) {
    assert_eq!(connection.write(stream, &[IoSlice::new(text)]), Write::Taken(text.len()));
}

/// Reads what there is.
pub fn read_all(connection: &mut Connection, stream: u32) -> String {
    let mut out = Vec::new();
    let mut buf = [0; 4096];
    while let Read::Bytes(count) = connection.read(stream, &mut buf) {
        out.extend_from_slice(&buf[..count]);
    }
    String::from_utf8(out).expect("tests send text")
}
