//! What it costs to know who comes.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use criterion::{Criterion, criterion_group, criterion_main};
use sha2::{Digest, Sha256};
use tidegate_auth::{ApiKeys, Basic, CidrSet, client_address, client_address_forwarded, query_parameter};

const KEY: &[u8] = b"tg_live_4f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c";

fn digest(secret: impl AsRef<[u8]>) -> [u8; 32] {
    Sha256::digest(secret).into()
}

fn credentials(c: &mut Criterion) {
    c.bench_function("sha256 of 40 bytes", |b| b.iter(|| digest(black_box(KEY))));
    let mut keys: Vec<_> = (0..10_000).map(|n| (format!("key-{n}"), digest(format!("secret-{n}")))).collect();
    keys.push(("web".into(), digest(KEY)));
    let keys = ApiKeys::new(keys);
    c.bench_function("verify, one of 10,000 keys", |b| {
        b.iter(|| black_box(keys.verify(black_box(KEY)).is_some()))
    });
    c.bench_function("verify, none of 10,000 keys", |b| {
        b.iter(|| black_box(keys.verify(black_box(b"x")).is_some()))
    });
    let users = Basic::new([("Aladdin".to_string(), digest("Aladdin:open sesame"))]);
    c.bench_function("verify, basic", |b| {
        b.iter(|| black_box(users.verify(black_box(b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")).is_ok()));
    });
    let mut scratch = Vec::new();
    c.bench_function("query_parameter, third of four", |b| {
        b.iter(|| {
            let query = black_box(&b"page=1&sort=name&key=tg_live_4f9a8b7c6d&limit=50"[..]);
            black_box(query_parameter(query, b"key", &mut scratch).is_some())
        });
    });
}

fn addresses(c: &mut Criterion) {
    let spread = |n: u32| n.wrapping_mul(0x9e37_79b9);
    let v4: Vec<String> =
        (0..10_000).map(|n| format!("{}/24", Ipv4Addr::from_bits(spread(n) & 0xffff_ff00))).collect();
    let v6: Vec<String> = (0..10_000)
        .map(|n| format!("{}/48", Ipv6Addr::from_bits(u128::from(spread(n)) << 80 | 0x2001 << 112)))
        .collect();
    let set = CidrSet::parse(&[v4, v6].concat()).expect("constant blocks");
    let mut n = 0;
    c.bench_function("contains, 10,000 v4 blocks", |b| {
        b.iter(|| {
            n += 7;
            black_box(set.contains(Ipv4Addr::from_bits(spread(n)).into()))
        });
    });
    c.bench_function("contains, 10,000 v6 blocks", |b| {
        b.iter(|| {
            n += 7;
            black_box(
                set.contains(Ipv6Addr::from_bits(u128::from(spread(n)) << 80 | 0x2001 << 112 | 1).into()),
            )
        });
    });

    let trusted = CidrSet::parse(&["10.0.0.0/8", "127.0.0.0/8", "::1"]).expect("constant blocks");
    let peer: IpAddr = Ipv4Addr::new(10, 0, 0, 1).into();
    let plain = [&b"203.0.113.7, 10.2.3.4"[..]];
    let rfc = [&b"for=203.0.113.7;proto=https, for=10.2.3.4;proto=http"[..]];
    c.bench_function("client_address, two hops", |b| {
        b.iter(|| black_box(client_address(peer, black_box(plain).into_iter(), &trusted)));
    });
    c.bench_function("client_address_forwarded, two hops", |b| {
        b.iter(|| black_box(client_address_forwarded(peer, black_box(rfc).into_iter(), &trusted)));
    });
}

criterion_group!(benches, credentials, addresses);
criterion_main!(benches);
