//! Routes with a hook: the test has Python's part, and takes calls and answers them by hand.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_engine::hooks::{Call, Outcome, Verdict};
use tidegate_playbook::{Play, plan, play};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// The route asks `m:f` first, for at most a second.
fn hooked(on_failure: &str) -> Value {
    let mut plan = plan();
    plan["hooks"] = json!([{"name": "m:f", "timeout_ms": 1000, "body": false, "body_bytes": 10, "on_failure": on_failure}]);
    plan["routes"][0]["hook"] = json!(0);
    plan
}

/// The same with the request's body, of at most ten bytes.
fn with_body() -> Value {
    let mut plan = hooked("refuse");
    plan["hooks"][0]["body"] = json!(true);
    plan
}

/// The one call that waits.
fn call(play: &Play) -> Call {
    let mut calls = play.engine.hooks().take(10);
    assert_eq!(calls.len(), 1, "one call waits");
    calls.remove(0)
}

async fn answer(play: &Play, call: &Call, outcome: Outcome) {
    play.engine.hooks().answer([(call.id, outcome)]);
    tidegate_playbook::settle().await;
}

fn verdict(verdict: Verdict) -> Outcome {
    Outcome::Verdict(Box::new(verdict))
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect()
}

#[test]
fn a_hook_is_told_what_is_asked() {
    play(hooked("refuse"), async |play| {
        let client = play.client().await;
        client.sends("GET /a/./b?c=d HTTP/1.1\r\nHost: A.Example:80\r\nX-A: 1\r\nX-A: 2\r\n\r\n").await;
        play.no_upstream().await;
        let call = call(play);
        assert_eq!(
            (call.hook_name.as_str(), call.route.as_str(), call.listener.as_str()),
            ("m:f", "all", "memory")
        );
        assert_eq!((&call.method[..], &call.target[..]), (&b"GET"[..], &b"/a/./b?c=d"[..]));
        assert_eq!(
            (&call.path[..], &call.query[..], &call.host[..]),
            (&b"/a/b"[..], &b"c=d"[..], &b"a.example"[..])
        );
        assert_eq!((call.scheme, call.client_ip.as_str(), call.user.as_str()), ("http", "192.0.2.1", ""));
        let headers = pairs(&[("Host", "A.Example:80"), ("X-A", "1"), ("X-A", "2")]);
        assert_eq!(
            call.headers,
            headers.into_iter().map(|(name, value)| (name.into_bytes(), value)).collect::<Vec<_>>()
        );
        assert!(call.body.is_none() && call.request_id.len() == 32);
    });
}

#[test]
fn a_hook_that_has_nothing_to_say_lets_the_request_pass() {
    play(hooked("refuse"), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        answer(play, &call(play), Outcome::Pass).await;
        let upstream = play.upstream().await;
        upstream.got(GET).await;
        upstream.sends(OK).await;
        client.got(OK).await;
        assert_eq!(play.engine.hooks().waiting(), 0);
    });
}

#[test]
fn a_hook_sets_and_removes_fields() {
    play(hooked("refuse"), async |play| {
        let client = play.client().await;
        client.sends("GET / HTTP/1.1\r\nHost: a\r\nx-set: old\r\nX-Gone: 1\r\nX-Keep: 1\r\n\r\n").await;
        let outcome = verdict(Verdict {
            set_headers: pairs(&[("X-Set", "new"), ("X-More", "more")]),
            remove_headers: vec!["x-gone".into()],
            ..Verdict::default()
        });
        answer(play, &call(play), outcome).await;
        play.upstream()
            .await
            .got("GET / HTTP/1.1\r\nHost: a\r\nX-Keep: 1\r\nX-Set: new\r\nX-More: more\r\n\r\n")
            .await;
    });
}

#[test]
fn a_hook_can_neither_frame_the_message_nor_end_a_line() {
    play(hooked("refuse"), async |play| {
        let client = play.client().await;
        client.sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok").await;
        let outcome = verdict(Verdict {
            set_headers: pairs(&[
                ("Content-Length", "9"),
                ("transfer-encoding", "chunked"),
                ("Connection", "close"),
                ("Host", "evil"),
                ("X-Bad\r\nX-Evil", "1"),
                ("", "1"),
                ("X-Ok", "1\r\nX-Evil: 2\0"),
            ]),
            remove_headers: vec!["content-length".into(), "host".into()],
            ..Verdict::default()
        });
        answer(play, &call(play), outcome).await;
        play.upstream()
            .await
            .got("POST / HTTP/1.1\r\nHost: a\r\nX-Ok: 1  X-Evil: 2 \r\nContent-Length: 2\r\n\r\nok")
            .await;
    });
}

