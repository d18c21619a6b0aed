//! Why a handshake failed, in words that say what to do.

use std::fmt;

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

use super::{HandshakeEnd, facts};

/// Why a handshake failed. Its text names the reason first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The peer's certificate is not one that is trusted for it.
    Certificate(String),
    /// Anything else.
    Failed(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(why) | Self::Failed(why) => f.write_str(why),
        }
    }
}

impl From<&HandshakeEnd> for Fault {
    fn from(end: &HandshakeEnd) -> Self {
        match end {
            HandshakeEnd::Closed => Self::Failed("the connection ended in the handshake".into()),
            HandshakeEnd::Io(error) => Self::Failed(error.to_string()),
            HandshakeEnd::Tls(error) => Self::of(error),
        }
    }
}

/// Why there is no TLS with a client: one variant per cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeFault {
    /// The client took too long.
    Timeout,
    /// The client went away.
    ClosedByClient,
    /// The connection failed.
    Broken,
    /// The client speaks HTTP without TLS.
    PlainHttp,
    /// What the client sent is no TLS.
    NotTls,
    /// No certificate bears the name that was asked for.
    UnknownName,
    /// No version of TLS in common.
    Version,
    /// No suite, group or signature in common, with the keys that there are.
    NoCommonSuite,
    /// No protocol in common.
    NoCommonProtocol,
    /// The client should have shown a certificate.
    ClientCertificateMissing,
    /// The client has shown one that is over, or not valid yet.
    ClientCertificateExpired,
    /// The client has shown one that is not trusted.
    ClientCertificateRefused,
    /// The client does not trust the certificate that it was shown.
    RefusedByClient,
    /// The client broke the protocol.
    Misbehaved,
    /// Anything else, as a failure of Tidegate's own.
    Internal,
}

impl HandshakeFault {
    /// As metrics and logs name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::ClosedByClient => "closed_by_client",
            Self::Broken => "broken",
            Self::PlainHttp => "plain_http",
            Self::NotTls => "not_tls",
            Self::UnknownName => "unknown_name",
            Self::Version => "version",
            Self::NoCommonSuite => "no_common_suite",
            Self::NoCommonProtocol => "no_common_protocol",
            Self::ClientCertificateMissing => "client_certificate_missing",
            Self::ClientCertificateExpired => "client_certificate_expired",
            Self::ClientCertificateRefused => "client_certificate_refused",
            Self::RefusedByClient => "refused_by_client",
            Self::Misbehaved => "misbehaved",
            Self::Internal => "internal",
        }
    }

    pub(super) fn of(error: &Error) -> Self {
        match error {
            error if facts::is_no_certificate(error) => Self::NoCommonSuite,
            Error::NoCertificatesPresented => Self::ClientCertificateMissing,
            Error::InvalidCertificate(
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. },
            ) => Self::ClientCertificateExpired,
            Error::InvalidCertificate(_) => Self::ClientCertificateRefused,
            Error::AlertReceived(
                AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA,
            ) => Self::RefusedByClient,
            Error::AlertReceived(AlertDescription::CloseNotify | AlertDescription::UserCanceled) => {
                Self::ClosedByClient
            }
            Error::NoApplicationProtocol => Self::NoCommonProtocol,
            Error::PeerIncompatible(
                PeerIncompatible::SupportedVersionsExtensionRequired
                // Hellos before TLS 1.2 have no such extension.
                | PeerIncompatible::SignatureAlgorithmsExtensionRequired
                | PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled
                | PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
            ) => Self::Version,
            Error::PeerIncompatible(_) => Self::NoCommonSuite,
            Error::General(_) | Error::FailedToGetRandomBytes | Error::FailedToGetCurrentTime => {
                Self::Internal
            }
            _ => Self::Misbehaved,
        }
    }
}

impl Fault {
    pub(super) fn of(error: &Error) -> Self {
        match error {
            Error::InvalidCertificate(why) => Self::Certificate(match name(why) {
                // What the library says of these adds nothing.
                Some(name) if is_plain(why) => name.into(),
                Some(name) => format!("{name} ({why})"),
                None => format!("the certificate is not accepted: {why}"),
            }),
            Error::AlertReceived(alert) => {
                Self::Failed(format!("the endpoint refused by the alert {alert:?}"))
            }
            Error::NoApplicationProtocol => Self::Failed("the endpoint does not speak http/1.1".into()),
            Error::InvalidMessage(_) => Self::Failed(format!("what came is not TLS ({error})")),
            other => Self::Failed(other.to_string()),
        }
    }
}

fn name(why: &CertificateError) -> Option<&'static str> {
    Some(match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "the certificate has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet"
        }
        CertificateError::UnknownIssuer => {
            "the certificate's issuer is unknown; tls.ca names a file with authorities of your own"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the certificate bears another name"
        }
        CertificateError::Revoked => "the certificate has been revoked",
        CertificateError::BadSignature => "the certificate's signature is wrong",
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the certificate is not one for servers"
        }
        _ => return None,
    })
}

fn is_plain(why: &CertificateError) -> bool {
    matches!(
        why,
        CertificateError::Expired
            | CertificateError::NotValidYet
            | CertificateError::UnknownIssuer
            | CertificateError::NotValidForName
            | CertificateError::Revoked
            | CertificateError::BadSignature
            | CertificateError::InvalidPurpose
    )
}
