//! What scanning and splicing a body cost.
#![allow(clippy::unwrap_used, missing_docs)] // a failure here is a failed test

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::json;
use tidegate_dialect::scan::{Scan, scan};
use tidegate_dialect::splice::Edits;
use tidegate_dialect::usage_scan::{PassedStream, pass_through_usage};
use tidegate_dialect::{Dialect, EventReader, EventWriter, Reply};

fn chat(bytes: usize, sentence: &str) -> Vec<u8> {
    let text = sentence.repeat(bytes / sentence.len() + 1);
    json!({
        "model": "gpt-4o-mini", "temperature": 0.2, "stream": true, "user": "someone", "max_tokens": 256,
        "messages": [
            {"role": "system", "content": "You are a helpful assistant. Answer shortly."},
            {"role": "user", "content": text},
        ],
        "tools": [{"type": "function", "function": {"name": "weather", "parameters": {
            "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}],
    })
    .to_string()
    .into_bytes()
}

fn scanning(c: &mut Criterion) {
    let mut group = c.benchmark_group("scan");
    let bodies = [
        ("1 KB", chat(600, "The quick brown fox jumps over the lazy dog. ")),
        ("64 KB", chat(64 << 10, "The quick brown fox jumps over the lazy dog. ")),
        ("64 KB of lines and quotes", chat(64 << 10, "    let x = \"fox\";\n")),
        ("64 KB of Chinese", chat(64 << 10, "敏捷的棕色狐狸跳过了懒狗。")),
        ("4 MB", chat(4 << 20, "The quick brown fox jumps over the lazy dog. ")),
    ];
    for (name, body) in &bodies {
        group.throughput(Throughput::Bytes(body.len() as u64));
        let mut scan = Scan::default();
        group.bench_function(*name, |b| b.iter(|| scan.read(black_box(body)).unwrap()));
        if name.len() < 6 {
            group.bench_function(format!("{name}, a tree by serde_json"), |b| {
                b.iter(|| serde_json::from_slice::<serde_json::Value>(black_box(body)).unwrap())
            });
        }
    }
    group.finish();
}

fn splicing(c: &mut Criterion) {
    let body = chat(600, "The quick brown fox jumps over the lazy dog. ");
    let scan = scan(&body).unwrap();
    let mut out = Vec::new();
    c.bench_function("splice model and usage into 1 KB", |b| {
        b.iter(|| {
            out.clear();
            let mut edits = Edits::new(&body, &scan);
            edits.set_model("gpt-4o-mini-2024-07-18");
            edits.ask_for_usage().unwrap();
            edits.write(&mut out);
            black_box(out.len())
        })
    });
}

fn streams(c: &mut Criterion) {
    let event = b"data: {\"id\":\"chatcmpl-9xyzabcdef\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-4o-mini\",\"system_fingerprint\":\"fp_1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" token\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n";
    let mut group = c.benchmark_group("stream event");
    let mut passed = PassedStream::new(Dialect::OpenAi, true);
    let mut out = Vec::new();
    group.bench_function("passed, usage hidden", |b| {
        b.iter(|| {
            out.clear();
            passed.filter(black_box(event), &mut out);
        })
    });
    let mut reader = EventReader::new(Dialect::OpenAi);
    let reply = Reply { model: "small", id: "r", created: 0, include_usage: false };
    let mut writer = EventWriter::new(Dialect::OpenAi, &reply);
    let mut events = Vec::new();
    group.bench_function("read and written", |b| {
        b.iter(|| {
            out.clear();
            events.clear();
            reader.feed(black_box(event), &mut events).unwrap();
            for event in &events {
                writer.write(event, &mut out);
            }
        })
    });
    let answer = json!({"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0,
        "message": {"role": "assistant", "content": "The quick brown fox. ".repeat(40)}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}}).to_string();
    group.bench_function("usage of a whole answer of 1 KB", |b| {
        b.iter(|| pass_through_usage(Dialect::OpenAi, black_box(answer.as_bytes())))
    });
}

criterion_group!(benches, scanning, splicing, streams);
criterion_main!(benches);
