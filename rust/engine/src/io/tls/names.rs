//! Which certificate a client is shown: by the name that it asks for and by the signatures that it can check.

use std::{collections::HashMap, sync::Arc};

use rustls::{
    SignatureAlgorithm, SignatureScheme,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::ACME;

/// Certificates of one name, those that cost least to sign with first.
type Group = Vec<Arc<CertifiedKey>>;

/// Certificates by name.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// By whole name.
    exact: HashMap<Box<str>, Group>,
    /// By what stands behind `*.`: the star is one label (RFC 9525 §6.3).
    wildcard: HashMap<Box<str>, Group>,
    /// For every other name, and for clients that tell none; empty: they are refused.
    otherwise: Group,
    /// For authorities that look whether a name is ours, by that name.
    challenges: HashMap<Box<str>, Arc<CertifiedKey>>,
}

impl Names {
    /// Takes a certificate in under each of its `names`.
    pub(super) fn add(&mut self, certificate: &Arc<CertifiedKey>, names: &[String]) {
        for name in names {
            match name.strip_prefix("*.") {
                Some(domain) => put(self.wildcard.entry(domain.into()).or_default(), certificate),
                None => put(self.exact.entry(name.as_str().into()).or_default(), certificate),
            }
        }
    }

    /// Takes a certificate in that proves to an authority that each of its `names` is ours.
    pub(super) fn add_challenge(&mut self, certificate: &Arc<CertifiedKey>, names: &[String]) {
        for name in names {
            self.challenges.insert(name.as_str().into(), certificate.clone());
        }
    }

    /// Whether an authority may come and look.
    pub(super) fn has_challenges(&self) -> bool {
        !self.challenges.is_empty()
    }

    /// Names that no certificate bears get the certificates of `name`, or `certificate` where it bears none.
    pub(super) fn fall_back(&mut self, name: Option<&str>, certificate: &Arc<CertifiedKey>) {
        self.otherwise = name.and_then(|name| self.named(name)).cloned().unwrap_or_default();
        put(&mut self.otherwise, certificate);
    }

    /// Whether a client that asks for `name` gets any certificate.
    pub(super) fn knows(&self, name: Option<&str>) -> bool {
        !self.otherwise.is_empty() || name.is_some_and(|name| self.find(name).is_some())
    }

    /// Exact before wildcard.
    fn find(&self, name: &str) -> Option<&Group> {
        self.exact.get(name).or_else(|| self.wildcard.get(name.split_once('.')?.1))
    }

    /// The certificates that bear `name`, which may itself be `*.example.com`.
    fn named(&self, name: &str) -> Option<&Group> {
        match name.strip_prefix("*.") {
            Some(domain) => self.wildcard.get(domain),
            None => self.exact.get(name),
        }
    }

    /// The first that bears `name` and signs by one of `schemes`.
    pub(super) fn choose(
        &self,
        name: Option<&str>,
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        let group = name.and_then(|name| self.find(name)).unwrap_or(&self.otherwise);
        group.iter().find(|certificate| certificate.key.choose_scheme(schemes).is_some()).cloned()
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // RFC 8737 §3: an authority offers this protocol and no other, and must be shown nothing but the proof.
        let asks_for_proof = self.has_challenges()
            && hello
                .alpn()
                .is_some_and(|mut offered| offered.next() == Some(ACME) && offered.next().is_none());
        if asks_for_proof {
            return hello.server_name().and_then(|name| self.challenges.get(name)).cloned();
        }
        self.choose(hello.server_name(), hello.signature_schemes())
    }
}

/// A signature by ECDSA costs a tenth of one by RSA.
fn put(group: &mut Group, certificate: &Arc<CertifiedKey>) {
    let cost = |key: &CertifiedKey| usize::from(key.key.algorithm() == SignatureAlgorithm::RSA);
    if !group.iter().any(|known| Arc::ptr_eq(known, certificate)) {
        let at = group.partition_point(|known| cost(known) <= cost(certificate));
        group.insert(at, certificate.clone());
    }
}
