//! ClientHellos made by hand, cut at every place, and what looks like one.

use super::*;

fn list(bytes: &[u8]) -> Vec<u8> {
    let mut out = (bytes.len() as u16).to_be_bytes().to_vec();
    out.extend_from_slice(bytes);
    out
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &list(content)].concat()
}

fn sni(name: &[u8]) -> Vec<u8> {
    extension(SERVER_NAME, &list(&[&[0][..], &list(name)].concat()))
}

fn alpn(protocols: &[&[u8]]) -> Vec<u8> {
    let inner: Vec<u8> = protocols.iter().flat_map(|name| [&[name.len() as u8][..], name].concat()).collect();
    extension(ALPN, &list(&inner))
}

fn body(extensions: Option<&[u8]>) -> Vec<u8> {
    let mut out = [&[3, 3][..], &[7; 32], &[4, 1, 2, 3, 4], &list(&[0x13, 1, 0x13, 2]), &[1, 0]].concat();
    if let Some(extensions) = extensions {
        out.extend(list(extensions));
    }
    out
}

fn message_of(body: &[u8]) -> Vec<u8> {
    [&[1, 0][..], &list(body)].concat()
}

fn records(message: &[u8], each: usize) -> Vec<u8> {
    message.chunks(each).flat_map(|part| [&[22, 3, 1][..], &list(part)].concat()).collect()
}

fn hello_with(extensions: &[u8]) -> Vec<u8> {
    records(&message_of(&body(Some(extensions))), RECORD_MOST)
}

fn name_in(bytes: &[u8]) -> Option<String> {
    read(bytes, 16 * 1024).unwrap().unwrap().server_name
}

#[test]
fn the_name_is_told_in_lower_case_without_its_last_dot() {
    assert_eq!(name_in(&hello_with(&sni(b"A.Example.COM."))).as_deref(), Some("a.example.com"));
}

#[test]
fn a_client_that_says_no_name_has_none() {
    assert_eq!(name_in(&hello_with(&alpn(&[b"h2"]))), None);
    assert_eq!(name_in(&hello_with(&sni(b""))), None);
    assert_eq!(name_in(&records(&message_of(&body(None)), RECORD_MOST)), None);
}

#[test]
fn a_protocol_is_known_only_where_it_is_the_only_one() {
    let protocol = |bytes: &[u8]| read(bytes, 16_384).unwrap().unwrap().protocol;
    assert_eq!(protocol(&hello_with(&alpn(&[b"postgresql"]))).as_deref(), Some(&b"postgresql"[..]));
    assert_eq!(protocol(&hello_with(&alpn(&[b"h2", b"http/1.1"]))), None);
}

#[test]
fn wherever_a_hello_is_cut_more_is_asked_for_and_the_whole_is_read() {
    let message = message_of(&body(Some(&[alpn(&[b"h2"]), sni(b"a.example.com")].concat())));
    for each in [1, 3, 5, 64, RECORD_MOST] {
        let bytes = records(&message, each);
        for cut in 0..bytes.len() {
            assert_eq!(read(&bytes[..cut], 16_384), Ok(None), "records of {each}, {cut} bytes");
        }
        assert_eq!(name_in(&bytes).as_deref(), Some("a.example.com"));
        let followed = [&bytes[..], b"more"].concat();
        assert_eq!(name_in(&followed).as_deref(), Some("a.example.com"));
    }
}

#[test]
fn what_is_not_tls_is_known_by_its_first_bytes() {
    for other in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"SSH-2.0-x",
        b"\x80\x2e\x01\x03\x01",
        b"\x16\x02",
        b"\x00",
        b"\x16\x03\x01\x00\x00",
    ] {
        assert_eq!(read(other, 16_384), Err(HelloFault::NotTls), "{other:?}");
    }
    let server_hello = [22, 3, 3, 0, 4, 2, 0, 0, 0];
    assert_eq!(read(&server_hello, 16_384), Err(HelloFault::NotTls));
}

#[test]
fn a_hello_that_will_be_too_large_is_refused_before_it_has_come() {
    let huge = [22, 3, 1, 0x40, 0, 1, 1, 0, 0];
    assert_eq!(read(&huge, 16_384), Err(HelloFault::TooLarge));
    let bytes = hello_with(&extension(21, &[0; 3000]));
    assert_eq!(read(&bytes[..100], 2048), Err(HelloFault::TooLarge));
    let many = records(&message_of(&body(Some(&extension(21, &[0; 3000])))), 1);
    assert_eq!(read(&many, 4096), Err(HelloFault::TooLarge));
}

#[test]
fn a_name_that_could_be_read_in_two_ways_is_refused() {
    let two_entries = extension(SERVER_NAME, &list(&[&[0][..], &list(b"a"), &[0], &list(b"b")].concat()));
    let cases = [
        [sni(b"a"), sni(b"b")].concat(),
        two_entries,
        sni(b"a\0b"),
        sni(b"a b"),
        sni("ä".as_bytes()),
        sni(&[b'a'; 254]),
        [sni(b"a"), vec![0, 0]].concat(),
        extension(SERVER_NAME, &[0, 9, 0]),
        extension(SERVER_NAME, &[&list(&[&[0][..], &list(b"a")].concat())[..], b"x"].concat()),
    ];
    for extensions in cases {
        assert_eq!(read(&hello_with(&extensions), 16_384), Err(HelloFault::Malformed), "{extensions:?}");
    }
}

#[test]
fn bytes_behind_the_extensions_are_refused() {
    let message = message_of(&[body(Some(&sni(b"a"))), vec![1]].concat());
    assert_eq!(read(&records(&message, RECORD_MOST), 16_384), Err(HelloFault::Malformed));
}

#[test]
fn a_record_of_another_kind_in_the_middle_is_refused() {
    let message = message_of(&body(Some(&sni(b"a"))));
    let mut bytes = records(&message[..20], 20);
    bytes.extend([21, 3, 1, 0, 2, 1, 0]);
    assert_eq!(read(&bytes, 16_384), Err(HelloFault::Malformed));
}

proptest::proptest! {
    #[test]
    fn nothing_that_comes_makes_it_panic(bytes: Vec<u8>, most in 0..20_000_usize) {
        let _ = read(&bytes, most);
    }

    #[test]
    fn a_hello_with_any_bytes_changed_is_read_or_refused(at in 0..120_usize, value: u8, each in 1..200_usize) {
        let mut bytes = records(&message_of(&body(Some(&[alpn(&[b"h2"]), sni(b"a.example.com")].concat()))), each);
        if let Some(byte) = bytes.get_mut(at) {
            *byte = value;
        }
        let _ = read(&bytes, 16_384);
    }

    #[test]
    fn more_bytes_never_turn_a_refusal_into_a_hello(bytes: Vec<u8>, more: Vec<u8>) {
        if let Err(fault) = read(&bytes, 4096) {
            let all = [bytes, more].concat();
            proptest::prop_assert_eq!(read(&all, 4096), Err(fault));
        }
    }
}

#[test]
fn a_record_that_can_not_fit_is_refused_whatever_of_it_has_come() {
    // The message would be whole within it; the record is longer than what may be asked for.
    let mut bytes = vec![22, 3, 1, 0x12, 0, 1, 0, 0, 2, 3, 3];
    for end in 5..=bytes.len() {
        assert_eq!(read(&bytes[..end], 2048), Err(HelloFault::TooLarge), "{end}");
    }
    bytes.resize(4096, 0);
    assert_eq!(read(&bytes, 2048), Err(HelloFault::TooLarge));
}
