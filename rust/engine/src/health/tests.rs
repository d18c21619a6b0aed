//! Probes against servers on the loopback interface.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
};

use tidegate_plan::{Balance, Endpoint, HealthProbe, Pool};

use super::*;
use crate::resolve::{Pace, Source};

const PATIENCE: Duration = Duration::from_secs(20);

/// A server that gives everybody the same answer, which can be changed.
struct Server {
    address: SocketAddr,
    answer: Arc<Mutex<Vec<u8>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(answer: &[u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (answer, asked) = (Arc::new(Mutex::new(answer.to_vec())), Arc::new(Mutex::new(Vec::new())));
        let (answered, noted) = (Arc::downgrade(&answer), asked.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Some(answer) = answered.upgrade() else { return };
                let answer = answer.lock().unwrap().clone();
                let noted = noted.clone();
                thread::spawn(move || serve(stream.unwrap(), &answer, &noted));
            }
        });
        Self { address, answer, asked }
    }

    fn answers(&self, answer: &[u8]) {
        *self.answer.lock().unwrap() = answer.to_vec();
    }
}

fn serve(mut stream: TcpStream, answer: &[u8], noted: &Mutex<Vec<String>>) {
    let (mut request, mut buffer) = (Vec::new(), [0; 1024]);
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(read) => request.extend_from_slice(&buffer[..read]),
        }
    }
    noted.lock().unwrap().push(String::from_utf8(request).unwrap());
    let _ = stream.write_all(answer);
    if answer.is_empty() {
        // Says nothing for as long as the other side waits.
        let _ = stream.read(&mut buffer);
    }
}

fn http() -> HealthProbe {
    HealthProbe::Http { path: "/healthz".into(), host: String::new(), status: (200, 299) }
}

fn active(probe: HealthProbe) -> ActiveHealth {
    ActiveHealth { probe, interval_ms: 10, timeout_ms: 5000, healthy: 2, unhealthy: 2 }
}

fn upstreams(address: Address, active: Option<ActiveHealth>) -> Vec<Upstream> {
    let pool =
        Pool { idle_max: 1, idle_ms: 1, lifetime_ms: 0, max_connections: 0, queue_max: 0, queue_ms: 0 };
    let upstream = Upstream {
        name: "api".into(),
        endpoints: vec![Endpoint { address, weight: 1, authority: "api.test:8080".into() }],
        balance: Balance::RoundRobin,
        protocol: tidegate_plan::UpstreamProtocol::Http1,
        tls: None,
        proxy_protocol: None,
        pool,
        passive: None,
        active,
        slow_start_ms: 0,
    };
    vec![upstream]
}

fn ip(address: SocketAddr) -> Address {
    Address::Ip { ip: address.ip().to_string(), port: address.port() }
}

fn resolver(hosts: &str) -> Arc<Resolver> {
    Resolver::with(Source { servers: vec![([127, 0, 0, 1], 9).into()], hosts: hosts.into() }, Pace::default())
}

/// Waits until the endpoint is, or is not, up.
fn wait_for(health: &Health, address: SocketAddr, up: bool) {
    let mut changes = health.changes();
    let target = Target::Ip(address);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let waited = runtime.block_on(async {
        tokio::time::timeout(PATIENCE, changes.wait_for(|_| health.is_up("api", &target) == up))
            .await
            .map(drop)
    });
    assert!(waited.is_ok(), "the endpoint does not turn");
}

