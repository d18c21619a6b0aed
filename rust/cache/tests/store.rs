//! The store: what is found, what is forgotten, how much it holds; and fills that many read.

#![allow(clippy::unwrap_used, reason = "the helpers are parts of tests")]

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

use proptest::prelude::*;
use tidegate_cache::{
    Draft, Fills, Found, Freshness, Object, Purge, Reason, Store,
    fields::{Fields, Pairs},
    fill::{Begun, End, Joined, Lead, Piece, Reader},
    key, tag_hash, testing,
    vary::Spec,
};

const NOW: u64 = 1_000_000;

fn pairs(lines: &[(&str, &str)]) -> Pairs {
    Pairs(lines.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect())
}

fn draft(key: &[u8], tags: &[u64], turn: u64) -> Draft {
    let freshness = Freshness {
        response_ms: NOW,
        initial_age: 0,
        lifetime: 60,
        while_revalidate: 0,
        if_error: 0,
        no_cache: false,
        must_revalidate: false,
        immutable: false,
    };
    Draft {
        key: key.into(),
        fields: (*b"A: b\r\n").into(),
        status: 200,
        freshness,
        tags: tags.into(),
        turn,
        part: None,
    }
}

fn keep(store: &Store, url: &str, tags: &[&str]) -> u128 {
    let text = format!("s\n{url}").into_bytes();
    let tags: Vec<_> = tags.iter().map(|tag| tag_hash(tag.as_bytes())).collect();
    let hash = key::hash(&text);
    store.keep(hash, Arc::new(Object::new(&draft(&text, &tags, store.turn()), &[Arc::from(&b"body"[..])])));
    hash
}

fn find(store: &Store, url: &str, request: &Pairs) -> Found {
    let text = format!("s\n{url}").into_bytes();
    store.find(&text, key::hash(&text), request, &testing::rules().vary, NOW, &mut Vec::new())
}

/// Whether it is there, and whether it counts as stale.
fn kept(store: &Store, url: &str) -> Option<bool> {
    match find(store, url, &Pairs::default()) {
        Found::Object { softly, .. } => Some(softly),
        _ => None,
    }
}

#[test]
fn each_purge_takes_what_it_names_and_nothing_else() {
    let store = Store::new(16 << 20, 1 << 20);
    let all = ["http://a/x", "http://a/y", "http://b/x", "http://a/x/z"];
    let fill = || {
        keep(&store, all[0], &["one", "two"]);
        keep(&store, all[1], &["two"]);
        keep(&store, all[2], &["three"]);
        keep(&store, all[3], &[]);
    };
    let left = || all.map(|url| kept(&store, url).is_some());
    for (purge, expected) in [
        (Purge::Tag(b"two"), [false, false, true, true]),
        (Purge::Tag(b"none"), [true; 4]),
        (Purge::Host(b"a"), [false, false, true, false]),
        (Purge::Host(b"A"), [false, false, true, false]),
        (Purge::Prefix(b"http://a/x"), [false, true, true, false]),
        (Purge::Prefix(b"http://"), [false; 4]),
        (Purge::All, [false; 4]),
    ] {
        fill();
        store.purge(purge, false);
        assert_eq!(left(), expected, "{purge:?}");
        fill();
        assert_eq!(left(), [true; 4], "what comes later is not meant by {purge:?}");
    }
}

#[test]
fn softly_purged_answers_stay_and_count_as_stale() {
    let store = Store::new(16 << 20, 1 << 20);
    keep(&store, "http://a/x", &["one"]);
    let hash = keep(&store, "http://a/y", &[]);
    store.purge(Purge::Tag(b"one"), true);
    assert_eq!((kept(&store, "http://a/x"), kept(&store, "http://a/y")), (Some(true), Some(false)));
    assert!(store.forget(hash, true));
    assert_eq!(kept(&store, "http://a/y"), Some(true));
    assert!(store.forget(hash, false));
    assert!(!store.forget(hash, false));
    assert_eq!(kept(&store, "http://a/y"), None);
}

