//! What an upstream gets as its target and its host.
#![allow(clippy::unwrap_used)] // a failure here is a failed test

mod support;

use proptest::{collection::vec, prelude::*, sample::select};
use support::{Values, head, of, text, variable};
use tidegate_message::RequestHead;
use tidegate_plan::{PathRewrite, Rewrite, Template, Variable};
use tidegate_route::{PathRefusal, Rewriter, normalise_path};

fn rewriter(path: Option<PathRewrite>, query: Option<Template>) -> Rewriter {
    Rewriter::compile(&Rewrite { path, host: None, query }).unwrap()
}

fn replaced_by(with: &str) -> Option<PathRewrite> {
    Some(PathRewrite::Prefix { with: with.into() })
}

fn templated(parts: Template) -> Option<PathRewrite> {
    Some(PathRewrite::Template { template: parts })
}

fn pattern(pattern: &str, with: &str) -> Option<PathRewrite> {
    Some(PathRewrite::Regex { pattern: pattern.into(), with: with.into() })
}

/// The target that `rewriter` makes of a request's, after what is in the buffer already.
fn target(
    rewriter: &Rewriter,
    head: &RequestHead,
    prefix_len: usize,
    values: Values<'_>,
) -> Result<String, PathRefusal> {
    let mut room = Vec::new();
    let path = normalise_path(head.slice(head.path), true, &mut room)?;
    let values = Values { path, query: head.slice(head.query), ..values };
    let mut out = b"GET ".to_vec();
    let written = rewriter.rewrite_target(head, path, prefix_len, &values, &mut out);
    let text = String::from_utf8(out.strip_prefix(b"GET ").unwrap().to_vec()).unwrap();
    assert!(written.is_ok() || text.is_empty());
    written.map(|()| text)
}

fn simple(rewriter: &Rewriter, uri: &str, prefix_len: usize) -> Result<String, PathRefusal> {
    target(rewriter, &head("GET", uri, &[]), prefix_len, Values::default())
}

#[test]
fn a_prefix_is_replaced_and_the_seam_has_one_slash() {
    for (prefix, with, uri, expected) in [
        ("/v1", "/", "/v1/x/y", "/x/y"),
        ("/v1", "/", "/v1", "/"),
        ("/v1", "/", "/v1/", "/"),
        ("/v1", "/api", "/v1/x", "/api/x"),
        ("/v1", "/api", "/v1", "/api"),
        ("/v1", "/api/", "/v1/x", "/api/x"),
        ("/v1", "/api/", "/v1", "/api/"),
        ("/v1/", "/api", "/v1/x", "/api/x"),
        ("/v1/", "/api", "/v1/", "/api"),
        ("/v1/", "/", "/v1/x?a=1", "/x?a=1"),
        ("/", "/api", "/x", "/api/x"),
        ("/", "/api/", "/", "/api/"),
        ("/", "/", "/x?", "/x?"),
        ("", "/api", "/x", "/api/x"),
    ] {
        let written = simple(&rewriter(replaced_by(with), None), uri, prefix.len());
        assert_eq!(written.as_deref(), Ok(expected), "{prefix} by {with}: {uri}");
    }
}

#[test]
fn what_is_behind_a_replaced_prefix_keeps_the_clients_spelling() {
    let rewriter = rewriter(replaced_by("/api"), None);
    for (uri, expected) in [
        ("/v1/a%20b/%2fc/%c3%a9/x+y%2By", "/api/a%20b/%2fc/%c3%a9/x+y%2By"),
        ("/v1/%252e%252e/%25", "/api/%252e%252e/%25"),
        ("/%76%31/a%3Db", "/api/a%3Db"),
        ("/v1/a\"b|c", "/api/a%22b%7Cc"),
        ("/v1/%5C", "/api/%5C"),
    ] {
        assert_eq!(simple(&rewriter, uri, 3).as_deref(), Ok(expected), "{uri}");
    }
}

