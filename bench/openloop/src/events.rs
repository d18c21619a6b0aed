//! Reads a stream of server-sent events whose texts hold `#NUMBER@NANOSECONDS`, and checks that none is lost or out of order.

use rustix::time::{ClockId, clock_gettime};

use crate::histogram::Histogram;

/// A line longer than this holds no event of the bench's provider.
const LINE_MAX: usize = 64 * 1024;

/// One stream as it comes.
pub struct Events {
    line: Vec<u8>,
    expected: u32,
    /// When the first event was read, by CLOCK_MONOTONIC.
    pub first: Option<u64>,
    /// Numbers that were passed over.
    pub lost: u64,
    /// Events that came after a later one, or twice.
    pub disordered: u64,
    /// Whether the dialect's last word has come.
    pub terminated: bool,
    /// From when the provider sent an event to when it was read here, in nanoseconds.
    pub delays: Vec<u64>,
}

impl Events {
    /// Nothing has come.
    pub fn new() -> Self {
        Self {
            line: Vec::new(),
            expected: 0,
            first: None,
            lost: 0,
            disordered: 0,
            terminated: false,
            delays: Vec::new(),
        }
    }

    /// Ready for the next stream.
    pub fn reset(&mut self) {
        self.line.clear();
        self.delays.clear();
        (self.expected, self.first, self.lost, self.disordered, self.terminated) = (0, None, 0, 0, false);
    }

    /// Takes bytes of the body.
    pub fn take(&mut self, mut bytes: &[u8]) {
        let now = now();
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (part, rest) = (&bytes[..end], &bytes[end + 1..]);
            bytes = rest;
            if self.line.is_empty() {
                self.line_is(part, now);
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(part);
                self.line_is(&line, now);
                line.clear();
                self.line = line;
            }
        }
        if self.line.len() + bytes.len() <= LINE_MAX {
            self.line.extend_from_slice(bytes);
        }
    }

    /// The stream is over and should have brought so many events; how many are lost in all.
    pub fn missing(&self, events: u32) -> u64 {
        self.lost + u64::from(events.saturating_sub(self.expected))
    }

    /// How many came, in whatever order.
    pub fn came(&self) -> u64 {
        self.delays.len() as u64
    }

    /// Adds the delays to a histogram.
    pub fn record(&self, into: &mut Histogram) {
        self.delays.iter().for_each(|delay| into.record(*delay));
    }

    fn line_is(&mut self, line: &[u8], now: u64) {
        let Some(data) = line.strip_prefix(b"data:") else { return };
        if let Some((number, sent)) = marked(data) {
            self.first.get_or_insert(now);
            self.delays.push(now.saturating_sub(sent));
            if number < self.expected {
                self.disordered += 1;
            } else {
                self.lost += u64::from(number - self.expected);
                self.expected = number + 1;
            }
        } else if data.trim_ascii() == b"[DONE]" || contains(data, b"\"message_stop\"") {
            self.terminated = true;
        }
    }
}

/// The number and the instant of `…#17@123456…`.
fn marked(data: &[u8]) -> Option<(u32, u64)> {
    let at = data.iter().position(|byte| *byte == b'#')?;
    let (number, rest) = digits(&data[at + 1..])?;
    let (sent, _) = digits(rest.strip_prefix(b"@")?)?;
    Some((u32::try_from(number).ok()?, sent))
}

fn digits(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let end = bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len());
    let value = std::str::from_utf8(&bytes[..end]).ok()?.parse().ok()?;
    Some((value, &bytes[end..]))
}

fn contains(within: &[u8], what: &[u8]) -> bool {
    within.windows(what.len()).any(|window| window == what)
}

/// CLOCK_MONOTONIC in nanoseconds: the same clock in every process of a host.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: u32) -> String {
        format!("data: {{\"delta\":{{\"content\":\"#{number}@1 \"}}}}\n\n")
    }

    fn read(text: &str) -> Events {
        let mut events = Events::new();
        events.take(text.as_bytes());
        events
    }

    #[test]
    fn cut_anywhere_a_stream_reads_the_same() {
        let text = format!("{}{}: ping\n\n{}data: [DONE]\n\n", event(0), event(1), event(2));
        for cut in 0..text.len() {
            let mut events = Events::new();
            events.take(&text.as_bytes()[..cut]);
            events.take(&text.as_bytes()[cut..]);
            assert_eq!((events.came(), events.missing(3), events.disordered), (3, 0, 0), "cut at {cut}");
            assert!(events.terminated);
        }
    }

    #[test]
    fn what_is_passed_over_or_missing_at_the_end_is_lost() {
        let events = read(&[event(0), event(3)].concat());
        assert_eq!((events.missing(5), events.disordered, events.terminated), (3, 0, false));
    }

    #[test]
    fn what_comes_late_or_twice_is_out_of_order() {
        assert_eq!(read(&[event(1), event(0), event(1)].concat()).disordered, 2);
    }

    #[test]
    fn the_words_of_messages_end_a_stream_too() {
        assert!(read("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n").terminated);
    }
}
