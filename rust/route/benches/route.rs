//! What a match, a normalisation and a rendering cost.

use criterion::{criterion_group, criterion_main};

criterion_group!(benches);
criterion_main!(benches);