#[test]
fn what_had_to_be_resolved_is_encoded_anew() {
    let rewriter = rewriter(replaced_by("/api"), None);
    for (uri, expected) in [
        ("/x/../v1/a%20b%2fc", "/api/a%20b%2Fc"),
        ("//v1//a%3fb%23c", "/api/a%3Fb%23c"),
        ("/v1/%2e/%25/é", "/api/%25/%C3%A9"),
        ("/./v1/a%3Db;c", "/api/a=b;c"),
        ("/./v1/a%0d%0aX:%20y", "/api/a%0D%0AX:%20y"),
    ] {
        assert_eq!(simple(&rewriter, uri, 3).as_deref(), Ok(expected), "{uri}");
    }
}

#[test]
fn a_new_query_alone_leaves_the_paths_own_bytes() {
    let rewriter = rewriter(None, Some(vec![text("k=1")]));
    assert_eq!(simple(&rewriter, "/%7Eann//x/../%2e?old", 0).as_deref(), Ok("/%7Eann//x/../%2e?k=1"));
}

#[test]
fn an_empty_new_query_takes_the_question_mark_with_it() {
    assert_eq!(simple(&rewriter(None, Some(vec![])), "/a?b=c", 0).as_deref(), Ok("/a"));
    assert_eq!(simple(&rewriter(None, Some(vec![of("query", "x")])), "/a?b=c", 0).as_deref(), Ok("/a"));
}

#[test]
fn a_variable_in_a_query_stays_within_its_value() {
    let template =
        vec![variable(Variable::Query), text("&q="), of("query", "q"), text("&p="), variable(Variable::Path)];
    let rewriter = rewriter(None, Some(template));
    let written = simple(&rewriter, "/a&b%2F%20c?q=1%26admin%3D1%23x%25+y&z=\"", 0);
    assert_eq!(
        written.as_deref(),
        Ok("/a&b%2F%20c?q=1%26admin%3D1%23x%25+y&z=%22&q=1%26admin%3D1%23x%25%20y&p=/a%26b%2F%20c")
    );
}

#[test]
fn a_variable_in_a_path_stays_within_its_segment() {
    let template = vec![text("/t/"), of("header", "X-Tenant"), text("/"), of("cookie", "c"), text("?#%20")];
    let values = || Values {
        headers: vec![("x-tenant", b"a/../b?c#d%2F")],
        cookies: vec![("c", b"\r\nX: y")],
        ..Values::default()
    };
    let head = head("GET", "/x", &[]);
    let written = target(&rewriter(templated(template.clone()), None), &head, 0, values());
    // A segment that some servers take apart at `%2F`.
    assert_eq!(written, Err(PathRefusal::RewrittenDots));
    let values = Values { headers: vec![("x-tenant", b"a/b?c#d%2F")], ..values() };
    let written = target(&rewriter(templated(template), None), &head, 0, values);
    assert_eq!(written.as_deref(), Ok("/t/a%2Fb%3Fc%23d%252F/%0D%0AX:%20y%3F%23%20"));
}

#[test]
fn a_path_that_does_not_begin_with_a_slash_gets_one() {
    let rewriter = rewriter(templated(vec![of("query", "to")]), Some(vec![]));
    assert_eq!(simple(&rewriter, "/x?to=", 0).as_deref(), Ok("/"));
    assert_eq!(simple(&rewriter, "/x?to=a", 0).as_deref(), Ok("/a"));
}

#[test]
fn the_path_and_its_captures_keep_separators_and_escapes() {
    let template = vec![text("/new"), variable(Variable::Path), text("/"), of("capture", "rest")];
    let values = Values { captured: vec![("rest", b"a/%2Fb \xc3\xa9%25")], ..Values::default() };
    let written = target(&rewriter(templated(template), None), &head("GET", "/x/%2fy%20z", &[]), 0, values);
    assert_eq!(written.as_deref(), Ok("/new/x/%2Fy%20z/a/%2Fb%20%C3%A9%25"));
}

