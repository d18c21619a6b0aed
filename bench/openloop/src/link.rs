//! One keep-alive connection: connects, sends one request at a time, reads its answer, never blocks.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

use crate::answer::{Answer, Outcome};
use crate::events::Events;

/// A connection's place in the run.
pub struct Link {
    number: u64,
    socket: Option<TcpStream>,
    state: State,
    answer: Answer,
    /// What the answer's body is read as, where it is a stream of events.
    pub events: Option<Events>,
}

enum State {
    Down,
    Connecting,
    Idle,
    Busy { intended: u64, sent: u64, request: usize, written: usize },
}

/// What became of a link when its socket was ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Not yet anything.
    Nothing,
    /// It may carry a request.
    Connected,
    /// A response is whole; the instant at which its request was due.
    Answered { intended: u64, outcome: Outcome },
    /// The connection ended; `asked` where a request was waiting on it.
    Lost { asked: bool, cause: Cause },
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It was never established.
    Refused,
    /// It was closed before the first byte of an answer.
    Unanswered,
    /// It was closed within an answer.
    Cut,
    /// What came is no answer.
    Malformed,
}

impl Link {
    /// A link that is down; `number` comes back with its events.
    pub fn new(number: u64) -> Self {
        Self { number, socket: None, state: State::Down, answer: Answer::new(), events: None }
    }

    /// Whether it needs to be opened.
    pub fn is_down(&self) -> bool {
        matches!(self.state, State::Down)
    }

    /// Whether it may carry a request.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// When the request that it waits for was sent.
    pub fn busy_since(&self) -> Option<u64> {
        match self.state {
            State::Busy { sent, .. } => Some(sent),
            _ => None,
        }
    }

    /// When the request that it waits for was due.
    pub fn intended(&self) -> Option<u64> {
        match self.state {
            State::Busy { intended, .. } => Some(intended),
            _ => None,
        }
    }

    /// Begins to connect.
    pub fn open(&mut self, epoll: &OwnedFd, address: SocketAddr) -> io::Result<()> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::STREAM, flags, None)?;
        match connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let socket = TcpStream::from(socket);
        socket.set_nodelay(true)?;
        epoll::add(epoll, &socket, EventData::new_u64(self.number), EventFlags::OUT)?;
        self.socket = Some(socket);
        self.state = State::Connecting;
        self.answer.reset();
        Ok(())
    }

    /// Sends a request that was due at `intended`. Only for a link that is connected and idle.
    pub fn send(
        &mut self,
        epoll: &OwnedFd,
        requests: &[Vec<u8>],
        request: usize,
        intended: u64,
        now: u64,
    ) -> Event {
        self.state = State::Busy { intended, sent: now, request, written: 0 };
        self.write(epoll, requests)
    }

    /// Goes on after epoll said that the socket is ready.
    pub fn ready(
        &mut self,
        epoll: &OwnedFd,
        requests: &[Vec<u8>],
        scratch: &mut [u8],
        flags: EventFlags,
    ) -> Event {
        if matches!(self.state, State::Connecting) {
            return self.connected(epoll);
        }
        if flags.contains(EventFlags::OUT)
            && let lost @ Event::Lost { .. } = self.write(epoll, requests)
        {
            return lost;
        }
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            return self.read(scratch);
        }
        Event::Nothing
    }

    /// Drops the connection.
    pub fn close(&mut self) {
        self.socket = None;
        self.state = State::Down;
        self.answer.reset();
    }

    fn connected(&mut self, epoll: &OwnedFd) -> Event {
        let Some(socket) = &self.socket else { return Event::Nothing };
        let fine = matches!(socket.take_error(), Ok(None)) && self.watch(epoll, EventFlags::IN);
        if !fine {
            return self.lose(Cause::Refused);
        }
        self.state = State::Idle;
        Event::Connected
    }

    fn write(&mut self, epoll: &OwnedFd, requests: &[Vec<u8>]) -> Event {
        let (Some(mut socket), State::Busy { request, written, .. }) =
            (self.socket.as_ref(), &mut self.state)
        else {
            return Event::Nothing;
        };
        let bytes = &requests[*request];
        let was_partial = *written > 0;
        while *written < bytes.len() {
            match socket.write(&bytes[*written..]) {
                Ok(count) => *written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let watched = self.watch(epoll, EventFlags::IN | EventFlags::OUT);
                    return if watched { Event::Nothing } else { self.lose(Cause::Unanswered) };
                }
                Err(_) => return self.lose(Cause::Unanswered),
            }
        }
        if was_partial && !self.watch(epoll, EventFlags::IN) {
            return self.lose(Cause::Unanswered);
        }
        Event::Nothing
    }

    fn read(&mut self, scratch: &mut [u8]) -> Event {
        loop {
            let Some(mut socket) = self.socket.as_ref() else { return Event::Nothing };
            match socket.read(scratch) {
                Ok(0) => return self.ended(),
                Ok(count) => match self.took(&scratch[..count]) {
                    // A read that did not fill the buffer has emptied the socket: no second call to learn that.
                    Event::Nothing if count == scratch.len() => {}
                    event => return event,
                },
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Event::Nothing,
                Err(_) => return self.lose(self.cause()),
            }
        }
    }

    fn took(&mut self, bytes: &[u8]) -> Event {
        let State::Busy { intended, .. } = self.state else { return self.lose(Cause::Malformed) };
        let fed = match &mut self.events {
            None => self.answer.feed(bytes),
            Some(events) => self.answer.feed_with(bytes, |body| events.take(body)),
        };
        match fed {
            Ok(None) => Event::Nothing,
            Ok(Some(outcome)) => self.answered(intended, outcome),
            Err(_) => self.lose(Cause::Malformed),
        }
    }

    fn ended(&mut self) -> Event {
        let cause = self.cause();
        match (&self.state, self.answer.end()) {
            (State::Busy { intended, .. }, Ok(outcome)) => {
                let intended = *intended;
                self.answered(intended, outcome)
            }
            _ => self.lose(cause),
        }
    }

    fn answered(&mut self, intended: u64, outcome: Outcome) -> Event {
        if outcome.keep {
            self.state = State::Idle;
        } else {
            self.close();
        }
        Event::Answered { intended, outcome }
    }

    fn cause(&self) -> Cause {
        if self.answer.untouched() { Cause::Unanswered } else { Cause::Cut }
    }

    fn lose(&mut self, cause: Cause) -> Event {
        let asked = matches!(self.state, State::Busy { .. });
        self.close();
        Event::Lost { asked, cause }
    }

    fn watch(&self, epoll: &OwnedFd, flags: EventFlags) -> bool {
        let Some(socket) = &self.socket else { return false };
        epoll::modify(epoll, socket, EventData::new_u64(self.number), flags).is_ok()
    }
}
