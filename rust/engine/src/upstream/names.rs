//! The wait for the first answer on the names of an upstream's endpoints.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use super::{Member, Site, Upstream, Wait};
use crate::worker::Worker;

impl Upstream {
    /// Where there is no endpoint only because names were not answered for yet: waits for the first answer, at most
    /// `milliseconds` (0 for no bound). A gateway that has just started has an upstream, it only does not know where.
    pub async fn resolve(&self, worker: &Worker, wait: Wait<'_>, milliseconds: u32) {
        wait.deadline.set(milliseconds);
        let mut answers = self.shared.resolver.answers();
        let waits = |member: &Member| matches!(&member.place, Site::Named(name) if !name.is_answered());
        loop {
            // In this order: addresses are told before it is told that there is an answer.
            let unanswered = self.members.iter().any(waits);
            self.refresh(worker.look_at_clock(), &worker.metrics);
            if !unanswered || !self.endpoints.borrow().is_empty() {
                return;
            }
            let mut answered = pin!(answers.changed());
            let over = poll_fn(|cx| match answered.as_mut().poll(cx) {
                Poll::Ready(answered) => Poll::Ready(answered.is_err()),
                Poll::Pending if wait.deadline.poll_passed(cx) || wait.is_gone(cx) => Poll::Ready(true),
                Poll::Pending => Poll::Pending,
            })
            .await;
            if over {
                return;
            }
        }
    }
}
