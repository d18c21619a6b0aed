//! Connections on both sides: how long they are kept, who closes them, what is still answered.

use std::{rc::Rc, time::Duration};

use serde_json::{Value, json};
use tidegate_playbook::{End, Play, plan, play};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const OK_CLOSE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

fn pooled(name: &str, value: u32) -> Value {
    let mut plan = plan();
    plan["upstreams"][0]["pool"][name] = json!(value);
    plan
}

/// One connection to the endpoint, up to two that wait for it, a second each.
fn bounded() -> Value {
    let mut plan = pooled("max_connections", 1);
    plan["upstreams"][0]["pool"]["queue_max"] = json!(2);
    plan
}

/// A client whose request was answered, and the upstream's connection, which is idle now.
async fn answered(play: &Play) -> (Rc<End>, Rc<End>) {
    let client = play.client().await;
    client.sends(GET).await;
    let upstream = play.upstream().await;
    upstream.got(GET).await;
    upstream.sends(OK).await;
    client.got(OK).await;
    (client, upstream)
}

#[test]
fn a_connection_has_as_many_requests_as_are_allowed() {
    let mut plan = plan();
    plan["server"]["keep_alive_requests"] = json!(2);
    play(plan, async |play| {
        let (client, upstream) = answered(play).await;
        client.sends(GET).await;
        upstream.sends(OK).await;
        client.got(OK_CLOSE).await;
        assert!(client.is_closed().await);
        assert_eq!(play.closed("requests"), 1);
    });
}

#[test]
fn a_client_that_asks_to_close_is_closed_and_its_wish_stays_on_its_hop() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        let upstream = play.upstream().await;
        upstream.got(GET).await;
        upstream.sends(OK).await;
        client.got(OK_CLOSE).await;
        assert!(client.is_closed().await);
        assert!(!upstream.is_closed().await);
        assert_eq!(play.closed("asked"), 1);
        let other = play.client().await;
        other.sends(GET).await;
        upstream.got(GET).await;
    });
}

#[test]
fn an_upstream_that_asks_to_close_is_not_used_again_and_its_wish_stays_on_its_hop() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let upstream = play.upstream().await;
        upstream.sends(OK_CLOSE).await;
        client.got(OK).await;
        assert!(upstream.is_closed().await);
        client.sends(GET).await;
        play.upstream().await.sends(OK).await;
        client.got(OK).await;
    });
}

#[test]
fn http_1_0_closes_unless_it_asks_to_be_kept() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n").await;
        let upstream = play.upstream().await;
        upstream.got(GET).await;
        upstream.sends(OK).await;
        client.got("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok").await;
        client.sends("GET / HTTP/1.0\r\nHost: a\r\n\r\n").await;
        upstream.got(GET).await;
        upstream.sends(OK).await;
        client.got(OK_CLOSE).await;
        assert!(client.is_closed().await);
    });
}

#[test]
fn an_http_1_0_upstream_is_kept_only_if_it_says_so() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let first = play.upstream().await;
        first.sends("HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok").await;
        client.got(OK).await;
        client.sends(GET).await;
        first.got([GET, GET].concat()).await;
        first.sends("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        client.got(OK).await;
        assert!(first.is_closed().await);
        client.sends(GET).await;
        play.upstream().await.got(GET).await;
    });
}

#[test]
fn a_drain_closes_idle_connections_at_once() {
    play(plan(), async |play| {
        let (fresh, (used, _)) = (play.client().await, answered(play).await);
        play.engine.drain();
        assert!(fresh.is_closed().await && used.is_closed().await);
        fresh.got_nothing().await;
        assert_eq!((play.closed("drain"), play.engine.connections()), (2, 0));
    });
}

#[test]
fn a_drain_closes_idle_connections_whose_deadline_is_far_off() {
    let mut plan = plan();
    plan["server"]["keep_alive_ms"] = json!(7_200_000);
    play(plan, async |play| {
        let (fresh, (used, _)) = (play.client().await, answered(play).await);
        play.passes(Duration::from_secs(3600)).await;
        assert!(!fresh.is_closed().await && !used.is_closed().await);
        play.engine.drain();
        assert!(fresh.is_closed().await && used.is_closed().await);
    });
}

