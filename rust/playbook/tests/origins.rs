//! Who the client is, and what upstreams are told about it.

use serde_json::{Value, json};
use tidegate_playbook::{plan, play};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const PROXY: [u8; 4] = [10, 9, 9, 9];

fn with_server(name: &str, value: Value) -> Value {
    let mut plan = plan();
    plan["server"][name] = value;
    plan
}

/// Trusts 10.0.0.0/8 and tells the upstream in this style.
fn told(style: &str) -> Value {
    let mut plan = with_server("forwarded", json!(style));
    plan["server"]["trusted_proxies"] = json!(["10.0.0.0/8"]);
    plan
}

/// What the upstream gets behind the Host field of a request with these fields from this address.
fn fields_of(plan: Value, from: &str, fields: &str, expected: &str) {
    play(plan, async |play| {
        let client = play.client_at(from.parse().unwrap_or(([0, 0, 0, 0], 0).into())).await;
        client.sends(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
        play.upstream().await.got(format!("GET / HTTP/1.1\r\nHost: a\r\n{expected}\r\n")).await;
    });
}

#[test]
fn the_upstream_is_told_who_asked() {
    fields_of(
        told("x_forwarded"),
        "192.0.2.1:1",
        "",
        "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\n",
    );
    fields_of(told("forwarded"), "192.0.2.1:1", "", "Forwarded: for=192.0.2.1;proto=http;host=\"a\"\r\n");
    fields_of(
        told("forwarded"),
        "[2001:db8::1]:1",
        "",
        "Forwarded: for=\"[2001:db8::1]\";proto=http;host=\"a\"\r\n",
    );
    fields_of(told("none"), "192.0.2.1:1", "", "");
}

#[test]
fn a_strangers_word_on_who_asked_is_replaced() {
    let lies = "X-Forwarded-For: 1.1.1.1\r\nx-forwarded-for: 2.2.2.2\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\nForwarded: for=1.1.1.1\r\n";
    fields_of(
        told("both"),
        "192.0.2.1:1",
        lies,
        "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\nForwarded: for=192.0.2.1;proto=http;host=\"a\"\r\n",
    );
}

#[test]
fn a_trusted_proxys_word_is_continued() {
    fields_of(
        told("x_forwarded"),
        "10.9.9.9:1",
        "X-Forwarded-For: 1.1.1.1, 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\n",
        "X-Forwarded-For: 1.1.1.1, 192.0.2.7, 10.9.9.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\n",
    );
    fields_of(
        told("forwarded"),
        "10.9.9.9:1",
        "Forwarded: for=192.0.2.7;proto=https\r\n",
        "Forwarded: for=192.0.2.7;proto=https, for=10.9.9.9;proto=http;host=\"a\"\r\n",
    );
}

/// The client's address as it is known to a request with these fields, from a trusted proxy.
fn client_of(style: &str, fields: &str, expected: &str) {
    let mut plan = told(style);
    plan["routes"][0]["action"] = json!({
        "kind": "respond", "status": 200, "content_type": "", "body": [{"kind": "variable", "name": "client_ip"}]
    });
    play(plan, async |play| {
        let client = play.client_at((PROXY, 1).into()).await;
        client.sends(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
        let rest = client.got_start("HTTP/1.1 200 OK\r\n").await;
        assert!(rest.ends_with(&format!("\r\n\r\n{expected}")), "{fields:?}: {rest}");
    });
}

#[test]
fn the_client_is_the_last_that_no_trusted_proxy_stands_for() {
    for (fields, expected) in [
        ("", "10.9.9.9"),
        ("X-Forwarded-For: 192.0.2.7\r\n", "192.0.2.7"),
        ("X-Forwarded-For: 1.1.1.1, 192.0.2.7, 10.1.1.1\r\n", "192.0.2.7"),
        ("X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 192.0.2.7\r\n", "192.0.2.7"),
        ("X-Forwarded-For: 2001:db8::1\r\n", "2001:db8::1"),
        ("X-Forwarded-For: 192.0.2.7, nonsense\r\n", "10.9.9.9"),
    ] {
        client_of("x_forwarded", fields, expected);
    }
    client_of("forwarded", "Forwarded: for=192.0.2.7, for=10.1.1.1\r\n", "192.0.2.7");
    client_of("forwarded", "Forwarded: for=\"[2001:db8::1]:443\"\r\n", "2001:db8::1");
    client_of("forwarded", "X-Forwarded-For: 192.0.2.7\r\n", "10.9.9.9");
}

#[test]
fn via_is_added_both_ways() {
    play(with_server("via", json!(true)), async |play| {
        let client = play.client().await;
        client.sends("GET / HTTP/1.0\r\nHost: a\r\nVia: 1.1 before\r\n\r\n").await;
        let upstream = play.upstream().await;
        upstream.got("GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 before\r\nVia: 1.0 tidegate\r\n\r\n").await;
        upstream.sends("HTTP/1.1 204 No Content\r\n\r\n").await;
        client.got("HTTP/1.1 204 No Content\r\nVia: 1.1 tidegate\r\nConnection: close\r\n\r\n").await;
    });
}

/// The value of the field called `name` in a head.
fn value(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(": ")?.to_owned()))
}

