//! What the upstream gets instead of what the client sent, what the client gets instead of what came back, and
//! answers of the gateway's own.

use serde_json::{Value, json};
use tidegate_playbook::{plan, play, route};

const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\n\r\n";

fn text(value: &str) -> Value {
    json!({"kind": "text", "value": value})
}

fn variable(name: &str) -> Value {
    json!({"kind": "variable", "name": name})
}

fn rewriting(prefix: &str, path: Value) -> Value {
    let mut plan = plan();
    plan["routes"][0]["matches"]["path"] = json!({"kind": "prefix", "value": prefix});
    plan["routes"][0]["rewrite"] = json!({"path": path, "host": null, "query": null});
    plan
}

fn answering(action: Value) -> Value {
    let mut plan = plan();
    plan["routes"][0]["action"] = action;
    plan
}

/// What reaches the upstream of requests for these targets.
fn rewrites(plan: Value, targets: &[(&str, &str)]) {
    play(plan, async |play| {
        for (target, expected) in targets {
            let client = play.client().await;
            client.sends(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
            let upstream = play.upstream().await;
            upstream.got(format!("GET {expected} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
            upstream.resets().await;
        }
    });
}

#[test]
fn a_prefix_is_replaced() {
    rewrites(
        rewriting("/api/", json!({"kind": "prefix", "with": "/"})),
        &[
            ("/api/x", "/x"),
            ("/api/", "/"),
            ("/api/x/y?z=1", "/x/y?z=1"),
            ("/api/a%20b", "/a%20b"),
            ("/api/a/../b", "/b"),
        ],
    );
    rewrites(
        rewriting("/api", json!({"kind": "prefix", "with": "/v2"})),
        &[("/api", "/v2"), ("/api/x", "/v2/x"), ("/api?q", "/v2?q")],
    );
}

#[test]
fn a_path_is_rewritten_by_a_pattern() {
    rewrites(
        rewriting("/", json!({"kind": "regex", "pattern": "^/user/([0-9]+)", "with": "/u/$1"})),
        &[("/user/7/x", "/u/7/x"), ("/user/ann", "/user/ann"), ("/user/7?a=b", "/u/7?a=b")],
    );
}

#[test]
fn a_rewrite_that_climbs_out_of_its_place_is_refused() {
    play(rewriting("/", json!({"kind": "regex", "pattern": "^/a(.*)", "with": "/data/$1"})), async |play| {
        let client = play.client().await;
        client.sends("GET /a../b HTTP/1.1\r\nHost: a\r\n\r\n").await;
        client.got_start("HTTP/1.1 400 ").await;
        if let Some(upstream) = play.connection_to(80).await {
            upstream.got_nothing().await;
        }
    });
}

#[test]
fn a_query_is_rewritten_with_variables() {
    let mut plan = plan();
    let query = json!([text("q="), {"kind": "query", "name": "a"}, text("&ip="), variable("client_ip")]);
    plan["routes"][0]["rewrite"] = json!({"path": null, "host": null, "query": query});
    rewrites(plan.clone(), &[("/x?a=1%202&b=2", "/x?q=1%202&ip=192.0.2.1"), ("/x", "/x?q=&ip=192.0.2.1")]);
    plan["routes"][0]["rewrite"]["query"] = json!([]);
    rewrites(plan, &[("/x?a=1", "/x"), ("/x", "/x")]);
}

#[test]
fn a_host_is_rewritten_and_nothing_else_can_be_slipped_in() {
    let mut plan = plan();
    let host = json!([{"kind": "header", "name": "X-Host"}, text(".internal")]);
    plan["routes"][0]["rewrite"] = json!({"path": null, "host": host, "query": null});
    play(plan, async |play| {
        for (asked, host) in [("b", "b.internal"), ("b c", "a"), ("b/../", "a")] {
            let client = play.client().await;
            client.sends(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Host: {asked}\r\n\r\n")).await;
            let upstream = play.upstream().await;
            upstream.got(format!("GET / HTTP/1.1\r\nHost: {host}\r\nX-Host: {asked}\r\n\r\n")).await;
            upstream.resets().await;
        }
    });
}

#[test]
fn a_request_without_host_gets_the_endpoints() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends("GET / HTTP/1.0\r\n\r\n").await;
        play.upstream().await.got("GET / HTTP/1.1\r\nHost: 10.0.0.1:80\r\n\r\n").await;
    });
}

#[test]
fn a_target_in_absolute_form_goes_on_in_origin_form() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends("GET http://b:8080/x?y HTTP/1.1\r\nHost: a\r\n\r\n").await;
        play.upstream().await.got("GET /x?y HTTP/1.1\r\nHost: b:8080\r\n\r\n").await;
    });
}

