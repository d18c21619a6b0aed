//! Windows, turns, ends and leaves; and whatever the sizes, what goes in comes out.

mod support;

use std::io::IoSlice;

use proptest::prelude::*;
use support::wire::{DATA, END_STREAM, GOAWAY, HEADERS, PING, SETTINGS, WINDOW_UPDATE, Wire};
use support::{Pair, read_all, write_all};
use tidegate_http2::{Connection, ErrorCode, Read, Role, Settings, Write};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";

fn accepted(wire: &mut Wire, id: u32) {
    wire.get(id, true).expect("taken");
    assert_eq!(wire.side.accept(), Some(id));
    write_all(&mut wire.side, id, ANSWER);
    wire.frames();
}

fn write(connection: &mut Connection, stream: u32, count: usize) -> Write {
    connection.write(stream, &[IoSlice::new(&vec![b'x'; count])])
}

fn initial_window(wire: &mut Wire, size: u32) {
    let payload = [&[0, 4][..], &size.to_be_bytes()].concat();
    wire.frame(SETTINGS, 0, 0, &payload).expect("taken");
    wire.frames();
}

#[test]
fn a_stream_without_window_holds_nobody_else_back() {
    let mut wire = Wire::new(Role::Server, Settings::default());
    initial_window(&mut wire, 10);
    accepted(&mut wire, 1);
    accepted(&mut wire, 3);
    assert_eq!(write(&mut wire.side, 1, 50), Write::Taken(10));
    assert_eq!(write(&mut wire.side, 1, 40), Write::Blocked);
    assert_eq!(write(&mut wire.side, 3, 50), Write::Taken(10));
    wire.frames();
    assert_eq!(wire.side.woken(), None);
    wire.frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 5]).expect("taken");
    assert_eq!((wire.side.woken(), wire.side.woken()), (Some(1), None));
    assert_eq!(write(&mut wire.side, 1, 40), Write::Taken(5));
}

#[test]
fn a_window_can_be_less_than_nothing() {
    let mut wire = Wire::new(Role::Server, Settings::default());
    initial_window(&mut wire, 10);
    accepted(&mut wire, 1);
    assert_eq!(write(&mut wire.side, 1, 10), Write::Taken(10));
    initial_window(&mut wire, 4);
    assert_eq!(write(&mut wire.side, 1, 10), Write::Blocked);
    wire.frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 6]).expect("taken");
    assert_eq!(wire.side.woken(), None, "it is nothing now");
    initial_window(&mut wire, 5);
    assert_eq!(wire.side.woken(), Some(1));
    assert_eq!(write(&mut wire.side, 1, 10), Write::Taken(1));
}

#[test]
fn who_waited_longest_goes_on_first() {
    let settings = Settings { output_bytes: 1000, ..Settings::default() };
    let mut wire = Wire::new(Role::Server, settings);
    initial_window(&mut wire, 1 << 20);
    wire.frame(WINDOW_UPDATE, 0, 0, &[0, 16, 0, 0]).expect("taken");
    for id in [1, 3, 5] {
        accepted(&mut wire, id);
    }
    let mut order = Vec::new();
    for id in [1, 3, 5] {
        let _ = write(&mut wire.side, id, 1000);
    }
    let _ = write(&mut wire.side, 1, 1000);
    for _ in 0..6 {
        wire.frames();
        // Each writes as much as it may, and waits again.
        while let Some(id) = wire.side.woken() {
            if write(&mut wire.side, id, 1000) != Write::Blocked {
                order.push(id);
                assert_eq!(write(&mut wire.side, id, 1000), Write::Blocked);
            }
        }
    }
    assert_eq!(order, [3, 5, 1, 3, 5, 1]);
}

