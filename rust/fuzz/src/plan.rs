//! Plans: refused with a sentence or decoded, never a panic.

use tidegate_plan::Plan;

/// Checks what must hold for any bytes.
pub fn run(data: &[u8]) {
    match Plan::decode(data) {
        Ok(plan) => assert_eq!(Plan::decode(data), Ok(plan), "decoding depends on the bytes alone"),
        Err(error) => assert!(!error.why.is_empty(), "a refusal says why"),
    }
}