#[test]
fn dots_that_a_rewrite_puts_together_are_refused() {
    for (rule, uri) in [
        (pattern("^/a(.*)", "/data/$1"), "/a../secret"),
        (pattern("x", "."), "/a/xx/b"),
        (pattern("x", "."), "/a/x"),
        (pattern("[0-9]", ""), "/a/.1./b"),
        (templated(vec![text("/f/"), of("query", "f")]), "/x?f=.."),
        (templated(vec![text("/f/"), of("query", "f")]), "/x?f=..%5cb"),
        (templated(vec![text("/f/"), of("query", "f")]), "/x?f=..;b"),
        (templated(vec![text("/f/"), of("query", "f"), text("./x")]), "/x?f=."),
    ] {
        assert_eq!(
            simple(&rewriter(rule.clone(), None), uri, 0),
            Err(PathRefusal::RewrittenDots),
            "{rule:?}"
        );
    }
    let rule = templated(vec![text("/f/"), of("query", "f")]);
    assert_eq!(simple(&rewriter(rule.clone(), None), "/x?f=a%00b", 0), Err(PathRefusal::Nul));
    assert_eq!(
        simple(&rewriter(rule, None), "/x?f=%252e%252e", 0).as_deref(),
        Ok("/f/%252e%252e?f=%252e%252e")
    );
}

#[test]
fn every_match_of_a_pattern_is_replaced() {
    for (rule, uri, expected) in [
        (pattern("^/old/(?P<rest>.*)$", "/new/${rest}"), "/old/a/b?x", "/new/a/b?x"),
        (pattern("_", "-"), "/a_b_c", "/a-b-c"),
        (pattern("^/([^/]+)/([^/]+)", "/$2/$1"), "/a/b/c", "/b/a/c"),
        (pattern("a*", "x"), "/baac", "/x/xbxcx"),
        (pattern("nothing", "x"), "/a b%2f", "/a%20b%2F"),
        (pattern("^/(a)?b", "/[$1]$$"), "/b", "/%5B%5D$"),
    ] {
        let uri = uri.replace(' ', "%20");
        let written = simple(&rewriter(rule.clone(), None), &uri, 0);
        assert_eq!(written.as_deref(), Ok(expected), "{rule:?}");
    }
}

#[test]
fn a_rewrite_that_cannot_be_written_says_where_and_why() {
    let why = |path: Option<PathRewrite>| {
        let (at, why) = Rewriter::compile(&Rewrite { path, host: None, query: None }).unwrap_err();
        format!("{at}: {why}")
    };
    for (rule, expected) in [
        (replaced_by("api"), "rewrite.path.with: `api` must begin with `/`"),
        (replaced_by("/a/../b"), "rewrite.path.with: `/a/../b` must be without"),
        (replaced_by("/%2e%2E/b"), "rewrite.path.with: `/%2e%2E/b` must be without"),
        (pattern("(", ""), "rewrite.path.pattern: not a pattern: unclosed group"),
        (pattern("(a)", "$2"), "rewrite.path.with: there is no group 2; the pattern has 1"),
        (pattern("(a)", "$1b"), "rewrite.path.with: no group is called `1b`; write `${1}x`"),
        (pattern(&"(a)".repeat(40), ""), "rewrite.path.pattern: has more than 31 groups"),
        (templated(vec![of("header", "a b")]), "rewrite.path.template: `a b` is no field name"),
        (templated(vec![of("capture", "")]), "rewrite.path.template: a capture variable needs a name"),
    ] {
        let said = why(rule);
        assert!(said.starts_with(expected), "{said}");
    }
}

#[test]
fn a_host_is_written_only_where_it_is_one() {
    let rewriter = |host| Rewriter::compile(&Rewrite { path: None, host, query: None }).unwrap();
    let written = |parts: Template, sent: &[u8]| {
        let mut out = b"Host: ".to_vec();
        let values = Values { headers: vec![("x", sent)], ..Values::default() };
        let is_host = rewriter(Some(parts)).write_host(&values, &mut out);
        assert_eq!(is_host, out.len() > 6);
        String::from_utf8(out[6..].to_vec()).unwrap()
    };
    let parts = || vec![of("header", "x"), text(".internal:8080")];
    assert_eq!(written(parts(), b"blue"), "blue.internal:8080");
    for sent in [&b"a b"[..], b"a/b", b"a\r\nX: y", b"a@b", b"\xff", b"a\0"] {
        assert_eq!(written(parts(), sent), "", "{sent:?}");
    }
    assert_eq!(written(vec![of("header", "x")], b""), "");
    assert!(!rewriter(None).write_host(&Values::default(), &mut Vec::new()));
    assert!(!rewriter(None).rewrites_target());
}

