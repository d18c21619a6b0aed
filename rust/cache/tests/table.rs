//! The table of `tests/corpus/cache`: two requests, the origin's answers, and what the rules say of each.

#![allow(clippy::unwrap_used, reason = "the helpers are parts of tests")]

use std::sync::Arc;

use tidegate_cache::{
    Object, Outcome, RequestFacts, Store, Times, conditional,
    decide::{self, Arrived, Asking, Came, Fetch, Verdict},
    fields::{Fields, Kept},
    key,
    present::{self, Shown, View},
    testing,
};
use tidegate_http1::{Limits, parse_request, parse_response};
use tidegate_message::{RequestHead, ResponseHead};
use tidegate_plan::{CacheTtl, RouteCache};

const TABLE: &str = include_str!("../../../tests/corpus/cache/table.txt");
/// The moment of the first request.
const START_MS: u64 = 1_700_000_000_000;

#[test]
fn every_case_of_the_table_is_met() {
    let mut wrong = Vec::new();
    let mut cases = 0;
    for (number, line) in TABLE.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        cases += 1;
        if let Err(why) = Case::read(line).run() {
            wrong.push(format!("line {}: {why}\n    {line}", number + 1));
        }
    }
    assert!(wrong.is_empty(), "{} of {cases} cases:\n{}", wrong.len(), wrong.join("\n"));
    assert!(cases >= 300, "{cases} cases");
}

struct Case<'a> {
    first: &'a str,
    answer: &'a str,
    wait: u64,
    second: &'a str,
    answer_again: &'a str,
    expected: Vec<&'a str>,
}

/// What happened, as the table names it.
#[derive(Default)]
struct Happened {
    words: Vec<String>,
    fields: Vec<u8>,
    sent: Vec<u8>,
    age: Option<u32>,
}

impl<'a> Case<'a> {
    fn read(line: &'a str) -> Self {
        let columns: Vec<_> = line.split(" | ").map(|text| if text == "-" { "" } else { text }).collect();
        let [_, first, answer, wait, second, answer_again, expected] = columns[..] else {
            panic!("seven columns: {line}")
        };
        Self {
            first,
            answer,
            wait: wait.parse().unwrap(),
            second,
            answer_again,
            expected: expected.split(' ').collect(),
        }
    }

    fn run(&self) -> Result<(), String> {
        let mut rules = testing::rules();
        let store = Store::new(64 << 20, 8 << 20);
        let mut happened = Happened::default();
        let mut room = Vec::new();
        let first = Request::read(self.first, &mut rules);
        let mut step =
            |request: &Request, answer: &str, now_ms: u64, prefix: &str, happened: &mut Happened| {
                let facts = RequestFacts::read(&request.head, request.head.method, rules.request_control);
                let asking = Asking {
                    method: request.head.method,
                    fields: &request.head,
                    facts: &facts,
                    text: &request.text(&rules),
                    hash: key::hash(&request.text(&rules)),
                    rules: &rules,
                };
                match decide::decide(&store, &asking, now_ms, &mut room) {
                    Verdict::Give { object, outcome, .. } => {
                        happened.words.push(format!("{prefix}{}", outcome.as_str()));
                        assert!(matches!(outcome, Outcome::Hit | Outcome::Stale));
                        show(&object, request, &facts, now_ms, happened);
                    }
                    Verdict::Pass(reason) => happened.words.push(format!("{prefix}pass:{}", reason.as_str())),
                    Verdict::Refuse => happened.words.push(format!("{prefix}refuse")),
                    Verdict::Fetch(fetch) => {
                        let name = fetch.reason.as_str();
                        let validates = fetch
                            .kept
                            .as_ref()
                            .is_some_and(|kept| conditional::has_validator(&kept.fields()));
                        let word = if validates { "validate" } else { "miss" };
                        for word in [word, "fetch"] {
                            happened.words.push(format!("{prefix}{word}"));
                            happened.words.push(format!("{prefix}{word}:{name}"));
                        }
                        if let Some(kept) = &fetch.kept {
                            conditional::write_validators(&kept.fields(), &mut happened.sent);
                        }
                        if !answer.is_empty() {
                            arrive(&store, &asking, &fetch, answer, now_ms, prefix, happened);
                        }
                    }
                }
            };
        step(&first, self.answer, START_MS, "1:", &mut happened);
        let mut ignored = testing::rules();
        let second = Request::read(self.second, &mut ignored);
        step(&second, self.answer_again, START_MS + self.wait * 1000, "", &mut happened);
        if self.expected.iter().any(|word| word.ends_with("-after")) {
            step(&second, "", START_MS + self.wait * 1000, "after:", &mut happened);
        }
        self.expected.iter().try_for_each(|word| happened.check(word))
    }
}

