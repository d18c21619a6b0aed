//! The examples of the standards, and the attacks on tokens that are known (RFC 8725 §2).

use std::sync::LazyLock;

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
        KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
        RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
    },
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;

const NOW: u64 = 1_300_819_000;

/// RFC 7515 appendix A.1.1.
const HS256: &str = concat!(
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt",
    "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
);
const HS256_KEY: &str =
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";

/// RFC 7515 appendix A.2.1.
const RS256: &str = concat!(
    "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290",
    "Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5ju",
    "jGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB",
    "_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXL",
    "IhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
);
const RS256_N: &str = concat!(
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2",
    "lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTB",
    "EMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kz",
    "k2PAcDTW9gb54h4FRWyuXpoQ"
);

/// RFC 7515 appendix A.3.1.
const ES256: &str = concat!(
    "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290",
    "Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
);

/// RFC 7515 appendix A.5.
const NONE: &str = concat!(
    "eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290",
    "Ijp0cnVlfQ."
);

/// RFC 8037 appendix A.4.
const EDDSA: &str = concat!(
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.",
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
);

fn rules() -> TokenRules {
    TokenRules {
        algorithms: Algorithm::ALL.into_iter().collect(),
        issuers: Vec::new(),
        audiences: Vec::new(),
        required: Vec::new(),
        scopes: Vec::new(),
        leeway_s: 0,
        max_age_s: 0,
    }
}

fn keys(keys: &[Value]) -> KeySet {
    let set = KeySet::parse(json!({ "keys": keys }).to_string().as_bytes(), Origin::Own).unwrap();
    assert_eq!(set.skipped(), []);
    set
}

fn oct(kid: &str, secret: &[u8]) -> Value {
    json!({"kty": "oct", "kid": kid, "k": URL_SAFE_NO_PAD.encode(secret)})
}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// A token with any header, signed by any means.
fn made(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn hs(algorithm: hmac::Algorithm) -> impl Fn(&[u8]) -> Vec<u8> {
    move |message| hmac::sign(&hmac::Key::new(algorithm, SECRET), message).as_ref().to_vec()
}

/// A token of `claims` that is well signed.
fn token(claims: &Value) -> String {
    made(&json!({"alg": "HS256", "kid": "a"}), claims, hs(hmac::HMAC_SHA256))
}

fn verify(rules: &TokenRules, claims: &Value) -> Result<Token, TokenError> {
    rules.verify(&keys(&[oct("a", SECRET)]), token(claims).as_bytes(), NOW)
}

fn fails(rules: &TokenRules, claims: &Value) -> TokenError {
    verify(rules, claims).unwrap_err()
}

static RSA: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());

fn rsa_jwk(kid: &str) -> Value {
    // RFC 8017 §A.1.1 in DER, of 2048 bits and exponent 65537: the numbers stand at fixed places.
    let der = RSA.public_key().as_ref();
    assert_eq!(
        (der.len(), &der[..9], &der[265..267]),
        (270, &b"\x30\x82\x01\x0a\x02\x82\x01\x01\x00"[..], &b"\x02\x03"[..])
    );
    let text = |number: &[u8]| URL_SAFE_NO_PAD.encode(number);
    json!({"kty": "RSA", "kid": kid, "n": text(&der[9..265]), "e": text(&der[267..])})
}

fn rsa_sign(encoding: &'static dyn RsaEncoding) -> impl Fn(&[u8]) -> Vec<u8> {
    move |message| {
        let mut signature = vec![0; RSA.public_modulus_len()];
        RSA.sign(encoding, &SystemRandom::new(), message, &mut signature).unwrap();
        signature
    }
}

#[test]
fn the_examples_of_the_standards_are_let_in() {
    let rsa = json!({"kty": "RSA", "n": RS256_N, "e": "AQAB"});
    let elliptic = json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"});
    let all = keys(&[json!({"kty": "oct", "k": HS256_KEY}), rsa, elliptic]);
    for example in [HS256, RS256, ES256] {
        let token = rules().verify(&all, example.as_bytes(), NOW).unwrap();
        assert_eq!(token.claims.text("iss").as_deref(), Some("joe"));
        assert_eq!(token.until, 1_300_819_380);
        let mut other = example.as_bytes().to_vec();
        let at = other.len() - 8;
        other[at] = if other[at] == b'A' { b'B' } else { b'A' };
        assert_eq!(rules().verify(&all, &other, NOW).unwrap_err(), TokenError::Signature);
    }
    // The content of this one is a text, not claims: it gets as far as that.
    let edwards = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    assert_eq!(rules().verify(&keys(&[edwards]), EDDSA.as_bytes(), NOW).unwrap_err(), TokenError::Malformed);
}

