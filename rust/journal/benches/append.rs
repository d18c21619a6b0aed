//! What it costs to append a record: the worker's share, with all page faults and segment changes.

use std::hint::black_box;
use std::path::Path;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use tidegate_journal::{Appended, Journal};

fn append(c: &mut Criterion) {
    for (where_, dir) in [("disk", std::env::temp_dir()), ("shm", Path::new("/dev/shm").to_owned())] {
        if !dir.is_dir() {
            continue;
        }
        for bytes in [400, 4000] {
            let dir = tempfile::tempdir_in(&dir).expect("a folder");
            let journal = Journal::open(dir.path(), 32 << 20).expect("a journal");
            let mut writer = journal.writer(0);
            let record = vec![b'x'; bytes];
            c.bench_function(&format!("append {bytes} bytes, {where_}"), |b| {
                b.iter_batched(
                    // A reader that takes and removes, as fast as it must.
                    || sweep(dir.path()),
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

/// Removes all but the newest segments.
fn sweep(dir: &Path) {
    let segments = tidegate_journal::list(dir).expect("a folder");
    for path in segments.iter().rev().skip(4) {
        std::fs::remove_file(path).expect("it was there");
    }
}

criterion_group!(benches, append);
criterion_main!(benches);
