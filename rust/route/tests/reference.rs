//! The router against the rule of precedence, written down as a search over all routes.
#![allow(clippy::unwrap_used)] // a failure here is a failed test

mod support;

use proptest::{collection::vec, prelude::*, sample::select};
use support::{find, head, router, value_is};
use tidegate_message::RequestHead;
use tidegate_plan::{Matches, PathMatch};
use tidegate_route::Captures;

const HOSTS: [&str; 7] = [
    "example.com",
    "a.example.com",
    "b.a.example.com",
    "*.example.com",
    "*.a.example.com",
    "*.com",
    "x.test",
];
const PATHS: [&str; 14] = [
    "/",
    "/a",
    "/a/",
    "/a/b",
    "/a/b/",
    "/a/b/c",
    "/ab",
    "/b",
    "/b/a",
    "/a//",
    "/a//b",
    "//",
    "/long/er/path",
    "/%2F",
];
const PATTERNS: [&str; 8] = ["^/a", "b", "^/a/b$", "/b/?$", "^/(a|b)/", "c|^/b", "^//", "^"];

/// The rule, sentence by sentence.
fn expected(routes: &[Matches], host: &str, head: &RequestHead) -> Option<u32> {
    let mut levels: Vec<&str> = routes.iter().flat_map(|route| &route.hosts).map(String::as_str).collect();
    levels.retain(|pattern| match pattern.strip_prefix('*') {
        Some(rest) => host.len() > rest.len() && host.ends_with(rest),
        None => *pattern == host,
    });
    levels.sort_by_key(|pattern| (pattern.starts_with('*'), std::cmp::Reverse(pattern.len())));
    let here =
        |level: &str| in_order(routes, |route| route.hosts.iter().any(|pattern| pattern == level), head);
    levels.into_iter().find_map(here).or_else(|| in_order(routes, |route| route.hosts.is_empty(), head))
}

/// The best of the routes of one host.
fn in_order(routes: &[Matches], of_host: impl Fn(&Matches) -> bool, head: &RequestHead) -> Option<u32> {
    let path = std::str::from_utf8(head.slice(head.path)).unwrap();
    let here: Vec<(usize, &Matches)> =
        routes.iter().enumerate().filter(|(_, route)| of_host(route)).collect();
    let fitting = here.iter().filter_map(|(place, route)| {
        let first_written = here.iter().find(|(_, other)| other.path == route.path)?.0;
        let rank = match &route.path {
            PathMatch::Exact { value } => (value == path).then_some((0, 0)),
            PathMatch::Regex { value } => {
                regex::Regex::new(value).unwrap().is_match(path).then_some((1, first_written))
            }
            PathMatch::Prefix { value } => {
                let rest = path.strip_prefix(value.as_str());
                let ends = |rest: &str| rest.is_empty() || rest.starts_with('/') || value.ends_with('/');
                rest.is_some_and(ends).then(|| (2, 1000 - value.len()))
            }
        }?;
        Some((rank, 1000 - conditions_that_hold(route, head)?, *place as u32))
    });
    fitting.min().map(|(_, _, place)| place)
}

/// How many further conditions there are; `None` where one fails.
fn conditions_that_hold(route: &Matches, head: &RequestHead) -> Option<usize> {
    let method = head.slice(head.method_name);
    let method_holds = route.methods.is_empty() || route.methods.iter().any(|name| name.as_bytes() == method);
    let team_holds = route.headers.is_empty() || head.field(b"x-team") == Some(b"core");
    let debug_holds = route.query.is_empty() || head.slice(head.query).ends_with(b"debug=1");
    (method_holds && team_holds && debug_holds)
        .then(|| usize::from(!route.methods.is_empty()) + route.headers.len() + route.query.len())
}

fn any_route() -> impl Strategy<Value = Matches> {
    let path = prop_oneof![
        4 => select(&PATHS[..]).prop_map(support::prefix),
        2 => select(&PATHS[..]).prop_map(support::exact),
        2 => select(&PATTERNS[..]).prop_map(support::regex),
    ];
    let methods = prop_oneof![3 => Just(vec![]), 1 => vec(select(&["GET", "POST", "PURGE"][..]), 1..3)];
    (vec(select(&HOSTS[..]), 0..3), path, methods, any::<[bool; 4]>()).prop_map(
        |(hosts, path, methods, extra)| Matches {
            methods: methods.into_iter().map(Into::into).collect(),
            headers: if extra[0] && extra[1] { vec![value_is("X-Team", "core")] } else { vec![] },
            query: if extra[2] && extra[3] { vec![value_is("debug", "1")] } else { vec![] },
            ..support::matches(&hosts, path)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_router_finds_what_the_rule_says(
        routes in vec(any_route(), 0..24),
        asked in vec((
            select(&["example.com", "a.example.com", "b.a.example.com", "c.b.a.example.com", "com", "x.test", ""][..]),
            prop_oneof![select(&PATHS[..]).prop_map(String::from), "(/[abc]{0,2}){1,5}"],
            select(&["GET", "POST", "PURGE", "PUT"][..]),
            any::<bool>(),
            any::<bool>(),
        ), 1..24),
    ) {
        let router = router(&routes).unwrap();
        let mut captures = Captures::default();
        for (host, path, method, team, debug) in asked {
            let target = if debug { format!("{path}?x&debug=1") } else { path };
            let fields: &[(&str, &str)] = if team { &[("x-TEAM", "core")] } else { &[] };
            let head = head(method, &target, fields);
            let found = find(&router, &head, host, &mut captures).map(|found| found.route);
            prop_assert_eq!(found, expected(&routes, host, &head), "{} {}{} {:?}", method, host, target, routes);
        }
    }
}
