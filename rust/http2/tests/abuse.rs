//! Every budget: what an honest peer does stays within it, and what a hostile one does ends by its name.

mod support;

use support::wire::{
    CONTINUATION, DATA, END_HEADERS, HEADERS, PADDED, PING, PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE,
    Wire, frame,
};
use tidegate_http2::{ErrorCode, Limits, Over, Reason, Role, Settings};

fn server() -> Wire {
    Wire::new(Role::Server, Settings::default())
}

/// Does the same again and again at one moment; how often it went well, and why not any more.
fn until_over(wire: &mut Wire, mut act: impl FnMut(&mut Wire, u32) -> Result<(), Over>) -> (u32, Reason) {
    for round in 0..100_000 {
        if let Err(over) = act(wire, round) {
            assert_eq!(over.code, ErrorCode::ENHANCE_YOUR_CALM);
            assert!(!wire.side.has_streams() || wire.side.accept().is_none());
            return (round, over.reason);
        }
        // A peer that reads.
        let waiting = wire.side.output().len();
        wire.side.sent(waiting);
    }
    panic!("never over");
}

fn burst(limits: impl Fn(&Limits) -> u32) -> u32 {
    limits(&Limits::default())
}

#[test]
fn rapid_resets_are_bounded() {
    let (rounds, reason) = until_over(&mut server(), |wire, round| {
        wire.get(1 + 2 * round, true)?;
        wire.frame(RST_STREAM, 0, 1 + 2 * round, &[0, 0, 0, 8])
    });
    assert_eq!((rounds, reason), (burst(|limits| limits.resets.burst), Reason::Resets));
}

#[test]
fn resets_of_streams_that_were_answered_cost_nothing() {
    let mut wire = server();
    for round in 0..1000 {
        let id = 1 + 2 * round;
        wire.get(id, false).expect("taken");
        assert_eq!(wire.side.accept(), Some(id));
        support::write_all(&mut wire.side, id, b"HTTP/1.1 204 No Content\r\n\r\n");
        wire.frame(RST_STREAM, 0, id, &[0, 0, 0, 8]).expect("it is answered");
        wire.side.release(id, None);
    }
}

#[test]
fn resets_that_the_peer_brings_about_are_bounded() {
    for fault in [
        frame(WINDOW_UPDATE, 0, 1, &[0; 4]),
        frame(PRIORITY, 0, 1, &[0; 3]),
        frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 1]),
    ] {
        let (rounds, reason) = until_over(&mut server(), |wire, round| {
            wire.get(1 + 2 * round, true)?;
            let mut fault = fault.clone();
            fault[5..9].copy_from_slice(&(1 + 2 * round).to_be_bytes());
            if fault[3] == PRIORITY && fault.len() == 14 {
                fault[9..13].copy_from_slice(&(1 + 2 * round).to_be_bytes());
            }
            wire.send(&fault)
        });
        assert_eq!((rounds, reason), (burst(|limits| limits.faults.burst), Reason::Faults));
    }
    let (_, reason) = until_over(&mut server(), |wire, round| wire.head(1 + 2 * round, true, &[("X", "y")]));
    assert_eq!(reason, Reason::Faults);
}

#[test]
fn streams_beyond_the_limit_are_refused_and_counted() {
    let (rounds, reason) = until_over(&mut server(), |wire, round| wire.get(1 + 2 * round, true));
    assert_eq!((rounds, reason), (128 + burst(|limits| limits.faults.burst), Reason::Faults));
    let mut wire = Wire::new(Role::Server, Settings { max_streams: 2, ..Settings::default() });
    for id in [1, 3, 5] {
        wire.get(id, false).expect("the connection goes on");
    }
    assert_eq!(wire.resets(), [(5, 7)]);
    assert_eq!(wire.side.streams(), 2);
}

#[test]
fn pings_and_settings_are_bounded() {
    let (rounds, reason) = until_over(&mut server(), |wire, _| wire.frame(PING, 0, 0, &[7; 8]));
    assert_eq!((rounds, reason), (burst(|limits| limits.pings.burst), Reason::Pings));
    let (rounds, reason) = until_over(&mut server(), |wire, _| wire.frame(SETTINGS, 0, 0, &[]));
    // One has come already.
    assert_eq!((rounds, reason), (burst(|limits| limits.settings.burst) - 1, Reason::SettingsFrames));
}

