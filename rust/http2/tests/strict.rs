//! What is malformed never becomes text: every rule by its name.

mod support;

use support::read_all;
use support::wire::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GET, GOAWAY, HEADERS, PADDED, PING, PRIORITY, PUSH_PROMISE,
    RST_STREAM, SETTINGS, WINDOW_UPDATE, Wire, frame,
};
use tidegate_http2::{Connection, ErrorCode, Fault, Read, Reason, Role, Settings, Write};

fn server() -> Wire {
    Wire::new(Role::Server, Settings::default())
}

/// Sends a request head with these fields; the fault that it is refused for.
fn refused(fields: &[(&str, &str)]) -> Option<Fault> {
    refused_at(fields, true)
}

fn refused_at(fields: &[(&str, &str)], end: bool) -> Option<Fault> {
    let mut wire = server();
    wire.head(1, end, fields).expect("the connection goes on");
    let fault = wire.side.noted()?;
    assert_eq!(wire.side.accept(), None, "nothing of it is delivered");
    assert_eq!(wire.resets(), [(1, fault.code().0 as u8)]);
    assert!(!wire.side.has_streams());
    // The connection is as good as before, also the state of compression.
    wire.get(3, true).expect("the connection goes on");
    assert_eq!(wire.side.accept(), Some(3));
    Some(fault)
}

fn with(more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    GET.iter().chain(more).copied().collect()
}

#[test]
fn field_names_are_tokens_in_lower_case() {
    assert_eq!(refused(&with(&[("X-Upper", "a")])), Some(Fault::UppercaseName));
    for name in ["", "a b", "a\r\nb", "a\0", "a\u{e4}", "a,b", "a(b"] {
        let fields = [&GET[..], &[(name, "v")]].concat();
        assert_eq!(refused(&fields), Some(Fault::InvalidName), "{name:?}");
    }
    assert_eq!(refused(&with(&[("a:b", "v")])), Some(Fault::InvalidName));
}

#[test]
fn field_values_cannot_end_a_line() {
    for value in ["a\r\nhost: b", "a\n", "a\rb", "a\0b", "\u{1b}", "a\u{7f}", " a", "a ", "\ta"] {
        let fields = [&GET[..], &[("x", value)]].concat();
        assert_eq!(refused(&fields), Some(Fault::InvalidValue), "{value:?}");
    }
    for value in ["", "a b", "a\tb", "\u{e4}"] {
        let fields = [&GET[..], &[("x", value)]].concat();
        assert_eq!(refused(&fields), None, "{value:?}");
    }
}

#[test]
fn fields_of_a_connection_are_refused() {
    for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"] {
        let fields = [&GET[..], &[(name, "chunked")]].concat();
        assert_eq!(refused(&fields), Some(Fault::ConnectionField), "{name}");
    }
    assert_eq!(refused(&with(&[("te", "gzip")])), Some(Fault::InvalidTe));
    assert_eq!(refused(&with(&[("te", "trailers, deflate")])), Some(Fault::InvalidTe));
    assert_eq!(refused(&with(&[("te", "trailers")])), None);
}

#[test]
fn pseudo_header_fields_come_once_and_first_and_all() {
    assert_eq!(refused(&with(&[("a", "b"), (":path", "/")])), Some(Fault::PseudoAfterField));
    assert_eq!(refused(&with(&[(":path", "/x")])), Some(Fault::RepeatedPseudo));
    assert_eq!(refused(&with(&[(":method", "GET")])), Some(Fault::RepeatedPseudo));
    assert_eq!(refused(&with(&[(":status", "200")])), Some(Fault::UnknownPseudo));
    assert_eq!(refused(&with(&[(":other", "x")])), Some(Fault::UnknownPseudo));
    for missing in 0..3 {
        let fields: Vec<_> = (0..4).filter(|at| *at != missing).map(|at| GET[at]).collect();
        assert_eq!(refused(&fields), Some(Fault::MissingPseudo));
    }
    assert_eq!(refused(&[]), Some(Fault::MissingPseudo));
}

