//! How a connection that is passed on ends: every end has a name.

use tidegate_http1::proxy_protocol::ProxyFault;
use tidegate_sni::HelloFault;

use crate::{abuse::Crowd, failure::Cause};

/// Why a connection that was to be passed on is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Both sides have said all they had to say, the client first.
    ByClient,
    /// The same, the upstream first.
    ByUpstream,
    /// The client broke it off.
    ClientReset,
    /// The upstream broke it off.
    UpstreamReset,
    /// Neither side said anything for so long.
    IdleTimeout,
    /// The gateway drained, or a reload took the listener away, and the time for that was over.
    DrainDeadline,
    /// The gateway was told to stop at once.
    Shutdown,
    /// The client's address is that of no trusted proxy, and a PROXY header is asked for.
    UntrustedProxy,
    /// The PROXY header is none.
    ProxyHeader(ProxyFault),
    /// It did not come in time.
    ProxyHeaderTimeout,
    /// What the client said is no ClientHello, where one is needed.
    Hello(HelloFault),
    /// The ClientHello did not come in time.
    HelloTimeout,
    /// The client says no name, and there is nothing for those who don't.
    NoServerName,
    /// There is nothing for the name.
    UnknownServerName,
    /// The listener has as many connections as it may.
    ListenerFull,
    /// The client that the PROXY header tells of has as many connections as it may.
    Crowded(Crowd),
    /// Refused by a limit, or no way to an endpoint.
    Failed(Cause),
}

impl End {
    /// As logs and metrics name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ByClient => "client_end",
            Self::ByUpstream => "upstream_end",
            Self::ClientReset => "client_reset",
            Self::UpstreamReset => "upstream_reset",
            Self::IdleTimeout => "idle_timeout",
            Self::DrainDeadline => "drain_deadline",
            Self::Shutdown => "shutdown",
            Self::UntrustedProxy => "proxy_header_untrusted",
            Self::ProxyHeader(fault) => fault.as_str(),
            Self::ProxyHeaderTimeout => "proxy_header_timeout",
            Self::Hello(fault) => fault.as_str(),
            Self::HelloTimeout => "client_hello_timeout",
            Self::NoServerName => "no_server_name",
            Self::UnknownServerName => "unknown_server_name",
            Self::ListenerFull => "listener_full",
            Self::Crowded(crowd) => crowd.as_str(),
            Self::Failed(cause) => cause.as_str(),
        }
    }

    /// The status that stands in the log, as nginx's stream module has it: 200 passed on, 400 could not be read,
    /// 403 not let in, 502 no way to an endpoint, 503 too many, 500 ended by the gateway.
    pub fn status(self) -> u16 {
        match self {
            Self::ByClient
            | Self::ByUpstream
            | Self::ClientReset
            | Self::UpstreamReset
            | Self::IdleTimeout => 200,
            Self::DrainDeadline | Self::Shutdown => 500,
            Self::ProxyHeader(_) | Self::ProxyHeaderTimeout | Self::Hello(_) | Self::HelloTimeout => 400,
            Self::NoServerName | Self::UnknownServerName | Self::UntrustedProxy => 403,
            Self::ListenerFull | Self::Crowded(_) => 503,
            Self::Failed(Cause::RateLimited | Cause::TooManyInFlight) => 503,
            Self::Failed(cause @ (Cause::AddressDenied | Cause::ClientGone)) => cause.status(),
            Self::Failed(cause) if cause.status() == 503 && cause != Cause::NoEndpoint => 503,
            Self::Failed(_) => 502,
        }
    }

    /// Whether the connection was not passed on.
    pub fn is_refusal(self) -> bool {
        self.status() != 200 && !matches!(self, Self::DrainDeadline | Self::Shutdown)
    }

    /// Whether what was sent may not be all there was, so that the other side must see a break and no end.
    pub fn is_cut(self) -> bool {
        matches!(self, Self::ClientReset | Self::UpstreamReset | Self::DrainDeadline | Self::Shutdown)
    }
}
