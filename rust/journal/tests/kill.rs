//! `kill -9` at random moments, and a file size limit that comes and goes: in a process of their own, which is this test again.

#![allow(clippy::unwrap_used, reason = "the helpers are parts of tests")]

use std::collections::HashMap;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;

use tidegate_journal::{Appended, End, Header, Journal, SEGMENT_BYTES_LEAST, list, read_file};

const ROUNDS: usize = 40;
const WORKERS: u32 = 2;
const DIR: &str = "TIDEGATE_JOURNAL_TEST_DIR";

/// What record `n` of a worker is: from one byte behind the numbers to about a thousand.
fn record(worker: u32, n: u32) -> Vec<u8> {
    let mut record = [worker.to_le_bytes(), n.to_le_bytes()].concat();
    let bytes = 9 + n.wrapping_mul(2_654_435_761) as usize % 1000;
    record.resize(bytes, (n % 251) as u8);
    record
}

/// Runs `name` of this file again, with these folders; its acknowledgements come over standard error.
fn again(name: &str, dir: &Path, shell: &str) -> Child {
    let exe = std::env::current_exe().unwrap();
    Command::new("sh")
        .args(["-c", &format!("{shell} exec \"$0\" \"$@\"")])
        .arg(exe)
        .args(["--exact", name, "--ignored", "--nocapture"])
        .env(DIR, dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn dir() -> std::path::PathBuf {
    std::env::var_os(DIR).expect("only run by another test").into()
}

#[test]
#[ignore = "run by a_kill_at_any_moment_loses_nothing_that_was_acknowledged"]
fn child_appends_until_it_is_killed() {
    let journal = Journal::open(&dir(), SEGMENT_BYTES_LEAST).unwrap();
    thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (journal, mut writer) = (&journal, journal.writer(worker as usize));
            scope.spawn(move || {
                for n in 0.. {
                    let appended = writer.append(&record(worker, n));
                    // This is faster than any disk: wait for it, as a worker does by refusing calls.
                    while appended == Appended::Queued && journal.stats().queued_bytes > 0 {
                        thread::yield_now();
                    }
                    if n % 16 == 0 {
                        let acknowledged = [worker.to_le_bytes(), n.to_le_bytes()].concat();
                        std::io::stderr().write_all(&acknowledged).unwrap();
                    }
                }
            });
        }
    });
}

#[test]
fn a_kill_at_any_moment_loses_nothing_that_was_acknowledged() {
    let random = |n: usize| RandomState::new().hash_one(n) as usize;
    let mut records = 0;
    for round in 0..ROUNDS {
        let dir = tempfile::tempdir().unwrap();
        let mut child = again("child_appends_until_it_is_killed", dir.path(), "");
        let mut acknowledgements = child.stderr.take().unwrap();
        let mut acknowledged: HashMap<u32, u32> = HashMap::new();
        let mut left = random(round) % 400;
        let mut one = [0; 8];
        while acknowledgements.read_exact(&mut one).is_ok() {
            let [worker, n] = [0, 4].map(|at| u32::from_le_bytes(*one[at..].first_chunk().unwrap()));
            acknowledged.insert(worker, n);
            // Once only; then the rest of the pipe is read, to what was acknowledged last.
            match left {
                0 => child.kill().unwrap(),
                _ => left -= 1,
            }
        }
        child.wait().unwrap();
        for worker in 0..WORKERS {
            let (numbers, open) = read_back(dir.path(), worker);
            let acknowledged = acknowledged.get(&worker).copied();
            assert!(
                acknowledged.is_none_or(|n| (n as usize) < numbers),
                "{acknowledged:?} was acknowledged, {numbers} read"
            );
            assert!(open <= 2, "one that was written to and a spare, not {open}");
            records += numbers;
        }
    }
    assert!(records > ROUNDS * 100, "{records} records: too few to have tried anything");
}

/// Reads all of a worker's segments, and checks that they hold its records from the first on; how many, and how many are open.
fn read_back(dir: &Path, worker: u32) -> (usize, usize) {
    let (mut next, mut open) = (0, 0);
    for path in list(dir).unwrap() {
        let header = Header::parse(&fs::read(&path).unwrap());
        // The last may have been killed before it had its header.
        let Ok(header) = header else { continue };
        assert!(header.owner_is_gone());
        if header.worker != worker {
            continue;
        }
        let read = read_file(&path, 0).unwrap();
        for found in read.records {
            assert!(found == record(worker, next), "worker {worker}: record {next} is another");
            next += 1;
        }
        assert_ne!(read.end, End::Damaged);
        open += usize::from(read.end == End::Open);
    }
    (next as usize, open)
}

#[test]
#[ignore = "run by a_limit_on_file_sizes_stalls_the_journal_and_kills_nobody"]
fn child_appends_under_a_limit_on_file_sizes() {
    let journal = Journal::open(&dir(), 1 << 20).unwrap();
    let mut writer = journal.writer(0);
    for n in 0..5000 {
        assert_eq!(writer.append(&record(0, n)), Appended::Queued);
    }
    assert_eq!(journal.stats().segments, 0);
    assert_eq!(list(&dir()).unwrap().len(), 0, "what could not be made is not left behind");
    eprintln!("queued");
    let raised = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            std::io::stdin().read_line(&mut String::new()).unwrap();
            raised.store(true, SeqCst);
        });
        while !raised.load(SeqCst) || journal.stats().queued_bytes > 0 {
            thread::yield_now();
        }
    });
    drop((writer, journal));
    eprintln!("written");
    std::process::exit(0);
}

#[test]
fn a_limit_on_file_sizes_stalls_the_journal_and_kills_nobody() {
    let dir = tempfile::tempdir().unwrap();
    // The signal of the limit is ignored, as Python does; what is left is the error.
    let mut child =
        again("child_appends_under_a_limit_on_file_sizes", dir.path(), "trap '' XFSZ; ulimit -S -f 64;");
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().as_deref(), Some("queued"));
    let pid = child.id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status().unwrap();
    assert!(raised.success());
    child.stdin.take().unwrap().write_all(b"raised\n").unwrap();
    assert_eq!(lines.next().as_deref(), Some("written"));
    assert!(child.wait().unwrap().success());
    assert_eq!(read_back(dir.path(), 0).0, 5000);
}
