//! AI calls: which target is asked, and who is asked when one fails, is slow, or is busy.

use std::{rc::Rc, time::Duration};

use serde_json::{Value, json};
use tidegate_playbook::{
    AI_STREAM_HEAD, End, KEY_A, KEY_B, Play, ai_answer, ai_body, ai_chat, ai_end, ai_model, ai_piece,
    ai_plan, ai_refusal, ai_request, ai_stream, play,
};

/// The plan whose model `small` is served by the providers with these numbers; `change` changes the model.
fn served_by(providers: &[u32], change: impl FnOnce(&mut Value)) -> Value {
    let mut plan = ai_plan();
    let mut model = ai_model("small", providers);
    change(&mut model);
    plan["ai"]["models"] = json!([model]);
    plan
}

/// A client that has asked.
async fn asks(play: &Play, request: String) -> Rc<End> {
    let client = play.client().await;
    client.sends(request).await;
    client
}

async fn said(client: &End) -> Value {
    let (status, body) = ai_body(&client.takes().await);
    assert_eq!(status, 200, "{body}");
    body["choices"][0]["message"]["content"].clone()
}

/// The port that was asked last.
async fn asked(play: &Play) -> (u16, Rc<End>) {
    for port in [80, 81, 82] {
        if let Some(end) = play.connection_to(port).await {
            end.takes().await;
            return (port, end);
        }
    }
    panic!("nobody was asked");
}

#[test]
fn who_is_asked_too_much_is_left_alone_until_it_has_cooled_down() {
    let plan = served_by(&[0, 1], |model| model["cooldown_ms"] = json!(5000));
    play(plan, async |play| {
        let client = asks(play, ai_chat(KEY_A, "small", "1")).await;
        let one = play.upstream_at(80).await;
        one.sends(ai_refusal(429, "Retry-After: 30\r\n", "rate_limit_exceeded")).await;
        let two = play.upstream_at(81).await;
        two.sends(ai_answer("two")).await;
        assert_eq!(said(&client).await, "two");
        drop((one, two));
        // The provider's own word goes before the model's.
        for (wait, busy) in [(10, "two"), (15, "two")] {
            play.passes(Duration::from_secs(wait)).await;
            let client = asks(play, ai_chat(KEY_A, "small", "2")).await;
            let two = asked(play).await;
            assert_eq!(two.0, 81, "after {wait} s more");
            two.1.sends(ai_answer(busy)).await;
            assert_eq!(said(&client).await, busy);
        }
        play.passes(Duration::from_secs(6)).await;
        let client = asks(play, ai_chat(KEY_A, "small", "3")).await;
        let (port, one) = asked(play).await;
        assert_eq!(port, 80, "it has cooled down");
        one.sends(ai_answer("one")).await;
        assert_eq!(said(&client).await, "one");
    });
}

#[test]
fn another_model_is_asked_for_the_causes_that_its_fallback_names() {
    let mut plan = ai_plan();
    let mut small = ai_model("small", &[0]);
    small["fallback"] = json!([{"model": 1, "on": ["rate_limited"]}]);
    plan["ai"]["models"] = json!([small, ai_model("large", &[1])]);
    play(plan, async |play| {
        let client = asks(play, ai_chat(KEY_A, "small", "x")).await;
        play.upstream_at(80).await.sends(ai_refusal(429, "", "rate_limit_exceeded")).await;
        let two = play.upstream_at(81).await;
        assert!(two.takes().await.contains("\"large-1\""));
        two.sends(ai_answer("large")).await;
        assert_eq!(said(&client).await, "large");

        let client = asks(play, ai_chat(KEY_A, "small", "x")).await;
        let (port, one) = asked(play).await;
        assert_eq!(port, 80);
        one.sends(ai_refusal(400, "", "invalid_value")).await;
        assert_eq!(ai_body(&client.takes().await).0, 400, "what the client is to blame for is told to it");
        assert!(play.connection_to(81).await.is_none());
    });
}

#[test]
fn who_does_not_begin_in_time_is_given_up_for_the_next() {
    play(served_by(&[0, 1], |_| {}), async |play| {
        let client = asks(play, ai_stream(KEY_A, "small", "x")).await;
        let one = play.upstream_at(80).await;
        // A head and pings are no beginning.
        one.sends(AI_STREAM_HEAD).await;
        one.sends(": ping\n\n").await;
        play.passes_exactly(1000, async || {
            client.got_nothing().await;
            assert!(play.connection_to(81).await.is_none());
        })
        .await;
        assert!(one.is_closed().await);
        let two = play.upstream_at(81).await;
        two.sends(AI_STREAM_HEAD).await;
        two.sends(ai_piece("two")).await;
        two.sends(ai_end()).await;
        two.finishes().await;
        let got = client.takes().await;
        assert!(got.contains("two") && got.contains("[DONE]"), "{got}");
    });
}

