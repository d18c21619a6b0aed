//! What is matched, and what is done with it.

use serde::Deserialize;

use crate::{Access, AiRoute, Auth, Cors, Retry, RouteCache, Template, Timeouts};

/// One route: conditions, stages, action.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// As logs and metrics call it; unique.
    pub name: String,
    /// Indices of the listeners that serve it.
    pub listeners: Vec<u32>,
    /// All of these must hold.
    pub matches: Matches,
    /// Who may come by address; `null` for everybody.
    pub access: Option<Access>,
    /// Who may come by credentials; `null` for everybody.
    pub auth: Option<Auth>,
    /// Which pages of other origins may use it; `null` where that is the upstream's to say.
    pub cors: Option<Cors>,
    /// Indices of the token buckets that a request pays into, in order.
    pub limits: Vec<u32>,
    /// Indices of the concurrency caps that a request holds.
    pub concurrency: Vec<u32>,
    /// Index of the hook that has a word; `null` for none.
    pub hook: Option<u32>,
    /// A request body larger than this is refused with 413; `null` for no bound.
    pub body_bytes: Option<u64>,
    /// What the upstream gets instead of the request's own target and host.
    pub rewrite: Option<Rewrite>,
    /// Edits of the forwarded request's fields, in order.
    pub request_headers: Vec<HeaderEdit>,
    /// Edits of the response's fields, in order.
    pub response_headers: Vec<HeaderEdit>,
    /// Waiting times towards the upstream.
    pub timeouts: Timeouts,
    /// When a failed attempt is followed by another.
    pub retry: Retry,
    /// What is kept of its answers; `null` for nothing.
    pub cache: Option<RouteCache>,
    /// Whether its requests are logged.
    pub access_log: bool,
    /// What answers.
    pub action: Action,
}

/// The conditions of a route; an empty list holds always.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matches {
    /// `api.example.com`, `*.example.com` (one label or more), lower case, without port; empty for any host.
    pub hosts: Vec<String>,
    /// On the normalised path.
    pub path: PathMatch,
    /// Method names as sent; empty for all.
    pub methods: Vec<String>,
    /// All must hold.
    pub headers: Vec<ValueMatch>,
    /// All must hold.
    pub query: Vec<ValueMatch>,
}

/// A condition on the normalised path.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum PathMatch {
    /// By whole segments: `/v1` matches `/v1` and `/v1/x`, not `/v10`; `/v1/` matches `/v1/` and below.
    Prefix {
        /// Begins with `/`.
        value: String,
    },
    /// The whole path.
    Exact {
        /// Begins with `/`.
        value: String,
    },
    /// Unanchored, in the syntax of the regex crate; captures are variables.
    Regex {
        /// The pattern.
        value: String,
    },
}

/// A condition on one header field or one query parameter.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueMatch {
    /// A field name (any case) or a parameter name (exact).
    pub name: String,
    /// What must hold for its value.
    pub test: ValueTest,
}

/// What must hold for a value.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ValueTest {
    /// It is there.
    Present,
    /// It is not there.
    Absent,
    /// It is this, to the byte.
    Exact {
        /// The value.
        value: String,
    },
    /// The pattern is found in it.
    Regex {
        /// The pattern.
        value: String,
    },
}

/// What the upstream gets instead of the request's own target and host.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rewrite {
    /// `null` leaves the path's bytes as they came.
    pub path: Option<PathRewrite>,
    /// The Host field; `null` keeps the client's.
    pub host: Option<Template>,
    /// The whole query without `?`, empty removes it; `null` keeps the client's.
    pub query: Option<Template>,
}

/// A new path.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum PathRewrite {
    /// The part that the route's prefix matched is replaced, by `/` or what is given here.
    Prefix {
        /// Begins with `/`.
        with: String,
    },
    /// The whole path.
    Template {
        /// Must render to something that begins with `/`.
        template: Template,
    },
    /// Every place where the pattern is found in the normalised path.
    Regex {
        /// The pattern.
        pattern: String,
        /// With `$1` and `${name}` for captures, as the regex crate has them.
        with: String,
    },
}

/// One edit of a head's fields.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderEdit {
    /// What is done.
    pub kind: EditKind,
    /// The field's name as it is sent.
    pub name: String,
    /// Empty for `remove`.
    pub value: Template,
}

/// What an edit does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EditKind {
    /// Replaces all lines of that name by one.
    Set,
    /// Adds a line, whatever is there.
    Add,
    /// Removes all lines of that name.
    Remove,
}

/// What answers a request.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// An upstream.
    Forward {
        /// Its index.
        upstream: u32,
    },
    /// A redirect.
    Redirect(Redirect),
    /// A fixed response.
    Respond(Respond),
    /// The same over TLS: 308 to `https://`, with the host, path and query that were asked for.
    Https {
        /// The port there; 443 is not written out.
        port: u16,
    },
    /// Something that the engine itself knows.
    Builtin {
        /// What.
        name: Builtin,
    },
    /// The AI surfaces, under the prefix that the route's path matches.
    Ai(AiRoute),
    /// The route's hook; a hook that passes without an answer is a failure of the hook.
    Hook,
}

/// A redirect.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    /// The value of `Location`.
    pub location: Template,
}

/// A fixed response.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Respond {
    /// 200 to 599.
    pub status: u16,
    /// The value of `Content-Type`; empty for none.
    pub content_type: String,
    /// The body, with variables.
    pub body: Template,
}

/// What the engine itself can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Builtin {
    /// 200 while the process lives.
    Healthz,
    /// 200 while it accepts traffic, 503 before its first plan and from the first second of a drain.
    Readyz,
    /// Prometheus text.
    Metrics,
    /// 404, for what no route takes.
    NotFound,
}
