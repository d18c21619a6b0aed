//! Clients of ours against servers of the same library, over the loopback interface.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener},
    path::PathBuf,
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use tidegate_plan::{Address, UpstreamTls};
use tokio::time::timeout;

use super::*;
use crate::io::{ConnectFault, Target, connect_secure};

const PATIENCE: Duration = Duration::from_secs(20);

type Peer = StreamOwned<ServerConnection, std::net::TcpStream>;

/// An authority of the test's own, and a folder for what it signs.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Authority {
    fn new(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("tidegate-tls-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, test);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer, folder }
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn ca(&self) -> String {
        self.file("ca.pem", &self.issuer.pem())
    }

    /// Certificate and key for `name`, in PEM.
    fn sign(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn config(signed: &(String, String)) -> ServerConfig {
    let chain = vec![CertificateDer::from_pem_slice(signed.0.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(signed.1.as_bytes()).unwrap();
    let mut config = provided().with_no_client_auth().with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

fn provided() -> rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier> {
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
}

/// Serves `times` connections one after the other by `serve`.
fn server(
    config: ServerConfig,
    times: usize,
    serve: impl Fn(&mut Peer) + Send + 'static,
) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let config = Arc::new(config);
    let thread = thread::spawn(move || {
        for _ in 0..times {
            let (socket, _) = listener.accept().unwrap();
            let connection = ServerConnection::new(config.clone()).unwrap();
            serve(&mut StreamOwned::new(connection, socket));
        }
    });
    (address, thread)
}

fn plan(ca: String) -> UpstreamTls {
    UpstreamTls { server_name: "api.test".into(), ca, verify: true, client: None }
}

fn secure(plan: &UpstreamTls) -> Secure {
    let client = Client::new(plan, "api", &[HTTP1], None).unwrap();
    let address = Address::Name { host: "api.test".into(), port: 443 };
    let name = Client::name(plan, &address).unwrap();
    Secure { client, name, label: "upstream api: test".into() }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(PATIENCE, future).await.expect("it takes too long") })
}

async fn open(address: SocketAddr, secure: &Secure) -> Result<Stream, ConnectFault> {
    connect_secure(&Target::Ip(address), &[], Some(secure)).await
}

async fn write(stream: &mut Stream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let written = poll_fn(|cx| stream.poll_write(cx, &[IoSlice::new(bytes)])).await.unwrap();
        bytes = &bytes[written..];
    }
}

async fn read(stream: &mut Stream, size: usize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; size];
    let read = poll_fn(|cx| stream.poll_read(cx, &mut buffer)).await?;
    buffer.truncate(read);
    Ok(buffer)
}

async fn read_exactly(stream: &mut Stream, count: usize, size: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < count {
        let some = read(stream, size).await.unwrap();
        assert!(!some.is_empty(), "the end came after {} bytes", all.len());
        all.extend_from_slice(&some);
    }
    all
}

fn is_idle(stream: &mut Stream) -> bool {
    stream.poll_read_ready(&mut Context::from_waker(Waker::noop())).is_pending()
}

fn fault(signed: &(String, String), plan: &UpstreamTls) -> Fault {
    let (address, thread) = server(config(signed), 1, |peer| {
        let _ = peer.read(&mut [0; 16]);
    });
    let opened = run(async { open(address, &secure(plan)).await });
    let Err(ConnectFault::Tls(fault)) = opened else { panic!("{opened:?}") };
    thread.join().unwrap();
    fault
}

/// Bytes that no two places of which are alike.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}

#[test]
fn what_is_written_on_one_side_is_read_on_the_other_whatever_the_buffer() {
    let authority = Authority::new("both-ways");
    let (address, thread) = server(config(&authority.sign("api.test", |_| {})), 5, |peer| {
        let mut asked = vec![0; 300_000];
        peer.read_exact(&mut asked).unwrap();
        assert!(asked == pattern(300_000));
        peer.write_all(&asked).unwrap();
        let _ = peer.read(&mut [0]);
    });
    let secure = secure(&plan(authority.ca()));
    for size in [1000, 4096, 16 * 1024, 40_001, 128 * 1024] {
        run(async {
            let mut stream = open(address, &secure).await.unwrap();
            write(&mut stream, &pattern(300_000)).await;
            assert!(read_exactly(&mut stream, 300_000, size).await == pattern(300_000), "{size}");
        });
    }
    thread.join().unwrap();
}

#[test]
fn a_buffer_of_one_byte_is_enough() {
    let authority = Authority::new("one-byte");
    let (address, thread) =
        server(config(&authority.sign("api.test", |_| {})), 1, |peer| peer.write_all(b"hello").unwrap());
    run(async {
        let mut stream = open(address, &secure(&plan(authority.ca()))).await.unwrap();
        assert_eq!(read_exactly(&mut stream, 5, 1).await, b"hello");
    });
    thread.join().unwrap();
}

#[test]
fn a_peer_that_reads_nothing_makes_the_writer_wait() {
    let authority = Authority::new("backpressure");
    let (go, wait) = mpsc::channel::<()>();
    let total = 32 << 20;
    let (address, thread) = server(config(&authority.sign("api.test", |_| {})), 1, move |peer| {
        peer.conn.complete_io(&mut peer.sock).unwrap(); // the handshake
        wait.recv().unwrap();
        let mut read = vec![0; total];
        peer.read_exact(&mut read).unwrap();
        assert!(read == pattern(total));
        peer.conn.send_close_notify();
        peer.flush().unwrap();
    });
    run(async {
        let mut stream = open(address, &secure(&plan(authority.ca()))).await.unwrap();
        let bytes = pattern(total);
        let mut sent = 0;
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(written) = stream.poll_write(&mut cx, &[IoSlice::new(&bytes[sent..])]) {
            sent += written.unwrap();
            assert!(sent < total, "all of it was taken");
        }
        go.send(()).unwrap();
        write(&mut stream, &bytes[sent..]).await;
        // The last of it may still wait within; reading sends it.
        assert!(read(&mut stream, 10).await.unwrap().is_empty());
    });
    thread.join().unwrap();
}

#[test]
fn several_parts_go_out_as_one_record() {
    let authority = Authority::new("parts");
    let (address, thread) = server(config(&authority.sign("api.test", |_| {})), 1, |peer| {
        let mut first = [0; 64];
        let read = peer.read(&mut first).unwrap();
        assert_eq!(&first[..read], b"head and body");
    });
    run(async {
        let mut stream = open(address, &secure(&plan(authority.ca()))).await.unwrap();
        let parts = [IoSlice::new(b"head "), IoSlice::new(b""), IoSlice::new(b"and body")];
        assert_eq!(poll_fn(|cx| stream.poll_write(cx, &parts)).await.unwrap(), 13);
    });
    thread.join().unwrap();
}

#[test]
fn a_certificate_of_an_unknown_authority_is_refused() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let fault = fault(&theirs.sign("api.test", |_| {}), &plan(ours.ca()));
    assert!(matches!(&fault, Fault::Certificate(why) if why.contains("issuer is unknown")), "{fault}");
}

