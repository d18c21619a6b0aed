//! What holds for every path, whatever its bytes.
#![allow(clippy::unwrap_used)] // a failure here is a failed test

use proptest::{collection::vec, prelude::*, sample::select};
use tidegate_route::{PathRefusal, normalise_path};

const PIECES: [&str; 26] = [
    "/", "//", ".", "..", "%2e", "%2E%2e", "%2f", "%2F", "%5c", "\\", ";", "%3b", "%", "%25", "%252e",
    "%252f", "%00", "%0a", "%7F", "a", "b.c", "%61", "é", "%C3%A9", " ", "%zz",
];

fn any_path() -> impl Strategy<Value = Vec<u8>> {
    let tricky =
        vec(select(&PIECES[..]), 0..12).prop_map(|pieces| format!("/{}", pieces.concat()).into_bytes());
    let bytes = vec(any::<u8>(), 0..40).prop_map(|bytes| [b"/", &*bytes].concat());
    prop_oneof![4 => tricky, 1 => bytes]
}

fn normal(raw: &[u8], merge_slashes: bool) -> Result<Vec<u8>, PathRefusal> {
    normalise_path(raw, merge_slashes, &mut Vec::new()).map(<[u8]>::to_vec)
}

/// The slow and obvious way: decode, then walk the segments.
fn reference(raw: &[u8], merge_slashes: bool) -> Option<Vec<u8>> {
    let mut segments: Vec<Vec<u8>> = vec![];
    let mut ends_open = false;
    let pieces: Vec<&[u8]> = raw[1..].split(|byte| *byte == b'/').collect();
    for (at, piece) in pieces.iter().enumerate() {
        let is_last = at + 1 == pieces.len();
        let mut segment = vec![];
        let mut rest = *piece;
        while let Some((byte, behind)) = rest.split_first() {
            rest = behind;
            if *byte != b'%' {
                segment.push(*byte);
                continue;
            }
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return None;
            }
            let value = u8::from_str_radix(digits, 16).ok()?;
            if value.is_ascii_control() || value == b'/' || value == b'%' {
                segment.extend(format!("%{value:02X}").bytes());
            } else {
                segment.push(value);
            }
            rest = &rest[2..];
        }
        ends_open = is_last && matches!(&*segment, b"" | b"." | b"..");
        match &*segment {
            b"." => {}
            b".." => drop(segments.pop()?),
            b"" if is_last || merge_slashes => {}
            _ => segments.push(segment),
        }
    }
    let mut path: Vec<u8> = segments.iter().flat_map(|segment| [b"/", &**segment].concat()).collect();
    if ends_open {
        path.push(b'/');
    }
    Some(path)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_normal_form_begins_with_a_slash_and_has_no_dot_segments(raw in any_path(), merge in any::<bool>()) {
        if let Ok(path) = normal(&raw, merge) {
            prop_assert_eq!(path[0], b'/');
            prop_assert!(!path.split(|byte| *byte == b'/').any(|segment| segment == b"." || segment == b".."));
            prop_assert!(!merge || !path.windows(2).any(|pair| pair == b"//"));
            prop_assert!(!path.contains(&0));
        }
    }

    #[test]
    fn a_normal_form_is_its_own(raw in any_path(), merge in any::<bool>()) {
        if let Ok(path) = normal(&raw, merge) {
            prop_assert_eq!(normal(&path, merge), Ok(path));
        }
    }

    #[test]
    fn every_percent_sign_of_a_normal_form_begins_an_escape_that_was_kept(raw in any_path(), merge in any::<bool>()) {
        if let Ok(path) = normal(&raw, merge) {
            for (at, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'%') {
                let digits = std::str::from_utf8(&path[at + 1..at + 3]).unwrap();
                let value = u8::from_str_radix(digits, 16).unwrap();
                prop_assert!(value == b'/' || value == b'%' || value.is_ascii_control(), "{}", digits);
                prop_assert_eq!(digits, digits.to_ascii_uppercase());
            }
        }
    }

    #[test]
    fn a_normal_form_is_what_decoding_and_walking_give(raw in any_path(), merge in any::<bool>()) {
        match normal(&raw, merge) {
            Ok(path) => prop_assert_eq!(Some(path), reference(&raw, merge)),
            Err(PathRefusal::BadPercent | PathRefusal::AboveRoot) => prop_assert_eq!(reference(&raw, merge), None),
            Err(_) => {}
        }
    }

    #[test]
    fn merging_slashes_first_changes_nothing(raw in any_path()) {
        let mut merged = raw.clone();
        merged.dedup_by(|one, other| *one == b'/' && *other == b'/');
        prop_assert_eq!(normal(&raw, true), normal(&merged, false));
    }
}
