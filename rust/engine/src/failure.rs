//! Whose fault it was, and what is said about it: every refusal and failure has a name that logs print and tests assert.

use tidegate_auth::jwt::TokenError;
use tidegate_http1::{Refusal, ResponseFault};

/// Who is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The client, or nobody: it asked for what is not to be had.
    Client,
    /// The upstream.
    Upstream,
    /// Tidegate itself: its limits, its policy.
    Gateway,
}

/// Why an exchange did not end as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// Who is to blame.
    pub side: Side,
    /// What happened.
    pub cause: Cause,
}

/// What happened. One variant per cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The request is no request, or one that could be read in two ways.
    Refused(Refusal),
    /// The path can't be normalised.
    BadPath(&'static str),
    /// Plain HTTP came to a listener for TLS.
    PlainHttp,
    /// Another host was asked for than the one that the connection was made for, where clients show certificates.
    Misdirected,
    /// No route takes it.
    NoRoute,
    /// The request has been here too often.
    LoopDetected,
    /// The client's address is not let in.
    AddressDenied,
    /// No credential came, or a wrong one.
    Unauthorized,
    /// The token lets nobody in.
    Token(TokenError),
    /// The keys that tokens are checked with could not be fetched.
    KeysUnavailable,
    /// Too many passwords wait to be checked.
    PasswordsFull,
    /// The password was not checked in time.
    PasswordsLate,
    /// Whoever decides about requests can't be reached.
    AuthUnreachable,
    /// Whoever decides about requests did not answer in time.
    AuthTimeout,
    /// Whoever decides about requests takes no more questions.
    AuthFull,
    /// Whoever decides about requests answered neither yes nor no.
    AuthStatus,
    /// Whoever decides about requests answered what is no answer.
    AuthAnswer,
    /// A page of another origin asked whether it may send such a request; it may not.
    OriginRefused,
    /// The key's time is over.
    KeyExpired,
    /// The provider's answer is larger than is held.
    AnswerTooLarge,
    /// The provider failed in the middle of its stream, and said so.
    ProviderFailed,
    /// A guard stopped the answer on its way.
    GuardBlocked,
    /// Too many bytes of request bodies are held already.
    BodiesFull,
    /// A token bucket is empty.
    RateLimited,
    /// Too many of one key in flight.
    TooManyInFlight,
    /// Too many keys have requests in flight.
    TooManyKeys,
    /// The body is larger than the route takes.
    BodyTooLarge,
    /// The body's chunks are no chunks.
    BadChunk(&'static str),
    /// The body did not come in time.
    BodyTimeout,
    /// The body came, but too slowly.
    BodyTooSlow,
    /// The head did not come in time.
    HeadTimeout,
    /// The client ended the connection before its request was whole.
    ClientGone,
    /// The client does not take the response.
    SendTimeout,
    /// The client takes the response, but too slowly.
    SendTooSlow,
    /// There is too little memory left to serve it.
    Overloaded,
    /// The hook refused.
    HookRefused,
    /// The hook raised.
    HookFailed,
    /// The hook was late.
    HookTimeout,
    /// Too many calls wait for hooks.
    HooksFull,
    /// The hook named an upstream that does not exist.
    HookUpstream,
    /// The client wanted the answer only from the cache, where it is not.
    OnlyIfCached,
    /// The upstream has no endpoint (its name has no address yet, or none any more).
    NoEndpoint,
    /// No connection.
    ConnectFailed,
    /// No connection in time.
    ConnectTimeout,
    /// No connection, because this process has no descriptor, port or memory for it.
    OutOfDescriptors,
    /// A connection, but no TLS.
    TlsHandshakeFailed,
    /// The upstream's certificate is not one that is trusted for it.
    TlsCertificateRefused,
    /// All connections to the endpoint are in use and the queue is full.
    UpstreamFull,
    /// All connections to the endpoint are in use and none got free in time.
    QueueTimeout,
    /// The connection ended before the response's first byte.
    UpstreamReset,
    /// The response's head took too long.
    UpstreamTimeout,
    /// All attempts together took too long.
    TotalTimeout,
    /// The response is no response.
    BadResponse(ResponseFault),
    /// Informational responses without end.
    EndlessInformational,
    /// A `101` that nobody asked for.
    UnexpectedUpgrade,
    /// The response ended before its length, or its chunks are none.
    UpstreamCut,
    /// The response's body stalled.
    UpstreamStalled,
    /// Tidegate ends: at once, or because the time to drain is over.
    Shutdown,
    /// A bug in Tidegate.
    Panicked,
}

impl Cause {
    /// As logs, metrics and answers name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.as_str(),
            Self::BadPath(name) | Self::BadChunk(name) => name,
            Self::PlainHttp => "plain_http",
            Self::Misdirected => "misdirected",
            Self::NoRoute => "no_route",
            Self::LoopDetected => "loop_detected",
            Self::AddressDenied => "address_denied",
            Self::Unauthorized => "unauthorized",
            Self::Token(error) => error.as_str(),
            Self::KeysUnavailable => "keys_unavailable",
            Self::PasswordsFull => "passwords_full",
            Self::PasswordsLate => "passwords_late",
            Self::AuthUnreachable => "auth_unreachable",
            Self::AuthTimeout => "auth_timeout",
            Self::AuthFull => "auth_full",
            Self::AuthStatus => "auth_status",
            Self::AuthAnswer => "auth_answer",
            Self::OriginRefused => "origin_refused",
            Self::KeyExpired => "key_expired",
            Self::AnswerTooLarge => "answer_too_large",
            Self::ProviderFailed => "provider_failed",
            Self::GuardBlocked => "guard_blocked",
            Self::BodiesFull => "bodies_full",
            Self::RateLimited => "rate_limited",
            Self::TooManyInFlight => "too_many_in_flight",
            Self::TooManyKeys => "too_many_keys",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTimeout => "body_timeout",
            Self::BodyTooSlow => "body_too_slow",
            Self::HeadTimeout => "head_timeout",
            Self::ClientGone => "client_gone",
            Self::SendTimeout => "send_timeout",
            Self::SendTooSlow => "send_too_slow",
            Self::Overloaded => "overloaded",
            Self::HookRefused => "hook_refused",
            Self::HookFailed => "hook_failed",
            Self::HookTimeout => "hook_timeout",
            Self::HooksFull => "hooks_full",
            Self::HookUpstream => "hook_unknown_upstream",
            Self::OnlyIfCached => "only_if_cached",
            Self::NoEndpoint => "no_endpoint",
            Self::ConnectFailed => "connect_failed",
            Self::ConnectTimeout => "connect_timeout",
            Self::OutOfDescriptors => "out_of_descriptors",
            Self::TlsHandshakeFailed => "tls_handshake_failed",
            Self::TlsCertificateRefused => "tls_certificate_refused",
            Self::UpstreamFull => "upstream_full",
            Self::QueueTimeout => "queue_timeout",
            Self::UpstreamReset => "upstream_reset",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::TotalTimeout => "total_timeout",
            Self::BadResponse(fault) => fault.as_str(),
            Self::EndlessInformational => "endless_informational",
            Self::UnexpectedUpgrade => "unexpected_upgrade",
            Self::UpstreamCut => "upstream_cut",
            Self::UpstreamStalled => "upstream_stalled",
            Self::Shutdown => "shutdown",
            Self::Panicked => "panicked",
        }
    }

    /// The status that the client is answered with.
    pub fn status(self) -> u16 {
        match self {
            Self::Refused(refusal) => refusal.status(),
            Self::BadPath(_) | Self::BadChunk(_) | Self::ClientGone | Self::PlainHttp => 400,
            Self::Misdirected => 421,
            Self::NoRoute => 404,
            Self::LoopDetected => 508,
            Self::AddressDenied
            | Self::HookRefused
            | Self::GuardBlocked
            | Self::OriginRefused
            | Self::Token(TokenError::Scope) => 403,
            Self::Unauthorized | Self::KeyExpired | Self::Token(_) => 401,
            Self::RateLimited | Self::TooManyInFlight => 429,
            Self::BodyTooLarge => 413,
            Self::BodyTimeout
            | Self::BodyTooSlow
            | Self::HeadTimeout
            | Self::SendTimeout
            | Self::SendTooSlow => 408,
            Self::HookUpstream | Self::Panicked => 500,
            Self::Shutdown
            | Self::TooManyKeys
            | Self::Overloaded
            | Self::OutOfDescriptors
            | Self::KeysUnavailable
            | Self::PasswordsFull
            | Self::PasswordsLate
            | Self::AuthFull
            | Self::BodiesFull
            | Self::HookFailed
            | Self::HookTimeout
            | Self::HooksFull
            | Self::NoEndpoint
            | Self::UpstreamFull
            | Self::QueueTimeout => 503,
            Self::ConnectFailed
            | Self::AuthUnreachable
            | Self::AuthStatus
            | Self::AuthAnswer
            | Self::TlsHandshakeFailed
            | Self::TlsCertificateRefused
            | Self::UpstreamReset
            | Self::BadResponse(_)
            | Self::EndlessInformational
            | Self::UnexpectedUpgrade
            | Self::AnswerTooLarge
            | Self::ProviderFailed
            | Self::UpstreamCut => 502,
            Self::ConnectTimeout
            | Self::AuthTimeout
            | Self::UpstreamTimeout
            | Self::TotalTimeout
            | Self::UpstreamStalled
            | Self::OnlyIfCached => 504,
        }
    }

    /// What the client is told, in a sentence.
    pub fn detail(self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.detail(),
            Self::BadPath(_) => "The path can't be read in one way only.",
            Self::BadChunk(_) => "The body's chunks are not framed as RFC 9112 section 7.1 has it.",
            Self::PlainHttp => "This port takes TLS; the request came in plain HTTP.",
            Self::Misdirected => "This connection was made for another host.",
            Self::NoRoute => "No route takes this request.",
            Self::LoopDetected => "The request has come back to where it was before.",
            Self::AddressDenied => "Requests from this address are not let in.",
            Self::Unauthorized => "A valid credential is needed.",
            Self::Token(error) => error.detail(),
            Self::KeysUnavailable => "Tokens can't be checked at present.",
            Self::PasswordsFull | Self::PasswordsLate => "Passwords can't be checked at present.",
            Self::AuthUnreachable
            | Self::AuthTimeout
            | Self::AuthFull
            | Self::AuthStatus
            | Self::AuthAnswer => "Whoever decides about this request could not be asked.",
            Self::OriginRefused => "Pages of this origin may not send such a request.",
            Self::KeyExpired => "The key has expired.",
            Self::AnswerTooLarge => "The provider's answer is larger than is held.",
            Self::ProviderFailed => "The provider failed in the middle of its answer.",
            Self::GuardBlocked => "A guard stopped the answer.",
            Self::BodiesFull => "Too many large requests are held already.",
            Self::RateLimited => "Too many requests; try again after the time given in Retry-After.",
            Self::TooManyInFlight | Self::TooManyKeys => "Too many requests are in flight already.",
            Self::BodyTooLarge => "The request's body is larger than is taken here.",
            Self::BodyTimeout => "The request's body did not come in time.",
            Self::BodyTooSlow => "The request's body came too slowly.",
            Self::HeadTimeout => "The request's head did not come in time.",
            Self::ClientGone => "The request ended before it was whole.",
            Self::SendTimeout => "The response was not taken in time.",
            Self::SendTooSlow => "The response was taken too slowly.",
            Self::Overloaded | Self::OutOfDescriptors => {
                "The gateway has no room for this request at present."
            }
            Self::HookRefused => "The request was refused by policy.",
            Self::HookFailed | Self::HookTimeout | Self::HooksFull | Self::HookUpstream => {
                "The policy of this route could not be asked."
            }
            Self::OnlyIfCached => "What was wanted from the cache only is not there.",
            Self::NoEndpoint => "The upstream has no address at present.",
            Self::ConnectFailed => "The upstream can't be reached.",
            Self::TlsHandshakeFailed | Self::TlsCertificateRefused => {
                "No secure connection to the upstream could be made."
            }
            Self::ConnectTimeout => "The upstream could not be reached in time.",
            Self::UpstreamFull | Self::QueueTimeout => "The upstream takes no more requests at present.",
            Self::UpstreamReset => "The upstream closed the connection without an answer.",
            Self::UpstreamTimeout | Self::TotalTimeout => "The upstream did not answer in time.",
            Self::BadResponse(_) | Self::EndlessInformational | Self::UnexpectedUpgrade => {
                "The upstream's answer is not valid HTTP."
            }
            Self::UpstreamCut | Self::UpstreamStalled => "The upstream's answer did not come to its end.",
            Self::Shutdown => "The gateway ends before the answer could come to its end.",
            Self::Panicked => "The gateway failed.",
        }
    }
}

impl Failure {
    /// The client's.
    pub fn client(cause: Cause) -> Self {
        Self { side: Side::Client, cause }
    }

    /// The upstream's.
    pub fn upstream(cause: Cause) -> Self {
        Self { side: Side::Upstream, cause }
    }

    /// Tidegate's.
    pub fn gateway(cause: Cause) -> Self {
        Self { side: Side::Gateway, cause }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::client(Cause::Refused(refusal))
    }
}
