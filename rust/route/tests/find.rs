//! Which route wins: hosts, paths, patterns, further conditions, and what a route caught.
#![allow(clippy::unwrap_used)] // a failure here is a failed test

mod support;

use support::{exact, find, head, matches, prefix, regex, route, router, value, value_is};
use tidegate_plan::{Matches, ValueTest};
use tidegate_route::{Captures, Found};

#[test]
fn a_prefix_matches_by_whole_segments() {
    let router = router(&[matches(&[], prefix("/v1"))]).unwrap();
    for (path, expected) in
        [("/v1", Some(0)), ("/v1/", Some(0)), ("/v1/x", Some(0)), ("/v10", None), ("/v", None), ("/", None)]
    {
        assert_eq!(route(&router, "a", path), expected, "{path}");
    }
}

#[test]
fn a_prefix_with_a_slash_takes_only_what_is_below() {
    let router = router(&[matches(&[], prefix("/v1/"))]).unwrap();
    for (path, expected) in [("/v1", None), ("/v1/", Some(0)), ("/v1/x", Some(0)), ("/v1x", None)] {
        assert_eq!(route(&router, "a", path), expected, "{path}");
    }
}

#[test]
fn the_longest_prefix_wins_wherever_it_is_written() {
    let routes = ["/", "/a/b", "/a", "/a/", "/a/b/c/"].map(|path| matches(&[], prefix(path)));
    let router = router(&routes).unwrap();
    for (path, expected) in [
        ("/x", 0),
        ("/a", 2),
        ("/a/", 3),
        ("/a/x", 3),
        ("/a/b", 1),
        ("/a/b/c", 1),
        ("/a/b/c/", 4),
        ("/a/b/c/d", 4),
    ] {
        assert_eq!(route(&router, "a", path), Some(expected), "{path}");
    }
}

#[test]
fn the_length_that_a_path_condition_took_is_told() {
    let router = router(&[
        matches(&[], prefix("/a")),
        matches(&[], prefix("/b/")),
        matches(&[], exact("/c/d")),
        matches(&[], regex("^/e")),
        matches(&[], prefix("/")),
    ])
    .unwrap();
    for (path, route, prefix_len) in
        [("/a/x", 0, 2), ("/a", 0, 2), ("/b/x", 1, 3), ("/c/d", 2, 4), ("/e/f", 3, 0), ("/x", 4, 1)]
    {
        let found = find(&router, &head("GET", path, &[]), "a", &mut Captures::default());
        assert_eq!(found, Some(Found { route, prefix_len }), "{path}");
    }
}

#[test]
fn an_exact_path_comes_before_a_pattern_and_a_pattern_before_a_prefix() {
    let router = router(&[
        matches(&[], prefix("/a/b/c")),
        matches(&[], regex("^/a/.*")),
        matches(&[], regex("^/a/b")),
        matches(&[], exact("/a/b")),
    ])
    .unwrap();
    assert_eq!(route(&router, "h", "/a/b"), Some(3));
    assert_eq!(route(&router, "h", "/a/b/c"), Some(1));
    assert_eq!(route(&router, "h", "/a/b/c/d"), Some(1));
}

#[test]
fn the_most_specific_host_that_has_a_matching_route_wins() {
    let router = router(&[
        matches(&[], prefix("/")),
        matches(&["*.example.com"], prefix("/")),
        matches(&["*.eu.example.com"], prefix("/eu")),
        matches(&["api.eu.example.com"], exact("/only")),
    ])
    .unwrap();
    for (host, path, expected) in [
        ("api.eu.example.com", "/only", 3),
        ("api.eu.example.com", "/eu/x", 2),
        ("api.eu.example.com", "/x", 1),
        ("x.eu.example.com", "/only", 1),
        ("a.b.c.example.com", "/x", 1),
        ("example.com", "/x", 0),
        ("notexample.com", "/x", 0),
        (".example.com", "/x", 0),
        ("", "/x", 0),
    ] {
        assert_eq!(route(&router, host, path), Some(expected), "{host}{path}");
    }
}

#[test]
fn a_route_stands_under_each_of_its_hosts() {
    let router = router(&[
        matches(&["a.test", "b.test", "*.c.test", "a.test"], prefix("/")),
        matches(&["b.test"], prefix("/x")),
    ])
    .unwrap();
    assert_eq!(route(&router, "a.test", "/x"), Some(0));
    assert_eq!(route(&router, "b.test", "/x"), Some(1));
    assert_eq!(route(&router, "x.c.test", "/x"), Some(0));
    assert_eq!(route(&router, "c.test", "/x"), None);
}

