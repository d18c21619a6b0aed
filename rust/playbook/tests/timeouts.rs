//! Every wait is bounded, never cut short, and named when it is over.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_playbook::{End, Listening, Play, plan, play, route};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\n\r\n";

/// The plan with short times, each another one.
fn timed() -> Value {
    let mut plan = plan();
    for (name, ms) in [
        ("head_timeout_ms", 1000),
        ("body_timeout_ms", 2000),
        ("send_timeout_ms", 3000),
        ("keep_alive_ms", 4000),
    ] {
        plan["server"][name] = json!(ms);
    }
    plan["routes"][0]["timeouts"] =
        json!({"connect_ms": 600, "head_ms": 7000, "idle_ms": 8000, "total_ms": 0, "tunnel_idle_ms": 5000});
    plan
}

async fn seconds(play: &Play, seconds: u64) {
    play.passes(Duration::from_secs(seconds)).await;
}

/// The client is asked something and its answer begins; it is read up to `Content-Length: 1000000`.
async fn large_answer(play: &Play) -> (std::rc::Rc<End>, std::rc::Rc<End>) {
    let client = play.client().await;
    client.takes_at_most(1000);
    client.sends(GET).await;
    let upstream = play.upstream().await;
    upstream.sends("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n").await;
    upstream.sends(vec![b'x'; 300_000]).await;
    (client, upstream)
}

#[test]
fn a_head_that_drips_is_refused_after_the_whole_heads_time() {
    play(timed(), async |play| {
        let client = play.client().await;
        client.sends("GET / HTTP/1.1\r\n").await;
        for _ in 0..3 {
            play.passes(Duration::from_millis(300)).await;
            client.sends("X: 1\r\n").await;
        }
        client.got_nothing().await;
        play.passes(Duration::from_millis(201)).await;
        let rest = client.got_problem(408, "head_timeout").await;
        assert!(rest.contains("\r\nConnection: close\r\n"), "{rest}");
        assert!(client.is_closed().await);
        assert_eq!(play.refused("head_timeout"), 1);
    });
}

#[test]
fn a_head_has_all_of_its_time() {
    play(timed(), async |play| {
        let client = play.client().await;
        client.sends("GET / HTTP/1.1\r\nHost").await;
        play.passes(Duration::from_millis(999)).await;
        client.sends(": a\r\n\r\n").await;
        play.upstream().await.got(GET).await;
    });
}

#[test]
fn a_head_that_stops_behind_a_pipelined_request_is_refused_after_its_time() {
    play(timed(), async |play| {
        let client = play.client().await;
        client.sends([GET, "GET /2 HT"].concat()).await;
        let upstream = play.upstream().await;
        seconds(play, 3).await;
        upstream.sends(NO_CONTENT).await;
        client.got(NO_CONTENT).await;
        play.passes_exactly(1000, async || client.got_nothing().await).await;
        client.got_problem(408, "head_timeout").await;
    });
}

#[test]
fn a_connection_that_says_nothing_is_closed_without_a_word() {
    play(timed(), async |play| {
        let client = play.client().await;
        play.passes_exactly(4000, async || assert!(!client.is_closed().await)).await;
        client.got_nothing().await;
        assert!(client.is_closed().await);
        assert_eq!((play.closed("idle"), play.requests()), (1, 0));
    });
}

#[test]
fn an_idle_connection_is_closed_without_a_word_and_its_time_begins_with_the_last_answer() {
    play(timed(), async |play| {
        let client = play.client().await;
        seconds(play, 3).await;
        client.sends(GET).await;
        seconds(play, 3).await;
        play.upstream().await.sends(NO_CONTENT).await;
        client.got(NO_CONTENT).await;
        play.passes_exactly(4000, async || assert!(!client.is_closed().await)).await;
        assert!(client.is_closed().await);
        client.got_nothing().await;
        assert_eq!(play.closed("idle"), 1);
    });
}

#[test]
fn a_body_that_stops_is_refused_and_cut_upstream() {
    play(timed(), async |play| {
        let client = play.client().await;
        client.sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345").await;
        let upstream = play.upstream().await;
        upstream.got("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345").await;
        play.passes_exactly(2000, async || client.got_nothing().await).await;
        client.got_problem(408, "body_timeout").await;
        upstream.got_nothing().await;
        assert!(upstream.is_closed().await);
        assert_eq!((play.refused("body_timeout"), play.requests()), (1, 1));
    });
}

#[test]
fn a_body_may_take_long_as_long_as_it_comes() {
    play(timed(), async |play| {
        let client = play.client().await;
        client.sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n").await;
        let upstream = play.upstream().await;
        upstream.got("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n").await;
        for _ in 0..10 {
            play.passes(Duration::from_millis(1900)).await;
            client.sends("x").await;
            upstream.got("x").await;
        }
        // From here on it is the upstream that is waited for.
        play.passes(Duration::from_millis(6900)).await;
        upstream.sends(NO_CONTENT).await;
        client.got(NO_CONTENT).await;
    });
}

