//! Looks for bytes that the parsers handle wrongly.
//!
//! Knows: what must hold for any bytes at all, seeds, a naive reader to compare with.
//! Never: how the parsers do it.
//!
//! Each target is a module with `run(data)`, which panics where something that must hold does not.

pub mod answers;
pub mod body;
pub mod chunk;
pub mod client_hello;
pub mod dialects;
pub mod differential;
pub mod frames;
pub mod guard;
pub mod http2;
pub mod plan;
pub mod proxy_protocol;
pub mod reader;
pub mod request_head;
pub mod requests;
pub mod response_head;
pub mod seeds;
pub mod smoke;
pub mod sse;
pub mod streams;

/// What drives a target: a function of any bytes.
pub type Run = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: [(&str, Run); 15] = [
    ("request_head", request_head::run),
    ("response_head", response_head::run),
    ("chunk", chunk::run),
    ("proxy_protocol", proxy_protocol::run),
    ("client_hello", client_hello::run),
    ("plan", plan::run),
    ("differential", differential::run),
    ("body", body::run),
    ("sse", sse::run),
    ("requests", requests::run),
    ("answers", answers::run),
    ("streams", streams::run),
    ("frames", frames::run),
    ("guard", guard::run),
    ("http2", http2::run),
];

/// The body of a binary that drives one target: libFuzzer's under `cargo fuzz`, the smoke loop's otherwise.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::$name::run(data));

        #[cfg(not(fuzzing))]
        fn main() -> std::process::ExitCode {
            $crate::smoke::main(&[stringify!($name)])
        }
    };
}