#[test]
fn every_algorithm_is_spoken() {
    let claims = json!({"sub": "ann"});
    let edwards = Ed25519KeyPair::generate().unwrap();
    let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let curve = |name: &str, pair: &EcdsaKeyPair| {
        let point = pair.public_key().as_ref();
        let half = (point.len() - 1) / 2;
        let text = |part: &[u8]| URL_SAFE_NO_PAD.encode(part);
        json!({"kty": "EC", "crv": name, "x": text(&point[1..=half]), "y": text(&point[half + 1..])})
    };
    let all = keys(&[
        oct("h", SECRET),
        rsa_jwk("r"),
        curve("P-256", &p256),
        curve("P-384", &p384),
        json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(edwards.public_key())}),
    ]);
    let ecdsa = |pair: &EcdsaKeyPair, message: &[u8]| {
        pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
    };
    let sign = |algorithm: &str, message: &[u8]| match algorithm {
        "HS256" => hs(hmac::HMAC_SHA256)(message),
        "HS384" => hs(hmac::HMAC_SHA384)(message),
        "HS512" => hs(hmac::HMAC_SHA512)(message),
        "RS256" => rsa_sign(&RSA_PKCS1_SHA256)(message),
        "RS384" => rsa_sign(&RSA_PKCS1_SHA384)(message),
        "RS512" => rsa_sign(&RSA_PKCS1_SHA512)(message),
        "PS256" => rsa_sign(&RSA_PSS_SHA256)(message),
        "PS384" => rsa_sign(&RSA_PSS_SHA384)(message),
        "PS512" => rsa_sign(&RSA_PSS_SHA512)(message),
        "ES256" => ecdsa(&p256, message),
        "ES384" => ecdsa(&p384, message),
        _ => edwards.sign(message).as_ref().to_vec(),
    };
    for algorithm in Algorithm::ALL.map(Algorithm::as_str).into_iter().filter(|name| *name != "ES512") {
        let good = made(&json!({"alg": algorithm}), &claims, |message| sign(algorithm, message));
        assert!(rules().verify(&all, good.as_bytes(), NOW).is_ok(), "{algorithm}");
        let wrong = made(&json!({"alg": algorithm}), &claims, |_| sign(algorithm, b"another text"));
        assert_eq!(
            rules().verify(&all, wrong.as_bytes(), NOW).unwrap_err(),
            TokenError::Signature,
            "{algorithm}"
        );
    }
}

#[test]
fn a_token_without_a_signature_is_never_let_in() {
    let set = keys(&[oct("a", SECRET), rsa_jwk("r")]);
    assert_eq!(rules().verify(&set, NONE.as_bytes(), NOW).unwrap_err(), TokenError::Algorithm);
    for alg in ["none", "None", "nOnE", "NONE", ""] {
        for signature in [&b""[..], b"x"] {
            let token = made(&json!({"alg": alg}), &json!({"sub": "ann"}), |_| signature.to_vec());
            assert_eq!(
                rules().verify(&set, token.as_bytes(), NOW).unwrap_err(),
                TokenError::Algorithm,
                "{alg}"
            );
        }
    }
    let empty = made(&json!({"alg": "HS256", "kid": "a"}), &json!({}), |_| Vec::new());
    assert_eq!(rules().verify(&set, empty.as_bytes(), NOW).unwrap_err(), TokenError::Signature);
}

