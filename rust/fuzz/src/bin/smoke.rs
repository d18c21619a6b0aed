//! Runs every target's seeds and a bounded number of mutations, under a stable compiler.

fn main() -> std::process::ExitCode {
    tidegate_fuzz::smoke::main(&[])
}
