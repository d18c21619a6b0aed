//! When a failed attempt is followed by another, and when it must not be.

use std::{rc::Rc, time::Duration};

use serde_json::{Value, json};
use tidegate_playbook::{End, Listening, Play, plan, play};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
const PUT: &str = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy";

/// The plan with endpoints at ports 80 and 81, and up to `attempts` after what is in `on`.
fn retrying(attempts: u32, on: &[&str]) -> Value {
    let mut plan = plan();
    plan["routes"][0]["retry"]["attempts"] = json!(attempts);
    plan["routes"][0]["retry"]["on"] = json!(on);
    plan["upstreams"][0]["endpoints"] = json!([endpoint(80), endpoint(81)]);
    plan
}

fn endpoint(port: u16) -> Value {
    json!({"address": {"kind": "ip", "ip": "10.0.0.1", "port": port}, "weight": 1, "authority": "up"})
}

/// Leaves the endpoint at port 80 alone.
fn alone(mut plan: Value) -> Value {
    plan["upstreams"][0]["endpoints"] = json!([endpoint(80)]);
    plan
}

fn ejecting(mut plan: Value) -> Value {
    plan["upstreams"][0]["passive"] =
        json!({"failures": 2, "count_5xx": false, "eject_ms": 10_000, "max_percent": 50});
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

async fn no_attempt(play: &Play) {
    for port in [80, 81] {
        assert!(play.connection_to(port).await.is_none(), "another attempt at port {port}");
    }
}

/// A kept connection to the one endpoint, which has served a request, and the client that sent it.
async fn kept(play: &Play) -> (Rc<End>, Rc<End>) {
    let client = play.client().await;
    client.sends(GET).await;
    let upstream = play.upstream().await;
    upstream.got_start("GET / ").await;
    upstream.sends(OK).await;
    client.got(OK).await;
    (client, upstream)
}

#[test]
fn a_refused_connection_goes_to_the_other_endpoint() {
    play(retrying(2, &["connect"]), async |play| {
        play.endpoint_is(80, Listening::Refused);
        for count in 1..=4 {
            let client = play.client().await;
            client.sends(POST).await;
            if count <= 2 {
                let upstream = play.upstream_at(81).await;
                upstream.got_start("POST / ").await;
                upstream.sends("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await;
                client.got(OK).await;
            }
            client.resets().await;
        }
        assert!(play.retried("connect_failed") >= 1);
    });
}

#[test]
fn a_connection_that_is_not_made_in_time_goes_to_the_other_endpoint() {
    play(retrying(2, &["connect"]), async |play| {
        play.endpoint_is(80, Listening::Silent);
        let (first, second) = (play.client().await, play.client().await);
        first.sends(GET).await;
        second.sends(GET).await;
        play.passes(Duration::from_millis(5100)).await;
        for _ in 0..2 {
            play.upstream_at(81).await.sends(OK).await;
        }
        first.got(OK).await;
        second.got(OK).await;
        assert_eq!(play.retried("connect_timeout"), 1);
    });
}

#[test]
fn a_refused_connection_is_the_answer_where_nothing_is_tried_again() {
    play(alone(retrying(1, &["connect"])), async |play| {
        play.endpoint_is(80, Listening::Refused);
        let client = play.client().await;
        client.sends(GET).await;
        client.got_problem(502, "connect_failed").await;
        assert_eq!((play.retried("connect_failed"), play.requests()), (0, 1));
    });
}

#[test]
fn as_many_attempts_as_the_route_allows_and_no_more() {
    play(retrying(3, &["reset"]), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let mut ports = Vec::new();
        for _ in 0..3 {
            play.passes(Duration::from_millis(300)).await;
            let (upstream, port) = attempt(play).await;
            ports.push(port);
            upstream.got_start("GET / ").await;
            upstream.finishes().await;
        }
        client.got_problem(502, "upstream_reset").await;
        play.passes(Duration::from_secs(1)).await;
        no_attempt(play).await;
        assert_ne!(ports[0], ports[1], "the second attempt goes elsewhere");
        assert_eq!((play.retried("upstream_reset"), play.requests()), (2, 1));
    });
}

#[test]
fn a_reset_is_the_answer_where_only_refused_connections_are_tried_again() {
    play(retrying(3, &["connect"]), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        attempt(play).await.0.resets().await;
        client.got_problem(502, "upstream_reset").await;
        no_attempt(play).await;
    });
}

#[test]
fn a_kept_connection_that_breaks_is_replaced_and_the_request_sent_again() {
    play(alone(retrying(1, &[])), async |play| {
        let (client, kept) = kept(play).await;
        client.sends(GET).await;
        kept.got_start("GET / ").await;
        kept.resets().await;
        let fresh = play.upstream().await;
        fresh.got_start("GET / ").await;
        fresh.sends(OK).await;
        client.got(OK).await;
        assert_eq!((play.retried("upstream_reset"), play.requests()), (1, 2));
    });
}

