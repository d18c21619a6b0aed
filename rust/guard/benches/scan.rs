//! What guards cost on texts that have nothing in them, as nearly all have: prose, and a program with many digits.

use std::{hint::black_box, sync::Arc};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidegate_guard::{Direction, Guards, StreamScan, Vault};
use tidegate_plan::{Guard, GuardAction, GuardScope, LookFor};

const PROSE: &str = "The quick brown fox (born in 2019) jumps over the lazy dog; nobody knows why: it was a Tuesday, \
    and the task-list said nothing of foxes. In other words, \"three of four readers\" ask for more detail here.\n";

const PROGRAM: &str = "    let total: u64 = rows[3].iter().map(|row| row.cost * 1_000 + 17).sum(); // 2026-11-21, 12:30:45\n\
    assert_eq!(std::cmp::max(a::b(7), 0x1f), 42, \"{}\", values[0..10].len());\n";

fn scans(criterion: &mut Criterion) {
    let kinds = ["card", "iban", "email", "phone", "ip", "ssn", "api_key"].map(str::to_owned).to_vec();
    let words = (0..100).map(|number| format!("codename{number}")).collect();
    let guard = |name: &str, look_for| Guard {
        name: name.into(),
        scope: GuardScope::Both,
        look_for,
        action: GuardAction::Mask,
    };
    let guards = Arc::new(
        Guards::compile(&[
            guard("pii", LookFor::Pii { kinds }),
            guard("words", LookFor::Keywords { words }),
            guard("pattern", LookFor::Regex { pattern: r"\bEMP-\d{6}\b".into() }),
        ])
        .expect("good guards"),
    );
    let mut group = criterion.benchmark_group("scan_10k");
    group.throughput(Throughput::Bytes(10_000));
    for (name, piece) in [("prose", PROSE), ("program", PROGRAM)] {
        let text: String = piece.chars().cycle().take(10_000).collect();
        for kind in ["card", "iban", "email", "phone", "ip", "ssn", "api_key"] {
            let only = LookFor::Pii { kinds: vec![kind.to_owned()] };
            let guards = Guards::compile(&[guard("one", only)]).expect("a good guard");
            let mut same = text.clone();
            group.bench_function(format!("{name}/{kind}"), |bencher| {
                bencher.iter(|| {
                    guards.scan(&[0], Direction::Request, black_box(&mut same), &mut Vault::default())
                });
            });
        }
        for (what, chosen) in [("pii", &[0][..]), ("words", &[1]), ("pattern", &[2]), ("all", &[0, 1, 2])] {
            let mut same = text.clone();
            group.bench_function(format!("{name}/{what}"), |bencher| {
                bencher.iter(|| {
                    guards.scan(chosen, Direction::Request, black_box(&mut same), &mut Vault::default())
                });
            });
        }
        group.bench_function(format!("{name}/deltas"), |bencher| {
            bencher.iter(|| {
                let mut scan = StreamScan::new(&guards, &[0]).expect("it looks at answers");
                let mut out = String::with_capacity(10_100);
                for at in (0..text.len()).step_by(5) {
                    let _ = scan.push(&text[at..(at + 5).min(text.len())], &mut out);
                }
                let _ = scan.finish(&mut out);
                out
            });
        });
    }
    group.finish();
}

criterion_group!(benches, scans);
criterion_main!(benches);
