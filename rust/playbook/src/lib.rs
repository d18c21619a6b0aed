//! Plays dialogues with the whole engine: what happens, what the gateway must do, what happens next.
//!
//! Knows: the engine, a network in memory, time that a test moves by hand.
//! Never: sockets, waiting, anything that ships.
//!
//! A test says what each side sends and what each side must have got:
//!
//! ```ignore
//! play(plan(), async |play| {
//!     let client = play.client();
//!     client.sends("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
//!     let upstream = play.upstream().await;
//!     upstream.got("GET / HTTP/1.1\r\nHost: a\r\n…").await;
//!     upstream.sends("HTTP/1.1 204 No Content\r\n\r\n").await;
//!     client.got("HTTP/1.1 204 No Content\r\n\r\n").await;
//! });
//! ```

mod ai;
mod plan;

use std::{cell::Cell, net::SocketAddr, rc::Rc, time::Duration};

pub use ai::{
    AI_STREAM_HEAD, KEY_A, KEY_B, ai_answer, ai_body, ai_chat, ai_end, ai_model, ai_piece, ai_plan, ai_price,
    ai_refusal, ai_request, ai_stream,
};
pub use plan::{plan, route};
pub use tidegate_engine::io::{Target, memory::Listening};
use tidegate_engine::{
    Engine,
    io::memory::{self, Entrance, Pipe},
};

/// Rounds of the scheduler after which everything that can happen without time passing has happened.
const ROUNDS: usize = 64;

/// A running engine and the network around it.
pub struct Play {
    /// For what the control plane does: drain, metrics.
    pub engine: Engine,
    entrance: Entrance,
    clients: Cell<u16>,
}

/// One end of a connection, in the hands of a test.
pub struct End {
    pipe: Pipe,
    name: &'static str,
}

/// Plays `script` with an engine that runs `plan`, a value of the plan's JSON.
pub fn play(plan: serde_json::Value, script: impl AsyncFnOnce(&Play)) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()
    {
        Ok(runtime) => runtime,
        Err(error) => panic!("no runtime: {error}"),
    };
    let local = tokio::task::LocalSet::new();
    memory::install();
    for port in [80, 81, 82] {
        memory::listen(endpoint(port), Listening::Open);
    }
    local.block_on(&runtime, async {
        let entrance = Entrance::default();
        let made = Engine::in_memory(plan.to_string().as_bytes(), std::slice::from_ref(&entrance));
        let (engine, worker) = match made {
            Ok(made) => made,
            Err(error) => panic!("the plan was refused: {error}"),
        };
        tokio::task::spawn_local(worker);
        let play = Play { engine, entrance, clients: Cell::new(0) };
        settle().await;
        script(&play).await;
    });
}

/// Where the endpoint with this port is: 10.0.0.1.
pub fn endpoint(port: u16) -> Target {
    Target::Ip(SocketAddr::from(([10, 0, 0, 1], port)))
}

/// Lets everything happen that can happen without time passing.
pub async fn settle() {
    for _ in 0..ROUNDS {
        tokio::task::yield_now().await;
    }
}

fn without_dates(text: &str) -> String {
    text.split_inclusive("\r\n").filter(|line| !line.starts_with("Date: ")).collect()
}

impl Play {
    /// A client at 192.0.2.1.
    pub async fn client(&self) -> Rc<End> {
        let number = self.clients.get() + 1;
        self.clients.set(number);
        self.client_at(SocketAddr::from(([192, 0, 2, 1], 10_000 + number))).await
    }

    /// A client at `address`.
    pub async fn client_at(&self, address: SocketAddr) -> Rc<End> {
        let pipe = self.entrance.connect(address);
        settle().await;
        Rc::new(End { pipe, name: "the client" })
    }

    /// The next connection that the gateway opened to the endpoint at port 80.
    pub async fn upstream(&self) -> Rc<End> {
        self.upstream_at(80).await
    }

    /// The next connection that the gateway opened to the endpoint at `port`.
    pub async fn upstream_at(&self, port: u16) -> Rc<End> {
        match self.connection_to(port).await {
            Some(end) => end,
            None => panic!("the gateway has opened no connection to port {port}"),
        }
    }

    /// The next connection to `port`, if there is one.
    pub async fn connection_to(&self, port: u16) -> Option<Rc<End>> {
        settle().await;
        memory::accept(&endpoint(port)).map(|pipe| Rc::new(End { pipe, name: "the upstream" }))
    }

    /// No connection was opened to port 80 (beyond those that the test has).
    pub async fn no_upstream(&self) {
        assert!(
            self.connection_to(80).await.is_none(),
            "the gateway has opened a connection to its upstream"
        );
    }

