//! Answers as an LLM provider does, with nothing behind it: fixed answers, and streams on a schedule.
//!
//! Knows: OpenAI's chat completions, Anthropic's messages, one thread, one epoll, a heap of what is due.
//! Never: a model, a log line, an allocation for an answer that is not streamed.
//!
//! Not tokio: its timers end on whole milliseconds, so that the events of many streams would leave in bursts which
//! a client could not tell from the delay of what is measured. `epoll_pwait2` waits by the nanosecond.

mod connection;
mod request;
mod server;
mod words;

use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroU64;
use std::process::ExitCode;

const USAGE: &str = "usage: provider IP:PORT
  POST …/chat/completions and …/messages answer about 1 KB; with stream: true, the model `stream-RxN` sends
  N events, R a second, each with its number and when it was sent: `#NUMBER@NANOSECONDS ` (CLOCK_MONOTONIC)";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let address: Option<SocketAddr> = arguments.next().and_then(|text| text.parse().ok());
    let (Some(address), None) = (address, arguments.next()) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    // The kernel may wake a sleeper 50 µs late by default, which would be told as the proxy's latency.
    if let Err(error) = rustix::thread::set_current_timer_slack(NonZeroU64::new(1)) {
        eprintln!("provider: timers stay coarse: {error}");
    }
    match TcpListener::bind(address).and_then(server::serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("provider: {address}: {error}");
            ExitCode::FAILURE
        }
    }
}
