//! Names against a name server on the loopback interface.

use std::{collections::HashMap, fs, net::UdpSocket, thread};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

const QUICK: Pace = Pace {
    ttl_least: Duration::from_millis(10),
    ttl_most: Duration::from_millis(10),
    retry_first: Duration::from_millis(10),
    retry_most: Duration::from_millis(20),
};

const A: u16 = 1;
const AAAA: u16 = 28;

/// What the server answers.
#[derive(Debug, Clone)]
enum Says {
    Addresses(Vec<IpAddr>),
    NoSuchName,
    ServerFailure,
}

#[derive(Debug, Default)]
struct Zone {
    names: HashMap<(String, u16), Says>,
    asked: HashMap<String, u32>,
}

/// A name server that says what it is told to.
struct Server {
    zone: Arc<Mutex<Zone>>,
    address: SocketAddr,
}

impl Server {
    fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let zone = Arc::new(Mutex::new(Zone::default()));
        let served = Arc::downgrade(&zone);
        thread::spawn(move || {
            let mut query = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut query) {
                let Some(zone) = served.upgrade() else { return };
                let response = zone.lock().unwrap().respond(&query[..length]);
                socket.send_to(&response, from).unwrap();
            }
        });
        Self { zone, address }
    }

    fn says(&self, name: &str, record: u16, says: Says) {
        self.zone.lock().unwrap().names.insert((name.to_owned(), record), says);
    }

    fn has(&self, name: &str, addresses: &[&str]) {
        let (v4, v6) = addresses.iter().map(|address| address.parse().unwrap()).partition(IpAddr::is_ipv4);
        self.says(name, A, Says::Addresses(v4));
        self.says(name, AAAA, Says::Addresses(v6));
    }

    fn fails(&self, name: &str, says: &Says) {
        self.says(name, A, says.clone());
        self.says(name, AAAA, says.clone());
    }

    fn asked(&self, name: &str) -> u32 {
        self.zone.lock().unwrap().asked.get(name).copied().unwrap_or(0)
    }

    /// Waits until the name was asked for so many times more.
    fn wait_asked(&self, name: &str, times: u32) {
        let (before, start) = (self.asked(name), std::time::Instant::now());
        while self.asked(name) < before + times {
            assert!(start.elapsed() < PATIENCE, "{name} is not asked for");
            thread::yield_now();
        }
    }

    fn resolver(&self) -> Arc<Resolver> {
        self.resolver_with("/nonexistent")
    }

    fn resolver_with(&self, hosts: impl Into<PathBuf>) -> Arc<Resolver> {
        Resolver::with(Source { servers: vec![self.address], hosts: hosts.into() }, QUICK)
    }
}

impl Zone {
    /// A response to one question (RFC 1035 §4.1), answers rotated from time to time.
    fn respond(&mut self, query: &[u8]) -> Vec<u8> {
        let (mut name, mut at) = (String::new(), 12);
        while query[at] != 0 {
            let length = usize::from(query[at]);
            name += std::str::from_utf8(&query[at + 1..=at + length]).unwrap();
            name.push('.');
            at += length + 1;
        }
        let record = u16::from_be_bytes([query[at + 1], query[at + 2]]);
        let asked = self.asked.entry(name.trim_end_matches('.').to_owned()).or_default();
        *asked += 1;
        let turn = *asked as usize / 2;
        let says = self.names.get(&(name.trim_end_matches('.').to_owned(), record));
        let (code, mut addresses) = match says {
            Some(Says::Addresses(addresses)) => (0, addresses.clone()),
            Some(Says::ServerFailure) => (2, Vec::new()),
            Some(Says::NoSuchName) | None => (3, Vec::new()),
        };
        let count = addresses.len();
        addresses.rotate_left(if count > 0 { turn % count } else { 0 });
        let mut response = query[..2].to_vec();
        response.extend([0x81, 0x80 | code, 0, 1, 0, count as u8, 0, 0, 0, 0]);
        response.extend(&query[12..at + 5]);
        for address in addresses {
            response.extend([0xc0, 12]);
            response.extend(record.to_be_bytes());
            response.extend([0, 1, 0, 0, 0, 0]);
            let bytes = match address {
                IpAddr::V4(ip) => ip.octets().to_vec(),
                IpAddr::V6(ip) => ip.octets().to_vec(),
            };
            response.extend((bytes.len() as u16).to_be_bytes());
            response.extend(bytes);
        }
        response
    }
}