#[test]
fn a_hook_sends_the_request_to_another_upstream() {
    let mut plan = hooked("refuse");
    let mut other = plan["upstreams"][0].clone();
    other["name"] = json!("other");
    other["endpoints"][0]["address"]["port"] = json!(81);
    plan["upstreams"].as_array_mut().unwrap().push(other);
    play(plan, async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        answer(play, &call(play), verdict(Verdict { upstream: Some("other".into()), ..Verdict::default() }))
            .await;
        let upstream = play.upstream_at(81).await;
        upstream.sends(OK).await;
        client.got(OK).await;
        client.sends(GET).await;
        answer(play, &call(play), verdict(Verdict { upstream: Some("nobody".into()), ..Verdict::default() }))
            .await;
        client.got_problem(500, "hook_unknown_upstream").await;
        play.no_upstream().await;
    });
}

#[test]
fn a_hook_answers_itself() {
    play(hooked("refuse"), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let outcome = verdict(Verdict {
            status: Some(201),
            response_headers: pairs(&[
                ("X-A", "1"),
                ("Content-Length", "999"),
                ("Content-Type", "text/plain"),
            ]),
            body: b"made".to_vec(),
            ..Verdict::default()
        });
        answer(play, &call(play), outcome).await;
        client
            .got(
                "HTTP/1.1 201 Created\r\nContent-Length: 4\r\nX-A: 1\r\nContent-Type: text/plain\r\n\r\nmade",
            )
            .await;
        play.no_upstream().await;
        assert_eq!((play.refused("hook_refused"), play.requests()), (0, 1));
        client.sends("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let outcome = verdict(Verdict { status: Some(403), body: b"no".to_vec(), ..Verdict::default() });
        answer(play, &call(play), outcome).await;
        client.got("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n").await;
        assert_eq!((play.refused("hook_refused"), play.requests()), (1, 2));
    });
}

#[test]
fn a_hook_that_fails_or_is_late_refuses_the_request() {
    play(hooked("refuse"), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        answer(play, &call(play), Outcome::Failed("ValueError".into())).await;
        client.got_problem(503, "hook_failed").await;
        client.sends(GET).await;
        play.passes_exactly(1000, async || client.got_nothing().await).await;
        client.got_problem(503, "hook_timeout").await;
        assert!(play.engine.hooks().take(10).is_empty(), "the call is withdrawn");
        play.no_upstream().await;
    });
}

#[test]
fn a_hook_that_fails_or_is_late_lets_pass_where_the_route_says_so() {
    play(hooked("allow"), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        answer(play, &call(play), Outcome::Failed("ValueError".into())).await;
        let upstream = play.upstream().await;
        upstream.got(GET).await;
        upstream.sends(OK).await;
        client.got(OK).await;
        client.sends(GET).await;
        play.passes_exactly(1000, async || upstream.got_nothing().await).await;
        upstream.got(GET).await;
        upstream.sends(OK).await;
        client.got(OK).await;
    });
}

#[test]
fn an_answer_that_comes_too_late_is_dropped() {
    play(hooked("allow"), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let late = call(play);
        play.passes(Duration::from_millis(1100)).await;
        let upstream = play.upstream().await;
        upstream.got(GET).await;
        answer(play, &late, verdict(Verdict { status: Some(403), ..Verdict::default() })).await;
        answer(play, &late, Outcome::Pass).await;
        client.got_nothing().await;
        upstream.sends(OK).await;
        client.got(OK).await;
        assert_eq!(play.requests(), 1);
    });
}

#[test]
fn a_call_is_withdrawn_when_its_client_goes() {
    play(hooked("allow"), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        assert_eq!(play.engine.hooks().waiting(), 1);
        client.resets().await;
        assert_eq!(play.engine.hooks().waiting(), 0);
        assert!(play.engine.hooks().take(10).is_empty());
        play.no_upstream().await;
        assert_eq!((play.refused("client_gone"), play.engine.connections()), (1, 0));
    });
}

#[test]
fn a_client_that_has_finished_sending_is_still_asked_about() {
    play(hooked("refuse"), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        client.finishes().await;
        answer(play, &call(play), Outcome::Pass).await;
        play.upstream().await.sends(OK).await;
        client.got(OK).await;
    });
}

#[test]
fn a_full_queue_is_a_failure_of_the_hook() {
    for (on_failure, passes) in [("refuse", false), ("allow", true)] {
        play(hooked(on_failure), async |play| {
            let hooks = play.engine.hooks();
            let mut waiting = Vec::new();
            while let Ok(call) = hooks.call(Call::default()) {
                waiting.push(call);
            }
            let client = play.client().await;
            client.sends(GET).await;
            if passes {
                play.upstream().await.got(GET).await;
            } else {
                client.got_problem(503, "hooks_full").await;
            }
            drop(waiting);
            client.resets().await;
            play.client().await.sends(GET).await;
            assert_eq!(hooks.waiting(), 1);
        });
    }
}

