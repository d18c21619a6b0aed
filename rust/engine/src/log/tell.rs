//! The error log: lines on standard error, written by a thread of its own, few of a kind.

use std::{
    io::{self, Write as _},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use super::{calendar, escape};

/// Lines that may wait for a slow standard error; more are lost and counted.
const WAITING_MOST: usize = 1024;

/// Lines of one kind that are written in a row.
const BURST: u32 = 10;

/// After that, one of the kind is written in this time; the others are counted, and the count is told.
const PACE: Duration = Duration::from_secs(1);

/// Writes `2026-11-21T04:00:00.123Z LEVEL TEXT` to standard error, soon. Never waits.
///
/// `kind` names what may come often: after ten lines of a kind, one a second is written and the others are counted.
pub fn tell(level: &'static str, kind: &'static str, text: &str) {
    let mut line = String::with_capacity(text.len());
    escape::controls(text, &mut line);
    teller().tell(Told { time: SystemTime::now(), level, kind, text: line });
}

/// Waits, for `most` at most, until what was told is written: before the process ends.
pub fn flush_told(most: Duration) {
    let (done, wait) = sync_channel(1);
    if teller().lines.try_send(Message::Flush(done)).is_ok() {
        let _ = wait.recv_timeout(most);
    }
}

#[derive(Debug)]
struct Told {
    time: SystemTime,
    level: &'static str,
    kind: &'static str,
    text: String,
}

enum Message {
    Told(Told),
    Flush(SyncSender<()>),
}

struct Teller {
    lines: SyncSender<Message>,
    lost: AtomicU64,
}

fn teller() -> &'static Teller {
    static TELLER: OnceLock<Teller> = OnceLock::new();
    TELLER.get_or_init(|| {
        let (lines, waiting) = sync_channel(WAITING_MOST);
        // Without the thread the channel is closed and `tell` writes by itself.
        let _ = thread::Builder::new().name("tidegate-errors".into()).spawn(move || run(&waiting));
        Teller { lines, lost: AtomicU64::new(0) }
    })
}

impl Teller {
    fn tell(&self, told: Told) {
        match self.lines.try_send(Message::Told(told)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => drop(self.lost.fetch_add(1, Ordering::Relaxed)),
            Err(TrySendError::Disconnected(Message::Told(told))) => put(&told.line()),
            Err(TrySendError::Disconnected(Message::Flush(_))) => {}
        }
    }
}

impl Told {
    fn line(&self) -> Vec<u8> {
        let mut line = Vec::with_capacity(self.text.len() + 40);
        calendar::push_utc(self.time, &mut line);
        for part in [" ", self.level, " ", &self.text, "\n"] {
            line.extend_from_slice(part.as_bytes());
        }
        line
    }
}

/// Standard error that fails leaves nobody to tell.
fn put(line: &[u8]) {
    let _ = io::stderr().write_all(line);
}

fn run(waiting: &Receiver<Message>) {
    let mut pacer = Pacer::default();
    loop {
        // Wake up by itself only while something is still to be told of what was left out.
        let received = match pacer.owes() {
            true => waiting.recv_timeout(PACE),
            false => waiting.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match received {
            Ok(Message::Told(told)) => {
                if pacer.admit(told.kind, Instant::now()) {
                    put(&told.line());
                }
            }
            Ok(Message::Flush(done)) => {
                let _ = done.send(());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        for (kind, left_out) in pacer.settle(Instant::now()) {
            put(&left_out_line(kind, left_out));
        }
        match teller().lost.swap(0, Ordering::Relaxed) {
            0 => {}
            lost => put(&left_out_line("any", lost)),
        }
    }
}

fn left_out_line(kind: &'static str, count: u64) -> Vec<u8> {
    let text = format!("{count} more lines of kind {kind} were left out");
    Told { time: SystemTime::now(), level: "info", kind, text }.line()
}

/// Lets so many lines of each kind through. The kinds are few: they are named in the code.
#[derive(Debug, Default)]
struct Pacer(Vec<Kind>);

#[derive(Debug)]
struct Kind {
    name: &'static str,
    /// Lines that may still come in a row.
    room: u32,
    /// Since when `room` is what it is.
    since: Instant,
    left_out: u64,
}

impl Pacer {
    fn admit(&mut self, name: &'static str, now: Instant) -> bool {
        let at = self.0.iter().position(|kind| kind.name == name).unwrap_or_else(|| {
            self.0.push(Kind { name, room: BURST, since: now, left_out: 0 });
            self.0.len() - 1
        });
        let kind = &mut self.0[at];
        kind.refill(now);
        let admitted = kind.room > 0;
        if admitted {
            kind.room -= 1;
        } else {
            kind.left_out += 1;
        }
        admitted
    }

    /// Whether there is a count that has not been told.
    fn owes(&self) -> bool {
        self.0.iter().any(|kind| kind.left_out > 0)
    }

    /// Counts that may be told now; each takes the place of a line.
    fn settle(&mut self, now: Instant) -> Vec<(&'static str, u64)> {
        let owing = self.0.iter_mut().filter(|kind| kind.left_out > 0);
        owing
            .filter_map(|kind| {
                kind.refill(now);
                kind.room = kind.room.checked_sub(1)?;
                Some((kind.name, std::mem::take(&mut kind.left_out)))
            })
            .collect()
    }
}

impl Kind {
    fn refill(&mut self, now: Instant) {
        let paces = (now.saturating_duration_since(self.since).as_nanos() / PACE.as_nanos()) as u32;
        if paces > 0 {
            self.room = self.room.saturating_add(paces).min(BURST);
            self.since += PACE * paces;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_flood_ten_lines_are_written_and_the_others_counted() {
        let start = Instant::now();
        let mut pacer = Pacer::default();
        let written = (0..1000).filter(|_| pacer.admit("ejected", start)).count();
        assert_eq!(written, 10);
        assert!(pacer.owes());
        assert_eq!(pacer.settle(start), []);
        assert_eq!(pacer.settle(start + PACE), [("ejected", 990)]);
        assert!(!pacer.owes());
    }

    #[test]
    fn one_kind_does_not_silence_another() {
        let start = Instant::now();
        let mut pacer = Pacer::default();
        while pacer.admit("ejected", start) {}
        assert!(pacer.admit("listener", start));
    }

    #[test]
    fn after_a_quiet_time_a_burst_is_written_again_but_no_more() {
        let start = Instant::now();
        let mut pacer = Pacer::default();
        while pacer.admit("ejected", start) {}
        let later = start + PACE * 3600;
        assert_eq!((0..100).filter(|_| pacer.admit("ejected", later)).count(), 10);
    }

    #[test]
    fn a_line_has_time_level_and_text() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_233_600_123);
        let told = Told { time, level: "warn", kind: "test", text: "the cat is out".into() };
        assert_eq!(told.line(), b"2026-11-21T04:00:00.123Z warn the cat is out\n");
    }

    #[test]
    fn what_was_told_is_written_when_the_flush_returns() {
        tell("info", "test", "told by a test");
        let before = Instant::now();
        flush_told(Duration::from_secs(10));
        assert!(before.elapsed() < Duration::from_secs(10));
    }
}
