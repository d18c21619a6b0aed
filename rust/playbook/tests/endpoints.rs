//! Which endpoint a request goes to after what was seen of them.

use std::{rc::Rc, time::Duration};

use serde_json::{Value, json};
use tidegate_playbook::{End, Listening, Play, plan, play};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// The same, and the connection is not kept: each request shows where it went.
const LAST: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

/// The plan with endpoints at ports 80 and 81, one of which may be left out after `failures` in a row.
fn ejecting(failures: u32) -> Value {
    let mut plan = plan();
    let endpoint = |port: u16| {
        let address = json!({"kind": "ip", "ip": "10.0.0.1", "port": port});
        json!({"address": address, "weight": 1, "authority": "up"})
    };
    plan["upstreams"][0]["endpoints"] = json!([endpoint(80), endpoint(81)]);
    plan["upstreams"][0]["passive"] =
        json!({"failures": failures, "count_5xx": false, "eject_ms": 10_000, "max_percent": 50});
    plan
}

/// The next connection to whichever endpoint, and its port.
async fn attempt(play: &Play) -> (Rc<End>, u16) {
    for port in [80, 81] {
        if let Some(end) = play.connection_to(port).await {
            return (end, port);
        }
    }
    panic!("the gateway has opened no connection");
}

#[test]
fn an_endpoint_that_fails_again_and_again_is_left_out_for_a_time() {
    play(ejecting(2), async |play| {
        play.endpoint_is(80, Listening::Refused);
        let ask = async || {
            let client = play.client().await;
            client.sends(GET).await;
            match play.connection_to(81).await {
                Some(upstream) => {
                    upstream.sends(LAST).await;
                    client.got(OK).await;
                    true
                }
                None => {
                    client.got_problem(502, "connect_failed").await;
                    false
                }
            }
        };
        let mut good = 0;
        for _ in 0..4 {
            good += usize::from(ask().await);
        }
        assert_eq!(good, 2, "round robin");
        for _ in 0..6 {
            assert!(ask().await, "the other one is left out");
        }
        play.endpoint_is(80, Listening::Open);
        play.passes(Duration::from_millis(10_001)).await;
        let mut returned = 0;
        for _ in 0..4 {
            let client = play.client().await;
            client.sends(GET).await;
            let (upstream, port) = attempt(play).await;
            upstream.sends(LAST).await;
            client.got(OK).await;
            returned += usize::from(port == 80);
        }
        assert_eq!(returned, 2, "it is back");
    });
}

#[test]
fn an_endpoint_that_answers_nonsense_is_left_out_as_well() {
    for nonsense in
        ["SSH-2.0-OpenSSH\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "HTTP/1.1 200 OK\r\nCut"]
    {
        play(ejecting(1), async |play| {
            let client = play.client().await;
            client.sends(GET).await;
            let (upstream, bad) = attempt(play).await;
            upstream.sends(nonsense).await;
            upstream.finishes().await;
            client.got_start("HTTP/1.1 502 ").await;
            for _ in 0..3 {
                client.sends(GET).await;
                let (upstream, port) = attempt(play).await;
                assert_ne!(port, bad, "{nonsense:?}");
                upstream.sends(LAST).await;
                client.got(OK).await;
            }
        });
    }
}

#[test]
fn a_client_that_leaves_does_not_count_against_the_endpoint() {
    play(ejecting(1), async |play| {
        let mut ports = Vec::new();
        for _ in 0..4 {
            let client = play.client().await;
            client.sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello").await;
            ports.push(attempt(play).await.1);
            client.resets().await;
        }
        assert_eq!(ports.iter().filter(|port| **port == 80).count(), 2, "{ports:?}");
    });
}

#[test]
fn where_all_endpoints_fail_they_are_tried_all_the_same() {
    let mut plan = ejecting(1);
    plan["upstreams"][0]["passive"]["max_percent"] = json!(100);
    play(plan, async |play| {
        play.endpoint_is(80, Listening::Refused);
        play.endpoint_is(81, Listening::Refused);
        for _ in 0..5 {
            let client = play.client().await;
            client.sends(GET).await;
            client.got_problem(502, "connect_failed").await;
        }
        play.endpoint_is(80, Listening::Open);
        play.endpoint_is(81, Listening::Open);
        let client = play.client().await;
        client.sends(GET).await;
        attempt(play).await.0.sends(OK).await;
        client.got(OK).await;
    });
}

#[test]
fn an_upstream_without_an_endpoint_is_unavailable() {
    let mut plan = plan();
    plan["upstreams"][0]["endpoints"][0]["address"] =
        json!({"kind": "name", "host": "nowhere.invalid", "port": 80});
    play(plan, async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        // The name's first answer is waited for, but no longer than a connection may take.
        play.passes(Duration::from_secs(6)).await;
        client.got_problem(503, "no_endpoint").await;
    });
}
