//! Runs a plan without Python, for counting instructions and allocations: `serve PLAN.json [WORKERS]`.
//!
//! It says `ready ADDRESS…` once it serves, and ends when its standard input does.
//! A line on standard input is answered with how often the allocator was asked for memory so far.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    io::{Read as _, Write as _},
    sync::atomic::{AtomicU64, Ordering},
};

/// The system's allocator, counted.
struct Counted;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// An allocator is unsafe by its trait; this one only hands on.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counted = Counted;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: serve PLAN.json [WORKERS]")?;
    let workers = arguments.next().map_or(Ok(1), |number| number.parse())?;
    let engine = tidegate_engine::Engine::new(workers)?;
    let addresses = engine.start(&std::fs::read(path)?)?;
    println!("ready {}", addresses.join(" "));
    std::io::stdout().flush()?;
    // Each line asks for the count so far; the end of input ends the program.
    let mut byte = [0];
    while std::io::stdin().read(&mut byte)? > 0 {
        if byte[0] == b'\n' {
            println!("allocations {}", ALLOCATIONS.load(Ordering::Relaxed));
            std::io::stdout().flush()?;
        }
    }
    engine.stop();
    Ok(())
}
