//! The exposition, read back by a strict reader, and the object for people.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::*;

/// What a scraper makes of a page: kinds by metric, values by name and sorted labels.
#[derive(Debug, Default)]
struct Scraped {
    kinds: HashMap<String, String>,
    samples: BTreeMap<(String, Vec<(String, String)>), f64>,
}

impl Scraped {
    /// Reads the text format as its description has it, and panics at whatever it does not allow.
    fn read(page: &[u8]) -> Self {
        let page = std::str::from_utf8(page).unwrap();
        assert!(page.ends_with('\n'), "the last line must end");
        let mut scraped = Self::default();
        let mut current = String::new();
        let mut helped = BTreeSet::new();
        for line in page.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, _) = help.split_once(' ').unwrap();
                assert!(helped.insert(name.to_owned()), "{name} has two HELP lines");
                current = name.to_owned();
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert_eq!(name, current, "TYPE follows HELP");
                assert!(["counter", "gauge", "histogram"].contains(&kind));
                assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
                assert!(scraped.kinds.insert(name.to_owned(), kind.to_owned()).is_none());
            } else {
                scraped.sample(line, &current);
            }
        }
        scraped.histograms_are_whole();
        scraped
    }

    fn sample(&mut self, line: &str, current: &str) {
        let end = line.find(['{', ' ']).unwrap();
        let name = &line[..end];
        let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        assert!(name.bytes().all(good) && name.starts_with("tidegate_"), "{name}");
        let suffix = name.strip_prefix(current).expect("a sample stands under its own TYPE");
        match self.kinds[current].as_str() {
            "histogram" => assert!(["_bucket", "_sum", "_count"].contains(&suffix), "{name}"),
            _ => assert_eq!(suffix, ""),
        }
        let (labels, value) = match line[end..].strip_prefix('{') {
            None => (Vec::new(), &line[end..]),
            Some(rest) => read_labels(rest),
        };
        let value: f64 = value.strip_prefix(' ').unwrap().parse().unwrap();
        assert!(value >= 0.0);
        let fresh = self.samples.insert((name.to_owned(), labels), value).is_none();
        assert!(fresh, "the same series twice: {line}");
    }

    fn histograms_are_whole(&self) {
        for ((name, labels), count) in &self.samples {
            let Some(base) = name.strip_suffix("_count") else { continue };
            let bucket = format!("{base}_bucket");
            let mut buckets: Vec<(f64, f64)> = Vec::new();
            for ((other, with_bound), value) in &self.samples {
                let rest: Vec<_> = with_bound.iter().filter(|(label, _)| label != "le").cloned().collect();
                if *other == bucket && rest == *labels {
                    let bound = &with_bound.iter().find(|(label, _)| label == "le").unwrap().1;
                    buckets
                        .push((if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() }, *value));
                }
            }
            buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
            assert!(buckets.is_sorted_by(|one, other| one.1 <= other.1), "buckets add up");
            assert_eq!(buckets.last().unwrap(), &(f64::INFINITY, *count));
            assert!(self.samples.contains_key(&(format!("{base}_sum"), labels.clone())));
        }
    }

    fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut labels: Vec<_> =
            labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        labels.sort();
        self.samples.get(&(name.to_owned(), labels)).copied()
    }
}

fn read_labels(mut rest: &str) -> (Vec<(String, String)>, &str) {
    let mut labels = Vec::new();
    loop {
        let (name, after) = rest.split_once("=\"").unwrap();
        assert!(
            name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') && !name.is_empty(),
            "{name}"
        );
        let mut value = String::new();
        let mut characters = after.char_indices();
        let end = loop {
            match characters.next().expect("a label's value must end") {
                (at, '"') => break at,
                (_, '\\') => match characters.next().unwrap().1 {
                    'n' => value.push('\n'),
                    escaped @ ('\\' | '"') => value.push(escaped),
                    other => panic!("\\{other} is no escape"),
                },
                (_, character) => value.push(character),
            }
        };
        labels.push((name.to_owned(), value));
        match after[end + 1..].split_at(1) {
            (",", more) => rest = more,
            ("}", value) => {
                labels.sort();
                return (labels, value);
            }
            (other, _) => panic!("{other:?} after a label"),
        }
    }
}

fn scraped(metrics: &Metrics) -> Scraped {
    let mut page = Vec::new();
    metrics.render(&Gauges::default(), &mut page);
    Scraped::read(&page)
}