#[test]
fn a_budget_fills_again_with_time() {
    let mut wire = server();
    for _ in 0..10_000 {
        wire.now += 1_000_000_000 / 50;
        wire.frame(PING, 0, 0, &[7; 8]).expect("within the rate");
        wire.frames();
    }
}

#[test]
fn frames_that_bring_nothing_are_bounded() {
    for (flags, payload) in [(0, &[][..]), (PADDED, &[3, 0, 0, 0])] {
        let mut wire = server();
        wire.get(1, false).expect("taken");
        let (rounds, reason) = until_over(&mut wire, |wire, _| wire.frame(DATA, flags, 1, payload));
        assert_eq!((rounds, reason), (burst(|limits| limits.empty_frames.burst), Reason::EmptyFrames));
    }
}

#[test]
fn priorities_unknown_frames_and_window_updates_are_bounded() {
    let (rounds, reason) = until_over(&mut server(), |wire, _| wire.frame(PRIORITY, 0, 1, &[0; 5]));
    assert_eq!((rounds, reason), (burst(|limits| limits.priorities.burst), Reason::Priorities));
    let (rounds, reason) = until_over(&mut server(), |wire, _| wire.frame(0xfe, 0, 1, &[0; 5]));
    assert_eq!((rounds, reason), (burst(|limits| limits.unknown_frames.burst), Reason::UnknownFrames));
    let (rounds, reason) =
        until_over(&mut server(), |wire, _| wire.frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]));
    assert_eq!((rounds, reason), (burst(|limits| limits.window_updates.burst), Reason::WindowUpdates));
}

#[test]
fn frames_for_streams_that_are_gone_are_bounded() {
    let mut wire = server();
    wire.get(1, false).expect("taken");
    assert_eq!(wire.side.accept(), Some(1));
    wire.side.release(1, None);
    let (rounds, reason) = until_over(&mut wire, |wire, _| wire.frame(DATA, 0, 1, &[1]));
    assert_eq!((rounds, reason), (burst(|limits| limits.stray_frames.burst), Reason::StrayFrames));
}

#[test]
fn a_head_has_a_bounded_number_of_frames_and_bytes() {
    let mut wire = server();
    wire.frame(HEADERS, 0, 1, &[]).expect("a part of a head");
    let (rounds, reason) = until_over(&mut wire, |wire, _| wire.frame(CONTINUATION, 0, 1, &[]));
    assert_eq!((rounds, reason), (burst(|limits| limits.continuations), Reason::Continuations));
    let mut wire = server();
    wire.frame(HEADERS, 0, 1, &[0; 16_384]).expect("a part of a head");
    let (rounds, reason) = until_over(&mut wire, |wire, _| wire.frame(CONTINUATION, 0, 1, &[0; 16_384]));
    assert_eq!((rounds, reason), (3, Reason::BlockTooLarge));
}

#[test]
fn a_field_block_that_grows_when_it_is_decoded_is_bounded() {
    // A line of 4,000 bytes in the table, and then one byte for each time that it is repeated.
    let mut wire = server();
    let mut block = vec![0x82, 0x86, 0x84, 0x41, 0x01, b'a', 0x40, 0x01, b'x', 0x7f, 0x81, 0x1e];
    block.resize(block.len() + 4000, b'v');
    block.resize(16_000, 0xbe);
    wire.frame(HEADERS, END_HEADERS | 1, 1, &block).expect("the connection goes on");
    let answer = wire.frames();
    assert!(answer[0].3.ends_with(b"431"));
    assert!(!wire.side.has_streams());
}

#[test]
fn a_peer_that_asks_and_does_not_read_is_cut_off() {
    let limits = Limits {
        pings: tidegate_http2::Allowance { burst: u32::MAX, per_second: u32::MAX },
        ..Limits::default()
    };
    let mut wire = Wire::new(Role::Server, Settings { limits, ..Settings::default() });
    let reason = loop {
        if let Err(over) = wire.frame(PING, 0, 0, &[7; 8]) {
            break over.reason;
        }
        assert!(wire.side.output().len() < 1 << 20);
    };
    assert_eq!(reason, Reason::OutputFull);
}

#[test]
fn informational_responses_are_bounded() {
    let mut wire = Wire::new(Role::Client, Settings::default());
    let stream = wire.side.open().expect("a stream is free");
    support::write_all(&mut wire.side, stream, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.frames();
    for _ in 0..burst(|limits| limits.interims) + 1 {
        wire.head(1, false, &[(":status", "103")]).expect("the connection goes on");
    }
    assert_eq!(wire.resets(), [(1, 0xb)]);
}