#[test]
fn more_conditions_win_and_then_written_order() {
    let post = Matches { methods: vec!["POST".into()], ..matches(&[], exact("/a")) };
    let posted_team = Matches {
        methods: vec!["POST".into()],
        headers: vec![value_is("X-Team", "core")],
        ..matches(&[], exact("/a"))
    };
    let later = Matches { headers: vec![value_is("x-team", "core")], ..matches(&[], exact("/a")) };
    let router =
        router(&[matches(&[], exact("/a")), post, posted_team, later, matches(&[], exact("/a"))]).unwrap();
    let asked = |method: &str, fields: &[(&str, &str)]| {
        find(&router, &head(method, "/a", fields), "h", &mut Captures::default()).map(|found| found.route)
    };
    assert_eq!(asked("GET", &[]), Some(0));
    assert_eq!(asked("POST", &[]), Some(1));
    assert_eq!(asked("POST", &[("X-Team", "core")]), Some(2));
    assert_eq!(asked("GET", &[("X-Team", "core")]), Some(3));
    assert_eq!(asked("post", &[]), Some(0));
}

#[test]
fn a_shorter_prefix_is_taken_where_the_conditions_of_a_longer_one_fail() {
    let router = router(&[
        matches(&[], prefix("/")),
        Matches { methods: vec!["PUT".into(), "PURGE".into()], ..matches(&[], prefix("/a")) },
    ])
    .unwrap();
    let asked = |method| {
        find(&router, &head(method, "/a/b", &[]), "h", &mut Captures::default()).map(|found| found.route)
    };
    assert_eq!(asked("PUT"), Some(1));
    assert_eq!(asked("PURGE"), Some(1));
    assert_eq!(asked("GET"), Some(0));
}

#[test]
fn routes_that_share_a_pattern_stand_where_it_was_first_written() {
    let router = router(&[
        matches(&[], regex("^/a")),
        matches(&[], regex("^/a/b")),
        Matches { methods: vec!["POST".into()], ..matches(&[], regex("^/a")) },
    ])
    .unwrap();
    let asked = |method| {
        find(&router, &head(method, "/a/b", &[]), "h", &mut Captures::default()).map(|found| found.route)
    };
    assert_eq!(asked("GET"), Some(0));
    assert_eq!(asked("POST"), Some(2));
}

#[test]
fn a_field_in_several_lines_meets_a_condition_by_any_of_them() {
    let conditions = [
        ("exact", ValueTest::Exact { value: "b".into() }),
        ("regex", ValueTest::Regex { value: "^b.$".into() }),
        ("present", ValueTest::Present),
        ("absent", ValueTest::Absent),
    ];
    let holds = |test: &ValueTest, fields: &[(&str, &str)]| {
        let route = Matches { headers: vec![value("x-k", test.clone())], ..matches(&[], prefix("/")) };
        find(&router(&[route]).unwrap(), &head("GET", "/", fields), "h", &mut Captures::default()).is_some()
    };
    for (kind, test) in &conditions {
        let seen = [
            holds(test, &[]),
            holds(test, &[("X-K", "a"), ("X-k", "b")]),
            holds(test, &[("X-K", "bb"), ("X-K", "c")]),
        ];
        let expected = match *kind {
            "exact" => [false, true, false],
            "regex" => [false, false, true],
            "present" => [false, true, true],
            _ => [true, false, false],
        };
        assert_eq!(seen, expected, "{kind}");
    }
}

#[test]
fn a_condition_on_a_field_the_gateway_knows_does_not_take_another() {
    let route =
        Matches { headers: vec![value("user-agent", ValueTest::Present)], ..matches(&[], prefix("/")) };
    let router = router(&[route]).unwrap();
    let asked =
        |fields: &[(&str, &str)]| find(&router, &head("GET", "/", fields), "h", &mut Captures::default());
    assert!(asked(&[("User-Agent", "x")]).is_some());
    assert!(asked(&[("User_Agent", "x"), ("Referer", "x")]).is_none());
}

#[test]
fn of_a_query_parameter_the_first_counts_decoded() {
    let holds = |test: ValueTest, target: &str| {
        let route = Matches { query: vec![value("a b", test)], ..matches(&[], prefix("/")) };
        find(&router(&[route]).unwrap(), &head("GET", target, &[]), "h", &mut Captures::default()).is_some()
    };
    let is = |text: &str| ValueTest::Exact { value: text.into() };
    assert!(holds(is("x y"), "/?a+b=x%20y&a+b=z"));
    assert!(!holds(is("z"), "/?a+b=x%20y&a+b=z"));
    assert!(holds(ValueTest::Regex { value: "^x y$".into() }, "/?c=1&a%20b=x+y"));
    assert!(!holds(ValueTest::Regex { value: "x".into() }, "/?c=x"));
    assert!(holds(ValueTest::Present, "/?a%20b"));
    assert!(!holds(ValueTest::Present, "/?a"));
    assert!(holds(ValueTest::Absent, "/"));
    assert!(!holds(ValueTest::Absent, "/?a+b"));
}