fn addresses(name: &Name) -> Vec<String> {
    name.addresses().iter().map(SocketAddr::to_string).collect()
}

/// Waits until the name has these addresses.
fn wait_for(resolver: &Resolver, name: &Name, wanted: &[&str]) {
    let mut changes = resolver.changes();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let waited = runtime.block_on(async {
        tokio::time::timeout(PATIENCE, changes.wait_for(|_| addresses(name) == wanted)).await.map(drop)
    });
    assert!(waited.is_ok(), "has {:?}, not {wanted:?}", addresses(name));
}

#[test]
fn all_addresses_of_both_families_are_used() {
    let server = Server::start();
    server.has("api.test", &["192.0.2.2", "2001:db8::1", "192.0.2.1", "2001:db8::2"]);
    let resolver = server.resolver();
    let name = resolver.subscribe("api.test", 80);
    wait_for(&resolver, &name, &["192.0.2.1:80", "192.0.2.2:80", "[2001:db8::1]:80", "[2001:db8::2]:80"]);
}

#[test]
fn a_name_is_asked_for_again_when_its_time_is_over() {
    let server = Server::start();
    server.has("api.test", &["192.0.2.1"]);
    let resolver = server.resolver();
    let name = resolver.subscribe("api.test", 80);
    wait_for(&resolver, &name, &["192.0.2.1:80"]);
    let before = resolver.generation();
    server.has("api.test", &["192.0.2.7", "192.0.2.8"]);
    wait_for(&resolver, &name, &["192.0.2.7:80", "192.0.2.8:80"]);
    assert!(resolver.generation() > before);
}

