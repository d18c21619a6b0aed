//! Many streams at once: each connection begins one when it is due, whether the one before was slow or not.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt::Write;
use std::io;
use std::os::fd::OwnedFd;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags};

use crate::events::{Events, now};
use crate::histogram::Histogram;
use crate::link::{Event, Link};
use crate::options::Options;
use crate::tally::quantiles;

/// How many connections are opened at a time: no more than a short backlog takes.
const OPENED_AT_ONCE: usize = 64;
/// How long connections may take to be established before the first stream.
const OPENING: u64 = 20_000_000_000;
/// How long streams are waited for beyond their period once the last has begun.
const LINGER: u64 = 5_000_000_000;
/// The longest wait of the loop.
const TICK: u64 = 50_000_000;

/// Everything that is reported.
pub struct Tally {
    /// From when a stream was due to its first event.
    first: Histogram,
    /// From when the provider sent an event to when it was read.
    delay: Histogram,
    /// From when a stream was due to when it was asked for: the generator's own share.
    lateness: Histogram,
    statuses: BTreeMap<u16, u64>,
    begun: u64,
    finished: u64,
    events: u64,
    lost: u64,
    disordered: u64,
    unterminated: u64,
    cut: u64,
    unfinished: u64,
}

struct Run<'a> {
    options: &'a Options,
    epoll: OwnedFd,
    links: Vec<Link>,
    /// When each connection's next stream is due.
    due: BinaryHeap<Reverse<(u64, usize)>>,
    /// Streams that were due while the connection's last one was still running, by when they were due.
    waiting: Vec<Option<u64>>,
    expected: u32,
    tally: Tally,
}

/// Runs to the end.
pub fn run(options: &Options, seconds: f64, period: f64, events: u32) -> io::Result<Tally> {
    let mut run = Run {
        options,
        epoll: epoll::create(CreateFlags::CLOEXEC)?,
        links: (0..options.connections as u64).map(Link::new).collect(),
        due: BinaryHeap::new(),
        waiting: vec![None; options.connections],
        expected: events,
        tally: Tally::new(),
    };
    run.open_all()?;
    run.drive((seconds * 1e9) as u64, (period * 1e9) as u64)?;
    Ok(run.tally)
}

