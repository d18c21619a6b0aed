//! What the codec costs per exchange: frames in, text out, and the way back.

use std::hint::black_box;
use std::io::IoSlice;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidegate_http2::{Connection, Decoder, Encoder, Read, Role, Settings, Write};

/// The fields that a browser's script or a service sends.
const REQUEST: &[u8] = b"GET /api/v1/items/4711?expand=price HTTP/1.1\r\n\
Host: api.example.com\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
Accept: application/json\r\n\
Accept-Language: en-US,en;q=0.5\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Authorization: Bearer 0123456789abcdef0123456789abcdef\r\n\
Cookie: session=0123456789abcdef; theme=dark\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
Server: tidegate\r\n\
Date: Mon, 01 Jan 2024 00:00:00 GMT\r\n\
Content-Type: application/json\r\n\
Content-Length: 13\r\n\
Cache-Control: max-age=60\r\n\r\n{\"ok\": true}\n";

/// A client and a server that have greeted each other.
fn pair() -> (Connection, Connection) {
    let mut client = Connection::new(Role::Client, Settings::default());
    let mut server = Connection::new(Role::Server, Settings::default());
    for _ in 0..3 {
        pass(&mut client, &mut server, 0);
        pass(&mut server, &mut client, 0);
    }
    (client, server)
}

fn pass(from: &mut Connection, to: &mut Connection, now: u64) {
    let count = from.output().len();
    assert_eq!(to.receive(from.output(), now), Ok(()));
    from.sent(count);
}

fn drain(connection: &mut Connection, stream: u32, buffer: &mut [u8]) {
    while let Read::Bytes(count) = connection.read(stream, buffer) {
        black_box(&buffer[..count]);
    }
}

fn write(connection: &mut Connection, stream: u32, text: &[u8]) {
    assert_eq!(connection.write(stream, &[IoSlice::new(text)]), Write::Taken(text.len()));
}

fn exchanges(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("exchange");
    let mut buffer = vec![0; 64 * 1024];

    // The server alone, on a client's bytes for one stream after the other.
    let (_, mut server) = pair();
    let (mut encoder, mut id, mut frame) = (Encoder::default(), 1_u32, Vec::new());
    group.bench_function("server, small request and answer", |bencher| {
        bencher.iter(|| {
            frame.clear();
            frame.extend_from_slice(&[0, 0, 0, 1, 5]);
            frame.extend_from_slice(&id.to_be_bytes());
            for (line, name_len) in [
                (&b":method: GET\r\n"[..], 7),
                (b":scheme: http\r\n", 7),
                (b":path: /\r\n", 5),
                (b":authority: api.example.com\r\n", 10),
                (b"user-agent: h2load nghttp2/1.52.0\r\n", 10),
            ] {
                encoder.line(line, name_len, &mut frame);
            }
            frame[2] = (frame.len() - 9) as u8;
            // The client has read the answer before: WINDOW_UPDATE of the connection.
            frame.extend_from_slice(&[0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 13]);
            assert_eq!(server.receive(black_box(&frame), 0), Ok(()));
            let stream = server.accept().expect("it is whole");
            drain(&mut server, stream, &mut buffer);
            write(&mut server, stream, RESPONSE);
            server.release(stream, None);
            let count = black_box(server.output()).len();
            server.sent(count);
            id += 2;
            if id > 1 << 30 {
                (server, encoder, id) = (pair().1, Encoder::default(), 1);
            }
        });
    });

    let (mut client, mut server) = pair();
    let mut now = 0;
    group.bench_function("both sides, a browser's request", |bencher| {
        bencher.iter(|| {
            now += 1_000_000;
            let stream = client.open().expect("a stream is free");
            write(&mut client, stream, black_box(REQUEST));
            pass(&mut client, &mut server, now);
            let accepted = server.accept().expect("it is whole");
            drain(&mut server, accepted, &mut buffer);
            write(&mut server, accepted, black_box(RESPONSE));
            server.release(accepted, None);
            pass(&mut server, &mut client, now);
            drain(&mut client, stream, &mut buffer);
            client.release(stream, None);
            while client.woken().is_some() {}
        });
    });

    let (mut client, mut server) = pair();
    let mut body = b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n".to_vec();
    body.resize(body.len() + 60_000, b'x');
    group.throughput(Throughput::Bytes(60_000));
    group.bench_function("both sides, a body of 60,000 bytes", |bencher| {
        bencher.iter(|| {
            now += 1_000_000;
            let stream = client.open().expect("a stream is free");
            write(&mut client, stream, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            pass(&mut client, &mut server, now);
            let accepted = server.accept().expect("it is whole");
            drain(&mut server, accepted, &mut buffer);
            write(&mut server, accepted, black_box(&body));
            server.release(accepted, None);
            pass(&mut server, &mut client, now);
            drain(&mut client, stream, &mut buffer);
            client.release(stream, None);
            pass(&mut client, &mut server, now);
            while client.woken().is_some() {}
        });
    });
    group.finish();
}

fn hpack(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hpack");
    // RFC 7541 appendix C.6.3: all in Huffman's code, none of it indexed when it comes out of a fresh table.
    let coded: Vec<u8> = [
        &[0x08, 0x03][..],
        b"200",
        &[0x0f, 0x12, 0x96],
        &[
            0xd0, 0x7a, 0xbe, 0x94, 0x10, 0x54, 0xd4, 0x44, 0xa8, 0x20, 0x05, 0x95, 0x04, 0x0b, 0x81, 0x66,
            0xe0, 0x84, 0xa6, 0x2d, 0x1b, 0xff,
        ],
    ]
    .concat();
    let (mut decoder, mut out) = (Decoder::new(4096), Vec::with_capacity(4096));
    group.bench_function("decode a date in Huffman's code", |bencher| {
        bencher.iter(|| {
            out.clear();
            decoder.begin();
            let mut rest = black_box(&coded[..]);
            while let Ok(Some(_)) = decoder.next(&mut rest, &mut out) {}
        });
    });
    let mut encoder = Encoder::default();
    group.bench_function("encode a line that repeats", |bencher| {
        bencher.iter(|| {
            out.clear();
            encoder.line(black_box(b"content-type: application/json\r\n"), 12, &mut out);
        });
    });
    group.finish();
}

criterion_group!(benches, exchanges, hpack);
criterion_main!(benches);
