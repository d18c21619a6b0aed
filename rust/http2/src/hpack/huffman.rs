//! HPACK's Huffman code (RFC 7541 §5.2, appendix B): its lengths, and what follows from them.
//!
//! The code is canonical: within one length codes grow with their symbols, so the lengths say all.

/// The length in bits of each byte's code.
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6,
    6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7,
    8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7,
    15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24,
    23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23,
    23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26,
    26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20,
    21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27,
    27, 27, 26,
];

/// The longest code of a byte; the end of the string, which never stands in one, is as long.
const LONGEST: usize = 30;

/// How many bits are looked up at once: enough for every byte that is usual in fields.
const QUICK_BITS: u32 = 10;

/// What the lengths imply.
struct Code {
    /// Each byte's code.
    codes: [u32; 256],
    /// By the next ten bits: the byte and its length, 0 where the code is longer.
    quick: [(u8, u8); 1 << QUICK_BITS],
    /// The first code of each length.
    first: [u32; LONGEST + 1],
    /// How many codes of each length there are.
    count: [u32; LONGEST + 1],
    /// Where the symbols of each length start in `symbols`.
    start: [u32; LONGEST + 1],
    /// Bytes by the length of their code, then by value.
    symbols: [u8; 256],
}

static CODE: Code = build();

const fn build() -> Code {
    let mut code = Code {
        codes: [0; 256],
        quick: [(0, 0); 1 << QUICK_BITS],
        first: [0; LONGEST + 1],
        count: [0; LONGEST + 1],
        start: [0; LONGEST + 1],
        symbols: [0; 256],
    };
    let mut next = 0_u32;
    let mut placed = 0;
    let mut length = 1;
    while length <= LONGEST {
        next <<= 1;
        code.first[length] = next;
        code.start[length] = placed as u32;
        let mut symbol = 0;
        while symbol < 256 {
            if LENGTHS[symbol] as usize == length {
                code.codes[symbol] = next;
                code.symbols[placed] = symbol as u8;
                placed += 1;
                if length <= QUICK_BITS as usize {
                    let shift = QUICK_BITS as usize - length;
                    let mut at = (next as usize) << shift;
                    let end = (next as usize + 1) << shift;
                    while at < end {
                        code.quick[at] = (symbol as u8, length as u8);
                        at += 1;
                    }
                }
                next += 1;
            }
            symbol += 1;
        }
        code.count[length] = next - code.first[length];
        length += 1;
    }
    code
}

/// Appends what `source` stands for to `out`; `None` where it is no such string, or where its padding is not the start
/// of the code for its end or is longer than seven bits (RFC 7541 §5.2).
pub(crate) fn decode(source: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let start = out.len();
    // The shortest code has five bits.
    out.resize(start + source.len() * 8 / 5 + 1, 0);
    let room = &mut out[start..];
    let mut written = 0;
    let mut rest = source;
    // The bits that are next, the first of them on top, and how many of them are there.
    let (mut bits, mut count) = (0_u64, 0_u32);
    let held = loop {
        if count <= 32 && !rest.is_empty() {
            if let Some((word, after)) = rest.split_first_chunk::<4>() {
                bits |= u64::from(u32::from_be_bytes(*word)) << (32 - count);
                count += 32;
                rest = after;
            } else {
                for byte in rest {
                    bits |= u64::from(*byte) << (56 - count);
                    count += 8;
                }
                rest = &[];
            }
        }
        let (mut symbol, mut length) = CODE.quick[(bits >> (64 - QUICK_BITS)) as usize];
        if length == 0 {
            (symbol, length) = long(bits).unwrap_or((0, u8::MAX));
        }
        if u32::from(length) > count {
            break rest.is_empty() && count < 8 && bits == !(u64::MAX.checked_shr(count).unwrap_or(0));
        }
        *room.get_mut(written)? = symbol;
        written += 1;
        bits <<= length;
        count -= u32::from(length);
    };
    out.truncate(start + written);
    held.then_some(())
}

