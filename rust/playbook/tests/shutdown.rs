//! The end of the engine: what is cut is told, recorded and counted by name; what is handed over is let go kindly.

use std::time::Duration;

use tidegate_playbook::{plan, play};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const OK_CLOSE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
const STREAM: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCHED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

#[test]
fn a_stream_of_events_is_cut_by_name() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let upstream = play.upstream().await;
        upstream.sends(format!("{STREAM}9\r\ndata: a\n\n\r\n")).await;
        client.got(format!("{STREAM}9\r\ndata: a\n\n\r\n")).await;
        play.engine.drain();
        play.passes(Duration::from_secs(5)).await;
        upstream.sends("9\r\ndata: b\n\n\r\n").await;
        client.got("9\r\ndata: b\n\n\r\n").await;
        play.engine.stop();
        client.got_nothing().await;
        assert!(client.is_closed().await, "no last chunk: the client sees that it was cut");
        assert_eq!((play.requests(), play.refused("shutdown"), play.closed("shutdown")), (1, 1, 1));
    });
}

#[test]
fn a_websocket_is_cut_by_name() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends(UPGRADE).await;
        let upstream = play.upstream().await;
        upstream.sends(SWITCHED).await;
        client.got(SWITCHED).await;
        play.engine.drain();
        play.passes(Duration::from_secs(5)).await;
        client.sends("\u{1}").await;
        upstream.got(format!("{UPGRADE}\u{1}")).await;
        play.engine.stop();
        assert!(client.is_closed().await && upstream.is_closed().await);
        assert_eq!((play.requests(), play.refused("shutdown"), play.closed("shutdown")), (1, 1, 1));
    });
}

#[test]
fn a_client_that_waits_for_an_answer_is_told() {
    play(plan(), async |play| {
        let (waits, uploads) = (play.client().await, play.client().await);
        waits.sends(GET).await;
        uploads.sends("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345").await;
        play.engine.stop();
        waits.got_problem(503, "shutdown").await;
        uploads.got_problem(503, "shutdown").await;
        assert!(waits.is_closed().await && uploads.is_closed().await);
        assert_eq!((play.requests(), play.refused("shutdown"), play.closed("shutdown")), (2, 2, 2));
    });
}

#[test]
fn what_ended_by_itself_bears_its_own_reason() {
    play(plan(), async |play| {
        let client = play.client().await;
        client.sends(GET).await;
        let upstream = play.upstream().await;
        upstream.sends(OK).await;
        client.got(OK).await;
        play.engine.stop();
        assert!(client.is_closed().await);
        assert_eq!((play.requests(), play.refused("shutdown")), (1, 0));
    });
}

#[test]
fn a_connection_that_is_handed_over_has_time_for_another_request() {
    play(plan(), async |play| {
        let (busy, idle) = (play.client().await, play.client().await);
        for client in [&busy, &idle] {
            client.sends(GET).await;
            let upstream = play.upstream_at(80).await;
            upstream.sends(OK).await;
            client.got(OK).await;
            upstream.resets().await;
        }
        play.engine.hand_over();
        play.passes(Duration::from_millis(900)).await;
        assert!(!busy.is_closed().await && !idle.is_closed().await);
        busy.sends(GET).await;
        play.upstream().await.sends(OK).await;
        busy.got(OK_CLOSE).await;
        assert!(busy.is_closed().await);
        play.passes(Duration::from_millis(200)).await;
        assert!(idle.is_closed().await);
        assert_eq!(play.closed("drain"), 2);
        assert_eq!(play.engine.connections(), 0);
    });
}
