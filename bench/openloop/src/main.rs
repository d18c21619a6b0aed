//! Sends HTTP/1.1 requests on a schedule (or a fixed number of them, or holds streams open) and reports as one line of JSON.
//!
//! Knows: one address, one list of requests, keep-alive connections, a clock.
//! Never: closed-loop latencies. In an open run a request's latency counts from the instant at which it was due,
//! so a server that stands still is told with every request that it kept waiting (coordinated omission).

mod answer;
mod arrivals;
mod events;
mod histogram;
mod link;
mod options;
mod run;
mod streams;
mod tally;

use std::num::NonZeroU64;
use std::process::ExitCode;

use options::Mode;

fn main() -> ExitCode {
    let options = match options::Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("openloop: {why}\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    // The kernel may wake a sleeper 50 µs late by default, which would be told as the server's latency.
    if let Err(error) = rustix::thread::set_current_timer_slack(NonZeroU64::new(1)) {
        eprintln!("openloop: timers stay coarse: {error}");
    }
    let told = match options.mode {
        Mode::Streams { seconds, period, events } => {
            streams::run(&options, seconds, period, events).map(|tally| tally.json())
        }
        _ => run::run(&options).map(|(tally, seconds)| tally.json(seconds)),
    };
    match told {
        Ok(json) => {
            println!("{json}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("openloop: {}: {error}", options.address);
            ExitCode::FAILURE
        }
    }
}
