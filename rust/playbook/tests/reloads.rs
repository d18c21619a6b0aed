//! Another plan while requests are under way: each sees one plan, and nobody notices the change.

use serde_json::{Value, json};
use tidegate_playbook::{Play, plan, play, settle};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// The plan with a mark on requests and responses that it was this one.
fn marked(mark: &str) -> Value {
    let mut plan = plan();
    let edits = json!([{"kind": "set", "name": "X-Plan", "value": [{"kind": "text", "value": mark}]}]);
    plan["routes"][0]["request_headers"] = edits.clone();
    plan["routes"][0]["response_headers"] = edits;
    plan
}

async fn apply(play: &Play, plan: &Value) {
    if let Err(error) = play.engine.apply(plan.to_string().as_bytes()) {
        panic!("the plan was refused: {error}");
    }
    settle().await;
}

fn marked_get(mark: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\nX-Plan: {mark}\r\n\r\n")
}

fn marked_ok(mark: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nX-Plan: {mark}\r\nContent-Length: 2\r\n\r\nok")
}

#[test]
fn a_request_under_way_ends_on_the_plan_that_it_began_on() {
    play(marked("old"), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let upstream = play.upstream().await;
        upstream.got(marked_get("old")).await;
        apply(play, &marked("new")).await;
        let other = play.client().await;
        other.sends(GET).await;
        let fresh = play.upstream().await;
        fresh.got(marked_get("new")).await;
        upstream.sends(OK).await;
        client.got(marked_ok("old")).await;
        fresh.sends(OK).await;
        other.got(marked_ok("new")).await;
    });
}

#[test]
fn connections_of_both_sides_live_on() {
    play(marked("old"), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let upstream = play.upstream().await;
        upstream.got(marked_get("old")).await;
        upstream.sends(OK).await;
        client.got(marked_ok("old")).await;
        for mark in ["new", "newer"] {
            apply(play, &marked(mark)).await;
            client.sends(GET).await;
            upstream.got(marked_get(mark)).await;
            upstream.sends(OK).await;
            client.got(marked_ok(mark)).await;
        }
        assert_eq!(play.stats()["connections_opened"], 1);
    });
}

#[test]
fn a_plan_that_cannot_run_changes_nothing() {
    play(marked("old"), async |play| {
        let mut bad = marked("bad");
        bad["routes"][0]["matches"]["path"] = json!({"kind": "regex", "value": "("});
        let error = play.engine.apply(bad.to_string().as_bytes()).map(drop);
        assert!(error.is_err_and(|error| error.to_string().starts_with("routes[0].matches.path")));
        let client = play.client().await;
        client.sends(GET).await;
        play.upstream().await.got(marked_get("old")).await;
    });
}

#[test]
fn a_response_goes_on_after_its_upstream_has_left_the_plan() {
    play(marked("old"), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let upstream = play.upstream().await;
        upstream.sends("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok").await;
        let mut moved = marked("new");
        moved["upstreams"][0]["endpoints"][0]["address"]["port"] = json!(81);
        apply(play, &moved).await;
        upstream.sends("ok").await;
        assert!(client.takes().await.ends_with("okok"));
        assert!(upstream.is_closed().await, "nobody will ask for it again");
        client.sends(GET).await;
        play.upstream_at(81).await.got(marked_get("new")).await;
    });
}

#[test]
fn limits_that_stay_the_same_go_on_counting() {
    let limited = |mark: &str| {
        let mut plan = marked(mark);
        plan["routes"][0]["limits"] = json!([0]);
        plan["routes"][0]["action"] =
            json!({"kind": "respond", "status": 204, "content_type": "", "body": []});
        plan["limits"] = json!([{
            "name": "api", "key": [{"kind": "client_ip"}], "rate": {"tokens": 1, "per_ms": 60_000}, "burst": 2,
            "cost": 1, "delay_ms": 0
        }]);
        plan
    };
    play(limited("old"), async |play| {
        let client = play.client().await;
        for (mark, status) in [("old", 204), ("new", 204), ("newer", 429)] {
            apply(play, &limited(mark)).await;
            client.sends(GET).await;
            client.got_start(&format!("HTTP/1.1 {status} ")).await;
        }
    });
}

#[test]
fn caps_count_on_over_a_reload() {
    let capped = |mark: &str| {
        let mut plan = marked(mark);
        plan["routes"][0]["concurrency"] = json!([0]);
        plan["concurrency"] = json!([{"name": "one", "key": [{"kind": "client_ip"}], "max": 1}]);
        plan
    };
    play(capped("old"), async |play| {
        let (client, other) = (play.client().await, play.client().await);
        client.sends(GET).await;
        let upstream = play.upstream().await;
        apply(play, &capped("new")).await;
        other.sends(GET).await;
        other.got_problem(429, "too_many_in_flight").await;
        upstream.sends(OK).await;
        client.got(marked_ok("old")).await;
        other.sends(GET).await;
        upstream.sends(OK).await;
        other.got(marked_ok("new")).await;
    });
}

#[test]
fn a_bound_on_connections_holds_over_a_reload() {
    let bounded = |mark: &str, idle_max: u32| {
        let mut plan = marked(mark);
        for (name, value) in [("max_connections", 1), ("queue_max", 1), ("idle_max", idle_max)] {
            plan["upstreams"][0]["pool"][name] = json!(value);
        }
        plan
    };
    play(bounded("old", 8), async |play| {
        let (client, other) = (play.client().await, play.client().await);
        client.sends(GET).await;
        let upstream = play.upstream().await;
        apply(play, &bounded("new", 4)).await;
        other.sends(GET).await;
        play.no_upstream().await;
        upstream.sends(OK).await;
        client.got(marked_ok("old")).await;
        let fresh = play.upstream().await;
        fresh.got(marked_get("new")).await;
        fresh.sends(OK).await;
        other.got(marked_ok("new")).await;
    });
}
