//! Who may come and how much: addresses, credentials, limits, caps, body sizes.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_playbook::{Listening, Play, plan, play};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// SHA-256 of `secret`.
const SECRET: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
/// SHA-256 of `ann:pass:word`.
const ANN: &str = "1c905519c1047ff2ef1a22b6cc2c3a7ed2a86b02a11097f4cc3fc86c25086e95";

fn with_route(name: &str, value: Value) -> Value {
    let mut plan = plan();
    plan["routes"][0][name] = value;
    plan
}

/// A request every 500 ms, three at once.
fn limited(key: Value, delay_ms: u32) -> Value {
    let mut plan = with_route("limits", json!([0]));
    plan["limits"] = json!([{
        "name": "api", "key": [key], "rate": {"tokens": 2, "per_ms": 1000}, "burst": 3, "cost": 1, "delay_ms": delay_ms
    }]);
    plan
}

/// One request of each client at a time.
fn capped() -> Value {
    let mut plan = with_route("concurrency", json!([0]));
    plan["concurrency"] = json!([{"name": "one", "key": [{"kind": "client_ip"}], "max": 1}]);
    plan
}

fn keys(source: Value, strip: bool) -> Value {
    let keys = json!([{"name": "web", "sha256": SECRET}]);
    with_route("auth", json!({"kind": "api_keys", "source": source, "keys": keys, "strip": strip}))
}

/// One request that the upstream answers, on a connection of its own; what the upstream got.
async fn passes(play: &Play, request: &str) -> String {
    let client = play.client().await;
    client.sends(request).await;
    let upstream = play.upstream().await;
    let got = upstream.takes().await;
    upstream.sends("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await;
    client.got(OK).await;
    got
}

/// One request that is refused; what stands behind the status line.
async fn refused(play: &Play, request: &str, status: u16, reason: &str) -> String {
    let client = play.client().await;
    client.sends(request).await;
    let rest = client.got_problem(status, reason).await;
    play.no_upstream().await;
    rest
}

#[test]
fn a_client_that_asks_too_often_is_told_when_to_come_back() {
    play(limited(json!({"kind": "client_ip"}), 0), async |play| {
        for _ in 0..3 {
            passes(play, GET).await;
        }
        let rest = refused(play, GET, 429, "rate_limited").await;
        let (head, _) = rest.split_once("\r\n\r\n").unwrap();
        let fields: Vec<_> = head.lines().filter(|line| !line.starts_with("Content-")).collect();
        assert_eq!(
            fields,
            [
                "Too Many Requests",
                "Retry-After: 1",
                "RateLimit-Policy: \"api\";q=2;w=1",
                "RateLimit: \"api\";r=0;t=1"
            ]
        );
        play.passes(Duration::from_millis(450)).await;
        refused(play, GET, 429, "rate_limited").await;
        play.passes(Duration::from_millis(50)).await;
        passes(play, GET).await;
        refused(play, GET, 429, "rate_limited").await;
        play.passes(Duration::from_secs(60)).await;
        for _ in 0..3 {
            passes(play, GET).await;
        }
        refused(play, GET, 429, "rate_limited").await;
        assert_eq!((play.refused("rate_limited"), play.requests()), (4, 11));
    });
}

#[test]
fn a_refused_request_leaves_its_connection_open() {
    play(limited(json!({"kind": "client_ip"}), 0), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let upstream = play.upstream().await;
        for _ in 0..3 {
            upstream.sends(OK).await;
            client.got(OK).await;
            client.sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok").await;
        }
        client.got_problem(429, "rate_limited").await;
        play.passes(Duration::from_millis(500)).await;
        client.sends(GET).await;
        upstream.sends(OK).await;
        client.got(OK).await;
    });
}

#[test]
fn limits_count_each_value_of_their_key_apart() {
    play(limited(json!({"kind": "header", "name": "X-Tenant"}), 0), async |play| {
        let request = |tenant: &str| format!("GET / HTTP/1.1\r\nHost: a\r\nx-tenant: {tenant}\r\n\r\n");
        for _ in 0..3 {
            passes(play, &request("a")).await;
        }
        refused(play, &request("a"), 429, "rate_limited").await;
        passes(play, &request("b")).await;
        for _ in 0..3 {
            passes(play, GET).await;
        }
        refused(play, GET, 429, "rate_limited").await;
    });
}

#[test]
fn a_request_is_held_back_where_the_limit_allows_a_delay() {
    play(limited(json!({"kind": "client_ip"}), 1000), async |play| {
        for _ in 0..3 {
            passes(play, GET).await;
        }
        let clients = [play.client().await, play.client().await, play.client().await];
        for client in &clients {
            client.sends(GET).await;
        }
        clients[2].got_problem(429, "rate_limited").await;
        play.no_upstream().await;
        play.passes(Duration::from_millis(499)).await;
        play.no_upstream().await;
        play.passes(Duration::from_millis(2)).await;
        let first = play.upstream().await;
        play.no_upstream().await;
        play.passes(Duration::from_millis(500)).await;
        let second = play.upstream().await;
        for (upstream, client) in [(first, &clients[0]), (second, &clients[1])] {
            upstream.sends(OK).await;
            client.got(OK).await;
        }
    });
}

