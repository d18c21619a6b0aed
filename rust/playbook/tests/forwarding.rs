//! Requests and responses on their way through: what reaches each side, and when.

use tidegate_playbook::{plan, play};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn a_request_reaches_the_upstream_and_its_response_the_client() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends("GET /x?y=1 HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n\r\n").await;
        let upstream = play.upstream().await;
        upstream.got("GET /x?y=1 HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n\r\n").await;
        upstream.sends("HTTP/1.1 200 OK\r\nX-B: 2\r\nContent-Length: 2\r\n\r\nok").await;
        client.got("HTTP/1.1 200 OK\r\nX-B: 2\r\nContent-Length: 2\r\n\r\nok").await;
    });
}

#[test]
fn the_next_request_goes_out_on_the_same_connection() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let upstream = play.upstream().await;
        for _ in 0..3 {
            upstream.got(GET).await;
            upstream.sends("HTTP/1.1 204 No Content\r\n\r\n").await;
            client.got("HTTP/1.1 204 No Content\r\n\r\n").await;
            client.sends(GET).await;
        }
        upstream.got(GET).await;
        play.no_upstream().await;
    });
}

#[test]
fn a_small_request_costs_one_read_and_one_write_on_each_side() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let upstream = play.upstream().await;
        upstream.takes().await;
        upstream.sends("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        client.takes().await;
        assert_eq!(client.calls(), (1, 1));
        assert_eq!(upstream.calls(), (1, 1));
    });
}

#[test]
fn a_body_behind_its_head_goes_out_with_it_in_one_write() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").await;
        let upstream = play.upstream().await;
        upstream.got("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").await;
        assert_eq!(upstream.calls(), (0, 1));
    });
}

#[test]
fn named_and_standard_hop_by_hop_fields_stay_on_their_hop() {
    play(plan(), async |play| {
        let client = play.client().await;
        client
            .sends("GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nX-End: 2\r\n\r\n")
            .await;
        let upstream = play.upstream().await;
        upstream.got("GET / HTTP/1.1\r\nHost: a\r\nX-End: 2\r\n\r\n").await;
    });
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let upstream = play.upstream().await;
        upstream.got("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n").await;
        upstream.sends("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1").await;
        upstream.got("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n").await;
        upstream.sends("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2").await;
        client
            .got("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2")
            .await;
    });
}

#[test]
fn a_chunked_body_is_framed_anew_and_keeps_its_trailers() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let upstream = play.upstream().await;
        upstream.sends("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=1\r\nhello\r\n6\r\n world\r\n0\r\nX-T: 1\r\n\r\n").await;
        client.got("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\nX-T: 1\r\n\r\n").await;
    });
}

#[test]
fn an_old_client_gets_a_body_that_ends_with_its_connection() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends("GET / HTTP/1.0\r\nHost: a\r\n\r\n").await;
        let upstream = play.upstream().await;
        upstream.sends("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n").await;
        client.got("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello").await;
        assert!(client.is_closed().await);
    });
}

#[test]
fn a_response_that_ends_with_its_connection_is_passed_on_in_chunks() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let upstream = play.upstream().await;
        upstream.sends("HTTP/1.1 200 OK\r\n\r\nsome").await;
        client.got("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n").await;
        upstream.sends(" more").await;
        client.got("5\r\n more\r\n").await;
        upstream.finishes().await;
        client.got("0\r\n\r\n").await;
    });
}

#[test]
fn a_cut_response_looks_cut() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let upstream = play.upstream().await;
        upstream.sends("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
        upstream.finishes().await;
        client.got("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
        assert!(client.is_closed().await);
    });
}

#[test]
fn a_client_that_reads_slowly_holds_its_upstream_back() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.takes_at_most(1000);
        client.sends(GET).await;
        let upstream = play.upstream().await;
        upstream.sends("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n").await;
        upstream.sends(vec![b'x'; 1_000_000]).await;
        let (reads, _) = upstream.calls();
        assert!(reads <= 3, "the gateway has read {reads} times though its client takes nothing");
        let mut taken = 0;
        while taken < 1_000_000 {
            let got = client.takes().await;
            assert!(!got.is_empty(), "stuck at {taken}");
            taken += got.len() - got.find("\r\n\r\n").map_or(0, |at| at + 4);
        }
        assert_eq!(taken, 1_000_000);
    });
}

#[test]
fn an_answer_before_the_body_has_come_is_passed_on_at_once() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nsome").await;
        let upstream = play.upstream().await;
        upstream.sends("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n").await;
        client.got("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
    });
}

#[test]
fn a_client_that_has_finished_sending_is_still_answered() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        client.finishes().await;
        let upstream = play.upstream().await;
        upstream.sends("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        client.got("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    });
}

#[test]
fn a_client_waits_for_100_continue_and_gets_the_upstreams() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").await;
        let upstream = play.upstream().await;
        upstream.got("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").await;
        upstream.sends("HTTP/1.1 100 Continue\r\n\r\n").await;
        client.got("HTTP/1.1 100 Continue\r\n\r\n").await;
        client.sends("ok").await;
        upstream.got("ok").await;
        upstream.sends("HTTP/1.1 204 No Content\r\n\r\n").await;
        client.got("HTTP/1.1 204 No Content\r\n\r\n").await;
    });
}

#[test]
fn early_hints_are_passed_on() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let upstream = play.upstream().await;
        upstream.sends("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").await;
        client.got("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").await;
        upstream.sends("HTTP/1.1 204 No Content\r\n\r\n").await;
        client.got("HTTP/1.1 204 No Content\r\n\r\n").await;
    });
}

#[test]
fn nothing_goes_upstream_past_the_head_before_101() {
    play(plan(), async |play| {
        let client = play.client().await;
        client
            .sends("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly")
            .await;
        let upstream = play.upstream().await;
        upstream
            .got("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            .await;
        upstream
            .sends("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi")
            .await;
        client
            .got("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi")
            .await;
        upstream.got("early").await;
        client.sends("\x00\x01").await;
        upstream.got("\x00\x01").await;
        upstream.finishes().await;
        assert!(client.is_closed().await);
        client.sends("last").await;
        upstream.got("last").await;
    });
}

#[test]
fn an_upgrade_that_nobody_asked_for_is_a_bad_gateway() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let upstream = play.upstream().await;
        upstream
            .sends("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            .await;
        let rest = client.got_start("HTTP/1.1 502 Bad Gateway\r\n").await;
        assert!(rest.contains("unexpected_upgrade"), "{rest}");
    });
}