#[test]
fn a_hook_is_handed_the_body_and_the_upstream_gets_it_too() {
    play(with_body(), async |play| {
        let client = play.client().await;
        for request in [
            "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
            "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
        ] {
            let (first, second) = request.split_at(request.find("llo").unwrap());
            client.sends(first).await;
            assert!(play.engine.hooks().take(10).is_empty(), "not before all of it has come");
            client.sends(second).await;
            let call = call(play);
            assert_eq!(call.body.as_deref(), Some(&b"hello"[..]));
            answer(play, &call, Outcome::Pass).await;
            let upstream = match play.connection_to(80).await {
                Some(upstream) => upstream,
                None => panic!("no connection for {request:?}"),
            };
            upstream.got(request).await;
            upstream.sends("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await;
            client.got(OK).await;
        }
    });
}

#[test]
fn a_hook_that_wants_the_body_gets_an_empty_one_where_there_is_none() {
    play(with_body(), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let call = call(play);
        assert_eq!(call.body.as_deref(), Some(&b""[..]));
        answer(play, &call, Outcome::Pass).await;
        play.upstream().await.got(GET).await;
    });
}

#[test]
fn a_client_that_waits_for_continue_is_told_where_a_hook_wants_the_body() {
    play(with_body(), async |play| {
        let client = play.client().await;
        client.sends("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n").await;
        client.got("HTTP/1.1 100 Continue\r\n\r\n").await;
        client.sends("hello").await;
        answer(play, &call(play), Outcome::Pass).await;
        let upstream = play.upstream().await;
        upstream.got("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").await;
        upstream.sends(OK).await;
        client.got(OK).await;
    });
}

#[test]
fn a_body_larger_than_the_hook_takes_is_refused() {
    play(with_body(), async |play| {
        for request in [
            "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n",
            "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n",
        ] {
            let client = play.client().await;
            client.sends(request).await;
            client.got_problem(413, "body_too_large").await;
            assert!(play.engine.hooks().take(10).is_empty());
        }
    });
}

#[test]
fn the_routes_own_bound_on_the_body_holds_where_a_hook_takes_more() {
    let mut plan = with_body();
    plan["routes"][0]["body_bytes"] = json!(5);
    play(plan, async |play| {
        let client = play.client().await;
        client
            .sends("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello!\r\n0\r\n\r\n")
            .await;
        client.got_problem(413, "body_too_large").await;
    });
}

#[test]
fn a_bad_chunk_before_a_hook_is_refused() {
    play(with_body(), async |play| {
        let client = play.client().await;
        client.sends("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n").await;
        client.got_problem(400, "invalid_chunk_size").await;
        assert!(play.engine.hooks().take(10).is_empty());
    });
}

#[test]
fn a_body_that_a_hook_has_seen_is_sent_again_in_another_attempt() {
    let mut plan = with_body();
    plan["routes"][0]["retry"]["attempts"] = json!(2);
    plan["routes"][0]["retry"]["on"] = json!(["reset"]);
    plan["routes"][0]["retry"]["replay_bytes"] = json!(0);
    play(plan, async |play| {
        let client = play.client().await;
        let request = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
        client.sends(request).await;
        answer(play, &call(play), Outcome::Pass).await;
        play.upstream().await.finishes().await;
        let second = play.upstream().await;
        second.got(request).await;
        second.sends(OK).await;
        client.got(OK).await;
    });
}

#[test]
fn a_request_behind_a_body_that_a_hook_has_seen_is_served() {
    play(with_body(), async |play| {
        let client = play.client().await;
        client.sends(["PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok", GET].concat()).await;
        let outcome = verdict(Verdict { status: Some(204), ..Verdict::default() });
        answer(play, &call(play), outcome).await;
        client.got("HTTP/1.1 204 No Content\r\n\r\n").await;
        answer(play, &call(play), Outcome::Pass).await;
        play.upstream().await.got(GET).await;
    });
}

#[test]
fn a_route_that_its_hook_answers_needs_an_answer() {
    let mut plan = hooked("allow");
    plan["routes"][0]["action"] = json!({"kind": "hook"});
    play(plan, async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        answer(play, &call(play), Outcome::Pass).await;
        client.got_problem(503, "hook_failed").await;
        client.sends(GET).await;
        let outcome = verdict(Verdict { status: Some(200), body: b"ok".to_vec(), ..Verdict::default() });
        answer(play, &call(play), outcome).await;
        client.got(OK).await;
        client.sends(GET).await;
        answer(play, &call(play), verdict(Verdict { upstream: Some("up".into()), ..Verdict::default() }))
            .await;
        play.upstream().await.got(GET).await;
    });
}

#[test]
fn calls_wait_beside_each_other() {
    play(hooked("refuse"), async |play| {
        let clients = [play.client().await, play.client().await];
        for (number, client) in clients.iter().enumerate() {
            client.sends(format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        }
        let calls = play.engine.hooks().take(10);
        assert_eq!(calls.iter().map(|call| &call.path[..]).collect::<Vec<_>>(), [b"/0", b"/1"]);
        let status = |status| verdict(Verdict { status: Some(status), ..Verdict::default() });
        answer(play, &calls[1], status(404)).await;
        clients[0].got_nothing().await;
        clients[1].got_start("HTTP/1.1 404 ").await;
        answer(play, &calls[0], status(410)).await;
        clients[0].got_start("HTTP/1.1 410 ").await;
    });
}
