//! Which route a request takes.

use std::{collections::HashMap, fmt};

use tidegate_message::RequestHead;
use tidegate_plan::{Matches, PathMatch};

use crate::{
    Captures, PathRefusal,
    conditions::Conditions,
    normalise_host, normalise_path,
    pattern::Pattern,
    table::{ByteMap, Candidate, Draft, Lengths, PLAIN, Table, Written},
};

/// The routes of one listener, ready to be found.
///
/// The most specific host that has a matching route wins: exact, then the longest wildcard, then any. Within it an
/// exact path comes before a pattern (in written order), a pattern before the longest prefix; equal ones are
/// decided by the number of further conditions (methods, headers, query), then by written order.
///
/// "Equal" are routes with the same path condition. Routes that share a pattern stand where it was first written.
///
/// Cost: a lookup by host and one by each length at which a segment ends and some prefix does; the number of
/// routes does not matter. Patterns of one host are tried one after the other, and so are routes that differ in
/// further conditions only: 10,000 of these on one host or one path cost 10,000 times one. A pattern that begins
/// with `^` and plain text is passed over by one comparison.
///
/// Patterns keep room for searching and share it between threads; a worker that has its own clone of a router
/// never waits for it.
#[derive(Debug, Clone)]
pub struct Router {
    exact_hosts: ByteMap<u32>,
    /// By what follows the `*`, with its dot.
    wildcard_hosts: ByteMap<u32>,
    wildcard_lengths: Lengths,
    any_host: Option<u32>,
    tables: Vec<Table>,
    patterns: Vec<Pattern>,
    conditions: Vec<Conditions>,
}

/// What a route is looked up by.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The request's head, for conditions on fields.
    pub head: &'a RequestHead,
    /// Lower case, without port and trailing dot: see [`normalise_host`].
    pub host: &'a [u8],
    /// See [`normalise_path`].
    pub path: &'a [u8],
    /// As sent.
    pub method_name: &'a [u8],
    /// What follows the `?`.
    pub query: &'a [u8],
}

/// The route of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Its index in the plan.
    pub route: u32,
    /// How many bytes of the normalised path its path condition took: a prefix's length, the whole path's for an
    /// exact path, and 0 for a pattern.
    pub prefix_len: usize,
}

/// Why a route cannot be looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildError {
    /// Its index in the plan.
    pub route: u32,
    /// Where in it, as `matches.path.value`.
    pub path: String,
    /// What is wrong there, and what would be right.
    pub why: String,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "routes[{}].{}: {}", self.route, self.path, self.why)
    }
}

impl std::error::Error for BuildError {}

impl Router {
    /// `routes` are indices in the plan with their conditions, in written order.
    pub fn build<'a>(routes: impl IntoIterator<Item = (u32, &'a Matches)>) -> Result<Self, BuildError> {
        let mut builder = Builder::default();
        for (place, (route, matches)) in routes.into_iter().enumerate() {
            builder.add(place, route, matches).map_err(|(path, why)| BuildError {
                route,
                path: format!("matches.{path}"),
                why,
            })?;
        }
        Ok(builder.finish())
    }

    /// The route of a request, and in `captures` what its pattern and its wildcard host caught.
    pub fn find(&self, asked: &Asked<'_>, captures: &mut Captures) -> Option<Found> {
        captures.clear();
        if let Some(table) = self.exact_hosts.get(asked.host)
            && let Some(found) = self.find_in(*table, asked, captures)
        {
            return Some(found);
        }
        if !self.wildcard_hosts.is_empty() {
            // The leftmost dot leaves the longest rest. One label at least stands for the `*`.
            for dot in memchr::memchr_iter(b'.', asked.host).filter(|dot| *dot > 0) {
                let rest = &asked.host[dot..];
                if self.wildcard_lengths.contains(rest.len())
                    && let Some(table) = self.wildcard_hosts.get(rest)
                    && let Some(found) = self.find_in(*table, asked, captures)
                {
                    captures.keep_host(&asked.host[..dot]);
                    return Some(found);
                }
            }
        }
        self.find_in(self.any_host?, asked, captures)
    }

    fn find_in(&self, table: u32, asked: &Asked<'_>, captures: &mut Captures) -> Option<Found> {
        let table = &self.tables[table as usize];
        let path = asked.path;
        if let Some(ranked) = table.exact(path)
            && let Some(route) = ranked.pick(|candidate| self.holds(candidate, asked, captures))
        {
            return Some(Found { route, prefix_len: path.len() });
        }
        for (index, ranked) in &table.patterns {
            let pattern = &self.patterns[*index as usize];
            if !pattern.may_match(path) || !pattern.search(path, 0, captures.slots_for(pattern)) {
                continue;
            }
            if let Some(route) = ranked.pick(|candidate| self.holds(candidate, asked, captures)) {
                captures.keep_groups(pattern, path);
                return Some(Found { route, prefix_len: 0 });
            }
        }
        captures.drop_slots();
        table.prefixes(path).find_map(|(ranked, prefix_len)| {
            let route = ranked.pick(|candidate| self.holds(candidate, asked, captures))?;
            Some(Found { route, prefix_len })
        })
    }

    fn holds(&self, candidate: Candidate, asked: &Asked<'_>, captures: &mut Captures) -> bool {
        if candidate.conditions == PLAIN {
            return true;
        }
        let conditions = &self.conditions[candidate.conditions as usize];
        conditions.hold(asked.method_name, asked.head, asked.query, &mut captures.scratch)
    }
}

