//! Chains, and the index against a naive model.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::chat::Message;

fn request(texts: &[(Role, String)]) -> ChatRequest {
    let message = |(role, text): &(Role, String)| Message {
        role: *role,
        parts: vec![Part::text(text.clone())],
        name: None,
        rest: serde_json::Map::new(),
    };
    ChatRequest {
        model: "m".to_owned(),
        messages: texts.iter().map(message).collect(),
        ..ChatRequest::default()
    }
}

fn of(request: &ChatRequest, salt: u64) -> Vec<u64> {
    let mut out = Vec::new();
    blocks(request, salt, &mut out);
    out
}

fn raw(body: &str) -> Vec<u64> {
    let mut out = Vec::new();
    blocks_of_body(body.as_bytes(), "m", 1, &mut out);
    out
}

#[test]
fn a_longer_conversation_begins_with_the_blocks_of_the_shorter() {
    let first = vec![(Role::System, "s".repeat(600)), (Role::User, "u".repeat(600))];
    let mut second = first.clone();
    second.push((Role::Assistant, "a".repeat(600)));
    let (short, long) = (of(&request(&first), 1), of(&request(&second), 1));
    assert_eq!(short.len(), 4);
    assert!(long.len() > short.len());
    assert!(long.starts_with(&short));
}

#[test]
fn a_difference_at_the_beginning_changes_every_block_behind_it() {
    let with = |start: &str| of(&request(&[(Role::User, format!("{start}{}", "x".repeat(2_000)))]), 1);
    let (a, b) = (with("a"), with("b"));
    assert!(a.iter().zip(&b).all(|(a, b)| a != b));
    let tail = |end: &str| of(&request(&[(Role::User, format!("{}{end}", "x".repeat(1_000)))]), 1);
    assert_eq!(tail(&"1".repeat(100))[..3], tail(&"2".repeat(100))[..3]);
}

#[test]
fn model_salt_and_role_keep_conversations_apart() {
    let text = "t".repeat(300);
    let base = request(&[(Role::User, text.clone())]);
    let other = ChatRequest { model: "n".to_owned(), ..base.clone() };
    assert_ne!(of(&base, 1), of(&base, 2));
    assert_ne!(of(&base, 1), of(&other, 1));
    assert_ne!(of(&base, 1), of(&request(&[(Role::System, text)]), 1));
}

