//! The run: what is due is sent on a free connection, and its latency counts from when it was due.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Instant;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags};

use crate::arrivals::Arrivals;
use crate::link::{Event, Link};
use crate::options::{Mode, Options};
use crate::tally::Tally;

/// How often time-outs are looked for and lost connections opened again.
const TICK: u64 = 20_000_000;
/// How long answers are waited for once the last request is due.
const LINGER: u64 = 2_000_000_000;
/// How long all connections may take to be established before the first request.
const OPENING: u64 = 10_000_000_000;

/// Runs to the end; what was counted, and over how many seconds.
pub fn run(options: &Options) -> io::Result<(Tally, f64)> {
    let mut run = Run::new(options)?;
    run.open_all()?;
    run.drive()?;
    let from = match options.mode {
        Mode::Open { seconds, warmup, .. } => return Ok((run.tally, seconds - warmup)),
        Mode::Closed { .. } | Mode::Streams { .. } => run.begun,
    };
    Ok((run.tally, (run.last - from) as f64 / 1e9))
}

struct Run<'a> {
    options: &'a Options,
    epoll: OwnedFd,
    clock: Instant,
    links: Vec<Link>,
    /// First in, first out: the load is spread over all connections.
    idle: VecDeque<usize>,
    /// Requests that are due and found no free connection, by when they were due.
    backlog: VecDeque<u64>,
    demand: Demand,
    next_request: usize,
    timeout: u64,
    /// When the first request was due, on `clock`.
    begun: u64,
    /// When the last answer came.
    last: u64,
    next_tick: u64,
    /// When something was last due that found no free connection; its lateness is the server's.
    starved: u64,
    tally: Tally,
}

/// Where requests come from.
enum Demand {
    Schedule { arrivals: Arrivals, due: u64, end: u64, counted_from: u64 },
    Count { left: u64 },
}

impl<'a> Run<'a> {
    fn new(options: &'a Options) -> io::Result<Self> {
        let demand = match options.mode {
            Mode::Closed { requests } => Demand::Count { left: requests },
            // Streams have a loop of their own.
            Mode::Streams { .. } => Demand::Count { left: 0 },
            Mode::Open { rate, seconds, warmup, even, seed } => {
                let arrivals = if even { Arrivals::even(rate) } else { Arrivals::poisson(rate, seed) };
                Demand::Schedule { arrivals, due: 0, end: nanos(seconds), counted_from: nanos(warmup) }
            }
        };
        Ok(Self {
            options,
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            clock: Instant::now(),
            links: (0..options.connections as u64).map(Link::new).collect(),
            idle: VecDeque::with_capacity(options.connections),
            backlog: VecDeque::new(),
            demand,
            next_request: 0,
            timeout: nanos(options.timeout),
            begun: 0,
            last: 0,
            next_tick: 0,
            starved: 0,
            tally: Tally::new(),
        })
    }