#[test]
fn a_stream_that_stalls_ends_with_an_error_in_the_client_s_words() {
    let body = json!({"model": "small", "max_tokens": 9, "stream": true, "messages": [{"role": "user", "content": "x"}]});
    let requests = [
        (ai_stream(KEY_A, "small", "x"), "data: {\"error\":"),
        (ai_request("/v1/messages", KEY_A, "", &body), "event: error\ndata: {\"type\":\"error\""),
    ];
    for (request, told) in requests {
        play(served_by(&[0, 1], |_| {}), async |play| {
            let client = asks(play, request.clone()).await;
            let one = play.upstream_at(80).await;
            one.sends(AI_STREAM_HEAD).await;
            one.sends(ai_piece("on")).await;
            assert!(client.takes().await.contains("on"));
            play.passes_exactly(1000, async || client.got_nothing().await).await;
            let got = client.takes().await;
            assert!(got.contains(told), "{got}");
            assert!(!got.contains("[DONE]") && !got.contains("message_stop"), "{got}");
            assert!(one.is_closed().await);
            assert!(play.connection_to(81).await.is_none(), "what has begun is not begun again");
        });
    }
}

#[test]
fn a_kept_connection_that_has_ended_is_replaced_at_once_and_nobody_is_blamed() {
    let plan = served_by(&[0, 1], |model| model["cooldown_ms"] = json!(60_000));
    play(plan, async |play| {
        let client = asks(play, ai_chat(KEY_A, "small", "1")).await;
        let old = play.upstream_at(80).await;
        old.sends(ai_answer("1")).await;
        assert_eq!(said(&client).await, "1");
        client.sends(ai_chat(KEY_A, "small", "2")).await;
        old.got_start("POST ").await.clear();
        old.resets().await;
        let new = play.upstream_at(80).await;
        new.got_start("POST ").await.clear();
        new.sends(ai_answer("2")).await;
        assert_eq!(said(&client).await, "2");
        let attempts =
            "tidegate_ai_attempts_total{gen_ai_request_model=\"small\",gen_ai_provider_name=\"one\"}";
        assert_eq!(play.metric(attempts), Some(2.0));
    });
}

#[test]
fn identical_calls_at_the_same_time_are_asked_once() {
    play(served_by(&[0], |model| model["deduplicate"] = json!(true)), async |play| {
        let first = asks(play, ai_chat(KEY_A, "small", "same")).await;
        let upstream = play.upstream().await;
        let second = asks(play, ai_chat(KEY_A, "small", "same")).await;
        play.no_upstream().await;
        // Whose the answers are counts: another tenant asks for itself.
        let other = asks(play, ai_chat(KEY_B, "small", "same")).await;
        let apart = play.upstream().await;
        upstream.sends(ai_answer("shared")).await;
        assert_eq!((said(&first).await, said(&second).await), (json!("shared"), json!("shared")));
        apart.sends(ai_answer("own")).await;
        assert_eq!(said(&other).await, "own");
    });
}

#[test]
fn those_who_joined_ask_for_themselves_when_the_first_fails() {
    play(served_by(&[0], |model| model["deduplicate"] = json!(true)), async |play| {
        let first = asks(play, ai_chat(KEY_A, "small", "same")).await;
        let upstream = play.upstream().await;
        let second = asks(play, ai_chat(KEY_A, "small", "same")).await;
        upstream.sends(ai_refusal(500, "Connection: close\r\n", "server_error")).await;
        assert_eq!(ai_body(&first.takes().await).0, 500);
        play.upstream().await.sends(ai_answer("own")).await;
        assert_eq!(said(&second).await, "own");
    });
}

#[test]
fn a_second_attempt_wins_where_it_is_faster_and_loses_where_it_is_not() {
    for second_wins in [true, false] {
        let plan =
            served_by(&[0, 1], |model| model["hedge"] = json!({"after_ms": 300, "budget_percent": 100}));
        play(plan, async |play| {
            let client = asks(play, ai_chat(KEY_A, "small", "x")).await;
            let one = play.upstream_at(80).await;
            play.passes(Duration::from_millis(200)).await;
            assert!(play.connection_to(81).await.is_none(), "not yet");
            play.passes(Duration::from_millis(200)).await;
            let two = play.upstream_at(81).await;
            let (winner, loser) = if second_wins { (&two, &one) } else { (&one, &two) };
            winner.sends(ai_answer("winner")).await;
            assert_eq!(said(&client).await, "winner");
            assert!(loser.is_closed().await, "the other is given up");
        });
    }
}

#[test]
fn no_second_attempt_is_made_for_who_answers_in_time() {
    let plan = served_by(&[0, 1], |model| model["hedge"] = json!({"after_ms": 300, "budget_percent": 100}));
    play(plan, async |play| {
        let client = asks(play, ai_chat(KEY_A, "small", "x")).await;
        play.upstream_at(80).await.sends(ai_answer("one")).await;
        assert_eq!(said(&client).await, "one");
        play.passes(Duration::from_secs(1)).await;
        assert!(play.connection_to(81).await.is_none());
    });
}

