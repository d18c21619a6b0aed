//! Guards over whole texts and over deltas, as their caller uses them.

use std::sync::Arc;

use proptest::prelude::*;
use tidegate_guard::{Blocked, Direction, Guards, StreamScan, Vault, Verdict, Written, redact};
use tidegate_plan::{Guard, GuardAction, GuardScope, LookFor};

fn guard(name: &str, scope: GuardScope, look_for: LookFor, action: GuardAction) -> Guard {
    Guard { name: name.into(), scope, look_for, action }
}

fn pii(kinds: &[&str]) -> LookFor {
    LookFor::Pii { kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect() }
}

fn words(words: &[&str]) -> LookFor {
    LookFor::Keywords { words: words.iter().map(|word| (*word).to_owned()).collect() }
}

fn everything() -> LookFor {
    pii(&["card", "iban", "email", "phone", "ip", "ssn", "api_key"])
}

fn one(look_for: LookFor, action: GuardAction) -> Guards {
    Guards::compile(&[guard("one", GuardScope::Both, look_for, action)]).expect("a good guard")
}

fn scanned(guards: &Guards, text: &str, vault: &mut Vault) -> (String, Verdict) {
    let mut text = text.to_owned();
    let all: Vec<u32> = (0..8).collect();
    let verdict = guards.scan(&all, Direction::Request, &mut text, vault);
    (text, verdict)
}

#[test]
fn what_is_masked_is_replaced_by_its_kind() {
    let guards = one(everything(), GuardAction::Mask);
    let (text, verdict) =
        scanned(&guards, "I am ada@example.com, 4111 1111 1111 1111, from 192.0.2.7.", &mut Vault::default());
    assert_eq!(text, "I am [EMAIL], [CARD], from [IP].");
    assert_eq!(verdict, Verdict::Masked(3));
}

#[test]
fn a_clean_text_passes_untouched() {
    let guards = one(everything(), GuardAction::Block);
    let clean = "In 2026 the café sold 1,234 cups at 3.50 each (see §4.2).";
    assert_eq!(scanned(&guards, clean, &mut Vault::default()), (clean.to_owned(), Verdict::Pass));
}

#[test]
fn a_blocked_text_names_the_guard_and_the_kind_and_stays_as_it_was() {
    let mask = guard("mail", GuardScope::Both, pii(&["email"]), GuardAction::Mask);
    let block = guard("no-cards", GuardScope::Request, pii(&["card"]), GuardAction::Block);
    let guards = Guards::compile(&[mask, block]).unwrap();
    let text = "ada@example.com 4111111111111111";
    let (after, verdict) = scanned(&guards, text, &mut Vault::default());
    assert_eq!((after.as_str(), verdict), (text, Verdict::Blocked(Blocked { guard: 1, kind: "card" })));
    assert_eq!(guards.name(1), "no-cards");
}

#[test]
fn words_and_patterns_are_masked_by_their_guards_name() {
    let guards = Guards::compile(&[
        guard("code-names", GuardScope::Both, words(&["falcon"]), GuardAction::Mask),
        guard(
            "employee id",
            GuardScope::Both,
            LookFor::Regex { pattern: r"EMP-\d{4}".into() },
            GuardAction::Restore,
        ),
    ])
    .unwrap();
    let (text, verdict) = scanned(&guards, "Falcon is led by EMP-0042.", &mut Vault::default());
    assert_eq!((text.as_str(), verdict), ("[CODE_NAMES] is led by [EMPLOYEE_ID_1].", Verdict::Masked(2)));
}

#[test]
fn only_guards_that_are_chosen_and_look_this_way_look() {
    let guards = Guards::compile(&[
        guard("a", GuardScope::Request, pii(&["email"]), GuardAction::Mask),
        guard("b", GuardScope::Response, pii(&["ip"]), GuardAction::Mask),
    ])
    .unwrap();
    let scan = |chosen: &[u32], direction| {
        let mut text = "ada@example.com 192.0.2.7".to_owned();
        let _ = guards.scan(chosen, direction, &mut text, &mut Vault::default());
        text
    };
    assert_eq!(scan(&[0, 1], Direction::Request), "[EMAIL] 192.0.2.7");
    assert_eq!(scan(&[0, 1], Direction::Response), "ada@example.com [IP]");
    assert_eq!(scan(&[], Direction::Request), "ada@example.com 192.0.2.7");
    assert_eq!(scan(&[7], Direction::Request), "ada@example.com 192.0.2.7", "an index of no guard");
    assert!(!guards.look_at(&[0], Direction::Response));
}

#[test]
fn places_that_overlap_are_hidden_as_one() {
    let guards = Guards::compile(&[
        guard("a", GuardScope::Both, LookFor::Regex { pattern: "abcd".into() }, GuardAction::Mask),
        guard("b", GuardScope::Both, LookFor::Regex { pattern: "cdef".into() }, GuardAction::Mask),
    ])
    .unwrap();
    assert_eq!(scanned(&guards, "xabcdefx", &mut Vault::default()).0, "x[A]x");
}