/// The byte at the top of `bits` where its code has more than ten bits.
#[cold]
fn long(bits: u64) -> Option<(u8, u8)> {
    (QUICK_BITS as usize + 1..=LONGEST).find_map(|length| {
        let code = (bits >> (64 - length)) as u32;
        let nth = code.checked_sub(CODE.first[length]).filter(|nth| *nth < CODE.count[length])?;
        Some((CODE.symbols[(CODE.start[length] + nth) as usize], length as u8))
    })
}

/// How many bytes `text` takes in this code.
pub(crate) fn encoded_len(text: &[u8]) -> usize {
    text.iter().map(|byte| usize::from(LENGTHS[usize::from(*byte)])).sum::<usize>().div_ceil(8)
}

/// Appends `text` in this code.
pub(crate) fn encode(text: &[u8], out: &mut Vec<u8>) {
    let (mut bits, mut count) = (0_u64, 0_u32);
    for byte in text {
        let length = u32::from(LENGTHS[usize::from(*byte)]);
        bits = bits << length | u64::from(CODE.codes[usize::from(*byte)]);
        count += length;
        if count >= 32 {
            count -= 32;
            out.extend_from_slice(&((bits >> count) as u32).to_be_bytes());
        }
    }
    while count >= 8 {
        count -= 8;
        out.push((bits >> count) as u8);
    }
    if count > 0 {
        out.push((bits << (8 - count)) as u8 | (0xff >> count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(source: &[u8]) -> Option<Vec<u8>> {
        let mut out = b"before".to_vec();
        decode(source, &mut out)?;
        Some(out[6..].to_vec())
    }

    #[test]
    fn the_codes_of_appendix_b_follow_from_their_lengths() {
        // RFC 7541 appendix B, one of each length and the ends.
        for (byte, code) in [
            (b'0', 0x0),
            (b't', 0x9),
            (b' ', 0x14),
            (b':', 0x5c),
            (b'&', 0xf8),
            (b'!', 0x3f8),
            (b'+', 0x7fb),
            (b'#', 0xffa),
            (0, 0x1ff8),
            (b'^', 0x3ffc),
            (b'<', 0x7ffc),
            (b'\\', 0x7fff0),
            (128, 0xfffe6),
            (1, 0x007f_ffd8),
            (9, 0x00ff_ffea),
            (199, 0x01ff_ffec),
            (192, 0x03ff_ffe0),
            (203, 0x07ff_ffde),
            (2, 0x0fff_ffe2),
            (10, 0x3fff_fffc),
            (22, 0x3fff_fffe),
            (255, 0x03ff_ffee),
        ] {
            assert_eq!(CODE.codes[usize::from(byte)], code, "{byte}");
        }
    }

    #[test]
    fn every_byte_comes_back_whatever_stands_beside_it() {
        let all: Vec<u8> = (0..=255).collect();
        for text in [&all[..], b"", b"a", b"www.example.com", b"\xff\x00\xff", &[b'0'; 99]] {
            let mut out = Vec::new();
            encode(text, &mut out);
            assert_eq!(out.len(), encoded_len(text));
            assert_eq!(decoded(&out).as_deref(), Some(text));
        }
        for byte in 0..=255 {
            let mut out = Vec::new();
            encode(&[b'x', byte, b'0'], &mut out);
            assert_eq!(decoded(&out), Some(vec![b'x', byte, b'0']));
        }
    }

    #[test]
    fn padding_is_the_start_of_the_end_and_shorter_than_a_byte() {
        // `a` is 00011, and three bits of padding.
        assert_eq!(decoded(&[0b0001_1111]), Some(b"a".to_vec()));
        assert_eq!(decoded(&[0b0001_1110]), None, "padding of zeros");
        assert_eq!(decoded(&[0b0001_1111, 0xff]), None, "eleven bits of padding");
        assert_eq!(decoded(&[0xff]), None, "eight bits of padding");
        assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xff]), None, "the end itself");
        assert_eq!(decoded(&[0x3f, 0xff, 0xff, 0xff, 0xff]), None, "the end inside");
        assert_eq!(decoded(&[0xff, 0xc0]), None, "a code that is cut");
        assert_eq!(decoded(&[]), Some(Vec::new()));
    }
}
