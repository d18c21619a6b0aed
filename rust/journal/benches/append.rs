//! What it costs to append a record: the worker's share, with all page faults and segment changes.

use std::hint::black_box;
use std::io::{Seek, Write};
use std::path::Path;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use tidegate_journal::{Appended, Journal};

fn append(c: &mut Criterion) {
    for (where_, dir) in [("disk", std::env::temp_dir()), ("shm", Path::new("/dev/shm").to_owned())] {
        if !dir.is_dir() {
            continue;
        }
        // Eight MiB: a segment that is touched whole in the background.
        for bytes in [400, 4000] {
            let dir = tempfile::tempdir_in(&dir).expect("a folder");
            let journal = Journal::open(dir.path(), 8 << 20).expect("a journal");
            let mut writer = journal.writer(0);
            let mut made = 0;
            let record = vec![b'x'; bytes];
            c.bench_function(&format!("append {bytes} bytes, {where_}"), |b| {
                b.iter_batched(
                    // A reader that takes and removes, as fast as it must.
                    || {
                        sweep(dir.path());
                        spare(&journal, &mut made);
                    },
                    |()| {
                        for _ in 0..1000 {
                            assert_ne!(writer.append(black_box(&record)), Appended::Lost);
                        }
                    },
                    BatchSize::PerIteration,
                );
            });
            assert_eq!(journal.stats().lost, 0);
        }
    }
}

/// Now and then waits for a spare segment: no disk makes them as fast as this appends.
fn spare(journal: &Journal, made: &mut u64) {
    let stats = journal.stats();
    if stats.segments != *made || stats.queued_bytes > 0 {
        *made = stats.segments;
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What the journal does without: one system call for each record.
fn write(c: &mut Criterion) {
    let mut file = tempfile::tempfile().expect("a file");
    let record = [b'x'; 400];
    let mut n = 0u32;
    c.bench_function("write(2) of 400 bytes, disk", |b| {
        b.iter(|| {
            n += 1;
            if n.is_multiple_of(100_000) {
                file.set_len(0).and_then(|()| file.rewind()).expect("a file");
            }
            file.write_all(black_box(&record)).expect("room")
        })
    });
}

/// Removes all but the newest segments.
fn sweep(dir: &Path) {
    let segments = tidegate_journal::list(dir).expect("a folder");
    for path in segments.iter().rev().skip(4) {
        std::fs::remove_file(path).expect("it was there");
    }
}

criterion_group!(benches, append, write);
criterion_main!(benches);
