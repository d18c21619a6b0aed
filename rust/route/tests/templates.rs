//! What templates and header edits write.
#![allow(clippy::unwrap_used)] // a failure here is a failed test

mod support;

use support::{Values, compiled, of, text, variable};
use tidegate_plan::{EditKind, HeaderEdit, Template, Variable};
use tidegate_route::{HeaderEdits, Variables};

fn edit(kind: EditKind, name: &str, value: Template) -> HeaderEdit {
    HeaderEdit { kind, name: name.into(), value }
}

fn written(edits: &[HeaderEdit], values: &Values<'_>) -> String {
    let mut out = Vec::new();
    HeaderEdits::compile(edits).unwrap().write(values, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn parts_are_written_one_after_the_other() {
    let template = compiled(vec![
        text("ip="),
        variable(Variable::ClientIp),
        text(" h="),
        of("header", "X-A"),
        text(" q="),
        of("query", "q"),
        text(" c="),
        of("cookie", "sid"),
        text(" g="),
        of("capture", "1"),
        variable(Variable::Dollar),
        of("header", "absent"),
        of("capture", "2"),
    ]);
    let values = Values {
        query: b"q=a%20b",
        headers: vec![("x-a", b"1")],
        cookies: vec![("sid", b"s")],
        captured: vec![("1", b"one")],
        ..Values::default()
    };
    let mut out = b">".to_vec();
    template.render(&values, &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), ">ip=192.0.2.7 h=1 q=a b c=s g=one$");
    assert_eq!(template.as_constant(), None);
}

#[test]
fn a_template_without_variables_is_a_constant() {
    assert_eq!(compiled(vec![]).as_constant(), Some(&b""[..]));
    assert_eq!(compiled(vec![text("a"), text(""), text("b")]).as_constant(), Some(&b"ab"[..]));
    assert_eq!(compiled(vec![text("5"), variable(Variable::Dollar)]).as_constant(), Some(&b"5$"[..]));
    assert_eq!(compiled(vec![variable(Variable::Host)]).as_constant(), None);
}

#[test]
fn a_template_may_be_rendered_from_a_trait_object() {
    let values: &dyn Variables = &Values::default();
    let mut out = Vec::new();
    compiled(vec![variable(Variable::Host)]).render(values, &mut out);
    assert_eq!(out, b"api.example.com");
}

#[test]
fn a_line_break_never_leaves_in_a_field_value() {
    let template = compiled(vec![text("https://x"), variable(Variable::Path), of("query", "next")]);
    let values =
        Values { path: b"/a\rb", query: b"next=%0d%0aSet-Cookie:%20a=b%00%7f%09c", ..Values::default() };
    let mut out = b"Location: ".to_vec();
    template.render_value(&values, &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), "Location: https://x/abSet-Cookie: a=b\tc");
    let mut body = Vec::new();
    compiled(vec![text("a\nb")]).render(&values, &mut body);
    assert_eq!(body, b"a\nb");
}

#[test]
fn a_location_names_what_the_path_named() {
    let template = compiled(vec![
        text("https://"),
        variable(Variable::Host),
        variable(Variable::Path),
        text("?"),
        variable(Variable::Query),
        text("#x"),
    ]);
    let values = Values { path: "/a?b#c é%2F%25".as_bytes(), query: b"q=%20&r=\"", ..Values::default() };
    let mut out = b"Location: ".to_vec();
    template.render_location(&values, &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "Location: https://api.example.com/a%3Fb%23c%20%C3%A9%2F%25?q=%20&r=%22#x"
    );
}

#[test]
fn a_target_and_an_authority_stay_what_they_are_in_a_location() {
    let mut out = Vec::new();
    compiled(vec![text("https://"), variable(Variable::Authority), variable(Variable::RequestUri)])
        .render_location(&Values::default(), &mut out);
    assert_eq!(out, b"https://[::1]:8080/a%2fb?c=d&e");
}

#[test]
fn a_location_from_a_parameter_stays_one_line_and_one_reference() {
    let values =
        Values { query: b"to=https://x.test/a%20b?c=d%26e%0d%0aSet-Cookie:x%00", ..Values::default() };
    let mut out = Vec::new();
    compiled(vec![of("query", "to")]).render_location(&values, &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), "https://x.test/a%20b?c=d&e%0D%0ASet-Cookie:x%00");
}

