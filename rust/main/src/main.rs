//! `tidegate` as one file: what is quick is answered here, everything else by the Python that is linked in.
//!
//! Knows: the command line's quickest verbs, where the archive of modules is (behind this program, in the same file).
//! Never: what a configuration means, requests.

#[cfg_attr(test, allow(dead_code))] // what asks it is the program, which tests are linked without
mod healthcheck;
#[cfg(not(test))]
mod interpreter;

#[cfg(not(test))]
use std::{env, ffi::OsString, process::ExitCode};

// The engine's module, for its `PyInit__engine`. Tests are linked without the interpreter.
#[cfg(not(test))]
use _engine as _;

#[cfg(not(test))]
fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let words: Option<Vec<&str>> = arguments.iter().map(|argument| argument.to_str()).collect();
    let quick = match words.as_deref() {
        Some(["-v" | "--version" | "version"]) => {
            println!("tidegate {}", env!("CARGO_PKG_VERSION"));
            Some(ExitCode::SUCCESS)
        }
        Some(["healthcheck", options @ ..]) => healthcheck::run(options),
        _ => None,
    };
    quick.unwrap_or_else(interpreter::run)
}