    /// Lets time pass, and what it brings happen.
    pub async fn passes(&self, time: Duration) {
        // In small steps, so that what one deadline brings about happens before the next.
        let step = Duration::from_millis(50);
        let mut left = time;
        while !left.is_zero() {
            let now = left.min(step);
            tokio::time::advance(now).await;
            settle().await;
            left -= now;
        }
    }

    /// Says how the endpoint at `port` takes connections from now on.
    pub fn endpoint_is(&self, port: u16, listening: Listening) {
        memory::listen(endpoint(port), listening);
    }

    /// Lets `milliseconds` pass in which a deadline must not strike, and then as long as it may be late.
    pub async fn passes_exactly(&self, milliseconds: u64, early: impl AsyncFnOnce()) {
        self.passes(Duration::from_millis(milliseconds - 1)).await;
        early().await;
        self.passes(Duration::from_millis(101)).await;
    }

    /// How many exchanges have ended.
    pub fn requests(&self) -> u64 {
        self.count("tidegate_worker_requests_total{worker=\"0\"}")
    }

    /// How many exchanges were refused or failed for `reason`.
    pub fn refused(&self, reason: &str) -> u64 {
        self.count(&format!("tidegate_refusals_total{{reason=\"{reason}\"}}"))
    }

    /// How many client connections were closed for `reason`.
    pub fn closed(&self, reason: &str) -> u64 {
        self.count(&format!("tidegate_connection_closes_total{{reason=\"{reason}\"}}"))
    }

    /// How many attempts were followed by another because of `reason`.
    pub fn retried(&self, reason: &str) -> u64 {
        self.count(&format!("tidegate_retries_total{{reason=\"{reason}\"}}"))
    }

    /// Everything that is counted, as `tidegate status` gets it.
    pub fn stats(&self) -> serde_json::Value {
        serde_json::from_slice(&self.engine.stats()).unwrap_or_default()
    }

    fn count(&self, sample: &str) -> u64 {
        self.metric(sample).map_or(0, |value| value as u64)
    }

    /// One sample of the metrics, by the whole of what stands before its value.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let text = String::from_utf8_lossy(&self.engine.metrics()).into_owned();
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }
}

impl End {
    /// Sends, and lets happen what follows.
    pub async fn sends(&self, bytes: impl AsRef<[u8]>) {
        self.pipe.send(bytes.as_ref());
        settle().await;
    }

    /// Exactly this has come since the last look.
    pub async fn got(&self, expected: impl AsRef<[u8]>) {
        let got = self.takes().await;
        let expected = String::from_utf8_lossy(expected.as_ref()).into_owned();
        assert_eq!(got, expected, "{} got the left, the right was expected", self.name);
    }

    /// Nothing has come since the last look.
    pub async fn got_nothing(&self) {
        self.got("").await;
    }

    /// What has come begins with this; the rest of it is handed back.
    pub async fn got_start(&self, expected: &str) -> String {
        let got = self.takes().await;
        match got.strip_prefix(expected) {
            Some(rest) => rest.to_owned(),
            None => panic!("{} got {got:?}, which does not begin with {expected:?}", self.name),
        }
    }

    /// A problem of this status and reason has come, and nothing behind it.
    pub async fn got_problem(&self, status: u16, reason: &str) -> String {
        let head = self.got_start(&format!("HTTP/1.1 {status} ")).await;
        let (_, body) = head.split_once("\r\n\r\n").unwrap_or_default();
        let told = format!("\"status\":{status},\"reason\":\"{reason}\"");
        let whole = body.contains(&told) && body.find("\"}\n") == body.len().checked_sub(3);
        assert!(whole, "{} got {head:?}, not {reason}", self.name);
        head
    }

    /// Everything that has come since the last look, but for `Date`, which is the one thing that a clock decides.
    pub async fn takes(&self) -> String {
        without_dates(&String::from_utf8_lossy(&self.takes_bytes().await))
    }

    /// Everything that has come since the last look, to the byte.
    pub async fn takes_bytes(&self) -> Vec<u8> {
        settle().await;
        let got = self.pipe.take();
        settle().await;
        got
    }

    /// Says that nothing more will be sent.
    pub async fn finishes(&self) {
        self.pipe.finish();
        settle().await;
    }

    /// Breaks the connection.
    pub async fn resets(&self) {
        self.pipe.reset();
        settle().await;
    }

    /// Bytes that this end takes before the gateway has to wait.
    pub fn takes_at_most(&self, bytes: usize) {
        self.pipe.set_capacity(bytes);
    }

    /// The gateway has ended its side, or the whole connection.
    pub async fn is_closed(&self) -> bool {
        settle().await;
        self.pipe.is_ended()
    }

    /// The gateway has broken the connection off: what came may not be all there was.
    pub async fn is_broken(&self) -> bool {
        settle().await;
        self.pipe.is_reset()
    }

    /// The gateway's reads and writes on this connection so far: what would be system calls.
    pub fn calls(&self) -> (usize, usize) {
        self.pipe.calls()
    }
}