#[test]
fn a_drain_lets_a_request_under_way_end_and_tells_its_client() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let upstream = play.upstream().await;
        play.engine.drain();
        assert!(!client.is_closed().await);
        play.passes(Duration::from_secs(5)).await;
        upstream.sends(OK).await;
        client.got(OK_CLOSE).await;
        assert!(client.is_closed().await);
        assert_eq!(play.engine.connections(), 0);
    });
}

#[test]
fn a_drain_lets_a_response_under_way_end() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let upstream = play.upstream().await;
        upstream.sends("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok").await;
        client.got("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok").await;
        play.engine.drain();
        upstream.sends("ok").await;
        client.got("ok").await;
        assert!(client.is_closed().await, "nothing said so in the head, but it is idle now");
    });
}

#[test]
fn a_drain_serves_a_request_that_has_begun() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends("GET / HTTP/1.1\r\nHo").await;
        play.engine.drain();
        client.sends("st: a\r\n\r\n").await;
        play.upstream().await.sends(OK).await;
        client.got(OK_CLOSE).await;
        assert!(client.is_closed().await);
    });
}

#[test]
fn a_drain_answers_the_first_of_several_pipelined_requests_and_closes() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends([GET, GET].concat()).await;
        play.engine.drain();
        let upstream = play.upstream().await;
        upstream.got(GET).await;
        upstream.sends(OK).await;
        client.got(OK_CLOSE).await;
        upstream.got_nothing().await;
        assert!(client.is_closed().await);
    });
}

#[test]
fn a_drain_lets_tunnels_go_on() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n").await;
        let upstream = play.upstream().await;
        upstream.sends("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n").await;
        client.got_start("HTTP/1.1 101 ").await;
        play.engine.drain();
        client.sends("still").await;
        upstream.got_start("GET / ").await;
        upstream.sends("here").await;
        client.got("here").await;
        assert_eq!(play.engine.connections(), 1);
    });
}

#[test]
fn an_admin_listener_is_not_drained() {
    let mut plan = plan();
    plan["listeners"][0]["admin"] = json!(true);
    plan["routes"][0]["action"] = json!({"kind": "builtin", "name": "readyz"});
    play(plan, async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        client.got_start("HTTP/1.1 200 OK\r\n").await;
        play.engine.drain();
        assert!(!client.is_closed().await);
        client.sends(GET).await;
        let rest = client.got_start("HTTP/1.1 503 ").await;
        assert!(rest.ends_with("draining\n"), "{rest}");
        play.client().await.sends(GET).await;
        assert_eq!((play.requests(), play.engine.connections()), (0, 0));
    });
}

#[test]
fn half_a_head_and_then_the_end_is_a_refused_request() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends("GET / HTTP/1.1\r\nHost").await;
        client.finishes().await;
        client.got_problem(400, "client_gone").await;
        assert!(client.is_closed().await);
        assert_eq!(play.refused("client_gone"), 1);
    });
}

#[test]
fn a_client_that_has_finished_sending_gets_all_answers() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends([GET, GET].concat()).await;
        client.finishes().await;
        let upstream = play.upstream().await;
        for _ in 0..2 {
            upstream.got(GET).await;
            upstream.sends(OK).await;
        }
        client.got([OK, OK].concat()).await;
        assert!(client.is_closed().await);
        assert_eq!(play.closed("by_client"), 1);
    });
}

#[test]
fn an_upstream_that_has_finished_sending_has_answered() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let upstream = play.upstream().await;
        upstream.sends(OK).await;
        upstream.finishes().await;
        client.got(OK).await;
        client.sends(GET).await;
        play.upstream().await.sends(OK).await;
        client.got(OK).await;
        assert_eq!(play.retried("upstream_reset"), 0, "it was seen that the kept connection had ended");
    });
}

