//! What the codec costs per request: head, facts, fields, chunks.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidegate_http1::{
    ChunkDecoder, ChunkLimits, Limits, copy_request_fields, copy_response_fields, parse_request,
    parse_response, request_facts, response_facts,
};
use tidegate_message::{Method, RequestHead, ResponseHead};

/// Eight fields, as a browser's script or a service sends them.
const REQUEST: &[u8] = b"GET /api/v1/items/4711?expand=price HTTP/1.1\r\n\
Host: api.example.com\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
Accept: application/json\r\n\
Accept-Language: en-US,en;q=0.5\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Authorization: Bearer 0123456789abcdef0123456789abcdef\r\n\
Cookie: session=0123456789abcdef; theme=dark\r\n\
Connection: keep-alive\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
Server: nginx\r\n\
Date: Mon, 01 Jan 2024 00:00:00 GMT\r\n\
Content-Type: application/json\r\n\
Content-Length: 512\r\n\
Connection: keep-alive\r\n\
ETag: \"65920080-200\"\r\n\
Cache-Control: max-age=60\r\n\r\n";

fn heads(criterion: &mut Criterion) {
    let limits = Limits::default();
    let mut group = criterion.benchmark_group("head");
    let mut head = RequestHead::default();
    group.bench_function("parse_request", |bencher| {
        bencher.iter(|| parse_request(black_box(REQUEST), &limits, &mut head));
    });
    let mut response = ResponseHead::default();
    group.bench_function("parse_response", |bencher| {
        bencher.iter(|| parse_response(black_box(RESPONSE), &limits, &mut response));
    });
    group.bench_function("request_facts", |bencher| bencher.iter(|| request_facts(black_box(&head))));
    group.bench_function("response_facts", |bencher| {
        bencher.iter(|| response_facts(black_box(&response), Method::Get));
    });
    let mut out = Vec::with_capacity(4096);
    group.bench_function("copy_request_fields", |bencher| {
        bencher.iter(|| {
            out.clear();
            copy_request_fields(black_box(&head), &mut out, |_| false);
        });
    });
    group.bench_function("copy_response_fields", |bencher| {
        bencher.iter(|| {
            out.clear();
            copy_response_fields(black_box(&response), &mut out, |_| false);
        });
    });
    group.finish();
}

fn chunks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("chunked");
    for size in [16_usize, 1024, 16 * 1024] {
        let mut body = Vec::new();
        for _ in 0..64 * 1024 / size {
            body.extend_from_slice(format!("{size:x}\r\n").as_bytes());
            body.resize(body.len() + size, b'x');
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"0\r\n\r\n");
        group.throughput(Throughput::Bytes(64 * 1024));
        group.bench_function(format!("decode 64 KiB in chunks of {size}"), |bencher| {
            bencher.iter(|| {
                let mut decoder = ChunkDecoder::new(ChunkLimits::default());
                let mut rest = black_box(&body[..]);
                while let Ok(step) = decoder.decode(rest) {
                    black_box(&rest[step.data]);
                    rest = &rest[step.consumed..];
                    if step.done {
                        break;
                    }
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, heads, chunks);
criterion_main!(benches);
