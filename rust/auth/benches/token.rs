//! What a token costs: the first time, by each kind of signature, and when it is remembered.

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use criterion::{Criterion, criterion_group, criterion_main};
use tidegate_auth::{
    Hashed, Until, Verified,
    jwt::{Algorithm, KeySet, Origin, TokenRules},
};

const NOW: u64 = 1_000;
const CLAIMS: &str = r#"{"iss":"https://id.example.com","aud":["api"],"sub":"6f1c2a9e-2d3b-4a8f-9f0e-1a2b3c4d5e6f",
    "exp":2000,"iat":900,"scope":"orders:read orders:write","email":"ann@example.com","groups":["a","b","c"]}"#;

fn rules() -> TokenRules {
    TokenRules {
        algorithms: Algorithm::ALL.into_iter().collect(),
        issuers: vec!["https://id.example.com".into()],
        audiences: vec!["api".into()],
        required: vec!["exp".into()],
        scopes: vec!["orders:read".into()],
        leeway_s: 30,
        max_age_s: 0,
    }
}

fn token(algorithm: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let header = format!(r#"{{"alg":"{algorithm}","kid":"one","typ":"JWT"}}"#);
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(CLAIMS));
    let signature = URL_SAFE_NO_PAD.encode(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

fn set(key: &str) -> KeySet {
    KeySet::parse(format!(r#"{{"keys":[{{"kid":"one",{key}}}]}}"#).as_bytes(), Origin::Own).expect("a set")
}

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[derive(Clone)]
struct Known;

impl Until for Known {
    fn until(&self) -> u64 {
        2000
    }
}

fn tokens(criterion: &mut Criterion) {
    let random = SystemRandom::new();
    let secret = [7; 32];
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let elliptic = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
    let edwards = Ed25519KeyPair::generate().expect("a key");
    let der = rsa.public_key().as_ref();
    let point = elliptic.public_key().as_ref();
    let cases = [
        (
            token("HS256", |message| {
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), message).as_ref().to_vec()
            }),
            set(&format!(r#""kty":"oct","k":"{}""#, text(&secret))),
            "HS256",
        ),
        (
            token("RS256", |message| {
                let mut signature = vec![0; rsa.public_modulus_len()];
                rsa.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).expect("a signature");
                signature
            }),
            set(&format!(r#""kty":"RSA","n":"{}","e":"AQAB""#, text(&der[9..265]))),
            "RS256",
        ),
        (
            token("ES256", |message| elliptic.sign(&random, message).expect("a signature").as_ref().to_vec()),
            set(&format!(
                r#""kty":"EC","crv":"P-256","x":"{}","y":"{}""#,
                text(&point[1..33]),
                text(&point[33..])
            )),
            "ES256",
        ),
        (
            token("EdDSA", |message| edwards.sign(message).as_ref().to_vec()),
            set(&format!(r#""kty":"OKP","crv":"Ed25519","x":"{}""#, text(edwards.public_key().as_ref()))),
            "EdDSA",
        ),
    ];
    let rules = rules();
    for (token, keys, name) in &cases {
        criterion.bench_function(&format!("token/{name}"), |bencher| {
            bencher.iter(|| rules.verify(keys, token.as_bytes(), NOW).expect("a good token"));
        });
    }
    let mut known = Verified::new(4096);
    for number in 0..2000_u32 {
        known.remember(Hashed::new(&number.to_le_bytes()), 1, Known);
    }
    known.remember(Hashed::new(cases[1].0.as_bytes()), 1, Known);
    criterion.bench_function("token/remembered", |bencher| {
        bencher.iter(|| known.find(Hashed::new(cases[1].0.as_bytes()), 1, NOW).expect("it is there"));
    });
}

criterion_group!(benches, tokens);
criterion_main!(benches);
