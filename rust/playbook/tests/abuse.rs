//! What slow and greedy clients may cost: least rates, connections of each, memory of all; and nobody else pays for it.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tidegate_playbook::{End, Listening, Play, plan, play};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\n\r\n";

/// 100 bytes a second, and ten seconds to catch up.
fn hurried() -> Value {
    let mut plan = plan();
    plan["server"]["abuse"]["min_body_rate"] = json!(100);
    plan["server"]["abuse"]["min_send_rate"] = json!(100);
    plan
}

fn budgeted() -> Value {
    let mut plan = plan();
    plan["server"]["abuse"]["memory"] = json!({"kind": "bytes", "bytes": 1000});
    plan
}

async fn second(play: &Play) {
    play.passes(Duration::from_secs(1)).await;
}

async fn tick(play: &Play) {
    play.passes(Duration::from_millis(101)).await;
}

/// Seconds that pass until `client` is told or closed, doing `each` in every one of them; `None` after `most`.
async fn lasts(play: &Play, client: &End, most: u32, each: impl AsyncFn()) -> Option<u32> {
    for passed in 1..=most {
        second(play).await;
        each().await;
        if client.is_closed().await {
            return Some(passed);
        }
    }
    None
}

#[test]
fn a_body_that_drips_is_refused_once_the_grace_is_over() {
    play(hurried(), async |play| {
        let client = play.client().await;
        client.sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n").await;
        let upstream = play.upstream().await;
        assert_eq!(lasts(play, &client, 60, async || client.sends("x").await).await, Some(10));
        client.got_problem(408, "body_too_slow").await;
        assert!(upstream.is_closed().await, "the upstream sees a request that is cut");
        assert_eq!((play.refused("body_too_slow"), play.requests()), (1, 1));
    });
}

#[test]
fn chunks_of_one_byte_have_the_rate_of_their_content() {
    play(hurried(), async |play| {
        let client = play.client().await;
        client.sends("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        let _upstream = play.upstream().await;
        let drips = async || {
            for _ in 0..20 {
                client.sends("1\r\nx\r\n").await;
            }
        };
        assert_eq!(lasts(play, &client, 60, drips).await, Some(10));
        assert_eq!(play.refused("body_too_slow"), 1);
    });
}

#[test]
fn a_body_that_keeps_to_the_rate_may_take_as_long_as_it_takes() {
    play(hurried(), async |play| {
        let client = play.client().await;
        client.sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n").await;
        let upstream = play.upstream().await;
        assert_eq!(lasts(play, &client, 200, async || client.sends("x".repeat(100)).await).await, None);
        upstream.sends(NO_CONTENT).await;
        client.got(NO_CONTENT).await;
    });
}

#[test]
fn a_body_that_stalled_once_is_forgiven() {
    play(hurried(), async |play| {
        let client = play.client().await;
        client.sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n").await;
        let upstream = play.upstream().await;
        play.passes(Duration::from_secs(29)).await;
        client.sends("x".repeat(500)).await;
        assert_eq!(lasts(play, &client, 195, async || client.sends("x".repeat(100)).await).await, None);
        upstream.sends(NO_CONTENT).await;
        client.got(NO_CONTENT).await;
    });
}

#[test]
fn the_clients_rate_does_not_count_while_the_upstream_takes_nothing() {
    play(hurried(), async |play| {
        let client = play.client().await;
        client.sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n").await;
        let upstream = play.upstream().await;
        upstream.takes_at_most(1000);
        client.sends("x".repeat(100_000)).await;
        play.passes(Duration::from_secs(19)).await;
        upstream.takes().await;
        play.passes(Duration::from_secs(19)).await;
        assert!(!client.is_closed().await);
        assert_eq!(play.refused("body_too_slow"), 0);
    });
}

#[test]
fn a_body_that_a_hook_waits_for_has_its_rate_too() {
    let mut plan = hurried();
    plan["hooks"] = json!([{"name": "m:f", "timeout_ms": 60_000, "body": true, "body_bytes": 1000, "on_failure": "refuse"}]);
    plan["routes"][0]["hook"] = json!(0);
    play(plan, async |play| {
        let client = play.client().await;
        client.sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n").await;
        assert_eq!(lasts(play, &client, 60, async || client.sends("x").await).await, Some(10));
        client.got_problem(408, "body_too_slow").await;
        assert_eq!(play.engine.hooks().waiting(), 0);
    });
}

#[test]
fn a_client_that_drips_a_response_out_is_cut_off() {
    play(hurried(), async |play| {
        let client = play.client().await;
        client.takes_at_most(50);
        client.sends(GET).await;
        let upstream = play.upstream().await;
        upstream.sends("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n").await;
        upstream.sends(vec![b'x'; 300_000]).await;
        let takes = async || drop(client.takes_bytes().await);
        assert_eq!(lasts(play, &client, 60, takes).await, Some(10));
        assert!(upstream.is_closed().await);
        assert_eq!((play.refused("send_too_slow"), play.closed("failed")), (1, 1));
    });
}

#[test]
fn a_client_that_takes_a_response_at_the_rate_gets_all_of_it() {
    play(hurried(), async |play| {
        let client = play.client().await;
        client.takes_at_most(150);
        client.sends(GET).await;
        let upstream = play.upstream().await;
        upstream.sends("HTTP/1.1 200 OK\r\nContent-Length: 15000\r\n\r\n").await;
        upstream.sends(vec![b'x'; 15_000]).await;
        assert_eq!(lasts(play, &client, 110, async || drop(client.takes_bytes().await)).await, None);
        client.sends(GET).await;
        upstream.got([GET, GET].concat()).await;
    });
}

#[test]
fn a_quiet_event_stream_has_no_rate() {
    play(hurried(), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let upstream = play.upstream().await;
        upstream.sends("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        for _ in 0..20 {
            play.passes(Duration::from_secs(15)).await;
            upstream.sends("1\r\nx\r\n").await;
            assert!(client.takes().await.ends_with("1\r\nx\r\n"));
        }
        assert!(!client.is_closed().await);
    });
}