#[test]
fn nothing_can_end_the_request_line() {
    let request = |method, path, authority, scheme| {
        refused(&[(":method", method), (":scheme", scheme), (":path", path), (":authority", authority)])
    };
    for path in ["", "a", "*", "http://b/", "/ HTTP/1.1", "/a b", "/\u{e4}", "//a b"] {
        assert_eq!(request("GET", path, "a", "http"), Some(Fault::InvalidPath), "{path:?}");
    }
    assert_eq!(request("GET", "/\r\nx: y", "a", "http"), Some(Fault::InvalidValue));
    assert_eq!(request("OPTIONS", "*", "a", "http"), None);
    for method in ["", "GET /", "G\u{e4}T", "G(T"] {
        assert_eq!(request(method, "/", "a", "http"), Some(Fault::InvalidMethod), "{method:?}");
    }
    for authority in ["a b", "\u{e4}"] {
        assert_eq!(request("GET", "/", authority, "http"), Some(Fault::InvalidAuthority), "{authority:?}");
    }
    assert_eq!(request("GET", "/", "a", "ftp"), Some(Fault::InvalidScheme));
    assert_eq!(request("GET", "/", "a", "HTTPS"), None);
}

#[test]
fn host_says_what_the_authority_says() {
    assert_eq!(refused(&with(&[("host", "b")])), Some(Fault::HostMismatch));
    let mut wire = server();
    wire.head(1, true, &with(&[("host", "A"), ("x", "y")])).expect("taken");
    assert_eq!(wire.side.accept(), Some(1));
    assert_eq!(read_all(&mut wire.side, 1), "GET / HTTP/1.1\r\nhost: a\r\nx: y\r\n\r\n");
    wire.head(3, true, &[GET[0], GET[1], GET[2], ("host", "b")]).expect("taken");
    assert_eq!(wire.side.accept(), Some(3));
    assert_eq!(read_all(&mut wire.side, 3), "GET / HTTP/1.1\r\nhost: b\r\n\r\n");
}

#[test]
fn connect_has_its_own_fields() {
    let connect = |fields: &[(&str, &str)]| refused_at(fields, false);
    let method = (":method", "CONNECT");
    assert_eq!(connect(&[method, (":authority", "a:443")]), None);
    assert_eq!(connect(&[method]), Some(Fault::InvalidConnect));
    assert_eq!(connect(&[method, (":authority", "a:443"), (":path", "/")]), Some(Fault::InvalidConnect));
    assert_eq!(connect(&[method, (":authority", "a:443"), (":scheme", "http")]), Some(Fault::InvalidConnect));
    let websocket = [method, (":protocol", "websocket"), GET[1], GET[2], GET[3]];
    assert_eq!(connect(&websocket), None);
    assert_eq!(connect(&websocket[..4]), Some(Fault::InvalidConnect));
    assert_eq!(connect(&[&websocket[..], &[("content-length", "1")]].concat()), Some(Fault::InvalidConnect));
    let other = [method, (":protocol", "connect-udp"), GET[1], GET[2], GET[3]];
    assert_eq!(connect(&other), Some(Fault::UnknownProtocol));
    assert_eq!(connect(&with(&[(":protocol", "websocket")])), Some(Fault::InvalidConnect));
}

