//! The command line.

use std::net::SocketAddr;

/// How requests are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mode {
    /// By a schedule: `rate` a second for `seconds`, the first `warmup` seconds not counted.
    Open {
        /// Requests a second.
        rate: f64,
        /// The whole run, with the warm-up.
        seconds: f64,
        /// Seconds that are not counted.
        warmup: f64,
        /// Whether arrivals are evenly spaced instead of Poisson.
        even: bool,
        /// Of the schedule.
        seed: u64,
    },
    /// As fast as answers come, this many in all.
    Closed {
        /// Requests.
        requests: u64,
    },
    /// A stream of events on each connection, begun again each `period`; the connections take turns within it.
    Streams {
        /// Seconds in which streams are begun.
        seconds: f64,
        /// Seconds from the beginning of a connection's stream to that of its next.
        period: f64,
        /// Events that each stream must bring.
        events: u32,
    },
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Where to.
    pub address: SocketAddr,
    /// How.
    pub mode: Mode,
    /// Kept alive, opened before the first request.
    pub connections: usize,
    /// Seconds after which a request has failed.
    pub timeout: f64,
    /// Whole requests, sent in turn.
    pub requests: Vec<Vec<u8>>,
}

/// What is told where the command line is wrong.
pub const USAGE: &str = "usage: openloop open --address IP:PORT --rate N --seconds N [--warmup N] [--arrivals poisson|even] [--seed N]
       openloop closed --address IP:PORT --requests N
       openloop streams --address IP:PORT --seconds N --period SECONDS --events N
all:   [--connections N] [--timeout SECONDS] [--host HOST] [--path PATH] [--header 'NAME: VALUE']...
       [--body-bytes N | --body-file FILE] [--targets FILE]    (targets: lines of HOST PATH, asked in turn)";

impl Options {
    /// Reads the command line; what is wrong with it otherwise.
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut raw = Raw::default();
        let mut arguments = arguments;
        let mode = arguments.next().ok_or("say open, closed or streams")?;
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
            raw.set(&name, value)?;
        }
        let address = raw.address.ok_or("--address is missing")?;
        let mode = match mode.as_str() {
            "open" => Mode::Open {
                rate: raw.rate.filter(|rate| *rate > 0.0).ok_or("--rate above 0 is missing")?,
                seconds: raw.seconds.ok_or("--seconds is missing")?,
                warmup: raw.warmup,
                even: raw.even,
                seed: raw.seed,
            },
            "closed" => Mode::Closed { requests: raw.requests.ok_or("--requests is missing")? },
            "streams" => Mode::Streams {
                seconds: raw.seconds.ok_or("--seconds is missing")?,
                period: raw.period.filter(|period| *period > 0.0).ok_or("--period above 0 is missing")?,
                events: raw.events.ok_or("--events is missing")?,
            },
            other => return Err(format!("{other} is neither open, closed nor streams")),
        };
        let host = raw.host.clone().unwrap_or_else(|| address.to_string());
        let targets = match &raw.targets {
            None => vec![(host, raw.path.clone())],
            Some(file) => read_targets(file)?,
        };
        let requests = targets.iter().map(|(host, path)| raw.request(host, path)).collect();
        Ok(Self { address, mode, connections: raw.connections.max(1), timeout: raw.timeout, requests })
    }
}

struct Raw {
    address: Option<SocketAddr>,
    rate: Option<f64>,
    seconds: Option<f64>,
    warmup: f64,
    even: bool,
    seed: u64,
    requests: Option<u64>,
    period: Option<f64>,
    events: Option<u32>,
    connections: usize,
    timeout: f64,
    host: Option<String>,
    path: String,
    headers: Vec<String>,
    body: Vec<u8>,
    targets: Option<String>,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            address: None,
            rate: None,
            seconds: None,
            warmup: 0.0,
            even: false,
            seed: 1,
            requests: None,
            period: None,
            events: None,
            connections: 64,
            timeout: 5.0,
            host: None,
            path: "/".into(),
            headers: Vec::new(),
            body: Vec::new(),
            targets: None,
        }
    }
}

impl Raw {
    fn set(&mut self, name: &str, value: String) -> Result<(), String> {
        match name {
            "--address" => self.address = Some(number(name, &value)?),
            "--rate" => self.rate = Some(number(name, &value)?),
            "--seconds" => self.seconds = Some(number(name, &value)?),
            "--warmup" => self.warmup = number(name, &value)?,
            "--seed" => self.seed = number(name, &value)?,
            "--requests" => self.requests = Some(number(name, &value)?),
            "--period" => self.period = Some(number(name, &value)?),
            "--events" => self.events = Some(number(name, &value)?),
            "--connections" => self.connections = number(name, &value)?,
            "--timeout" => self.timeout = number(name, &value)?,
            "--body-bytes" => self.body = vec![b'x'; number(name, &value)?],
            "--body-file" => {
                self.body = std::fs::read(&value).map_err(|error| format!("{value}: {error}"))?;
            }
            "--arrivals" if value == "even" || value == "poisson" => self.even = value == "even",
            "--host" => self.host = Some(value),
            "--path" => self.path = value,
            "--header" => self.headers.push(value),
            "--targets" => self.targets = Some(value),
            _ => return Err(format!("{name} {value} is not understood")),
        }
        Ok(())
    }

    fn request(&self, host: &str, path: &str) -> Vec<u8> {
        let method = if self.body.is_empty() { "GET" } else { "POST" };
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n");
        for header in &self.headers {
            text.push_str(header);
            text.push_str("\r\n");
        }
        if !self.body.is_empty() {
            text.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name} {value} is not understood"))
}

fn read_targets(file: &str) -> Result<Vec<(String, String)>, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let targets: Vec<_> = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(host, path)| (host.into(), path.into()))
        .collect();
    if targets.is_empty() { Err(format!("{file} names no target")) } else { Ok(targets) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split(' ').map(String::from))
    }

    #[test]
    fn an_open_run_needs_a_rate_and_builds_its_request_once() {
        assert!(parse("open --address 127.0.0.1:1 --seconds 1").is_err());
        let options = parse("open --address 127.0.0.1:1 --rate 10 --seconds 1 --body-bytes 2").unwrap();
        assert_eq!(
            options.requests,
            [b"POST / HTTP/1.1\r\nHost: 127.0.0.1:1\r\nContent-Length: 2\r\n\r\nxx".to_vec()]
        );
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let told = parse("closed --address 127.0.0.1:1 --requests many").unwrap_err();
        assert_eq!(told, "--requests many is not understood");
        assert!(parse("fast").is_err());
    }
}
