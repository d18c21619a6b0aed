//! What all connections of one upstream share: whom they trust, what they show, the sessions they can resume.

use std::{borrow::Cow, path::Path, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
};
use tidegate_plan::{Address, UpstreamTls};
use xxhash_rust::xxh3::Xxh3;

/// Sessions that are kept for resumption, by name: more than any upstream has names.
const SESSIONS: usize = 256;

/// What all connections of one upstream share.
#[derive(Debug)]
pub struct Client {
    config: Arc<ClientConfig>,
    plan: UpstreamTls,
    /// Of the files it was made from, so that files with other content are seen.
    content: u128,
}

/// Why there is no client: the part of the plan, and what is wrong with it.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// `ca`, `client`, `server_name`; of a listener `certificates[0]`.
    pub part: Cow<'static, str>,
    /// What is wrong.
    pub why: String,
}

impl Client {
    /// Reads the files that `plan` names. Where nothing has changed since `before` was made, it is that one, with its
    /// sessions. `whose` is the upstream's name, for the warning that nothing is checked.
    /// `alpn` is what it offers to speak, the best first.
    pub fn new(
        plan: &UpstreamTls,
        whose: &str,
        alpn: &[&[u8]],
        before: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, Refused> {
        let mut content = Xxh3::new();
        let mut roots = RootCertStore::empty();
        if plan.verify {
            for certificate in authorities(&plan.ca)? {
                content.update(&certificate);
                // The system's store may hold some that are unusable; they are none of ours to mend.
                let added = roots.add(certificate);
                if !plan.ca.is_empty() {
                    added.map_err(|error| Refused {
                        part: "ca".into(),
                        why: format!("{}: {error}", plan.ca),
                    })?;
                }
            }
        }
        let shown = plan.client.as_ref().map(|(chain, key)| shown(chain, key)).transpose()?;
        if let Some((chain, key)) = &shown {
            chain.iter().for_each(|certificate| content.update(certificate));
            content.update(key.secret_der());
        }
        alpn.iter().for_each(|protocol| content.update(protocol));
        let content = content.digest128();
        if let Some(before) = before.filter(|before| before.plan == *plan && before.content == content) {
            return Ok(before.clone());
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let building = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| Refused { part: "verify".into(), why: error.to_string() })?;
        let building = if plan.verify {
            building.with_root_certificates(roots)
        } else {
            let text = format!(
                "upstream {whose}: tls.verify is off: whoever sits between can read and change everything"
            );
            crate::log::tell("warn", "tls_unverified", &text);
            building.dangerous().with_custom_certificate_verifier(Arc::new(Unverified(provider)))
        };
        let mut config = match shown {
            None => building.with_no_client_auth(),
            Some((chain, key)) => building
                .with_client_auth_cert(chain, key)
                .map_err(|error| Refused { part: "client".into(), why: error.to_string() })?,
        };
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        Ok(Arc::new(Self { config: Arc::new(config), plan: plan.clone(), content }))
    }

    /// The name that the certificate of the endpoint at `address` must bear.
    pub fn name(plan: &UpstreamTls, address: &Address) -> Result<ServerName<'static>, Refused> {
        let host = match address {
            _ if !plan.server_name.is_empty() => &plan.server_name,
            Address::Ip { ip, .. } => ip,
            Address::Name { host, .. } => host,
            Address::Unix { .. } => {
                let why = "a Unix socket has no name to check; say which".into();
                return Err(Refused { part: "server_name".into(), why });
            }
        };
        // A name may be written with the dot of the root, certificates never are.
        let host = host.strip_suffix('.').unwrap_or(host);
        ServerName::try_from(host.to_owned())
            .map_err(|_| Refused { part: "server_name".into(), why: format!("{host:?} is no name") })
    }

    pub(super) fn config(&self) -> Arc<ClientConfig> {
        self.config.clone()
    }
}

/// The certificates in the file `ca`, or the system's. None are compiled in: they would grow old with the binary, and
/// one that was taken out of the system would still be trusted here.
fn authorities(ca: &str) -> Result<Vec<CertificateDer<'static>>, Refused> {
    let refused = |why| Err(Refused { part: "ca".into(), why });
    if !ca.is_empty() {
        let found = certificates(ca).map_err(|why| Refused { part: "ca".into(), why })?;
        return if found.is_empty() { refused(format!("{ca} has no certificate in it")) } else { Ok(found) };
    }
    let loaded = rustls_native_certs::load_native_certs();
    if loaded.certs.is_empty() {
        let why = match loaded.errors.first() {
            Some(error) => format!(": {error}"),
            None => String::new(),
        };
        return refused(format!(
            "the system has no authorities (install ca-certificates, or name a file){why}"
        ));
    }
    Ok(loaded.certs)
}

fn certificates(file: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(Path::new(file)).and_then(Iterator::collect);
    read.map_err(|error| format!("{file}: {}", pem_fault(&error)))
}

fn shown(chain: &str, key: &str) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Refused> {
    let refused = |why| Refused { part: "client".into(), why };
    let certificates = certificates(chain).map_err(refused)?;
    if certificates.is_empty() {
        return Err(refused(format!("{chain} has no certificate in it")));
    }
    let key = PrivateKeyDer::from_pem_file(Path::new(key))
        .map_err(|error| refused(format!("{key}: {}", pem_fault(&error))))?;
    Ok((certificates, key))
}

/// In words; never with the file's content, which may be a key.
fn pem_fault(error: &rustls::pki_types::pem::Error) -> String {
    use rustls::pki_types::pem::Error as Pem;
    match error {
        Pem::Io(error) => error.to_string(),
        Pem::NoItemsFound => "nothing of the kind in it".into(),
        _ => "is no PEM".into(),
    }
}

/// Takes every certificate. The handshake's signature is still checked, so that it is at least the certificate's owner
/// who answers.
#[derive(Debug)]
pub(super) struct Unverified(pub(super) Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
