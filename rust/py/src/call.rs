//! One hook call: its fields become Python objects only when they are looked at.

use pyo3::{
    prelude::*,
    types::{PyBytes, PyString},
};
use tidegate_engine::hooks;

/// What a hook is told about a request.
#[pyclass(frozen, module = "tidegate._engine")]
pub struct Call(pub hooks::Call);

/// Header bytes as text: each byte is the character of its number, so that nothing is lost.
fn latin1<'py>(py: Python<'py>, bytes: &[u8]) -> Bound<'py, PyString> {
    if bytes.is_ascii()
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        return PyString::new(py, text);
    }
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    PyString::new(py, &text)
}

#[pymethods]
impl Call {
    #[getter]
    fn id(&self) -> u64 {
        self.0.id
    }

    #[getter]
    fn hook(&self) -> u32 {
        self.0.hook
    }

    #[getter]
    fn hook_name(&self) -> &str {
        &self.0.hook_name
    }

    #[getter]
    fn generation(&self) -> u64 {
        self.0.generation
    }

    #[getter]
    fn method<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        latin1(py, &self.0.method)
    }

    #[getter]
    fn target<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        latin1(py, &self.0.target)
    }

    #[getter]
    fn path<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        latin1(py, &self.0.path)
    }

    #[getter]
    fn query<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        latin1(py, &self.0.query)
    }

    #[getter]
    fn host<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        latin1(py, &self.0.host)
    }

    #[getter]
    fn scheme(&self) -> &'static str {
        self.0.scheme
    }

    #[getter]
    fn tls_version(&self) -> &'static str {
        self.0.tls.as_ref().map_or("", |tls| tls.version)
    }

    #[getter]
    fn tls_cipher(&self) -> &'static str {
        self.0.tls.as_ref().map_or("", |tls| tls.cipher)
    }

    #[getter]
    fn tls_client_subject(&self) -> &str {
        self.0.tls.as_ref().map_or("", |tls| tls.subject())
    }

    #[getter]
    fn tls_client_san(&self) -> &str {
        self.0.tls.as_ref().map_or("", |tls| tls.san())
    }

    #[getter]
    fn tls_client_verified(&self) -> &'static str {
        self.0.tls.as_ref().map_or("", |tls| tls.verified())
    }

    #[getter]
    fn sni(&self) -> &str {
        self.0.tls.as_ref().map_or("", |tls| &tls.sni)
    }

    #[getter]
    fn client_ip(&self) -> &str {
        &self.0.client_ip
    }

    #[getter]
    fn request_id(&self) -> &str {
        &self.0.request_id
    }

    #[getter]
    fn route(&self) -> &str {
        &self.0.route
    }

    #[getter]
    fn listener(&self) -> &str {
        &self.0.listener
    }

    #[getter]
    fn user(&self) -> &str {
        &self.0.user
    }

    #[getter]
    fn about(&self) -> &str {
        &self.0.about
    }

    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> Vec<(Bound<'py, PyString>, Bound<'py, PyString>)> {
        self.0.headers.iter().map(|(name, value)| (latin1(py, name), latin1(py, value))).collect()
    }

    fn header<'py>(&self, py: Python<'py>, name: &str) -> Option<Bound<'py, PyString>> {
        let found = self.0.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()))?;
        Some(latin1(py, &found.1))
    }

    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.0.body.as_ref().map(|body| PyBytes::new(py, body))
    }
}
