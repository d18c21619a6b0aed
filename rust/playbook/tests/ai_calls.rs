//! AI calls: who may ask, what the provider is asked, what the client gets, what it costs.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_playbook::{
    AI_STREAM_HEAD, KEY_A, KEY_B, Play, ai_answer, ai_body, ai_chat, ai_end, ai_model, ai_piece, ai_plan,
    ai_price, ai_request, ai_stream, play,
};

const MODEL: &str = "gen_ai_request_model=\"small\",gen_ai_provider_name=\"one\"";

fn calls(play: &Play, outcome: &str) -> f64 {
    play.metric(&format!("tidegate_ai_calls_total{{{MODEL},outcome=\"{outcome}\"}}")).unwrap_or(0.0)
}

fn tokens(play: &Play, kind: &str) -> f64 {
    play.metric(&format!("tidegate_ai_tokens_total{{{MODEL},gen_ai_token_type=\"{kind}\"}}")).unwrap_or(0.0)
}

#[test]
fn a_chat_passes_with_the_provider_s_key_and_its_usage_is_counted() {
    let mut plan = ai_plan();
    plan["ai"]["models"][0]["targets"][0]["price"] = ai_price(3, 7);
    play(plan, async |play| {
        let client = play.client().await;
        client.sends(ai_chat(KEY_A, "small", "hello")).await;
        let upstream = play.upstream().await;
        let asked = upstream.got_start("POST /v1/chat/completions HTTP/1.1\r\nHost: one\r\n").await;
        assert!(asked.contains("Authorization: Bearer secret-one\r\n"), "{asked}");
        assert!(!asked.contains(KEY_A), "the client's key stays here: {asked}");
        let (_, body) = asked.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!((&body["model"], &body["messages"][0]["content"]), (&json!("small-1"), &json!("hello")));
        upstream.sends(ai_answer("hi")).await;
        let got = client.takes().await;
        assert!(got.contains("X-Tidegate-Model: small\r\nX-Tidegate-Provider: one\r\n"), "{got}");
        let (status, body) = ai_body(&got);
        assert_eq!((status, &body["choices"][0]["message"]["content"]), (200, &json!("hi")));
        assert_eq!((tokens(play, "input"), tokens(play, "output"), calls(play, "ok")), (10.0, 5.0, 1.0));
        let cost = play.metric(&format!("tidegate_ai_cost_picodollars_total{{{MODEL}}}"));
        assert_eq!(cost, Some(10.0 * 3.0 + 5.0 * 7.0));
    });
}

#[test]
fn usage_of_a_stream_is_counted_and_hidden_from_who_did_not_ask_for_it() {
    play(ai_plan(), async |play| {
        let client = play.client().await;
        client.sends(ai_stream(KEY_A, "small", "hello")).await;
        let upstream = play.upstream().await;
        assert!(upstream.takes().await.contains("\"include_usage\":true"));
        upstream.sends(AI_STREAM_HEAD).await;
        client.got_nothing().await;
        upstream.sends(ai_piece("he")).await;
        assert!(client.takes().await.contains("\"content\":\"he\""), "the first piece goes out as it comes");
        upstream.sends(ai_piece("llo")).await;
        upstream.sends(ai_end()).await;
        upstream.finishes().await;
        let got = client.takes().await;
        assert!(got.contains("data: [DONE]") && !got.contains("prompt_tokens"), "{got}");
        assert_eq!((tokens(play, "input"), tokens(play, "output"), calls(play, "ok")), (10.0, 5.0, 1.0));
    });
}

