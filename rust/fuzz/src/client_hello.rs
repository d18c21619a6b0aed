//! ClientHellos: bounded, the same however they come, and never read in two ways.

use tidegate_sni::{HelloFault, read};

/// The most that a hello may have here: small, so that the bound is met often.
const MOST: usize = 2048;

/// Checks what must hold for any bytes.
pub fn run(data: &[u8]) {
    let whole = read(data, MOST);
    match &whole {
        Ok(None) => assert!(data.len() < 2 * MOST, "more is asked for beyond the bound"),
        Ok(Some(hello)) => {
            if let Some(name) = &hello.server_name {
                assert!(!name.is_empty() && name.len() <= 253);
                assert!(name.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase()));
            }
        }
        Err(_) => {}
    }
    // Whatever comes earlier either asks for more or has the last word already.
    let mut decided = None;
    for end in 0..=data.len().min(MOST + 16) {
        let part = read(&data[..end], MOST);
        match &decided {
            None if part != Ok(None) => decided = Some(part),
            Some(before) => assert_eq!(before, &part, "more bytes changed what was decided"),
            None => {}
        }
    }
    if let Err(HelloFault::NotTls) = whole {
        assert!(data.first() != Some(&22) || data.len() > 1);
    }
}

/// A hello with a name and a protocol, in one record and in many.
pub fn seeds() -> Vec<Vec<u8>> {
    let list = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
    let sni = [&[0, 0][..], &list(&list(&[&[0][..], &list(b"a.example.com")].concat()))].concat();
    let alpn = [&[0, 16][..], &list(&list(b"\x02h2"))].concat();
    let body =
        [&[3, 3][..], &[7; 32], &[0], &list(&[0x13, 1]), &[1, 0], &list(&[alpn, sni].concat())].concat();
    let message = [&[1, 0][..], &list(&body)].concat();
    let records = |each: usize| -> Vec<u8> {
        message.chunks(each).flat_map(|part| [&[22, 3, 1][..], &list(part)].concat()).collect()
    };
    vec![records(1 << 14), records(7), b"GET / HTTP/1.1\r\n".to_vec()]
}
