//! Names that a client hides another name behind: `X_Forwarded_For` and `X-Forwarded-For` are one variable to whoever
//! reads fields as CGI has them (RFC 3875 §4.1.18), and what Tidegate sets or removes must not come in by that door.

/// Names longer than this are none of ours.
const NAME_MOST: usize = 128;

/// Calls `is_ours` with the name that `name` is to CGI, in hyphens, where that is another one.
pub fn shadows(name: &[u8], is_ours: impl FnOnce(&[u8]) -> bool) -> bool {
    if !has_underscore(name) {
        return false;
    }
    let mut room = [0; NAME_MOST];
    let Some(hyphenated) = room.get_mut(..name.len()) else { return false };
    for (to, from) in hyphenated.iter_mut().zip(name) {
        *to = if *from == b'_' { b'-' } else { *from };
    }
    is_ours(hyphenated)
}

/// Eight bytes at a time: it is asked of every field of every request.
fn has_underscore(name: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let (words, rest) = name.as_chunks::<8>();
    let in_word = |word: &[u8; 8]| {
        // A byte that is zero after this was an underscore, and borrows from the bit above it.
        let zeros = u64::from_le_bytes(*word) ^ (ONES * b'_' as u64);
        zeros.wrapping_sub(ONES) & !zeros & (ONES << 7) != 0
    };
    words.iter().any(in_word) || rest.contains(&b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_underscore_is_found_wherever_it_stands() {
        for length in 0..40 {
            let name = vec![b'a'; length];
            assert!(!has_underscore(&name));
            assert!(!has_underscore(&vec![b'^'; length]) && !has_underscore(&vec![b'`'; length]));
            for at in 0..length {
                let mut other = name.clone();
                other[at] = b'_';
                assert!(has_underscore(&other), "{at} of {length}");
            }
        }
    }

    #[test]
    fn a_name_in_hyphens_shadows_nothing_and_one_in_underscores_the_other() {
        assert!(!shadows(b"X-Forwarded-For", |_| true));
        assert!(shadows(b"X_Forwarded-For", |name| name == b"X-Forwarded-For"));
        assert!(!shadows(b"X_A", |name| name == b"X-B"));
        assert!(!shadows(&[b'_'; 500], |_| true));
    }
}
