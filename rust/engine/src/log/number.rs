//! Numbers and addresses as text, without the machinery of formatting.

use std::{io::Write as _, net::IpAddr, time::Duration};

/// Decimal digits.
pub(crate) fn push_decimal(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    // Two digits for each division, which is what this costs.
    while number >= 100 {
        at -= 2;
        let pair = (number % 100) as u8;
        digits[at] = b'0' + pair / 10;
        digits[at + 1] = b'0' + pair % 10;
        number /= 100;
    }
    if number >= 10 {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    at -= 1;
    digits[at] = b'0' + number as u8;
    out.extend_from_slice(&digits[at..]);
}

/// Three digits with leading zeros; `number` is below 1000.
pub(super) fn push_three(number: u32, out: &mut Vec<u8>) {
    let digit = |value: u32| b'0' + (value % 10) as u8;
    out.extend_from_slice(&[digit(number / 100), digit(number / 10), digit(number)]);
}

/// Milliseconds with three decimals, cut off.
pub(super) fn push_milliseconds(duration: Duration, out: &mut Vec<u8>) {
    let micros = duration.as_micros() as u64;
    push_decimal(micros / 1000, out);
    out.push(b'.');
    push_three((micros % 1000) as u32, out);
}

/// An address without a port.
pub(super) fn push_ip(ip: IpAddr, out: &mut Vec<u8>) {
    match ip {
        IpAddr::V4(ip) => {
            for (at, octet) in ip.octets().into_iter().enumerate() {
                if at > 0 {
                    out.push(b'.');
                }
                push_decimal(u64::from(octet), out);
            }
        }
        IpAddr::V6(ip) => drop(write!(out, "{ip}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_written_as_rust_writes_them() {
        for number in [0, 7, 10, 99, 100, 65_535, u64::MAX] {
            assert_eq!(text(|out| push_decimal(number, out)), number.to_string());
        }
    }

    #[test]
    fn addresses_are_written_as_rust_writes_them() {
        for address in ["0.0.0.0", "10.20.30.40", "255.255.255.255", "::1", "2001:db8::7"] {
            let ip: IpAddr = address.parse().unwrap();
            assert_eq!(text(|out| push_ip(ip, out)), address);
        }
    }

    #[test]
    fn durations_are_milliseconds_with_three_decimals() {
        assert_eq!(text(|out| push_milliseconds(Duration::from_nanos(1_234_999), out)), "1.234");
        assert_eq!(text(|out| push_milliseconds(Duration::from_micros(7), out)), "0.007");
        assert_eq!(text(|out| push_milliseconds(Duration::from_secs(61), out)), "61000.000");
    }
}
