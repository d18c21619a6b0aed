//! Bodies and their framing: nothing incomplete ever looks complete, nothing is lost, nothing is added.

use std::rc::Rc;

use tidegate_playbook::{End, Play, plan, play};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\n\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const POST_CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A request that the upstream has got.
async fn asked(play: &Play, request: &str) -> (Rc<End>, Rc<End>) {
    let client = play.client().await;
    client.sends(request).await;
    let upstream = play.upstream().await;
    upstream.takes().await;
    (client, upstream)
}

/// Bytes that don't repeat in step with anything.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u32;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}

/// The content of chunks, and whether their end was among them.
fn dechunked(mut bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut content = Vec::new();
    loop {
        let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") else { return (content, false) };
        let size = usize::from_str_radix(&String::from_utf8_lossy(&bytes[..end]), 16).unwrap_or(usize::MAX);
        bytes = &bytes[end + 2..];
        if size == 0 {
            return (content, true);
        }
        content.extend_from_slice(&bytes[..size]);
        assert_eq!(&bytes[size..size + 2], b"\r\n");
        bytes = &bytes[size + 2..];
    }
}

fn body(message: &[u8]) -> &[u8] {
    let head = message.windows(4).position(|four| four == b"\r\n\r\n");
    head.map_or(b"", |head| &message[head + 4..])
}

#[test]
fn a_chunked_request_is_framed_anew_and_keeps_its_trailers() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends([POST_CHUNKED, "5;a=b\r\nhel"].concat()).await;
        let upstream = play.upstream().await;
        upstream.got([POST_CHUNKED, "3\r\nhel\r\n"].concat()).await;
        client.sends("lo\r\n1\r\n!\r\n0\r\nX-T: 1\r\nContent-Length: 9\r\n\r").await;
        upstream.got("3\r\nlo!\r\n").await;
        client.sends("\n").await;
        let end = upstream.takes().await;
        assert!(end.starts_with("0\r\nX-T: 1\r\n") && end.ends_with("\r\n\r\n"), "{end:?}");
        assert!(!end.contains("Content-Length"), "a trailer must not frame: {end:?}");
        upstream.sends(NO_CONTENT).await;
        client.got(NO_CONTENT).await;
        client.sends(GET).await;
        upstream.got(GET).await;
    });
}

#[test]
fn an_answer_before_the_end_of_a_chunked_request_is_passed_on_and_both_sides_let_go() {
    play(plan(), async |play| {
        let (client, upstream) = asked(play, &[POST_CHUNKED, "5\r\nhello\r\n"].concat()).await;
        upstream.sends("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
        client.got("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno").await;
        assert!(upstream.is_closed().await, "the rest of the request must not be taken for another");
        client.sends("5\r\nhello\r\n0\r\n\r\n").await;
        assert!(client.is_closed().await);
        assert_eq!((play.closed("unread"), play.requests()), (1, 1));
    });
}

#[test]
fn an_answer_that_comes_while_the_request_goes_on_is_relayed_beside_it() {
    play(plan(), async |play| {
        let (client, upstream) = asked(play, &[POST_CHUNKED, "1\r\na\r\n"].concat()).await;
        upstream.sends([CHUNKED, "1\r\n1\r\n"].concat()).await;
        client
            .got("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\n1\r\n")
            .await;
        client.sends("1\r\nb\r\n").await;
        upstream.got("1\r\nb\r\n").await;
        upstream.sends("1\r\n2\r\n").await;
        client.got("1\r\n2\r\n").await;
        client.sends("0\r\n\r\n").await;
        upstream.got("0\r\n\r\n").await;
        upstream.sends("0\r\n\r\n").await;
        client.got("0\r\n\r\n").await;
        assert!(client.is_closed().await);
    });
}

#[test]
fn a_bad_chunk_is_refused_and_the_message_upstream_never_ends() {
    for (bad, name) in [
        ("x\r\n", "invalid_chunk_size"),
        ("5\r\nhelloX\r\n", "missing_chunk_end"),
        ("5\nhello", "bare_lf_in_chunk"),
        ("-1\r\n", "invalid_chunk_size"),
        ("\r\n", "missing_chunk_size"),
        ("fffffffffffffffff\r\n", "chunk_size_too_large"),
    ] {
        // Behind the head, in the same read as the head, and in the middle of an answer.
        for way in 0..3 {
            play(plan(), async |play| {
                let client = play.client().await;
                client.sends(if way == 1 { [POST_CHUNKED, bad].concat() } else { POST_CHUNKED.into() }).await;
                let upstream = play.upstream().await;
                let mut got = upstream.takes().await;
                if way == 2 {
                    upstream.sends("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe").await;
                    client.got_start("HTTP/1.1 200 ").await;
                }
                if way != 1 {
                    client.sends(bad).await;
                }
                got.push_str(&upstream.takes().await);
                assert!(!got.ends_with("0\r\n\r\n"), "{bad:?} ended upstream: {got:?}");
                assert!(upstream.is_closed().await, "{bad:?}");
                if way == 2 {
                    client.got_nothing().await;
                } else {
                    client.got_problem(400, name).await;
                }
                assert!(client.is_closed().await);
                assert_eq!((play.refused(name), play.requests()), (1, 1), "{bad:?}");
            });
        }
    }
}

#[test]
fn a_request_body_that_its_client_cuts_is_cut_upstream() {
    for request in [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ] {
        play(plan(), async |play| {
            let client = play.client().await;
            client.sends(request).await;
            let upstream = play.upstream().await;
            upstream.got(request).await;
            client.finishes().await;
            upstream.got_nothing().await;
            assert!(upstream.is_closed().await);
            client.got_problem(400, "client_gone").await;
        });
    }
}

#[test]
fn a_response_that_could_be_read_in_two_ways_is_a_bad_gateway() {
    for (fields, name) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "content_length_and_transfer_encoding"),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", "repeated_content_length"),
        ("Content-Length: 5, 5\r\n", "invalid_content_length"),
        ("Content-Length: +5\r\n", "invalid_content_length"),
        ("Content-Length: 99999999999999999999\r\n", "content_length_too_large"),
        ("Transfer-Encoding: gzip, chunked\r\n", "unknown_transfer_coding"),
        ("Transfer-Encoding: chunked, gzip\r\n", "chunked_not_final"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "repeated_transfer_encoding"),
        ("X: 1\r\n folded\r\n", "obs_fold"),
        ("X : 1\r\n", "space_before_colon"),
    ] {
        play(plan(), async |play| {
            let (client, upstream) = asked(play, GET).await;
            upstream.sends(format!("HTTP/1.1 200 OK\r\n{fields}\r\nhello")).await;
            client.got_problem(502, name).await;
            assert!(upstream.is_closed().await);
            client.sends(GET).await;
            play.upstream().await.sends(NO_CONTENT).await;
            client.got(NO_CONTENT).await;
        });
    }
}

