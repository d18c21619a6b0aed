//! Which certificate a client is shown, what of a listener survives a reload, and what is refused, without sockets.

use std::sync::Arc;

use rcgen::{CertificateParams, CustomExtension, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, ServerConnection, SignatureScheme,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tidegate_plan::{Certificate, ClientCertificates, ListenerTls, Secret, TlsProfile, UnknownName};

use super::{Server, names};
use crate::io::tls::{ACME, HTTP1, client::Unverified};

/// A certificate that nobody has signed, for `names`.
fn certificate(names: &[&str]) -> Certificate {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    signed(names, &key)
}

fn signed(names: &[&str], key: &KeyPair) -> Certificate {
    let owned: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = CertificateParams::new(owned.clone()).unwrap().self_signed(key).unwrap();
    Certificate {
        name: names[0].into(),
        names: owned,
        chain: made.pem(),
        key: Secret::new(key.serialize_pem()),
        ocsp: String::new(),
        not_after_s: 0,
    }
}

fn plan(certificates: Vec<Certificate>) -> ListenerTls {
    ListenerTls {
        certificates,
        challenges: Vec::new(),
        unknown_name: UnknownName::First,
        client: None,
        profile: TlsProfile::Intermediate,
        tickets_s: 43_200,
        hsts: String::new(),
    }
}

/// As an authority wants it (RFC 8737 §3), but that its extension is not critical: the client of these tests would not
/// look at a certificate with a critical extension that it does not know.
fn proof(name: &str) -> Certificate {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let mut extension = CustomExtension::new_acme_identifier(&[7; 32]);
    extension.set_criticality(false);
    params.custom_extensions = vec![extension];
    let chain = params.self_signed(&key).unwrap().pem();
    Certificate { chain, key: Secret::new(key.serialize_pem()), ..certificate(&[name]) }
}

#[test]
fn only_who_asks_for_the_proof_and_nothing_else_is_shown_it() {
    let own = certificate(&["site.test"]);
    let proof = proof("site.test");
    let der = |shown: &Certificate| CertificateDer::from_pem_slice(shown.chain.as_bytes()).unwrap();
    let with = ListenerTls { challenges: vec![proof.clone()], ..plan(vec![own.clone()]) };
    let server = server(&with, None);
    let offers: [(&[&[u8]], &Certificate); 4] =
        [(&[ACME], &proof), (&[HTTP1], &own), (&[ACME, HTTP1], &own), (&[], &own)];
    for (offered, shown) in offers {
        let (client, _) = shake(&server, &client(offered), "site.test").unwrap();
        assert_eq!(client.peer_certificates().unwrap()[0], der(shown), "{offered:?}");
    }
    let (agreed, _) = shake(&server, &client(&[ACME]), "site.test").unwrap();
    assert_eq!(agreed.alpn_protocol(), Some(ACME));
    assert!(shake(&server, &client(&[ACME]), "other.test").is_err(), "there is no proof for that name");
}

#[test]
fn without_a_challenge_the_protocol_of_authorities_is_not_spoken() {
    let server = server(&plan(vec![certificate(&["site.test"])]), None);
    assert!(shake(&server, &client(&[ACME]), "site.test").is_err());
}

fn server(plan: &ListenerTls, before: Option<&Arc<Server>>) -> Arc<Server> {
    Server::new(plan, ":443", false, before).unwrap()
}

/// A client that takes any certificate.
fn client(alpn: &[&[u8]]) -> Arc<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let building = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Unverified(provider)));
    let mut config = building.with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}

/// Both ends of a connection, once all that they have to say has been said.
fn shake(
    server: &Server,
    config: &Arc<ClientConfig>,
    name: &str,
) -> Result<(ClientConnection, ServerConnection), rustls::Error> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(config.clone(), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    let mut served = server.connection(&hello).unwrap();
    served.read_tls(&mut hello.as_slice()).unwrap();
    served.process_new_packets()?;
    while client.wants_write() || served.wants_write() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        take(&mut bytes.as_slice(), |bytes| {
            served.read_tls(bytes).unwrap();
            served.process_new_packets().map(drop)
        })?;
        bytes.clear();
        while served.wants_write() {
            served.write_tls(&mut bytes).unwrap();
        }
        take(&mut bytes.as_slice(), |bytes| {
            client.read_tls(bytes).unwrap();
            client.process_new_packets().map(drop)
        })?;
    }
    Ok((client, served))
}