#[test]
fn a_rule_sends_calls_with_a_tag_or_a_field_to_another_model() {
    let mut plan = ai_plan();
    let mut small = ai_model("small", &[0]);
    let rule = json!({"model": 1, "min_tokens": null, "max_tokens": null, "tag": "night", "header": null});
    let mut by_field = rule.clone();
    by_field["tag"] = Value::Null;
    by_field["header"] = json!(["X-Deep", ""]);
    small["rules"] = json!([rule, by_field]);
    plan["ai"]["models"] = json!([small, ai_model("large", &[1])]);
    play(plan, async |play| {
        let body = json!({"model": "small", "messages": [{"role": "user", "content": "x"}]});
        for (fields, port) in [
            ("", 80),
            ("X-Tidegate-Tags: day, night\r\n", 81),
            ("X-Deep: 1\r\n", 81),
            ("X-Tidegate-Tags: day\r\n", 80),
        ] {
            let client = asks(play, ai_request("/v1/chat/completions", KEY_A, fields, &body)).await;
            let (asked, upstream) = asked(play).await;
            assert_eq!(asked, port, "{fields}");
            upstream.sends(ai_answer("ok")).await;
            said(&client).await;
        }
    });
}

#[test]
fn a_key_stays_with_its_variant() {
    let plan = served_by(&[0, 1, 2], |model| {
        model["balance"] = json!("weight");
        model["sticky"] = json!("X-User");
        for (target, variant) in model["targets"].as_array_mut().unwrap().iter_mut().zip(["a", "b", "c"]) {
            target["variant"] = json!(variant);
        }
    });
    play(plan, async |play| {
        let body = json!({"model": "small", "messages": [{"role": "user", "content": "x"}]});
        let mut seen = std::collections::HashSet::new();
        for user in 0..12 {
            let mut ports = Vec::new();
            for _ in 0..3 {
                let fields = format!("X-User: {user}\r\n");
                let client = asks(play, ai_request("/v1/chat/completions", KEY_A, &fields, &body)).await;
                let (port, upstream) = asked(play).await;
                upstream.sends(ai_answer("ok")).await;
                said(&client).await;
                ports.push(port);
            }
            assert!(ports.windows(2).all(|pair| pair[0] == pair[1]), "user {user}: {ports:?}");
            seen.insert(ports[0]);
        }
        assert!(seen.len() > 1, "users are spread");
    });
}

#[test]
fn the_next_in_order_takes_what_the_first_is_too_busy_for() {
    let plan = served_by(&[0, 1], |model| model["targets"][0]["busy_calls"] = json!(2));
    play(plan, async |play| {
        let mut held = Vec::new();
        for port in [80, 80, 81] {
            let client = asks(play, ai_chat(KEY_A, "small", "x")).await;
            let (asked, upstream) = asked(play).await;
            assert_eq!(asked, port);
            held.push((client, upstream));
        }
        let (client, upstream) = held.remove(0);
        upstream.sends(ai_answer("done")).await;
        said(&client).await;
        drop((client, upstream));
        let _client = asks(play, ai_chat(KEY_A, "small", "x")).await;
        assert_eq!(asked(play).await.0, 80, "there is room again");
    });
}

#[test]
fn an_answer_that_was_kept_is_given_again_in_the_words_and_the_way_that_is_asked_for() {
    let plan = served_by(&[0], |model| {
        model["cache"] = json!({"ttl_ms": 60_000, "shared": false, "max_temperature": null, "tools": false});
    });
    play(plan, async |play| {
        let client = asks(play, ai_chat(KEY_A, "small", "x")).await;
        play.upstream().await.sends(ai_answer("kept")).await;
        assert_eq!(said(&client).await, "kept");

        client.sends(ai_chat(KEY_A, "small", "x")).await;
        let got = client.takes().await;
        assert!(got.contains("X-Tidegate-Cache: hit\r\n"), "{got}");
        assert_eq!(ai_body(&got).1["choices"][0]["message"]["content"], "kept");

        client.sends(ai_stream(KEY_A, "small", "x")).await;
        let got = client.takes().await;
        assert!(got.contains("\"content\":\"kept\"") && got.contains("[DONE]"), "{got}");

        let body = json!({"model": "small", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]});
        let other = asks(play, ai_request("/v1/messages", KEY_A, "", &body)).await;
        let asked_for_itself = play.connection_to(80).await.is_some();
        assert!(
            asked_for_itself || other.takes().await.contains("kept"),
            "another bound is another question"
        );

        play.passes(Duration::from_secs(61)).await;
        let late = asks(play, ai_chat(KEY_A, "small", "x")).await;
        asked(play).await.1.sends(ai_answer("new")).await;
        assert_eq!(said(&late).await, "new");
        let stranger = asks(play, ai_chat(KEY_B, "small", "x")).await;
        asked(play).await.1.sends(ai_answer("another tenant's")).await;
        assert_eq!(said(&stranger).await, "another tenant's");
    });
}