#[test]
fn a_certificate_of_another_name_is_refused() {
    let authority = Authority::new("name");
    let fault = fault(&authority.sign("other.test", |_| {}), &plan(authority.ca()));
    assert!(matches!(&fault, Fault::Certificate(why) if why.contains("another name")), "{fault}");
    assert!(fault.to_string().contains("other.test"), "{fault}");
}

#[test]
fn a_certificate_that_has_expired_is_refused() {
    let authority = Authority::new("expired");
    let signed = authority.sign("api.test", |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    let fault = fault(&signed, &plan(authority.ca()));
    assert!(matches!(&fault, Fault::Certificate(why) if why.contains("has expired")), "{fault}");
}

#[test]
fn without_verification_every_certificate_is_taken() {
    let theirs = Authority::new("unverified");
    let (address, thread) =
        server(config(&theirs.sign("other.test", |_| {})), 1, |peer| peer.write_all(b"hello").unwrap());
    let plan = UpstreamTls { verify: false, ..plan(String::new()) };
    run(async {
        let mut stream = open(address, &secure(&plan)).await.unwrap();
        assert_eq!(read_exactly(&mut stream, 5, 64).await, b"hello");
    });
    thread.join().unwrap();
}

#[test]
fn an_address_is_checked_against_the_addresses_of_the_certificate() {
    let authority = Authority::new("address");
    let tls = UpstreamTls { server_name: String::new(), ..plan(authority.ca()) };
    let address = Address::Ip { ip: "127.0.0.1".into(), port: 443 };
    let name = Client::name(&tls, &address).unwrap();
    let client = Client::new(&tls, "api", &[HTTP1], None).unwrap();
    let secure = Secure { client, name, label: "test".into() };
    for (name, good) in [("127.0.0.1", true), ("127.0.0.2", false), ("localhost", false)] {
        let (address, thread) = server(config(&authority.sign(name, |_| {})), 1, |peer| {
            let _ = peer.read(&mut [0]);
        });
        let opened = run(async { open(address, &secure).await.map(drop) });
        assert_eq!(opened.is_ok(), good, "{name}: {opened:?}");
        thread.join().unwrap();
    }
}

#[test]
fn a_second_connection_resumes_the_session_of_the_first() {
    let authority = Authority::new("resumption");
    let (address, thread) = server(config(&authority.sign("api.test", |_| {})), 2, |peer| {
        let mut asked = [0; 2];
        peer.read_exact(&mut asked).unwrap();
        peer.write_all(&asked).unwrap();
        let _ = peer.read(&mut [0]);
    });
    let secure = secure(&plan(authority.ca()));
    for resumed in [false, true] {
        run(async {
            let mut stream = open(address, &secure).await.unwrap();
            write(&mut stream, b"hi").await;
            assert_eq!(read_exactly(&mut stream, 2, 64).await, b"hi");
            let Stream::Tls(tls) = &stream else { panic!("plain") };
            assert_eq!(tls.is_resumed(), resumed);
        });
    }
    thread.join().unwrap();
}

#[test]
fn a_client_certificate_is_shown_and_missing_it_is_told() {
    let authority = Authority::new("client");
    let mut roots = RootCertStore::empty();
    roots.add(authority.issuer.der().clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots),
        Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
    );
    let signed = authority.sign("api.test", |_| {});
    let chain = vec![CertificateDer::from_pem_slice(signed.0.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(signed.1.as_bytes()).unwrap();
    let config =
        provided().with_client_cert_verifier(verifier.build().unwrap()).with_single_cert(chain, key).unwrap();
    let (address, thread) = server(config, 2, |peer| {
        let _ = peer.write_all(b"hello").and_then(|()| peer.read(&mut [0]));
    });
    let (chain, key) = authority.sign("gateway.test", |_| {});
    let shown = (authority.file("client.pem", &chain), authority.file("client.key", &key));
    let with = UpstreamTls { client: Some(shown), ..plan(authority.ca()) };
    run(async {
        let mut stream = open(address, &secure(&with)).await.unwrap();
        assert_eq!(read_exactly(&mut stream, 5, 64).await, b"hello");
    });
    run(async {
        // In TLS 1.3 the client is done before the server has seen that it shows nothing.
        let mut stream = open(address, &secure(&plan(authority.ca()))).await.unwrap();
        let error = read(&mut stream, 64).await.unwrap_err();
        assert!(error.to_string().contains("CertificateRequired"), "{error}");
    });
    thread.join().unwrap();
}

#[test]
fn an_idle_connection_is_idle_until_its_peer_says_that_it_ends() {
    let authority = Authority::new("idle");
    let (go, wait) = mpsc::channel::<()>();
    let (address, thread) = server(config(&authority.sign("api.test", |_| {})), 1, move |peer| {
        peer.read_exact(&mut [0; 2]).unwrap();
        peer.write_all(b"hi").unwrap();
        wait.recv().unwrap();
        // A key update: something comes, and it is no content.
        peer.conn.refresh_traffic_keys().unwrap();
        peer.flush().unwrap();
        wait.recv().unwrap();
        peer.conn.send_close_notify();
        peer.flush().unwrap();
        let _ = wait.recv(); // the connection itself stays open
    });
    run(async {
        let mut stream = open(address, &secure(&plan(authority.ca()))).await.unwrap();
        write(&mut stream, b"hi").await;
        assert_eq!(read_exactly(&mut stream, 2, 64).await, b"hi");
        assert!(is_idle(&mut stream), "tickets that came along are no content");
        go.send(()).unwrap();
        {
            // Until the update has come: the inner stream is ready, this one is not.
            let Stream::Tls(tls) = &mut stream else { panic!("plain") };
            poll_fn(|cx| tls.inner.poll_read_ready(cx)).await.unwrap();
        }
        assert!(is_idle(&mut stream), "a key update is no content");
        go.send(()).unwrap();
        poll_fn(|cx| stream.poll_read_ready(cx)).await.unwrap();
        assert!(read(&mut stream, 64).await.unwrap().is_empty());
        drop(go);
    });
    thread.join().unwrap();
}

#[test]
fn an_end_without_notice_is_a_cut() {
    let authority = Authority::new("cut");
    let (address, thread) = server(config(&authority.sign("api.test", |_| {})), 1, |peer| {
        peer.write_all(b"some").unwrap();
        peer.sock.shutdown(Shutdown::Both).unwrap();
    });
    run(async {
        let mut stream = open(address, &secure(&plan(authority.ca()))).await.unwrap();
        assert_eq!(read_exactly(&mut stream, 4, 64).await, b"some");
        assert_eq!(read(&mut stream, 64).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    });
    thread.join().unwrap();
}

#[test]
fn the_end_of_one_direction_leaves_the_other_open() {
    let authority = Authority::new("half-close");
    let (address, thread) = server(config(&authority.sign("api.test", |_| {})), 1, |peer| {
        let mut asked = Vec::new();
        peer.read_to_end(&mut asked).unwrap(); // fails where the end comes without notice
        peer.write_all(&asked).unwrap();
    });
    run(async {
        let mut stream = open(address, &secure(&plan(authority.ca()))).await.unwrap();
        write(&mut stream, b"all of it").await;
        poll_fn(|cx| stream.poll_shutdown(cx)).await.unwrap();
        assert_eq!(read_exactly(&mut stream, 9, 64).await, b"all of it");
    });
    thread.join().unwrap();
}

#[test]
fn a_dropped_connection_says_that_it_ends() {
    let authority = Authority::new("dropped");
    let (address, thread) = server(config(&authority.sign("api.test", |_| {})), 1, |peer| {
        let mut asked = Vec::new();
        peer.read_to_end(&mut asked).unwrap();
        assert_eq!(asked, b"bye");
    });
    run(async {
        let mut stream = open(address, &secure(&plan(authority.ca()))).await.unwrap();
        write(&mut stream, b"bye").await;
    });
    thread.join().unwrap();
}

#[test]
fn a_server_that_does_not_speak_tls_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        for answer in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b""] {
            let (mut socket, _) = listener.accept().unwrap();
            let _ = socket.read(&mut [0; 4096]);
            let _ = socket.write_all(answer);
        }
    });
    let authority = Authority::new("plain");
    let secure = secure(&plan(authority.ca()));
    for why in ["is not TLS", "ended in the handshake"] {
        let opened = run(async { open(address, &secure).await });
        let Err(ConnectFault::Tls(Fault::Failed(told))) = opened else { panic!("{opened:?}") };
        assert!(told.contains(why), "{told}");
    }
    thread.join().unwrap();
}

