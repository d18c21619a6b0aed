//! Every kind of request and response, through both roles: what goes in comes out.

mod support;

use std::io::IoSlice;

use support::{Pair, read_all, write_all};
use tidegate_http2::{ErrorCode, Read, Settings, Write};

const GET: &[u8] = b"GET /a?b HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\n\r\n";

fn pair() -> Pair {
    Pair::new(Settings::default())
}

/// Sends a request and a response; what each side reads, each to its end.
fn exchange(pair: &mut Pair, request: &[u8], response: &[u8]) -> (String, String) {
    let (client, server) = pair.request(request);
    let asked = read_all(&mut pair.server, server);
    write_all(&mut pair.server, server, response);
    if !pair.server.is_written(server) {
        pair.server.finish(server);
    }
    pair.settle();
    let answered = read_all(&mut pair.client, client);
    assert_eq!(pair.client.read(client, &mut [0; 10]), Read::End);
    assert_eq!(pair.server.read(server, &mut [0; 10]), Read::End);
    pair.client.release(client, None);
    pair.server.release(server, None);
    assert!(pair.client.output().is_empty() && pair.server.output().is_empty(), "nothing was reset");
    (asked, answered)
}

#[test]
fn a_request_without_a_body_has_no_framing() {
    let (asked, answered) = exchange(&mut pair(), GET, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(asked, "GET /a?b HTTP/1.1\r\nhost: example.com\r\naccept: */*\r\n\r\n");
    assert_eq!(answered, "HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\nhi");
}

#[test]
fn a_body_of_known_length_keeps_its_length() {
    let request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    let (asked, _) = exchange(&mut pair(), request, b"HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(asked, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello");
}

#[test]
fn chunks_are_taken_apart_and_put_together_again() {
    let request =
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n";
    let response =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nGrpc-Status: 0\r\n\r\n";
    let (asked, answered) = exchange(&mut pair(), request, response);
    assert_eq!(
        asked,
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n7\r\nabcdefg\r\n0\r\n\r\n"
    );
    assert_eq!(
        answered,
        "HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\ngrpc-status: 0\r\n\r\n"
    );
}

#[test]
fn a_body_that_ends_with_the_connection_ends_with_the_stream() {
    let (_, answered) = exchange(&mut pair(), GET, b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it");
    assert_eq!(answered, "HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n\r\n9\r\nall of it\r\n0\r\n\r\n");
}

#[test]
fn responses_that_have_no_body_say_no_end() {
    for status in ["204 No Content", "304 Not Modified"] {
        let response = format!("HTTP/1.1 {status}\r\nETag: \"a\"\r\n\r\n");
        let (_, answered) = exchange(&mut pair(), GET, response.as_bytes());
        assert_eq!(answered, format!("HTTP/1.1 {} \r\netag: \"a\"\r\n\r\n", &status[..3]));
    }
    let head = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
    let (_, answered) = exchange(&mut pair(), head, b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n");
    assert_eq!(answered, "HTTP/1.1 200 \r\ncontent-length: 99\r\n\r\n");
    let (_, answered) = exchange(&mut pair(), GET, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(answered, "HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n");
}

#[test]
fn informational_responses_pass_before_the_final_one() {
    let response = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
    let (_, answered) = exchange(&mut pair(), GET, response);
    assert_eq!(
        answered,
        "HTTP/1.1 100 \r\n\r\nHTTP/1.1 103 \r\nlink: </a>\r\n\r\nHTTP/1.1 200 \r\ncontent-length: 1\r\n\r\nx"
    );
}

#[test]
fn a_websocket_is_a_tunnel_both_ways() {
    let mut pair = pair();
    let request = b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let (client, server) = pair.request(request);
    let asked = read_all(&mut pair.server, server);
    assert!(asked.starts_with("GET /chat HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: "), "{asked}");
    assert!(asked.ends_with("==\r\nsec-websocket-version: 13\r\n\r\n"), "{asked}");
    write_all(&mut pair.client, client, b"early");
    write_all(
        &mut pair.server,
        server,
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: p\r\n\r\ndown",
    );
    pair.settle();
    assert_eq!(
        read_all(&mut pair.client, client),
        "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-protocol: p\r\n\r\ndown"
    );
    assert_eq!(read_all(&mut pair.server, server), "early");
    pair.client.finish(client);
    pair.settle();
    assert_eq!(pair.server.read(server, &mut [0; 9]), Read::End);
    write_all(&mut pair.server, server, b"still");
    pair.server.finish(server);
    pair.settle();
    assert_eq!(read_all(&mut pair.client, client), "still");
    assert_eq!(pair.client.read(client, &mut [0; 9]), Read::End);
}

#[test]
fn a_websocket_may_be_refused_like_any_request() {
    let mut pair = pair();
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let (client, server) = pair.request(request);
    write_all(&mut pair.server, server, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    pair.settle();
    assert_eq!(read_all(&mut pair.client, client), "HTTP/1.1 403 \r\ncontent-length: 2\r\n\r\nno");
}

#[test]
fn fields_of_the_connection_stay_behind() {
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: gzip\r\nExpect: 100-continue\r\nX-B: c\r\n\r\n";
    assert_eq!(pair().arrives(request), "GET / HTTP/1.1\r\nhost: a\r\nx-b: c\r\n\r\n");
}

#[test]
fn grpc_is_told_that_trailers_are_welcome() {
    let request = b"POST /s/m HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc+proto\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
    assert_eq!(
        pair().arrives(request),
        "POST /s/m HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc+proto\r\nte: trailers\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
    );
}

#[test]
fn a_response_that_is_complete_lets_the_rest_of_the_request_go() {
    let mut pair = pair();
    let (client, server) =
        pair.request(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nsome of it");
    write_all(&mut pair.server, server, b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
    pair.server.release(server, None);
    pair.settle();
    assert_eq!(pair.client.write(client, &[IoSlice::new(b"more")]), Write::Reset(ErrorCode::NO_ERROR));
    assert_eq!(read_all(&mut pair.client, client), "HTTP/1.1 413 \r\ncontent-length: 0\r\n\r\n");
    assert_eq!(pair.client.read(client, &mut [0; 1]), Read::End);
}

#[test]
fn heads_may_be_opened_in_any_order() {
    let mut pair = pair();
    let first = pair.client.open().expect("free");
    let (second, _) = pair.request(GET);
    write_all(&mut pair.client, first, GET);
    pair.settle();
    assert!(pair.server.accept().is_some());
    assert_ne!(first, second);
}
