//! Which of two workers serves a connection.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A worker takes a connection to another only if that one has this many fewer.
const BALANCE_STEP: usize = 2;

/// A counter that shares its cache line with nothing.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Load(pub AtomicUsize);

/// The accepting worker, unless another one chosen at random has clearly less to do.
pub fn lighter_of_two(loads: &[Load], own: usize) -> usize {
    if loads.len() == 1 {
        return own;
    }
    let mut other = fastrand::usize(..loads.len() - 1);
    if other >= own {
        other += 1;
    }
    let load = |index: usize| loads[index].0.load(Ordering::Relaxed);
    if load(other) + BALANCE_STEP <= load(own) { other } else { own }
}