fn is_path(path: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(&byte);
    let escapes = path
        .split('%')
        .skip(1)
        .all(|behind| behind.len() >= 2 && behind.bytes().take(2).all(|digit| digit.is_ascii_hexdigit()));
    path.starts_with('/') && path.bytes().all(allowed) && escapes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_in_a_rewritten_target_is_valid_and_has_no_dots(
        uri in vec(select(&["/", "a", "..", ".", "%2e", "%2f", "%25", "%", ";", "\\", "é", "?", "f=", "&", "%00", "%0a", " "][..]), 0..10),
        sent in vec(any::<u8>(), 0..8),
        rule in 0..4,
    ) {
        let parts = vec![text("/t/"), of("header", "x"), text("/"), of("query", "f"), of("capture", "c"), variable(Variable::Path)];
        let rule = match rule {
            0 => replaced_by("/api"),
            1 => pattern("a|;", "$0."),
            2 => pattern("(?P<c>[^/]*)", "${c}%2"),
            _ => templated(parts.clone()),
        };
        let uri = format!("/{}", uri.concat());
        let values = Values { headers: vec![("x", &sent)], captured: vec![("c", &sent)], ..Values::default() };
        let rewriter = rewriter(rule, Some(parts));
        if let Ok(written) = target(&rewriter, &head("GET", &uri, &[]), 1, values) {
            let (path, query) = written.split_once('?').unwrap();
            prop_assert!(is_path(path), "{}", written);
            prop_assert!(is_path(&format!("/{}", query.replace('?', ""))), "{}", written);
            let mut room = Vec::new();
            let again = normalise_path(path.as_bytes(), false, &mut room);
            prop_assert!(again.is_ok_and(|again| again.iter().filter(|byte| **byte == b'/').count()
                == path.matches('/').count()), "{}", written);
        }
    }

    #[test]
    fn matches_are_replaced_as_the_regex_crate_does(
        rule in select(&[("a*", "x"), ("", "-"), ("(a)(b)?", "[$2$1]"), ("b|^", "<$0>"), ("/(?P<n>.)", "/${n}_"), ("a$", "z"), (r"\b", "|"), ("(?:)$", "!")][..]),
        path in "/[ab/é]{0,12}",
    ) {
        // One text per byte, as patterns see it here.
        let oracle = regex::bytes::RegexBuilder::new(rule.0).unicode(false).build().unwrap();
        let plain: String = path.chars().filter(char::is_ascii).collect();
        let mut expected = String::from_utf8(oracle.replace_all(plain.as_bytes(), rule.1.as_bytes()).to_vec()).unwrap();
        if !expected.starts_with('/') {
            expected.insert(0, '/');
        }
        for (byte, escape) in [("[", "%5B"), ("]", "%5D"), ("<", "%3C"), (">", "%3E"), ("|", "%7C")] {
            expected = expected.replace(byte, escape);
        }
        let head = head("GET", &plain, &[]);
        let mut out = Vec::new();
        let rewriter = rewriter(pattern(rule.0, rule.1), None);
        rewriter.rewrite_target(&head, plain.as_bytes(), 0, &Values::default(), &mut out).unwrap();
        prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_kept_rest_and_an_encoded_one_name_the_same_path(
        pieces in vec(select(&["/", "a", "b.c", "%2f", "%25", "%41", "%20", ";", "é", "%c3%a9", "%0a", "+", "..", "//", "."][..]), 0..10),
    ) {
        let uri = format!("/v1/{}", pieces.concat());
        let mut room = Vec::new();
        let Ok(path) = normalise_path(uri.as_bytes(), true, &mut room) else { return Ok(()) };
        prop_assume!(path.starts_with(b"/v1/"));
        let written = simple(&rewriter(replaced_by("/v1"), None), &uri, 3).unwrap();
        let mut again = Vec::new();
        prop_assert_eq!(normalise_path(written.as_bytes(), true, &mut again).unwrap(), path);
    }
}
