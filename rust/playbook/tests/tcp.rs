//! Connections that are passed on: where to, how they end, what is refused before anything is sent.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_playbook::{Listening, Play, plan, play};

/// A target without and one with another attempt.
fn target(upstream: u32, attempts: u32) -> Value {
    json!({
        "upstream": upstream, "connect_ms": 1000,
        "retry": {"attempts": attempts, "on": ["connect"], "non_idempotent": false, "budget_percent": 100, "replay_bytes": 0}
    })
}

/// A listener that passes everything on to 10.0.0.1:80.
fn passing() -> Value {
    let mut plan = plan();
    plan["routes"] = json!([]);
    plan["listeners"][0]["tcp"] = json!({
        "sni": [], "default": target(0, 1), "access": null, "limits": [], "concurrency": [], "max_connections": 0,
        "hello_ms": 3000, "hello_bytes": 16384, "idle_ms": 60_000, "access_log": true
    });
    plan
}

/// `a.example` goes to port 80, everything below `b.example` to port 81.
fn by_name() -> Value {
    let mut plan = passing();
    plan["upstreams"] = json!([upstream(80), upstream(81), upstream(82)]);
    let tcp = &mut plan["listeners"][0]["tcp"];
    tcp["sni"] = json!([
        {"host": "a.example", "target": target(0, 1)}, {"host": "*.b.example", "target": target(1, 1)}
    ]);
    tcp["default"] = Value::Null;
    plan
}

fn upstream(port: u16) -> Value {
    let mut upstream = plan()["upstreams"][0].clone();
    upstream["name"] = json!(format!("up{port}"));
    upstream["endpoints"][0]["address"]["port"] = json!(port);
    upstream
}

fn hello(name: &str) -> Vec<u8> {
    let list = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
    let entry = [&[0][..], &list(name.as_bytes())].concat();
    let sni = [&[0, 0][..], &list(&list(&entry))].concat();
    let body = [&[3, 3][..], &[7; 32], &[0], &list(&[0x13, 1]), &[1, 0], &list(&sni)].concat();
    let message = [&[1, 0][..], &list(&body)].concat();
    [&[22, 3, 1][..], &list(&message)].concat()
}

fn ends(play: &Play, reason: &str) -> f64 {
    play.metric(&format!("tidegate_tcp_ends_total{{reason=\"{reason}\"}}")).unwrap_or(0.0)
}

fn bytes(play: &Play, direction: &str) -> f64 {
    let name = format!("tidegate_tcp_bytes_total{{listener=\"memory\",direction=\"{direction}\"}}");
    play.metric(&name).unwrap_or(0.0)
}

#[test]
fn bytes_go_both_ways_as_they_came_and_a_server_may_speak_first() {
    play(passing(), async |play| {
        let client = play.client().await;
        let upstream = play.upstream().await;
        upstream.sends("220 hello\r\n").await;
        client.got("220 hello\r\n").await;
        client.sends(b"\x00\xffGET").await;
        assert_eq!(upstream.takes_bytes().await, b"\x00\xffGET");
        assert_eq!((bytes(play, "up"), bytes(play, "down")), (5.0, 11.0));
        assert_eq!(play.metric("tidegate_tcp_connections{listener=\"memory\"}"), Some(1.0));
    });
}

#[test]
fn the_end_of_one_direction_is_passed_on_and_the_other_goes_on() {
    play(passing(), async |play| {
        let client = play.client().await;
        let upstream = play.upstream().await;
        client.sends("question").await;
        client.finishes().await;
        upstream.got("question").await;
        assert!(upstream.is_closed().await);
        assert!(!client.is_closed().await);
        upstream.sends("answer").await;
        upstream.finishes().await;
        client.got("answer").await;
        assert!(client.is_closed().await);
        assert_eq!(ends(play, "client_end"), 1.0);
        assert_eq!(play.metric("tidegate_tcp_connections{listener=\"memory\"}"), Some(0.0));
        assert_eq!(play.stats()["connections"], 0);
    });
}

#[test]
fn a_server_that_ends_first_is_told_apart() {
    play(passing(), async |play| {
        let client = play.client().await;
        let upstream = play.upstream().await;
        upstream.finishes().await;
        assert!(client.is_closed().await);
        client.finishes().await;
        assert_eq!(ends(play, "upstream_end"), 1.0);
    });
}