#[test]
fn what_is_set_or_removed_is_skipped_and_what_is_added_is_not() {
    let edits = HeaderEdits::compile(&[
        edit(EditKind::Set, "X-Set", vec![text("1")]),
        edit(EditKind::Add, "X-Add", vec![text("2")]),
        edit(EditKind::Remove, "X-Remove", vec![]),
    ])
    .unwrap();
    for (name, expected) in [
        ("X-Set", true),
        ("x-set", true),
        ("X-REMOVE", true),
        ("X-Add", false),
        ("X-Sets", false),
        ("Y-Set", false),
        ("", false),
    ] {
        assert_eq!(edits.removes(name.as_bytes()), expected, "{name}");
    }
    assert!(!edits.is_empty());
    assert!(HeaderEdits::default().is_empty());
    let long = "x".repeat(200);
    let edits = HeaderEdits::compile(&[edit(EditKind::Remove, &long, vec![])]).unwrap();
    assert!(edits.removes(long.as_bytes()) && !edits.removes(&long.as_bytes()[1..]));
}

#[test]
fn edits_hold_in_their_order() {
    let one = |kind, value| edit(kind, "X-A", vec![text(value)]);
    let values = Values::default();
    for (edits, expected) in [
        (vec![one(EditKind::Set, "1"), one(EditKind::Add, "2")], "X-A: 1\r\nX-A: 2\r\n"),
        (vec![one(EditKind::Add, "1"), one(EditKind::Set, "2")], "X-A: 2\r\n"),
        (vec![one(EditKind::Set, "1"), edit(EditKind::Remove, "x-a", vec![])], ""),
        (vec![edit(EditKind::Remove, "x-a", vec![]), one(EditKind::Add, "1")], "X-A: 1\r\n"),
        (vec![one(EditKind::Set, "1"), edit(EditKind::Set, "x-A", vec![text("2")])], "x-A: 2\r\n"),
    ] {
        assert_eq!(written(&edits, &values), expected, "{edits:?}");
    }
}

#[test]
fn a_value_that_renders_to_nothing_writes_no_line() {
    let edits = [
        edit(EditKind::Set, "X-A", vec![]),
        edit(EditKind::Set, "X-B", vec![of("header", "absent")]),
        edit(EditKind::Add, "X-C", vec![of("header", "controls")]),
        edit(EditKind::Set, "X-D", vec![text("d")]),
    ];
    let values = Values { headers: vec![("controls", b"\r\n\0")], ..Values::default() };
    assert_eq!(written(&edits, &values), "X-D: d\r\n");
    assert!(HeaderEdits::compile(&edits).unwrap().removes(b"x-b"));
}

#[test]
fn one_edit_never_writes_two_lines() {
    let edits = [
        edit(EditKind::Set, "X-A", vec![text("a\r\nX-Evil: 1")]),
        edit(EditKind::Set, "X-B", vec![text("b "), of("header", "x")]),
    ];
    let values = Values { headers: vec![("x", b"\r\n\r\nGET / HTTP/1.1")], ..Values::default() };
    assert_eq!(written(&edits, &values), "X-A: aX-Evil: 1\r\nX-B: b GET / HTTP/1.1\r\n");
}

#[test]
fn names_that_frame_a_message_or_belong_to_a_connection_are_refused() {
    for name in [
        "Content-Length",
        "transfer-encoding",
        "Trailer",
        "Connection",
        "UPGRADE",
        "Keep-Alive",
        "Proxy-Connection",
        "TE",
        "HTTP2-Settings",
        "Host",
        "",
        "a b",
        "a:",
        "a\r\nb",
        "ü",
    ] {
        for kind in [EditKind::Set, EditKind::Add, EditKind::Remove] {
            let edits = [edit(EditKind::Add, "X-A", vec![]), edit(kind, name, vec![])];
            let (at, why) = HeaderEdits::compile(&edits).unwrap_err();
            assert_eq!(at, "[1].name", "{name}");
            assert!(name != "Host" || why.contains("rewrite.host"), "{why}");
        }
    }
    let (at, _) = HeaderEdits::compile(&[edit(EditKind::Set, "X", vec![of("header", "")])]).unwrap_err();
    assert_eq!(at, "[0].value");
}
