//! What the log knows of an exchange that has ended.

use std::{
    net::IpAddr,
    time::{Duration, SystemTime},
};

use tidegate_message::RequestHead;

/// An exchange that has ended, as the log sees it. What is not known is empty.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The request's head; none, or an empty one, where it could not be read.
    pub head: Option<&'a RequestHead>,
    /// What was spoken, where there is no head to say it.
    pub protocol: &'a str,
    /// The client's address, as trusted proxies tell it.
    pub client_ip: IpAddr,
    /// The name of the API key or the user.
    pub user: &'a str,
    /// When the exchange ended.
    pub time: SystemTime,
    /// From the request's first byte to the end.
    pub duration: Duration,
    /// The response's status.
    pub status: u16,
    /// Bytes of the response's body that were sent to the client.
    pub bytes_sent: u64,
    /// Bytes of the request's body that came from the client.
    pub bytes_received: u64,
    /// The name of the route.
    pub route: &'a str,
    /// The name of the upstream.
    pub upstream: &'a str,
    /// The address of the last attempt.
    pub endpoint: &'a str,
    /// From the last attempt's start to its response's head; none where there was no response.
    pub upstream_duration: Option<Duration>,
    /// Attempts at the upstream.
    pub attempts: u32,
    /// Why it was refused, closed or failed; empty where nothing special happened.
    pub reason: &'a str,
    /// The request id.
    pub request_id: &'a str,
    /// The trace context that was passed on.
    pub traceparent: &'a [u8],
    /// The host that was asked for, lower case, without port.
    pub host: &'a [u8],
    /// The name of the listener.
    pub listener: &'a str,
}

impl<'a> Record<'a> {
    /// The head, where there is one to speak of.
    pub(super) fn read_head(&self) -> Option<&'a RequestHead> {
        self.head.filter(|head| !head.method_name.is_empty())
    }
}

/// The request line as it came, without its end.
pub(super) fn request_line(head: &RequestHead) -> &[u8] {
    // Behind the target stand one space and a version of eight characters; the parser lets nothing else through.
    let start = head.method_name.start as usize;
    let end = head.target.end as usize + 1 + head.version.as_str().len();
    head.bytes.get(start..end).unwrap_or_default()
}