#[test]
fn the_same_addresses_in_another_order_are_no_change() {
    let server = Server::start();
    server.has("api.test", &["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
    let resolver = server.resolver();
    let name = resolver.subscribe("api.test", 80);
    wait_for(&resolver, &name, &["192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80"]);
    let before = resolver.generation();
    server.wait_asked("api.test", 20);
    assert_eq!(resolver.generation(), before);
}

#[test]
fn old_addresses_are_used_while_the_name_server_is_down() {
    let server = Server::start();
    server.has("api.test", &["192.0.2.1"]);
    let resolver = server.resolver();
    let name = resolver.subscribe("api.test", 80);
    wait_for(&resolver, &name, &["192.0.2.1:80"]);
    server.fails("api.test", &Says::ServerFailure);
    server.wait_asked("api.test", 20);
    assert_eq!(addresses(&name), ["192.0.2.1:80"]);
    server.has("api.test", &["192.0.2.2"]);
    wait_for(&resolver, &name, &["192.0.2.2:80"]);
}

#[test]
fn a_family_that_can_not_be_asked_for_stays_as_it_was() {
    let server = Server::start();
    server.has("api.test", &["192.0.2.1", "2001:db8::1"]);
    let resolver = server.resolver();
    let name = resolver.subscribe("api.test", 80);
    wait_for(&resolver, &name, &["192.0.2.1:80", "[2001:db8::1]:80"]);
    server.says("api.test", AAAA, Says::ServerFailure);
    server.says("api.test", A, Says::Addresses(vec![[192, 0, 2, 9].into()]));
    wait_for(&resolver, &name, &["192.0.2.9:80", "[2001:db8::1]:80"]);
}

#[test]
fn a_name_that_is_denied_for_a_while_loses_its_addresses() {
    let server = Server::start();
    server.has("api.test", &["192.0.2.1"]);
    let resolver = server.resolver();
    let name = resolver.subscribe("api.test", 80);
    wait_for(&resolver, &name, &["192.0.2.1:80"]);
    server.fails("api.test", &Says::NoSuchName);
    wait_for(&resolver, &name, &[]);
    server.has("api.test", &["192.0.2.1"]);
    wait_for(&resolver, &name, &["192.0.2.1:80"]);
}

#[test]
fn two_denials_in_a_row_take_nothing_away_and_the_third_does() {
    let server = Server::start();
    let resolver = server.resolver();
    let name = resolver.subscribe("192.0.2.1", 80);
    let mut course = Course::default();
    let known = lookup::Families { v4: vec![[192, 0, 2, 1].into()], v6: Vec::new() };
    let found = || Answer::Found { families: known.clone(), ttl: Duration::from_secs(60), failed: None };
    course.follow(&name.0, found(), &QUICK);
    for _ in 0..2 {
        course.follow(&name.0, Answer::None, &QUICK);
        course.follow(&name.0, Answer::None, &QUICK);
        assert_eq!(addresses(&name), ["192.0.2.1:80"]);
        course.follow(&name.0, found(), &QUICK);
    }
    for _ in 0..3 {
        course.follow(&name.0, Answer::None, &QUICK);
    }
    assert_eq!(addresses(&name), Vec::<String>::new());
}

#[test]
fn pauses_follow_the_ttl_within_bounds_and_grow_with_failures() {
    let resolver = Server::start().resolver();
    let name = resolver.subscribe("192.0.2.1", 80);
    let mut course = Course::default();
    let pace = Pace::default();
    let mut found = |seconds| {
        let families = lookup::Families { v4: vec![[192, 0, 2, 1].into()], v6: Vec::new() };
        let ttl = Duration::from_secs(seconds);
        course.follow(&name.0, Answer::Found { families, ttl, failed: None }, &pace).as_secs()
    };
    assert_eq!([found(0), found(60), found(86_400)], [1, 60, 300]);
    let mut failed = || course.follow(&name.0, Answer::Failed("down".into()), &pace).as_secs();
    assert_eq!([(); 7].map(|()| failed()), [1, 2, 4, 8, 16, 30, 30]);
}

#[test]
fn a_name_in_the_hosts_file_is_not_asked_for() {
    let server = Server::start();
    server.has("db.test", &["192.0.2.1"]);
    let hosts = std::env::temp_dir().join(format!("tidegate-hosts-{}", std::process::id()));
    fs::write(&hosts, "127.0.0.9 db.test db # here\n::9 db.test\n").unwrap();
    let resolver = server.resolver_with(&hosts);
    let name = resolver.subscribe("DB.Test", 5432);
    wait_for(&resolver, &name, &["127.0.0.9:5432", "[::9]:5432"]);
    assert_eq!(server.asked("db.test"), 0);
    fs::remove_file(hosts).unwrap();
}

#[test]
fn a_literal_address_is_there_at_once_and_never_asked_for() {
    let server = Server::start();
    let resolver = server.resolver();
    assert_eq!(addresses(&resolver.subscribe("192.0.2.1", 80)), ["192.0.2.1:80"]);
    assert_eq!(addresses(&resolver.subscribe("[2001:db8::1]", 80)), ["[2001:db8::1]:80"]);
    assert_eq!(server.zone.lock().unwrap().asked.len(), 0);
}

#[test]
fn a_name_without_an_answer_yet_has_no_addresses() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let source = Source { servers: vec![silent.local_addr().unwrap()], hosts: "/nonexistent".into() };
    let resolver = Resolver::with(source, QUICK);
    assert_eq!(addresses(&resolver.subscribe("api.test", 80)), Vec::<String>::new());
}

#[test]
fn a_name_that_nobody_holds_is_no_longer_asked_for() {
    let server = Server::start();
    server.has("kept.test", &["192.0.2.1"]);
    server.has("gone.test", &["192.0.2.1"]);
    let resolver = server.resolver();
    let kept = resolver.subscribe("kept.test", 80);
    let gone = resolver.subscribe("gone.test", 80);
    wait_for(&resolver, &kept, &["192.0.2.1:80"]);
    wait_for(&resolver, &gone, &["192.0.2.1:80"]);
    drop(gone);
    // What was under way when it went may still arrive.
    server.wait_asked("kept.test", 4);
    let asked = server.asked("gone.test");
    server.wait_asked("kept.test", 20);
    assert_eq!(server.asked("gone.test"), asked);
}

#[test]
fn two_that_want_the_same_name_share_it() {
    let server = Server::start();
    let resolver = server.resolver();
    let one = resolver.subscribe("api.test", 80);
    let two = resolver.subscribe("API.test", 80);
    assert!(Arc::ptr_eq(&one.0, &two.0));
    assert!(!Arc::ptr_eq(&one.0, &resolver.subscribe("api.test", 81).0));
}

#[test]
fn no_more_addresses_are_held_than_the_bound() {
    let resolver = Server::start().resolver();
    let name = resolver.subscribe("192.0.2.1", 80);
    name.0.publish((0..1000_u32).map(|number| IpAddr::from((0x0a00_0000 + number).to_be_bytes())).collect());
    assert_eq!(name.addresses().len(), ADDRESSES_MOST);
}