#[test]
fn groups_are_caught_by_number_and_by_name_and_the_wildcard_as_host() {
    let router = router(&[matches(&["*.example.com"], regex("^/u/(?P<user>[^/]+)(/x)?"))]).unwrap();
    let mut captures = Captures::default();
    let head = head("GET", "/u/ann/posts", &[]);
    assert!(find(&router, &head, "eu.api.example.com", &mut captures).is_some());
    assert_eq!(captures.get("0"), Some(&b"/u/ann"[..]));
    assert_eq!(captures.get("1"), Some(&b"ann"[..]));
    assert_eq!(captures.get("user"), Some(&b"ann"[..]));
    assert_eq!(captures.get("2"), None);
    assert_eq!(captures.get("3"), None);
    assert_eq!(captures.get("18446744073709551615"), None);
    assert_eq!(captures.get("nobody"), None);
    assert_eq!(captures.get("host"), Some(&b"eu.api"[..]));
}

#[test]
fn nothing_of_a_pattern_that_did_not_win_is_left() {
    let router = router(&[
        Matches { methods: vec!["POST".into()], ..matches(&["*.test"], regex("^/(a)")) },
        matches(&["*.test"], prefix("/a")),
        matches(&[], prefix("/")),
    ])
    .unwrap();
    let mut captures = Captures::default();
    assert_eq!(
        find(&router, &head("POST", "/a", &[]), "x.test", &mut captures).map(|found| found.route),
        Some(0)
    );
    assert_eq!(captures.get("1"), Some(&b"a"[..]));
    assert_eq!(
        find(&router, &head("GET", "/a", &[]), "x.test", &mut captures).map(|found| found.route),
        Some(1)
    );
    assert_eq!((captures.get("0"), captures.get("1")), (None, None));
    assert_eq!(captures.get("host"), Some(&b"x"[..]));
    assert_eq!(
        find(&router, &head("GET", "/b", &[]), "x.test", &mut captures).map(|found| found.route),
        Some(2)
    );
    assert_eq!(captures.get("host"), None);
}

#[test]
fn a_configured_path_may_be_spelled_in_any_way_that_a_url_may() {
    let router = router(&[
        matches(&[], exact("/caf%C3%A9")),
        matches(&[], prefix("/a%20b")),
        matches(&[], exact("/x%2fy")),
    ])
    .unwrap();
    assert_eq!(route(&router, "h", "/café"), Some(0));
    assert_eq!(route(&router, "h", "/a b/c"), Some(1));
    assert_eq!(route(&router, "h", "/x%2Fy"), Some(2));
}

#[test]
fn what_cannot_be_looked_up_says_where_and_why() {
    let bad = |matches: Matches| {
        let error = router(&[support::matches(&[], prefix("/")), matches]).unwrap_err();
        assert_eq!(error.route, 1);
        assert!(!error.why.contains('\n'));
        format!("{}: {}", error.path, error.why)
    };
    let any = || matches(&[], prefix("/"));
    for (matches, expected) in [
        (matches(&[], regex("^/(")), "matches.path.value: not a pattern: unclosed group, at character 3"),
        (matches(&[], prefix("v1")), "matches.path.value: `v1` must begin with `/`"),
        (
            matches(&[], exact("/100%")),
            "matches.path.value: `/100%`: a percent sign begins an escape; write `%25`",
        ),
        (matches(&[], exact("/../a")), "matches.path.value: `/../a` never matches"),
        (matches(&["a", "A.test"], prefix("/")), "matches.hosts[1]: `A.test` must be in lower case"),
        (matches(&["a:80"], prefix("/")), "matches.hosts[0]: `a:80` must be"),
        (matches(&[""], prefix("/")), "matches.hosts[0]: "),
        (matches(&["*"], prefix("/")), "matches.hosts[0]: `*`: a `*` stands for whole labels in front"),
        (matches(&["*a.test"], prefix("/")), "matches.hosts[0]: `*a.test`: a `*`"),
        (matches(&["a.*.test"], prefix("/")), "matches.hosts[0]: `a.*.test`: a `*`"),
        (
            matches(&["bücher.test"], prefix("/")),
            "matches.hosts[0]: `bücher.test` must be written as it is sent",
        ),
        (Matches { methods: vec!["GET ".into()], ..any() }, "matches.methods[0]: `GET ` is no method's name"),
        (
            Matches { headers: vec![value_is("a:b", "c")], ..any() },
            "matches.headers[0].name: `a:b` is no field name",
        ),
        (
            Matches { query: vec![value("a", ValueTest::Regex { value: "[".into() })], ..any() },
            "matches.query[0].test.value: not a pattern",
        ),
    ] {
        let said = bad(matches);
        assert!(said.starts_with(expected), "{said}");
    }
}

#[test]
fn a_router_without_routes_finds_nothing() {
    assert_eq!(route(&router(&[]).unwrap(), "a", "/"), None);
}

#[test]
fn a_path_of_nothing_but_slashes_is_found_and_not_a_burden() {
    let router = router(&[matches(&[], prefix("/")), matches(&[], prefix("/a/b/c"))]).unwrap();
    assert_eq!(route(&router, "h", &"/".repeat(8000)), Some(0));
    assert_eq!(route(&router, &".".repeat(8000), "/a/b/c"), Some(1));
}
