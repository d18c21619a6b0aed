//! The loop: takes connections, reads what is ready, sends what is due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, ErrorKind};
use std::net::TcpListener;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::time::{ClockId, clock_gettime};

use crate::connection::{Connection, Tools};

const LISTENER: u64 = u64::MAX;

/// A connection, and how often its place was used before: what was due for its predecessor is not for it.
#[derive(Default)]
struct Place {
    connection: Option<Connection>,
    generation: u64,
}

struct Server {
    epoll: rustix::fd::OwnedFd,
    places: Vec<Place>,
    free: Vec<usize>,
    due: BinaryHeap<Reverse<(u64, usize, u64)>>,
    tools: Tools,
}

/// Serves until it is killed.
pub fn serve(listener: TcpListener) -> io::Result<()> {
    // The standard library's backlog of 128 is too short for thousands that come at once.
    rustix::net::listen(&listener, 4096)?;
    listener.set_nonblocking(true)?;
    let mut server = Server {
        epoll: epoll::create(CreateFlags::CLOEXEC)?,
        places: Vec::new(),
        free: Vec::new(),
        due: BinaryHeap::new(),
        tools: Tools::new(),
    };
    epoll::add(&server.epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut events = Vec::with_capacity(64);
    loop {
        server.wait(&mut events)?;
        for ready in events.drain(..) {
            match ready.data.u64() {
                LISTENER => server.accept(&listener)?,
                at => server.ready(at as usize, ready.flags),
            }
        }
        server.send_due();
    }
}

impl Server {
    fn wait(&self, events: &mut Vec<epoll::Event>) -> io::Result<()> {
        events.clear();
        let timeout = self.due.peek().map(|Reverse((due, _, _))| {
            let nanos = due.saturating_sub(now());
            Timespec { tv_sec: (nanos / 1_000_000_000) as i64, tv_nsec: (nanos % 1_000_000_000) as i64 }
        });
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(events), timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        loop {
            let socket = match listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            socket.set_nonblocking(true)?;
            socket.set_nodelay(true)?;
            let at = self.free.pop().unwrap_or_else(|| {
                self.places.push(Place::default());
                self.places.len() - 1
            });
            epoll::add(&self.epoll, &socket, EventData::new_u64(at as u64), EventFlags::IN)?;
            self.places[at].connection = Some(Connection::new(socket));
        }
    }

    fn ready(&mut self, at: usize, flags: EventFlags) {
        let Some(connection) = self.places[at].connection.as_mut() else { return };
        let flushed = if flags.contains(EventFlags::OUT) { connection.flush() } else { Ok(()) };
        let readable = flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR);
        let next = match flushed {
            Ok(()) if readable => connection.read(&mut self.tools, now()),
            Ok(()) => Ok(None),
            Err(over) => Err(over),
        };
        self.after(at, next.map_err(drop));
    }

    fn send_due(&mut self) {
        while let Some(Reverse((due, at, generation))) = self.due.peek().copied() {
            let now = now();
            if due > now {
                return;
            }
            self.due.pop();
            let place = &mut self.places[at];
            let Some(connection) = place.connection.as_mut().filter(|_| place.generation == generation)
            else {
                continue;
            };
            let next = connection.advance(&mut self.tools, now);
            self.after(at, next.map_err(drop));
        }
    }

    fn after(&mut self, at: usize, next: Result<Option<u64>, ()>) {
        let place = &mut self.places[at];
        let Some(connection) = place.connection.as_mut() else { return };
        let Ok(next) = next else {
            place.connection = None;
            place.generation += 1;
            self.free.push(at);
            return;
        };
        if let Some(due) = next {
            self.due.push(Reverse((due, at, place.generation)));
        }
        let blocked = connection.is_blocked();
        if blocked != connection.watches_out {
            let flags = if blocked { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            // A socket that epoll no longer knows is told with its next event.
            let _ = epoll::modify(&self.epoll, &connection.socket, EventData::new_u64(at as u64), flags);
            connection.watches_out = blocked;
        }
    }
}

fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
