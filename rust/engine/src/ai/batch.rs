//! Small embedding calls that come within a moment become one, and its answer is taken apart again.

use std::{cell::RefCell, rc::Rc, time::Duration};

use tidegate_dialect::embeddings::{self, EmbedAnswer, EmbedRequest};
use tokio::sync::oneshot;

use super::call::Call;

/// Calls of this worker that wait for others like them.
#[derive(Debug, Default)]
pub struct Batches(RefCell<Vec<Rc<RefCell<Pending>>>>);

#[derive(Debug)]
struct Pending {
    model: u32,
    key: Option<u32>,
    most: usize,
    calls: Vec<(EmbedRequest, Option<oneshot::Sender<Share>>)>,
}

/// What one of the calls gets.
#[derive(Debug)]
pub struct Share {
    /// Its vectors and its part of the usage; `None`: the one call failed.
    pub answer: Option<EmbedAnswer>,
    /// Index of the model that served, and of its target.
    pub served: Option<(u32, usize)>,
}

/// What a call becomes.
pub enum Batched {
    /// It makes the one call for all that joined until the window closed.
    Lead(Lead),
    /// It waits for its share.
    Wait(oneshot::Receiver<Share>),
}

/// Whoever makes the one call. Dropped without an answer, those who wait are told.
pub struct Lead {
    calls: Vec<(EmbedRequest, Option<oneshot::Sender<Share>>)>,
}

impl Batches {
    /// Joins a call that is being gathered, or gathers one for `window_ms`. Calls of different keys are never joined: one's
    /// limits and the other's are different purses.
    pub async fn gather(&self, call: &Call, request: &EmbedRequest, batch: &tidegate_plan::Batch) -> Batched {
        let found = self.0.borrow().iter().find_map(|pending| {
            let joined = pending.borrow().takes(call, request);
            joined.then(|| pending.clone())
        });
        if let Some(pending) = found {
            let (sender, receiver) = oneshot::channel();
            pending.borrow_mut().calls.push((request.clone(), Some(sender)));
            return Batched::Wait(receiver);
        }
        let pending = Rc::new(RefCell::new(Pending {
            model: call.model,
            key: call.key,
            most: batch.inputs as usize,
            calls: vec![(request.clone(), None)],
        }));
        self.0.borrow_mut().push(pending.clone());
        // If the leader's client leaves while it waits, those who joined find their channel closed and ask for themselves.
        let _listed = Listed(self, &pending);
        tokio::time::sleep(Duration::from_millis(u64::from(batch.window_ms))).await;
        Batched::Lead(Lead { calls: std::mem::take(&mut pending.borrow_mut().calls) })
    }
}

struct Listed<'a>(&'a Batches, &'a Rc<RefCell<Pending>>);

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.0.0.borrow_mut().retain(|pending| !Rc::ptr_eq(pending, self.1));
    }
}

impl Pending {
    fn takes(&self, call: &Call, request: &EmbedRequest) -> bool {
        let inputs: usize = self.calls.iter().map(|(request, _)| request.inputs.len()).sum();
        let room = inputs + request.inputs.len() <= self.most;
        let alike = self.calls.first().is_some_and(|(first, _)| embeddings::can_merge(first, request));
        (self.model, self.key) == (call.model, call.key) && room && alike
    }
}

impl Lead {
    /// The one request for all; `None` where nobody joined.
    pub fn merged(&self) -> Option<EmbedRequest> {
        let requests: Vec<&EmbedRequest> = self.calls.iter().map(|(request, _)| request).collect();
        if requests.len() > 1 { embeddings::merge(&requests) } else { None }
    }

    /// The leader's own request.
    pub fn own(&self) -> Option<EmbedRequest> {
        self.calls.first().map(|(request, _)| request.clone())
    }

    /// Gives everybody their share and returns the leader's own; `None` where the answer can't be taken apart.
    pub fn share(mut self, answer: EmbedAnswer, served: Option<(u32, usize)>) -> Option<EmbedAnswer> {
        let requests: Vec<&EmbedRequest> = self.calls.iter().map(|(request, _)| request).collect();
        let shares = embeddings::split(answer, &requests).ok()?;
        let mut own = None;
        for ((_, sender), answer) in self.calls.drain(..).zip(shares) {
            match sender {
                // One whose client has gone does not take it.
                Some(sender) => drop(sender.send(Share { answer: Some(answer), served })),
                None => own = Some(answer),
            }
        }
        own
    }
}