impl Happened {
    fn check(&self, word: &str) -> Result<(), String> {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let holds = match name {
            "age" => self.age == value.parse().ok(),
            "sends" => Kept(&self.sent).value(value.as_bytes()).is_some(),
            "lacks" => Kept(&self.fields).value(value.as_bytes()).is_none(),
            "has" => match value.split_once('=') {
                Some((name, wanted)) => Kept(&self.fields).value(name.as_bytes()) == Some(wanted.as_bytes()),
                None => Kept(&self.fields).value(value.as_bytes()).is_some(),
            },
            "hit-after" => self.has("after:hit"),
            "stale-after" => self.has("after:fetch"),
            _ => self.has(word),
        };
        holds.then_some(()).ok_or_else(|| {
            let fields = String::from_utf8_lossy(&self.fields);
            format!("{word} was expected, there was {:?}, age {:?}, {fields:?}", self.words, self.age)
        })
    }

    fn has(&self, word: &str) -> bool {
        self.words.iter().any(|other| other == word)
    }
}

/// What the client would be shown.
fn show(object: &Object, request: &Request, facts: &RequestFacts, now_ms: u64, happened: &mut Happened) {
    let view = View {
        status: object.status(),
        fields: object.fields(),
        total: Some(object.total()),
        response_ms: object.freshness().response_ms,
    };
    let shown = present::show(&view, &request.head, facts);
    happened.words.push(shown.status(view.status).to_string());
    let start = object.part().map_or(0, |part| part.start);
    match &shown {
        Shown::Part(part) => happened.words.push(format!("part={}-{}", part.start - start, part.end - start)),
        Shown::Parts(parts) => happened.words.push(format!("parts={}", parts.len())),
        _ => {}
    }
    happened.age = Some(object.freshness().age(now_ms));
    happened.fields.clear();
    for (name, value) in object.fields().lines().filter(|(name, _)| shown.takes(name)) {
        happened.fields.extend_from_slice(&[name, b": ", value, b"\r\n"].concat());
    }
}

fn arrive(
    store: &Store,
    asking: &Asking<'_, RequestHead>,
    fetch: &Fetch,
    answer: &str,
    now_ms: u64,
    prefix: &str,
    happened: &mut Happened,
) {
    let (response, body) = response(answer, now_ms);
    let came = Came {
        response: &response,
        times: Times { request_ms: now_ms, response_ms: now_ms },
        turn: store.turn(),
        length: Some(body.len() as u64),
        kept: fetch.kept.as_ref(),
    };
    let mut word = |text: String| happened.words.push(format!("{prefix}{text}"));
    match decide::arrived(store, asking, &came) {
        Arrived::Confirmed(object) => {
            word("confirmed".into());
            let request = Request { head: RequestHead::default() };
            show(&object, &request, &RequestFacts::default(), now_ms, happened);
            store.keep(fetch.slot, object);
        }
        Arrived::Mistaken => word("mistaken".into()),
        Arrived::Failing => word("failing".into()),
        Arrived::Drop(reason) => word(format!("dropped:{}", reason.as_str())),
        Arrived::Keep { draft, slot } => {
            word("kept".into());
            let made = Arc::new(Object::new(&draft, &[Arc::from(body)]));
            let assembled = fetch.part.as_ref().and_then(|kept| decide::assemble(kept, &made));
            match &assembled {
                Some(whole) => word(match whole.part() {
                    Some(part) => format!("assembled={}-{}", part.start, part.start + whole.length()),
                    None => "assembled=whole".into(),
                }),
                None => word("apart".into()),
            }
            store.keep(slot, assembled.map_or(made, Arc::new));
        }
    }
}

struct Request {
    head: RequestHead,
}

impl Request {
    /// Parts of a head; words in lower case choose rules, words in upper case are methods.
    fn read(text: &str, rules: &mut RouteCache) -> Self {
        let (mut method, mut path, mut lines, mut host) = ("GET", "/", String::new(), "a.test");
        for part in text.split(" // ").filter(|part| !part.is_empty()) {
            if part.starts_with('/') {
                path = part;
            } else if let Some(value) = part.strip_prefix("Host: ") {
                host = value;
            } else if part.contains(':') {
                lines.push_str(&dated(part, START_MS));
            } else if part.chars().all(|letter| letter.is_ascii_uppercase()) {
                method = part;
            } else {
                choose(part, rules);
            }
        }
        let text = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n");
        let mut head = RequestHead::default();
        assert!(parse_request(text.as_bytes(), &Limits::default(), &mut head).unwrap().is_some(), "{text}");
        Self { head }
    }