#[derive(Default)]
struct Builder {
    exact_hosts: ByteMap<u32>,
    wildcard_hosts: ByteMap<u32>,
    any_host: Option<u32>,
    drafts: Vec<Draft>,
    patterns: Vec<Pattern>,
    by_pattern: HashMap<String, u32>,
    conditions: Vec<Conditions>,
}

/// A path condition as tables are keyed by it.
enum Key {
    Exact(Box<[u8]>),
    Prefix(Box<[u8]>),
    Pattern(u32),
}

type Problem = (String, String);

impl Builder {
    fn add(&mut self, place: usize, route: u32, matches: &Matches) -> Result<(), Problem> {
        let mut written = Written { candidate: Candidate { route, conditions: PLAIN }, conditions: 0, place };
        if let Some((conditions, count)) = Conditions::compile(matches)? {
            written.candidate.conditions = self.conditions.len() as u32;
            written.conditions = count;
            self.conditions.push(conditions);
        }
        let key = match &matches.path {
            PathMatch::Exact { value } => normal_form(value).map(Key::Exact),
            PathMatch::Prefix { value } => normal_form(value).map(Key::Prefix),
            PathMatch::Regex { value } => self.pattern(value).map(Key::Pattern),
        };
        let key = key.map_err(at("path.value"))?;
        let mut tables = Vec::with_capacity(matches.hosts.len().max(1));
        for (index, host) in matches.hosts.iter().enumerate() {
            tables.push(self.host(host).map_err(at(&format!("hosts[{index}]")))?);
        }
        if matches.hosts.is_empty() {
            tables.push(table_at(&mut self.any_host, &mut self.drafts));
        }
        tables.sort_unstable();
        tables.dedup();
        for table in tables {
            let draft = &mut self.drafts[table as usize];
            match &key {
                Key::Exact(path) => draft.exact.entry(path.clone()).or_default().push(written),
                Key::Prefix(path) => draft.prefixes.entry(path.clone()).or_default().push(written),
                Key::Pattern(index) => draft.pattern(*index).push(written),
            }
        }
        Ok(())
    }

    /// The index of a pattern; the same text is compiled once.
    fn pattern(&mut self, value: &str) -> Result<u32, String> {
        if let Some(index) = self.by_pattern.get(value) {
            return Ok(*index);
        }
        let index = self.patterns.len() as u32;
        self.patterns.push(Pattern::compile(value)?);
        self.by_pattern.insert(value.into(), index);
        Ok(index)
    }

    /// The index of a host's table.
    fn host(&mut self, host: &str) -> Result<u32, String> {
        let name = host.strip_prefix('*').unwrap_or(host);
        if name.contains('*') || (name.len() < host.len() && !(name.len() > 1 && name.starts_with('.'))) {
            return Err(format!(
                "`{host}`: a `*` stands for whole labels in front, as in `*.example.com`; \
                                no hosts at all mean any host"
            ));
        }
        if !name.is_ascii() {
            return Err(format!("`{host}` must be written as it is sent, with xn-- labels"));
        }
        let mut scratch = Vec::new();
        let normal = normalise_host(name.as_bytes(), &mut scratch);
        if normal != name.as_bytes() || name.is_empty() {
            return Err(format!("`{host}` must be in lower case, without port and trailing dot"));
        }
        let hosts = if name.len() < host.len() { &mut self.wildcard_hosts } else { &mut self.exact_hosts };
        if let Some(table) = hosts.get(normal) {
            return Ok(*table);
        }
        let table = table_at(&mut None, &mut self.drafts);
        hosts.insert(normal.into(), table);
        Ok(table)
    }

    fn finish(self) -> Router {
        Router {
            wildcard_lengths: Lengths::of(self.wildcard_hosts.iter()),
            exact_hosts: self.exact_hosts,
            wildcard_hosts: self.wildcard_hosts,
            any_host: self.any_host,
            tables: self.drafts.into_iter().map(Draft::finish).collect(),
            patterns: self.patterns,
            conditions: self.conditions,
        }
    }
}

fn table_at(slot: &mut Option<u32>, drafts: &mut Vec<Draft>) -> u32 {
    *slot.get_or_insert_with(|| {
        drafts.push(Draft::default());
        drafts.len() as u32 - 1
    })
}

/// A configured path is spelled as in a URL, in any spelling: `/caf%C3%A9` and `/café` are the same.
fn normal_form(value: &str) -> Result<Box<[u8]>, String> {
    if !value.starts_with('/') {
        return Err(format!("`{value}` must begin with `/`"));
    }
    let mut scratch = Vec::new();
    match normalise_path(value.as_bytes(), false, &mut scratch) {
        Ok(normal) => Ok(normal.into()),
        Err(PathRefusal::BadPercent) => {
            Err(format!("`{value}`: a percent sign begins an escape; write `%25` for the sign itself"))
        }
        Err(refusal) => Err(format!("`{value}` never matches: a request for it is refused ({refusal})")),
    }
}

fn at(part: &str) -> impl Fn(String) -> Problem {
    move |why| (part.to_owned(), why)
}