    fn open_all(&mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(256);
        let mut scratch = vec![0; 256 * 1024];
        for link in &mut self.links {
            link.open(&self.epoll, self.options.address)?;
        }
        while self.idle.len() < self.links.len() {
            if self.now() > OPENING {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "not all connections could be opened"));
            }
            self.wait(&mut events, TICK)?;
            self.take(&mut events, &mut scratch);
            if self.tally.refused > 0 {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
        }
        Ok(())
    }

    fn drive(&mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(256);
        let mut scratch = vec![0; 256 * 1024];
        self.begun = self.now();
        self.next_tick = self.begun + TICK;
        if let Demand::Schedule { arrivals, due, .. } = &mut self.demand {
            *due = arrivals.next().unwrap_or_default();
        }
        loop {
            let now = self.now();
            self.collect_due(now);
            self.send_due();
            if self.finished(now) {
                self.give_up(now);
                return Ok(());
            }
            if now >= self.next_tick {
                self.tick();
            }
            self.wait(&mut events, self.idle_until(now))?;
            self.take(&mut events, &mut scratch);
        }
    }

    /// Moves what is due by now to the backlog.
    fn collect_due(&mut self, now: u64) {
        if let Demand::Schedule { arrivals, due, end, .. } = &mut self.demand {
            while *due < *end && self.begun + *due <= now {
                self.backlog.push_back(self.begun + *due);
                *due = arrivals.next().unwrap_or(u64::MAX);
            }
        }
    }

    fn send_due(&mut self) {
        while let Some(at) = self.idle.front().copied() {
            let now = self.now();
            let Some(intended) = self.take_due(now) else { return };
            self.idle.pop_front();
            if intended > self.starved {
                self.tally.lateness.record(now - intended);
            }
            self.tally.sent += 1;
            let request = self.next_request;
            self.next_request = (request + 1) % self.options.requests.len();
            let event = self.links[at].send(&self.epoll, &self.options.requests, request, intended, now);
            self.note(at, event);
        }
        if !self.backlog.is_empty() {
            self.starved = self.now();
        }
    }

    fn take_due(&mut self, now: u64) -> Option<u64> {
        match &mut self.demand {
            Demand::Schedule { .. } => self.backlog.pop_front(),
            Demand::Count { left: 0 } => None,
            Demand::Count { left } => {
                *left -= 1;
                Some(now)
            }
        }
    }

    fn finished(&self, now: u64) -> bool {
        let none_busy = || self.links.iter().all(|link| link.busy_since().is_none());
        match &self.demand {
            Demand::Count { left } => *left == 0 && none_busy(),
            Demand::Schedule { due, end, .. } if *due >= *end => {
                (self.backlog.is_empty() && none_busy()) || now > self.begun + *end + LINGER
            }
            Demand::Schedule { .. } => false,
        }
    }

    /// What is still open at the end has failed, and took at least until now.
    fn give_up(&mut self, now: u64) {
        let busy: Vec<u64> = self.links.iter().filter_map(Link::intended).collect();
        for intended in self.backlog.drain(..).chain(busy) {
            self.tally.unfinished += 1;
            self.tally.latency.record(now - intended);
        }
    }

    fn tick(&mut self) {
        let now = self.now();
        self.next_tick = now + TICK;
        for link in &mut self.links {
            if link.busy_since().is_some_and(|sent| now - sent > self.timeout) {
                self.tally.timed_out += 1;
                self.tally.latency.record(now - link.intended().unwrap_or(now));
                link.close();
            }
            if link.is_down() && link.open(&self.epoll, self.options.address).is_err() {
                self.tally.refused += 1;
            }
        }
    }

    /// How long nothing needs to be done unless a socket is ready.
    fn idle_until(&self, now: u64) -> u64 {
        let tick = self.next_tick.saturating_sub(now);
        match &self.demand {
            Demand::Schedule { due, end, .. } if *due < *end => {
                tick.min((self.begun + *due).saturating_sub(now))
            }
            _ => tick,
        }
    }

    fn wait(&self, events: &mut Vec<epoll::Event>, nanos: u64) -> io::Result<()> {
        events.clear();
        let timeout =
            Timespec { tv_sec: (nanos / 1_000_000_000) as i64, tv_nsec: (nanos % 1_000_000_000) as i64 };
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(events), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn take(&mut self, events: &mut Vec<epoll::Event>, scratch: &mut [u8]) {
        for ready in events.drain(..) {
            let at = ready.data.u64() as usize;
            let flags = ready.flags;
            let event = self.links[at].ready(&self.epoll, &self.options.requests, scratch, flags);
            self.note(at, event);
        }
    }

    fn note(&mut self, at: usize, event: Event) {
        match event {
            Event::Nothing => {}
            Event::Connected => self.idle.push_back(at),
            Event::Answered { intended, outcome } => {
                let now = self.now();
                self.last = now;
                self.tally.answered += 1;
                if self.counts(intended) {
                    self.tally.latency.record(now - intended);
                    *self.tally.statuses.entry(outcome.status).or_default() += 1;
                }
                if outcome.keep {
                    self.idle.push_back(at);
                } else {
                    self.reopen(at);
                }
            }
            Event::Lost { asked, cause } => {
                self.idle.retain(|idle| *idle != at);
                self.tally.lost(asked, cause);
                // A refused connection waits for the next tick: no loop of refusals.
                if cause != crate::link::Cause::Refused {
                    self.reopen(at);
                }
            }
        }
    }

    fn reopen(&mut self, at: usize) {
        if self.links[at].open(&self.epoll, self.options.address).is_err() {
            self.tally.refused += 1;
        }
    }

    fn counts(&self, intended: u64) -> bool {
        match &self.demand {
            Demand::Schedule { counted_from, .. } => intended >= self.begun + *counted_from,
            Demand::Count { .. } => true,
        }
    }

    fn now(&self) -> u64 {
        self.clock.elapsed().as_nanos() as u64
    }
}

fn nanos(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener};
    use std::time::Duration;

    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

    /// Serves one connection; before the request numbered `stall_at` it stands still for `stall`.
    fn server(stall_at: usize, stall: Duration) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut buffer = [0; 1024];
            for number in 0.. {
                match socket.read(&mut buffer) {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                }
                if number == stall_at {
                    std::thread::sleep(stall);
                }
                if socket.write_all(ANSWER).is_err() {
                    return;
                }
            }
        });
        address
    }

    fn options(address: SocketAddr, mode: Mode) -> Options {
        let request = format!("GET / HTTP/1.1\r\nHost: {address}\r\n\r\n").into_bytes();
        Options { address, mode, connections: 1, timeout: 5.0, requests: vec![request] }
    }

    #[test]
    fn a_closed_run_sends_exactly_what_was_asked_for() {
        let address = server(usize::MAX, Duration::ZERO);
        let (tally, seconds) = run(&options(address, Mode::Closed { requests: 100 })).unwrap();
        assert_eq!((tally.sent, tally.answered, tally.failed()), (100, 100, 0));
        assert_eq!(tally.statuses[&200], 100);
        assert!(seconds > 0.0);
    }

    #[test]
    fn requests_that_were_due_during_a_stall_count_their_wait() {
        let address = server(100, Duration::from_millis(200));
        let mode = Mode::Open { rate: 1000.0, seconds: 0.5, warmup: 0.0, even: true, seed: 1 };
        let (tally, _) = run(&options(address, mode)).unwrap();
        // 200 of 500 requests fell due in the stall; a closed loop would have seen a single slow one.
        assert!(tally.latency.quantile(0.75) > 10_000_000, "p75 {} ns", tally.latency.quantile(0.75));
        assert!(tally.latency.max() >= 199_000_000);
        assert_eq!(tally.failed(), 0);
    }

    #[test]
    fn a_server_that_never_answers_is_told_as_failure_and_as_latency() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mode = Mode::Open { rate: 100.0, seconds: 0.1, warmup: 0.0, even: true, seed: 1 };
        let (tally, _) = run(&options(listener.local_addr().unwrap(), mode)).unwrap();
        assert_eq!(tally.answered, 0);
        assert!(tally.unfinished >= 9, "{}", tally.unfinished);
        assert!(tally.latency.quantile(0.5) > 1_000_000_000);
    }

    #[test]
    fn a_port_where_nobody_listens_is_an_error() {
        let address = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap()
        };
        assert!(run(&options(address, Mode::Closed { requests: 1 })).is_err());
    }
}