#[test]
fn a_response_that_is_none_is_a_bad_gateway() {
    for (response, name) in [
        ("hello", "not_http"),
        ("HTTP/2.0 200 OK\r\n\r\n", "unsupported_version"),
        ("HTTP/1.1 99 Low\r\n\r\n", "invalid_status"),
        ("HTTP/1.1 200 OK\nX: 1\n\n", "bare_lf"),
    ] {
        play(plan(), async |play| {
            let (client, upstream) = asked(play, GET).await;
            upstream.sends(response).await;
            client.got_start("HTTP/1.1 502 ").await;
            assert!(upstream.is_closed().await);
            assert_eq!(play.refused(name), 1, "{response:?}");
        });
    }
}

#[test]
fn a_response_head_without_end_is_a_bad_gateway() {
    play(plan(), async |play| {
        let (client, upstream) = asked(play, GET).await;
        upstream.sends("HTTP/1.1 200 OK\r\n").await;
        for _ in 0..200 {
            upstream.sends(format!("X: {}\r\n", "x".repeat(1000))).await;
            if upstream.is_closed().await {
                break;
            }
        }
        client.got_start("HTTP/1.1 502 ").await;
        assert_eq!(play.refused("head_too_large") + play.refused("too_many_fields"), 1);
    });
}

#[test]
fn a_response_that_goes_on_behind_its_end_is_cut_there_and_its_connection_not_used_again() {
    for (response, expected) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 Evil\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ),
        ("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 Evil\r\n\r\n", NO_CONTENT),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
    ] {
        play(plan(), async |play| {
            let (client, upstream) = asked(play, GET).await;
            upstream.sends(response).await;
            client.got(expected).await;
            assert!(upstream.is_closed().await);
            client.sends(GET).await;
            play.upstream().await.sends(NO_CONTENT).await;
            client.got(NO_CONTENT).await;
        });
    }
}

#[test]
fn bodiless_responses_have_no_body_whatever_their_fields_say() {
    for (method, response, expected) in [
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
        ),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\nETag: \"x\"\r\n\r\n",
            "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 100\r\n\r\n",
        ),
        ("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        ),
    ] {
        play(plan(), async |play| {
            let request = format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n");
            let (client, upstream) = asked(play, &request).await;
            for _ in 0..2 {
                upstream.sends(response).await;
                client.got(expected).await;
                client.sends(&request).await;
                upstream.got(&request).await;
            }
        });
    }
}