#[test]
fn a_public_key_is_no_secret_for_a_mac() {
    let jwk = rsa_jwk("r");
    let set = keys(&[jwk.clone(), oct("a", SECRET)]);
    let der = RSA.public_key().as_ref().to_vec();
    for secret in [jwk["n"].as_str().unwrap().as_bytes().to_vec(), der] {
        let sign = |message: &[u8]| {
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), message).as_ref().to_vec()
        };
        let named = made(&json!({"alg": "HS256", "kid": "r"}), &json!({"sub": "root"}), sign);
        assert_eq!(rules().verify(&set, named.as_bytes(), NOW).unwrap_err(), TokenError::Algorithm);
        let unnamed = made(&json!({"alg": "HS256"}), &json!({"sub": "root"}), sign);
        assert_eq!(rules().verify(&set, unnamed.as_bytes(), NOW).unwrap_err(), TokenError::Signature);
        assert_eq!(
            rules().verify(&keys(&[rsa_jwk("r")]), unnamed.as_bytes(), NOW).unwrap_err(),
            TokenError::UnknownKey
        );
    }
}

#[test]
fn keys_that_a_token_brings_along_are_not_looked_at() {
    let header = json!({"alg": "HS256", "jwk": oct("x", b"attackers-secret-attackers-secret"),
        "jku": "https://attacker.example/jwks", "x5u": "https://attacker.example/cert"});
    let forged = made(&header, &json!({"sub": "root"}), |message| {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"attackers-secret-attackers-secret"), message)
            .as_ref()
            .to_vec()
    });
    let set = keys(&[oct("a", SECRET)]);
    assert_eq!(rules().verify(&set, forged.as_bytes(), NOW).unwrap_err(), TokenError::Signature);
}

#[test]
fn an_algorithm_that_is_not_taken_is_refused_although_the_key_could() {
    let only = TokenRules { algorithms: [Algorithm::Rs256].into_iter().collect(), ..rules() };
    assert_eq!(fails(&only, &json!({})), TokenError::Algorithm);
    let key = json!({"kty": "oct", "alg": "HS512", "k": URL_SAFE_NO_PAD.encode(SECRET)});
    let token = made(&json!({"alg": "HS256"}), &json!({}), hs(hmac::HMAC_SHA256));
    assert_eq!(rules().verify(&keys(&[key]), token.as_bytes(), NOW).unwrap_err(), TokenError::UnknownKey);
}

#[test]
fn the_key_that_is_named_is_the_only_one_that_counts() {
    let set = keys(&[oct("a", SECRET), oct("b", b"another secret that is long enough to be one")]);
    for (kid, expected) in
        [("a", None), ("b", Some(TokenError::Signature)), ("c", Some(TokenError::UnknownKey))]
    {
        let token = made(&json!({"alg": "HS256", "kid": kid}), &json!({}), hs(hmac::HMAC_SHA256));
        assert_eq!(rules().verify(&set, token.as_bytes(), NOW).err(), expected, "{kid}");
    }
    let unnamed = made(&json!({"alg": "HS256"}), &json!({}), hs(hmac::HMAC_SHA256));
    assert!(rules().verify(&set, unnamed.as_bytes(), NOW).is_ok());
    assert_eq!(
        rules().verify(&KeySet::default(), unnamed.as_bytes(), NOW).unwrap_err(),
        TokenError::UnknownKey
    );
}

#[test]
fn extensions_that_are_critical_are_not_passed_over() {
    for crit in [json!(["b64"]), json!(["exp"]), json!([]), json!("x")] {
        let token =
            made(&json!({"alg": "HS256", "b64": false, "crit": crit}), &json!({}), hs(hmac::HMAC_SHA256));
        let set = keys(&[oct("a", SECRET)]);
        assert_eq!(rules().verify(&set, token.as_bytes(), NOW).unwrap_err(), TokenError::Critical);
    }
}

