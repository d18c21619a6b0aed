//! What a handshake has settled, as routes, logs and hooks may ask for it.

use std::{fmt::Write as _, net::IpAddr};

use rustls::{CipherSuite, Connection, Error, HandshakeKind, ProtocolVersion};
use x509_parser::{
    der_parser::Oid,
    objects::{oid_registry, oid2abbrev},
    prelude::{FromDer as _, GeneralName, X509Certificate},
    x509::X509Name,
};

/// What a client's handshake has settled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// `TLSv1.3` or `TLSv1.2`.
    pub version: &'static str,
    /// As IANA names it: `TLS_AES_128_GCM_SHA256`.
    pub cipher: &'static str,
    /// The name that was asked for, lower case; empty for none.
    pub sni: Box<str>,
    /// Whether the session goes on from an earlier one.
    pub resumed: bool,
    /// The certificate that the client has shown; it has been checked.
    pub client: Option<Box<Shown>>,
}

/// A client's certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// Its subject as RFC 4514 writes names: `CN=web,O=Example`.
    pub subject: String,
    /// Its alternative names: `DNS:web.example.com,URI:spiffe://example.com/web`; a comma within one has a `\` before it.
    pub san: String,
}

impl Facts {
    pub(super) fn of(connection: &Connection) -> Self {
        let sni = match connection {
            Connection::Server(server) => server.server_name(),
            Connection::Client(_) => None,
        };
        let version = match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "",
        };
        let cipher = connection.negotiated_cipher_suite().map_or("", |suite| name(suite.suite()));
        let shown =
            connection.peer_certificates().and_then(<[_]>::first).map(|certificate| shown(certificate));
        Self {
            version,
            cipher,
            sni: sni.unwrap_or("").into(),
            resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
            client: shown.map(Box::new),
        }
    }

    /// `success` where the client has shown a certificate, else `none`.
    pub fn verified(&self) -> &'static str {
        if self.client.is_some() { "success" } else { "none" }
    }

    /// The subject of the client's certificate; empty where it has shown none.
    pub fn subject(&self) -> &str {
        self.client.as_ref().map_or("", |shown| &shown.subject)
    }

    /// The alternative names of the client's certificate; empty where there are none.
    pub fn san(&self) -> &str {
        self.client.as_ref().map_or("", |shown| &shown.san)
    }
}

/// Whether a handshake has failed because no certificate would do. The library's own alert says another thing.
pub(super) fn is_no_certificate(error: &Error) -> bool {
    matches!(error, Error::General(why) if why == "no server certificate chain resolved")
}

/// The library has its own names for the suites of TLS 1.3.
fn name(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        other => other.as_str().unwrap_or(""),
    }
}

/// A certificate that has been checked; what of it can't be read is left out.
fn shown(der: &[u8]) -> Shown {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return Shown::default() };
    let mut shown = Shown { subject: subject(certificate.subject()), san: String::new() };
    if let Ok(Some(names)) = certificate.subject_alternative_name() {
        for name in &names.value.general_names {
            let (kind, text) = match name {
                GeneralName::DNSName(name) => ("DNS", (*name).to_owned()),
                GeneralName::RFC822Name(name) => ("email", (*name).to_owned()),
                GeneralName::URI(name) => ("URI", (*name).to_owned()),
                GeneralName::IPAddress(bytes) => match address(bytes) {
                    Some(address) => ("IP", address.to_string()),
                    None => continue,
                },
                _ => continue,
            };
            if !shown.san.is_empty() {
                shown.san.push(',');
            }
            let _ = write!(shown.san, "{kind}:");
            escape(&text, ",\\", &mut shown.san);
        }
    }
    shown
}

/// RFC 4514 §2.1: the last part first.
fn subject(name: &X509Name<'_>) -> String {
    let mut out = String::new();
    let parts: Vec<_> = name.iter_rdn().collect();
    for part in parts.into_iter().rev() {
        if !out.is_empty() {
            out.push(',');
        }
        for (index, attribute) in part.iter().enumerate() {
            if index > 0 {
                out.push('+');
            }
            let _ = write!(out, "{}=", abbreviation(attribute.attr_type()));
            let text = attribute.as_str().unwrap_or("");
            if text.starts_with(['#', ' ']) {
                out.push('\\');
            }
            escape(text, ",+\"\\<>;", &mut out);
        }
    }
    out
}

fn abbreviation(kind: &Oid<'_>) -> String {
    oid2abbrev(kind, oid_registry()).map_or_else(|_| kind.to_id_string(), str::to_owned)
}

/// RFC 4514 §2.4: what would be read as something else has a `\` before it, and what can't stand in a header is
/// written as its bytes in hexadecimal.
fn escape(text: &str, special: &str, out: &mut String) {
    for char in text.chars() {
        if char.is_control() || !char.is_ascii() {
            let mut bytes = [0; 4];
            for byte in char.encode_utf8(&mut bytes).bytes() {
                let _ = write!(out, "\\{byte:02X}");
            }
            continue;
        }
        if special.contains(char) {
            out.push('\\');
        }
        out.push(char);
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(four.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_read_as_another_part_of_a_name_is_escaped() {
        let mut out = String::new();
        escape("a, CN=admin\r\nä", ",+\"\\<>;", &mut out);
        assert_eq!(out, "a\\, CN=admin\\0D\\0A\\C3\\A4");
    }

    #[test]
    fn suites_are_called_as_iana_calls_them() {
        assert_eq!(name(CipherSuite::TLS13_AES_256_GCM_SHA384), "TLS_AES_256_GCM_SHA384");
        assert_eq!(
            name(CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
        );
    }
}
