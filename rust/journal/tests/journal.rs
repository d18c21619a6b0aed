//! Writers and their keeper: order, segments that fill up, folders that fail and come back.

#![allow(clippy::unwrap_used, reason = "the helpers are parts of tests")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tidegate_journal::{
    Appended, End, HEADER_BYTES, Header, Journal, QUEUE_BYTES, SEGMENT_BYTES_LEAST, SEGMENT_BYTES_MOST, list,
    read_file,
};

/// What a worker wrote, over all its segments; with how the last one ends.
fn records(dir: &Path, worker: u32) -> (Vec<Vec<u8>>, Option<End>) {
    let mut all = Vec::new();
    let mut end = None;
    for path in list(dir).unwrap() {
        let header = Header::parse(&fs::read(&path).unwrap()).unwrap();
        let read = read_file(&path, 0).unwrap();
        if header.worker == worker && !(read.records.is_empty() && read.end == End::Open) {
            all.extend(read.records);
            end = Some(read.end);
        }
    }
    (all, end)
}

fn record(n: u32, bytes: usize) -> Vec<u8> {
    let mut record = n.to_le_bytes().to_vec();
    record.resize(bytes.max(4), n as u8);
    record
}

/// Waits for another thread, without guessing how long it takes.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < end, "{what}");
        thread::yield_now();
    }
}

/// A journal whose one writer has a segment and a spare.
fn settled(dir: &Path) -> (Arc<Journal>, tidegate_journal::Writer) {
    let journal = Journal::open(dir, SEGMENT_BYTES_LEAST).unwrap();
    let writer = journal.writer(0);
    until("a spare is made", || journal.stats().segments == 2);
    (journal, writer)
}

#[test]
fn a_record_is_on_its_way_to_disk_when_append_returns() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), SEGMENT_BYTES_LEAST).unwrap();
    let mut writer = journal.writer(0);
    assert_eq!(writer.append(b"one"), Appended::Written);
    assert_eq!(records(dir.path(), 0), (vec![b"one".to_vec()], Some(End::Open)));
}

#[test]
fn records_come_back_in_order_over_many_segments() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), SEGMENT_BYTES_LEAST).unwrap();
    let mut writer = journal.writer(0);
    for n in 0..3000 {
        assert_ne!(writer.append(&record(n, n as usize % 700)), Appended::Lost);
    }
    drop(writer);
    drop(journal);
    let (read, end) = records(dir.path(), 0);
    assert_eq!(end, Some(End::Closed));
    assert!(read.iter().eq(&(0..3000).map(|n| record(n, n as usize % 700)).collect::<Vec<_>>()));
    assert!(list(dir.path()).unwrap().len() > 10);
}

#[test]
fn two_writers_do_not_mix() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), SEGMENT_BYTES_LEAST).unwrap();
    thread::scope(|scope| {
        for worker in 0..2u32 {
            let mut writer = journal.writer(worker as usize);
            scope.spawn(move || {
                for n in 0..2000 {
                    writer.append(&record(n * 2 + worker, 100));
                }
            });
        }
    });
    assert_eq!(journal.stats().lost, 0);
    drop(journal);
    for worker in 0..2 {
        let wanted: Vec<_> = (0..2000).map(|n| record(n * 2 + worker, 100)).collect();
        assert!(records(dir.path(), worker).0 == wanted, "worker {worker}");
    }
}

#[test]
fn a_journal_that_ends_leaves_no_empty_segment() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, mut writer) = settled(dir.path());
    writer.append(b"one");
    drop(writer);
    drop(journal);
    assert_eq!(list(dir.path()).unwrap().len(), 1);
    assert_eq!(records(dir.path(), 0), (vec![b"one".to_vec()], Some(End::Closed)));
}

#[test]
fn a_journal_leaves_the_segments_of_others_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("old.tgj"), "of somebody").unwrap();
    drop(Journal::open(dir.path(), SEGMENT_BYTES_LEAST).unwrap());
    assert_eq!(fs::read(dir.path().join("old.tgj")).unwrap(), b"of somebody");
}

