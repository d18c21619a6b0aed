//! Apache's MD5 hash of passwords (`$apr1$`), which is what `htpasswd` wrote for twenty years.
//!
//! Read, never written: MD5 is quickly guessed. Apache's `apr_md5_encode` is the only specification.

use md5::{Digest, Md5};

/// Characters of a hash.
pub(crate) const LENGTH: usize = 22;

const ROUNDS: usize = 1000;
const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The hash of a password as it is written.
pub(crate) fn hash(password: &[u8], salt: &[u8]) -> [u8; LENGTH] {
    let inner: [u8; 16] =
        Md5::new().chain_update(password).chain_update(salt).chain_update(password).finalize().into();
    let mut outer = Md5::new().chain_update(password).chain_update(b"$apr1$").chain_update(salt);
    for part in password.chunks(16) {
        outer.update(&inner[..part.len()]);
    }
    let mut bits = password.len();
    while bits > 0 {
        // The bit decides between a zero and the first byte of the password.
        outer.update(if bits & 1 == 1 { &[0][..] } else { &password[..1] });
        bits >>= 1;
    }
    let mut last: [u8; 16] = outer.finalize().into();
    for round in 0..ROUNDS {
        let mut md5 = Md5::new();
        let odd = round % 2 == 1;
        md5.update(if odd { password } else { &last });
        if round % 3 != 0 {
            md5.update(salt);
        }
        if round % 7 != 0 {
            md5.update(password);
        }
        md5.update(if odd { &last[..] } else { password });
        last = md5.finalize().into();
    }
    let mut out = [0; LENGTH];
    let groups = [(0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5)];
    for (at, (a, b, c)) in groups.into_iter().enumerate() {
        let bits = u32::from(last[a]) << 16 | u32::from(last[b]) << 8 | u32::from(last[c]);
        write(bits, &mut out[at * 4..at * 4 + 4]);
    }
    write(u32::from(last[11]), &mut out[20..]);
    out
}

/// Six bits for each character, the lowest first.
fn write(bits: u32, out: &mut [u8]) {
    for (at, character) in out.iter_mut().enumerate() {
        *character = ALPHABET[(bits >> (6 * at) & 0x3f) as usize];
    }
}
