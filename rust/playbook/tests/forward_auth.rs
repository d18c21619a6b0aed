//! Somebody else decides: what is asked, what follows from each answer, and what happens where there is none.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_playbook::{Listening, Play, plan, play};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// The endpoint at port 81 decides.
fn asking(change: impl FnOnce(&mut Value)) -> Value {
    let mut plan = plan();
    let mut decides = plan["upstreams"][0].clone();
    decides["name"] = json!("auth");
    decides["endpoints"] = json!([{
        "address": {"kind": "ip", "ip": "10.0.0.1", "port": 81}, "weight": 1, "authority": "auth"
    }]);
    plan["upstreams"] = json!([plan["upstreams"][0], decides]);
    plan["routes"][0]["auth"] = json!({
        "kind": "forward", "upstream": 1, "target": "/check?all", "request_headers": ["Authorization", "Cookie"],
        "response_headers": ["X-User"], "client_headers": ["Set-Cookie"], "user": "X-User", "redirects": false,
        "connect_ms": 1000, "timeout_ms": 2000, "cache": null
    });
    change(&mut plan["routes"][0]["auth"]);
    plan
}

fn as_it_is(_: &mut Value) {}

/// A client's request, and what is asked about it.
async fn asks(
    play: &Play,
    request: &str,
    question: &str,
) -> (std::rc::Rc<tidegate_playbook::End>, std::rc::Rc<tidegate_playbook::End>) {
    let client = play.client().await;
    client.sends(request).await;
    let auth = play.upstream_at(81).await;
    auth.got(question).await;
    play.no_upstream().await;
    (client, auth)
}

const REQUEST: &str = "POST /a%20b?c=d HTTP/1.1\r\nHost: a.example\r\nCookie: s=1\r\nX-User: root\r\nX-Else: 1\r\n\
    Content-Length: 3\r\n\r\nabc";
const QUESTION: &str = "GET /check?all HTTP/1.1\r\nHost: auth\r\nX-Original-Method: POST\r\nX-Forwarded-Method: POST\r\n\
    X-Original-URI: /a%20b?c=d\r\nX-Forwarded-Uri: /a%20b?c=d\r\nX-Forwarded-For: 192.0.2.1\r\n\
    X-Forwarded-Proto: http\r\nX-Forwarded-Host: a.example\r\nCookie: s=1\r\n\r\n";

#[test]
fn a_yes_lets_the_request_in_and_tells_the_upstream_who_it_is() {
    play(asking(as_it_is), async |play| {
        let (client, auth) = asks(play, REQUEST, QUESTION).await;
        auth.sends("HTTP/1.1 204 No Content\r\nX-User: ann\r\nSet-Cookie: s=2\r\nX-Else: 2\r\n\r\n").await;
        let upstream = play.upstream().await;
        upstream
            .got(
                "POST /a%20b?c=d HTTP/1.1\r\nHost: a.example\r\nCookie: s=1\r\nX-Else: 1\r\nX-User: ann\r\n\
                 Content-Length: 3\r\n\r\nabc",
            )
            .await;
        upstream.sends(OK).await;
        client.got("HTTP/1.1 200 OK\r\nSet-Cookie: s=2\r\nContent-Length: 2\r\n\r\nok").await;
    });
}

