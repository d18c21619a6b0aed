//! The handle of an access log, and the thread that writes it.

use std::{
    fmt,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tidegate_plan::{AccessLog, Address, LogSink};

use super::{
    Lines,
    queue::{Queue, Work},
    sink::{Sink, Unwritten, count_lines},
    tell,
};

/// How often a sink that fails is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How long a process that ends waits for its last lines.
const CLOSE_MOST: Duration = Duration::from_secs(2);

/// An open access log; clones share it. Its thread ends when the last of them and of its [`Lines`] has gone.
#[derive(Debug, Clone)]
pub struct Log(Arc<Handle>);

/// An access log that can't be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogError {
    /// Which: a path, `standard output`, a syslog server.
    pub path: String,
    /// What is wrong with it.
    pub why: String,
}

#[derive(Debug)]
struct Handle {
    plan: AccessLog,
    queue: Arc<Queue>,
}

impl Log {
    /// Opens the sink and starts the thread that writes to it.
    pub fn open(plan: &AccessLog) -> Result<Self, LogError> {
        let failed = |why: String| LogError { path: sink_name(&plan.sink), why };
        let sink = Sink::open(&plan.sink).map_err(|error| failed(error.to_string()))?;
        let queue = Arc::new(Queue::new(plan.buffer_bytes as usize));
        let writer = Writer { queue: queue.clone(), sink, outage: None };
        let started = thread::Builder::new().name("tidegate-log".into()).spawn(move || writer.run());
        started.map_err(|error| failed(format!("its thread can't be started: {error}")))?;
        Ok(Self(Arc::new(Handle { plan: plan.clone(), queue })))
    }

    /// Lines for one worker.
    pub fn lines(&self) -> Lines {
        Lines::new(self.clone())
    }

    /// What it was opened from; a new plan with the same sink and bounds goes on with this log.
    pub fn plan(&self) -> &AccessLog {
        &self.0.plan
    }

    /// Lets go of a file that was renamed and opens a new one at its path; done by the thread, soon.
    pub fn reopen(&self) {
        self.0.queue.reopen();
    }

    /// Lines that were lost since it was opened.
    pub fn dropped(&self) -> u64 {
        self.0.queue.dropped()
    }

    /// Waits, for two seconds at most, until what workers have handed over is written.
    pub fn flush_and_close(self) {
        self.0.queue.wait_until_written(CLOSE_MOST);
    }

    pub(super) fn queue(&self) -> &Arc<Queue> {
        &self.0.queue
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the access log {} can't be opened: {}", self.path, self.why)
    }
}

impl std::error::Error for LogError {}

struct Writer {
    queue: Arc<Queue>,
    sink: Sink,
    outage: Option<Outage>,
}

/// The sink takes nothing.
struct Outage {
    lost: u64,
    retry: Instant,
}

impl Writer {
    /// Waits for buffers; every one that comes is written once or dropped, so that a failing sink is no busy loop.
    fn run(mut self) {
        let queue = self.queue.clone();
        while let Some(Work { reopen, lines }) = queue.next() {
            if reopen {
                self.reopen();
            }
            if let Some(lines) = &lines {
                self.write(lines);
            }
            queue.finished(lines);
        }
    }

    fn reopen(&mut self) {
        match self.sink.reopen() {
            // Try at once: the new file may well be on a disk with room.
            Ok(()) => {
                if let Some(outage) = &mut self.outage {
                    outage.retry = Instant::now();
                }
            }
            Err(error) => {
                let text = format!("the access log {} can't be opened anew: {error}", self.sink.name());
                tell("error", "access_log", &text);
            }
        }
    }

    fn write(&mut self, lines: &[u8]) {
        let now = Instant::now();
        if let Some(outage) = self.outage.as_mut().filter(|outage| now < outage.retry) {
            let lost = count_lines(lines);
            outage.lost += lost;
            self.queue.lost(lost);
            return;
        }
        let written = self.sink.write(lines);
        match (written, self.outage.take()) {
            (Ok(()), None) => {}
            (Ok(()), Some(outage)) => {
                let text = format!(
                    "the access log {} is written again; {} lines were lost",
                    self.sink.name(),
                    outage.lost
                );
                tell("info", "access_log", &text);
            }
            (Err(Unwritten { lines, error }), outage) => {
                self.queue.lost(lines);
                if outage.is_none() {
                    let name = self.sink.name();
                    let text = format!("the access log {name} can't be written, lines are lost: {error}");
                    tell("error", "access_log", &text);
                }
                let before = outage.map_or(0, |outage| outage.lost);
                self.outage = Some(Outage { lost: before + lines, retry: now + RETRY });
            }
        }
    }
}

fn sink_name(sink: &LogSink) -> String {
    match sink {
        LogSink::File { path } => path.clone(),
        LogSink::Stdout => "standard output".into(),
        LogSink::Syslog { address: Address::Unix { path }, .. } => format!("syslog socket {path}"),
        LogSink::Syslog {
            address: Address::Ip { ip: host, port } | Address::Name { host, port }, ..
        } => {
            format!("syslog server {host} port {port}")
        }
    }
}
