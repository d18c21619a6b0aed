//! The one table from the engine's errors to Python's exceptions.

use pyo3::{create_exception, exceptions::PyException, prelude::*};

create_exception!(
    tidegate._engine,
    PlanRejected,
    PyException,
    "The plan can't be run. `path` says where, `why` what is wrong."
);
create_exception!(tidegate._engine, EngineError, PyException, "The engine could not do what it was told.");

/// What Python raises for an engine's error.
pub fn to_python(error: tidegate_engine::EngineError) -> PyErr {
    match error {
        tidegate_engine::EngineError::Rejected(rejected) => plan_rejected(rejected),
        other => EngineError::new_err(other.to_string()),
    }
}

/// What Python raises for a plan that can't be run.
pub fn plan_rejected(rejected: tidegate_engine::PlanRejected) -> PyErr {
    let error = PlanRejected::new_err(rejected.to_string());
    Python::attach(|py| {
        // An exception instance takes attributes; only a lack of memory could say no.
        let value = error.value(py);
        let _ = value.setattr("path", rejected.path);
        let _ = value.setattr("why", rejected.why);
    });
    error
}