#[test]
fn a_client_with_too_much_in_flight_is_refused_until_it_has_its_answer() {
    play(capped(), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let upstream = play.upstream().await;
        let rest = refused(play, GET, 429, "too_many_in_flight").await;
        assert!(rest.contains("\r\nRetry-After: 1\r\n"), "{rest}");
        let other = play.client_at(([192, 0, 2, 2], 1).into()).await;
        other.sends(GET).await;
        play.upstream().await.sends(OK).await;
        other.got(OK).await;
        upstream.sends("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no").await;
        refused(play, GET, 429, "too_many_in_flight").await;
        upstream.sends("k").await;
        client.got(OK).await;
        client.sends(GET).await;
        client.got_nothing().await;
    });
}

#[test]
fn a_cap_is_released_whichever_way_the_request_ends() {
    play(capped(), async |play| {
        // The client breaks off: before its body ends, while it waits, while it is answered.
        for (request, response) in [
            ("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx", ""),
            (GET, ""),
            (GET, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"),
            (GET, "HTTP/1.1 200 OK\r\n\r\nx"),
        ] {
            let client = play.client().await;
            client.sends(request).await;
            play.upstream().await.sends(response).await;
            client.resets().await;
            passes(play, GET).await;
        }
        // The upstream fails: before, in and behind its response's head.
        for response in
            ["", "HTTP/1.1 200 OK\r\nX", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", "nonsense"]
        {
            let client = play.client().await;
            client.sends(GET).await;
            let upstream = play.upstream().await;
            upstream.sends(response).await;
            upstream.resets().await;
            assert!(client.takes().await.starts_with("HTTP/1.1 "));
            passes(play, GET).await;
        }
        // Nobody is there, and nobody answers.
        play.endpoint_is(80, Listening::Refused);
        for _ in 0..3 {
            let client = play.client().await;
            client.sends(GET).await;
            client.got_problem(502, "connect_failed").await;
        }
        play.endpoint_is(80, Listening::Open);
        let client = play.client().await;
        client.sends(GET).await;
        play.passes(Duration::from_secs(21)).await;
        client.got_problem(504, "upstream_timeout").await;
        drop(play.upstream().await);
        passes(play, GET).await;
    });
}

#[test]
fn a_tunnel_holds_its_cap() {
    play(capped(), async |play| {
        let client = play.client().await;
        client.sends("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n").await;
        let upstream = play.upstream().await;
        upstream.sends("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n").await;
        refused(play, GET, 429, "too_many_in_flight").await;
        client.finishes().await;
        upstream.finishes().await;
        passes(play, GET).await;
    });
}

#[test]
fn addresses_are_let_in_or_kept_out() {
    let access = json!({"allow": ["192.0.2.0/24", "2001:db8::/32"], "deny": ["192.0.2.66/32"]});
    play(with_route("access", access), async |play| {
        for (address, comes_in) in [
            ("192.0.2.1:1", true),
            ("192.0.2.66:1", false),
            ("198.51.100.1:1", false),
            ("[2001:db8::1]:1", true),
            ("[2001:db9::1]:1", false),
            ("[::ffff:192.0.2.7]:1", true),
            ("[::ffff:192.0.2.66]:1", false),
        ] {
            let client = play.client_at(address.parse().unwrap()).await;
            client.sends(GET).await;
            if comes_in {
                let upstream = play.upstream().await;
                upstream.sends("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await;
                client.got(OK).await;
            } else {
                client.got_problem(403, "address_denied").await;
            }
        }
    });
}

#[test]
fn a_key_in_a_field_is_asked_for_and_left_out_of_what_goes_on() {
    play(keys(json!({"kind": "header", "name": "X-Key"}), true), async |play| {
        let rest = refused(play, GET, 401, "unauthorized").await;
        assert!(rest.contains("\r\nWWW-Authenticate: ApiKey in=\"header\", name=\"X-Key\"\r\n"), "{rest}");
        refused(play, "GET / HTTP/1.1\r\nHost: a\r\nX-Key: wrong\r\n\r\n", 401, "unauthorized").await;
        refused(play, "GET / HTTP/1.1\r\nHost: a\r\nX-Key:\r\n\r\n", 401, "unauthorized").await;
        assert_eq!(passes(play, "GET / HTTP/1.1\r\nHost: a\r\nx-key: secret\r\n\r\n").await, GET);
    });
}

#[test]
fn a_key_that_is_not_left_out_goes_on() {
    play(keys(json!({"kind": "header", "name": "X-Key"}), false), async |play| {
        let request = "GET / HTTP/1.1\r\nHost: a\r\nx-key: secret\r\n\r\n";
        assert_eq!(passes(play, request).await, request);
    });
}

#[test]
fn a_bearer_key_is_asked_for_and_left_out_of_what_goes_on() {
    play(keys(json!({"kind": "bearer"}), true), async |play| {
        let rest = refused(play, GET, 401, "unauthorized").await;
        assert!(rest.contains("\r\nWWW-Authenticate: Bearer\r\n"), "{rest}");
        refused(
            play,
            "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic secret\r\n\r\n",
            401,
            "unauthorized",
        )
        .await;
        assert_eq!(
            passes(play, "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: bearer secret\r\n\r\n").await,
            GET
        );
    });
}

#[test]
fn a_key_in_the_query_is_asked_for_and_left_out_of_what_goes_on() {
    play(keys(json!({"kind": "query", "name": "key"}), true), async |play| {
        refused(play, "GET /?key=wrong HTTP/1.1\r\nHost: a\r\n\r\n", 401, "unauthorized").await;
        let got = passes(play, "GET /x?a=1&key=secret&b=2 HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(got, "GET /x?a=1&b=2 HTTP/1.1\r\nHost: a\r\n\r\n");
        let got = passes(play, "GET /x?key=secret HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(!got.contains("secret") && got.starts_with("GET /x"), "{got}");
    });
}

#[test]
fn a_key_in_the_query_stays_out_of_rewritten_targets_too() {
    let mut plan = keys(json!({"kind": "query", "name": "key"}), true);
    plan["routes"][0]["rewrite"] =
        json!({"path": {"kind": "prefix", "with": "/new/"}, "host": null, "query": null});
    play(plan, async |play| {
        let got = passes(play, "GET /x?a=1&key=secret HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(got, "GET /new/x?a=1 HTTP/1.1\r\nHost: a\r\n\r\n");
    });
}

#[test]
fn a_password_is_asked_for_and_left_out_of_what_goes_on() {
    let auth = json!({"kind": "basic", "realm": "the bay", "users": [{"name": "ann", "sha256": ANN}], "hashes": [], "strip": true});
    play(with_route("auth", auth), async |play| {
        let rest = refused(play, GET, 401, "unauthorized").await;
        assert!(
            rest.contains("\r\nWWW-Authenticate: Basic realm=\"the bay\", charset=\"UTF-8\"\r\n"),
            "{rest}"
        );
        for wrong in ["Basic YW5uOndyb25n", "Basic !!!", "Basic", "Bearer YW5uOnBhc3M6d29yZA=="] {
            let request = format!("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: {wrong}\r\n\r\n");
            refused(play, &request, 401, "unauthorized").await;
        }
        let request = "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YW5uOnBhc3M6d29yZA==\r\n\r\n";
        assert_eq!(passes(play, request).await, GET);
    });
}

#[test]
fn a_name_that_came_by_key_is_a_limits_key() {
    let mut plan = limited(json!({"kind": "api_key"}), 0);
    let both = json!([{"name": "web", "sha256": SECRET}, {"name": "ann", "sha256": ANN}]);
    plan["routes"][0]["auth"] = json!({"kind": "api_keys", "source": {"kind": "header", "name": "X-Key"}, "keys": both, "strip": true});
    play(plan, async |play| {
        let request = |key: &str| format!("GET / HTTP/1.1\r\nHost: a\r\nX-Key: {key}\r\n\r\n");
        for _ in 0..3 {
            passes(play, &request("secret")).await;
        }
        refused(play, &request("secret"), 429, "rate_limited").await;
        passes(play, &request("ann:pass:word")).await;
    });
}

#[test]
fn a_body_that_is_known_to_be_too_large_is_refused_before_it_comes() {
    play(with_route("body_bytes", json!(5)), async |play| {
        let rest =
            refused(play, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n", 413, "body_too_large")
                .await;
        assert!(rest.contains("\r\nConnection: close\r\n"), "{rest}");
        passes(play, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").await;
    });
}

#[test]
fn a_body_that_grows_too_large_is_refused_and_cut_upstream() {
    play(with_route("body_bytes", json!(5)), async |play| {
        let client = play.client().await;
        client.sends("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n").await;
        let upstream = play.upstream().await;
        upstream.got_start("PUT / HTTP/1.1\r\n").await;
        client.sends("2\r\nlo\r\n").await;
        upstream.got("2\r\nlo\r\n").await;
        client.sends("1\r\n!\r\n0\r\n\r\n").await;
        upstream.got_nothing().await;
        assert!(upstream.is_closed().await);
        let rest = client.got_problem(413, "body_too_large").await;
        assert!(rest.contains("\r\nConnection: close\r\n"), "{rest}");
        assert!(client.is_closed().await);
    });
}

#[test]
fn a_body_that_is_too_large_in_one_piece_with_its_head_is_refused() {
    play(with_route("body_bytes", json!(5)), async |play| {
        let client = play.client().await;
        client
            .sends("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello!\r\n0\r\n\r\n")
            .await;
        client.got_problem(413, "body_too_large").await;
        if let Some(upstream) = play.connection_to(80).await {
            assert!(!upstream.takes().await.ends_with("0\r\n\r\n"));
        }
        assert!(client.is_closed().await);
    });
}

#[test]
fn a_client_that_waits_for_continue_hears_of_the_limit_instead() {
    play(with_route("body_bytes", json!(5)), async |play| {
        let client = play.client().await;
        client.sends("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 6\r\n\r\n").await;
        client.got_problem(413, "body_too_large").await;
        play.no_upstream().await;
    });
}