#[test]
fn the_same_value_has_the_same_placeholder_in_all_texts_of_a_call() {
    let guards = one(pii(&["email"]), GuardAction::Restore);
    let mut vault = Vault::default();
    let first = scanned(&guards, "ada@example.com or bob@example.com", &mut vault).0;
    let second = scanned(&guards, "bob@example.com, again", &mut vault).0;
    assert_eq!((first.as_str(), second.as_str()), ("[EMAIL_1] or [EMAIL_2]", "[EMAIL_2], again"));
    let mut answer = "Write to [EMAIL_2], not to [EMAIL_1] or [EMAIL_3].".to_owned();
    vault.restore(&mut answer, Written::Plain);
    assert_eq!(answer, "Write to bob@example.com, not to ada@example.com or [EMAIL_3].");
}

#[test]
fn a_text_that_looks_like_a_placeholder_comes_back_as_it_was() {
    let guards = one(pii(&["email"]), GuardAction::Restore);
    let mut vault = Vault::default();
    let mut text = scanned(&guards, "[EMAIL_1] is ada@example.com, [ITEM_1] is not", &mut vault).0;
    assert_eq!(text, "[LITERAL_1] is [EMAIL_1], [ITEM_1] is not");
    vault.restore(&mut text, Written::Plain);
    assert_eq!(text, "[EMAIL_1] is ada@example.com, [ITEM_1] is not");
}