#[test]
fn informational_responses_without_end_are_a_bad_gateway() {
    play(plan(), async |play| {
        let (client, upstream) = asked(play, GET).await;
        for _ in 0..32 {
            upstream.sends("HTTP/1.1 102 Processing\r\n\r\n").await;
        }
        client.got("HTTP/1.1 102 Processing\r\n\r\n".repeat(32)).await;
        upstream.sends("HTTP/1.1 102 Processing\r\n\r\n").await;
        client.got_problem(502, "endless_informational").await;
        assert!(upstream.is_closed().await);
    });
}

#[test]
fn a_continue_that_nobody_waits_for_stays_on_its_hop() {
    play(plan(), async |play| {
        let (client, upstream) = asked(play, GET).await;
        upstream.sends(["HTTP/1.1 100 Continue\r\n\r\n", NO_CONTENT].concat()).await;
        client.got(NO_CONTENT).await;
    });
}

#[test]
fn an_old_client_gets_no_informational_responses() {
    play(plan(), async |play| {
        let (client, upstream) = asked(play, "GET / HTTP/1.0\r\n\r\n").await;
        upstream.sends(["HTTP/1.1 103 Early Hints\r\n\r\n", NO_CONTENT].concat()).await;
        client.got("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
    });
}

#[test]
fn an_informational_response_that_was_taken_in_part_comes_whole_before_a_failure() {
    play(plan(), async |play| {
        let (client, upstream) = asked(play, GET).await;
        client.takes_at_most(10);
        upstream.sends("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").await;
        upstream.finishes().await;
        let mut got = String::new();
        while !got.ends_with("}\n") {
            let more = client.takes().await;
            assert!(!more.is_empty(), "it ends with {got:?}");
            got.push_str(&more);
        }
        assert!(
            got.starts_with("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 502 Bad Gateway\r\n"),
            "{got}"
        );
    });
}

#[test]
fn heads_may_come_byte_by_byte_on_both_sides() {
    play(plan(), async |play| {
        let client = play.client().await;
        let request = "PUT /x?y HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nContent-Length: 3\r\n\r\nabc";
        let response = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nX-B: 2\r\nContent-Length: 3\r\n\r\nxyz";
        for byte in request.as_bytes() {
            client.sends([*byte]).await;
        }
        let upstream = play.upstream().await;
        upstream.got(request).await;
        for byte in response.as_bytes() {
            upstream.sends([*byte]).await;
        }
        client.got(response).await;
        client.sends(GET).await;
        upstream.got(GET).await;
    });
}

#[test]
fn a_response_head_may_come_in_several_reads_with_a_part_of_its_body() {
    let response =
        "HTTP/1.1 200 OK\r\nX-B: 2\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\nX-T: 1\r\n\r\n";
    for cut in 1..response.len() {
        play(plan(), async |play| {
            let (client, upstream) = asked(play, GET).await;
            upstream.sends(&response[..cut]).await;
            upstream.sends(&response[cut..]).await;
            let got = client.takes().await;
            let (head, chunks) = got.split_once("\r\n\r\n").unwrap();
            assert_eq!(head, "HTTP/1.1 200 OK\r\nX-B: 2\r\nTransfer-Encoding: chunked", "cut at {cut}");
            assert!(chunks.ends_with("\r\n0\r\nX-T: 1\r\n\r\n"), "cut at {cut}: {got}");
            assert_eq!(dechunked(chunks.as_bytes()).0, b"xyz", "cut at {cut}: {got}");
            client.sends(GET).await;
            upstream.got(GET).await;
        });
    }
}

#[test]
fn large_bodies_of_known_length_pass_to_the_byte_through_small_openings() {
    let content = noise(3_000_000);
    play(plan(), async |play| {
        let client = play.client().await;
        client.takes_at_most(5_000);
        client.sends(format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", content.len())).await;
        let upstream = play.upstream().await;
        upstream.takes_at_most(7_000);
        client.sends(&content).await;
        let mut got = Vec::new();
        loop {
            let more = upstream.takes_bytes().await;
            if more.is_empty() {
                break;
            }
            got.extend(more);
        }
        assert!(body(&got) == content, "{} bytes came up", got.len());
        upstream.sends(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", content.len())).await;
        upstream.sends(&content).await;
        let mut got = Vec::new();
        loop {
            let more = client.takes_bytes().await;
            if more.is_empty() {
                break;
            }
            got.extend(more);
        }
        assert!(body(&got) == content, "{} bytes came down", got.len());
        client.sends(GET).await;
        upstream.got(GET).await;
    });
}

#[test]
fn large_chunked_bodies_pass_to_the_byte_through_small_openings() {
    let content = noise(2_000_000);
    let mut chunks = Vec::new();
    for (number, chunk) in content.chunks(70_001).enumerate() {
        chunks.extend_from_slice(format!("{:x};n={number}\r\n", chunk.len()).as_bytes());
        chunks.extend_from_slice(chunk);
        chunks.extend_from_slice(b"\r\n");
    }
    chunks.extend_from_slice(b"0\r\n\r\n");
    play(plan(), async |play| {
        let client = play.client().await;
        client.takes_at_most(3_000);
        client.sends(POST_CHUNKED).await;
        let upstream = play.upstream().await;
        upstream.takes_at_most(4_000);
        client.sends(&chunks).await;
        for (receiver, sender, head) in [(&upstream, None, ""), (&client, Some(&upstream), CHUNKED)] {
            if let Some(sender) = sender {
                sender.sends(head).await;
                sender.sends(&chunks).await;
            }
            let mut got = Vec::new();
            loop {
                let more = receiver.takes_bytes().await;
                if more.is_empty() {
                    break;
                }
                got.extend(more);
            }
            let (came, ended) = dechunked(body(&got));
            assert!(came == content && ended, "{} bytes came", came.len());
        }
        client.sends(GET).await;
        upstream.got(GET).await;
    });
}

#[test]
fn thousands_of_tiny_chunks_are_passed_on_in_few_writes() {
    play(plan(), async |play| {
        let (client, upstream) = asked(play, GET).await;
        let chunks = "1\r\nx\r\n".repeat(20_000) + "0\r\n\r\n";
        upstream.sends([CHUNKED, &chunks].concat()).await;
        let got = client.takes_bytes().await;
        assert_eq!(dechunked(body(&got)), (vec![b'x'; 20_000], true));
        let (_, writes) = client.calls();
        assert!(writes <= 4, "{writes} writes");
    });
}

#[test]
fn tiny_chunks_that_come_one_by_one_are_passed_on_one_by_one() {
    play(plan(), async |play| {
        let (client, upstream) = asked(play, GET).await;
        upstream.sends(CHUNKED).await;
        client.got_start("HTTP/1.1 200 OK\r\n").await;
        for _ in 0..1000 {
            upstream.sends("1\r\nx\r\n").await;
            client.got("1\r\nx\r\n").await;
        }
        upstream.sends("0\r\n\r\n").await;
        client.got("0\r\n\r\n").await;
    });
}

#[test]
fn a_bad_chunk_of_a_response_cuts_it() {
    play(plan(), async |play| {
        let (client, upstream) = asked(play, GET).await;
        upstream.sends([CHUNKED, "2\r\nok\r\n"].concat()).await;
        client.got([CHUNKED, "2\r\nok\r\n"].concat()).await;
        upstream.sends("zz\r\n").await;
        client.got_nothing().await;
        assert!(client.is_closed().await && upstream.is_closed().await);
        assert_eq!((play.refused("upstream_cut"), play.closed("failed")), (1, 1));
    });
}

#[test]
fn a_bad_chunk_right_behind_the_head_is_a_bad_gateway_for_nothing_is_out_yet() {
    play(plan(), async |play| {
        let (client, upstream) = asked(play, GET).await;
        upstream.sends([CHUNKED, "zz\r\n"].concat()).await;
        let rest = client.got_start("HTTP/1.1 502 Bad Gateway\r\n").await;
        assert!(rest.contains("upstream_cut"), "{rest}");
        assert!(upstream.is_closed().await);
        assert_eq!(play.refused("upstream_cut"), 1);
    });
}

#[test]
fn a_request_body_of_length_zero_is_a_body() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await;
        let upstream = play.upstream().await;
        upstream.got("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await;
        upstream.sends(NO_CONTENT).await;
        client.got(NO_CONTENT).await;
        client.sends([POST_CHUNKED, "0\r\n\r\n"].concat()).await;
        upstream.got([POST_CHUNKED, "0\r\n\r\n"].concat()).await;
        upstream.sends(NO_CONTENT).await;
        client.got(NO_CONTENT).await;
    });
}

#[test]
fn a_request_that_could_be_read_in_two_ways_goes_nowhere() {
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Content-Length: 0x5\r\n",
    ] {
        play(plan(), async |play| {
            let client = play.client().await;
            client
                .sends(format!(
                    "POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n0\r\n\r\nGET /evil HTTP/1.1\r\n\r\n"
                ))
                .await;
            let rest = client.got_start("HTTP/1.1 ").await;
            assert!(rest.starts_with("400 ") || rest.starts_with("501 "), "{fields:?}: {rest}");
            assert_eq!(rest.matches("HTTP/1.1").count(), 0, "{rest}");
            play.no_upstream().await;
            assert!(client.is_closed().await);
        });
    }
}