#[test]
fn a_client_of_another_dialect_is_told_in_its_own_words() {
    play(ai_plan(), async |play| {
        let client = play.client().await;
        let body =
            json!({"model": "small", "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}]});
        client.sends(ai_request("/v1/messages", KEY_A, "", &body)).await;
        let upstream = play.upstream().await;
        upstream.got_start("POST /v1/chat/completions ").await;
        upstream.sends(ai_answer("hi")).await;
        let (status, body) = ai_body(&client.takes().await);
        assert_eq!(
            (status, &body["type"], &body["content"][0]["text"]),
            (200, &json!("message"), &json!("hi"))
        );
        assert_eq!(body["usage"]["input_tokens"], 10);
    });
}

#[test]
fn without_a_key_or_with_one_that_has_expired_nobody_is_asked() {
    let mut plan = ai_plan();
    plan["ai"]["keys"][1]["expires_ms"] = json!(1);
    play(plan, async |play| {
        for key in ["nonsense", KEY_B] {
            let client = play.client().await;
            client.sends(ai_chat(key, "small", "hello")).await;
            let (status, body) = ai_body(&client.takes().await);
            assert_eq!(status, 401, "{key}");
            assert!(body["error"]["message"].is_string(), "{body}");
        }
        play.no_upstream().await;
    });
}

#[test]
fn a_model_that_the_key_may_not_ask_is_like_one_that_is_not_there() {
    let mut plan = ai_plan();
    plan["ai"]["models"] = json!([ai_model("small", &[0]), ai_model("large", &[1])]);
    plan["ai"]["keys"][0]["models"] = json!([0]);
    play(plan, async |play| {
        let mut told = Vec::new();
        for model in ["large", "nowhere"] {
            let client = play.client().await;
            client.sends(ai_chat(KEY_A, model, "hello")).await;
            let (status, body) = ai_body(&client.takes().await);
            assert_eq!((status, &body["error"]["code"]), (404, &json!("model_not_found")), "{body}");
            told.push(body["error"]["message"].to_string().replace(model, "M"));
        }
        assert_eq!(told[0], told[1], "one is not told from the other");
        assert!(play.connection_to(81).await.is_none());
        let client = play.client().await;
        client.sends(ai_chat(KEY_B, "large", "hello")).await;
        play.upstream_at(81).await.got_start("POST ").await;
    });
}

#[test]
fn an_exhausted_budget_refuses_the_next_call_and_a_call_under_way_holds_its_share() {
    let mut plan = ai_plan();
    plan["ai"]["models"][0]["targets"][0]["price"] = ai_price(1, 1);
    plan["ai"]["models"][0]["expected_output"] = json!(10);
    plan["ai"]["accounts"] = json!([{
        "name": "key a: usd per day", "metric": "usd", "limit": 30, "window": "day", "models": null, "tag": null, "opening": null
    }]);
    plan["ai"]["keys"][0]["accounts"] = json!([0]);
    play(plan, async |play| {
        // Three calls at once: each holds what it may cost, so that not all of them pass.
        let mut waiting = Vec::new();
        let mut refused = 0;
        for _ in 0..4 {
            let client = play.client().await;
            client.sends(ai_chat(KEY_A, "small", "hello")).await;
            match play.connection_to(80).await {
                Some(upstream) => waiting.push((client, upstream)),
                None => {
                    let (status, body) = ai_body(&client.takes().await);
                    assert!(matches!(status, 402 | 429), "{status} {body}");
                    refused += 1;
                }
            }
        }
        assert!(!waiting.is_empty() && refused > 0, "{} waiting, {refused} refused", waiting.len());
        for (client, upstream) in waiting {
            upstream.sends(ai_answer("hi")).await;
            assert_eq!(ai_body(&client.takes().await).0, 200);
        }
        // Others are not concerned.
        let client = play.client().await;
        client.sends(ai_chat(KEY_B, "small", "hello")).await;
        play.upstream().await.sends(ai_answer("hi")).await;
        assert_eq!(ai_body(&client.takes().await).0, 200);
    });
}

#[test]
fn a_guard_masks_what_goes_out_and_restores_what_comes_back() {
    let mut plan = ai_plan();
    plan["ai"]["guards"] = json!([
        {"name": "pii", "scope": "request", "look_for": {"kind": "pii", "kinds": ["email"]}, "action": "restore"},
        {"name": "words", "scope": "both", "look_for": {"kind": "keywords", "words": ["forbidden"]}, "action": "block"}
    ]);
    plan["routes"][0]["action"]["guards"] = json!([0, 1]);
    play(plan, async |play| {
        let client = play.client().await;
        client.sends(ai_chat(KEY_A, "small", "write to ann@example.org")).await;
        let upstream = play.upstream().await;
        let asked = upstream.takes().await;
        assert!(!asked.contains("ann@example.org") && asked.contains("[EMAIL_1]"), "{asked}");
        upstream.sends(ai_answer("Dear [EMAIL_1]!")).await;
        let (_, body) = ai_body(&client.takes().await);
        assert_eq!(body["choices"][0]["message"]["content"], "Dear ann@example.org!");

        client.sends(ai_chat(KEY_A, "small", "say forbidden")).await;
        let (status, body) = ai_body(&client.takes().await);
        assert_eq!(status, 400, "{body}");
        upstream.got_nothing().await;

        client.sends(ai_chat(KEY_A, "small", "again")).await;
        upstream.takes().await;
        upstream.sends(ai_answer("this is forbidden")).await;
        let got = client.takes().await;
        assert!(!got.contains("this is forbidden"), "{got}");
    });
}

#[test]
fn a_client_that_leaves_ends_the_provider_s_answer_or_lets_it_be_read_to_its_end() {
    for (rule, closed) in [("abort", true), ("drain", false)] {
        let mut plan = ai_plan();
        plan["ai"]["models"][0]["on_disconnect"] = json!(rule);
        play(plan, async |play| {
            let client = play.client().await;
            client.sends(ai_stream(KEY_A, "small", "hello")).await;
            let upstream = play.upstream().await;
            upstream.sends(AI_STREAM_HEAD).await;
            upstream.sends(ai_piece("he")).await;
            client.takes().await;
            client.resets().await;
            play.passes(Duration::from_millis(100)).await;
            assert_eq!(upstream.is_closed().await, closed, "{rule}");
            if !closed {
                upstream.sends(ai_end()).await;
                upstream.finishes().await;
                play.passes(Duration::from_millis(100)).await;
                assert_eq!((tokens(play, "input"), tokens(play, "output")), (10.0, 5.0), "usage is exact");
            }
            let counted = calls(play, "client_gone") + calls(play, "ok") + calls(play, "cut");
            assert_eq!(counted, 1.0, "{rule}: counted once");
            assert!(tokens(play, "input") > 0.0, "{rule}: usage is not lost");
        });
    }
}