#[test]
fn an_answer_that_was_asked_for_before_a_purge_is_meant_by_it() {
    let store = Store::new(16 << 20, 1 << 20);
    let turn = store.turn();
    store.purge(Purge::Host(b"a"), false);
    let text = b"s\nhttp://a/x";
    store.keep(key::hash(text), Arc::new(Object::new(&draft(text, &[], turn), &[])));
    assert_eq!(kept(&store, "http://a/x"), None);
}

#[test]
fn a_full_book_of_purges_forgets_too_much_rather_than_too_little() {
    let store = Store::new(16 << 20, 1 << 20);
    keep(&store, "http://a/old", &["first"]);
    store.purge(Purge::Tag(b"first"), false);
    for number in 0..70_000 {
        store.purge(Purge::Tag(format!("t{number}").as_bytes()), false);
    }
    assert_eq!(kept(&store, "http://a/old"), None);
    keep(&store, "http://a/new", &["t5"]);
    assert_eq!(kept(&store, "http://a/new"), Some(false));
}

#[test]
fn variants_are_bounded_and_the_oldest_go_first() {
    let store = Store::new(16 << 20, 1 << 20);
    let mut vary = testing::rules().vary;
    vary.most = 3;
    let text = b"s\nhttp://a/x";
    let spec = || Spec::read(&pairs(&[("Vary", "Foo")]), &vary).unwrap();
    let put = |value: &str| {
        let (key, slot) = store.place(text, key::hash(text), spec(), &pairs(&[("Foo", value)]), &vary);
        store.keep(slot, Arc::new(Object::new(&draft(&key, &[], 0), &[])));
    };
    ["1", "2", "3", "4"].into_iter().for_each(put);
    let has =
        |value: &str| matches!(find(&store, "http://a/x", &pairs(&[("Foo", value)])), Found::Object { .. });
    assert_eq!(["1", "2", "3", "4"].map(has), [false, true, true, true]);
    for number in 0..10_000 {
        put(&number.to_string());
    }
    assert!(store.figures().entries <= 5, "{:?}", store.figures());
}

#[test]
fn all_variants_go_with_their_key() {
    let store = Store::new(16 << 20, 1 << 20);
    let vary = testing::rules().vary;
    let text = b"s\nhttp://a/x";
    let spec = |names: &str| Spec::read(&pairs(&[("Vary", names)]), &vary).unwrap();
    let put = |names: &str, value: &str| {
        let (key, slot) = store.place(text, key::hash(text), spec(names), &pairs(&[("Foo", value)]), &vary);
        store.keep(slot, Arc::new(Object::new(&draft(&key, &[], 0), &[])));
    };
    let has =
        |value: &str| matches!(find(&store, "http://a/x", &pairs(&[("Foo", value)])), Found::Object { .. });
    put("Foo", "1");
    put("Foo, Bar", "2");
    assert_eq!((has("1"), has("2")), (true, true), "what varied with less is found still");
    assert!(store.forget(key::hash(text), false));
    assert_eq!((has("1"), has("2")), (false, false));
    put("Foo", "2");
    assert_eq!((has("1"), has("2")), (false, true), "what was forgotten does not come back with its key");
}

#[test]
fn what_cannot_be_kept_is_remembered_for_a_while() {
    let store = Store::new(1 << 20, 1 << 10);
    let text = b"s\nhttp://a/x";
    store.pass(text, key::hash(text), Reason::Private, NOW + 10);
    let look = |now| {
        store.find(text, key::hash(text), &Pairs::default(), &testing::rules().vary, now, &mut Vec::new())
    };
    assert!(matches!(look(NOW), Found::Pass(Reason::Private)));
    assert!(matches!(look(NOW + 10), Found::Miss { .. }));
}