#[test]
fn a_break_on_one_side_is_a_break_on_the_other() {
    play(passing(), async |play| {
        let client = play.client().await;
        let upstream = play.upstream().await;
        upstream.sends("half an ans").await;
        upstream.resets().await;
        assert!(client.is_broken().await);
        assert_eq!(ends(play, "upstream_reset"), 1.0);

        let client = play.client().await;
        let upstream = play.upstream().await;
        client.resets().await;
        assert!(upstream.is_broken().await);
        assert_eq!(ends(play, "client_reset"), 1.0);
    });
}

#[test]
fn a_slow_side_holds_the_other_back_and_only_a_buffer_is_kept() {
    play(passing(), async |play| {
        let client = play.client().await;
        client.takes_at_most(1000);
        let upstream = play.upstream().await;
        let whole = "x".repeat(1_000_000);
        upstream.sends(&whole).await;
        upstream.finishes().await;
        let read = bytes(play, "down");
        assert!(read <= 200_000.0, "{read} bytes were read ahead of a client that takes nothing");
        let mut got = 0;
        while !client.is_closed().await {
            got += client.takes_bytes().await.len();
        }
        got += client.takes_bytes().await.len();
        assert_eq!(got, whole.len());
    });
}

#[test]
fn silence_in_both_directions_ends_a_connection_and_a_byte_in_any_keeps_it() {
    play(passing(), async |play| {
        let client = play.client().await;
        let upstream = play.upstream().await;
        for _ in 0..3 {
            play.passes(Duration::from_secs(50)).await;
            upstream.sends("ping").await;
            client.got("ping").await;
        }
        play.passes_exactly(60_000, async || assert!(!client.is_closed().await)).await;
        assert!(client.is_closed().await && upstream.is_closed().await);
        assert_eq!(ends(play, "idle_timeout"), 1.0);
    });
}

#[test]
fn an_endpoint_that_takes_no_connection_is_followed_by_the_next() {
    let mut plan = passing();
    plan["upstreams"][0] = upstream(80);
    let mut other = plan["upstreams"][0]["endpoints"][0].clone();
    other["address"]["port"] = json!(81);
    plan["upstreams"][0]["endpoints"].as_array_mut().unwrap().push(other);
    plan["listeners"][0]["tcp"]["default"] = target(0, 2);
    play(plan, async |play| {
        play.endpoint_is(80, Listening::Refused);
        for _ in 0..2 {
            let client = play.client().await;
            client.sends("hello").await;
            let upstream = play.upstream_at(81).await;
            upstream.got("hello").await;
        }
        assert_eq!(play.retried("connect_failed"), 1);
    });
}

#[test]
fn a_connection_that_waits_to_try_again_holds_no_other_up() {
    let mut plan = passing();
    let endpoints = plan["upstreams"][0]["endpoints"].as_array_mut().unwrap();
    for port in [81, 82] {
        let mut other = endpoints[0].clone();
        other["address"]["port"] = json!(port);
        endpoints.push(other);
    }
    plan["listeners"][0]["tcp"]["default"] = target(0, 3);
    play(plan, async |play| {
        for port in [80, 81, 82] {
            play.endpoint_is(port, Listening::Refused);
        }
        // The third attempt comes after a pause, in which others connect.
        let waiting = play.client().await;
        let others = [play.client().await, play.client().await];
        play.endpoint_is(82, Listening::Open);
        play.endpoint_is(81, Listening::Open);
        play.endpoint_is(80, Listening::Open);
        play.passes(Duration::from_secs(3)).await;
        for client in others.iter().chain([&waiting]) {
            assert!(!client.is_closed().await);
        }
        assert_eq!(play.metric("tidegate_panics_total"), Some(0.0));
    });
}

#[test]
fn where_no_endpoint_takes_it_the_client_is_closed_and_told_apart() {
    play(passing(), async |play| {
        play.endpoint_is(80, Listening::Refused);
        let client = play.client().await;
        assert!(client.is_closed().await);
        client.got_nothing().await;
        assert_eq!(ends(play, "connect_failed"), 1.0);
        play.endpoint_is(80, Listening::Silent);
        let client = play.client().await;
        play.passes(Duration::from_millis(1200)).await;
        assert!(client.is_closed().await);
        assert_eq!(ends(play, "connect_timeout"), 1.0);
    });
}

#[test]
fn a_hello_goes_where_its_name_leads_however_it_comes() {
    play(by_name(), async |play| {
        for (name, port) in [("a.example", 80), ("x.y.b.example", 81), ("A.EXAMPLE", 80)] {
            let client = play.client().await;
            let hello = hello(name);
            for byte in &hello[..hello.len() - 1] {
                client.sends([*byte]).await;
            }
            assert!(play.connection_to(port).await.is_none());
            client.sends(&hello[hello.len() - 1..]).await;
            let upstream = play.upstream_at(port).await;
            assert_eq!(upstream.takes_bytes().await, hello);
            upstream.sends("server hello").await;
            client.got("server hello").await;
        }
    });
}

