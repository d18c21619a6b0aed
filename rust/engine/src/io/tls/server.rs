//! What all connections to one listener share: the certificates it shows, whom it lets in, the keys of its tickets.

use std::sync::Arc;

use rustls::{
    RootCertStore, ServerConfig, ServerConnection,
    crypto::{CryptoProvider, GetRandomFailed, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{NoServerSessionStorage, ProducesTickets, WebPkiClientVerifier},
    sign::CertifiedKey,
    ticketer::TicketRotator,
    version,
};
use tidegate_plan::{Certificate, ClientCertificates, ListenerTls, TlsProfile, UnknownName};

use super::{ACME, HTTP1, HTTP2, Refused, names::Names};

/// What all connections to one listener share.
#[derive(Debug)]
pub struct Server {
    /// Takes suites in our order, the cheapest first.
    config: Arc<ServerConfig>,
    /// Takes them in the client's, for those to whom AES is dear.
    as_client_likes: Arc<ServerConfig>,
    names: Arc<Names>,
    tickets: Option<Arc<dyn ProducesTickets>>,
    plan: ListenerTls,
    http2: bool,
    /// As logs call it: `listener :8443`.
    label: Arc<str>,
}

impl Server {
    /// Makes ready what `plan` says of the listener called `listener`. `http2`: that is offered before HTTP/1.1.
    ///
    /// Where nothing has changed since `before` was made, it is that one; and its tickets stay good as long as the same
    /// clients are let in, so that a reload costs no handshakes.
    pub fn new(
        plan: &ListenerTls,
        listener: &str,
        http2: bool,
        before: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, Refused> {
        if let Some(before) = before.filter(|before| before.plan == *plan && before.http2 == http2) {
            return Ok(before.clone());
        }
        let provider = Arc::new(provider());
        let names = Arc::new(names(plan, &provider)?);
        let versions: &[_] = match plan.profile {
            TlsProfile::Modern => &[&version::TLS13],
            TlsProfile::Intermediate => &[&version::TLS13, &version::TLS12],
        };
        let building = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .map_err(|error| Refused { part: "profile".into(), why: error.to_string() })?;
        let building = match &plan.client {
            None => building.with_no_client_auth(),
            Some(client) => {
                let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(client)?), provider);
                let builder = if client.required { builder } else { builder.allow_unauthenticated() };
                let verifier = builder.build().map_err(|error| client_refused(&error))?;
                building.with_client_cert_verifier(verifier)
            }
        };
        let mut config = building.with_cert_resolver(names.clone());
        config.alpn_protocols =
            if http2 { vec![HTTP2.to_vec(), HTTP1.to_vec()] } else { vec![HTTP1.to_vec()] };
        if names.has_challenges() {
            config.alpn_protocols.push(ACME.to_vec());
        }
        config.session_storage = Arc::new(NoServerSessionStorage {});
        let tickets = tickets(plan, before)?;
        match &tickets {
            Some(tickets) => config.ticketer = tickets.clone(),
            None => config.send_tls13_tickets = 0,
        }
        let as_client_likes = Arc::new(config.clone());
        config.ignore_client_order = true;
        let label = format!("listener {listener}").into();
        Ok(Arc::new(Self {
            config: Arc::new(config),
            as_client_likes,
            names,
            tickets,
            plan: plan.clone(),
            http2,
            label,
        }))
    }

    /// A connection that has not begun, for a client that begins with `hello`, as far as that has come.
    pub fn connection(&self, hello: &[u8]) -> Result<ServerConnection, rustls::Error> {
        let config = if prefers_chacha(hello) { &self.as_client_likes } else { &self.config };
        ServerConnection::new(config.clone())
    }

    /// Whether there is a certificate for who asks for `name`.
    pub(super) fn knows(&self, name: Option<&str>) -> bool {
        self.names.knows(name)
    }

    /// As logs call it: `listener :8443`.
    pub fn label(&self) -> &str {
        &self.label
    }
}

/// The suites with AES-128 first: where a processor has instructions for AES and SHA-256, as nearly all have, a handshake costs
/// a tenth less than with AES-256 and SHA-384, and no attack is known that would tell the two apart.
fn provider() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|suite| {
        let name = suite.suite().as_str().unwrap_or("");
        let cost = if name.contains("AES_128") { 0 } else { 1 + u8::from(name.contains("CHACHA20")) };
        // TLS 1.3 before 1.2, as it was.
        (suite.tls13().is_none(), cost)
    });
    provider
}

