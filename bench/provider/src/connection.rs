//! One connection: reads a request, sends its answer, whole or event by event; never blocks.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::request::{Asked, Dialect, Schedule, take};
use crate::words::{self, Wholes};

/// A connection of a client.
pub struct Connection {
    /// The socket.
    pub socket: TcpStream,
    /// Whether epoll was asked to tell when it can be written to.
    pub watches_out: bool,
    received: Vec<u8>,
    unsent: Vec<u8>,
    stream: Option<Stream>,
}

struct Stream {
    dialect: Dialect,
    schedule: Schedule,
    began: u64,
    sent: u32,
}

/// The connection is over: the client left, or sent what is not understood.
pub struct Over;

impl Connection {
    /// Nothing has come yet.
    pub fn new(socket: TcpStream) -> Self {
        Self { socket, watches_out: false, received: Vec::new(), unsent: Vec::new(), stream: None }
    }

    /// Whether something waits until the socket takes it.
    pub fn is_blocked(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Reads what there is and answers it; when the next event is due.
    pub fn read(&mut self, tools: &mut Tools, now: u64) -> Result<Option<u64>, Over> {
        match (&self.socket).read(&mut tools.input) {
            Ok(0) => return Err(Over),
            Ok(count) => {
                let fresh = &tools.input[..count];
                // Nearly always one whole request: no copy.
                if self.received.is_empty()
                    && self.stream.is_none()
                    && let Some((asked, used)) = take(fresh).map_err(|_| Over)?
                    && used == count
                {
                    return self.answer(&asked, tools, now);
                }
                self.received.extend_from_slice(&tools.input[..count]);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(None);
            }
            Err(_) => return Err(Over),
        }
        self.answer_received(tools, now)
    }

    /// Sends what is due by now; when the next event is.
    pub fn advance(&mut self, tools: &mut Tools, now: u64) -> Result<Option<u64>, Over> {
        let Some(stream) = &mut self.stream else { return Ok(None) };
        tools.output.clear();
        let mut due = stream.due();
        while due <= now && stream.sent < stream.schedule.events {
            words::event(&mut tools.output, &mut tools.scratch, stream.dialect, stream.sent, now);
            stream.sent += 1;
            due = stream.due();
        }
        let over = stream.sent >= stream.schedule.events;
        if over {
            words::end(&mut tools.output, &mut tools.scratch, stream.dialect, stream.schedule);
            self.stream = None;
        }
        self.send(&tools.output)?;
        if over { self.answer_received(tools, now) } else { Ok(Some(due)) }
    }

    /// Goes on with what the socket did not take.
    pub fn flush(&mut self) -> Result<(), Over> {
        let unsent = std::mem::take(&mut self.unsent);
        self.send(&unsent)
    }

    fn answer_received(&mut self, tools: &mut Tools, now: u64) -> Result<Option<u64>, Over> {
        while self.stream.is_none()
            && let Some((asked, used)) = take(&self.received).map_err(|_| Over)?
        {
            self.received.drain(..used);
            if let due @ Some(_) = self.answer(&asked, tools, now)? {
                return Ok(due);
            }
        }
        Ok(None)
    }

    fn answer(&mut self, asked: &Asked, tools: &mut Tools, now: u64) -> Result<Option<u64>, Over> {
        match *asked {
            Asked::Whole(dialect) => self.send(tools.wholes.of(dialect))?,
            Asked::Unknown => self.send(words::UNKNOWN)?,
            Asked::Stream(dialect, schedule) => {
                self.stream = Some(Stream { dialect, schedule, began: now, sent: 1 });
                tools.output.clear();
                words::begin(&mut tools.output, dialect);
                words::event(&mut tools.output, &mut tools.scratch, dialect, 0, now);
                self.send(&tools.output)?;
                return self.advance(tools, now);
            }
        }
        Ok(None)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Over> {
        let mut left = bytes;
        while !left.is_empty() && self.unsent.is_empty() {
            match (&self.socket).write(left) {
                Ok(count) => left = &left[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return Err(Over),
            }
        }
        self.unsent.extend_from_slice(left);
        Ok(())
    }
}

impl Stream {
    fn due(&self) -> u64 {
        self.began + u64::from(self.sent) * self.schedule.gap
    }
}

/// What all connections share.
pub struct Tools {
    /// Answers that are not streamed.
    pub wholes: Wholes,
    input: Vec<u8>,
    output: Vec<u8>,
    scratch: Vec<u8>,
}

impl Tools {
    /// Renders the answers.
    pub fn new() -> Self {
        Self { wholes: Wholes::new(), input: vec![0; 256 * 1024], output: Vec::new(), scratch: Vec::new() }
    }
}
