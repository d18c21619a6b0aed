//! The engine's handle as a Python class; whatever may wait lets the interpreter go.

use std::os::fd::{BorrowedFd, RawFd};

use pyo3::{exceptions::PyValueError, prelude::*, types::PyBytes};
use tidegate_engine::{Engine, EngineError, Inherited, hooks::Outcome};
use tidegate_plan::Plan;

use crate::{
    call::Call,
    error::{plan_rejected, to_python},
    verdict::Verdict,
};

/// The data plane.
#[pyclass(frozen, module = "tidegate._engine")]
pub struct Gateway(Engine);

#[pymethods]
impl Gateway {
    #[new]
    fn new(workers: usize) -> PyResult<Self> {
        Engine::new(workers).map(Self).map_err(to_python)
    }

    #[pyo3(signature = (plan, inherited=Vec::new()))]
    fn start(&self, py: Python<'_>, plan: &[u8], inherited: Vec<(u32, Vec<RawFd>)>) -> PyResult<Vec<String>> {
        py.detach(|| {
            let inherited: Result<Vec<Inherited>, EngineError> = inherited.into_iter().map(copies).collect();
            self.0.start_with(plan, inherited?)
        })
        .map_err(to_python)
    }

    fn sockets(&self) -> Vec<Vec<RawFd>> {
        self.0.sockets()
    }

    fn own(&self, listeners: Vec<u32>) {
        self.0.own(&listeners);
    }

    fn hand_over(&self) {
        self.0.hand_over();
    }

    fn apply(&self, py: Python<'_>, plan: &[u8]) -> PyResult<Vec<String>> {
        py.detach(|| self.0.apply(plan)).map_err(to_python)
    }

    fn drain(&self) {
        self.0.drain();
    }

    fn workers(&self) -> (u64, bool) {
        let health = self.0.workers();
        (u64::try_from(health.slowest.as_millis()).unwrap_or(u64::MAX), health.gave_up)
    }

    fn book(&self, py: Python<'_>, taken: Vec<(String, u64, u64)>) {
        py.detach(|| self.0.book(&taken));
    }

    fn connections(&self) -> usize {
        self.0.connections()
    }

    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.0.stop());
    }

    fn reopen_logs(&self) {
        self.0.reopen_logs();
    }

    fn stats<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let stats = py.detach(|| self.0.stats());
        PyBytes::new(py, &stats)
    }

    fn metrics<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let metrics = py.detach(|| self.0.metrics());
        PyBytes::new(py, &metrics)
    }

    fn cache_purge(&self, py: Python<'_>, what: &str, value: &[u8], soft: bool) -> Option<bool> {
        py.detach(|| self.0.cache_purge(what, value, soft))
    }

    fn cache_get<'py>(&self, py: Python<'py>, text: &[u8]) -> Option<Bound<'py, PyBytes>> {
        let found = py.detach(|| self.0.cache_get(text))?;
        Some(PyBytes::new(py, found.as_bytes()))
    }

    fn set_keys(&self, py: Python<'_>, name: &str, jwks: &[u8]) -> PyResult<Option<(usize, Vec<String>)>> {
        py.detach(|| self.0.set_keys(name, jwks)).map_err(PyValueError::new_err)
    }

    fn keys_failed(&self, py: Python<'_>, name: &str) {
        py.detach(|| self.0.keys_failed(name));
    }

    fn calls_fd(&self) -> RawFd {
        self.0.hooks().descriptor()
    }

    fn take_calls(&self, most: usize) -> Vec<Call> {
        self.0.hooks().take(most).into_iter().map(Call).collect()
    }

    fn answer(&self, answers: Vec<(u64, Option<Bound<'_, Verdict>>)>) {
        self.0.hooks().answer(answers.into_iter().map(|(id, verdict)| {
            let outcome = match verdict {
                Some(verdict) => Outcome::Verdict(Box::new(verdict.get().0.clone())),
                None => Outcome::Pass,
            };
            (id, outcome)
        }));
    }

    fn fail(&self, failures: Vec<(u64, String)>) {
        self.0.hooks().answer(failures.into_iter().map(|(id, why)| (id, Outcome::Failed(why))));
    }
}

/// Sockets of a listener as this process' own; the caller's descriptors stay the caller's.
fn copies((listener, descriptors): (u32, Vec<RawFd>)) -> Result<Inherited, EngineError> {
    let copy = |descriptor: RawFd| {
        if descriptor < 0 {
            return Err(EngineError::State("an inherited descriptor is no descriptor"));
        }
        // SAFETY: it is borrowed for one system call, which says so where nothing is open under this number.
        let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
        borrowed.try_clone_to_owned().map_err(EngineError::System)
    };
    let sockets: Result<_, _> = descriptors.into_iter().map(copy).collect();
    Ok(Inherited { listener, sockets: sockets? })
}

/// Refuses what `Gateway.start` would refuse, without opening anything.
#[pyfunction]
pub fn check(py: Python<'_>, plan: &[u8]) -> PyResult<()> {
    let checked =
        py.detach(|| Plan::decode(plan).map_err(Into::into).and_then(|plan| tidegate_engine::check(&plan)));
    checked.map_err(plan_rejected)
}

/// The route that a request would take, as JSON.
#[pyfunction]
pub fn explain<'py>(
    py: Python<'py>,
    plan: &[u8],
    listener: u32,
    method: &str,
    url: &str,
    headers: Vec<(String, String)>,
) -> PyResult<Bound<'py, PyBytes>> {
    let plan = Plan::decode(plan).map_err(|error| plan_rejected(error.into()))?;
    let decision = tidegate_engine::explain(plan, listener, method, url, &headers).map_err(plan_rejected)?;
    Ok(PyBytes::new(py, decision.as_bytes()))
}

/// The engine's version.
#[pyfunction]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
