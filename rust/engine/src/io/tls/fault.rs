//! Why a handshake failed, in words that say what to do.

use std::fmt;

use rustls::{CertificateError, Error};

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