#[test]
fn no_more_blocks_than_the_bound_are_made_of_a_long_conversation() {
    assert_eq!(of(&request(&[(Role::User, "x".repeat(1 << 20))]), 1).len(), BLOCKS);
    let long = format!(r#"{{"messages":[{{"role":"user","content":"{}"}}]}}"#, "x".repeat(1 << 20));
    assert_eq!(raw(&long).len(), BLOCKS);
}

#[test]
fn a_raw_body_has_the_same_blocks_whatever_stands_around_its_messages() {
    let messages = format!(r#"[{{"role":"user","content":"{}\"}}]"}}]"#, "x".repeat(900));
    let plain = raw(&format!(r#"{{"messages":{messages}}}"#));
    assert_eq!(plain.len(), 3);
    let around = format!(
        r#" {{ "temperature" : 0.5, "stop":["}}","]"], "metadata":{{"messages":"no"}}, "messages" : {messages}, "stream":true}}"#
    );
    assert_eq!(raw(&around), plain);
    let tools = format!(r#"{{"messages":{messages},"tools":[{{"name":"f"}}]}}"#);
    let tools_first = format!(r#"{{"tools":[{{"name":"f"}}],"messages":{messages}}}"#);
    assert_eq!(raw(&tools), raw(&tools_first));
    assert_ne!(raw(&tools), plain);
}

#[test]
fn a_raw_body_grows_with_its_conversation() {
    let turn = |c: &str| format!(r#"{{"role":"user","content":"{}"}}"#, c.repeat(700));
    let short = raw(&format!(r#"{{"messages":[{}]}}"#, turn("a")));
    let long = raw(&format!(r#"{{"messages":[{},{}]}}"#, turn("a"), turn("b")));
    assert!(!short.is_empty() && long.starts_with(&short) && long.len() > short.len());
}

fn found(index: &mut PrefixIndex, blocks: &[u64]) -> Vec<(u32, u32, usize)> {
    let mut out = Vec::new();
    index.find(blocks, &mut out);
    let mut found: Vec<_> = out.iter().map(|m| (m.target, m.endpoint, m.blocks)).collect();
    found.sort_unstable();
    found
}

#[test]
fn endpoints_are_found_by_how_much_of_the_beginning_they_served() {
    let mut index = PrefixIndex::new(1 << 20);
    index.insert(&[1, 2, 3, 4], 0, 7);
    index.insert(&[1, 2], 1, 8);
    assert_eq!(found(&mut index, &[1, 2, 3, 9]), [(0, 7, 3), (1, 8, 2)]);
    assert_eq!(found(&mut index, &[2, 3]), [(0, 7, 2), (1, 8, 1)]);
    assert_eq!(found(&mut index, &[9, 1]), []);
    assert_eq!(found(&mut index, &[]), []);
}

#[test]
fn a_block_remembers_the_endpoints_that_used_it_last() {
    let mut index = PrefixIndex::new(1 << 20);
    for endpoint in 0..4 {
        index.insert(&[1], 0, endpoint);
    }
    index.insert(&[1], 0, 0);
    index.insert(&[1], 0, 9);
    assert_eq!(found(&mut index, &[1]), [(0, 0, 1), (0, 2, 1), (0, 3, 1), (0, 9, 1)]);
}

#[test]
fn memory_stays_below_the_bound_and_the_blocks_asked_for_stay() {
    let bound = 100_000;
    let mut index = PrefixIndex::new(bound);
    assert!(index.capacity() > 500, "{}", index.capacity());
    let hot: Vec<u64> = (0..10).collect();
    index.insert(&hot, 0, 1);
    for cold in 1_000u64..100_000 {
        index.insert(&[cold.wrapping_mul(0x9E37_79B9_7F4A_7C15)], 0, 2);
        if cold % 100 == 0 {
            assert_eq!(found(&mut index, &hot), [(0, 1, 10)]);
        }
        assert!(index.bytes() <= bound);
    }
    assert_eq!(index.len(), index.capacity());
}

#[test]
fn an_index_without_room_holds_nothing_and_fails_nowhere() {
    for bytes in 0..400 {
        let mut index = PrefixIndex::new(bytes);
        index.insert(&[1, 2, 3, 4, 5], 0, 0);
        index.insert(&[6], 0, 0);
        assert!(index.len() <= index.capacity() && index.bytes() <= bytes);
        let _ = found(&mut index, &[1]);
    }
}

proptest! {
    #[test]
    fn the_index_agrees_with_a_naive_model_while_it_is_not_full(
        steps in proptest::collection::vec((proptest::collection::vec(0u64..6, 0..6), 0u32..2, 0u32..2, any::<bool>()), 0..60),
    ) {
        let mut index = PrefixIndex::new(1 << 16);
        let mut naive: HashMap<u64, Vec<(u32, u32)>> = HashMap::new();
        for (blocks, target, endpoint, insert) in steps {
            if insert {
                index.insert(&blocks, target, endpoint);
                for block in blocks {
                    let holders = naive.entry(block).or_default();
                    if !holders.contains(&(target, endpoint)) {
                        holders.push((target, endpoint));
                    }
                }
            } else {
                let mut expected: Vec<(u32, u32, usize)> = Vec::new();
                for target in 0..2 {
                    for endpoint in 0..2 {
                        let held = |block: &&u64| naive.get(block).is_some_and(|h| h.contains(&(target, endpoint)));
                        let count = blocks.iter().take_while(held).count();
                        if count > 0 {
                            expected.push((target, endpoint, count));
                        }
                    }
                }
                prop_assert_eq!(found(&mut index, &blocks), expected);
            }
        }
    }

    #[test]
    fn what_a_full_index_finds_was_inserted_and_its_bound_holds(
        steps in proptest::collection::vec((proptest::collection::vec(0u64..50, 1..8), 0u32..3), 1..200), bytes in 0usize..2_000,
    ) {
        let mut index = PrefixIndex::new(bytes);
        let mut naive: HashMap<u64, Vec<u32>> = HashMap::new();
        for (blocks, endpoint) in steps {
            let mut out = Vec::new();
            index.find(&blocks, &mut out);
            for found in out {
                let all = blocks[..found.blocks].iter().all(|b| naive.get(b).is_some_and(|h| h.contains(&found.endpoint)));
                prop_assert!(all);
            }
            index.insert(&blocks, 0, endpoint);
            for block in blocks {
                naive.entry(block).or_default().push(endpoint);
            }
            prop_assert!(index.len() <= index.capacity());
            prop_assert!(index.bytes() <= bytes);
        }
    }

    #[test]
    fn no_body_is_too_strange(body in proptest::collection::vec(prop_oneof![
        Just(b'"'), Just(b'\\'), Just(b'{'), Just(b'}'), Just(b'['), Just(b']'), Just(b':'), Just(b','), any::<u8>()
    ], 0..80)) {
        let mut out = Vec::new();
        blocks_of_body(&body, "m", 0, &mut out);
        let wrapped = [b"{\"messages\":", body.as_slice()].concat();
        blocks_of_body(&wrapped, "m", 0, &mut out);
    }
}
