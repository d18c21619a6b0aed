//! Sealed cookies and checked tokens, for whoever logs people in.

use pyo3::{exceptions::PyValueError, prelude::*, types::PyBytes};
use tidegate_engine::logins;

/// Seals what a browser carries.
#[pyfunction]
pub fn seal(secret: &str, purpose: &str, content: &[u8]) -> PyResult<String> {
    logins::seal(secret, purpose, content)
        .ok_or_else(|| PyValueError::new_err("the system has no randomness"))
}

/// What was sealed; `None` for anything else.
#[pyfunction]
pub fn unseal<'py>(py: Python<'py>, secret: &str, purpose: &str, text: &str) -> Option<Bound<'py, PyBytes>> {
    logins::unseal(secret, purpose, text).map(|content| PyBytes::new(py, &content))
}

/// The claims of an ID token.
#[pyfunction]
pub fn check_id_token<'py>(
    py: Python<'py>,
    jwks: &[u8],
    token: &str,
    issuer: &str,
    client_id: &str,
    now: u64,
) -> PyResult<Bound<'py, PyBytes>> {
    let claims =
        logins::check_id_token(jwks, token, issuer, client_id, now).map_err(PyValueError::new_err)?;
    Ok(PyBytes::new(py, &claims))
}