#[test]
fn what_is_no_token_is_told_so() {
    let set = keys(&[oct("a", SECRET)]);
    let good = token(&json!({"sub": "ann"}));
    let parts: Vec<&str> = good.split('.').collect();
    let cases = [
        (String::new(), TokenError::Malformed),
        ("abc".into(), TokenError::Malformed),
        ("..".into(), TokenError::Malformed),
        (parts[..2].join("."), TokenError::Malformed),
        (format!("{good}."), TokenError::Malformed),
        (format!("{good}.a.b"), TokenError::Encrypted),
        (format!("{good}.a.b.c"), TokenError::Malformed),
        (format!("{good}="), TokenError::Malformed),
        (format!("{good} "), TokenError::Malformed),
        (format!("{}.{}.{}", parts[0].to_lowercase(), parts[1], parts[2]), TokenError::Malformed),
        (format!("{}.{}.{}", URL_SAFE_NO_PAD.encode("[]"), parts[1], parts[2]), TokenError::Malformed),
        (
            format!(
                "{}.{}.{}",
                URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","alg":"none"}"#),
                parts[1],
                parts[2]
            ),
            TokenError::Malformed,
        ),
        (
            format!("{}.{}.{}", URL_SAFE_NO_PAD.encode(r#"{"alg":5}"#), parts[1], parts[2]),
            TokenError::Malformed,
        ),
        (format!("{}.{}.{}", parts[0], encode(&json!({"sub": "root"})), parts[2]), TokenError::Signature),
        ("a".repeat(TOKEN_MOST + 1), TokenError::TooLong),
    ];
    for (token, expected) in cases {
        assert_eq!(rules().verify(&set, token.as_bytes(), NOW).unwrap_err(), expected, "{token:.200}");
    }
    let list = made(&json!({"alg": "HS256"}), &json!([]), hs(hmac::HMAC_SHA256));
    assert_eq!(rules().verify(&set, list.as_bytes(), NOW).unwrap_err(), TokenError::Malformed);
}

#[test]
fn a_token_holds_from_its_beginning_to_its_end_and_clocks_may_differ() {
    let now = NOW as i64;
    let strict = rules();
    let lenient = TokenRules { leeway_s: 30, ..rules() };
    assert_eq!(verify(&strict, &json!({"exp": now + 1})).unwrap().until, NOW + 1);
    assert_eq!(fails(&strict, &json!({"exp": now})), TokenError::Expired);
    assert_eq!(verify(&lenient, &json!({"exp": now - 29})).unwrap().until, NOW + 1);
    assert_eq!(fails(&lenient, &json!({"exp": now - 30})), TokenError::Expired);
    assert!(verify(&strict, &json!({"nbf": now})).is_ok());
    assert_eq!(fails(&strict, &json!({"nbf": now + 1})), TokenError::NotYet);
    assert!(verify(&lenient, &json!({"nbf": now + 30})).is_ok());
    assert_eq!(fails(&lenient, &json!({"nbf": now + 31})), TokenError::NotYet);
    assert_eq!(fails(&strict, &json!({"iat": now + 1})), TokenError::IssuedLater);
    assert!(verify(&lenient, &json!({"iat": now + 30})).is_ok());
    for wrong in [json!("soon"), Value::Null, json!({})] {
        for name in ["exp", "nbf", "iat"] {
            assert_eq!(fails(&strict, &json!({ name: wrong })), TokenError::Claim, "{name}: {wrong}");
        }
    }
    for far in [json!(i64::MAX), json!(u64::MAX), json!(1e300)] {
        assert!(verify(&lenient, &json!({"exp": far})).is_ok(), "{far}");
    }
    for far in [json!(i64::MIN), json!(-1e300), json!(-1)] {
        assert_eq!(fails(&lenient, &json!({"exp": far})), TokenError::Expired, "{far}");
    }
}

#[test]
fn a_token_may_be_too_old_before_it_ends() {
    let now = NOW as i64;
    let young = TokenRules { max_age_s: 60, ..rules() };
    assert_eq!(verify(&young, &json!({"iat": now - 59, "exp": now + 999})).unwrap().until, NOW + 1);
    assert_eq!(fails(&young, &json!({"iat": now - 60, "exp": now + 999})), TokenError::TooOld);
    assert_eq!(fails(&young, &json!({"exp": now + 999})), TokenError::Claim);
}

#[test]
fn issuer_and_audience_are_compared_whole() {
    let issuer = TokenRules { issuers: vec!["https://id.example".into(), "other".into()], ..rules() };
    assert!(verify(&issuer, &json!({"iss": "https://id.example"})).is_ok());
    for other in [
        json!({}),
        json!({"iss": "https://id.example/"}),
        json!({"iss": "HTTPS://id.example"}),
        json!({"iss": 5}),
    ] {
        assert_eq!(fails(&issuer, &other), TokenError::Issuer, "{other}");
    }
    let audience = TokenRules { audiences: vec!["api".into()], ..rules() };
    for good in [json!({"aud": "api"}), json!({"aud": ["web", "api"]})] {
        assert!(verify(&audience, &good).is_ok(), "{good}");
    }
    for other in [
        json!({}),
        json!({"aud": "ap"}),
        json!({"aud": []}),
        json!({"aud": ["web"]}),
        json!({"aud": {"api": 1}}),
    ] {
        assert_eq!(fails(&audience, &other), TokenError::Audience, "{other}");
    }
}

#[test]
fn claims_and_scopes_that_are_needed_must_be_there() {
    let rules = TokenRules {
        required: vec!["exp".into(), "org.id".into()],
        scopes: vec!["a".into(), "b".into()],
        ..rules()
    };
    let exp = NOW + 10;
    assert!(verify(&rules, &json!({"exp": exp, "org": {"id": 1}, "scope": "b c a"})).is_ok());
    assert_eq!(fails(&rules, &json!({"exp": exp, "scope": "a b"})), TokenError::Claim);
    assert_eq!(fails(&rules, &json!({"exp": exp, "org": {"id": null}, "scope": "a b"})), TokenError::Claim);
    assert_eq!(fails(&rules, &json!({"exp": exp, "org": {"id": 1}, "scope": "a"})), TokenError::Scope);
    assert_eq!(fails(&rules, &json!({"exp": exp, "org": {"id": 1}})), TokenError::Scope);
}

#[test]
fn a_set_is_used_without_the_keys_that_cannot_be() {
    let short = json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode([0xff; 128]), "e": "AQAB"});
    let all = [
        oct("good", SECRET),
        json!({"kty": "RSA", "use": "enc", "n": RS256_N, "e": "AQAB"}),
        json!({"kty": "RSA", "key_ops": ["sign"], "n": RS256_N, "e": "AQAB"}),
        short,
        json!({"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"}),
        json!({"kty": "EC", "crv": "secp256k1", "x": "AAAA", "y": "AAAA"}),
        json!({"kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode([1; 32]), "y": URL_SAFE_NO_PAD.encode([1; 32])}),
        json!({"kty": "OKP", "crv": "X25519", "x": URL_SAFE_NO_PAD.encode([1; 32])}),
        json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode([1; 31])}),
        json!({"kty": "oct", "k": "not base64!"}),
        json!({"kty": "RSA", "e": "AQAB"}),
        json!({"kty": "RSA", "alg": "HS256", "n": RS256_N, "e": "AQAB"}),
        json!({"kty": "future"}),
        json!({"kid": "no kty"}),
        json!("no key at all"),
    ];
    let text = json!({"keys": all, "more": 1}).to_string();
    let set = KeySet::parse(text.as_bytes(), Origin::Own).unwrap();
    assert_eq!(set.len(), 1);
    assert_eq!(
        set.skipped().iter().map(|skipped| skipped.index).collect::<Vec<_>>(),
        (1..15).collect::<Vec<_>>()
    );
    assert!(
        KeySet::parse(text.as_bytes(), Origin::Published).unwrap().is_empty(),
        "a published secret is none"
    );
    for text in ["", "<html>", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":5}"#] {
        assert!(KeySet::parse(text.as_bytes(), Origin::Own).is_err(), "{text}");
    }
}

#[test]
fn a_set_without_end_is_cut() {
    let many: Vec<Value> = (0..KEYS_MOST + 5).map(|number| oct(&number.to_string(), SECRET)).collect();
    let set = KeySet::parse(json!({ "keys": many }).to_string().as_bytes(), Origin::Own).unwrap();
    assert_eq!((set.len(), set.skipped().len()), (KEYS_MOST, 1));
}

#[test]
fn printing_tells_no_key() {
    assert_eq!(
        format!("{:?}", keys(&[oct("a", SECRET)])),
        "KeySet { keys: [Key { kid: Some(\"a\"), algorithms: {Hs256, Hs384, Hs512} }], skipped: [] }"
    );
}
