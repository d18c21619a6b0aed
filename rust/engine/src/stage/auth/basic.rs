//! Names and passwords: known at once by a fast hash, or by a slow one that others look at.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use tidegate_auth::{AuthFailure, NAME_AND_PASSWORD_MOST, PasswordHashes, name_and_password};
use tidegate_message::Known;
use tidegate_plan as plan;
use xxhash_rust::xxh3::Xxh3;

use super::Tried;
use crate::{
    connection::Connection,
    exchange::Exchange,
    failure::{Cause, Failure},
    passwords::{self, Job},
    prepare::PlanRejected,
    worker::Worker,
};

/// How long a request waits for its password to be checked.
const PATIENCE_MS: u32 = 10_000;

/// Names and passwords as a route asks for them.
#[derive(Debug)]
pub struct Basic {
    users: tidegate_auth::Basic,
    slow: Arc<PasswordHashes>,
    /// Tells these hashes from others: what is remembered was judged by the same ones.
    identity: u64,
    /// For the challenge.
    pub realm: String,
    /// Whether they are taken out of what is forwarded.
    pub strip: bool,
}

impl Basic {
    /// Made ready; `path` is where the plan has it.
    pub fn new(config: &plan::Basic, path: &str) -> Result<Self, PlanRejected> {
        let rejected =
            |part: String, why: &str| PlanRejected { path: format!("{path}.{part}"), why: why.into() };
        let users = (config.users.iter().enumerate())
            .map(|(index, user)| {
                let hash = tidegate_auth::sha256_hex(&user.sha256).ok_or_else(|| {
                    rejected(format!("users[{index}].sha256"), "is no SHA-256 in hexadecimal")
                })?;
                Ok((user.name.clone(), hash))
            })
            .collect::<Result<Vec<_>, PlanRejected>>()?;
        let pairs = config.hashes.iter().map(|user| (user.name.as_str(), user.hash.expose()));
        let slow = PasswordHashes::new(pairs)
            .map_err(|index| rejected(format!("hashes[{index}].hash"), "is no hash of a password"))?;
        let mut identity = Xxh3::new();
        for user in &config.hashes {
            for text in [&user.name, user.hash.expose()] {
                identity.update(&(text.len() as u64).to_le_bytes());
                identity.update(text.as_bytes());
            }
        }
        Ok(Self {
            users: tidegate_auth::Basic::new(users),
            slow: Arc::new(slow),
            identity: identity.digest(),
            realm: config.realm.clone(),
            strip: config.strip,
        })
    }

    /// Checks name and password, if there are any.
    pub fn check(&self, worker: &Worker, exchange: &mut Exchange) -> Tried {
        let mut room = [0; NAME_AND_PASSWORD_MOST];
        let refused = || Tried::No(Failure::client(Cause::Unauthorized));
        let Some(value) = exchange.head.known(Known::Authorization) else { return Tried::Absent };
        let pair = match name_and_password(value, &mut room) {
            Ok(pair) => pair,
            Err(AuthFailure::Scheme) => return Tried::Absent,
            Err(_) => return refused(),
        };
        if let Some(name) = self.users.find(pair) {
            exchange.user.push_str(name);
            return Tried::In;
        }
        if self.slow.is_empty() {
            return refused();
        }
        let known = passwords::hash(pair).and_then(|hashed| {
            worker.judged.passwords.borrow_mut().find(hashed, self.identity, worker.unix_seconds())
        });
        match known {
            None => Tried::Ask,
            Some(judged) if judged.right => enter(pair, exchange),
            Some(_) => refused(),
        }
    }

    /// Has the password checked, and waits for it.
    pub async fn wait(&self, worker: &Worker, connection: &Connection, exchange: &mut Exchange) -> Tried {
        let unavailable = |cause| Tried::No(Failure::gateway(cause));
        let mut room = [0; NAME_AND_PASSWORD_MOST];
        let value = exchange.head.known(Known::Authorization).unwrap_or_default();
        let Ok(pair) = name_and_password(value, &mut room) else { return Tried::Absent };
        let Some(hashed) = passwords::hash(pair) else { return unavailable(Cause::PasswordsFull) };
        let job = Job {
            hashes: self.slow.clone(),
            judge: self.identity,
            hashed,
            pair: pair.to_vec(),
            now: worker.unix_seconds(),
        };
        let Ok(answer) = passwords::check(job) else { return unavailable(Cause::PasswordsFull) };
        connection.deadline.set(PATIENCE_MS);
        let mut answer = pin!(answer);
        let judged = poll_fn(|cx| match answer.as_mut().poll(cx) {
            Poll::Ready(judged) => Poll::Ready(judged.map_err(|_| Failure::gateway(Cause::PasswordsFull))),
            Poll::Pending if connection.deadline.poll_passed(cx) => {
                Poll::Ready(Err(Failure::gateway(Cause::PasswordsLate)))
            }
            Poll::Pending if connection.stream.poll_broken(cx) => {
                Poll::Ready(Err(Failure::client(Cause::ClientGone)))
            }
            Poll::Pending => Poll::Pending,
        })
        .await;
        worker.look_at_clock();
        match judged {
            Err(failure) => Tried::No(failure),
            Ok(judged) => {
                worker.judged.passwords.borrow_mut().remember(hashed, self.identity, judged);
                if judged.right {
                    enter(pair, exchange)
                } else {
                    Tried::No(Failure::client(Cause::Unauthorized))
                }
            }
        }
    }
}

fn enter(pair: &[u8], exchange: &mut Exchange) -> Tried {
    let name = pair.split(|byte| *byte == b':').next().unwrap_or_default();
    exchange.user.push_str(&String::from_utf8_lossy(name));
    Tried::In
}