#[test]
fn requests_of_all_workers_add_up() {
    let metrics = Metrics::new(2);
    let api = metrics.route_slot("api");
    metrics.worker(0).request(api, 200, 1_500_000, 10, 100);
    metrics.worker(1).request(api, 200, 3_000_000, 1, 2);
    metrics.worker(1).request(api, 503, 70_000_000_000, 0, 5);
    metrics.worker(0).request(0, 404, 0, 0, 0);
    let page = scraped(&metrics);
    let requests =
        |route, class| page.value("tidegate_requests_total", &[("route", route), ("class", class)]);
    assert_eq!(requests("api", "2xx"), Some(2.0));
    assert_eq!(requests("api", "5xx"), Some(1.0));
    assert_eq!(requests("", "4xx"), Some(1.0));
    assert_eq!(page.value("tidegate_responses_total", &[("code", "503")]), Some(1.0));
    assert_eq!(page.value("tidegate_request_bytes_total", &[("route", "api")]), Some(11.0));
    assert_eq!(page.value("tidegate_response_bytes_total", &[("route", "api")]), Some(107.0));
    assert_eq!(page.value("tidegate_route_seconds_total", &[("route", "api")]), Some(70.0045));
    assert_eq!(page.value("tidegate_worker_requests_total", &[("worker", "1")]), Some(2.0));
    let bucket = |le| page.value("tidegate_request_duration_seconds_bucket", &[("le", le)]);
    assert_eq!(
        [bucket("0.00025"), bucket("0.001"), bucket("0.0025"), bucket("0.005"), bucket("60"), bucket("+Inf")],
        [1.0, 1.0, 2.0, 3.0, 3.0, 4.0].map(Some)
    );
    assert_eq!(page.value("tidegate_request_duration_seconds_sum", &[]), Some(70.0045));
}

#[test]
fn everything_that_is_counted_is_on_the_page() {
    let metrics = Metrics::new(2);
    let worker = metrics.worker(1);
    let pool = metrics.upstream_slot("backend", "");
    let endpoint = metrics.upstream_slot("backend", "10.0.0.1:80");
    worker.upstream_attempt(endpoint, true, 2_000_000);
    worker.upstream_attempt(endpoint, false, 0);
    worker.endpoint_state(endpoint, true, 3);
    metrics.worker(0).endpoint_state(endpoint, false, 1);
    worker.pool_hit(pool);
    worker.pool_hit(pool);
    worker.pool_miss(pool);
    worker.pool_idle(pool, 7);
    worker.refusal("bare_lf");
    worker.close("asked");
    worker.retry("connect_failed");
    worker.connection_opened();
    worker.connection_opened();
    worker.connection_closed();
    worker.accept_failed();
    worker.panicked();
    worker.restarted();
    let limit = metrics.limit_slot("per-ip");
    worker.limit_allowed(limit);
    worker.limit_delayed(limit);
    worker.limit_refused(limit);
    let hook = metrics.hook_slot("policies:check");
    worker.hook_call(hook, true, 5_000);
    worker.hook_call(hook, false, 5_000);
    let page = scraped(&metrics);
    let here = [("upstream", "backend"), ("endpoint", "10.0.0.1:80")];
    for (name, labels, value) in [
        ("tidegate_upstream_attempts_total", vec![here[0], here[1], ("outcome", "ok")], 1.0),
        ("tidegate_upstream_attempts_total", vec![here[0], here[1], ("outcome", "failed")], 1.0),
        ("tidegate_upstream_latency_seconds_count", here.to_vec(), 1.0),
        ("tidegate_upstream_endpoint_up", here.to_vec(), 0.5),
        ("tidegate_upstream_in_flight", here.to_vec(), 4.0),
        ("tidegate_upstream_pool_hits_total", vec![here[0]], 2.0),
        ("tidegate_upstream_pool_misses_total", vec![here[0]], 1.0),
        ("tidegate_upstream_idle_connections", vec![here[0]], 7.0),
        ("tidegate_refusals_total", vec![("reason", "bare_lf")], 1.0),
        ("tidegate_connection_closes_total", vec![("reason", "asked")], 1.0),
        ("tidegate_retries_total", vec![("reason", "connect_failed")], 1.0),
        ("tidegate_connections", vec![], 1.0),
        ("tidegate_connections_opened_total", vec![], 2.0),
        ("tidegate_accept_errors_total", vec![], 1.0),
        ("tidegate_panics_total", vec![], 1.0),
        ("tidegate_worker_restarts_total", vec![], 1.0),
        ("tidegate_limit_decisions_total", vec![("limit", "per-ip"), ("decision", "delayed")], 1.0),
        ("tidegate_hook_calls_total", vec![("hook", "policies:check"), ("outcome", "failed")], 1.0),
        ("tidegate_hook_seconds_total", vec![("hook", "policies:check")], 0.00001),
        ("tidegate_workers", vec![], 2.0),
    ] {
        assert_eq!(page.value(name, &labels), Some(value), "{name} {labels:?}");
    }
    worker.endpoint_gone(endpoint);
    metrics.worker(0).endpoint_gone(endpoint);
    assert_eq!(scraped(&metrics).value("tidegate_upstream_endpoint_up", &here), None);
}