#[test]
fn pipelined_requests_may_be_cut_anywhere() {
    let requests: String = (0..5)
        .map(|number| format!("PUT /{number} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab{number}"))
        .collect();
    for cut in 0..requests.len() {
        play(plan(), async |play| {
            let client = play.client().await;
            client.sends(&requests[..cut]).await;
            client.sends(&requests[cut..]).await;
            let upstream = play.upstream().await;
            let mut got = String::new();
            for _ in 0..5 {
                got.push_str(&upstream.takes().await);
                upstream.sends(OK).await;
            }
            assert_eq!(got, requests, "cut at {cut}");
            client.got(OK.repeat(5)).await;
        });
    }
}

#[test]
fn a_client_that_resets_before_its_body_ends_frees_the_upstream() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc").await;
        let upstream = play.upstream().await;
        client.resets().await;
        assert!(upstream.is_closed().await);
        assert_eq!((play.refused("client_gone"), play.engine.connections()), (1, 0));
    });
}

#[test]
fn a_client_that_resets_while_the_upstream_thinks_frees_it() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let upstream = play.upstream().await;
        client.resets().await;
        assert!(upstream.is_closed().await);
        assert_eq!((play.refused("client_gone"), play.engine.connections()), (1, 0));
    });
}

#[test]
fn a_client_that_resets_while_its_response_comes_frees_the_upstream() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let upstream = play.upstream().await;
        upstream.sends("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok").await;
        client.resets().await;
        assert!(upstream.is_closed().await);
        assert_eq!((play.refused("client_gone"), play.engine.connections()), (1, 0));
    });
}

#[test]
fn a_client_that_resets_in_a_tunnel_ends_it() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n").await;
        let upstream = play.upstream().await;
        upstream.sends("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n").await;
        client.resets().await;
        assert!(upstream.is_closed().await);
        assert_eq!((play.closed("tunnel"), play.engine.connections()), (1, 0));
    });
}

#[test]
fn an_idle_connection_that_its_upstream_has_closed_is_not_used() {
    play(plan(), async |play| {
        let (client, upstream) = answered(play).await;
        upstream.finishes().await;
        client.sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx").await;
        upstream.got_nothing().await;
        play.upstream().await.sends(OK).await;
        client.got(OK).await;
    });
}

#[test]
fn an_idle_connection_on_which_something_came_is_not_used() {
    play(plan(), async |play| {
        let (client, upstream) = answered(play).await;
        upstream.sends("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n").await;
        client.sends(GET).await;
        play.upstream().await.sends(OK).await;
        client.got(OK).await;
        assert!(upstream.is_closed().await);
    });
}

#[test]
fn idle_connections_are_kept_for_their_time() {
    play(pooled("idle_ms", 5000), async |play| {
        let (client, upstream) = answered(play).await;
        play.passes(Duration::from_millis(4900)).await;
        client.sends(GET).await;
        upstream.got(GET).await;
        upstream.sends(OK).await;
        client.got(OK).await;
        play.passes(Duration::from_millis(6100)).await;
        assert!(upstream.is_closed().await, "it is let go though nobody asks for it");
        client.sends(GET).await;
        play.upstream().await.got(GET).await;
    });
}

#[test]
fn no_more_idle_connections_are_kept_than_allowed() {
    play(pooled("idle_max", 1), async |play| {
        let (one, other) = (play.client().await, play.client().await);
        one.sends(GET).await;
        other.sends(GET).await;
        let (first, second) = (play.upstream().await, play.upstream().await);
        first.sends(OK).await;
        second.sends(OK).await;
        assert!(!first.is_closed().await && second.is_closed().await);
    });
}

#[test]
fn connections_grow_no_older_than_allowed() {
    play(pooled("lifetime_ms", 3000), async |play| {
        let (client, upstream) = answered(play).await;
        for _ in 0..2 {
            play.passes(Duration::from_millis(1400)).await;
            client.sends(GET).await;
            upstream.got(GET).await;
            upstream.sends(OK).await;
            client.got(OK).await;
        }
        play.passes(Duration::from_millis(201)).await;
        client.sends(GET).await;
        play.upstream().await.got(GET).await;
    });
}

