//! Finds the route of a request, and writes what a route's templates, rewrites and header edits say.
//!
//! Knows: heads, hosts, paths, patterns.
//! Never: sockets, clocks, what a route does.
//!
//! The order on the request path: [`normalise_host`] and [`normalise_path`] once, [`Router::find`], and for the
//! route that was found its [`Rewriter`], [`HeaderEdits`] and [`Template`]s. All of these write into buffers that
//! the caller keeps, and allocate nothing once those have grown.

mod captures;
mod conditions;
mod edits;
mod encode;
mod host;
mod path;
mod pattern;
mod query;
mod rewrite;
mod router;
mod table;
mod template;

pub use captures::Captures;
pub use conditions::ValueTests;
pub use edits::HeaderEdits;
pub use host::normalise_host;
pub use path::{PathRefusal, normalise_path};
pub use query::query_parameter;
pub use rewrite::Rewriter;
pub use router::{Asked, BuildError, Found, Router};
pub use template::{Template, Variables};
