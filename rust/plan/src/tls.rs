//! TLS towards clients: certificates by name, who must show one, how old a session may get.

use serde::Deserialize;

use crate::Secret;

/// TLS on a listener.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerTls {
    /// At least one, in the order in which they were written.
    pub certificates: Vec<Certificate>,
    /// What an authority is shown that asks by the protocol `acme-tls/1` whether the name is ours (RFC 8737); nobody else
    /// sees them.
    pub challenges: Vec<Certificate>,
    /// What a client gets that asks for a name which no certificate bears, or for none.
    pub unknown_name: UnknownName,
    /// Certificates of clients; `null` where nobody is asked for one.
    pub client: Option<ClientCertificates>,
    /// Versions and suites.
    pub profile: TlsProfile,
    /// How long a session can be resumed, in seconds, 60 to 43200; 0 for never.
    pub tickets_s: u32,
    /// The value of `Strict-Transport-Security` (RFC 6797) on every answer; empty for none.
    pub hsts: String,
}

/// A certificate with its chain and its key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// As status, metrics and logs call it: the file.
    pub name: String,
    /// The names that it bears: lower case, `*.` before a domain for any one label.
    pub names: Vec<String>,
    /// PEM, the certificate itself first.
    pub chain: String,
    /// PEM, PKCS#8.
    pub key: Secret,
    /// An OCSP answer (DER in hexadecimal) that is sent along; empty for none.
    pub ocsp: String,
    /// Until when it is valid, in seconds since 1970.
    pub not_after_s: i64,
}

/// What a client gets that asks for a name which no certificate bears.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownName {
    /// The first certificate.
    First,
    /// The alert `unrecognized_name` (RFC 6066 §3).
    Refuse,
}

/// Certificates of clients.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificates {
    /// Authorities in PEM: only what they signed is taken.
    pub ca: String,
    /// Whether one must be shown; one that is shown is always checked.
    pub required: bool,
}

/// Versions and suites, by what clients there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TlsProfile {
    /// TLS 1.3.
    Modern,
    /// TLS 1.3, and TLS 1.2 with ECDHE and AEAD suites.
    Intermediate,
}
