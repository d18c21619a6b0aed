//! Who may come: by address, then by credential.

mod basic;
pub mod forward;
pub mod jwt;
mod oidc;
mod prepare;

use std::cell::RefCell;

use tidegate_auth::Verified;
use tidegate_message::{Field, Known, RequestHead};
use tidegate_plan::KeySource;

use crate::{
    answer::push_field,
    connection::Connection,
    exchange::Exchange,
    failure::{Cause, Failure},
    passwords,
    prepare::PreparedRoute,
    stage::respond::Made,
    worker::{Worker, WorkerPlan},
};

use basic::Basic;
use forward::Forward;
use jwt::{Jwt, push_clean};
use oidc::Oidc;

/// Credentials that a worker judged a moment ago, so that it need not again.
#[derive(Debug)]
pub struct Judged {
    /// Tokens that were let in.
    pub tokens: RefCell<Verified<jwt::Known>>,
    /// Passwords, right and wrong ones.
    pub passwords: RefCell<Verified<passwords::Judged>>,
    /// Requests that somebody else let in.
    pub passed: RefCell<Verified<forward::Passed>>,
}

impl Default for Judged {
    fn default() -> Self {
        Self {
            tokens: RefCell::new(Verified::new(jwt::REMEMBERED)),
            passwords: RefCell::new(Verified::new(passwords::REMEMBERED)),
            passed: RefCell::new(Verified::new(forward::REMEMBERED)),
        }
    }
}

/// What a route asks of those who come: any of these ways in will do.
#[derive(Debug)]
pub struct Auth {
    methods: Vec<Method>,
    /// Cookies that are credentials and are not forwarded.
    cookies: Vec<String>,
}

/// One way in.
#[derive(Debug)]
pub enum Method {
    /// API keys.
    Keys {
        /// Those that are let in.
        keys: tidegate_auth::ApiKeys,
        /// Where they are looked for.
        source: KeySource,
        /// Whether they are taken out of what is forwarded.
        strip: bool,
    },
    /// Names and passwords.
    Basic(Basic),
    /// Signed tokens.
    Jwt(Box<Jwt>),
    /// Somebody else decides.
    Forward(Box<Forward>),
    /// Who has logged in at a provider.
    Oidc(Box<Oidc>),
}

/// Characters of a user's name that the log and limits see.
const USER_MOST: usize = 256;

/// What came of a look at a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// It is let in.
    In,
    /// Somebody must be asked: [`ask`] does.
    Ask(Question),
}

/// What is to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// Index of the way in.
    method: usize,
    /// Why the ways before it let nobody in.
    failure: Option<Failure>,
}

/// What came of one way in.
#[derive(Debug)]
pub enum Tried {
    /// The request brings nothing for it.
    Absent,
    /// It lets the request in.
    In,
    /// What it brings lets nobody in.
    No(Failure),
    /// It takes waiting to know.
    Ask,
    /// Somebody else has answered.
    Answer(Made),
}

/// Lets the request in or refuses it; notes in the exchange who came.
pub fn check(
    worker: &Worker,
    plan: &WorkerPlan,
    route: &PreparedRoute,
    exchange: &mut Exchange,
) -> Result<Entry, Failure> {
    if let Some(access) = &route.access
        && !access.admits(exchange.client_ip)
    {
        return Err(Failure::client(Cause::AddressDenied));
    }
    match &route.auth {
        Some(auth) => auth.look(worker, plan, exchange, 0, None),
        None => Ok(Entry::In),
    }
}

/// Waits for what is needed to know whether the request is let in. `Some`: the client is to be answered this.
pub async fn ask(
    worker: &Worker,
    plan: &WorkerPlan,
    route: &PreparedRoute,
    connection: &Connection,
    exchange: &mut Exchange,
    mut question: Question,
) -> Result<Option<Made>, Failure> {
    let Some(auth) = &route.auth else { return Ok(None) };
    loop {
        let tried = match &auth.methods[question.method] {
            Method::Jwt(jwt) => jwt.fetch(worker, plan, connection, exchange).await,
            Method::Forward(forward) => forward.ask(worker, plan, connection, exchange).await,
            Method::Oidc(oidc) => oidc.ask(worker, plan, route, connection, exchange).await,
            Method::Basic(basic) => basic.wait(worker, connection, exchange).await,
            Method::Keys { .. } => Tried::Absent,
        };
        let failure = match tried {
            Tried::In => {
                auth.entered(exchange);
                return Ok(None);
            }
            Tried::Answer(answer) => return Ok(Some(answer)),
            Tried::No(failure) if failure.cause.status() >= 500 || failure.cause == Cause::ClientGone => {
                return Err(failure);
            }
            Tried::No(failure) => Some(failure),
            Tried::Absent | Tried::Ask => question.failure,
        };
        match auth.look(worker, plan, exchange, question.method + 1, failure)? {
            Entry::In => return Ok(None),
            Entry::Ask(next) => question = next,
        }
    }
}

impl Auth {
    /// Tries the ways from `first` on. `failure`: why those before let nobody in.
    fn look(
        &self,
        worker: &Worker,
        plan: &WorkerPlan,
        exchange: &mut Exchange,
        first: usize,
        mut failure: Option<Failure>,
    ) -> Result<Entry, Failure> {
        for (method, way) in self.methods.iter().enumerate().skip(first) {
            match way.check(worker, plan, exchange) {
                Tried::Absent => {}
                Tried::In => {
                    self.entered(exchange);
                    return Ok(Entry::In);
                }
                // A missing scope says more than a wrong key.
                Tried::No(no) => failure = Some(no),
                // Only who waits has an answer of somebody else.
                Tried::Ask | Tried::Answer(_) => return Ok(Entry::Ask(Question { method, failure })),
            }
        }
        for method in &self.methods {
            method.challenge(failure, &mut exchange.fields);
        }
        Err(failure.unwrap_or(Failure::client(Cause::Unauthorized)))
    }