#[test]
fn names_with_odd_characters_come_back_as_they_were() {
    let metrics = Metrics::new(1);
    let odd = "a\"b\\c\nd é{},";
    metrics.worker(0).request(metrics.route_slot(odd), 200, 1, 0, 0);
    let page = scraped(&metrics);
    assert_eq!(page.value("tidegate_requests_total", &[("route", odd), ("class", "2xx")]), Some(1.0));
    let stats = metrics.stats_json(&Gauges::default());
    assert!(String::from_utf8(stats).unwrap().contains(r#""route":"a\"b\\c\nd é{},""#));
}

#[test]
fn routes_beyond_the_bound_are_counted_together_and_none_is_lost() {
    let metrics = Metrics::new(1);
    for number in 0..ROUTES_MOST + 100 {
        metrics.worker(0).request(metrics.route_slot(&format!("route-{number}")), 200, 1, 0, 0);
    }
    let page = scraped(&metrics);
    let requests = page.samples.iter().filter(|((name, _), _)| name == "tidegate_requests_total");
    assert_eq!(requests.map(|(_, value)| value).sum::<f64>(), (ROUTES_MOST + 100) as f64);
    let other = page.value("tidegate_requests_total", &[("route", "(other)"), ("class", "2xx")]);
    assert_eq!(other, Some(102.0));
}

#[test]
fn a_status_that_is_none_is_counted_as_other() {
    let metrics = Metrics::new(1);
    metrics.worker(0).request(0, 0, 1, 0, 0);
    metrics.worker(0).request(0, 999, 1, 0, 0);
    let page = scraped(&metrics);
    assert_eq!(page.value("tidegate_responses_total", &[("code", "other")]), Some(2.0));
    assert_eq!(page.value("tidegate_requests_total", &[("route", ""), ("class", "other")]), Some(2.0));
}

#[test]
fn the_object_for_people_is_json_and_lists_the_busiest_routes_first() {
    let metrics = Metrics::new(2);
    for number in 0..30 {
        let slot = metrics.route_slot(&format!("route-{number}"));
        (0..=number).for_each(|_| metrics.worker(0).request(slot, 200, 1_000_000, 0, 0));
    }
    metrics.worker(1).refusal("bare_lf");
    metrics.worker(1).upstream_attempt(metrics.upstream_slot("backend", "10.0.0.1:80"), true, 5);
    metrics.worker(1).pool_hit(metrics.upstream_slot("backend", ""));
    let gauges = Gauges { generation: 3, draining: true, ..Gauges::default() };
    let text = String::from_utf8(metrics.stats_json(&gauges)).unwrap();
    assert_eq!(skip_json(text.as_bytes()), Some(text.len()), "{text}");
    assert!(text.contains(r#""generation":3,"draining":true"#), "{text}");
    assert!(text.contains(r#""requests":465"#) && text.contains(r#""routes_used":30"#), "{text}");
    assert!(text.contains(r#""routes":[{"route":"route-29","requests":30,"#), "{text}");
    assert_eq!(text.matches(r#"{"route":"#).count(), 20);
    assert!(text.contains(r#""refusals":{"bare_lf":1}"#), "{text}");
}

#[test]
fn an_engine_that_did_nothing_has_a_page_and_an_object() {
    let metrics = Metrics::new(1);
    assert_eq!(scraped(&metrics).value("tidegate_connections", &[]), Some(0.0));
    let text = metrics.stats_json(&Gauges::default());
    assert_eq!(skip_json(&text), Some(text.len()));
}

/// The length of the JSON value at the start (RFC 8259 §2), or nothing if there is none.
fn skip_json(text: &[u8]) -> Option<usize> {
    let list = |close: u8, keys: bool| {
        let mut at = 1;
        if text.get(at) == Some(&close) {
            return Some(at + 1);
        }
        loop {
            if keys {
                at += skip_json(&text[at..]).filter(|_| text[at] == b'"')?;
                (text.get(at) == Some(&b':')).then_some(())?;
                at += 1;
            }
            at += skip_json(&text[at..])?;
            match text.get(at)? {
                b',' => at += 1,
                end => return (*end == close).then_some(at + 1),
            }
        }
    };
    match text.first()? {
        b'{' => list(b'}', true),
        b'[' => list(b']', false),
        b'"' => {
            let mut at = 1;
            while *text.get(at)? != b'"' {
                at += if text[at] == b'\\' { 2 } else { 1 };
            }
            Some(at + 1)
        }
        b'0'..=b'9' => Some(text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len())),
        _ => [&b"true"[..], b"false", b"null"]
            .iter()
            .find(|word| text.starts_with(word))
            .map(|word| word.len()),
    }
}
