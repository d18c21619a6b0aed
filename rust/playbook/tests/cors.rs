//! Pages of other origins: what they are told before and after, and what an upstream can't add.

use serde_json::{Value, json};
use tidegate_playbook::{plan, play};

fn pages(change: impl FnOnce(&mut Value)) -> Value {
    let mut plan = plan();
    plan["routes"][0]["cors"] = json!({
        "any": false, "origins": ["https://app.example"], "suffixes": [], "methods": "GET, PUT", "headers": "X-A",
        "expose": "X-Total", "credentials": true, "max_age_s": 600
    });
    let edits = ["Access-Control-Allow-Origin", "Access-Control-Allow-Credentials"]
        .map(|name| json!({"kind": "remove", "name": name, "value": []}));
    plan["routes"][0]["response_headers"] = json!(edits);
    change(&mut plan["routes"][0]);
    plan
}

const PREFLIGHT: &str = "OPTIONS /x HTTP/1.1\r\nHost: a\r\nOrigin: https://app.example\r\n\
    Access-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: x-a\r\n\r\n";

#[test]
fn the_question_before_is_answered_here() {
    play(pages(|_| {}), async |play| {
        let client = play.client().await;
        client.sends(PREFLIGHT).await;
        client
            .got(
                "HTTP/1.1 204 No Content\r\nVary: Origin\r\nAccess-Control-Allow-Origin: https://app.example\r\n\
                 Access-Control-Allow-Credentials: true\r\nAccess-Control-Allow-Methods: GET, PUT\r\n\
                 Access-Control-Allow-Headers: X-A\r\nAccess-Control-Max-Age: 600\r\n\r\n",
            )
            .await;
        client.sends(PREFLIGHT.replace("app.example", "evil.example")).await;
        client.got_problem(403, "origin_refused").await;
        play.no_upstream().await;
    });
}

#[test]
fn the_question_before_needs_no_credential() {
    let auth = json!({"kind": "api_keys", "source": {"kind": "bearer"}, "keys": [], "strip": true});
    play(pages(|route| route["auth"] = auth), async |play| {
        let client = play.client().await;
        client.sends(PREFLIGHT).await;
        client.got_start("HTTP/1.1 204 No Content\r\n").await;
        client.sends("GET / HTTP/1.1\r\nHost: a\r\nOrigin: https://app.example\r\n\r\n").await;
        let refusal = client.got_problem(401, "unauthorized").await;
        assert!(
            refusal.contains("Access-Control-Allow-Origin: https://app.example\r\n"),
            "or no page can read it"
        );
    });
}

#[test]
fn an_answer_tells_what_the_route_says_and_not_what_the_upstream_says() {
    play(pages(|_| {}), async |play| {
        let client = play.client().await;
        client.sends("GET / HTTP/1.1\r\nHost: a\r\nOrigin: https://app.example\r\n\r\n").await;
        let upstream = play.upstream().await;
        upstream.takes().await;
        upstream
            .sends("HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nVary: Accept\r\nContent-Length: 0\r\n\r\n")
            .await;
        client
            .got(
                "HTTP/1.1 200 OK\r\nVary: Accept\r\nVary: Origin\r\nAccess-Control-Allow-Origin: https://app.example\r\n\
                 Access-Control-Allow-Credentials: true\r\nAccess-Control-Expose-Headers: X-Total\r\n\
                 Content-Length: 0\r\n\r\n",
            )
            .await;
        for origin in ["", "Origin: https://evil.example\r\n", "Origin: null\r\n"] {
            client.sends(format!("GET / HTTP/1.1\r\nHost: a\r\n{origin}\r\n")).await;
            upstream.takes().await;
            upstream
                .sends("HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nContent-Length: 0\r\n\r\n")
                .await;
            client.got("HTTP/1.1 200 OK\r\nVary: Origin\r\nContent-Length: 0\r\n\r\n").await;
        }
    });
}

#[test]
fn everybody_is_told_a_star_and_never_their_own_name() {
    let everybody = |route: &mut Value| {
        route["cors"]["any"] = json!(true);
        route["cors"]["credentials"] = json!(false);
        route["cors"]["headers"] = Value::Null;
    };
    play(pages(everybody), async |play| {
        let client = play.client().await;
        client.sends(PREFLIGHT).await;
        client
            .got(
                "HTTP/1.1 204 No Content\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Allow-Methods: GET, PUT\r\n\
                 Access-Control-Allow-Headers: x-a\r\nAccess-Control-Max-Age: 600\r\n\
                 Vary: Access-Control-Request-Headers\r\n\r\n",
            )
            .await;
    });
}

#[test]
fn options_without_a_question_are_the_upstreams() {
    play(pages(|_| {}), async |play| {
        let client = play.client().await;
        client.sends("OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        play.upstream().await.got_start("OPTIONS / HTTP/1.1\r\n").await;
    });
}
