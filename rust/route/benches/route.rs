//! What a match, a normalisation and a rendering cost.
#![allow(clippy::unwrap_used)] // a failure here is a failed test

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use support::{Values, compiled, exact, head, matches, of, prefix, regex, router, text, variable};
use tidegate_plan::{EditKind, HeaderEdit, Matches, PathRewrite, Rewrite, Variable};
use tidegate_route::{Asked, Captures, HeaderEdits, Rewriter, normalise_host, normalise_path};

fn find(c: &mut Criterion) {
    let mut group = c.benchmark_group("find");
    for count in [10, 10_000] {
        let numbered = |make: &dyn Fn(usize) -> Matches| (0..count).map(make).collect::<Vec<_>>();
        let tables = [
            ("prefix", numbered(&|at| matches(&[], prefix(&format!("/api/v{}/service-{at}/", at % 7))))),
            (
                "exact",
                numbered(&|at| matches(&[], exact(&format!("/api/v{}/service-{at}/items/42", at % 7)))),
            ),
            ("host", numbered(&|at| matches(&[&format!("service-{at}.example.com")], prefix("/api")))),
        ];
        for (name, routes) in tables {
            let router = router(&routes).unwrap();
            // Many requests in turn, so that the table is not only the one line that stays in the cache.
            let requests: Vec<_> = (0..64)
                .map(|turn| {
                    let at = turn * 157 % count;
                    let target = format!("/api/v{}/service-{at}/items/42?x=1", at % 7);
                    (head("GET", &target, &[("Accept", "*/*")]), format!("service-{at}.example.com"))
                })
                .collect();
            let mut captures = Captures::default();
            let mut turn = 0;
            group.bench_function(format!("{name} of {count}"), |b| {
                b.iter(|| {
                    turn = (turn + 1) % requests.len();
                    let (head, host) = &requests[turn];
                    let found = router.find(&asked(black_box(head), host), &mut captures);
                    assert!(found.is_some());
                });
            });
        }
    }
    for count in [1, 10, 1000] {
        let mut routes: Vec<_> =
            (1..count).map(|at| matches(&[], regex(&format!("^/other-{at}/(.*)$")))).collect();
        routes.push(matches(&["*.example.com", "*.test"], regex("^/api/v[0-9]+/(?P<name>[^/]+)/")));
        routes.iter_mut().for_each(|route| route.hosts = vec!["*.example.com".into()]);
        let router = router(&routes).unwrap();
        let head = head("GET", "/api/v1/service/items/42", &[]);
        let mut captures = Captures::default();
        group.bench_function(format!("pattern with a group, last of {count}"), |b| {
            b.iter(|| {
                assert!(router.find(&asked(black_box(&head), "a.example.com"), &mut captures).is_some())
            });
        });
    }
    group.finish();
}

fn asked<'a>(head: &'a tidegate_message::RequestHead, host: &'a str) -> Asked<'a> {
    Asked {
        head,
        host: host.as_bytes(),
        path: head.slice(head.path),
        method_name: head.slice(head.method_name),
        query: head.slice(head.query),
    }
}

fn normalise(c: &mut Criterion) {
    let mut group = c.benchmark_group("normalise");
    let mut scratch = Vec::new();
    for (name, path) in [
        ("plain path", "/api/v1/service-17/items/42"),
        ("escaped path", "/api/v1/caf%C3%A9%20noir/items/42"),
        ("dotted path", "/api/v1//x/../%2e/items/42"),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| normalise_path(black_box(path.as_bytes()), true, &mut scratch).map(<[u8]>::len));
        });
    }
    for (name, host) in [("plain host", "api.example.com:8080"), ("upper-case host", "API.Example.com")] {
        group.bench_function(name, |b| {
            b.iter(|| normalise_host(black_box(host.as_bytes()), &mut scratch).len());
        });
    }
    group.finish();
}

fn render(c: &mut Criterion) {
    let mut group = c.benchmark_group("render");
    let values = Values { path: b"/v1/items/a b", headers: vec![("x-a", b"blue")], ..Values::default() };
    let mut out = Vec::new();
    let template = compiled(vec![text("https://"), variable(Variable::Host), variable(Variable::Path)]);
    group.bench_function("value of three parts", |b| {
        b.iter(|| {
            out.clear();
            template.render_value(black_box(&values), &mut out);
        });
    });
    let edit = |name: &str, value| HeaderEdit { kind: EditKind::Set, name: name.into(), value };
    let edits = HeaderEdits::compile(&[
        edit("X-Team", vec![text("core")]),
        edit("X-Edge", vec![text("tidegate")]),
        edit("X-Client", vec![variable(Variable::ClientIp)]),
        edit("X-Copy", vec![of("header", "x-a")]),
    ])
    .unwrap();
    group.bench_function("four header edits", |b| {
        b.iter(|| {
            out.clear();
            edits.write(black_box(&values), &mut out);
        });
    });
    group.bench_function("twelve names that no edit removes", |b| {
        let names: Vec<&[u8]> = vec![
            b"Host",
            b"User-Agent",
            b"Accept",
            b"Accept-Encoding",
            b"Accept-Language",
            b"Cookie",
            b"Cache-Control",
            b"Referer",
            b"X-Real",
            b"X-Tram",
            b"Origin",
            b"Priority",
        ];
        b.iter(|| names.iter().filter(|name| edits.removes(black_box(name))).count());
    });
    let head = head("GET", "/v1/items/a%20b?x=1", &[]);
    for (name, path) in [
        ("prefix replaced", PathRewrite::Prefix { with: "/".into() }),
        ("pattern replaced", PathRewrite::Regex { pattern: "^/v1/(.*)$".into(), with: "/$1".into() }),
    ] {
        let rewriter = Rewriter::compile(&Rewrite { path: Some(path), host: None, query: None }).unwrap();
        group.bench_function(name, |b| {
            b.iter(|| {
                out.clear();
                rewriter.rewrite_target(black_box(&head), b"/v1/items/a b", 3, &values, &mut out)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, find, normalise, render);
criterion_main!(benches);