#[test]
fn a_client_is_kept_until_a_file_has_other_content() {
    let (one, other) = (Authority::new("kept"), Authority::new("changed"));
    let tls = plan(one.ca());
    let first = Client::new(&tls, "api", &[HTTP1], None).unwrap();
    let same = Client::new(&tls, "api", &[HTTP1], Some(&first)).unwrap();
    assert!(Arc::ptr_eq(&first, &same));
    std::fs::write(&tls.ca, other.issuer.pem()).unwrap();
    let changed = Client::new(&tls, "api", &[HTTP1], Some(&first)).unwrap();
    assert!(!Arc::ptr_eq(&first, &changed));
}

#[test]
fn files_that_are_not_what_they_should_be_are_named() {
    let authority = Authority::new("files");
    let missing = Client::new(&plan("/nonexistent/ca.pem".into()), "api", &[HTTP1], None).unwrap_err();
    assert_eq!(missing.part, "ca");
    assert!(missing.why.starts_with("/nonexistent/ca.pem: "), "{}", missing.why);
    let empty = Client::new(&plan(authority.file("empty.pem", "")), "api", &[HTTP1], None).unwrap_err();
    assert!(empty.why.contains("has no certificate in it"), "{}", empty.why);
    let (chain, _) = authority.sign("gateway.test", |_| {});
    let chain = authority.file("client.pem", &chain);
    let shown = UpstreamTls { client: Some((chain.clone(), chain)), ..plan(authority.ca()) };
    let keyless = Client::new(&shown, "api", &[HTTP1], None).unwrap_err();
    assert_eq!(keyless.part, "client");
    let (_, foreign) = authority.sign("gateway.test", |_| {});
    let (chain, _) = authority.sign("gateway.test", |_| {});
    let pair = (authority.file("c.pem", &chain), authority.file("c.key", &foreign));
    let mismatched = UpstreamTls { client: Some(pair), ..plan(authority.ca()) };
    assert_eq!(Client::new(&mismatched, "api", &[HTTP1], None).unwrap_err().part, "client");
}

#[test]
fn a_unix_socket_needs_a_name_to_be_said() {
    let unix = Address::Unix { path: "/run/api.sock".into() };
    let nameless = UpstreamTls { server_name: String::new(), ..plan(String::new()) };
    assert_eq!(Client::name(&nameless, &unix).unwrap_err().part, "server_name");
    assert!(Client::name(&plan(String::new()), &unix).is_ok());
    let rooted = Address::Name { host: "api.test.".into(), port: 443 };
    assert_eq!(Client::name(&nameless, &rooted).unwrap().to_str(), "api.test");
}
