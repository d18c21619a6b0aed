//! PROXY headers: bounded, and partial up to their last byte.

use tidegate_http1::proxy_protocol::{Parsed, parse};

/// Checks what must hold for any bytes.
pub fn run(data: &[u8]) {
    match parse(data) {
        Ok(Parsed::Done { len, source, destination }) => {
            assert!(len <= data.len() && len >= 8);
            assert_eq!(source.is_some(), destination.is_some());
            assert_eq!(parse(&data[..len]), parse(data), "what follows the header does not change it");
            for end in 0..len {
                assert_eq!(parse(&data[..end]), Ok(Parsed::Partial), "up to {end} of {len}");
            }
        }
        Ok(Parsed::Partial) => assert!(data.len() < 16 + 4096),
        Err(_) => {}
    }
}
