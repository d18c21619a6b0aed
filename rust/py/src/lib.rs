//! Gives Python the engine.
//!
//! Knows: PyO3, and how each value crosses.
//! Never: what a value means.

// PyO3's macros write code that the compiler can't check; nothing here does.
#![allow(unsafe_code)]

mod call;
mod error;
mod gateway;
mod logins;
mod verdict;

/// The engine, as `tidegate.gateway` uses it.
#[pyo3::pymodule]
mod _engine {
    #[pymodule_export]
    use super::call::Call;
    #[pymodule_export]
    use super::error::{EngineError, PlanRejected};
    #[pymodule_export]
    use super::gateway::{Gateway, check, explain, version};
    #[pymodule_export]
    use super::logins::{check_id_token, seal, unseal};
    #[pymodule_export]
    use super::verdict::Verdict;
}