#[test]
fn a_new_connection_that_breaks_is_not_replaced() {
    play(alone(retrying(1, &[])), async |play| {
        let (client, kept) = kept(play).await;
        client.sends(GET).await;
        kept.finishes().await;
        play.upstream().await.finishes().await;
        client.got_problem(502, "upstream_reset").await;
        play.no_upstream().await;
    });
}

#[test]
fn a_kept_connection_that_breaks_under_a_post_is_an_answer() {
    play(alone(retrying(3, &["reset"])), async |play| {
        let (client, kept) = kept(play).await;
        client.sends(POST).await;
        kept.got_start("POST / ").await;
        kept.resets().await;
        client.got_problem(502, "upstream_reset").await;
        play.no_upstream().await;
    });
}

#[test]
fn stale_connections_do_not_count_against_their_endpoint() {
    let mut plan = ejecting(retrying(1, &[]));
    plan["upstreams"][0]["passive"]["failures"] = json!(1);
    play(alone(plan), async |play| {
        for _ in 0..3 {
            let (client, kept) = kept(play).await;
            client.sends(GET).await;
            kept.resets().await;
            let fresh = play.upstream().await;
            fresh.sends("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await;
            client.got(OK).await;
        }
        let failed =
            "tidegate_upstream_attempts_total{upstream=\"up\",endpoint=\"10.0.0.1:80\",outcome=\"ok\"}";
        assert_eq!(play.metric(failed), Some(6.0));
    });
}

#[test]
fn nothing_is_tried_again_after_a_byte_of_the_response() {
    play(retrying(3, &["reset", "timeout"]), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let (upstream, _) = attempt(play).await;
        upstream.sends("HTTP/1.1 200 OK\r\nConte").await;
        upstream.resets().await;
        client.got_problem(502, "upstream_cut").await;
        no_attempt(play).await;
    });
}

#[test]
fn nothing_is_tried_again_once_the_body_has_begun() {
    play(retrying(3, &["reset"]), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let (upstream, _) = attempt(play).await;
        upstream.sends("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").await;
        upstream.finishes().await;
        client.got("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").await;
        assert!(client.is_closed().await);
        no_attempt(play).await;
        assert_eq!(play.refused("upstream_cut"), 1);
    });
}

#[test]
fn a_post_is_not_sent_twice() {
    play(retrying(3, &["reset", "timeout", "503"]), async |play| {
        let client = play.client().await;
        client.sends(POST).await;
        attempt(play).await.0.resets().await;
        client.got_problem(502, "upstream_reset").await;
        no_attempt(play).await;
        client.sends(POST).await;
        attempt(play).await.0.sends(BUSY).await;
        client.got(BUSY).await;
        no_attempt(play).await;
    });
}

#[test]
fn a_post_is_sent_twice_where_that_is_allowed() {
    let mut plan = retrying(2, &["reset"]);
    plan["routes"][0]["retry"]["non_idempotent"] = json!(true);
    play(plan, async |play| {
        let client = play.client().await;
        client.sends(POST).await;
        attempt(play).await.0.resets().await;
        let (second, _) = attempt(play).await;
        second.got(POST).await;
        second.sends(OK).await;
        client.got(OK).await;
    });
}

#[test]
fn a_late_answer_is_not_waited_for_where_another_attempt_may_do_better() {
    play(retrying(2, &["timeout"]), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let (slow, _) = attempt(play).await;
        play.passes(Duration::from_millis(20_100)).await;
        assert!(slow.is_closed().await);
        attempt(play).await.0.sends(OK).await;
        client.got(OK).await;
        assert_eq!(play.retried("upstream_timeout"), 1);
    });
}

#[test]
fn a_body_is_sent_again_from_its_first_byte() {
    play(retrying(2, &["reset"]), async |play| {
        let client = play.client().await;
        client.sends(PUT).await;
        let (first, _) = attempt(play).await;
        first.got(PUT).await;
        first.finishes().await;
        let (second, _) = attempt(play).await;
        second.got(PUT).await;
        second.sends(OK).await;
        client.got(OK).await;
    });
}

#[test]
fn a_chunked_body_is_sent_again_with_its_trailers() {
    play(retrying(2, &["reset"]), async |play| {
        let client = play.client().await;
        client
            .sends("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n")
            .await;
        for last in [false, true] {
            let (upstream, _) = attempt(play).await;
            upstream
                .got("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n")
                .await;
            if last {
                upstream.sends(OK).await;
            } else {
                upstream.finishes().await;
            }
        }
        client.got(OK).await;
    });
}

#[test]
fn a_body_that_is_still_on_its_way_goes_on_in_the_next_attempt() {
    play(retrying(2, &["reset"]), async |play| {
        let client = play.client().await;
        client.sends("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12").await;
        let (first, _) = attempt(play).await;
        client.sends("345").await;
        first.got("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345").await;
        first.resets().await;
        let (second, _) = attempt(play).await;
        second.got("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345").await;
        client.sends("67890").await;
        second.got("67890").await;
        second.sends(OK).await;
        client.got(OK).await;
        client.sends(GET).await;
        second.got_start("GET / ").await;
    });
}

