//! What is kept and given again, and who waits for whom: with time moved by hand and every write counted.

use std::{rc::Rc, time::Duration};

use serde_json::{Value, json};
use tidegate_playbook::{End, Listening, Play, plan, play};

const GET: &str = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";

/// The plan of one route that keeps what the origin says.
fn keeping() -> Value {
    let mut plan = plan();
    plan["server"]["max_connections"] = json!(5000);
    plan["cache"] = json!({"memory_bytes": 16 << 20});
    plan["routes"][0]["cache"] = json!({
        "ttl": [],
        "key": {
            "space": "all", "scheme": true, "host": true, "query": {"sort": false, "keep": null, "drop": []},
            "headers": [], "cookies": [], "template": []
        },
        "vary": {"accept_encoding": ["br", "gzip"], "accept_language": [], "ignore": [], "most": 32},
        "bypass": [], "stale_while_revalidate_s": 0, "stale_if_error_s": 0, "heuristic_percent": 0, "negative_s": 300,
        "object_bytes": 1 << 20, "set_cookie": false, "authorized": false, "request_control": true, "tags": ["Cache-Tag"],
        "hide": [], "strip": ["X-Host"], "debug": null, "coalesce_ms": 5000
    });
    plan
}

fn with(change: impl FnOnce(&mut Value)) -> Value {
    let mut plan = keeping();
    change(&mut plan["routes"][0]["cache"]);
    plan
}

