//! Any bytes may stand in a segment: what is read is a prefix of what was written, and nothing panics.

#![allow(clippy::unwrap_used, reason = "the helpers are parts of tests")]

use std::fs;

use proptest::prelude::*;
use tidegate_journal::{End, HEADER_BYTES, Header, Journal, list, read_file, read_segment};

const HEADER: Header =
    Header { segment_bytes: 65_536, nonce: 0xfeed, number: 3, pid: 17, worker: 2, started: 99, boot: 0xb001 };

/// A segment with these records, written by a writer.
fn written(records: &[Vec<u8>]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), 64 << 10).unwrap();
    let mut writer = journal.writer(0);
    for record in records {
        writer.append(record);
    }
    drop((writer, journal));
    fs::read(&list(dir.path()).unwrap()[0]).unwrap()
}

#[test]
fn a_segment_is_laid_out_as_the_format_says() {
    let bytes = written(&[b"{\"a\":1}".to_vec(), b"12345678".to_vec()]);
    assert_eq!(bytes.len(), 64 << 10);
    assert_eq!(&bytes[..4], b"TGJ1");
    assert_eq!(bytes[64..72], [7, 0, 0, 0, 0xc6, 0x53, 0x84, 0xfc], "length, and the low half of XXH3");
    assert_eq!(&bytes[72..80], b"{\"a\":1}\0");
    assert_eq!(bytes[80..84], [8, 0, 0, 0]);
    assert_eq!(&bytes[88..96], b"12345678");
    assert_eq!(bytes[96..104], [0xff; 8], "closed");
    assert!(bytes[104..].iter().all(|&byte| byte == 0));
}

#[test]
fn a_header_is_read_back_as_it_was_written() {
    assert_eq!(Header::parse(&HEADER.to_bytes()), Ok(HEADER));
    assert_eq!(HEADER.file_name(), "000000000000feed-0002-000000000003.tgj");
    for at in 0..HEADER_BYTES {
        let mut bytes = HEADER.to_bytes();
        bytes[at] ^= 0x20;
        assert!(Header::parse(&bytes).is_err(), "byte {at} was damaged");
        assert!(Header::parse(&HEADER.to_bytes()[..at]).is_err(), "only {at} bytes are there");
    }
}

#[test]
fn reading_goes_on_where_it_ended() {
    let bytes = written(&[b"one".to_vec(), b"two".to_vec(), b"three".to_vec()]);
    let first = read_segment(&bytes[..100], 0).unwrap();
    assert_eq!((first.records, first.end), (vec![&b"one"[..], b"two"], End::Open));
    let second = read_segment(&bytes, first.next).unwrap();
    assert_eq!((second.records, second.end), (vec![&b"three"[..]], End::Closed));
    let third = read_segment(&bytes, second.next).unwrap();
    assert_eq!((third.records.len(), third.next, third.end), (0, second.next, End::Closed));
}

#[test]
fn a_file_that_is_still_being_made_holds_nothing() {
    let bytes = HEADER.to_bytes();
    let read = read_segment(&bytes, 0).unwrap();
    assert_eq!((read.records.len(), read.next, read.end), (0, HEADER_BYTES, End::Open));
}

#[test]
fn every_damaged_bit_of_a_frame_is_noticed() {
    let records: Vec<Vec<u8>> = (1..12u8).map(|n| vec![n; usize::from(n) * 5]).collect();
    let bytes = written(&records);
    let frames: usize = records.iter().map(|record| (8 + record.len()).next_multiple_of(8)).sum();
    let mut at = HEADER_BYTES;
    for (index, record) in records.iter().enumerate() {
        for byte in at..at + 8 + record.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[byte] ^= 1 << bit;
                let read = read_segment(&damaged, 0).unwrap();
                assert_eq!((read.records.len(), read.end), (index, End::Damaged), "byte {byte}, bit {bit}");
                assert_eq!(read.next, at);
            }
        }
        at += (8 + record.len()).next_multiple_of(8);
    }
    assert_eq!(at, HEADER_BYTES + frames);
}

#[test]
fn what_is_no_segment_is_said_to_be_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tgj");
    fs::write(&path, "hello").unwrap();
    assert_eq!(read_file(&path, 0).unwrap_err().kind(), std::io::ErrorKind::InvalidData);
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, offset: usize) {
        let _ = read_segment(&bytes, offset);
    }

    #[test]
    fn any_bytes_behind_a_header_are_read_without_a_panic(
        frames in prop::collection::vec(prop_oneof![3 => any::<u8>(), 3 => Just(0u8), 1 => Just(255u8)], 0..300),
        offset in prop_oneof![Just(0usize), 0..400usize, any::<usize>()],
    ) {
        let mut bytes = HEADER.to_bytes().to_vec();
        bytes.extend(frames);
        let read = read_segment(&bytes, offset).unwrap();
        prop_assert!(read.next >= HEADER_BYTES);
    }

    #[test]
    fn a_segment_that_is_cut_off_anywhere_gives_a_prefix(
        records in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 1..20),
        cut: prop::sample::Index,
    ) {
        let bytes = written(&records);
        let end = HEADER_BYTES + cut.index(bytes.len() - HEADER_BYTES);
        let read = read_segment(&bytes[..end], 0).unwrap();
        prop_assert!(read.records.len() <= records.len());
        prop_assert!(read.records.iter().zip(&records).all(|(read, written)| read == written));
    }
}