async fn tunnel(play: &Play) -> (std::rc::Rc<End>, std::rc::Rc<End>) {
    let client = play.client().await;
    client.sends("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n").await;
    let upstream = play.upstream().await;
    upstream.sends("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n").await;
    client.got_start("HTTP/1.1 101 ").await;
    (client, upstream)
}

#[test]
fn a_tunnel_whose_client_takes_nothing_is_closed_whatever_it_says() {
    play(plan(), async |play| {
        let (client, upstream) = tunnel(play).await;
        client.takes_at_most(100);
        upstream.sends("x".repeat(1000)).await;
        assert_eq!(lasts(play, &client, 60, async || client.sends("ping").await).await, Some(31));
        assert_eq!((play.refused("send_timeout"), play.closed("tunnel")), (1, 1));
    });
}

#[test]
fn a_tunnel_whose_client_drips_is_closed_and_a_quiet_one_is_not() {
    play(hurried(), async |play| {
        let (client, upstream) = tunnel(play).await;
        for _ in 0..10 {
            play.passes(Duration::from_secs(50)).await;
            upstream.sends("x").await;
            client.got("x").await;
        }
        client.takes_at_most(50);
        upstream.sends("x".repeat(5000)).await;
        let takes = async || drop(client.takes_bytes().await);
        assert_eq!(lasts(play, &client, 60, takes).await, Some(10));
        assert_eq!(play.refused("send_too_slow"), 1);
    });
}

#[test]
fn a_client_gets_as_many_connections_as_it_may_and_others_get_theirs() {
    let mut plan = plan();
    plan["server"]["abuse"]["connections_per_client"] = json!(2);
    plan["server"]["trusted_proxies"] = json!(["192.0.2.9/32"]);
    play(plan, async |play| {
        let at = |last: u8| SocketAddr::from(([192, 0, 2, last], 1000));
        let first = play.client_at(at(1)).await;
        let _second = play.client_at(at(1)).await;
        let third = play.client_at(at(1)).await;
        assert!(third.is_closed().await);
        assert_eq!(play.refused("too_many_connections_of_client"), 1);
        assert!(!play.client_at(at(2)).await.is_closed().await);
        for _ in 0..5 {
            assert!(!play.client_at(at(9)).await.is_closed().await, "a trusted proxy is no client");
        }
        first.resets().await;
        assert!(!play.client_at(at(1)).await.is_closed().await, "one that went made room");
    });
}

#[test]
fn a_client_behind_a_proxy_header_is_counted_by_its_own_address() {
    let mut plan = plan();
    plan["listeners"][0]["proxy_protocol"] = json!(true);
    plan["server"]["trusted_proxies"] = json!(["192.0.2.1/32"]);
    plan["server"]["abuse"]["connections_per_client"] = json!(1);
    play(plan, async |play| {
        let told = |last: u8| format!("PROXY TCP4 198.51.100.{last} 10.0.0.1 1000 80\r\n{GET}");
        let first = play.client().await;
        first.sends(told(1)).await;
        play.upstream().await.sends(NO_CONTENT).await;
        first.got(NO_CONTENT).await;
        let second = play.client().await;
        second.sends(told(1)).await;
        assert!(second.is_closed().await);
        assert_eq!(play.refused("too_many_connections_of_client"), 1);
        let other = play.client().await;
        other.sends(told(2)).await;
        assert!(!other.is_closed().await);
    });
}

