//! What must hold for every exchange, however its bytes are cut, however much is taken at once, whoever leaves when.

use std::{rc::Rc, time::Duration};

use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError},
};
use serde_json::{Value, json};
use tidegate_engine::hooks::Outcome;
use tidegate_playbook::{End, Listening, Play, plan, play, settle};

fn config(cases: u32) -> Config {
    let cases = std::env::var("PLAYBOOK_CASES").map_or(cases, |cases| cases.parse().unwrap_or(1));
    Config { cases, failure_persistence: None, ..Config::default() }
}

/// A message's content, and the sizes of its chunks if it is sent in chunks.
#[derive(Debug, Clone)]
struct Content {
    bytes: Vec<u8>,
    chunks: Option<Vec<usize>>,
    trailer: bool,
}

impl Content {
    /// The fields and the body, as sent.
    fn framed(&self) -> Vec<u8> {
        let Some(chunks) = &self.chunks else {
            return [format!("Content-Length: {}\r\n\r\n", self.bytes.len()).as_bytes(), &self.bytes]
                .concat();
        };
        let mut out = b"Transfer-Encoding: chunked\r\n\r\n".to_vec();
        let (mut rest, mut sizes) = (&self.bytes[..], chunks.iter().cycle());
        // Extensions are bounded for a whole body: a body of very many chunks has them on its first ones only.
        let mut extended = 100;
        while !rest.is_empty() {
            let (chunk, behind) = rest.split_at(rest.len().min(*sizes.next().unwrap_or(&1)));
            let extension = if extended > 0 { ";x=\"y\"" } else { "" };
            extended -= i32::from(extended > 0);
            out.extend(format!("{:X}{extension}\r\n", chunk.len()).bytes());
            out.extend(chunk);
            out.extend(b"\r\n");
            rest = behind;
        }
        out.extend_from_slice(if self.trailer { b"0\r\nX-T: 1\r\n\r\n" } else { b"0\r\n\r\n" });
        out
    }
}

fn content() -> impl Strategy<Value = Content> {
    let bytes = prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 0..200),
        1 => prop::collection::vec(any::<u8>(), 0..20_000),
    ];
    let chunks = prop::option::of(prop::collection::vec(1_usize..5000, 1..4));
    (bytes, chunks, any::<bool>()).prop_map(|(bytes, chunks, trailer)| Content { bytes, chunks, trailer })
}

/// A message as it arrived: head, content, trailers.
#[derive(Debug, PartialEq)]
struct Arrived {
    head: String,
    content: Vec<u8>,
    trailers: String,
}

/// Takes the first message off `bytes`; `None`: it is not whole.
fn message(bytes: &mut &[u8]) -> Option<Arrived> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let head: String = head.split_inclusive("\r\n").filter(|line| !line.starts_with("Date: ")).collect();
    let mut rest = &bytes[end..];
    let mut content = Vec::new();
    let mut trailers = String::new();
    if head.contains("Transfer-Encoding: chunked\r\n") {
        loop {
            let line = rest.windows(2).position(|two| two == b"\r\n")?;
            let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).ok()?, 16).ok()?;
            rest = &rest[line + 2..];
            if size == 0 {
                let end = match rest.starts_with(b"\r\n") {
                    true => 2,
                    false => rest.windows(4).position(|four| four == b"\r\n\r\n")? + 4,
                };
                trailers = String::from_utf8_lossy(&rest[..end]).into_owned();
                rest = &rest[end..];
                break;
            }
            content.extend_from_slice(rest.get(..size)?);
            rest = rest.get(size + 2..)?;
        }
    } else if let Some((_, length)) = head.split_once("Content-Length: ") {
        let length = length.split_once("\r\n")?.0.parse().ok()?;
        content.extend_from_slice(rest.get(..length)?);
        rest = &rest[length..];
    }
    *bytes = rest;
    Some(Arrived { head, content, trailers })
}

/// How bytes are cut and how much is taken at once.
#[derive(Debug, Clone)]
struct Cuts {
    pieces: Vec<usize>,
    up: usize,
    down: usize,
}

fn cuts() -> impl Strategy<Value = Cuts> {
    let pieces = prop::collection::vec(prop_oneof![3 => 1_usize..40, 1 => 1_usize..9000], 1..20);
    let room = || prop_oneof![1_usize..50, 50_usize..70_000];
    (pieces, room(), room()).prop_map(|(pieces, up, down)| Cuts { pieces, up, down })
}

