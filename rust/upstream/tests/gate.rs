//! The gate: how many are in, how many wait, and that nobody is lost between threads.

use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;
use tidegate_upstream::{Admission, Gate, GateLimits};

fn gate(max: u32, queue_max: u32) -> Gate {
    Gate::new(GateLimits { max, queue_max })
}

#[test]
fn without_a_bound_everybody_passes_and_nobody_is_counted() {
    let gate = gate(0, 5);
    assert!((0..100).all(|_| gate.try_open() == Admission::Open));
    assert_eq!((gate.open(), gate.waiting(), gate.close()), (0, 0, false));
}

#[test]
fn up_to_the_bound_is_let_in_then_some_wait_then_the_rest_is_refused() {
    let gate = gate(2, 1);
    let said = [(); 4].map(|()| gate.try_open());
    assert_eq!(said, [Admission::Open, Admission::Open, Admission::Wait, Admission::Full]);
    assert_eq!((gate.open(), gate.waiting()), (2, 1));
}

#[test]
fn without_a_queue_the_next_one_is_refused() {
    let gate = gate(1, 0);
    assert_eq!([gate.try_open(), gate.try_open()], [Admission::Open, Admission::Full]);
}

#[test]
fn one_who_waits_is_let_in_when_woken_and_only_then() {
    let gate = gate(1, 2);
    assert_eq!([gate.try_open(), gate.try_open()], [Admission::Open, Admission::Wait]);
    assert!(!gate.try_enter(), "woken for nothing");
    assert!(gate.close(), "somebody waits");
    assert!(gate.try_enter());
    assert_eq!((gate.open(), gate.waiting()), (1, 0));
    assert!(!gate.try_enter(), "nobody waits any more");
    assert!(!gate.close());
}

#[test]
fn a_newcomer_does_not_overtake_those_who_wait() {
    let gate = gate(1, 5);
    assert_eq!([gate.try_open(), gate.try_open()], [Admission::Open, Admission::Wait]);
    assert!(gate.close());
    assert_eq!(gate.try_open(), Admission::Wait);
}

#[test]
fn one_who_leaves_passes_the_wake_up_on() {
    let gate = gate(1, 5);
    assert_eq!([(); 3].map(|()| gate.try_open()), [Admission::Open, Admission::Wait, Admission::Wait]);
    assert!(gate.close());
    assert!(gate.leave(), "there is room, and the other one waits");
    assert!(gate.try_enter());
    assert_eq!((gate.open(), gate.waiting(), gate.leave()), (1, 0, false));
}

#[test]
fn leaving_while_there_is_no_room_wakes_nobody() {
    let gate = gate(1, 5);
    assert_eq!([(); 3].map(|()| gate.try_open()), [Admission::Open, Admission::Wait, Admission::Wait]);
    assert!(!gate.leave());
}

#[test]
fn other_limits_keep_those_who_are_in() {
    let gate = gate(2, 0);
    assert_eq!([gate.try_open(), gate.try_open()], [Admission::Open, Admission::Open]);
    assert!(gate.set_limits(GateLimits { max: 1, queue_max: 1 }));
    assert!(!gate.close());
    assert_eq!(gate.try_open(), Admission::Wait, "one is in, which is the bound now");
}

#[test]
fn a_bound_neither_appears_nor_vanishes() {
    assert!(!gate(0, 0).set_limits(GateLimits { max: 1, queue_max: 0 }));
    assert!(!gate(1, 0).set_limits(GateLimits { max: 0, queue_max: 0 }));
}

#[test]
fn too_many_closes_do_no_harm() {
    let gate = gate(1, 0);
    assert!(!gate.close() && !gate.leave());
    assert_eq!((gate.open(), gate.waiting(), gate.try_open()), (0, 0, Admission::Open));
}

proptest! {
    #[test]
    fn the_counts_are_always_those_of_the_callers(steps in prop::collection::vec(0u8..4, 0..300)) {
        let gate = gate(3, 2);
        let (mut open, mut waiting) = (0, 0);
        for step in steps {
            match step {
                0 => match gate.try_open() {
                    Admission::Open => { prop_assert!(waiting == 0); open += 1 }
                    Admission::Wait => { prop_assert!(open == 3 || waiting > 0); waiting += 1 }
                    Admission::Full => prop_assert_eq!(waiting, 2),
                },
                1 if open > 0 => { open -= 1; prop_assert_eq!(gate.close(), waiting > 0) }
                2 if waiting > 0 => {
                    let entered = gate.try_enter();
                    prop_assert_eq!(entered, open < 3);
                    if entered { (open, waiting) = (open + 1, waiting - 1) }
                }
                3 if waiting > 0 => { waiting -= 1; prop_assert_eq!(gate.leave(), waiting > 0 && open < 3) }
                _ => {}
            }
            prop_assert!(open <= 3 && waiting <= 2);
            prop_assert_eq!((gate.open(), gate.waiting()), (open, waiting));
        }
    }
}

#[test]
fn threads_together_never_pass_the_bound_and_all_are_served() {
    let gate = gate(3, 100);
    let (inside, most, served) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    match gate.try_open() {
                        Admission::Open => {}
                        Admission::Wait => {
                            while !gate.try_enter() {
                                std::thread::yield_now();
                            }
                        }
                        Admission::Full => unreachable!("four threads cannot fill the queue"),
                    }
                    most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    served.fetch_add(1, Ordering::SeqCst);
                    inside.fetch_sub(1, Ordering::SeqCst);
                    let _ = gate.close();
                }
            });
        }
    });
    assert!(most.into_inner() <= 3);
    assert_eq!((served.into_inner(), gate.open(), gate.waiting()), (8_000, 0, 0));
}
