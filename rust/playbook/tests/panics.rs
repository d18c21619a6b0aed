//! Bugs that a test asks for: one exchange ends with them, or one worker, which begins anew; nothing else does.

#![allow(clippy::unwrap_used, reason = "the helpers are parts of tests")]

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tidegate_engine::{
    Engine,
    fault::{self, Place},
};
use tidegate_playbook::{plan, play};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Faults belong to the process, and so to one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn a_panic_ends_one_exchange_and_is_recorded() {
    let _alone = alone();
    play(plan(), async |play| {
        let (other, bad) = (play.client().await, play.client().await);
        other.sends(GET).await;
        let upstream = play.upstream().await;
        fault::arm(Place::Exchange);
        bad.sends(GET).await;
        bad.got_nothing().await;
        assert!(bad.is_closed().await);
        assert_eq!((play.requests(), play.refused("panicked"), play.closed("panicked")), (1, 1, 1));
        assert_eq!(play.stats()["panics"], 1);
        upstream.sends(OK).await;
        other.got(OK).await;
        other.sends(GET).await;
        upstream.sends(OK).await;
        other.got(OK).await;
        assert_eq!(play.engine.connections(), 1);
    });
}

/// Two workers on a port of this machine, which answer by themselves.
fn serving() -> (Engine, SocketAddr) {
    let mut plan = plan();
    plan["routes"][0]["action"] = json!({"kind": "respond", "status": 200, "content_type": "", "body": []});
    let engine = Engine::new(2).unwrap();
    let bound = engine.start(plan.to_string().as_bytes()).unwrap();
    (engine, bound[0].parse().unwrap())
}

fn get(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn until(what: &str, mut look: impl FnMut() -> bool) {
    let began = Instant::now();
    while !look() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::yield_now();
    }
}

fn stats(engine: &Engine) -> Value {
    serde_json::from_slice(&engine.stats()).unwrap()
}

#[test]
fn a_worker_that_panics_begins_anew_on_its_sockets() {
    let _alone = alone();
    let (engine, address) = serving();
    for (turn, place) in [Place::Accept, Place::Worker, Place::Accept].into_iter().enumerate() {
        fault::arm(place);
        // Where it is the accepting task that panics, it does so behind this connection, which may be cut.
        let _ = get(address);
        until("the worker to begin anew", || stats(&engine)["worker_restarts"] == turn + 1);
        for _ in 0..30 {
            assert!(get(address).unwrap().starts_with("HTTP/1.1 200 "), "sockets of both workers are served");
        }
    }
    assert!(!engine.workers().gave_up);
    until("all connections to be gone", || engine.connections() == 0);
    engine.stop();
}

#[test]
fn a_worker_that_panics_while_draining_accepts_no_more() {
    let _alone = alone();
    let (engine, address) = serving();
    assert!(get(address).is_ok());
    engine.drain();
    until("the sockets to be closed", || TcpStream::connect(address).is_err());
    fault::arm(Place::Worker);
    until("the worker to begin anew", || stats(&engine)["worker_restarts"] == 1);
    assert!(get(address).is_err());
    engine.stop();
}

#[test]
fn a_worker_that_panics_again_and_again_gives_up() {
    let _alone = alone();
    let (engine, _) = serving();
    for turn in 0..20 {
        if engine.workers().gave_up {
            break;
        }
        let before = stats(&engine)["worker_restarts"].as_u64();
        fault::arm(Place::Worker);
        until("a worker to panic", || stats(&engine)["worker_restarts"].as_u64() > before);
        assert!(turn < 12, "two workers, five times each, and once more");
    }
    until("it to give up", || engine.workers().gave_up);
    engine.stop();
}

#[test]
fn a_stuck_worker_is_noticed() {
    let _alone = alone();
    let (engine, _) = serving();
    fault::arm(Place::Stuck);
    until("a worker to be late", || engine.workers().slowest > Duration::from_millis(500));
    until("it to turn again", || engine.workers().slowest < Duration::from_millis(500));
    assert!(!engine.workers().gave_up);
    engine.stop();
}