#[test]
fn within_json_originals_are_escaped() {
    let guards = one(LookFor::Regex { pattern: r#"say "[^"]*""#.into() }, GuardAction::Restore);
    let mut vault = Vault::default();
    let _ = scanned(&guards, "say \"a\\b\n\"", &mut vault);
    let mut arguments = r#"{"what": "[ONE_1]"}"#.to_owned();
    vault.restore(&mut arguments, Written::Json);
    assert_eq!(arguments, r#"{"what": "say \"a\\b\n\""}"#);
}

#[test]
fn neither_a_vault_nor_a_restorer_prints_what_it_holds() {
    let guards = one(pii(&["email"]), GuardAction::Restore);
    let mut vault = Vault::default();
    let _ = scanned(&guards, "ada@example.com", &mut vault);
    let mut restorer = vault.restorer(Written::Plain);
    restorer.push("[EMAIL", &mut String::new());
    assert!(!format!("{vault:?} {restorer:?}").contains("EMAIL") && !format!("{vault:?}").contains("ada"));
}

#[test]
fn guards_that_can_not_be_are_refused_with_their_place() {
    let cases = [
        (pii(&["email", "shoe_size"]), "look_for.kinds"),
        (pii(&[]), "look_for.kinds"),
        (words(&[]), "look_for.words"),
        (LookFor::Regex { pattern: "(".into() }, "look_for.pattern"),
    ];
    for (look_for, part) in cases {
        let good = guard("good", GuardScope::Both, pii(&["ip"]), GuardAction::Mask);
        let bad = guard("bad", GuardScope::Both, look_for, GuardAction::Mask);
        let fault = Guards::compile(&[good, bad]).unwrap_err();
        assert_eq!((fault.guard, fault.part), (1, part), "{fault}");
    }
}

#[test]
fn records_have_no_personal_data() {
    let mut text = "ada@example.com paid with 4111111111111111".to_owned();
    assert_eq!(redact(&mut text), 2);
    assert_eq!(text, "[EMAIL] paid with [CARD]");
}

/// What comes out of a stream of deltas.
fn streamed(guards: &Arc<Guards>, deltas: &[&str]) -> Result<String, Blocked> {
    let mut scan = StreamScan::new(guards, &[0, 1, 2]).expect("a guard looks at answers");
    let mut out = String::new();
    for delta in deltas {
        scan.push(delta, &mut out)?;
    }
    scan.finish(&mut out)?;
    Ok(out)
}

#[test]
fn clean_words_of_an_answer_are_not_held_back() {
    let guards = Arc::new(one(everything(), GuardAction::Mask));
    let mut scan = StreamScan::new(&guards, &[0]).unwrap();
    let mut out = String::new();
    scan.push("Hello there, this is", &mut out).unwrap();
    assert_eq!(out, "Hello there, this ", "but for the last word, which may go on");
    scan.push(" fine", &mut out).unwrap();
    assert_eq!(out, "Hello there, this is ");
}

#[test]
fn an_answer_is_cut_off_before_what_is_blocked() {
    let guards = Arc::new(one(pii(&["card"]), GuardAction::Block));
    let mut scan = StreamScan::new(&guards, &[0]).unwrap();
    let mut out = String::new();
    let blocked = ["The card: ", "4111 11", "11 1111 1", "111", " expires", " soon"]
        .into_iter()
        .find_map(|delta| scan.push(delta, &mut out).err());
    assert_eq!(blocked, Some(Blocked { guard: 0, kind: "card" }));
    assert_eq!(out, "The card: ");
}

#[test]
fn what_is_held_back_is_bounded() {
    let guards = Arc::new(one(everything(), GuardAction::Mask));
    let mut scan = StreamScan::new(&guards, &[0]).unwrap();
    let (mut out, mut sent, mut most) = (String::new(), 0, 0);
    for number in 0..4000 {
        let delta =
            if number == 0 { "-----BEGIN PRIVATE KEY-----".to_owned() } else { format!("{number:08x}") };
        sent += delta.len();
        scan.push(&delta, &mut out).unwrap();
        most = most.max(sent.saturating_sub(out.len()));
    }
    scan.finish(&mut out).unwrap();
    assert!(out.contains("[API_KEY]"));
    assert!(most < 2 * tidegate_guard::HELD_MOST, "{most}");
}

/// Text with bits of everything that is looked for.
fn texts() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("ada@example.com".to_owned()),
        Just("bob.b+x@mail.example.org".to_owned()),
        Just("4111 1111 1111 1111".to_owned()),
        Just("DE89 3704 0044 0532 0130 00".to_owned()),
        Just("+49 (0)171 123-4567".to_owned()),
        Just("(415) 555-0123".to_owned()),
        Just("192.0.2.7".to_owned()),
        Just("2001:db8::1".to_owned()),
        Just("123-45-6789".to_owned()),
        Just("AB 12 34 56 C".to_owned()),
        Just("sk-proj-abcdEFGH1234ijklMNOP5678".to_owned()),
        Just("-----BEGIN PRIVATE KEY-----\nMIIE owAB\n-----END PRIVATE KEY-----".to_owned()),
        Just("Falcon".to_owned()),
        Just("[EMAIL_1]".to_owned()),
        Just("[LITERAL_1]".to_owned()),
        Just("[[".to_owned()),
        "[ a-zä.,0-9]{0,6}",
        "[ \\n]",
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// The same text, cut at some places.
fn cut<'a>(text: &'a str, cuts: &[usize]) -> Vec<&'a str> {
    let mut places: Vec<usize> =
        cuts.iter().map(|cut| text.floor_char_boundary(cut % (text.len() + 1))).collect();
    places.extend([0, text.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_masked_comes_back_wherever_the_answer_was_cut(
        text in texts(),
        cuts in proptest::collection::vec(any::<usize>(), 0..30),
    ) {
        let guards = Guards::compile(&[
            guard("all", GuardScope::Both, everything(), GuardAction::Restore),
            guard("words", GuardScope::Request, words(&["falcon"]), GuardAction::Restore),
        ]).unwrap();
        let mut vault = Vault::default();
        let (masked, _) = scanned(&guards, &text, &mut vault);
        let mut restorer = vault.restorer(Written::Plain);
        let mut back = String::new();
        for delta in cut(&masked, &cuts) {
            restorer.push(delta, &mut back);
        }
        restorer.finish(&mut back);
        prop_assert_eq!(&back, &text);
        let mut whole = masked;
        vault.restore(&mut whole, Written::Plain);
        prop_assert_eq!(whole, text);
    }

    #[test]
    fn an_answer_in_deltas_is_masked_as_a_whole_one_is(
        text in texts(),
        cuts in proptest::collection::vec(any::<usize>(), 0..30),
    ) {
        let guards = Arc::new(Guards::compile(&[
            guard("all", GuardScope::Both, everything(), GuardAction::Mask),
            guard("words", GuardScope::Both, words(&["falcon", "ärger"]), GuardAction::Mask),
            guard("mark", GuardScope::Both, LookFor::Regex { pattern: r"\b\d{4},".into() }, GuardAction::Mask),
        ]).unwrap());
        let mut whole = text.clone();
        let _ = guards.scan(&[0, 1, 2], Direction::Response, &mut whole, &mut Vault::default());
        prop_assert_eq!(streamed(&guards, &cut(&text, &cuts)).unwrap(), whole);
    }

    #[test]
    fn an_answer_in_deltas_is_blocked_where_a_whole_one_is(
        text in texts(),
        cuts in proptest::collection::vec(any::<usize>(), 0..30),
    ) {
        let guards = Arc::new(Guards::compile(&[
            guard("cards", GuardScope::Both, pii(&["card", "api_key"]), GuardAction::Block),
        ]).unwrap());
        let mut whole = text.clone();
        let verdict = guards.scan(&[0], Direction::Response, &mut whole, &mut Vault::default());
        let out = streamed(&guards, &cut(&text, &cuts));
        prop_assert_eq!(out.is_err(), matches!(verdict, Verdict::Blocked(_)));
    }

    #[test]
    fn no_text_makes_a_guard_fail(text in "\\PC{0,200}", cuts in proptest::collection::vec(any::<usize>(), 0..10)) {
        let guards = Arc::new(one(everything(), GuardAction::Mask));
        let mut whole = text.clone();
        let _ = guards.scan(&[0], Direction::Response, &mut whole, &mut Vault::default());
        prop_assert_eq!(streamed(&guards, &cut(&text, &cuts)).unwrap(), whole);
    }
}