#[test]
fn the_end_rides_on_the_last_frame() {
    let mut wire = Wire::new(Role::Server, Settings::default());
    wire.get(1, true).expect("taken");
    assert_eq!(wire.side.accept(), Some(1));
    write_all(&mut wire.side, 1, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    write_all(&mut wire.side, 1, b"3\r\nabc\r\n");
    write_all(&mut wire.side, 1, b"0\r\n\r\n");
    assert!(wire.side.is_written(1));
    let frames = wire.frames();
    assert_eq!((frames.len(), frames[0].0), (2, HEADERS));
    assert_eq!(frames[1], (DATA, END_STREAM, 1, b"abc".to_vec()));
    wire.side.release(1, None);
    assert!(wire.frames().is_empty());
}

#[test]
fn what_is_read_is_given_back_in_halves_of_a_window() {
    let settings = Settings { stream_window: 80_000, connection_window: 100_000, ..Settings::default() };
    let mut wire = Wire::new(Role::Server, settings);
    wire.get(1, false).expect("taken");
    assert_eq!(wire.side.accept(), Some(1));
    for _ in 0..4 {
        wire.frame(DATA, 0, 1, &[b'x'; 16_000]).expect("within the window");
    }
    assert!(wire.frames().is_empty(), "nothing is given back before it is read");
    read_all(&mut wire.side, 1);
    let updates: Vec<_> = wire.frames().iter().map(|frame| (frame.0, frame.2)).collect();
    assert_eq!(updates, [(WINDOW_UPDATE, 1), (WINDOW_UPDATE, 0)]);
}

#[test]
fn a_stream_that_is_let_go_gives_back_what_nobody_read() {
    let settings = Settings { stream_window: 65_535, connection_window: 65_535, ..Settings::default() };
    let mut wire = Wire::new(Role::Server, settings);
    for id in (1..400).step_by(2) {
        wire.get(id, false).expect("taken");
        assert_eq!(wire.side.accept(), Some(id));
        wire.frame(DATA, 0, id, &[b'x'; 16_000]).expect("within the window");
        wire.side.release(id, None);
        wire.frames();
    }
}

#[test]
fn a_part_of_a_message_is_never_made_to_look_whole() {
    let mut wire = Wire::new(Role::Server, Settings::default());
    accepted(&mut wire, 1);
    assert_eq!(write(&mut wire.side, 1, 10), Write::Taken(10));
    wire.side.finish(1);
    assert_eq!(wire.resets(), [(1, 2)]);
    accepted(&mut wire, 3);
    wire.side.release(3, Some(ErrorCode::INTERNAL_ERROR));
    assert_eq!(wire.resets(), [(3, 2)]);
}

#[test]
fn text_that_is_no_message_is_never_sent() {
    for text in [
        &b"nonsense\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na b: c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na: b\x01c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\nbody",
        b"HTTP/1.1 099 Odd\r\n\r\n",
    ] {
        let mut wire = Wire::new(Role::Server, Settings::default());
        wire.get(1, true).expect("taken");
        assert_eq!(wire.side.accept(), Some(1));
        let written = wire.side.write(1, &[IoSlice::new(text)]);
        assert_eq!(written, Write::Malformed, "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn a_server_leaves_without_losing_what_was_under_way() {
    let mut wire = Wire::new(Role::Server, Settings::default());
    wire.get(1, true).expect("taken");
    wire.side.go_away();
    let frames = wire.frames();
    assert_eq!((frames[0].0, &frames[0].3[..4]), (GOAWAY, &[0x7f, 255, 255, 255][..]));
    assert_eq!(frames[1].0, PING);
    wire.get(3, true).expect("it was under way");
    wire.frame(PING, 1, 0, &frames[1].3).expect("the answer");
    let last = wire.frames();
    assert_eq!((last[0].0, &last[0].3[..4]), (GOAWAY, &[0, 0, 0, 3][..]));
    wire.get(5, true).expect("too late");
    assert_eq!((wire.side.accept(), wire.side.accept(), wire.side.accept()), (Some(1), Some(3), None));
    assert!(wire.side.is_draining() && !wire.side.is_over());
    for id in [1, 3] {
        write_all(&mut wire.side, id, b"HTTP/1.1 204 No Content\r\n\r\n");
        wire.side.release(id, None);
    }
    assert!(wire.side.is_over());
}

#[test]
fn what_a_leaving_server_did_not_look_at_may_be_tried_again() {
    let mut pair = Pair::new(Settings::default());
    let (first, accepted) = pair.request(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let late = pair.client.open().expect("free");
    pair.server.go_away();
    pair.settle();
    assert_eq!(pair.client.open(), None);
    assert_eq!(pair.client.capacity(), 0);
    assert_eq!(
        pair.client.write(late, &[IoSlice::new(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")]),
        Write::Reset(ErrorCode::REFUSED_STREAM)
    );
    pair.client.release(late, None);
    write_all(&mut pair.server, accepted, b"HTTP/1.1 204 No Content\r\n\r\n");
    pair.settle();
    assert_eq!(read_all(&mut pair.client, first), "HTTP/1.1 204 \r\n\r\n");
    pair.client.release(first, None);
    pair.server.release(accepted, None);
    assert!(pair.client.is_over() && pair.server.is_over());
}

#[test]
fn a_peer_that_is_there_answers_a_ping() {
    let mut pair = Pair::new(Settings::default());
    pair.client.ping();
    pair.settle();
    assert_eq!(pair.client.pongs(), 1);
    assert!(pair.client.peer_allows_connect());
}

#[test]
fn a_client_opens_what_the_server_allows() {
    let mut pair = Pair::of(Settings::default(), Settings { max_streams: 3, ..Settings::default() });
    assert_eq!(pair.client.capacity(), 3);
    let streams: Vec<u32> = std::iter::from_fn(|| pair.client.open()).collect();
    assert_eq!(streams.len(), 3);
    pair.client.release(streams[0], None);
    assert_eq!(pair.client.capacity(), 1);
    assert!(pair.client.output().is_empty(), "nothing was sent of it");
}

#[test]
fn memory_can_be_given_back_between_messages() {
    let mut pair = Pair::new(Settings::default());
    for _ in 0..3 {
        assert!(pair.arrives(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\r\n").contains("x-a: b"));
        pair.client.trim();
        pair.server.trim();
    }
}

/// Two messages of one exchange, and how far they are.
struct Exchange {
    client: u32,
    server: Option<u32>,
    up: Vec<u8>,
    down: Vec<u8>,
    written: [usize; 2],
    read: [Vec<u8>; 2],
    ended: [bool; 2],
}

fn message(start: &str, body: &[u8], framing: u8) -> Vec<u8> {
    let mut text = start.as_bytes().to_vec();
    match framing {
        0 => {
            text.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
            text.extend_from_slice(body);
        }
        _ => {
            text.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            for chunk in body.chunks(1 + body.len() / usize::from(framing)) {
                text.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                text.extend_from_slice(chunk);
                text.extend_from_slice(b"\r\n");
            }
            text.extend_from_slice(b"0\r\nX-Sum: 1\r\n\r\n");
        }
    }
    text
}

/// The body of a message, and its trailers.
fn body(text: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let end = text.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    if !text[..end].to_ascii_lowercase().windows(7).any(|seven| seven == b"chunked") {
        return (text[end..].to_vec(), Vec::new());
    }
    let mut decoder = tidegate_http1::ChunkDecoder::new(tidegate_http1::ChunkLimits::default());
    let (mut rest, mut out) = (&text[end..], Vec::new());
    loop {
        let step = decoder.decode(rest).expect("chunks");
        out.extend_from_slice(&rest[step.data]);
        rest = &rest[step.consumed..];
        if step.done {
            assert!(rest.is_empty());
            return (out, decoder.trailers().to_ascii_lowercase());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_sizes_what_goes_in_comes_out(
        bodies in prop::collection::vec((0..60_000_usize, 0..60_000_usize, 0..5_u8, 0..5_u8), 1..6),
        windows in (1..70_000_u32, 1..70_000_u32),
        output_bytes in 1..100_000_usize,
        sizes in (1..40_000_usize, 1..40_000_usize, 1..40_000_usize),
    ) {
        let (step, read, write) = sizes;
        // Few frames cost few steps: the sizes are seldom small together.
        let step = if windows.0 < 100 || windows.1 < 100 { step.max(1000) } else { step.max(50) };
        let limits = tidegate_http2::Limits {
            window_updates: tidegate_http2::Allowance { burst: u32::MAX, per_second: 1 },
            ..tidegate_http2::Limits::default()
        };
        let base = Settings { output_bytes, limits, ..Settings::default() };
        let mut pair = Pair::of(
            Settings { stream_window: windows.0, ..base },
            Settings { stream_window: windows.1, ..base },
        );
        let few = |count: usize, window: u32| if window < 200 { count % 2000 } else { count };
        let mut exchanges: Vec<Exchange> = bodies
            .iter()
            .map(|(up, down, up_framing, down_framing)| {
                let fill = |count: usize| (0..count).map(|at| b'a' + (at % 23) as u8).collect::<Vec<u8>>();
                Exchange {
                    client: pair.client.open().expect("a stream is free"),
                    server: None,
                    up: message("POST / HTTP/1.1\r\nHost: a\r\n", &fill(few(*up, windows.1)), *up_framing),
                    down: message("HTTP/1.1 200 OK\r\n", &fill(few(*down, windows.0)), *down_framing),
                    written: [0; 2],
                    read: [Vec::new(), Vec::new()],
                    ended: [false; 2],
                }
            })
            .collect();
        let mut buf = vec![0; read.max(1)];
        for round in 0..2_000_000 {
            prop_assert!(round < 1_999_999, "it comes to an end");
            let mut moved = pair.step(step).expect("both sides keep to the rules");
            while let Some(accepted) = pair.server.accept() {
                // Heads arrive in the order in which they are written: by exchange.
                let waiting = exchanges.iter_mut().find(|exchange| exchange.server.is_none());
                waiting.expect("one was sent").server = Some(accepted);
            }
            for exchange in &mut exchanges {
                let ends = [
                    (Some(exchange.client), &mut pair.client, &exchange.up, 0),
                    (exchange.server, &mut pair.server, &exchange.down, 1),
                ];
                for (stream, side, text, at) in ends {
                    let Some(stream) = stream else { continue };
                    let end = text.len().min(exchange.written[at] + write);
                    let piece = &text[exchange.written[at]..end];
                    if !piece.is_empty() {
                        match side.write(stream, &[IoSlice::new(piece)]) {
                            Write::Taken(count) => {
                                exchange.written[at] += count;
                                moved |= count > 0;
                            }
                            Write::Blocked => {}
                            other => prop_assert!(false, "{other:?}"),
                        }
                    }
                    match side.read(stream, &mut buf) {
                        Read::Bytes(count) => {
                            exchange.read[at].extend_from_slice(&buf[..count]);
                            moved = true;
                        }
                        Read::End => exchange.ended[at] = true,
                        Read::Pending => {}
                        Read::Reset(code) => prop_assert!(false, "{code:?}"),
                    }
                }
            }
            if exchanges.iter().all(|exchange| exchange.ended == [true; 2]) {
                break;
            }
            prop_assert!(moved, "something moves until all have ended");
        }
        for exchange in &exchanges {
            prop_assert_eq!(body(&exchange.read[1]), body(&exchange.up));
            prop_assert_eq!(body(&exchange.read[0]), body(&exchange.down));
        }
    }
}
