//! The text of a key for a request that is only spoken of.

use tidegate_cache::key;
use tidegate_message::RequestHead;
use tidegate_plan::Variable;
use tidegate_route::{Template, Variables};

use super::PreparedCache;

/// A request that is only spoken of.
pub struct Spoken<'a> {
    /// Its head.
    pub head: &'a RequestHead,
    /// As it is matched.
    pub host: &'a [u8],
    /// As it is matched.
    pub path: &'a [u8],
    /// `http` or `https`.
    pub scheme: &'a [u8],
    /// The name of the route that takes it.
    pub route: &'a str,
}

impl Spoken<'_> {
    /// The text of its key.
    pub fn key_text(&self, cache: &PreparedCache) -> Vec<u8> {
        let template = cache.template.as_ref().map(|template: &Template| {
            let mut text = Vec::new();
            template.render(self, &mut text);
            text
        });
        let parts = key::Parts {
            scheme: self.scheme,
            host: self.host,
            path: self.head.slice(self.head.path),
            query: self.head.has_query.then(|| self.head.slice(self.head.query)),
            template: template.as_deref(),
            upstream: None,
            added: None,
        };
        let mut out = Vec::new();
        key::write(&cache.rules.key, &parts, self.head, &mut out);
        out
    }
}

impl Variables for Spoken<'_> {
    fn write(&self, variable: Variable, out: &mut Vec<u8>) {
        let head = self.head;
        out.extend_from_slice(match variable {
            Variable::Host => self.host,
            Variable::Authority => head.slice(head.authority),
            Variable::Scheme => self.scheme,
            Variable::Path => self.path,
            Variable::Query => head.slice(head.query),
            Variable::RequestUri => head.slice(head.target),
            Variable::Route => self.route.as_bytes(),
            Variable::Dollar => b"$",
            // No key has them, says the plan's check.
            _ => b"",
        });
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        self.head.field(name.as_bytes())
    }

    fn query(&self, name: &str, out: &mut Vec<u8>) {
        tidegate_route::query_parameter(self.head.slice(self.head.query), name.as_bytes(), out);
    }

    fn cookie(&self, name: &str) -> Option<&[u8]> {
        self.head.cookie(name.as_bytes())
    }

    fn claim(&self, _: &str, _: &mut Vec<u8>) {}

    fn capture(&self, _: &str) -> Option<&[u8]> {
        None
    }
}