#[test]
fn a_client_that_waits_for_continue_is_not_to_blame_for_an_upstream_that_does_not_say_it() {
    play(timed(), async |play| {
        let request = "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
        let client = play.client().await;
        client.sends(request).await;
        let _silent = play.upstream().await;
        play.passes_exactly(7000, async || client.got_nothing().await).await;
        client.got_problem(504, "upstream_timeout").await;
    });
}

#[test]
fn a_client_that_was_told_to_continue_has_its_own_time() {
    play(timed(), async |play| {
        let client = play.client().await;
        client.sends("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").await;
        let upstream = play.upstream().await;
        seconds(play, 3).await;
        upstream.sends("HTTP/1.1 100 Continue\r\n\r\n").await;
        client.got("HTTP/1.1 100 Continue\r\n\r\n").await;
        play.passes_exactly(2000, async || client.got_nothing().await).await;
        client.got_problem(408, "body_timeout").await;
    });
}

#[test]
fn a_body_that_a_hook_waits_for_is_refused_after_its_time() {
    let mut plan = timed();
    plan["hooks"] = json!([{"name": "m:f", "timeout_ms": 60_000, "body": true, "body_bytes": 1000, "on_failure": "refuse"}]);
    plan["routes"][0]["hook"] = json!(0);
    play(plan, async |play| {
        let client = play.client().await;
        client.sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345").await;
        play.passes_exactly(2000, async || client.got_nothing().await).await;
        client.got_problem(408, "body_timeout").await;
        assert_eq!(play.engine.hooks().waiting(), 0);
    });
}

#[test]
fn an_upstream_that_does_not_take_the_body_is_a_timeout_of_the_upstream() {
    play(timed(), async |play| {
        let client = play.client().await;
        let upstream_takes = async || {
            let upstream = play.upstream().await;
            upstream.takes_at_most(1000);
            upstream
        };
        client.sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n").await;
        let upstream = upstream_takes().await;
        client.sends(vec![b'x'; 300_000]).await;
        play.passes_exactly(8000, async || client.got_nothing().await).await;
        client.got_problem(504, "upstream_timeout").await;
        assert!(upstream.is_closed().await);
    });
}

#[test]
fn a_connection_that_is_not_made_in_time_is_a_gateway_timeout() {
    play(timed(), async |play| {
        play.endpoint_is(80, Listening::Silent);
        let client = play.client().await;
        client.sends(GET).await;
        play.passes_exactly(600, async || client.got_nothing().await).await;
        let rest = client.got_problem(504, "connect_timeout").await;
        assert!(!rest.contains("Connection: close"), "nothing is wrong with the client's side: {rest}");
    });
}

#[test]
fn a_response_that_does_not_begin_is_a_gateway_timeout() {
    play(timed(), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let upstream = play.upstream().await;
        play.passes_exactly(7000, async || client.got_nothing().await).await;
        client.got_problem(504, "upstream_timeout").await;
        assert!(upstream.is_closed().await);
        client.sends(GET).await;
        play.upstream().await.sends(NO_CONTENT).await;
        client.got(NO_CONTENT).await;
    });
}

#[test]
fn a_response_head_that_drips_is_late_all_the_same() {
    play(timed(), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let upstream = play.upstream().await;
        upstream.sends("HTTP/1.1 200 OK\r\n").await;
        for _ in 0..7 {
            play.passes(Duration::from_millis(1010)).await;
            upstream.sends("X: 1\r\n").await;
        }
        client.got_problem(504, "upstream_timeout").await;
    });
}

#[test]
fn all_attempts_together_have_one_time() {
    let mut plan = timed();
    plan["routes"][0]["timeouts"]["total_ms"] = json!(1500);
    play(plan, async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let _upstream = play.upstream().await;
        play.passes_exactly(1500, async || client.got_nothing().await).await;
        client.got_problem(504, "total_timeout").await;
    });
}

#[test]
fn the_total_time_bounds_retries() {
    let mut plan = timed();
    plan["routes"][0]["timeouts"]["total_ms"] = json!(1500);
    plan["routes"][0]["timeouts"]["head_ms"] = json!(1000);
    plan["routes"][0]["retry"]["attempts"] = json!(10);
    plan["routes"][0]["retry"]["on"] = json!(["timeout"]);
    play(plan, async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let _first = play.upstream().await;
        play.passes_exactly(1500, async || client.got_nothing().await).await;
        client.got_problem(504, "total_timeout").await;
        let _second = play.upstream().await;
        play.no_upstream().await;
    });
}

#[test]
fn the_total_time_bounds_a_body_that_keeps_coming() {
    let mut plan = timed();
    plan["routes"][0]["timeouts"]["total_ms"] = json!(1500);
    play(plan, async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let upstream = play.upstream().await;
        upstream.sends("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        for _ in 0..17 {
            upstream.sends("1\r\nx\r\n").await;
            play.passes(Duration::from_millis(100)).await;
        }
        assert!(!client.takes().await.ends_with("0\r\n\r\n"));
        assert!(client.is_closed().await && upstream.is_closed().await);
        assert_eq!(play.refused("total_timeout"), 1);
    });
}

