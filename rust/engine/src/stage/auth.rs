//! Who may come: by address, then by credential.

use tidegate_message::{Field, Known};
use tidegate_plan::KeySource;

use crate::{
    answer::push_field,
    exchange::Exchange,
    failure::{Cause, Failure},
    prepare::PreparedRoute,
};

/// The credentials that a route asks for.
#[derive(Debug)]
pub enum Auth {
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
    Basic {
        /// Those that are let in.
        users: tidegate_auth::Basic,
        /// For the challenge.
        realm: String,
        /// Whether they are taken out of what is forwarded.
        strip: bool,
    },
}

/// Lets the request in or refuses it; notes in the exchange who came.
pub fn check(route: &PreparedRoute, exchange: &mut Exchange) -> Result<(), Failure> {
    if let Some(access) = &route.access
        && !access.admits(exchange.client_ip)
    {
        return Err(Failure::client(Cause::AddressDenied));
    }
    let Some(auth) = &route.auth else { return Ok(()) };
    let Exchange { head, user, problem: room, .. } = exchange;
    let authorization = head.known(Known::Authorization);
    let name = match auth {
        Auth::Keys { keys, source, .. } => {
            let presented = match source {
                KeySource::Header { name } => head.field(name.as_bytes()),
                KeySource::Bearer => authorization.and_then(tidegate_auth::bearer),
                KeySource::Query { name } => {
                    tidegate_auth::query_parameter(head.slice(head.query), name.as_bytes(), room)
                }
            };
            presented.and_then(|presented| keys.verify(presented))
        }
        Auth::Basic { users, .. } => authorization.and_then(|value| users.verify(value).ok()),
    };
    match name {
        Some(name) => {
            user.push_str(name);
            Ok(())
        }
        None => {
            challenge(auth, &mut exchange.fields);
            Err(Failure::client(Cause::Unauthorized))
        }
    }
}

/// RFC 9110 §11.6.1: a 401 says how to do better.
fn challenge(auth: &Auth, fields: &mut Vec<u8>) {
    let value = match auth {
        Auth::Keys { source: KeySource::Bearer, .. } => "Bearer".to_owned(),
        Auth::Keys { source: KeySource::Header { name }, .. } => {
            format!("ApiKey in=\"header\", name=\"{name}\"")
        }
        Auth::Keys { source: KeySource::Query { .. }, .. } => "ApiKey in=\"query\"".to_owned(),
        Auth::Basic { realm, .. } => format!("Basic realm=\"{realm}\", charset=\"UTF-8\""),
    };
    push_field(fields, b"WWW-Authenticate", value.as_bytes());
}

impl Auth {
    /// Whether the field carries a credential that is not forwarded.
    pub fn strips(&self, field: &Field, name: &[u8]) -> bool {
        match self {
            Self::Keys { strip: false, .. } | Self::Basic { strip: false, .. } => false,
            Self::Keys { source: KeySource::Header { name: header }, .. } => {
                name.eq_ignore_ascii_case(header.as_bytes())
            }
            Self::Keys { source: KeySource::Query { .. }, .. } => false,
            Self::Keys { source: KeySource::Bearer, .. } | Self::Basic { .. } => {
                field.known == Known::Authorization
            }
        }
    }
}
