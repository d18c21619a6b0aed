//! The chunk decoder, in whatever pieces a body comes.

use proptest::prelude::*;
use tidegate_http1::{ChunkDecoder, ChunkFault, ChunkLimits, chunk_size_line};

/// Feeds `input` in pieces that end at `cuts`; returns data, trailers, the bytes taken, and whether it is done.
fn decode(input: &[u8], cuts: &[usize]) -> Result<(Vec<u8>, Vec<u8>, usize, bool), ChunkFault> {
    let mut decoder = ChunkDecoder::new(ChunkLimits::default());
    let (mut data, mut taken) = (Vec::new(), 0);
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (input.len() + 1)).collect();
    cuts.sort_unstable();
    cuts.push(input.len());
    for end in cuts {
        while taken < end && !decoder.is_done() {
            let piece = &input[taken..end];
            let step = decoder.decode(piece)?;
            assert!(step.consumed > 0 && step.data.end <= step.consumed, "{step:?}");
            data.extend_from_slice(&piece[step.data]);
            taken += step.consumed;
        }
    }
    Ok((data, decoder.trailers().to_vec(), taken, decoder.is_done()))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_body_is_the_same_in_whatever_pieces_it_comes(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..6),
        extension in prop::sample::select(vec!["", ";a", ";a=b;c", "; a = \"b;\\\"c\"", ";a=\"\u{e9}\""]),
        trailers in prop::sample::select(vec!["", "X-A: b\r\n", "X-A: b\r\nContent-MD5: c\r\nX-D:\r\n"]),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let mut wire = Vec::new();
        for chunk in &chunks {
            let mut line = [0; 18];
            let length = chunk_size_line(chunk.len(), &mut line);
            wire.extend_from_slice(&line[..length - 2]);
            wire.extend_from_slice(extension.as_bytes());
            wire.extend_from_slice(b"\r\n");
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(format!("0{extension}\r\n{trailers}\r\n").as_bytes());
        let end = wire.len();
        wire.extend_from_slice(b"GET / HTTP/1.1\r\n");
        let kept = trailers.replace("Content-MD5: c\r\n", "");
        let expected = (chunks.concat(), kept.into_bytes(), end, true);
        prop_assert_eq!(decode(&wire, &cuts), Ok(expected));
    }

    #[test]
    fn any_bytes_get_one_verdict_in_whatever_pieces_they_come(
        input in prop::collection::vec(
            prop_oneof![4 => prop::sample::select(&b"0123aA;=\"\r\n\\: \t"[..]), 1 => any::<u8>()],
            0..40,
        ),
        cuts in prop::collection::vec(any::<usize>(), 0..40),
    ) {
        prop_assert_eq!(decode(&input, &cuts), decode(&input, &[]));
    }
}

#[test]
fn a_step_gives_the_data_and_the_framing_on_both_sides_of_it() {
    let mut decoder = ChunkDecoder::new(ChunkLimits::default());
    let input = b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nnext";
    let step = decoder.decode(input).expect("well formed");
    assert_eq!((step.consumed, step.data, step.done), (13, 3..8, false));
    let step = decoder.decode(&input[13..]).expect("well formed");
    assert_eq!((step.consumed, step.data, step.done), (13, 0..6, true));
    let step = decoder.decode(&input[26..]).expect("the end has been reached");
    assert_eq!((step.consumed, step.data, step.done), (0, 0..0, true));
}

#[test]
fn no_input_takes_nothing() {
    let mut decoder = ChunkDecoder::new(ChunkLimits::default());
    let step = decoder.decode(b"").expect("nothing is not wrong");
    assert_eq!((step.consumed, step.data, step.done), (0, 0..0, false));
}

#[test]
fn size_lines_are_hexadecimal_without_leading_zeros() {
    for n in [1, 9, 10, 15, 16, 255, 256, 4096, 65_535, 65_536, usize::MAX / 2, usize::MAX] {
        let mut line = [0; 18];
        let length = chunk_size_line(n, &mut line);
        assert_eq!(line[..length], *format!("{n:x}\r\n").as_bytes());
    }
}

#[test]
fn trailers_that_mean_something_before_the_body_do_not_go_on() {
    for name in [
        "Host",
        "Content-Length",
        "content_length",
        "Transfer-Encoding",
        "Transfer_Encoding",
        "Connection",
        "TE",
        "Trailer",
        "Upgrade",
        "Authorization",
        "Cookie",
        "Set-Cookie",
        "Proxy-Authorization",
        "Content-Type",
        "Content-Encoding",
        "Cache-Control",
        "Expect",
        "Range",
        "If-Match",
        "X-Forwarded-For",
        "X_Forwarded_For",
        "Forwarded",
        "Via",
        "Location",
        "Date",
        "X-Real-IP",
        "Traceparent",
        "WWW-Authenticate",
        "Max-Forwards",
    ] {
        let wire = format!("0\r\nX-A: 1\r\n{name}: x\r\nServer-Timing: 2\r\n\r\n");
        let (_, trailers, _, done) = decode(wire.as_bytes(), &[]).expect("well formed");
        assert!(done);
        assert_eq!(String::from_utf8_lossy(&trailers), "X-A: 1\r\nServer-Timing: 2\r\n", "{name}");
    }
}

#[test]
fn the_limits_are_met_exactly() {
    let limits = ChunkLimits { extension_bytes: 4, trailer_bytes: 8, trailer_fields: 1 };
    let run = |wire: &[u8]| {
        let mut decoder = ChunkDecoder::new(limits);
        let mut taken = 0;
        while taken < wire.len() {
            taken += decoder.decode(&wire[taken..])?.consumed;
        }
        Ok(decoder.is_done())
    };
    assert_eq!(run(b"1;abc\r\nx\r\n0\r\n\r\n"), Ok(true));
    assert_eq!(run(b"1;abcd\r\nx\r\n0\r\n\r\n"), Err(ChunkFault::ExtensionsTooLong));
    assert_eq!(run(b"1;a\r\nx\r\n1;ab\r\nx\r\n"), Err(ChunkFault::ExtensionsTooLong));
    assert_eq!(run(b"0\r\na:bc\r\n\r\n"), Ok(true));
    assert_eq!(run(b"0\r\na:bcd\r\n\r\n"), Err(ChunkFault::TrailersTooLarge));
    let limits = ChunkLimits { trailer_bytes: 100, ..limits };
    let mut decoder = ChunkDecoder::new(limits);
    assert_eq!(decoder.decode(b"0\r\na:b\r\nc:d\r\n\r\n"), Err(ChunkFault::TooManyTrailers));
}