impl Cuts {
    const NONE: Self = Self { pieces: Vec::new(), up: usize::MAX, down: usize::MAX };

    /// Sends piece by piece; after each, `between` has its turn.
    async fn sends(&self, end: &End, mut bytes: &[u8], mut between: impl AsyncFnMut()) {
        let mut sizes = self.pieces.iter().cycle();
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(bytes.len().min(*sizes.next().unwrap_or(&usize::MAX)));
            end.sends(piece).await;
            between().await;
            bytes = rest;
        }
    }
}

/// Takes until nothing more comes.
async fn drained(end: &End, got: &mut Vec<u8>) {
    loop {
        let more = end.takes_bytes().await;
        if more.is_empty() {
            return;
        }
        got.extend(more);
    }
}

/// Plays one exchange; what reached the upstream and what reached the client.
async fn exchange(play: &Play, request: &[u8], response: &[u8], cuts: &Cuts) -> (Vec<u8>, Vec<u8>) {
    let client = play.client().await;
    client.takes_at_most(cuts.down);
    let (mut up, mut down) = (Vec::new(), Vec::new());
    let mut upstream: Option<Rc<End>> = None;
    cuts.sends(&client, request, async || {
        if upstream.is_none() {
            upstream = play.connection_to(80).await;
            if let Some(upstream) = &upstream {
                upstream.takes_at_most(cuts.up);
            }
        }
        if let Some(upstream) = &upstream {
            up.extend(upstream.takes_bytes().await);
        }
    })
    .await;
    let upstream = upstream.expect("the request is whole");
    drained(&upstream, &mut up).await;
    cuts.sends(&upstream, response, async || down.extend(client.takes_bytes().await)).await;
    drained(&client, &mut down).await;
    upstream.resets().await;
    (up, down)
}

/// Nothing is open, in flight or waiting any more, and everything was recorded.
async fn all_is_quiet(play: &Play) -> Result<(), TestCaseError> {
    play.passes(Duration::from_millis(3100)).await;
    let stats = play.stats();
    prop_assert_eq!(&stats["panics"], 0);
    prop_assert_eq!(&stats["connections"], 0, "{}", stats);
    let counts = |name: &str| -> u64 {
        stats[name].as_object().into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum()
    };
    prop_assert_eq!(&stats["requests"], counts("statuses"), "{}", stats);
    prop_assert_eq!(&stats["connections_opened"], counts("closes"), "{}", stats);
    for upstream in stats["upstreams"].as_array().into_iter().flatten() {
        prop_assert_eq!(upstream["in_flight"].as_u64().unwrap_or(0), 0, "{}", stats);
    }
    prop_assert_eq!(play.engine.hooks().waiting(), 0);
    Ok(())
}

/// Runs a script that may fail, and hands its failure on.
fn checked(
    plan: Value,
    script: impl AsyncFnOnce(&Play) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let mut result = Ok(());
    play(plan, async |play| result = script(play).await);
    result
}