#[test]
fn a_name_that_nothing_belongs_to_is_refused_with_the_alert_for_it() {
    play(by_name(), async |play| {
        let client = play.client().await;
        client.sends(hello("b.example")).await;
        assert_eq!(client.takes_bytes().await, [21, 3, 3, 0, 2, 2, 112]);
        assert!(client.is_closed().await);
        assert_eq!(play.refused("unknown_server_name"), 1);
        assert_eq!(ends(play, "unknown_server_name"), 1.0);
    });
}

#[test]
fn what_is_no_hello_is_refused_where_only_names_lead_anywhere() {
    play(by_name(), async |play| {
        for (said, reason) in [
            (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "not_tls"),
            (vec![22, 3, 1, 0x40, 0, 1, 1, 0, 0], "client_hello_too_large"),
            (vec![22, 3, 1, 0, 6, 1, 0, 0, 2, 3, 3], "bad_client_hello"),
            (hello(""), "no_server_name"),
        ] {
            let client = play.client().await;
            client.sends(said).await;
            client.got_nothing().await;
            assert!(client.is_closed().await, "{reason}");
            assert_eq!(play.refused(reason), 1, "{reason}");
        }
        let client = play.client().await;
        client.sends(&hello("a.example")[..20]).await;
        play.passes_exactly(3000, async || assert!(!client.is_closed().await)).await;
        assert!(client.is_closed().await);
        assert_eq!(play.refused("client_hello_timeout"), 1);
        play.no_upstream().await;
    });
}

#[test]
fn the_default_takes_other_names_no_names_no_tls_and_those_who_wait_to_be_spoken_to() {
    let mut plan = by_name();
    plan["listeners"][0]["tcp"]["default"] = target(2, 1);
    play(plan, async |play| {
        for said in [hello("other.example"), hello(""), b"SSH-2.0-x\r\n".to_vec()] {
            let client = play.client().await;
            client.sends(&said).await;
            assert_eq!(play.upstream_at(82).await.takes_bytes().await, said);
        }
        let client = play.client().await;
        play.passes(Duration::from_secs(4)).await;
        play.upstream_at(82).await.sends("220 hello").await;
        client.got("220 hello").await;
    });
}

#[test]
fn new_connections_are_limited_by_client_and_open_ones_capped() {
    let mut plan = passing();
    plan["limits"] = json!([{
        "name": "new", "key": [{"kind": "client_ip"}], "rate": {"tokens": 1, "per_ms": 1000}, "burst": 3, "cost": 1,
        "delay_ms": 0
    }]);
    plan["concurrency"] = json!([{"name": "open", "key": [{"kind": "client_ip"}], "max": 2}]);
    plan["listeners"][0]["tcp"]["limits"] = json!([0]);
    plan["listeners"][0]["tcp"]["concurrency"] = json!([0]);
    play(plan, async |play| {
        let first = play.client().await;
        let _second = play.client().await;
        let third = play.client().await;
        assert!(!first.is_closed().await && third.is_closed().await);
        assert_eq!(play.refused("too_many_in_flight"), 1);
        let fourth = play.client().await;
        assert!(fourth.is_closed().await);
        assert_eq!(play.refused("rate_limited"), 1);
        let other = play.client_at("198.51.100.7:1".parse().unwrap()).await;
        assert!(!other.is_closed().await);
        first.resets().await;
        play.passes(Duration::from_secs(2)).await;
        assert!(!play.client().await.is_closed().await);
    });
}

#[test]
fn a_listener_has_as_many_connections_as_it_may() {
    let mut plan = passing();
    plan["listeners"][0]["tcp"]["max_connections"] = json!(1);
    play(plan, async |play| {
        let first = play.client().await;
        let second = play.client().await;
        assert!(second.is_closed().await);
        second.got_nothing().await;
        assert_eq!(play.refused("listener_full"), 1);
        first.finishes().await;
        play.upstream().await.finishes().await;
        assert!(!play.client().await.is_closed().await);
    });
}

#[test]
fn a_denied_address_gets_nothing() {
    let mut plan = passing();
    plan["listeners"][0]["tcp"]["access"] = json!({"allow": [], "deny": ["192.0.2.0/24"]});
    play(plan, async |play| {
        assert!(play.client().await.is_closed().await);
        assert_eq!(play.refused("address_denied"), 1);
        play.no_upstream().await;
    });
}