#[test]
fn an_endpoint_is_out_while_its_answers_are_bad_and_back_when_they_are_good() {
    let server = Server::start(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    let health = Health::start();
    assert!(health.is_up("api", &Target::Ip(server.address)), "before the first probe it is up");
    health.watch_upstreams(
        &upstreams(ip(server.address), Some(active(http()))),
        &[],
        &resolver("/nonexistent"),
    );
    wait_for(&health, server.address, false);
    let before = health.generation();
    server.answers(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    wait_for(&health, server.address, true);
    assert!(health.generation() > before);
    let request = server.asked.lock().unwrap()[0].clone();
    assert!(request.starts_with("GET /healthz HTTP/1.1\r\nHost: api.test:8080\r\n"), "{request}");
}

#[test]
fn an_endpoint_that_does_not_take_connections_is_out() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let health = Health::start();
    health.watch_upstreams(
        &upstreams(ip(address), Some(active(HealthProbe::Tcp))),
        &[],
        &resolver("/nonexistent"),
    );
    wait_for(&health, address, false);
}

#[test]
fn an_answer_that_does_not_come_in_time_is_bad() {
    let server = Server::start(b"");
    let health = Health::start();
    let active = ActiveHealth { timeout_ms: 20, ..active(http()) };
    health.watch_upstreams(&upstreams(ip(server.address), Some(active)), &[], &resolver("/nonexistent"));
    wait_for(&health, server.address, false);
}

#[test]
fn interim_answers_are_passed_over_and_what_is_not_http_is_bad() {
    let server = Server::start(b"220 smtp ready\r\n\r\n");
    let health = Health::start();
    health.watch_upstreams(
        &upstreams(ip(server.address), Some(active(http()))),
        &[],
        &resolver("/nonexistent"),
    );
    wait_for(&health, server.address, false);
    server.answers(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n");
    wait_for(&health, server.address, true);
}

#[test]
fn an_endpoint_that_is_no_longer_probed_is_up() {
    let server = Server::start(b"HTTP/1.1 500 No\r\n\r\n");
    let health = Health::start();
    health.watch_upstreams(
        &upstreams(ip(server.address), Some(active(http()))),
        &[],
        &resolver("/nonexistent"),
    );
    wait_for(&health, server.address, false);
    health.watch_upstreams(&upstreams(ip(server.address), None), &[], &resolver("/nonexistent"));
    assert!(health.is_up("api", &Target::Ip(server.address)));
}

#[test]
fn an_endpoint_that_is_down_stays_so_when_it_is_probed_in_another_manner() {
    let server = Server::start(b"HTTP/1.1 500 No\r\n\r\n");
    let health = Health::start();
    health.watch_upstreams(
        &upstreams(ip(server.address), Some(active(http()))),
        &[],
        &resolver("/nonexistent"),
    );
    wait_for(&health, server.address, false);
    let slower = ActiveHealth { interval_ms: 20, ..active(http()) };
    let generation = health.generation();
    health.watch_upstreams(&upstreams(ip(server.address), Some(slower)), &[], &resolver("/nonexistent"));
    let asked = server.asked.lock().unwrap().len();
    let start = std::time::Instant::now();
    while server.asked.lock().unwrap().len() < asked + 5 {
        assert!(start.elapsed() < PATIENCE, "it is not probed any more");
        thread::yield_now();
    }
    assert_eq!(health.generation(), generation);
    assert!(!health.is_up("api", &Target::Ip(server.address)));
    server.answers(b"HTTP/1.1 200 OK\r\n\r\n");
    wait_for(&health, server.address, true);
}

#[test]
fn probes_of_an_unchanged_endpoint_go_on_over_a_new_plan() {
    let server = Server::start(b"HTTP/1.1 500 No\r\n\r\n");
    let health = Health::start();
    let resolver = resolver("/nonexistent");
    let task = |health: &Health| lock(&health.state.probes).running.values().filter_map(Running::task).next();
    health.watch_upstreams(&upstreams(ip(server.address), Some(active(http()))), &[], &resolver);
    wait_for(&health, server.address, false);
    let before = task(&health);
    let generation = health.generation();
    let other = Server::start(b"HTTP/1.1 500 No\r\n\r\n");
    let mut next = upstreams(ip(server.address), Some(active(http())));
    let added = Endpoint { address: ip(other.address), ..next[0].endpoints[0].clone() };
    next[0].endpoints.push(added);
    health.watch_upstreams(&next, &[], &resolver);
    wait_for(&health, other.address, false);
    assert_eq!(health.generation(), generation + 1, "only the new endpoint turned");
    let running = &lock(&health.state.probes).running;
    assert!(running.values().any(|running| running.task() == before));
    assert_eq!(running.len(), 2);
}

#[test]
fn every_address_of_a_name_is_probed() {
    let server = Server::start(b"HTTP/1.1 500 No\r\n\r\n");
    let hosts = std::env::temp_dir().join(format!("tidegate-health-{}", std::process::id()));
    std::fs::write(&hosts, "127.0.0.1 api.test\n127.0.0.2 api.test\n").unwrap();
    let health = Health::start();
    let named = Address::Name { host: "api.test".into(), port: server.address.port() };
    health.watch_upstreams(
        &upstreams(named, Some(active(http()))),
        &[],
        &resolver(&hosts.display().to_string()),
    );
    wait_for(&health, server.address, false);
    wait_for(&health, SocketAddr::new([127, 0, 0, 2].into(), server.address.port()), false);
    std::fs::remove_file(hosts).unwrap();
}
