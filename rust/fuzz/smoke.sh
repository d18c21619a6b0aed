#!/bin/sh
# Runs every fuzz target for a short while under the stable compiler, the same way each time.
# Arguments go to the loop: --iterations N, --seconds N (per target), names of targets.
# Under nightly: cargo run --release --bin seeds && cargo +nightly fuzz run --fuzz-dir . differential
set -eu
cd "$(dirname "$0")"
exec cargo run --quiet --release --locked --bin smoke -- "$@"
