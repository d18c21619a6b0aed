//! Values with variables in them, taken apart by the lowering.

use serde::Deserialize;

/// Parts that are written one after the other.
pub type Template = Vec<Part>;

/// A piece of text or a variable.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Part {
    /// As it stands.
    Text {
        /// Without CR, LF and NUL.
        value: String,
    },
    /// Something that the request knows.
    Variable {
        /// Which.
        name: Variable,
    },
    /// `${header:NAME}`: the request field's first value, else nothing.
    Header {
        /// Any case.
        name: String,
    },
    /// `${query:NAME}`: the first parameter of that name, decoded, else nothing.
    Query {
        /// Exact.
        name: String,
    },
    /// `${cookie:NAME}`.
    Cookie {
        /// Exact.
        name: String,
    },
    /// `${claim:NAME}`: what the token says that came in, else nothing.
    Claim {
        /// A name, or names with dots between them.
        name: String,
    },
    /// `${1}` or `${name}`: what a group of the route's path or host matched; a wildcard host is group `host`.
    Capture {
        /// A number or a name.
        name: String,
    },
}

/// What a request knows about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variable {
    /// The client's address, as trusted proxies tell it.
    ClientIp,
    /// The address at the other end of the connection.
    PeerIp,
    /// The port at the other end of the connection.
    PeerPort,
    /// The host that was asked for, lower case, without port.
    Host,
    /// The host that was asked for as written, with port.
    Authority,
    /// `http` or `https`, as trusted proxies tell it.
    Scheme,
    /// The method's name.
    Method,
    /// The normalised path.
    Path,
    /// The query without `?`.
    Query,
    /// The target as written.
    RequestUri,
    /// The request id.
    RequestId,
    /// The name of the route.
    Route,
    /// The name of the upstream, empty where none answers.
    Upstream,
    /// The name of the API key or the user that came, else nothing.
    User,
    /// The name of the listener.
    Listener,
    /// The response's status; nothing before there is one.
    Status,
    /// Milliseconds since the request's first byte, with three decimals.
    Duration,
    /// Seconds since 1970 with three decimals.
    Time,
    /// `HTTP/1.1`.
    Protocol,
    /// `TLSv1.3` or `TLSv1.2`; this and the next five are nothing on plain connections.
    TlsVersion,
    /// As IANA names the suite: `TLS_AES_128_GCM_SHA256`.
    TlsCipher,
    /// The subject of the client's certificate as RFC 4514 writes it; nothing where it has shown none.
    TlsClientSubject,
    /// The alternative names of the client's certificate: `DNS:a.example.com,URI:spiffe://a`.
    TlsClientSan,
    /// `success` where the client has shown a certificate, else `none`.
    TlsClientVerified,
    /// The name that the client asked for in its handshake, lower case.
    Sni,
    /// A dollar sign.
    Dollar,
}
