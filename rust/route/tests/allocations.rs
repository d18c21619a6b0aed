//! A request whose buffers have grown allocates nothing on its way through the room.
#![allow(clippy::unwrap_used)] // a failure here is a failed test
#![allow(unsafe_code)] // an allocator that counts is written no other way

mod support;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use support::{Values, compiled, head, matches, of, prefix, regex, router, text, value, value_is, variable};
use tidegate_plan::{EditKind, HeaderEdit, Matches, PathRewrite, Rewrite, ValueTest, Variable};
use tidegate_route::{Asked, Captures, HeaderEdits, Rewriter, normalise_host, normalise_path};

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_second_request_allocates_nothing() {
    let conditional = Matches {
        methods: vec!["GET".into()],
        headers: vec![value_is("x-team", "core")],
        query: vec![value("q", ValueTest::Regex { value: "^a b$".into() })],
        ..matches(&["*.example.com"], regex("^/v1/(?P<kind>[^/]+)/([0-9]+)"))
    };
    let router = router(&[conditional, matches(&[], prefix("/v1")), matches(&[], prefix("/"))]).unwrap();
    let path = PathRewrite::Template { template: vec![text("/"), of("capture", "kind"), of("query", "q")] };
    let query = Some(vec![text("p="), variable(Variable::Path)]);
    let templated = Rewriter::compile(&Rewrite { path: Some(path), host: None, query }).unwrap();
    let path = PathRewrite::Regex { pattern: "^/v1/(.*)$".into(), with: "/$1".into() };
    let replaced = Rewriter::compile(&Rewrite { path: Some(path), host: None, query: None }).unwrap();
    let path = PathRewrite::Prefix { with: "/api".into() };
    let prefixed = Rewriter::compile(&Rewrite { path: Some(path), host: None, query: None }).unwrap();
    let edit = |name: &str, value| HeaderEdit { kind: EditKind::Set, name: name.into(), value };
    let edits =
        HeaderEdits::compile(&[edit("X-A", vec![text("a")]), edit("X-B", vec![of("capture", "host")])])
            .unwrap();
    let body = compiled(vec![of("header", "x-team"), of("cookie", "c")]);
    let requests = ["/v1/%63ats/42?q=a+b", "/v1/dogs/7?q=b", "/x/..//v1/cats"]
        .map(|target| head("GET", target, &[("X-Team", "core")]));

    let (mut captures, mut host_room, mut path_room, mut out) = (Captures::default(), vec![], vec![], vec![]);
    let mut counts = [0; 3];
    for count in &mut counts {
        let before = COUNT.with(Cell::get);
        for head in &requests {
            let host = normalise_host(b"A.Example.com:80", &mut host_room);
            let path = normalise_path(head.slice(head.path), true, &mut path_room).unwrap();
            let query = head.slice(head.query);
            let asked = Asked { head, host, path, method_name: head.slice(head.method_name), query };
            let prefix_len = router.find(&asked, &mut captures).unwrap().prefix_len;
            let values = Values { path, query, captures, ..Values::default() };
            out.clear();
            for rewriter in [&templated, &replaced, &prefixed] {
                rewriter.rewrite_target(head, path, prefix_len, &values, &mut out).unwrap();
            }
            edits.write(&values, &mut out);
            body.render_value(&values, &mut out);
            captures = values.captures;
        }
        *count = COUNT.with(Cell::get) - before;
    }
    assert!(counts[0] > 0, "the counter counts");
    assert_eq!(counts[2], 0);
}