fn answer(fields: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// Has a client ask, and the origin answer on a connection that stays open.
async fn filled(play: &Play, fields: &str) -> (Rc<End>, Rc<End>) {
    let client = play.client().await;
    client.sends(GET).await;
    let upstream = play.upstream().await;
    upstream.takes().await;
    upstream.sends(answer(fields, "one")).await;
    client.got_start("HTTP/1.1 200 OK\r\n").await;
    (client, upstream)
}

async fn seconds(play: &Play, seconds: u64) {
    play.passes(Duration::from_secs(seconds)).await;
}

#[test]
fn a_hit_is_one_read_and_one_write() {
    play(keeping(), async |play| {
        let (client, upstream) = filled(play, "Cache-Control: max-age=60\r\n").await;
        let before = client.calls();
        client.sends(GET).await;
        client
            .got(
                "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nAge: 0\r\nCache-Status: tidegate; hit; ttl=60\r\n\
                 Content-Length: 3\r\n\r\none",
            )
            .await;
        let after = client.calls();
        assert_eq!((after.0 - before.0, after.1 - before.1), (1, 1));
        upstream.got_nothing().await;
    });
}

#[test]
fn an_answer_grows_old_by_the_second_and_is_asked_about_when_it_is_stale() {
    play(keeping(), async |play| {
        let (client, upstream) = filled(play, "Cache-Control: max-age=10\r\nETag: \"1\"\r\nX: old\r\n").await;
        seconds(play, 9).await;
        client.sends(GET).await;
        let hit = client.got_start("HTTP/1.1 200 OK\r\n").await;
        assert!(hit.contains("\r\nAge: 9\r\n"), "{hit}");
        seconds(play, 1).await;
        client.sends(GET).await;
        upstream.got("GET /a HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"1\"\r\n\r\n").await;
        upstream.sends("HTTP/1.1 304 X\r\nETag: \"1\"\r\nX: new\r\nCache-Control: max-age=10\r\n\r\n").await;
        let told = client.got_start("HTTP/1.1 200 OK\r\n").await;
        assert!(told.contains("\r\nX: new\r\n") && told.ends_with("\r\n\r\none"), "{told}");
        assert!(told.contains("Cache-Status: tidegate; fwd=stale; fwd-status=304"), "{told}");
        client.sends(GET).await;
        client.got_start("HTTP/1.1 200 OK\r\n").await;
        upstream.got_nothing().await;
    });
}

#[test]
fn a_304_about_something_else_has_the_origin_asked_again() {
    play(keeping(), async |play| {
        let (client, upstream) = filled(play, "Cache-Control: max-age=1\r\nETag: \"1\"\r\n").await;
        seconds(play, 2).await;
        client.sends(GET).await;
        upstream.takes().await;
        upstream.sends("HTTP/1.1 304 X\r\nETag: \"2\"\r\n\r\n").await;
        let again = play.upstream().await;
        again.got("GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
        again.sends(answer("ETag: \"2\"\r\n", "two")).await;
        assert!(client.takes().await.ends_with("\r\n\r\ntwo"));
    });
}

#[test]
fn a_thousand_who_ask_at_once_are_one_request_and_nobody_waits_for_the_end() {
    play(keeping(), async |play| {
        let mut clients = Vec::new();
        for _ in 0..1000 {
            let client = play.client().await;
            client.sends(GET).await;
            clients.push(client);
        }
        let upstream = play.upstream().await;
        upstream.takes().await;
        play.no_upstream().await;
        upstream.sends("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 6\r\n\r\none").await;
        for client in &clients {
            assert!(client.takes().await.ends_with("\r\n\r\none"));
        }
        upstream.sends("two").await;
        for client in &clients {
            client.got("two").await;
        }
        upstream.got_nothing().await;
        assert_eq!(
            play.metric("tidegate_cache_requests_total{route=\"all\",outcome=\"joined\"}"),
            Some(999.0)
        );
    });
}

#[test]
fn a_client_that_takes_nothing_holds_up_nobody() {
    play(keeping(), async |play| {
        let slow = play.client().await;
        slow.takes_at_most(100);
        slow.sends(GET).await;
        let upstream = play.upstream().await;
        upstream.takes().await;
        let quick = play.client().await;
        quick.sends(GET).await;
        let body = "~".repeat(500_000);
        upstream
            .sends("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 500000\r\n\r\n")
            .await;
        let mut got = 0;
        for piece in body.as_bytes().chunks(50_000) {
            upstream.sends(piece).await;
            got += quick.takes().await.matches('~').count();
        }
        assert_eq!(got, 500_000);
        let third = play.client().await;
        third.sends(GET).await;
        assert!(third.takes().await.contains("tidegate; hit"), "it is whole and kept");
        seconds(play, 31).await;
        assert!(slow.is_closed().await, "who takes nothing is let go in time");
    });
}

#[test]
fn a_fetch_without_a_client_ends_after_its_time() {
    play(keeping(), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let upstream = play.upstream().await;
        upstream.takes().await;
        upstream.sends("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 100\r\n\r\n").await;
        client.resets().await;
        for _ in 0..29 {
            seconds(play, 1).await;
            upstream.sends("x").await;
            assert!(!upstream.is_closed().await);
        }
        for _ in 0..3 {
            seconds(play, 1).await;
            upstream.sends("x").await;
        }
        assert!(upstream.is_closed().await);
        assert_eq!(play.metric("tidegate_cache_fill_bytes"), Some(0.0));
    });
}

#[test]
fn a_stale_answer_is_given_at_once_and_a_new_one_fetched_beside() {
    let plan = with(|cache| cache["stale_while_revalidate_s"] = json!(10));
    play(plan, async |play| {
        let (client, upstream) = filled(play, "Cache-Control: max-age=5\r\n").await;
        seconds(play, 6).await;
        for _ in 0..3 {
            client.sends(GET).await;
            let stale = client.got_start("HTTP/1.1 200 OK\r\n").await;
            assert!(
                stale.contains("ttl=-1; detail=stale_while_revalidate") && stale.ends_with("one"),
                "{stale}"
            );
        }
        upstream.got("GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
        play.no_upstream().await;
        upstream.sends(answer("Cache-Control: max-age=5\r\n", "two")).await;
        client.sends(GET).await;
        assert!(client.takes().await.ends_with("\r\n\r\ntwo"));
        client.got_nothing().await;
    });
}

#[test]
fn a_failing_origin_is_covered_for_a_while_and_everybody_who_waits_is() {
    let plan = with(|cache| cache["stale_if_error_s"] = json!(60));
    play(plan, async |play| {
        let (client, upstream) = filled(play, "Cache-Control: max-age=5\r\nETag: \"1\"\r\n").await;
        seconds(play, 6).await;
        let other = play.client().await;
        client.sends(GET).await;
        other.sends(GET).await;
        upstream.takes().await;
        upstream.sends("HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n").await;
        for client in [&client, &other] {
            assert!(client.got_start("HTTP/1.1 200 OK\r\n").await.ends_with("\r\n\r\none"));
        }
        upstream.finishes().await;
        play.endpoint_is(80, Listening::Refused);
        client.sends(GET).await;
        assert!(client.got_start("HTTP/1.1 200 OK\r\n").await.contains("stale_if_error"));
        seconds(play, 60).await;
        client.sends(GET).await;
        client.got_start("HTTP/1.1 502 ").await;
    });
}

#[test]
fn whoever_has_waited_for_his_time_asks_for_himself() {
    play(keeping(), async |play| {
        let first = play.client().await;
        first.sends(GET).await;
        let hanging = play.upstream().await;
        let second = play.client().await;
        second.sends(GET).await;
        play.passes(Duration::from_millis(4900)).await;
        play.no_upstream().await;
        play.passes(Duration::from_millis(300)).await;
        let upstream = play.upstream().await;
        upstream.sends(answer("Cache-Control: max-age=60\r\n", "two")).await;
        let told = second.takes().await;
        assert!(told.contains("detail=wait_over") && told.ends_with("two"), "{told}");
        hanging.sends(answer("Cache-Control: max-age=60\r\n", "one")).await;
        assert!(first.takes().await.ends_with("one"));
    });
}

#[test]
fn what_could_not_be_kept_is_waited_for_by_nobody_until_it_can() {
    play(keeping(), async |play| {
        let (first, upstream) = filled(play, "Cache-Control: private\r\n").await;
        let second = play.client().await;
        first.sends(GET).await;
        second.sends(GET).await;
        let beside = play.upstream().await;
        upstream.sends(answer("Cache-Control: max-age=60\r\n", "all")).await;
        assert!(first.takes().await.contains("fwd=miss; fwd-status=200; stored; detail=hit_for_pass"));
        beside.sends(answer("Cache-Control: private\r\n", "own")).await;
        assert!(second.takes().await.ends_with("own"));
    });
}

#[test]
fn what_is_sent_to_the_origin_is_what_the_key_says() {
    play(keeping(), async |play| {
        let client = play.client().await;
        client
            .sends(
                "GET /a HTTP/1.1\r\nHost: a\r\nX-Host: evil\r\nAccept-Encoding: foo, gzip, br;q=0.1\r\n\
                 If-None-Match: \"x\"\r\nAccept: b\r\n\r\n",
            )
            .await;
        let upstream = play.upstream().await;
        upstream.got("GET /a HTTP/1.1\r\nHost: a\r\nAccept: b\r\naccept-encoding: br, gzip\r\n\r\n").await;
    });
}

#[test]
fn a_request_with_a_body_or_another_method_goes_by_untouched() {
    play(keeping(), async |play| {
        let client = play.client().await;
        client.sends("POST /a HTTP/1.1\r\nHost: a\r\nX-Host: b\r\nContent-Length: 1\r\n\r\nx").await;
        let upstream = play.upstream().await;
        upstream.got("POST /a HTTP/1.1\r\nHost: a\r\nX-Host: b\r\nContent-Length: 1\r\n\r\nx").await;
        upstream.sends(answer("Cache-Control: max-age=60\r\n", "done")).await;
        assert!(
            client
                .takes()
                .await
                .contains("Cache-Status: tidegate; fwd=method; fwd-status=200; detail=method")
        );
    });
}

#[test]
fn nothing_is_kept_of_what_is_cut_in_its_head_or_its_body() {
    play(keeping(), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let upstream = play.upstream().await;
        upstream
            .sends("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\nhalf")
            .await;
        assert!(client.takes().await.ends_with("half"));
        upstream.finishes().await;
        assert!(client.is_closed().await);
        let client = play.client().await;
        client.sends(GET).await;
        let upstream = play.upstream().await;
        upstream
            .sends("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n")
            .await;
        client.got_start("HTTP/1.1 502 ").await;
        assert_eq!(play.metric("tidegate_cache_entries"), Some(0.0));
    });
}

#[test]
fn purges_hold_for_the_next_request() {
    play(keeping(), async |play| {
        let (client, upstream) = filled(play, "Cache-Control: max-age=60\r\nCache-Tag: x y\r\n").await;
        assert_eq!(play.engine.cache_purge("tag", b"z", false), Some(true));
        client.sends(GET).await;
        client.got_start("HTTP/1.1 200 OK\r\n").await;
        upstream.takes().await;
        assert_eq!(play.engine.cache_purge("tag", b"y", false), Some(true));
        client.sends(GET).await;
        upstream.got("GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
        upstream.sends(answer("Cache-Control: max-age=60\r\n", "new")).await;
        assert!(client.takes().await.ends_with("new"));
        assert!(play.engine.cache_get(b"all\nhttp://a/a").is_some());
        assert_eq!(play.engine.cache_purge("key", b"all\nhttp://a/a", false), Some(true));
        assert_eq!(play.engine.cache_purge("key", b"all\nhttp://a/a", false), Some(false));
        assert_eq!(play.engine.cache_purge("what", b"", false), None);
    });
}