fn take(
    bytes: &mut &[u8],
    mut read: impl FnMut(&mut &[u8]) -> Result<(), rustls::Error>,
) -> Result<(), rustls::Error> {
    while !bytes.is_empty() {
        read(bytes)?;
    }
    Ok(())
}

/// The certificate, as its place in the plan, that a client of that name is shown.
fn shown(server: &Server, plan: &ListenerTls, name: &str) -> Option<usize> {
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};
    let (client, _) = shake(server, &client(&[]), name).ok()?;
    let got = &client.peer_certificates().unwrap()[0];
    plan.certificates
        .iter()
        .position(|one| CertificateDer::from_pem_slice(one.chain.as_bytes()).unwrap() == *got)
}

#[test]
fn exact_names_go_before_wildcards_and_a_star_is_one_label() {
    let plan = plan(vec![
        certificate(&["first.test"]),
        certificate(&["*.site.test", "site.test"]),
        certificate(&["api.site.test"]),
    ]);
    let server = server(&plan, None);
    for (name, at) in [
        ("first.test", 0),
        ("site.test", 1),
        ("www.site.test", 1),
        ("WWW.SITE.test", 1),
        ("api.site.test", 2),
        ("a.b.site.test", 0),
        ("test", 0),
        ("other.test", 0),
        ("127.0.0.1", 0),
    ] {
        assert_eq!(shown(&server, &plan, name), Some(at), "{name}");
    }
}

#[test]
fn names_that_nobody_bears_are_refused_where_that_is_planned() {
    let plan = ListenerTls { unknown_name: UnknownName::Refuse, ..plan(vec![certificate(&["*.site.test"])]) };
    let server = server(&plan, None);
    assert_eq!(shown(&server, &plan, "www.site.test"), Some(0));
    for name in ["site.test", "other.test", "127.0.0.1"] {
        assert_eq!(shown(&server, &plan, name), None, "{name}");
    }
    assert!(server.knows(Some("www.site.test")));
    assert!(!server.knows(Some("site.test")) && !server.knows(None));
}

#[test]
fn of_certificates_of_one_name_the_client_s_signatures_decide() {
    let other = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let plan = plan(vec![certificate(&["site.test"]), signed(&["site.test"], &other)]);
    let names = names(&plan, &aws_lc_rs::default_provider()).unwrap();
    let chosen = |schemes: &[SignatureScheme]| {
        names.choose(Some("site.test"), schemes).map(|certificate| certificate.key.algorithm())
    };
    assert_eq!(chosen(&[SignatureScheme::ED25519]), Some(rustls::SignatureAlgorithm::ED25519));
    let both = [SignatureScheme::ED25519, SignatureScheme::ECDSA_NISTP256_SHA256];
    assert_eq!(chosen(&both), Some(rustls::SignatureAlgorithm::ECDSA), "the first in the plan");
    assert_eq!(chosen(&[SignatureScheme::RSA_PSS_SHA256]), None);
}