    /// The cookies that are no credentials go on.
    fn entered(&self, exchange: &mut Exchange) {
        if self.cookies.is_empty() {
            return;
        }
        let Exchange { head, identity, .. } = exchange;
        for line in head.all(Known::Cookie) {
            let kept = line.split(|byte| *byte == b';').map(<[u8]>::trim_ascii).filter(|pair| {
                let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
                !pair.is_empty() && !self.cookies.iter().any(|cookie| cookie.as_bytes() == name)
            });
            let kept = kept.collect::<Vec<_>>().join(&b"; "[..]);
            if !kept.is_empty() {
                push_clean(identity, "Cookie", &kept);
            }
        }
    }

    /// Whether the field carries a credential that is not forwarded, or what only Tidegate may say.
    pub fn strips(&self, field: &Field, name: &[u8]) -> bool {
        (field.known == Known::Cookie && !self.cookies.is_empty())
            || self.methods.iter().any(|method| method.strips(field, name))
    }

    /// The query parameters that are credentials, and whether they are not forwarded.
    pub fn query_names(&self) -> impl Iterator<Item = (&str, bool)> {
        self.methods.iter().flat_map(Method::sources).filter_map(|(source, strip)| match source {
            KeySource::Query { name } => Some((name.as_str(), strip)),
            _ => None,
        })
    }
}

impl Method {
    fn check(&self, worker: &Worker, plan: &WorkerPlan, exchange: &mut Exchange) -> Tried {
        let Exchange { head, user, problem: room, .. } = &mut *exchange;
        let name = match self {
            Self::Keys { keys, source, .. } => match credential(source, head, room) {
                None => return Tried::Absent,
                Some(presented) => keys.verify(presented),
            },
            Self::Basic(basic) => return basic.check(worker, exchange),
            Self::Jwt(jwt) => return jwt.check(worker, exchange),
            Self::Forward(forward) => return forward.check(worker, plan, exchange),
            Self::Oidc(oidc) => return oidc.check(worker, exchange),
        };
        match name {
            Some(name) => {
                user.push_str(name);
                Tried::In
            }
            None => Tried::No(Failure::client(Cause::Unauthorized)),
        }
    }

    /// RFC 9110 §11.6.1: a 401 says how to do better.
    fn challenge(&self, failure: Option<Failure>, fields: &mut Vec<u8>) {
        let value = match self {
            Self::Keys { source: KeySource::Bearer, .. } => "Bearer".to_owned(),
            Self::Keys { source: KeySource::Header { name }, .. } => {
                format!("ApiKey in=\"header\", name=\"{name}\"")
            }
            Self::Keys { source: KeySource::Query { .. }, .. } => "ApiKey in=\"query\"".to_owned(),
            Self::Keys { source: KeySource::Cookie { .. }, .. } => "ApiKey in=\"cookie\"".to_owned(),
            Self::Basic(basic) => format!("Basic realm=\"{}\", charset=\"UTF-8\"", basic.realm),
            Self::Jwt(jwt) => return jwt.challenge(failure, fields),
            Self::Forward(_) | Self::Oidc(_) => return,
        };
        push_field(fields, b"WWW-Authenticate", value.as_bytes());
    }

    fn strips(&self, field: &Field, name: &[u8]) -> bool {
        let tells = match self {
            Self::Jwt(jwt) => jwt.tells(name),
            Self::Forward(forward) => forward.tells(name),
            Self::Oidc(oidc) => oidc.tells(name),
            Self::Keys { .. } | Self::Basic(_) => false,
        };
        if tells {
            return true;
        }
        if let Self::Basic(basic) = self
            && basic.strip
            && field.known == Known::Authorization
        {
            return true;
        }
        self.sources().any(|(source, strip)| {
            strip
                && match source {
                    KeySource::Header { name: header } => name.eq_ignore_ascii_case(header.as_bytes()),
                    KeySource::Bearer => field.known == Known::Authorization,
                    KeySource::Query { .. } | KeySource::Cookie { .. } => false,
                }
        })
    }

    /// Where it looks for credentials, and whether they are not forwarded.
    fn sources(&self) -> impl Iterator<Item = (&KeySource, bool)> {
        let (sources, strip) = match self {
            Self::Keys { source, strip, .. } => (std::slice::from_ref(source), *strip),
            Self::Basic(_) | Self::Forward(_) | Self::Oidc(_) => (&[][..], false),
            Self::Jwt(jwt) => (jwt.sources(), jwt.plan().strip),
        };
        sources.iter().map(move |source| (source, strip))
    }
}

/// What stands where a credential is looked for. `room` is used where something must be decoded.
fn credential<'a>(source: &KeySource, head: &'a RequestHead, room: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    match source {
        KeySource::Header { name } => head.field(name.as_bytes()),
        KeySource::Bearer => head.known(Known::Authorization).and_then(tidegate_auth::bearer),
        KeySource::Query { name } => {
            tidegate_auth::query_parameter(head.slice(head.query), name.as_bytes(), room)
        }
        KeySource::Cookie { name } => head.cookie(name.as_bytes()),
    }
}