#[test]
fn a_chunked_body_that_is_still_on_its_way_goes_on_in_the_next_attempt() {
    play(retrying(2, &["503"]), async |play| {
        let client = play.client().await;
        let head = "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        client.sends([head, "5\r\nhel"].concat()).await;
        let (first, _) = attempt(play).await;
        first.got([head, "3\r\nhel\r\n"].concat()).await;
        first.sends(BUSY).await;
        let (second, _) = attempt(play).await;
        second.got([head, "3\r\nhel\r\n"].concat()).await;
        client.sends("lo\r\n0\r\n\r\n").await;
        second.got("2\r\nlo\r\n0\r\n\r\n").await;
        second.sends(OK).await;
        client.got(OK).await;
    });
}

#[test]
fn what_a_slow_upstream_had_not_taken_yet_is_sent_again_too() {
    play(retrying(2, &["reset"]), async |play| {
        let client = play.client().await;
        let head = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n";
        client.sends(head).await;
        let (first, _) = attempt(play).await;
        first.takes_at_most(1000);
        client.sends(vec![b'x'; 30_000]).await;
        first.resets().await;
        let (second, _) = attempt(play).await;
        client.sends(vec![b'x'; 30_000]).await;
        second.got([head, &"x".repeat(60_000)].concat()).await;
        second.sends(OK).await;
        client.got(OK).await;
    });
}

#[test]
fn a_body_larger_than_is_kept_is_not_sent_again() {
    let mut plan = retrying(3, &["reset", "503"]);
    plan["routes"][0]["retry"]["replay_bytes"] = json!(4);
    play(plan, async |play| {
        let client = play.client().await;
        client.sends(PUT).await;
        attempt(play).await.0.finishes().await;
        client.got_problem(502, "upstream_reset").await;
        client.sends(PUT).await;
        attempt(play).await.0.sends(BUSY).await;
        client.got(BUSY).await;
        no_attempt(play).await;
    });
}

#[test]
fn a_body_larger_than_is_kept_still_goes_to_the_other_endpoint_while_none_of_it_was_sent() {
    let mut plan = retrying(2, &["connect"]);
    plan["routes"][0]["retry"]["replay_bytes"] = json!(4);
    play(plan, async |play| {
        play.endpoint_is(80, Listening::Refused);
        for _ in 0..2 {
            let client = play.client().await;
            client.sends(PUT).await;
            let upstream = play.upstream_at(81).await;
            upstream.got(PUT).await;
            upstream.sends("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await;
            client.got(OK).await;
        }
        assert_eq!(play.retried("connect_failed"), 1);
    });
}

#[test]
fn a_busy_endpoint_is_left_for_another() {
    play(retrying(2, &["503"]), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let (first, port) = attempt(play).await;
        first.sends(BUSY).await;
        let (second, other) = attempt(play).await;
        assert_ne!(port, other);
        second.sends(OK).await;
        client.got(OK).await;
        assert_eq!(play.retried("status_503"), 1);
    });
}

#[test]
fn the_last_answer_is_the_clients_when_all_are_busy() {
    play(retrying(2, &["503"]), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        attempt(play).await.0.sends(BUSY.replace("busy", "one!")).await;
        attempt(play).await.0.sends(BUSY.replace("busy", "two!")).await;
        client.got(BUSY.replace("busy", "two!")).await;
        assert_eq!(play.requests(), 1);
    });
}

#[test]
fn a_busy_answer_is_the_clients_where_nothing_is_asked_for() {
    play(retrying(3, &["connect", "502"]), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        attempt(play).await.0.sends(BUSY).await;
        client.got(BUSY).await;
        no_attempt(play).await;
    });
}

#[test]
fn retries_end_with_their_budget_and_come_back_with_time() {
    let mut plan = retrying(2, &["503"]);
    plan["routes"][0]["retry"]["budget_percent"] = json!(0);
    play(plan, async |play| {
        let client = play.client().await;
        let mut ends = Vec::new();
        let mut retries = 0;
        let mut ask = async || {
            client.sends(GET).await;
            loop {
                while let Some(end) = play.connection_to(80).await.or(play.connection_to(81).await) {
                    ends.push(end);
                }
                for end in &ends {
                    if !end.takes().await.is_empty() {
                        end.sends(BUSY).await;
                    }
                }
                let got = client.takes().await;
                if !got.is_empty() {
                    assert_eq!(got, BUSY);
                    let now = play.retried("status_503");
                    return now - std::mem::replace(&mut retries, now);
                }
            }
        };
        for _ in 0..10 {
            assert_eq!(ask().await, 1, "ten are always allowed");
        }
        assert_eq!(ask().await, 0, "the eleventh is not");
        play.passes(Duration::from_secs(11)).await;
        assert_eq!(ask().await, 1);
    });
}

#[test]
fn an_informational_response_does_not_keep_a_request_from_being_tried_again() {
    play(retrying(2, &["503"]), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        attempt(play).await.0.sends(["HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", BUSY].concat()).await;
        attempt(play).await.0.sends(OK).await;
        client.got(["HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", OK].concat()).await;
    });
}