#[test]
fn lengths_are_numbers_and_hold() {
    for value in ["", "-1", "+1", "1,1", "1 1", "0x1", "9223372036854775808"] {
        let fields = [&GET[..], &[("content-length", value)]].concat();
        assert_eq!(refused(&fields), Some(Fault::InvalidLength), "{value:?}");
    }
    let twice = with(&[("content-length", "0"), ("content-length", "0")]);
    assert_eq!(refused(&twice), Some(Fault::InvalidLength));
    assert_eq!(refused(&with(&[("content-length", "1")])), Some(Fault::LengthMismatch));
    for (body, end) in [(&b"abcd"[..], false), (b"ab", true), (b"", true)] {
        let mut wire = server();
        wire.head(1, false, &with(&[("content-length", "3")])).expect("taken");
        assert_eq!(wire.side.accept(), Some(1));
        wire.frame(DATA, u8::from(end), 1, body).expect("the connection goes on");
        assert_eq!(wire.side.noted(), Some(Fault::LengthMismatch));
        assert_eq!(wire.side.woken(), Some(1));
        assert_eq!(wire.side.read(1, &mut [0; 99]), Read::Reset(ErrorCode::PROTOCOL_ERROR));
        assert_eq!(wire.side.write(1, &[]), Write::Reset(ErrorCode::PROTOCOL_ERROR));
        assert_eq!(wire.resets(), [(1, 1)]);
    }
}

#[test]
fn trailers_end_the_stream_and_have_no_pseudo_header_fields() {
    for (end, fields, fault) in [
        (false, [("a", "b")], Fault::UnendedTrailers),
        (true, [(":path", "/")], Fault::PseudoInTrailers),
        (true, [("A", "b")], Fault::UppercaseName),
        (true, [("a", "b\nc")], Fault::InvalidValue),
        (true, [("connection", "b")], Fault::ConnectionField),
    ] {
        let mut wire = server();
        wire.get(1, false).expect("taken");
        assert_eq!(wire.side.accept(), Some(1));
        wire.head(1, end, &fields).expect("the connection goes on");
        assert_eq!(wire.side.noted(), Some(fault));
        assert_eq!(wire.side.read(1, &mut [0; 99]), Read::Reset(ErrorCode::PROTOCOL_ERROR));
    }
}

#[test]
fn crumbs_of_cookies_are_joined() {
    let mut wire = server();
    wire.head(1, true, &with(&[("cookie", "a=b"), ("x", "y"), ("cookie", "c=d")])).expect("taken");
    assert_eq!(wire.side.accept(), Some(1));
    assert_eq!(read_all(&mut wire.side, 1), "GET / HTTP/1.1\r\nhost: a\r\nx: y\r\ncookie: a=b; c=d\r\n\r\n");
}

#[test]
fn a_head_that_is_too_large_is_answered_431() {
    let mut wire = Wire::new(Role::Server, Settings { header_list_bytes: 1000, ..Settings::default() });
    let long = "v".repeat(900);
    let fields = [&GET[..], &[("x", long.as_str()), ("y", "z")]].concat();
    wire.head(1, false, &fields).expect("the connection goes on");
    assert_eq!(wire.side.accept(), None);
    assert_eq!(wire.side.noted(), Some(Fault::HeadTooLarge));
    let frames = wire.frames();
    assert_eq!((frames[0].0, frames[0].1, frames[0].2), (HEADERS, END_HEADERS | END_STREAM, 1));
    assert!(frames[0].3.ends_with(b"431"));
    assert_eq!((frames[1].0, frames[1].3[3]), (RST_STREAM, 0));
    // The second time the line comes out of the table that the first has filled.
    wire.head(3, true, &fields).expect("the connection goes on");
    wire.head(5, true, &with(&[("y", "z")])).expect("the connection goes on");
    assert_eq!(wire.side.accept(), Some(5));
    assert_eq!(read_all(&mut wire.side, 5), "GET / HTTP/1.1\r\nhost: a\r\ny: z\r\n\r\n");
}

/// What a client is told of a response head.
fn response(request: &[u8], end: bool, fields: &[(&str, &str)]) -> Option<Fault> {
    let mut wire = Wire::new(Role::Client, Settings::default());
    let stream = wire.side.open().expect("a stream is free");
    support::write_all(&mut wire.side, stream, request);
    wire.head(1, end, fields).expect("the connection goes on");
    let fault = wire.side.noted()?;
    assert!(matches!(wire.side.read(stream, &mut [0; 99]), Read::Reset(_)));
    Some(fault)
}

