//! What a small object takes beside its own bytes, as the system counts it; alone in its process, so that nothing else does.

use std::sync::Arc;

use tidegate_cache::{Draft, Freshness, OVERHEAD, Object, Store, key};

const OBJECTS: u64 = 200_000;

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").expect("Linux tells it");
    let pages: u64 = status.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number");
    pages * 4096
}

#[test]
fn a_small_object_takes_little_beside_its_bytes() {
    let store = Store::new(1 << 30, 8 << 20);
    let before = resident_bytes();
    let freshness = Freshness {
        response_ms: 1,
        initial_age: 0,
        lifetime: 60,
        while_revalidate: 0,
        if_error: 0,
        no_cache: false,
        must_revalidate: false,
        immutable: false,
    };
    let mut own = 0;
    for number in 0..OBJECTS {
        let text = format!("shop\nhttp://example.com/a/page/{number:08}").into_bytes();
        let draft = Draft {
            key: text.clone().into(),
            fields: (*b"Content-Type: text/html; charset=utf-8\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n")
                .into(),
            status: 200,
            freshness,
            tags: [].into(),
            turn: 0,
            part: None,
        };
        let content: Arc<[u8]> = Arc::from(vec![b'x'; 300]);
        own += (text.len() + draft.fields.len() + content.len()) as u64;
        store.keep(key::hash(&text), Arc::new(Object::new(&draft, &[content])));
    }
    assert_eq!(store.figures().entries, OBJECTS);
    let each = (resident_bytes() - before).saturating_sub(own) / OBJECTS;
    eprintln!("{each} bytes beside each object's own");
    assert!(each <= OVERHEAD, "{each} bytes beside each object's own");
}