    fn text(&self, rules: &RouteCache) -> Vec<u8> {
        let host = self.head.slice(self.head.authority).to_ascii_lowercase();
        let parts = key::Parts {
            scheme: b"http",
            host: &host,
            path: self.head.slice(self.head.path),
            query: self.head.has_query.then(|| self.head.slice(self.head.query)),
            template: None,
            upstream: None,
            added: None,
        };
        let mut out = Vec::new();
        key::write(&rules.key, &parts, &self.head, &mut out);
        out
    }
}

/// The rules of routes in the table.
fn choose(name: &str, rules: &mut RouteCache) {
    let ttl = |status, seconds| vec![CacheTtl { status, seconds }];
    match name {
        "ttl60" => rules.ttl = ttl(0, 60),
        "ttl503" => rules.ttl = ttl(503, 5),
        "heuristic" => (rules.heuristic_percent, rules.negative_s) = (10, 86_400),
        "neg10" => rules.negative_s = 10,
        "cookies" => rules.set_cookie = true,
        "hide-cookie" => rules.hide = vec!["Set-Cookie".into()],
        "nocontrol" => rules.request_control = false,
        "swr10" => rules.stale_while_revalidate_s = 10,
        "sie10" => rules.stale_if_error_s = 10,
        "languages" => rules.vary.accept_language = ["en", "de"].map(String::from).into(),
        "ignore-agent" => rules.vary.ignore = vec!["user-agent".into()],
        "query" => {
            rules.key.query.sort = true;
            rules.key.query.drop = vec!["utm_*".into()];
        }
        "keyed" => {
            rules.key.headers = vec!["x-tenant".into()];
            rules.key.cookies = vec!["theme".into()];
        }
        "small" => rules.object_bytes = 10,
        _ => panic!("no rules are called {name}"),
    }
}

/// One line, with dates for `@N`.
fn dated(line: &str, now_ms: u64) -> String {
    let (name, value) = line.split_once(':').unwrap();
    let value = value.trim();
    let value = match value.strip_prefix('@') {
        Some(seconds) => date((now_ms / 1000) as i64 + seconds.parse::<i64>().unwrap()),
        None => value.to_owned(),
    };
    format!("{name}: {value}\r\n")
}

/// RFC 9110 §5.6.7, by the calendar's simplest reading.
fn date(seconds: i64) -> String {
    let (days, time) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let (mut year, mut left) = (1970, days);
    while left >= 365 + i64::from(leap(year)) {
        left -= 365 + i64::from(leap(year));
        year += 1;
    }
    while left < 0 {
        year -= 1;
        left += 365 + i64::from(leap(year));
    }
    let lengths = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while left >= lengths[month] {
        left -= lengths[month];
        month += 1;
    }
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][days.rem_euclid(7) as usize];
    let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!("{weekday}, {:02} {} {year:04} {hour:02}:{minute:02}:{second:02} GMT", left + 1, names[month])
}

fn response(text: &str, now_ms: u64) -> (ResponseHead, &[u8]) {
    let mut parts = text.split(" // ");
    let status = parts.next().unwrap();
    let (mut lines, mut body, mut has_date) = (String::new(), &b""[..], false);
    for part in parts {
        if let Some(text) = part.strip_prefix("body: ") {
            body = text.as_bytes();
            continue;
        }
        if part.starts_with("Date:") {
            has_date = true;
            if part == "Date: -" {
                continue;
            }
        }
        lines.push_str(&dated(part, now_ms));
    }
    if !has_date {
        lines.push_str(&dated("Date: @0", now_ms));
    }
    let text = format!("HTTP/1.1 {status} X\r\n{lines}\r\n");
    let mut head = ResponseHead::default();
    assert!(parse_response(text.as_bytes(), &Limits::default(), &mut head).unwrap().is_some(), "{text}");
    (head, body)
}

#[test]
fn dates_of_the_table_are_those_of_the_crate() {
    for seconds in [0, 784_111_777, 951_782_400, 1_700_000_000, 4_102_444_799, -86_400 * 1000] {
        assert_eq!(tidegate_cache::date::parse(date(seconds).as_bytes()), Some(seconds), "{}", date(seconds));
    }
}