#[test]
fn memory_that_runs_short_costs_idle_connections_then_new_ones_then_requests() {
    play(budgeted(), async |play| {
        let (idle, busy) = (play.client().await, play.client().await);
        idle.sends(GET).await;
        let kept = play.upstream().await;
        busy.sends(GET).await;
        let upstream = play.upstream().await;
        kept.sends(NO_CONTENT).await;
        idle.got(NO_CONTENT).await;
        let fresh = play.client().await;

        play.engine.takes_memory(800);
        tick(play).await;
        assert!(idle.is_closed().await, "level 1 closes connections that were served and wait");
        assert!(kept.is_closed().await, "and those that wait for the next request to an upstream");
        assert!(!fresh.is_closed().await && !busy.is_closed().await);
        assert_eq!(play.metric("tidegate_overload_level"), Some(1.0));
        let late = play.client().await;
        assert!(!late.is_closed().await, "level 1 refuses nobody");

        play.engine.takes_memory(900);
        tick(play).await;
        assert!(play.client().await.is_closed().await, "level 2 refuses new connections");
        assert!(fresh.is_closed().await, "and closes those that have asked nothing");
        assert_eq!(play.refused("overloaded"), 1);
        assert!(!busy.is_closed().await);

        play.engine.takes_memory(950);
        tick(play).await;
        upstream.sends("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        let told = busy.takes().await;
        assert!(told.ends_with("ok"), "what is under way ends in order: {told}");
        assert!(told.contains("Connection: close\r\n"), "{told}");
        assert_eq!(play.metric("tidegate_overload_level"), Some(3.0));
        assert!(play.closed("overload") >= 4, "{}", play.closed("overload"));

        tick(play).await;
        assert!(upstream.is_closed().await, "nothing is kept while it lasts");
        play.engine.takes_memory(700);
        tick(play).await;
        let again = play.client().await;
        again.sends(GET).await;
        play.upstream().await.sends(NO_CONTENT).await;
        again.got(NO_CONTENT).await;
        assert!(!again.is_closed().await, "and all is as before");
    });
}

#[test]
fn a_request_on_an_open_connection_is_refused_when_nothing_else_is_left() {
    play(budgeted(), async |play| {
        let client = play.client().await;
        client.sends("GET / HT").await;
        play.engine.takes_memory(990);
        tick(play).await;
        client.sends("TP/1.1\r\nHost: a\r\n\r\n").await;
        let rest = client.got_problem(503, "overloaded").await;
        assert!(rest.contains("\r\nRetry-After: 1\r\n"), "{rest}");
        assert!(client.is_closed().await);
        play.no_upstream().await;
    });
}

#[test]
fn the_admin_listener_answers_whatever_memory_is_left() {
    let mut plan = budgeted();
    plan["listeners"][0]["admin"] = json!(true);
    play(plan, async |play| {
        play.engine.takes_memory(5000);
        tick(play).await;
        let client = play.client().await;
        client.sends(GET).await;
        play.upstream().await.sends(NO_CONTENT).await;
        client.got(NO_CONTENT).await;
        assert!(!client.is_closed().await);
    });
}

#[test]
fn what_this_process_lacks_is_no_fault_of_the_endpoint() {
    let mut plan = plan();
    plan["upstreams"][0]["passive"] = json!({
        "failures": 1, "count_5xx": false, "eject_ms": 60_000, "max_percent": 100
    });
    plan["routes"][0]["retry"]["attempts"] = json!(3);
    plan["routes"][0]["retry"]["on"] = json!(["connect"]);
    play(plan, async |play| {
        play.endpoint_is(80, Listening::NoDescriptors);
        let client = play.client().await;
        client.sends(GET).await;
        client.got_problem(503, "out_of_descriptors").await;
        assert_eq!(play.retried("out_of_descriptors"), 0, "another attempt would need another descriptor");
        play.endpoint_is(80, Listening::Open);
        client.sends(GET).await;
        play.upstream().await.sends(NO_CONTENT).await;
        client.got(NO_CONTENT).await;
    });
}

#[test]
fn a_request_that_is_held_back_ends_when_its_client_breaks_off() {
    let mut plan = plan();
    plan["limits"] = json!([{
        "name": "l", "key": [{"kind": "client_ip"}], "rate": {"tokens": 1, "per_ms": 10_000}, "burst": 1, "cost": 1,
        "delay_ms": 60_000
    }]);
    plan["routes"][0]["limits"] = json!([0]);
    play(plan, async |play| {
        let first = play.client().await;
        first.sends(GET).await;
        play.upstream().await.sends(NO_CONTENT).await;
        first.got(NO_CONTENT).await;
        let held = play.client().await;
        held.sends(GET).await;
        play.passes(Duration::from_secs(1)).await;
        assert_eq!(play.requests(), 1);
        held.resets().await;
        assert_eq!((play.requests(), play.refused("client_gone")), (2, 1));
        play.passes(Duration::from_secs(30)).await;
        play.no_upstream().await;
    });
}

#[test]
fn connections_are_closed_after_each_answer_where_none_is_kept() {
    let mut plan = plan();
    plan["server"]["keep_alive_ms"] = json!(0);
    play(plan, async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        play.upstream().await.sends(NO_CONTENT).await;
        client.got("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
        assert!(client.is_closed().await);
        assert_eq!(play.closed("keep_alive_off"), 1);
        let silent = play.client().await;
        play.passes_exactly(10_000, async || assert!(!silent.is_closed().await)).await;
        assert!(silent.is_closed().await, "one that says nothing has the time of a head");
    });
}