#[test]
fn options_for_the_whole_server_stay_that() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let upstream = play.upstream().await;
        upstream.got("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").await;
        upstream.sends(NO_CONTENT).await;
        client.got(NO_CONTENT).await;
    });
}

#[test]
fn fields_are_set_added_and_removed_both_ways() {
    let mut plan = plan();
    let edits = json!([
        {"kind": "remove", "name": "X-Gone", "value": []},
        {"kind": "set", "name": "X-Set", "value": [text("from "), variable("client_ip")]},
        {"kind": "add", "name": "X-Add", "value": [text("more")]}
    ]);
    plan["routes"][0]["request_headers"] = edits.clone();
    plan["routes"][0]["response_headers"] = edits;
    play(plan, async |play| {
        let fields = "x-gone: 1\r\nX-Keep: 1\r\nx-set: 1\r\nX-Set: 2\r\nX-Add: 1\r\nX-Gone: 2\r\n";
        let expected = "X-Keep: 1\r\nX-Add: 1\r\nX-Set: from 192.0.2.1\r\nX-Add: more\r\n";
        let client = play.client().await;
        client.sends(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
        let upstream = play.upstream().await;
        upstream.got(format!("GET / HTTP/1.1\r\nHost: a\r\n{expected}\r\n")).await;
        upstream.sends(format!("HTTP/1.1 204 No Content\r\n{fields}\r\n")).await;
        client.got(format!("HTTP/1.1 204 No Content\r\n{expected}\r\n")).await;
    });
}

#[test]
fn answers_of_the_gateways_own_are_edited_too() {
    let mut plan = plan();
    plan["server"]["server_name"] = json!("tidegate");
    plan["routes"][0]["response_headers"] =
        json!([{"kind": "add", "name": "X-Edge", "value": [variable("status")]}]);
    plan["routes"][0]["access"] = json!({"allow": ["10.0.0.0/8"], "deny": []});
    play(plan, async |play| {
        let client = play.client().await;
        client.sends("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let rest = client.got_problem(403, "address_denied").await;
        assert!(rest.contains("\r\nX-Edge: 403\r\n") && rest.contains("\r\nServer: tidegate\r\n"), "{rest}");
    });
}

#[test]
fn a_redirect_says_where_to() {
    let location = json!([text("https://"), variable("host"), variable("request_uri")]);
    play(answering(json!({"kind": "redirect", "status": 308, "location": location})), async |play| {
        let client = play.client().await;
        client.sends("GET /x?y=1 HTTP/1.1\r\nHost: A.example:80\r\n\r\n").await;
        client
            .got("HTTP/1.1 308 Permanent Redirect\r\nContent-Length: 0\r\nLocation: https://a.example/x?y=1\r\n\r\n")
            .await;
        assert!(!client.is_closed().await);
        play.no_upstream().await;
    });
}

#[test]
fn a_fixed_response_knows_its_request() {
    let mut plan = answering(json!({
        "kind": "respond", "status": 200, "content_type": "text/plain",
        "body": [variable("method"), text(" "), variable("path"), text(" "), {"kind": "header", "name": "x-a"}, text(" "),
                 {"kind": "capture", "name": "id"}, text(" "), variable("route"), text(" "), {"kind": "cookie", "name": "c"}]
    }));
    plan["routes"][0]["matches"]["path"] = json!({"kind": "regex", "value": "^/items/(?<id>[0-9]+)$"});
    play(plan, async |play| {
        let client = play.client().await;
        let fields = "Host: a\r\nX-A: 1\r\nCookie: b=2; c=3\r\n";
        client.sends(format!("GET /items/./42 HTTP/1.1\r\n{fields}\r\n")).await;
        client
            .got("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 24\r\n\r\nGET /items/42 1 42 all 3")
            .await;
        client.sends(format!("HEAD /items/42 HTTP/1.1\r\n{fields}\r\n")).await;
        client.got("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 25\r\n\r\n").await;
        client.sends("GET /items/x HTTP/1.1\r\nHost: a\r\n\r\n").await;
        client.got_problem(404, "no_route").await;
    });
}

#[test]
fn a_fixed_response_does_not_wait_for_a_body() {
    let action =
        json!({"kind": "respond", "status": 204, "content_type": "text/plain", "body": [text("not sent")]});
    play(answering(action), async |play| {
        let client = play.client().await;
        client.sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok").await;
        client.got(NO_CONTENT).await;
        client.sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nok").await;
        client.got("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
        assert!(client.is_closed().await);
    });
}

#[test]
fn the_first_route_that_fits_best_takes_the_request() {
    let mut plan = plan();
    let respond = |name: &str, matches: Value| {
        let mut made = route();
        made["name"] = json!(name);
        for (key, value) in matches.as_object().unwrap() {
            made["matches"][key] = value.clone();
        }
        made["action"] = json!({"kind": "respond", "status": 200, "content_type": "", "body": [text(name)]});
        made
    };
    plan["routes"] = json!([
        respond("any", json!({})),
        respond("v1", json!({"path": {"kind": "prefix", "value": "/v1"}})),
        respond("posts", json!({"path": {"kind": "prefix", "value": "/v1"}, "methods": ["POST"]})),
        respond("exact", json!({"path": {"kind": "exact", "value": "/v1/x"}})),
        respond("host", json!({"hosts": ["b.example"]})),
        respond("wild", json!({"hosts": ["*.example"]}))
    ]);
    play(plan, async |play| {
        for (request, name) in [
            ("GET / HTTP/1.1\r\nHost: a", "any"),
            ("GET /v1/y HTTP/1.1\r\nHost: a", "v1"),
            ("GET /v10 HTTP/1.1\r\nHost: a", "any"),
            ("GET //v1//y HTTP/1.1\r\nHost: a", "v1"),
            ("POST /v1/y HTTP/1.1\r\nHost: a", "posts"),
            ("GET /v1/x HTTP/1.1\r\nHost: a", "exact"),
            ("GET /v1/%78 HTTP/1.1\r\nHost: a", "exact"),
            ("GET / HTTP/1.1\r\nHost: B.Example:8080", "host"),
            ("GET / HTTP/1.1\r\nHost: c.example", "wild"),
        ] {
            let client = play.client().await;
            client.sends(format!("{request}\r\n\r\n")).await;
            let rest = client.got_start("HTTP/1.1 200 OK\r\n").await;
            assert!(rest.ends_with(&format!("\r\n\r\n{name}")), "{request:?}: {rest}");
        }
    });
}

#[test]
fn what_the_engine_knows_itself_is_answered() {
    for (name, start) in [("healthz", "ok\n"), ("readyz", "ready\n"), ("metrics", "# HELP ")] {
        play(answering(json!({"kind": "builtin", "name": name})), async |play| {
            let client = play.client().await;
            client.sends("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            let rest = client.got_start("HTTP/1.1 200 OK\r\n").await;
            assert!(rest.split_once("\r\n\r\n").unwrap().1.starts_with(start), "{rest}");
        });
    }
}