#[test]
fn a_request_waits_for_a_connection_and_gets_one_that_comes_back() {
    play(bounded(), async |play| {
        let (one, other) = (play.client().await, play.client().await);
        one.sends(GET).await;
        other.sends("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let upstream = play.upstream().await;
        upstream.got(GET).await;
        play.no_upstream().await;
        upstream.sends(OK).await;
        upstream.got("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n").await;
        upstream.sends(OK).await;
        one.got(OK).await;
        other.got(OK).await;
        play.no_upstream().await;
    });
}

#[test]
fn a_request_that_waits_gets_a_new_connection_when_the_old_one_is_not_kept() {
    play(bounded(), async |play| {
        let (one, other) = (play.client().await, play.client().await);
        one.sends(GET).await;
        other.sends(GET).await;
        let first = play.upstream().await;
        first.sends(OK_CLOSE).await;
        let second = play.upstream().await;
        assert!(first.is_closed().await);
        second.sends(OK).await;
        other.got(OK).await;
    });
}

#[test]
fn a_request_that_waits_gets_a_connection_when_another_client_leaves() {
    play(bounded(), async |play| {
        let (one, other) = (play.client().await, play.client().await);
        one.sends("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc").await;
        other.sends(GET).await;
        let _first = play.upstream().await;
        play.no_upstream().await;
        one.resets().await;
        play.upstream().await.sends(OK).await;
        other.got(OK).await;
    });
}

#[test]
fn more_than_may_wait_are_refused_at_once() {
    play(bounded(), async |play| {
        let mut clients = Vec::new();
        for _ in 0..4 {
            let client = play.client().await;
            client.sends(GET).await;
            clients.push(client);
        }
        clients[3].got_problem(503, "upstream_full").await;
        clients[2].got_nothing().await;
        let upstream = play.upstream().await;
        for client in &clients[..3] {
            upstream.sends(OK).await;
            client.got(OK).await;
        }
    });
}

#[test]
fn a_request_waits_no_longer_than_allowed_and_gives_its_place_up() {
    play(bounded(), async |play| {
        let holder = play.client().await;
        holder.sends(GET).await;
        let upstream = play.upstream().await;
        for _ in 0..3 {
            let (one, other) = (play.client().await, play.client().await);
            one.sends(GET).await;
            other.sends(GET).await;
            play.passes_exactly(1000, async || one.got_nothing().await).await;
            one.got_problem(503, "queue_timeout").await;
            other.got_problem(503, "queue_timeout").await;
        }
        upstream.sends(OK).await;
        holder.got(OK).await;
        holder.sends(GET).await;
        upstream.sends(OK).await;
        holder.got(OK).await;
    });
}

#[test]
fn a_client_that_leaves_the_queue_gives_its_place_up() {
    play(bounded(), async |play| {
        let holder = play.client().await;
        holder.sends(GET).await;
        let upstream = play.upstream().await;
        for _ in 0..3 {
            let (one, other) = (play.client().await, play.client().await);
            one.sends(GET).await;
            other.sends(GET).await;
            one.resets().await;
            other.resets().await;
        }
        let last = play.client().await;
        last.sends(GET).await;
        last.got_nothing().await;
        upstream.sends(OK).await;
        upstream.sends(OK).await;
        last.got(OK).await;
    });
}

#[test]
fn more_clients_than_allowed_are_turned_away() {
    let mut plan = plan();
    plan["server"]["max_connections"] = json!(1);
    play(plan, async |play| {
        let (one, other) = (play.client().await, play.client().await);
        assert!(other.is_closed().await);
        assert_eq!(play.refused("too_many_connections"), 1);
        one.finishes().await;
        let third = play.client().await;
        third.sends(GET).await;
        play.upstream().await.sends(OK).await;
        third.got(OK).await;
    });
}