impl Run<'_> {
    fn open_all(&mut self) -> io::Result<()> {
        let (mut ready, mut scratch) = (Vec::with_capacity(256), vec![0; 64 * 1024]);
        let until = now() + OPENING;
        let (mut opened, mut connected) = (0, 0);
        while connected < self.links.len() {
            while opened < self.links.len() && opened - connected < OPENED_AT_ONCE {
                self.links[opened].open(&self.epoll, self.options.address)?;
                self.links[opened].events = Some(Events::new());
                opened += 1;
            }
            if now() > until {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "not all connections could be opened"));
            }
            self.wait(&mut ready, TICK)?;
            for one in ready.drain(..) {
                let at = one.data.u64() as usize;
                match self.links[at].ready(&self.epoll, &self.options.requests, &mut scratch, one.flags) {
                    Event::Connected => connected += 1,
                    Event::Nothing => {}
                    _ => return Err(io::ErrorKind::ConnectionRefused.into()),
                }
            }
        }
        Ok(())
    }

    fn drive(&mut self, seconds: u64, period: u64) -> io::Result<()> {
        let (mut ready, mut scratch) = (Vec::with_capacity(256), vec![0; 256 * 1024]);
        let began = now();
        let count = self.links.len() as u64;
        // Evenly over the period: the load is the same at every instant.
        self.due = (0..count).map(|at| Reverse((began + at * period / count, at as usize))).collect();
        let (end, last) = (began + seconds, began + seconds + period + LINGER);
        loop {
            let now = now();
            while let Some(Reverse((due, at))) =
                self.due.peek().copied().filter(|Reverse((due, _))| *due <= now)
            {
                self.due.pop();
                if due + period < end {
                    self.due.push(Reverse((due + period, at)));
                }
                self.begin(at, due);
            }
            let running = self.tally.begun - self.tally.finished - self.tally.cut;
            if self.due.is_empty() && (running == 0 || now > last) {
                self.tally.unfinished += running + self.waiting.iter().flatten().count() as u64;
                return Ok(());
            }
            let next = self.due.peek().map_or(TICK, |Reverse((due, _))| due.saturating_sub(now).min(TICK));
            self.wait(&mut ready, next)?;
            for one in ready.drain(..) {
                let at = one.data.u64() as usize;
                let event =
                    self.links[at].ready(&self.epoll, &self.options.requests, &mut scratch, one.flags);
                self.note(at, event)?;
            }
        }
    }

    /// Asks for a stream; where the connection is not free, as soon as it is.
    fn begin(&mut self, at: usize, due: u64) {
        let link = &mut self.links[at];
        if !link.is_idle() {
            // A second one that waits is a stream that never began.
            self.tally.unfinished += u64::from(self.waiting[at].replace(due).is_some());
            return;
        }
        let now = now();
        self.tally.begun += 1;
        self.tally.lateness.record(now - due);
        if let Some(events) = &mut link.events {
            events.reset();
        }
        let request = at % self.options.requests.len();
        if let Event::Lost { .. } = link.send(&self.epoll, &self.options.requests, request, due, now) {
            self.tally.cut += 1;
        }
    }

    fn note(&mut self, at: usize, event: Event) -> io::Result<()> {
        let again = match event {
            Event::Nothing => return Ok(()),
            Event::Connected => true,
            Event::Answered { intended, outcome } => {
                *self.tally.statuses.entry(outcome.status).or_default() += 1;
                self.finish(at, intended);
                outcome.keep
            }
            Event::Lost { asked, .. } => {
                self.tally.cut += u64::from(asked);
                false
            }
        };
        if !again {
            self.links[at].open(&self.epoll, self.options.address)?;
        } else if let Some(due) = self.waiting[at].take() {
            self.begin(at, due);
        }
        Ok(())
    }

    fn finish(&mut self, at: usize, due: u64) {
        let Some(events) = &self.links[at].events else { return };
        let tally = &mut self.tally;
        tally.finished += 1;
        tally.events += events.came();
        tally.lost += events.missing(self.expected);
        tally.disordered += events.disordered;
        tally.unterminated += u64::from(!events.terminated);
        if let Some(first) = events.first {
            tally.first.record(first.saturating_sub(due));
        }
        events.record(&mut tally.delay);
    }

    fn wait(&self, ready: &mut Vec<epoll::Event>, nanos: u64) -> io::Result<()> {
        ready.clear();
        let timeout = Timespec { tv_sec: 0, tv_nsec: nanos.min(999_999_999) as i64 };
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(ready), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Tally {
    fn new() -> Self {
        Self {
            first: Histogram::new(),
            delay: Histogram::new(),
            lateness: Histogram::new(),
            statuses: BTreeMap::new(),
            begun: 0,
            finished: 0,
            events: 0,
            lost: 0,
            disordered: 0,
            unterminated: 0,
            cut: 0,
            unfinished: 0,
        }
    }

    /// One JSON object.
    pub fn json(&self) -> String {
        let mut out = String::from("{");
        let counts = [
            ("begun", self.begun),
            ("finished", self.finished),
            ("events", self.events),
            ("lost", self.lost),
            ("disordered", self.disordered),
            ("unterminated", self.unterminated),
            ("cut", self.cut),
            ("unfinished", self.unfinished),
        ];
        for (name, count) in counts {
            let _ = write!(out, "\"{name}\":{count},");
        }
        let statuses: Vec<String> =
            self.statuses.iter().map(|(status, count)| format!("\"{status}\":{count}")).collect();
        let _ = write!(out, "\"statuses\":{{{}}}", statuses.join(","));
        let _ = write!(out, ",\"first_us\":{}", quantiles(&self.first));
        let _ = write!(out, ",\"delay_us\":{}", quantiles(&self.delay));
        let _ = write!(out, ",\"lateness_us\":{}}}", quantiles(&self.lateness));
        out
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write as _};
    use std::net::{SocketAddr, TcpListener};

    use super::*;
    use crate::options::Mode;

    /// Serves one connection; each request gets the next of the answers.
    fn server(answers: Vec<&'static str>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut buffer = [0; 1024];
            for body in answers {
                if !matches!(socket.read(&mut buffer), Ok(1..)) {
                    return;
                }
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                socket.write_all(&[head.as_bytes(), body.as_bytes()].concat()).unwrap();
            }
            let _ = socket.read(&mut buffer);
        });
        address
    }

    fn streams(address: SocketAddr, begun: u32) -> Tally {
        let mode = Mode::Streams { seconds: 0.0, period: 0.02, events: 2 };
        let requests = vec![b"GET / HTTP/1.1\r\n\r\n".to_vec()];
        let options = Options { address, mode, connections: 1, timeout: 5.0, requests };
        run(&options, 0.02 * f64::from(begun) - 0.01, 0.02, 2).unwrap()
    }

    #[test]
    fn streams_are_begun_again_and_what_they_bring_is_checked() {
        let good = "data: #0@1 \n\ndata: #1@1 \n\ndata: [DONE]\n\n";
        let tally =
            streams(server(vec![good, "data: #0@1 \n\n", "data: #1@1\n\ndata: #0@1\n\ndata: [DONE]\n\n"]), 3);
        assert_eq!((tally.begun, tally.finished, tally.statuses[&200]), (3, 3, 3));
        assert_eq!((tally.events, tally.lost, tally.disordered, tally.unterminated), (5, 2, 1, 1));
    }

    #[test]
    fn a_stream_whose_connection_ends_is_cut() {
        let tally = streams(server(vec![]), 1);
        assert_eq!((tally.begun, tally.finished), (1, 0));
        assert!(tally.cut + tally.unfinished >= 1);
    }
}
