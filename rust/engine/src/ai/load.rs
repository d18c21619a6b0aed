//! How busy own inference servers say they are: a slow correction to what the gateway sees itself.

use std::{
    future::poll_fn,
    io::IoSlice,
    net::SocketAddr,
    sync::{Arc, Weak, atomic::Ordering::Relaxed},
    time::Duration,
};

use crate::background::{self, Task};
use tidegate_dialect::load::{Load, TEXT_BYTES, parse};
use tidegate_plan::{Address, Ai, Upstream};

use super::{prepare::PreparedModel, state::TargetState};
use crate::io::{self, Stream, Target};

/// A look that takes longer says nothing.
const LOOK_MOST: Duration = Duration::from_secs(2);

/// What a call that waits is taken to need where none was measured yet, in nanoseconds.
const CALL_NS: u64 = 500_000_000;

/// The looks that are under way; they end with the plan that asked for them.
#[derive(Debug, Default)]
pub struct Looks(#[allow(dead_code)] Vec<Task>); // tasks end when they are dropped

impl Looks {
    /// Begins to look at the servers of all providers that are to be looked at.
    pub fn begin(ai: &Ai, upstreams: &[Upstream], models: &[PreparedModel]) -> Self {
        let mut looks = Vec::new();
        for (index, provider) in ai.providers.iter().enumerate() {
            let (Some(probe), Some(upstream)) = (&provider.load, provider.upstream) else { continue };
            let Some(upstream) = upstreams.get(upstream as usize) else { continue };
            if upstream.tls.is_some() {
                let text =
                    format!("ai.providers.{}: load is read from servers without TLS only", provider.name);
                crate::log::tell("warn", "load", &text);
                continue;
            }
            let states: Vec<Weak<TargetState>> = (ai.models.iter().zip(models))
                .flat_map(|(model, prepared)| model.targets.iter().zip(&prepared.states))
                .filter(|(target, _)| target.provider as usize == index)
                .map(|(_, state)| Arc::downgrade(state))
                .collect();
            let endpoints: Vec<(Address, String)> = upstream
                .endpoints
                .iter()
                .map(|endpoint| (endpoint.address.clone(), endpoint.authority.clone()))
                .collect();
            let (path, every) =
                (probe.path.clone(), Duration::from_millis(u64::from(probe.interval_ms.max(100))));
            let looking = move || async move {
                loop {
                    look(&endpoints, &path, &states).await;
                    tokio::time::sleep(every).await;
                }
            };
            looks.extend(background::spawn_local(looking));
        }
        Self(looks)
    }
}

/// One round: the idlest server tells how long a call would wait.
async fn look(endpoints: &[(Address, String)], path: &str, states: &[Weak<TargetState>]) {
    let mut least: Option<Load> = None;
    for (address, authority) in endpoints {
        let told = tokio::time::timeout(LOOK_MOST, ask(address, authority, path)).await;
        let Some(load) = told.ok().flatten() else { continue };
        if least.is_none_or(|least| load.waiting < least.waiting) {
            least = Some(load);
        }
    }
    for state in states.iter().filter_map(Weak::upgrade) {
        let queue = least.map_or(0, |load| {
            let one = state.first_token().unwrap_or(CALL_NS);
            load.waiting.saturating_mul(one) / 1_000_000
        });
        state.queue_ms.store(queue, Relaxed);
    }
}

async fn ask(address: &Address, authority: &str, path: &str) -> Option<Load> {
    let target = match address {
        Address::Ip { ip, port } => Target::Ip(SocketAddr::new(ip.parse().ok()?, *port)),
        Address::Name { host, port } => {
            Target::Ip(tokio::net::lookup_host((host.as_str(), *port)).await.ok()?.next()?)
        }
        Address::Unix { path } => Target::Unix(path.into()),
    };
    let mut stream = io::connect_outside(&target, &[], None).await.ok()?;
    let request = format!(
        "GET {path} HTTP/1.0\r\nHost: {authority}\r\nAccept: text/plain\r\nUser-Agent: tidegate-load\r\nConnection: close\r\n\r\n"
    );
    let mut rest = request.as_bytes();
    while !rest.is_empty() {
        let sent = poll_fn(|cx| stream.poll_write(cx, &[IoSlice::new(rest)])).await.ok()?;
        rest = rest.get(sent..).filter(|_| sent > 0)?;
    }
    let text = read(&mut stream).await?;
    let head = memchr::memmem::find(&text, b"\r\n\r\n")?;
    // Chunk sizes between the lines, where a server sends some to a client of HTTP/1.0, are no series and are passed over.
    parse(text.get(head + 4..)?)
}

async fn read(stream: &mut Stream) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    while text.len() < TEXT_BYTES {
        match poll_fn(|cx| stream.poll_read(cx, &mut buffer)).await.ok()? {
            0 => break,
            read => text.extend_from_slice(&buffer[..read]),
        }
    }
    Some(text)
}
