//! What a run counted, and its report as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::histogram::Histogram;
use crate::link::Cause;

/// Everything that is reported.
pub struct Tally {
    /// From the instant at which a request was due to the last byte of its answer; warm-up not counted.
    pub latency: Histogram,
    /// From the instant at which a request was due to its sending, where a connection was free: the generator's own share.
    pub lateness: Histogram,
    /// Answers by status code, warm-up not counted.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests sent, with the warm-up.
    pub sent: u64,
    /// Answers, with the warm-up.
    pub answered: u64,
    /// Connections that were not established.
    pub refused: u64,
    /// Requests whose connection was closed before the first byte of an answer.
    pub unanswered: u64,
    /// Answers that were cut short.
    pub cut: u64,
    /// Bytes that are no answer.
    pub malformed: u64,
    /// Requests that got no answer in time.
    pub timed_out: u64,
    /// Requests that were due but neither answered nor failed when the run ended.
    pub unfinished: u64,
    /// Connections that were closed while idle: no failure, they are opened again.
    pub closed_idle: u64,
}

impl Tally {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            latency: Histogram::new(),
            lateness: Histogram::new(),
            statuses: BTreeMap::new(),
            sent: 0,
            answered: 0,
            refused: 0,
            unanswered: 0,
            cut: 0,
            malformed: 0,
            timed_out: 0,
            unfinished: 0,
            closed_idle: 0,
        }
    }

    /// A connection ended.
    pub fn lost(&mut self, asked: bool, cause: Cause) {
        match cause {
            Cause::Refused => self.refused += 1,
            _ if !asked => self.closed_idle += 1,
            Cause::Unanswered => self.unanswered += 1,
            Cause::Cut => self.cut += 1,
            Cause::Malformed => self.malformed += 1,
        }
    }

    /// Requests that failed, for whatever reason; a status code is no failure here.
    pub fn failed(&self) -> u64 {
        self.refused + self.unanswered + self.cut + self.malformed + self.timed_out + self.unfinished
    }

    /// One JSON object; `seconds` are those that were counted.
    pub fn json(&self, seconds: f64) -> String {
        let mut out = String::from("{");
        let rate = if seconds > 0.0 { self.latency.total() as f64 / seconds } else { 0.0 };
        let _ = write!(out, "\"seconds\":{seconds:.3},\"requests_per_second\":{rate:.1}");
        let counts = [
            ("sent", self.sent),
            ("answered", self.answered),
            ("counted", self.latency.total()),
            ("failed", self.failed()),
            ("refused", self.refused),
            ("unanswered", self.unanswered),
            ("cut", self.cut),
            ("malformed", self.malformed),
            ("timed_out", self.timed_out),
            ("unfinished", self.unfinished),
            ("closed_idle", self.closed_idle),
        ];
        for (name, count) in counts {
            let _ = write!(out, ",\"{name}\":{count}");
        }
        let statuses: Vec<String> =
            self.statuses.iter().map(|(status, count)| format!("\"{status}\":{count}")).collect();
        let _ = write!(out, ",\"statuses\":{{{}}}", statuses.join(","));
        let _ = write!(out, ",\"latency_us\":{}", quantiles(&self.latency));
        let _ = write!(out, ",\"lateness_us\":{}}}", quantiles(&self.lateness));
        out
    }
}

/// Quantiles in microseconds, as a JSON object.
pub fn quantiles(of: &Histogram) -> String {
    let micros = |nanos: u64| nanos as f64 / 1000.0;
    format!(
        "{{\"mean\":{:.1},\"p50\":{:.1},\"p90\":{:.1},\"p99\":{:.1},\"p999\":{:.1},\"max\":{:.1}}}",
        of.mean() / 1000.0,
        micros(of.quantile(0.5)),
        micros(of.quantile(0.9)),
        micros(of.quantile(0.99)),
        micros(of.quantile(0.999)),
        micros(of.max()),
    )
}