#[test]
fn a_request_id_is_made_sent_on_and_told() {
    let id = json!({"header": "X-Request-Id", "trust": false, "respond": true});
    play(with_server("request_id", id), async |play| {
        let client = play.client().await;
        client.sends("GET / HTTP/1.1\r\nHost: a\r\nx-request-id: mine\r\n\r\n").await;
        let upstream = play.upstream().await;
        let sent = value(&upstream.takes().await, "X-Request-Id").unwrap();
        assert_eq!(sent.len(), 32);
        upstream.sends("HTTP/1.1 204 No Content\r\nX-Request-Id: theirs\r\n\r\n").await;
        client.got(format!("HTTP/1.1 204 No Content\r\nX-Request-Id: {sent}\r\n\r\n")).await;
        client.sends(GET).await;
        assert_ne!(value(&upstream.takes().await, "X-Request-Id").unwrap(), sent);
        upstream.sends("nonsense").await;
        let head = client.takes().await;
        let told = value(&head, "X-Request-Id").unwrap();
        assert!(head.contains(&format!("\"request_id\":\"{told}\"")), "{head}");
    });
}

#[test]
fn a_request_id_that_is_trusted_is_kept_if_it_is_plain() {
    let id = json!({"header": "X-Request-Id", "trust": true, "respond": false});
    play(with_server("request_id", id), async |play| {
        let long = "x".repeat(129);
        for (brought, kept) in
            [("abc-123", true), ("a b", false), ("a\"b", false), ("", false), (&long, false)]
        {
            let client = play.client().await;
            client.sends(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: {brought}\r\n\r\n")).await;
            let upstream = play.upstream().await;
            let sent = value(&upstream.takes().await, "X-Request-Id").unwrap();
            assert_eq!(sent == brought, kept, "{brought:?} became {sent:?}");
            upstream.resets().await;
        }
    });
}

#[test]
fn a_traceparent_is_made_where_there_is_none() {
    play(with_server("trace", json!(true)), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let upstream = play.upstream().await;
        let made = value(&upstream.takes().await, "traceparent").unwrap();
        assert!(made.len() == 55 && made.starts_with("00-") && made.ends_with("-01"), "{made}");
        upstream.sends("HTTP/1.1 204 No Content\r\n\r\n").await;
        let brought = "GET / HTTP/1.1\r\nHost: a\r\nTraceparent: 00-1-2-00\r\n\r\n";
        client.sends(brought).await;
        upstream.got(brought).await;
    });
}

fn behind_a_balancer() -> Value {
    let mut plan = told("x_forwarded");
    plan["listeners"][0]["proxy_protocol"] = json!(true);
    plan
}

/// A version 2 header for TCP over IPv4 from 192.0.2.7:4711.
fn version_2() -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend([192, 0, 2, 7, 10, 0, 0, 1]);
    header.extend(4711u16.to_be_bytes());
    header.extend(80u16.to_be_bytes());
    header
}

#[test]
fn a_proxy_header_tells_the_client() {
    for header in [b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\n".to_vec(), version_2()] {
        for cut in [0, 1, 5, 13, header.len() - 1, header.len()] {
            play(behind_a_balancer(), async |play| {
                let client = play.client_at((PROXY, 1).into()).await;
                client.sends(&header[..cut]).await;
                client.sends([&header[cut..], GET.as_bytes()].concat()).await;
                let upstream = play.upstream().await;
                let rest =
                    upstream.got_start("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.7\r\n").await;
                assert!(!rest.contains("PROXY"), "{rest}");
                upstream.sends("HTTP/1.1 204 No Content\r\n\r\n").await;
                client.got("HTTP/1.1 204 No Content\r\n\r\n").await;
                client.sends(GET).await;
                upstream.got_start("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.7\r\n").await;
            });
        }
    }
}

#[test]
fn a_balancers_own_check_keeps_its_address() {
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec();
    for header in [b"PROXY UNKNOWN\r\n".to_vec(), local] {
        play(behind_a_balancer(), async |play| {
            let client = play.client_at((PROXY, 1).into()).await;
            client.sends([&header, GET.as_bytes()].concat()).await;
            play.upstream()
                .await
                .got_start("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.9.9.9\r\n")
                .await;
        });
    }
}

#[test]
fn a_connection_without_its_proxy_header_is_closed() {
    for first in [GET, "PROXY TCP4 nonsense\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 99999 1\r\n"] {
        play(behind_a_balancer(), async |play| {
            let client = play.client_at((PROXY, 1).into()).await;
            client.sends([first, GET].concat()).await;
            client.got_nothing().await;
            assert!(client.is_closed().await, "{first:?}");
            play.no_upstream().await;
            assert_eq!((play.closed("refused"), play.requests()), (1, 0));
        });
    }
}

#[test]
fn a_proxy_header_from_a_stranger_is_not_read() {
    play(behind_a_balancer(), async |play| {
        let client = play.client().await;
        client.sends([b"PROXY TCP4 1.1.1.1 10.0.0.1 1 80\r\n", GET.as_bytes()].concat()).await;
        assert!(client.is_closed().await);
        assert_eq!(play.refused("proxy_header_untrusted"), 1);
    });
}

#[test]
fn a_proxy_header_that_does_not_end_is_let_go_in_time() {
    play(behind_a_balancer(), async |play| {
        let client = play.client_at((PROXY, 1).into()).await;
        client.sends("PROXY TCP4 ").await;
        play.passes_exactly(10_000, async || assert!(!client.is_closed().await)).await;
        assert!(client.is_closed().await);
    });
}

#[test]
fn a_proxy_header_where_none_is_expected_is_no_request() {
    play(told("none"), async |play| {
        let client = play.client_at((PROXY, 1).into()).await;
        client.sends(["PROXY TCP4 1.1.1.1 10.0.0.1 1 80\r\n", GET].concat()).await;
        client.got_start("HTTP/1.1 400 ").await;
        assert!(client.is_closed().await);
    });
}
