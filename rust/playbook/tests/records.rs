//! Every exchange ends in exactly one record, whichever way it ends, and the counts add up.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_playbook::{Listening, Play, plan, play};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const PART: &str = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok";
const PUT_PART: &str = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nok";

fn sum(counts: &Value) -> u64 {
    counts.as_object().into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum()
}

/// Runs `script`; then one exchange must be recorded, with this status, for this reason (empty: none), and its
/// connection must have closed for this reason (empty: it is still open).
fn ends(plan: Value, script: impl AsyncFnOnce(&Play), status: u16, reason: &str, close: &str) {
    play(plan, async |play| {
        script(play).await;
        let stats = play.stats();
        let about = format!("{status} {reason}: {stats}");
        assert_eq!(stats["requests"], 1, "{about}");
        assert_eq!(stats["statuses"], json!({status.to_string(): 1}), "{about}");
        let one = |name: &str| if name.is_empty() { json!({}) } else { json!({name: 1}) };
        assert_eq!(stats["refusals"], one(reason), "{about}");
        assert_eq!(stats["closes"], one(close), "{about}");
        assert_eq!(stats["connections"], u64::from(close.is_empty()), "{about}");
        assert_eq!(stats["panics"], 0, "{about}");
        play.passes(Duration::from_millis(1100)).await;
        for upstream in play.stats()["upstreams"].as_array().into_iter().flatten() {
            assert_eq!(upstream["in_flight"].as_u64().unwrap_or(0), 0, "{about}");
        }
    });
}

#[test]
fn an_answered_request_is_recorded_once() {
    let script = async |play: &Play| {
        let client = play.client().await;
        client.sends(GET).await;
        play.upstream().await.sends(OK).await;
        client.got(OK).await;
        // Kept until the counts have been looked at.
        std::mem::forget(client);
    };
    ends(plan(), script, 200, "", "");
}

#[test]
fn a_refused_head_is_recorded_once() {
    for (head, status, reason) in [
        ("GET  / HTTP/1.1\r\n\r\n", 400, "whitespace_in_request_line"),
        ("GET / HTTP/1.1\r\n\r\n", 400, "missing_host"),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 405, "connect_method"),
        ("GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "nul_in_path"),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", 417, "unknown_expectation"),
    ] {
        let script = async |play: &Play| {
            let client = play.client().await;
            client.sends(head).await;
            client.got_problem(status, reason).await;
            client.finishes().await;
        };
        ends(plan(), script, status, reason, "refused");
    }
}

#[test]
fn a_client_that_leaves_is_recorded_once_wherever_it_leaves() {
    for (request, response) in [(PUT_PART, ""), (GET, ""), (GET, "HTTP/1.1 200"), (PUT_PART, "HTTP/1.1 200")]
    {
        let script = async |play: &Play| {
            let client = play.client().await;
            client.sends(request).await;
            let upstream = play.upstream().await;
            upstream.sends(response).await;
            client.resets().await;
        };
        ends(plan(), script, 400, "client_gone", "broken");
    }
    for request in [GET, PUT_PART] {
        let script = async |play: &Play| {
            let client = play.client().await;
            client.sends(request).await;
            let upstream = play.upstream().await;
            upstream.sends(PART).await;
            client.resets().await;
        };
        ends(plan(), script, 200, "client_gone", "failed");
    }
}

#[test]
fn an_upstream_that_fails_is_recorded_once_wherever_it_fails() {
    for (response, status, reason) in [
        ("", 502, "upstream_reset"),
        ("HTTP/1.1 200 OK\r\nX", 502, "upstream_cut"),
        ("nonsense", 502, "not_http"),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            502,
            "unexpected_upgrade",
        ),
    ] {
        let script = async |play: &Play| {
            let client = play.client().await;
            client.sends("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
            let upstream = play.upstream().await;
            upstream.sends(response).await;
            upstream.resets().await;
            client.got_problem(status, reason).await;
        };
        ends(plan(), script, status, reason, "asked");
    }
    let script = async |play: &Play| {
        let client = play.client().await;
        client.sends(GET).await;
        let upstream = play.upstream().await;
        upstream.sends(PART).await;
        upstream.resets().await;
        client.finishes().await;
    };
    ends(plan(), script, 200, "upstream_cut", "failed");
}

