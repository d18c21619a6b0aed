//! Requests that come back, and connections that open with a PROXY header.

use serde_json::{Value, json};
use tidegate_playbook::{plan, play};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn guarded(field: &str) -> Value {
    let mut plan = plan();
    plan["server"]["loop_guard"] = json!({"id": "edge-1", "field": field, "most": 1});
    plan
}

fn proxied(version: &str) -> Value {
    let mut plan = plan();
    plan["upstreams"][0]["proxy_protocol"] = json!(version);
    plan
}

#[test]
fn what_is_forwarded_bears_the_name_behind_those_that_are_there() {
    play(guarded("cdn_loop"), async |play| {
        let client = play.client().await;
        client.sends("GET / HTTP/1.1\r\nHost: a\r\nCDN-Loop: other\r\n\r\n").await;
        let upstream = play.upstream().await;
        upstream.got("GET / HTTP/1.1\r\nHost: a\r\nCDN-Loop: other\r\nCDN-Loop: edge-1\r\n\r\n").await;
        upstream.sends(OK).await;
        client.got(OK).await;
    });
}

#[test]
fn a_request_that_was_here_more_often_than_allowed_is_answered_508() {
    play(guarded("cdn_loop"), async |play| {
        let client = play.client().await;
        client.sends("GET / HTTP/1.1\r\nHost: a\r\nCDN-Loop: edge-1\r\n\r\n").await;
        let upstream = play.upstream().await;
        upstream.got("GET / HTTP/1.1\r\nHost: a\r\nCDN-Loop: edge-1\r\nCDN-Loop: edge-1\r\n\r\n").await;
        upstream.sends(OK).await;
        client.got(OK).await;
        client.sends("GET / HTTP/1.1\r\nHost: a\r\nCDN-Loop: edge-1\r\nCDN-Loop: edge-1\r\n\r\n").await;
        client.got_problem(508, "loop_detected").await;
        upstream.got_nothing().await;
        play.no_upstream().await;
        assert_eq!(play.refused("loop_detected"), 1);
    });
}

#[test]
fn via_bears_the_name_where_that_is_wanted() {
    play(guarded("via"), async |play| {
        let client = play.client().await;
        client.sends("GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 edge-1\r\n\r\n").await;
        let upstream = play.upstream().await;
        upstream.got("GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 edge-1\r\nVia: 1.1 edge-1\r\n\r\n").await;
        upstream.sends(OK).await;
        client.got(OK).await;
        client.sends("GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 edge-1, 1.0 x, 1.1 edge-1\r\n\r\n").await;
        client.got_problem(508, "loop_detected").await;
    });
}

#[test]
fn a_connection_that_speaks_for_a_client_serves_that_client_only() {
    play(proxied("v1"), async |play| {
        let client = play.client_at("192.0.2.9:1001".parse().unwrap()).await;
        client.sends(GET).await;
        let upstream = play.upstream().await;
        upstream.got(format!("PROXY TCP4 192.0.2.9 0.0.0.0 1001 0\r\n{GET}")).await;
        upstream.sends(OK).await;
        client.got(OK).await;

        client.sends(GET).await;
        upstream.got(GET).await;
        upstream.sends(OK).await;
        client.got(OK).await;

        let other = play.client_at("192.0.2.9:1002".parse().unwrap()).await;
        other.sends(GET).await;
        upstream.got_nothing().await;
        let second = play.upstream().await;
        second.got(format!("PROXY TCP4 192.0.2.9 0.0.0.0 1002 0\r\n{GET}")).await;
    });
}

#[test]
fn a_client_that_a_trusted_proxy_tells_of_is_told_on_without_a_port() {
    let mut plan = proxied("v1");
    plan["server"]["trusted_proxies"] = json!(["192.0.2.0/24"]);
    play(plan, async |play| {
        let client = play.client().await;
        client.sends("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.5\r\n\r\n").await;
        play.upstream().await.got_start("PROXY TCP4 203.0.113.5 0.0.0.0 0 0\r\nGET / HTTP/1.1\r\n").await;
    });
}

#[test]
fn kept_connections_of_many_clients_are_not_more_than_are_kept_for_one_endpoint() {
    let mut plan = proxied("v2");
    plan["upstreams"][0]["pool"]["idle_max"] = json!(1);
    play(plan, async |play| {
        let mut ends = Vec::new();
        for port in 1..4 {
            let client = play.client_at(format!("192.0.2.9:{port}").parse().unwrap()).await;
            client.sends(GET).await;
            let upstream = play.upstream().await;
            upstream.takes_bytes().await;
            upstream.sends(OK).await;
            client.got(OK).await;
            ends.push((client, upstream));
        }
        let mut open = 0;
        for (_, upstream) in &ends {
            open += u32::from(!upstream.is_closed().await);
        }
        assert_eq!(open, 1);
    });
}

#[test]
fn a_bounded_endpoint_keeps_no_connection_that_only_one_client_could_use() {
    let mut plan = proxied("v1");
    plan["upstreams"][0]["pool"]["max_connections"] = json!(1);
    plan["upstreams"][0]["pool"]["queue_max"] = json!(1);
    play(plan, async |play| {
        for port in 1..4 {
            let client = play.client_at(format!("192.0.2.9:{port}").parse().unwrap()).await;
            client.sends(GET).await;
            let upstream = play.upstream().await;
            upstream.sends(OK).await;
            client.got(OK).await;
            assert!(upstream.is_closed().await);
        }
    });
}

#[test]
fn a_tunnel_may_be_silent_for_as_long_as_its_route_says() {
    let mut plan = plan();
    plan["routes"][0]["timeouts"]["tunnel_idle_ms"] = json!(5000);
    play(plan, async |play| {
        let client = play.client().await;
        let ask = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        client.sends(ask).await;
        let upstream = play.upstream().await;
        upstream
            .sends("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            .await;
        client.got_start("HTTP/1.1 101 ").await;
        play.passes_exactly(5000, async || assert!(!client.is_closed().await)).await;
        assert!(client.is_closed().await && upstream.is_closed().await);
    });
}