#[test]
fn a_listener_that_has_not_changed_is_the_same() {
    let plan = plan(vec![certificate(&["site.test"])]);
    let first = server(&plan, None);
    assert!(Arc::ptr_eq(&first, &server(&plan, Some(&first))));
    let http2 = Server::new(&plan, ":443", true, Some(&first)).unwrap();
    assert!(!Arc::ptr_eq(&first, &http2));
    let (client, served) = shake(&http2, &client(&[HTTP1, b"h2"]), "site.test").unwrap();
    assert_eq!(client.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(served.alpn_protocol(), Some(&b"h2"[..]));
}

/// Whether a session that began at `first` goes on at `second`.
fn goes_on(first: &Server, second: &Server) -> bool {
    let config = client(&[]);
    let (client, _) = shake(first, &config, "site.test").unwrap();
    assert_eq!(client.handshake_kind(), Some(HandshakeKind::Full));
    let (client, served) = shake(second, &config, "site.test").unwrap();
    assert_eq!(client.handshake_kind(), served.handshake_kind());
    client.handshake_kind() == Some(HandshakeKind::Resumed)
}

#[test]
fn a_renewed_certificate_costs_no_sessions_and_other_rules_end_them() {
    let old = plan(vec![certificate(&["site.test"])]);
    let first = server(&old, None);
    assert!(goes_on(&first, &first));
    let renewed = ListenerTls { certificates: vec![certificate(&["site.test"])], ..old.clone() };
    assert!(goes_on(&first, &server(&renewed, Some(&first))));
    assert!(!goes_on(&first, &server(&old, None)), "another listener, another process");
    let ca = certificate(&["ca.test"]).chain;
    let client = Some(ClientCertificates { ca, required: false });
    let stricter = ListenerTls { client, ..old.clone() };
    assert!(!goes_on(&first, &server(&stricter, Some(&first))));
    let none = ListenerTls { tickets_s: 0, ..old };
    let none = server(&none, Some(&first));
    assert!(!goes_on(&first, &none) && !goes_on(&none, &none));
}

#[test]
fn what_can_not_be_used_is_refused_by_its_place() {
    let refused = |plan: &ListenerTls| {
        let refused = Server::new(plan, ":443", false, None).unwrap_err();
        (refused.part.into_owned(), refused.why)
    };
    let (one, other) = (certificate(&["one.test"]), certificate(&["other.test"]));
    let mixed = Certificate { key: other.key.clone(), ..one.clone() };
    assert_eq!(refused(&plan(vec![one.clone(), mixed])).0, "certificates[1]");
    let keyless = Certificate { key: Secret::new("nothing"), ..one.clone() };
    assert_eq!(refused(&plan(vec![keyless])), ("certificates[0]".into(), "the key is no PEM".into()));
    let stapled = Certificate { ocsp: "abc".into(), ..one.clone() };
    assert!(refused(&plan(vec![stapled])).1.contains("hexadecimal"));
    let client = Some(ClientCertificates { ca: String::new(), required: true });
    assert_eq!(refused(&ListenerTls { client, ..plan(vec![one]) }).0, "client.ca");
}

#[test]
fn a_key_is_never_printed() {
    let certificate = certificate(&["site.test"]);
    let line = certificate.key.expose().lines().nth(1).unwrap().to_owned();
    let plan = plan(vec![certificate]);
    let text = format!("{plan:?} {:?}", server(&plan, None));
    assert!(!text.contains(&line), "{text}");
}

#[test]
fn aes_128_goes_first_unless_the_client_would_rather_have_no_aes() {
    use rustls::{CipherSuite, CipherSuite as Suite};
    let server = server(&plan(vec![certificate(&["site.test"])]), None);
    let agreed = |order: &[CipherSuite]| {
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites.retain(|suite| order.contains(&suite.suite()));
        provider.cipher_suites.sort_by_key(|suite| order.iter().position(|one| *one == suite.suite()));
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider.clone()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Unverified(Arc::new(provider))))
            .with_no_client_auth();
        config.alpn_protocols = vec![HTTP1.to_vec()];
        let (client, _) = shake(&server, &Arc::new(config), "site.test").unwrap();
        client.negotiated_cipher_suite().unwrap().suite()
    };
    let (small, large, chacha) = (
        Suite::TLS13_AES_128_GCM_SHA256,
        Suite::TLS13_AES_256_GCM_SHA384,
        Suite::TLS13_CHACHA20_POLY1305_SHA256,
    );
    assert_eq!(agreed(&[large, chacha, small]), small);
    assert_eq!(agreed(&[large, chacha]), large);
    assert_eq!(agreed(&[chacha, large, small]), chacha);
}
