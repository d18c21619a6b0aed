//! A seeded mutation loop for stable compilers: finds what is shallow, the same way on every run.

use std::panic;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::{Run, TARGETS, seeds};

/// Inputs grow no further than this.
const LARGEST: usize = 16 * 1024;

/// What mutations insert: the bytes on which readings of HTTP differ, then those of JSON, of event streams and of HTTP/2.
const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b"\r\n ",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b"\0",
    b"\x0b",
    b"\x7f",
    b"\x80",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b";a=\"",
    b"0x",
    b"+",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"GET / HTTP/1.1\r\n",
    b"Host: a\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: ",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Connection: x-a\r\n",
    b"Expect: 100-continue\r\n",
    b"http://b",
    b"//",
    b"#",
    b"?",
    b"9223372036854775808",
    b"\"",
    b"\\u0000",
    b"\\ud800",
    b"{",
    b"}",
    b"[",
    b"]",
    b"null",
    b"[]",
    b"{}",
    b"-1",
    b"1e999",
    b"\"\"",
    b"data: ",
    b"data: [DONE]\n\n",
    b"event: error\n",
    b"\"index\":1,",
    b"\"type\":\"text\",",
    b"\"role\":\"assistant\",",
    b"[pii_1]",
    b"4111 1111 1111 1111",
    b"a@b.example",
    b"\0\0\0\x01\x05\0\0\0\x05",
    b"\0\0\x01\0\x01\0\0\0\x01x",
    b"\0\0\x04\x08\0\0\0\0\x01\0\0\x01\0",
    b"\x82\x86\x84\x41\x01a",
    b"\x40\x01a\x01b",
    b"\xbe",
];

/// Runs the targets called `names`, or all; for the arguments see the usage text.
pub fn main(names: &[&str]) -> ExitCode {
    let mut iterations = 1_000_000;
    let mut seconds = 10;
    let mut chosen: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|text| text.parse().ok());
        match argument.as_str() {
            "--iterations" => iterations = number().unwrap_or(iterations),
            "--seconds" => seconds = number().unwrap_or(seconds),
            name if TARGETS.iter().any(|target| target.0 == name) => chosen.push(name.to_owned()),
            _ => {
                eprintln!(
                    "usage: smoke [--iterations N] [--seconds N] [TARGET]...\n\nEach target runs its seeds and then N mutations of them, for at most N seconds."
                );
                return ExitCode::FAILURE;
            }
        }
    }
    let mut failed = false;
    for (name, run) in TARGETS {
        if chosen.is_empty() || chosen.iter().any(|chosen| chosen == name) {
            failed |= !smoke(name, run, iterations, Duration::from_secs(seconds));
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Runs one target; whether it held.
fn smoke(name: &str, run: Run, iterations: u64, most: Duration) -> bool {
    let seeds = seeds::of(name);
    let started = Instant::now();
    let mut rng = Rng::with_seed(0x7469_6465);
    let mut done = 0;
    for seed in &seeds {
        if !holds(name, run, seed) {
            return false;
        }
    }
    // The clock is looked at seldom, so that it costs nothing.
    while done < iterations && (done % 256 != 0 || started.elapsed() < most) {
        let input = mutated(&seeds, &mut rng);
        if !holds(name, run, &input) {
            return false;
        }
        done += 1;
    }
    println!(
        "{name}: {} seeds and {done} mutations in {:.1} s",
        seeds.len(),
        started.elapsed().as_secs_f32()
    );
    true
}

fn holds(name: &str, run: Run, input: &[u8]) -> bool {
    if panic::catch_unwind(|| run(input)).is_ok() {
        return true;
    }
    let path = artifact(name, input);
    eprintln!("{name} does not hold for {:?}", String::from_utf8_lossy(input));
    match std::fs::write(&path, input) {
        Ok(()) => eprintln!("the input is in {}", path.display()),
        Err(error) => eprintln!("the input could not be written to {}: {error}", path.display()),
    }
    false
}

fn artifact(name: &str, input: &[u8]) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts").join(name);
    // Where it cannot be made, writing the file says why.
    let _ = std::fs::create_dir_all(&folder);
    let sum = input
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    folder.join(format!("smoke-{sum:016x}"))
}

fn mutated(seeds: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut input = seeds[rng.usize(..seeds.len())].clone();
    for _ in 0..rng.usize(1..6) {
        let at = rng.usize(..=input.len());
        let end = at + rng.usize(..=(input.len() - at).min(32));
        match rng.u8(..8) {
            0 | 1 => drop(input.splice(at..at, WORDS[rng.usize(..WORDS.len())].iter().copied())),
            2 => drop(input.splice(at..end, WORDS[rng.usize(..WORDS.len())].iter().copied())),
            3 => drop(input.drain(at..end)),
            4 => input.extend_from_within(at..end),
            5 => {
                let other = &seeds[rng.usize(..seeds.len())];
                input.truncate(at);
                input.extend_from_slice(&other[rng.usize(..=other.len())..]);
            }
            6 if at < input.len() => input[at] ^= 1 << rng.u8(..8),
            7 if at < input.len() => input[at] = rng.u8(..),
            _ => input.truncate(input.len() - rng.usize(..=input.len().min(4))),
        }
    }
    input.truncate(LARGEST);
    input
}