#[test]
fn responses_are_held_to_the_same() {
    let get = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for status in ["", "20", "2000", "099", "600", "abc", "+20", "101"] {
        assert_eq!(response(get, true, &[(":status", status)]), Some(Fault::InvalidStatus), "{status}");
    }
    assert_eq!(response(get, true, &[]), Some(Fault::MissingPseudo));
    assert_eq!(response(get, true, &[(":status", "200"), (":path", "/")]), Some(Fault::UnknownPseudo));
    assert_eq!(response(get, true, &[(":status", "100")]), Some(Fault::EndedInterim));
    assert_eq!(response(get, true, &[(":status", "200"), ("upgrade", "x")]), Some(Fault::ConnectionField));
    let length = [(":status", "200"), ("content-length", "5")];
    assert_eq!(response(get, true, &length), Some(Fault::LengthMismatch));
    assert_eq!(response(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", true, &length), None);
}

#[test]
fn a_response_that_can_have_no_body_has_none() {
    let mut wire = Wire::new(Role::Client, Settings::default());
    let stream = wire.side.open().expect("a stream is free");
    support::write_all(&mut wire.side, stream, b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.frame(DATA, 0, 1, b"x").expect("the connection goes on");
    assert_eq!(wire.side.noted(), Some(Fault::BodyBeforeHead));
    let stream = wire.side.open().expect("a stream is free");
    support::write_all(&mut wire.side, stream, b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.head(3, false, &[(":status", "200")]).expect("the connection goes on");
    wire.frame(DATA, 0, 3, b"x").expect("the connection goes on");
    assert_eq!(wire.side.noted(), Some(Fault::UnexpectedBody));
}

/// Sends bytes to a server that has one open stream; why the connection is over.
fn over(bytes: &[u8]) -> Option<Reason> {
    let mut wire = server();
    wire.get(1, false).expect("taken");
    wire.frames();
    let over = wire.send(bytes).err()?;
    let frames = wire.frames();
    let last = frames.last().expect("GOAWAY is sent");
    assert_eq!((last.0, last.3[7]), (GOAWAY, over.code.0 as u8));
    assert!(wire.side.is_over());
    assert_eq!(wire.send(b""), Err(over), "it stays over");
    Some(over.reason)
}

#[test]
fn faults_of_the_connection_end_it_by_name() {
    let settings = |id: u16, value: u32| {
        let mut payload = id.to_be_bytes().to_vec();
        payload.extend_from_slice(&value.to_be_bytes());
        frame(SETTINGS, 0, 0, &payload)
    };
    for (bytes, reason) in [
        (frame(DATA, 0, 0, b""), Reason::FrameOnConnection),
        (frame(HEADERS, 0, 0, b""), Reason::FrameOnConnection),
        (frame(SETTINGS, 0, 1, b""), Reason::FrameOnStream),
        (frame(PING, 0, 1, &[0; 8]), Reason::FrameOnStream),
        (frame(PING, 0, 0, &[0; 7]), Reason::FrameSize),
        (frame(SETTINGS, 0, 0, &[0; 5]), Reason::FrameSize),
        (frame(RST_STREAM, 0, 1, &[0; 3]), Reason::FrameSize),
        (frame(WINDOW_UPDATE, 0, 1, &[0; 5]), Reason::FrameSize),
        (frame(GOAWAY, 0, 0, &[0; 7]), Reason::FrameSize),
        (frame(DATA, 0, 1, &[0; 16_385]), Reason::FrameTooLarge),
        (frame(DATA, 0, 3, b""), Reason::IdleStream),
        (frame(RST_STREAM, 0, 3, &[0; 4]), Reason::IdleStream),
        (frame(WINDOW_UPDATE, 0, 2, &[1; 4]), Reason::IdleStream),
        (frame(HEADERS, END_HEADERS, 2, b""), Reason::StreamOrder),
        (frame(CONTINUATION, 0, 1, b""), Reason::StrayContinuation),
        ([frame(HEADERS, 0, 3, b""), frame(PING, 0, 0, &[0; 8])].concat(), Reason::BrokenHead),
        ([frame(HEADERS, 0, 3, b""), frame(CONTINUATION, 4, 5, b"")].concat(), Reason::BrokenHead),
        (frame(DATA, PADDED, 1, &[5, 0, 0]), Reason::PaddingTooLong),
        (frame(HEADERS, PADDED | END_HEADERS, 3, &[5, 0, 0]), Reason::PaddingTooLong),
        (frame(WINDOW_UPDATE, 0, 0, &[0; 4]), Reason::EmptyIncrement),
        (frame(WINDOW_UPDATE, 0, 0, &[0x7f, 255, 255, 255]), Reason::WindowOverflow),
        (settings(4, 1 << 31), Reason::InvalidWindowSetting),
        (settings(5, 16_383), Reason::InvalidSetting),
        (settings(5, 1 << 24), Reason::InvalidSetting),
        (settings(2, 2), Reason::InvalidSetting),
        (settings(8, 2), Reason::InvalidSetting),
        (frame(PUSH_PROMISE, 0, 1, &[0; 4]), Reason::Push),
        (frame(HEADERS, END_HEADERS, 3, &[0x80]), Reason::Compression),
        (frame(HEADERS, END_HEADERS, 3, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), Reason::Compression),
    ] {
        assert_eq!(over(&bytes), Some(reason), "{:?}", &bytes[..9]);
    }
    assert_eq!(over(&frame(PRIORITY, 0, 1, &[0, 0, 0, 9, 9])), None);
    assert_eq!(over(&frame(99, 255, 77, b"anything")), None);
}

#[test]
fn a_connection_starts_with_the_preface_and_settings() {
    let mut connection = Connection::new(Role::Server, Settings::default());
    let over = connection.receive(b"GET / HTTP/1.1\r\n\r\n", 1).expect_err("no preface");
    assert_eq!(over.reason, Reason::BadPreface);
    let mut connection = Connection::new(Role::Client, Settings::default());
    let over = connection.receive(&frame(PING, 0, 0, &[0; 8]), 1).expect_err("not SETTINGS");
    assert_eq!(over.reason, Reason::SettingsNotFirst);
}

#[test]
fn a_peer_keeps_to_the_windows() {
    let settings = Settings { stream_window: 65_535, connection_window: 65_535, ..Settings::default() };
    let mut wire = Wire::new(Role::Server, settings);
    wire.get(1, false).expect("taken");
    for _ in 0..4 {
        wire.frame(DATA, 0, 1, &[0; 16_000]).expect("within the window");
    }
    let over = wire.frame(DATA, 0, 1, &[0; 16_000]).expect_err("beyond the window");
    assert_eq!((over.reason, over.code), (Reason::WindowExceeded, ErrorCode::FLOW_CONTROL_ERROR));

    let mut wire = server();
    wire.get(1, false).expect("taken");
    assert_eq!(wire.side.accept(), Some(1));
    for _ in 0..5 {
        wire.frame(DATA, 0, 1, &[0; 16_000]).expect("the connection goes on");
    }
    assert_eq!(wire.side.noted(), Some(Fault::WindowExceeded));
    assert_eq!(wire.resets(), [(1, 3)]);
}

#[test]
fn what_is_under_way_to_a_stream_that_was_reset_here_is_ignored() {
    let mut wire = server();
    wire.get(1, false).expect("taken");
    assert_eq!(wire.side.accept(), Some(1));
    wire.side.release(1, Some(ErrorCode::CANCEL));
    assert_eq!(wire.resets(), [(1, 8)]);
    wire.frame(DATA, 0, 1, b"late").expect("ignored");
    wire.head(1, true, &[("a", "b"), ("a", "b")]).expect("ignored, and decoded");
    assert!(wire.frames().is_empty());
    wire.head(3, true, &with(&[("a", "b")])).expect("the tables agree");
    assert_eq!(wire.side.accept(), Some(3));
    assert!(read_all(&mut wire.side, 3).contains("\r\na: b\r\n"));
}