#[test]
fn the_largest_record_fits_and_a_larger_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, mut writer) = settled(dir.path());
    let most = journal.largest_record();
    assert_eq!(most, SEGMENT_BYTES_LEAST as usize - HEADER_BYTES - 16);
    assert_eq!(writer.append(&vec![1; most + 1]), Appended::Refused);
    assert_eq!(writer.append(b""), Appended::Refused);
    assert_eq!(journal.stats().refused, 2);
    assert_eq!(writer.append(&vec![2; most]), Appended::Written);
    assert_eq!(writer.append(b"next"), Appended::Written, "into the spare");
    assert_eq!(records(dir.path(), 0).0, [vec![2; most], b"next".to_vec()]);
}

#[test]
fn a_size_that_cannot_be_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for bytes in [0, SEGMENT_BYTES_LEAST - 1, SEGMENT_BYTES_MOST + 1, u64::MAX] {
        assert!(Journal::open(dir.path(), bytes).is_err());
    }
}

#[test]
fn while_no_segment_can_be_made_records_wait_and_are_written_in_order_when_one_can() {
    let dir = tempfile::tempdir().unwrap();
    let (here, away) = (dir.path().join("here"), dir.path().join("away"));
    let (journal, mut writer) = settled(&here);
    fs::rename(&here, &away).unwrap();
    let mut n = 0;
    let mut append = |writer: &mut tidegate_journal::Writer, bytes| {
        n += 1;
        (n, writer.append(&record(n, bytes)))
    };
    let mut queued = 0;
    while queued < 500 {
        match append(&mut writer, 1000) {
            (_, Appended::Written) => assert_eq!(queued, 0, "nothing goes before what waits"),
            (_, Appended::Queued) => queued += 1,
            other => panic!("{other:?}"),
        }
    }
    until("the failure is told", || journal.stats().errno == libc_enoent());
    assert!(!writer.pressure(), "there is room");
    assert!(journal.stats().queued_bytes > 500_000);
    fs::rename(&away, &here).unwrap();
    until("all is written", || journal.stats().queued_bytes == 0);
    until("the keeper is done", || append(&mut writer, 50).1 == Appended::Written);
    assert_eq!(journal.stats().errno, 0);
    drop((writer, journal));
    let (read, _) = records(&here, 0);
    let numbers: Vec<u32> =
        read.iter().map(|record| u32::from_le_bytes(*record.first_chunk().unwrap())).collect();
    assert!(numbers.iter().copied().eq(1..=n), "{} of {n} records", numbers.len());
}

#[test]
fn writers_ask_for_fewer_calls_long_before_a_record_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let (here, away) = (dir.path().join("here"), dir.path().join("away"));
    let (journal, mut writer) = settled(&here);
    fs::rename(&here, &away).unwrap();
    let mut asked_at = None;
    for n in 0.. {
        match writer.append(&record(n, 50_000)) {
            Appended::Lost => break,
            Appended::Queued if writer.pressure() => {
                asked_at = asked_at.or(Some(journal.stats().queued_bytes))
            }
            _ => {}
        }
    }
    let (asked_at, stats) = (asked_at.unwrap() as usize, journal.stats());
    assert!(asked_at < QUEUE_BYTES / 3, "asked at {asked_at}");
    assert_eq!(stats.lost, 1);
    assert!(stats.queued_bytes as usize <= QUEUE_BYTES);
    fs::rename(&away, &here).unwrap();
    until("all is written", || journal.stats().queued_bytes == 0);
    assert!(!writer.pressure());
}

#[test]
fn a_writer_that_is_dropped_leaves_what_waits_to_the_keeper() {
    let dir = tempfile::tempdir().unwrap();
    let (here, away) = (dir.path().join("here"), dir.path().join("away"));
    let (journal, mut writer) = settled(&here);
    fs::rename(&here, &away).unwrap();
    let count = (0..).find(|&n| writer.append(&record(n, 1000)) == Appended::Queued).unwrap() + 1;
    drop(writer);
    fs::rename(&away, &here).unwrap();
    drop(journal);
    let (read, end) = records(&here, 0);
    assert_eq!((read.len() as u32, end), (count, Some(End::Closed)));
}

#[test]
fn a_journal_that_has_no_disk_ends_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (here, away) = (dir.path().join("here"), dir.path().join("away"));
    let (journal, mut writer) = settled(&here);
    fs::rename(&here, &away).unwrap();
    while writer.append(&[7; 9000]) != Appended::Queued {}
    drop(writer);
    drop(journal);
    assert!(!here.exists(), "it ended, and made no folder");
}

fn libc_enoent() -> i32 {
    // The same on every Linux.
    2
}