/// Whether a client names a suite with ChaCha20 first: it has no instructions for AES. Anything that can't be read says no; rustls reads it
/// all again.
fn prefers_chacha(hello: &[u8]) -> bool {
    const CHACHA20: [[u8; 2]; 3] = [[0x13, 0x03], [0xcc, 0xa8], [0xcc, 0xa9]];
    // RFC 8446 §4.1.2, behind the heads of record and message (§5.1, §4): version, random, session id, suites.
    let suites = || {
        let (length, rest) = hello.get(5 + 4 + 2 + 32..)?.split_first()?;
        rest.get(usize::from(*length) + 2..)
    };
    let suites = suites().unwrap_or(&[]).as_chunks::<2>().0;
    // RFC 8701: values like 0x3a3a stand for nothing.
    let first = suites.iter().find(|suite| suite[0] != suite[1] || suite[0] & 0x0f != 0x0a);
    first.is_some_and(|first| CHACHA20.contains(first))
}

fn names(plan: &ListenerTls, provider: &CryptoProvider) -> Result<Names, Refused> {
    let mut names = Names::default();
    let mut first = None;
    for (index, certificate) in plan.certificates.iter().enumerate() {
        let key = certified(certificate, provider)
            .map_err(|why| Refused { part: format!("certificates[{index}]").into(), why })?;
        let key = Arc::new(key);
        names.add(&key, &certificate.names);
        first.get_or_insert((certificate, key));
    }
    for (index, challenge) in plan.challenges.iter().enumerate() {
        let key = proof(challenge, provider)
            .map_err(|why| Refused { part: format!("challenges[{index}]").into(), why })?;
        names.add_challenge(&Arc::new(key), &challenge.names);
    }
    if let (UnknownName::First, Some((certificate, key))) = (plan.unknown_name, first) {
        names.fall_back(certificate.names.first().map(String::as_str), &key);
    }
    Ok(names)
}

/// A certificate that nobody need trust. It is not checked against its key: the critical extension of RFC 8737 §3 is one
/// that the library refuses to read.
fn proof(certificate: &Certificate, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
    let (chain, key) = chain_and_key(certificate)?;
    let key = provider.key_provider.load_private_key(key).map_err(|error| error.to_string())?;
    Ok(CertifiedKey::new(chain, key))
}

type ChainAndKey = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn chain_and_key(certificate: &Certificate) -> Result<ChainAndKey, String> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate.chain.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| "the chain is no PEM".to_owned())?;
    let key = PrivateKeyDer::from_pem_slice(certificate.key.expose().as_bytes())
        .map_err(|_| "the key is no PEM".to_owned())?;
    Ok((chain, key))
}

fn certified(certificate: &Certificate, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
    let (chain, key) = chain_and_key(certificate)?;
    let mut made = CertifiedKey::from_der(chain, key, provider).map_err(|error| error.to_string())?;
    if !certificate.ocsp.is_empty() {
        made.ocsp = Some(hexadecimal(&certificate.ocsp).ok_or("the OCSP answer is not in hexadecimal")?);
    }
    Ok(made)
}

fn roots(client: &ClientCertificates) -> Result<RootCertStore, Refused> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(client.ca.as_bytes()) {
        let certificate = certificate.map_err(|_| client_refused(&"the authorities are no PEM"))?;
        roots.add(certificate).map_err(|error| client_refused(&error))?;
    }
    Ok(roots)
}

fn client_refused(why: &dyn std::fmt::Display) -> Refused {
    Refused { part: "client.ca".into(), why: why.to_string() }
}

/// What encrypts the sessions that clients keep, the same for all workers. A session says nothing of the rules under
/// which it began, so other rules for clients make other tickets: nobody comes in on what another listener, or an
/// older plan, thought of them.
fn tickets(
    plan: &ListenerTls,
    before: Option<&Arc<Server>>,
) -> Result<Option<Arc<dyn ProducesTickets>>, Refused> {
    if plan.tickets_s == 0 {
        return Ok(None);
    }
    let same =
        |before: &&Arc<Server>| before.plan.client == plan.client && before.plan.tickets_s == plan.tickets_s;
    if let Some(tickets) = before.filter(same).and_then(|before| before.tickets.clone()) {
        return Ok(Some(tickets));
    }
    // Half of the time a key makes tickets, the other half it only reads them.
    let rotator = TicketRotator::new(plan.tickets_s / 2, || Ok(Box::new(Tickets::new()?)))
        .map_err(|error| Refused { part: "tickets_s".into(), why: error.to_string() })?;
    Ok(Some(Arc::new(rotator)))
}

/// The keys of one period.
#[derive(Debug)]
struct Tickets(Arc<dyn ProducesTickets>);

impl Tickets {
    fn new() -> Result<Self, GetRandomFailed> {
        aws_lc_rs::Ticketer::new().map(Self).map_err(|_| GetRandomFailed)
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        self.0.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.0.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.0.encrypt(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.0.decrypt(cipher)
    }
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some((digit(high)? << 4 | digit(low)?) as u8)).collect();
    if rest.is_empty() { bytes } else { None }
}

#[cfg(test)]
mod tests;