#[test]
fn a_request_that_finds_nobody_is_recorded_once_however_often_it_was_tried() {
    let mut plan = plan();
    plan["routes"][0]["retry"]["attempts"] = json!(5);
    plan["routes"][0]["retry"]["on"] = json!(["connect"]);
    let script = async |play: &Play| {
        play.endpoint_is(80, Listening::Refused);
        let client = play.client().await;
        client.sends("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        play.passes(Duration::from_secs(2)).await;
        client.got_problem(502, "connect_failed").await;
        assert_eq!(play.retried("connect_failed"), 4);
    };
    ends(plan, script, 502, "connect_failed", "asked");
}

#[test]
fn a_tunnel_is_recorded_once_when_it_ends() {
    let script = async |play: &Play| {
        let client = play.client().await;
        client.sends("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n").await;
        let upstream = play.upstream().await;
        upstream.sends("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n").await;
        client.sends("up").await;
        upstream.sends("down!").await;
        assert_eq!(play.requests(), 0);
        client.finishes().await;
        upstream.finishes().await;
        let route = &play.stats()["routes"][0];
        assert_eq!((&route["bytes_in"], &route["bytes_out"]), (&json!(2), &json!(5)));
    };
    ends(plan(), script, 101, "", "tunnel");
}

#[test]
fn bytes_of_bodies_are_counted_without_their_framing() {
    let script = async |play: &Play| {
        let client = play.client().await;
        client
            .sends("PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: 1\r\n\r\n")
            .await;
        let upstream = play.upstream().await;
        upstream.sends("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n").await;
        let route = &play.stats()["routes"][0];
        assert_eq!((&route["bytes_in"], &route["bytes_out"]), (&json!(3), &json!(5)));
    };
    ends(plan(), script, 200, "", "asked");
}

#[test]
fn a_body_that_is_sent_twice_is_counted_once() {
    let mut plan = plan();
    plan["routes"][0]["retry"]["attempts"] = json!(2);
    plan["routes"][0]["retry"]["on"] = json!(["reset"]);
    let script = async |play: &Play| {
        let client = play.client().await;
        client.sends("PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc").await;
        play.upstream().await.resets().await;
        play.upstream().await.sends(OK).await;
        let stats = play.stats();
        assert_eq!(stats["routes"][0]["bytes_in"], 3);
        let attempts = stats["upstreams"].as_array().unwrap().iter().find(|row| row["endpoint"].is_string());
        let attempts = attempts.unwrap();
        assert_eq!((&attempts["ok"], &attempts["failed"]), (&json!(1), &json!(1)));
    };
    ends(plan, script, 200, "", "asked");
}

#[test]
fn a_connection_without_a_request_is_no_exchange() {
    play(plan(), async |play| {
        play.client().await.finishes().await;
        play.client().await.resets().await;
        let silent = play.client().await;
        play.passes(Duration::from_secs(61)).await;
        assert!(silent.is_closed().await);
        let stats = play.stats();
        assert_eq!((&stats["requests"], &stats["connections_opened"]), (&json!(0), &json!(3)));
        assert_eq!(stats["closes"], json!({"by_client": 2, "idle": 1}));
    });
}

#[test]
fn counts_of_many_exchanges_add_up() {
    let mut plan = plan();
    plan["routes"][0]["access"] = json!({"allow": [], "deny": ["192.0.2.200/32"]});
    play(plan, async |play| {
        for number in 0..40_u8 {
            let address = if number % 4 == 0 { 200 } else { 1 };
            let client = play.client_at(([192, 0, 2, address], 1).into()).await;
            for _ in 0..=number % 3 {
                client.sends(GET).await;
                for port in [80] {
                    while let Some(upstream) = play.connection_to(port).await {
                        upstream
                            .sends(if number % 5 == 0 {
                                "nonsense"
                            } else {
                                "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
                            })
                            .await;
                    }
                }
            }
            match number % 2 {
                0 => client.finishes().await,
                _ => client.resets().await,
            }
        }
        let stats = play.stats();
        let requests: u64 = (0..40).map(|number| number % 3 + 1).sum();
        assert_eq!(stats["requests"], requests, "{stats}");
        assert_eq!(sum(&stats["statuses"]), requests, "{stats}");
        assert_eq!(sum(&stats["closes"]), 40, "{stats}");
        assert_eq!(stats["connections"], 0, "{stats}");
        let refused: u64 = ["address_denied", "not_http"].iter().map(|name| play.refused(name)).sum();
        assert_eq!(sum(&stats["refusals"]), refused, "{stats}");
        assert_eq!(
            refused,
            stats["statuses"]["403"].as_u64().unwrap() + stats["statuses"]["502"].as_u64().unwrap()
        );
    });
}
