//! What is read before a connection is passed on: a PROXY header, a ClientHello. Both in bounded time and size.

use std::{future::poll_fn, task::Poll};

use tidegate_http1::proxy_protocol::{self, Parsed};
use tidegate_sni::HelloFault;

use super::{Passage, end::End, prepare::PreparedTcp};
use crate::{
    abuse,
    failure::Cause,
    worker::{Worker, WorkerPlan},
};

/// What came of waiting for more.
enum More {
    Some,
    /// The client has said all it had to say.
    End,
    Late,
}

/// Reads the PROXY header that must stand before everything else.
pub async fn proxy_header(worker: &Worker, plan: &WorkerPlan, passage: &mut Passage) -> Result<(), End> {
    if !plan.shared.trusted.contains(passage.peer.ip()) {
        return Err(End::UntrustedProxy);
    }
    passage.deadline.set(plan.shared.plan.server.head_timeout_ms);
    loop {
        match more(worker, passage).await? {
            More::Some => {}
            More::End => return Err(End::Failed(Cause::ClientGone)),
            More::Late => return Err(End::ProxyHeaderTimeout),
        }
        match proxy_protocol::parse(&passage.input).map_err(End::ProxyHeader)? {
            Parsed::Partial => {}
            Parsed::Done { len, source, destination } => {
                passage.input.drain(..len);
                if let Some(source) = source {
                    passage.client = source;
                    passage.destination = destination;
                    let open = worker.shared.traffic_connections();
                    passage.place = abuse::admit_client(&worker.shared, &plan.shared, source.ip(), open)
                        .map_err(End::Crowded)?;
                }
                return Ok(());
            }
        }
    }
}

/// The index of the target: by the name that the client asks for, else the default.
///
/// Where there is a default, it takes what is not TLS as well, and a client that says nothing at all in time: it may
/// be waiting for the server to speak first. With Encrypted Client Hello the name is the outer one, which is all there is to see.
pub async fn target(worker: &Worker, tcp: &PreparedTcp, passage: &mut Passage) -> Result<u32, End> {
    let otherwise = |end: End| tcp.default.ok_or(end);
    if tcp.plan.sni.is_empty() {
        return otherwise(End::NoServerName);
    }
    passage.deadline.set(tcp.plan.hello_ms);
    loop {
        if !passage.input.is_empty() {
            match tidegate_sni::read(&passage.input, tcp.plan.hello_bytes as usize) {
                Ok(None) => {}
                Ok(Some(hello)) => {
                    passage.is_tls = true;
                    passage.protocol = hello.protocol;
                    passage.server_name = hello.server_name;
                    let Some(name) = &passage.server_name else { return otherwise(End::NoServerName) };
                    return tcp.names.find(name).or(tcp.default).ok_or(End::UnknownServerName);
                }
                Err(HelloFault::NotTls) => return otherwise(End::Hello(HelloFault::NotTls)),
                Err(fault) => return Err(End::Hello(fault)),
            }
        }
        match more(worker, passage).await? {
            More::Some => {}
            More::End if passage.input.is_empty() => return Err(End::Failed(Cause::ClientGone)),
            More::End => return Err(End::Hello(HelloFault::Malformed)),
            More::Late if passage.input.is_empty() => return otherwise(End::HelloTimeout),
            More::Late => return Err(End::HelloTimeout),
        }
    }
}

async fn more(worker: &Worker, passage: &mut Passage) -> Result<More, End> {
    let Passage { stream, deadline, input, .. } = passage;
    poll_fn(|cx| {
        let mut scratch = worker.scratch.borrow_mut();
        match stream.poll_read(cx, &mut scratch) {
            Poll::Ready(Ok(0)) => Poll::Ready(Ok(More::End)),
            Poll::Ready(Ok(read)) => {
                input.extend_from_slice(&scratch[..read]);
                Poll::Ready(Ok(More::Some))
            }
            Poll::Ready(Err(_)) => Poll::Ready(Err(End::ClientReset)),
            Poll::Pending if worker.timers.is_cut() => Poll::Ready(Err(End::Shutdown)),
            Poll::Pending if deadline.poll_passed(cx) => Poll::Ready(Ok(More::Late)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