#[test]
fn a_client_cannot_say_who_it_is_where_nobody_else_does() {
    play(asking(as_it_is), async |play| {
        let (client, auth) = asks(play, REQUEST, QUESTION).await;
        auth.sends("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
        let upstream = play.upstream().await;
        assert!(!upstream.takes().await.contains("X-User"));
        upstream.sends(OK).await;
        client.got(OK).await;
    });
}

#[test]
fn a_no_is_the_clients_with_what_it_needs_to_do_better() {
    play(asking(as_it_is), async |play| {
        let (client, auth) = asks(play, REQUEST, QUESTION).await;
        auth.sends(
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nSet-Cookie: a=b\r\nX-Inner: 1\r\n\
             Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nnope\r\n0\r\n\r\n",
        )
        .await;
        client
            .got(
                "HTTP/1.1 401 Unauthorized\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\
                 WWW-Authenticate: Basic realm=\"x\"\r\nSet-Cookie: a=b\r\n\r\nnope",
            )
            .await;
        play.no_upstream().await;
    });
}

#[test]
fn the_connection_to_whoever_decides_is_kept() {
    play(asking(as_it_is), async |play| {
        let (client, auth) = asks(play, REQUEST, QUESTION).await;
        auth.sends("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
        client.got("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
        client.sends(REQUEST).await;
        auth.got(QUESTION).await;
        // It closes instead of answering, as servers do with idle connections: the question is asked once more.
        auth.finishes().await;
        let again = play.upstream_at(81).await;
        again.got(QUESTION).await;
        again.sends("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
        client.got("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
    });
}

#[test]
fn neither_yes_nor_no_is_never_the_clients_fault() {
    for (answer, reason) in [
        ("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "auth_status"),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "auth_status"),
        ("HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n", "auth_status"),
        ("garbage\r\n\r\n", "auth_answer"),
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", "auth_answer"),
    ] {
        play(asking(as_it_is), async |play| {
            let (client, auth) = asks(play, REQUEST, QUESTION).await;
            auth.sends(answer).await;
            client.got_problem(502, reason).await;
            play.no_upstream().await;
            assert_eq!(play.refused(reason), 1);
        });
    }
}

#[test]
fn silence_and_a_shut_door_have_their_names() {
    play(asking(as_it_is), async |play| {
        let (client, _auth) = asks(play, REQUEST, QUESTION).await;
        play.passes(Duration::from_millis(2200)).await;
        client.got_problem(504, "auth_timeout").await;
    });
    play(asking(as_it_is), async |play| {
        play.endpoint_is(81, Listening::Refused);
        let client = play.client().await;
        client.sends(REQUEST).await;
        client.got_problem(502, "auth_unreachable").await;
        play.no_upstream().await;
    });
    play(asking(as_it_is), async |play| {
        let (client, auth) = asks(play, REQUEST, QUESTION).await;
        auth.sends("HTTP/1.1 200 OK\r\nContent-Le").await;
        auth.finishes().await;
        client.got_problem(502, "auth_unreachable").await;
    });
}

#[test]
fn a_redirect_to_a_login_page_is_passed_on_where_that_is_wanted() {
    play(asking(|auth| auth["redirects"] = json!(true)), async |play| {
        let (client, auth) = asks(play, REQUEST, QUESTION).await;
        auth.sends("HTTP/1.1 302 Found\r\nLocation: https://login.example/\r\nContent-Length: 0\r\n\r\n")
            .await;
        client
            .got("HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: https://login.example/\r\n\r\n")
            .await;
    });
}

#[test]
fn a_yes_that_is_remembered_is_not_asked_for_again_and_a_no_is() {
    let cached = |auth: &mut Value| {
        auth["cache"] = json!({"key": [{"kind": "cookie", "name": "s"}], "ttl_s": 3600});
    };
    play(asking(cached), async |play| {
        let (client, auth) = asks(play, REQUEST, QUESTION).await;
        auth.sends("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
        client.takes().await;
        client.sends(REQUEST).await;
        auth.got(QUESTION).await;
        auth.sends("HTTP/1.1 200 OK\r\nX-User: ann\r\nContent-Length: 0\r\n\r\n").await;
        let upstream = play.upstream().await;
        upstream.takes().await;
        upstream.sends(OK).await;
        client.takes().await;
        client.sends(REQUEST).await;
        auth.got_nothing().await;
        assert!(upstream.takes().await.contains("X-User: ann\r\n"));
        upstream.sends(OK).await;
        client.takes().await;
        let other = play.client().await;
        other.sends(REQUEST.replace("s=1", "s=2")).await;
        auth.got(QUESTION.replace("s=1", "s=2")).await;
    });
}

#[test]
fn a_client_that_goes_away_is_not_waited_for() {
    play(asking(as_it_is), async |play| {
        let (client, auth) = asks(play, REQUEST, QUESTION).await;
        client.resets().await;
        assert!(auth.is_closed().await);
        play.no_upstream().await;
    });
}