#[test]
fn a_drain_lets_connections_go_on_until_its_time_is_over() {
    let mut plan = passing();
    plan["server"]["drain_ms"] = json!(5000);
    play(plan, async |play| {
        let client = play.client().await;
        let upstream = play.upstream().await;
        play.engine.drain();
        play.passes(Duration::from_secs(4)).await;
        client.sends("still here").await;
        upstream.got("still here").await;
        play.passes(Duration::from_millis(1200)).await;
        assert!(client.is_broken().await && upstream.is_broken().await);
        assert_eq!(ends(play, "drain_deadline"), 1.0);
    });
}

#[test]
fn a_listener_that_a_reload_takes_away_drains() {
    let mut plan = passing();
    plan["server"]["drain_ms"] = json!(2000);
    play(plan.clone(), async |play| {
        let client = play.client().await;
        let _upstream = play.upstream().await;
        let mut next = plan.clone();
        next["listeners"][0] = json!({
            "name": "other", "address": {"kind": "unix", "path": "/dev/null/never"}, "proxy_protocol": false,
            "admin": false, "tcp": null
        });
        // The new listener can't be bound, so the plan is refused and the connection stays.
        assert!(play.engine.apply(next.to_string().as_bytes()).is_err());
        next["listeners"] = json!([]);
        assert!(play.engine.apply(next.to_string().as_bytes()).is_ok());
        play.passes(Duration::from_millis(1500)).await;
        assert!(!client.is_closed().await);
        play.passes(Duration::from_millis(1000)).await;
        assert!(client.is_broken().await);
        assert_eq!(ends(play, "drain_deadline"), 1.0);
    });
}

#[test]
fn a_proxy_header_tells_the_client_and_is_told_on() {
    let mut plan = passing();
    plan["listeners"][0]["proxy_protocol"] = json!(true);
    plan["server"]["trusted_proxies"] = json!(["192.0.2.0/24"]);
    plan["upstreams"][0]["proxy_protocol"] = json!("v1");
    play(plan, async |play| {
        let client = play.client().await;
        client.sends("PROXY TCP4 203.0.113.9 198.51.100.1 1234 443\r\nhello").await;
        play.upstream().await.got("PROXY TCP4 203.0.113.9 198.51.100.1 1234 443\r\nhello").await;
        let client = play.client().await;
        client.sends("hello, no header").await;
        assert!(client.is_closed().await);
        assert_eq!(play.refused("not_proxy_protocol"), 1);
        let client = play.client_at("198.51.100.7:1".parse().unwrap()).await;
        assert!(client.is_closed().await);
        assert_eq!(play.refused("proxy_header_untrusted"), 1);
    });
}

#[test]
fn behind_a_proxy_header_a_client_is_counted_by_its_own_address() {
    let mut plan = passing();
    plan["listeners"][0]["proxy_protocol"] = json!(true);
    plan["server"]["trusted_proxies"] = json!(["192.0.2.0/24"]);
    plan["server"]["abuse"]["connections_per_client"] = json!(1);
    play(plan, async |play| {
        let mut open = Vec::new();
        for (source, stays) in [("203.0.113.9", true), ("203.0.113.9", false), ("203.0.113.10", true)] {
            let client = play.client().await;
            client.sends(format!("PROXY TCP4 {source} 198.51.100.1 1234 443\r\n")).await;
            assert_eq!(!client.is_closed().await, stays, "{source}");
            open.push(client);
        }
        assert_eq!(ends(play, "too_many_connections_of_client"), 1.0);
    });
}

#[test]
fn version_2_tells_the_name_that_the_client_asked_for() {
    let mut plan = by_name();
    plan["upstreams"][0]["proxy_protocol"] = json!("v2");
    plan["listeners"][0]["proxy_protocol"] = json!(true);
    plan["server"]["trusted_proxies"] = json!(["192.0.2.0/24"]);
    play(plan, async |play| {
        let client = play.client().await;
        let hello = hello("a.example");
        client.sends("PROXY TCP4 203.0.113.9 198.51.100.1 1234 443\r\n").await;
        client.sends(&hello).await;
        let got = play.upstream().await.takes_bytes().await;
        let header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x18\xcb\0\x71\x09\xc6\x33\x64\x01\x04\xd2\x01\xbb\x02\0\x09a.example";
        assert_eq!(got, [&header[..], &hello].concat());
    });
}
