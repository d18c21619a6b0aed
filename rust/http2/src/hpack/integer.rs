//! HPACK's integers (RFC 7541 §5.1).

/// Reads an integer whose first byte has `bits` bits of it; nothing of the wire is larger than 2^28.
pub(crate) fn read(source: &mut &[u8], bits: u32) -> Option<usize> {
    let (first, mut rest) = source.split_first()?;
    let most = (1 << bits) - 1;
    let mut value = usize::from(*first) & most;
    if value == most {
        let mut shift = 0;
        loop {
            let (byte, after) = rest.split_first()?;
            rest = after;
            value += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
            shift += 7;
            if shift > 21 {
                return None;
            }
        }
    }
    *source = rest;
    Some(value)
}

/// Writes `value` behind the flags that stand above the first `bits` bits of `first`.
pub(crate) fn write(first: u8, bits: u32, value: usize, out: &mut Vec<u8>) {
    let most = (1_usize << bits) - 1;
    if value < most {
        out.push(first | value as u8);
        return;
    }
    out.push(first | most as u8);
    let mut left = value - most;
    while left >= 0x80 {
        out.push(0x80 | (left & 0x7f) as u8);
        left >>= 7;
    }
    out.push(left as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_appendix_c1_hold() {
        for (value, bits, bytes) in
            [(10, 5, &[0b01010][..]), (1337, 5, &[0b11111, 0b1001_1010, 0b0000_1010]), (42, 8, &[42])]
        {
            let mut out = Vec::new();
            write(0, bits, value, &mut out);
            assert_eq!(out, bytes);
            let mut source = bytes;
            assert_eq!(read(&mut source, bits), Some(value));
            assert!(source.is_empty());
        }
    }

    #[test]
    fn what_is_cut_or_endless_is_no_integer() {
        for bytes in [&[][..], &[0x7f], &[0x7f, 0x80], &[0x7f, 0xff, 0xff, 0xff, 0xff, 0x7f]] {
            assert_eq!(read(&mut &bytes[..], 7), None);
        }
        for value in [0, 126, 127, 128, 254, 255, 16_383, 1 << 20, (1 << 28) - 1] {
            let mut out = Vec::new();
            write(0x80, 7, value, &mut out);
            assert_eq!(read(&mut &out[..], 7), Some(value));
        }
    }
}