#[test]
fn two_keys_of_one_hash_are_two() {
    let store = Store::new(1 << 20, 1 << 10);
    let hash = keep(&store, "http://a/x", &[]);
    let found =
        store.find(b"s\nhttp://a/y", hash, &Pairs::default(), &testing::rules().vary, NOW, &mut Vec::new());
    assert!(matches!(found, Found::Pass(Reason::KeyCollision)), "{found:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_store_never_holds_more_bytes_than_it_may(
        sizes in prop::collection::vec((0_u16..500, 0_usize..40_000), 1..400),
    ) {
        let store = Store::new(1 << 20, 64 << 10);
        for (number, size) in sizes {
            let text = format!("s\nhttp://a/{number}").into_bytes();
            let object = Object::new(&draft(&text, &[], 0), &[Arc::from(vec![0; size])]);
            prop_assert!(object.weight() >= (text.len() + size) as u64);
            store.keep(key::hash(&text), Arc::new(object));
            prop_assert!(store.figures().bytes <= 1 << 20, "{:?}", store.figures());
        }
    }

    /// Any request gets only what was kept for one that is alike in everything that the answer varies with.
    #[test]
    fn an_answer_is_given_only_to_requests_that_select_it(
        kept in prop::collection::vec((0_usize..4, 0_u8..3, 0_u8..3, 0_u8..4), 1..30),
        asked in prop::collection::vec((0_usize..4, 0_u8..3, 0_u8..3), 1..30),
    ) {
        const URLS: [&str; 4] = ["http://a/x", "http://a/y", "http://b/x", "http://a/x?y"];
        let store = Store::new(16 << 20, 1 << 20);
        let vary = testing::rules().vary;
        let request = |foo: u8, bar: u8| {
            let (foo, bar) = (foo.to_string(), bar.to_string());
            pairs(&[("Foo", foo.as_str()), ("Bar", bar.as_str())])
        };
        for (url, foo, bar, names) in kept {
            let names = ["", "Foo", "Bar", "Foo, Bar"][usize::from(names)];
            let text = format!("s\n{}", URLS[url]).into_bytes();
            let spec = Spec::read(&pairs(&[("Vary", names)]), &vary).unwrap();
            let (key, slot) = store.place(&text, key::hash(&text), spec, &request(foo, bar), &vary);
            // The answer says for whom it was made.
            let mut draft = draft(&key, &[], 0);
            draft.fields = format!("Vary: {names}\r\nUrl: {url}\r\nFoo: {foo}\r\nBar: {bar}\r\n").into_bytes().into();
            store.keep(slot, Arc::new(Object::new(&draft, &[])));
        }
        for (url, foo, bar) in asked {
            let Found::Object { object, .. } = find(&store, URLS[url], &request(foo, bar)) else { continue };
            let made = |name: &[u8]| object.fields().value(name).map(<[u8]>::to_vec).unwrap();
            prop_assert_eq!(made(b"url"), url.to_string().into_bytes());
            for (name, value) in [("Foo", foo), ("Bar", bar)] {
                if String::from_utf8(made(b"vary")).unwrap().contains(name) {
                    prop_assert_eq!(made(name.to_ascii_lowercase().as_bytes()), value.to_string().into_bytes());
                }
            }
        }
    }
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn lead(fills: &Arc<Fills<u8>>) -> Lead<u8> {
    match fills.join(7, b"k") {
        Joined::Lead(lead) => lead,
        other => panic!("{other:?}"),
    }
}

fn follow(fills: &Arc<Fills<u8>>) -> Reader<u8> {
    match fills.join(7, b"k") {
        Joined::Follow(reader) => reader,
        other => panic!("{other:?}"),
    }
}

/// All that there is to read now, and the end.
fn read(reader: &mut Reader<u8>) -> (Vec<u8>, Option<End<u8>>) {
    let mut all = Vec::new();
    loop {
        let mut room = Vec::new();
        match reader.poll_piece(&mut context(), &mut room) {
            Poll::Ready(Piece::Shared(piece, from)) => all.extend_from_slice(&piece[from..]),
            Poll::Ready(Piece::Copied(length)) => {
                assert_eq!(length, room.len());
                all.extend_from_slice(&room);
            }
            Poll::Ready(Piece::Ended(end)) => return (all, Some(end)),
            Poll::Pending => return (all, None),
        }
    }
}

#[test]
fn all_who_ask_read_behind_the_one_who_fetches() {
    let fills = Fills::new(1 << 20);
    let lead = lead(&fills);
    let mut early = follow(&fills);
    assert!(early.poll_begun(&mut context()).is_pending());
    lead.begin(Arc::new(draft(b"k", &[], 0)), Some(6));
    assert!(matches!(early.poll_begun(&mut context()), Poll::Ready(Begun::Answer(_, Some(6)))));
    assert!(lead.push(b"abc", 100));
    assert_eq!(read(&mut early).0, b"abc");
    let mut late = follow(&fills);
    assert!(lead.push(&[b'x'; 20_000], 100_000));
    assert!(lead.push(b"def", 100_000));
    assert_eq!(read(&mut early).0.len(), 20_003);
    let mut object = None;
    lead.finish(|made| object = Some(made));
    assert_eq!(object.unwrap().length(), 20_006);
    let (all, end) = read(&mut late);
    assert!(all.starts_with(b"abcx") && all.ends_with(b"xdef") && all.len() == 20_006);
    assert!(matches!(end, Some(End::Whole)));
    assert!(matches!(read(&mut early), (rest, Some(End::Whole)) if rest.is_empty()));
    assert!(matches!(fills.join(7, b"k"), Joined::Lead(_)), "what is over is not joined");
}

#[test]
fn what_is_too_large_is_passed_on_in_a_window_and_not_kept() {
    let fills = Fills::new(64 << 20);
    let lead = lead(&fills);
    let mut slow = follow(&fills);
    lead.begin(Arc::new(draft(b"k", &[], 0)), None);
    let mut sent = 0;
    let piece = vec![b'x'; 100_000];
    while lead.poll_room(&mut context()).is_ready() {
        assert_eq!(lead.push(&piece, 150_000), sent < 100_000);
        sent += piece.len();
        assert!(sent < 3 << 20, "it waits for its reader");
    }
    assert!(matches!(fills.join(7, b"k"), Joined::Lead(_)), "its beginning is not to be had any more");
    assert_eq!(read(&mut slow).0.len(), sent);
    assert!(lead.poll_room(&mut context()).is_ready());
    assert!(fills.bytes() <= 1 << 20);
    lead.push(b"end", 150_000);
    lead.finish(|_| panic!("it is not kept"));
    assert!(matches!(read(&mut slow), (rest, Some(End::Whole)) if rest == b"end"));
    assert_eq!(fills.bytes(), 0);
}

#[test]
fn a_reader_that_leaves_holds_up_nobody() {
    let fills = Fills::new(64 << 20);
    let lead = lead(&fills);
    let slow = follow(&fills);
    lead.begin(Arc::new(draft(b"k", &[], 0)), None);
    while lead.poll_room(&mut context()).is_ready() {
        lead.push(&[0; 50_000], 10);
    }
    drop(slow);
    assert!(lead.poll_room(&mut context()).is_ready());
    assert_eq!(lead.readers(), 0);
}

#[test]
fn those_who_wait_are_told_how_it_ended() {
    let fills = Fills::new(1 << 20);
    type End = (fn(Lead<u8>), &'static str);
    let ends: [End; 4] = [
        (|lead| lead.fail(9), "Failed(9)"),
        (|lead| lead.release(Reason::Private), "Released(Private)"),
        (drop, "Released(Incomplete)"),
        (|lead| lead.discard(), "Whole"),
    ];
    for (end, told) in ends {
        let lead = lead(&fills);
        let reader = follow(&fills);
        end(lead);
        match reader.poll_begun(&mut context()) {
            Poll::Ready(Begun::Ended(end)) => assert_eq!(format!("{end:?}"), told),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(fills.count(), 0);
}

#[test]
fn more_memory_than_fills_may_hold_is_not_taken() {
    let fills = Fills::new(1000);
    let lead = lead(&fills);
    assert!(lead.push(&[0; 900], 1 << 20));
    assert!(!lead.push(&[0; 200], 1 << 20));
    assert!(!lead.is_kept());
    drop(lead);
    assert_eq!(fills.bytes(), 0);
}