proptest! {
    #![proptest_config(config(48))]

    #[test]
    fn an_exchange_is_the_same_however_it_is_cut(up in content(), down in content(), cuts in cuts()) {
        let request = [&b"PUT /x HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n"[..], &up.framed()].concat();
        let response = [&b"HTTP/1.1 200 OK\r\nX-B: 2\r\n"[..], &down.framed()].concat();
        checked(plan(), async |play| {
            let whole = exchange(play, &request, &response, &Cuts::NONE).await;
            let cut = exchange(play, &request, &response, &cuts).await;
            for (whole, cut, sent) in [(&whole.0, &cut.0, &up), (&whole.1, &cut.1, &down)] {
                let (mut one, mut other) = (&whole[..], &cut[..]);
                let (one_message, other_message) = (message(&mut one), message(&mut other));
                prop_assert!(one_message.is_some() && one.is_empty() && other.is_empty());
                prop_assert_eq!(&one_message, &other_message);
                prop_assert!(other_message.is_some_and(|arrived| arrived.content == sent.bytes));
            }
            if up.chunks.is_none() {
                prop_assert!(whole.0 == cut.0);
            }
            if down.chunks.is_none() {
                prop_assert!(whole.1 == cut.1);
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_pipeline_is_answered_in_order(bodies in prop::collection::vec((content(), content()), 1..8), cuts in cuts()) {
        checked(plan(), async |play| {
            let client = play.client().await;
            client.takes_at_most(cuts.down);
            let mut requests = Vec::new();
            for (number, (body, _)) in bodies.iter().enumerate() {
                requests.extend(format!("PUT /{number} HTTP/1.1\r\nHost: a\r\n").bytes());
                requests.extend(body.framed());
            }
            cuts.sends(&client, &requests, async || {}).await;
            let upstream = play.upstream().await;
            upstream.takes_at_most(cuts.up);
            let mut down = Vec::new();
            for (number, (body, answer)) in bodies.iter().enumerate() {
                let mut got = Vec::new();
                drained(&upstream, &mut got).await;
                let mut rest = &got[..];
                let arrived = message(&mut rest);
                prop_assert!(rest.is_empty(), "no other request before the answer");
                let Some(arrived) = arrived else {
                    return Err(TestCaseError::fail(format!("request {number} is not whole: {got:?}")));
                };
                let line = format!("PUT /{number} ");
                prop_assert!(arrived.head.starts_with(&line));
                prop_assert_eq!(&arrived.content, &body.bytes);
                let response = [format!("HTTP/1.1 200 OK\r\nX-N: {number}\r\n").into_bytes(), answer.framed()].concat();
                cuts.sends(&upstream, &response, async || down.extend(client.takes_bytes().await)).await;
                drained(&client, &mut down).await;
            }
            let mut rest = &down[..];
            for (number, (_, answer)) in bodies.iter().enumerate() {
                let Some(arrived) = message(&mut rest) else {
                    return Err(TestCaseError::fail(format!("answer {number} is not whole")));
                };
                let named = format!("X-N: {number}\r\n");
                prop_assert!(arrived.head.contains(&named));
                prop_assert_eq!(&arrived.content, &answer.bytes);
            }
            prop_assert!(rest.is_empty());
            client.finishes().await;
            all_is_quiet(play).await
        })?;
    }
}

/// Something that happens to one of a few connections.
#[derive(Debug, Clone, Copy)]
enum Event {
    Connects,
    ClientSends(usize, usize),
    ClientTakes(usize),
    ClientFinishes(usize),
    ClientResets(usize),
    UpstreamSends(usize, usize),
    UpstreamTakes(usize),
    UpstreamFinishes(usize),
    UpstreamResets(usize),
    Listens(bool),
    HookAnswers(bool),
    Passes(u64),
}

const FROM_CLIENTS: [&str; 9] = [
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "GET /hook HTTP/1.1\r\nHost: a\r\n\r\n",
    "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab",
    "PUT /hook HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    "0\r\n\r\n",
    "cd",
    "GET / HT",
];

const FROM_UPSTREAMS: [&str; 9] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
    "HTTP/1.1 200 OK\r\n\r\nok",
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\n\r\n",
    "0\r\n\r\n",
    "ok",
];

fn event() -> impl Strategy<Value = Event> {
    let who = 0_usize..6;
    prop_oneof![
        4 => Just(Event::Connects),
        8 => (who.clone(), 0..FROM_CLIENTS.len()).prop_map(|(who, what)| Event::ClientSends(who, what)),
        3 => who.clone().prop_map(Event::ClientTakes),
        1 => who.clone().prop_map(Event::ClientFinishes),
        1 => who.clone().prop_map(Event::ClientResets),
        8 => (who.clone(), 0..FROM_UPSTREAMS.len()).prop_map(|(who, what)| Event::UpstreamSends(who, what)),
        3 => who.clone().prop_map(Event::UpstreamTakes),
        1 => who.clone().prop_map(Event::UpstreamFinishes),
        1 => who.prop_map(Event::UpstreamResets),
        1 => any::<bool>().prop_map(Event::Listens),
        3 => any::<bool>().prop_map(Event::HookAnswers),
        2 => (1_u64..3000).prop_map(Event::Passes),
    ]
}

/// A plan in which everything is bounded and something of everything happens.
fn crowded() -> Value {
    let mut plan = plan();
    plan["routes"][0]["timeouts"]["tunnel_idle_ms"] = json!(2000);
    plan["hooks"] =
        json!([{"name": "m:f", "timeout_ms": 1000, "body": true, "body_bytes": 3, "on_failure": "allow"}]);
    plan["concurrency"] = json!([{"name": "cap", "key": [{"kind": "route"}], "max": 4}]);
    let mut hooked = plan["routes"][0].clone();
    hooked["name"] = json!("hooked");
    hooked["matches"]["path"] = json!({"kind": "exact", "value": "/hook"});
    hooked["hook"] = json!(0);
    plan["routes"].as_array_mut().expect("a list").push(hooked);
    for at in 0..2 {
        plan["routes"][at]["concurrency"] = json!([0]);
        plan["routes"][at]["retry"] = json!({
            "attempts": 3, "on": ["connect", "reset", "503"], "non_idempotent": false, "budget_percent": 50,
            "replay_bytes": 3
        });
    }
    plan["upstreams"][0]["pool"]["max_connections"] = json!(2);
    plan["upstreams"][0]["pool"]["queue_max"] = json!(2);
    plan["upstreams"][0]["passive"] =
        json!({"failures": 2, "count_5xx": true, "eject_ms": 1000, "max_percent": 50});
    plan
}

async fn happens(play: &Play, event: Event, clients: &mut Vec<Rc<End>>, upstreams: &mut Vec<Rc<End>>) {
    while let Some(upstream) = play.connection_to(80).await {
        upstreams.push(upstream);
    }
    // The latest ones are the likeliest to be in use.
    let at = |ends: &[Rc<End>], who: usize| ends.iter().rev().nth(who).cloned();
    match event {
        Event::Connects => clients.push(play.client().await),
        Event::ClientSends(who, what) => {
            if let Some(client) = at(clients, who) {
                client.sends(FROM_CLIENTS[what]).await;
            }
        }
        Event::ClientTakes(who) => drop(match at(clients, who) {
            Some(client) => client.takes_bytes().await,
            None => Vec::new(),
        }),
        Event::ClientFinishes(who) => {
            if let Some(client) = at(clients, who) {
                client.finishes().await;
            }
        }
        Event::ClientResets(who) => {
            if let Some(client) = at(clients, who) {
                client.resets().await;
            }
        }
        Event::UpstreamSends(who, what) => {
            if let Some(upstream) = at(upstreams, who) {
                upstream.sends(FROM_UPSTREAMS[what]).await;
            }
        }
        Event::UpstreamTakes(who) => drop(match at(upstreams, who) {
            Some(upstream) => upstream.takes_bytes().await,
            None => Vec::new(),
        }),
        Event::UpstreamFinishes(who) => {
            if let Some(upstream) = at(upstreams, who) {
                upstream.finishes().await;
            }
        }
        Event::UpstreamResets(who) => {
            if let Some(upstream) = at(upstreams, who) {
                upstream.resets().await;
            }
        }
        Event::Listens(open) => {
            play.endpoint_is(80, if open { Listening::Open } else { Listening::Refused });
        }
        Event::HookAnswers(pass) => {
            for call in play.engine.hooks().take(10) {
                let outcome = if pass { Outcome::Pass } else { Outcome::Failed("no".into()) };
                play.engine.hooks().answer([(call.id, outcome)]);
            }
            settle().await;
        }
        Event::Passes(milliseconds) => play.passes(Duration::from_millis(milliseconds)).await,
    }
}

proptest! {
    #![proptest_config(config(48))]

    #[test]
    fn whatever_happens_nothing_is_left_behind(events in prop::collection::vec(event(), 1..120)) {
        checked(crowded(), async |play| {
            let (mut clients, mut upstreams) = (Vec::new(), Vec::new());
            for event in events {
                happens(play, event, &mut clients, &mut upstreams).await;
            }
            for client in &clients {
                client.resets().await;
            }
            all_is_quiet(play).await?;
            // And everything that is bounded is to be had again: the caps, the connections, the endpoint.
            play.endpoint_is(80, Listening::Open);
            drop(upstreams);
            play.passes(Duration::from_secs(30)).await;
            while play.connection_to(80).await.is_some() {}
            for _ in 0..5 {
                let client = play.client().await;
                client.sends(FROM_CLIENTS[0]).await;
                let Some(upstream) = play.connection_to(80).await else {
                    return Err(TestCaseError::fail(format!("no connection: {}", client.takes().await)));
                };
                upstream.sends("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
                prop_assert_eq!(client.takes().await, "HTTP/1.1 204 No Content\r\n\r\n");
            }
            Ok(())
        })?;
    }
}