#[test]
fn the_total_time_bounds_the_wait_for_a_connection() {
    let mut plan = timed();
    let mut hurried = route();
    hurried["name"] = json!("hurried");
    hurried["matches"]["path"] = json!({"kind": "exact", "value": "/hurried"});
    hurried["timeouts"]["total_ms"] = json!(1500);
    plan["routes"] = json!([hurried, plan["routes"][0]]);
    for (name, value) in [("max_connections", 1), ("queue_max", 5), ("queue_ms", 60_000)] {
        plan["upstreams"][0]["pool"][name] = json!(value);
    }
    play(plan, async |play| {
        let first = play.client().await;
        first.sends(GET).await;
        let _upstream = play.upstream().await;
        let second = play.client().await;
        second.sends("GET /hurried HTTP/1.1\r\nHost: a\r\n\r\n").await;
        play.passes_exactly(1500, async || second.got_nothing().await).await;
        second.got_problem(504, "total_timeout").await;
    });
}

#[test]
fn a_response_body_that_stalls_is_cut_and_named() {
    play(timed(), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let upstream = play.upstream().await;
        upstream.sends("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345").await;
        client.got("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345").await;
        play.passes_exactly(8000, async || assert!(!client.is_closed().await)).await;
        client.got_nothing().await;
        assert!(client.is_closed().await && upstream.is_closed().await);
        assert_eq!((play.refused("upstream_stalled"), play.closed("failed")), (1, 1));
    });
}

#[test]
fn a_client_that_takes_nothing_of_a_response_is_let_go() {
    play(timed(), async |play| {
        let (client, upstream) = large_answer(play).await;
        play.passes_exactly(3000, async || assert!(!upstream.is_closed().await)).await;
        assert!(upstream.is_closed().await);
        assert!(client.is_closed().await);
        assert_eq!(play.refused("send_timeout"), 1);
    });
}

#[test]
fn a_client_may_take_its_time_whatever_the_upstream_is_allowed() {
    let mut plan = timed();
    plan["routes"][0]["timeouts"]["idle_ms"] = json!(1000);
    play(plan, async |play| {
        let (client, upstream) = large_answer(play).await;
        for _ in 0..3 {
            play.passes(Duration::from_millis(2900)).await;
            assert!(!upstream.is_closed().await);
            assert!(!client.takes().await.is_empty());
        }
    });
}

#[test]
fn an_upstream_that_is_slow_after_a_slow_client_has_its_own_time() {
    play(timed(), async |play| {
        let (client, upstream) = large_answer(play).await;
        while !client.takes().await.is_empty() {}
        play.passes_exactly(8000, async || assert!(!upstream.is_closed().await)).await;
        assert!(upstream.is_closed().await);
        assert_eq!(play.refused("upstream_stalled"), 1);
    });
}

#[test]
fn a_client_that_takes_nothing_of_an_answer_is_let_go() {
    let mut plan = timed();
    plan["routes"][0]["action"] = json!({"kind": "respond", "status": 200, "content_type": "", "body": [{"kind": "text", "value": "x".repeat(5000)}]});
    play(plan, async |play| {
        let client = play.client().await;
        client.takes_at_most(1000);
        client.sends(GET).await;
        play.passes_exactly(3000, async || assert!(!client.is_closed().await)).await;
        assert!(client.is_closed().await);
        assert_eq!((play.requests(), play.closed("broken")), (1, 1));
    });
}

#[test]
fn a_tunnel_that_is_silent_both_ways_is_closed() {
    play(timed(), async |play| {
        let client = play.client().await;
        client.sends("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n").await;
        let upstream = play.upstream().await;
        upstream.sends("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n").await;
        client.got_start("HTTP/1.1 101 ").await;
        for _ in 0..3 {
            play.passes(Duration::from_millis(4900)).await;
            client.sends("a").await;
            play.passes(Duration::from_millis(4900)).await;
            upstream.sends("b").await;
        }
        play.passes_exactly(5000, async || assert!(!client.is_closed().await)).await;
        assert!(client.is_closed().await && upstream.is_closed().await);
        client.got("bbb").await;
        assert_eq!((play.closed("tunnel"), play.requests()), (1, 1));
    });
}

#[test]
fn a_refused_client_that_goes_on_sending_is_let_go_in_the_end() {
    play(timed(), async |play| {
        let client = play.client().await;
        client.sends("GET / HTTP/9.9\r\n\r\n").await;
        client.got_problem(505, "unsupported_version").await;
        for _ in 0..30 {
            client.sends("x").await;
            play.passes(Duration::from_millis(100)).await;
        }
        assert_eq!(play.metric("tidegate_connections"), Some(0.0));
    });
}

#[test]
fn a_time_of_zero_is_no_bound() {
    let mut plan = timed();
    plan["routes"][0]["timeouts"] =
        json!({"connect_ms": 0, "head_ms": 0, "idle_ms": 0, "total_ms": 0, "tunnel_idle_ms": 0});
    play(plan, async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let upstream = play.upstream().await;
        seconds(play, 600).await;
        upstream.sends("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n").await;
        client.got("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n").await;
        seconds(play, 600).await;
        upstream.sends("x").await;
        client.got("x").await;
    });
}
