//! Keys that signatures are checked with: a JWK Set (RFC 7517) made ready.

use std::fmt;

use aws_lc_rs::{
    hmac,
    signature::{self, EcdsaVerificationAlgorithm, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents},
};
use serde::Deserialize;
use serde_json::Value;

use super::algorithm::{Algorithm, Algorithms};
use crate::base64::decode_url;

/// Keys of one set that are made ready; sets of providers have two to ten.
pub const KEYS_MOST: usize = 64;

/// Keys that a token without a `kid` is tried against: each costs a verification.
const TRIED_MOST: usize = 4;

/// A set of keys.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
    skipped: Vec<Skipped>,
}

/// A key of a set that can't be used, and why; a set with such keys is used without them (RFC 7517 §5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its place in the set, from 0.
    pub index: usize,
    /// Why.
    pub why: String,
}

/// Why a text is no set of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySetError(pub String);

impl fmt::Display for KeySetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for KeySetError {}

/// Where keys come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Written down by whoever runs Tidegate: secrets among them are secrets.
    Own,
    /// Published: a symmetric key in there is known to everybody, and is not used.
    Published,
}

impl KeySet {
    /// Reads `{"keys": […]}`. Keys that can't be used are skipped, with their reasons.
    pub fn parse(text: &[u8], origin: Origin) -> Result<Self, KeySetError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(text)
            .map_err(|error| KeySetError(format!("this is no JWK Set (RFC 7517 section 5): {error}")))?;
        let mut made = Self::default();
        for (index, value) in set.keys.into_iter().enumerate() {
            if made.keys.len() >= KEYS_MOST {
                let why = format!("a set has at most {KEYS_MOST} keys here");
                made.skipped.push(Skipped { index, why });
                break;
            }
            let key = serde_json::from_value(value).map_err(|error| error.to_string());
            match key.and_then(|jwk| Key::new(jwk, origin)) {
                Ok(key) => made.keys.push(key),
                Err(why) => made.skipped.push(Skipped { index, why }),
            }
        }
        Ok(made)
    }

    /// How many keys can be used.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key can be used.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that can't be used.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// Whether a signature of a key of this set stands on `message`.
    pub(super) fn check(
        &self,
        algorithm: Algorithm,
        kid: Option<&str>,
        message: &[u8],
        signature: &[u8],
    ) -> Checked {
        // A key without a name may be any that is named: keys in PEM have none.
        let named = |key: &&Key| match (kid, key.kid.as_deref()) {
            (Some(wanted), Some(name)) => wanted == name,
            _ => true,
        };
        let mut known = false;
        let fitting = self.keys.iter().filter(named).inspect(|_| known = true);
        let verifiers: Vec<_> = fitting.filter_map(|key| key.verifier(algorithm)).take(TRIED_MOST).collect();
        if verifiers.is_empty() {
            // The key is there, and is none for this algorithm: that is the attack of RFC 8725 §2.1, or a mistake.
            return if known && kid.is_some() { Checked::WrongAlgorithm } else { Checked::NoKey };
        }
        match verifiers.iter().any(|verifier| verifier.verify(message, signature)) {
            true => Checked::Good,
            false => Checked::Bad,
        }
    }
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checked {
    Good,
    Bad,
    /// The key that is named can't make such a signature.
    WrongAlgorithm,
    NoKey,
}

/// One key, with what it needs for each algorithm that it may be used for: what kind of key it is decides which those
/// are, never the token (RFC 8725 §3.1).
struct Key {
    kid: Option<String>,
    verifiers: Vec<(Algorithm, Verifier)>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithms: Algorithms = self.verifiers.iter().map(|(algorithm, _)| *algorithm).collect();
        f.debug_struct("Key").field("kid", &self.kid).field("algorithms", &algorithms).finish()
    }
}

enum Verifier {
    Public(ParsedPublicKey),
    Secret(Box<hmac::Key>),
}

impl Verifier {
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Public(key) => key.verify_sig(message, signature).is_ok(),
            // Compares in constant time.
            Self::Secret(key) => hmac::verify(key, message, signature).is_ok(),
        }
    }
}

/// RFC 7517 §4, RFC 7518 §6, RFC 8037 §2; members that are not known here are passed over (RFC 7517 §4).
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    use_: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
}

impl Key {
    fn new(jwk: Jwk, origin: Origin) -> Result<Self, String> {
        if let Some(other) = jwk.use_.as_deref().filter(|use_| *use_ != "sig") {
            return Err(format!("its use is `{other}`, not `sig`"));
        }
        if jwk.key_ops.as_ref().is_some_and(|ops| !ops.iter().any(|op| op == "verify")) {
            return Err("its key_ops have no `verify`".into());
        }
        let mut verifiers = match jwk.kty.as_str() {
            "RSA" => rsa(&jwk)?,
            "EC" => elliptic(&jwk)?,
            "OKP" => edwards(&jwk)?,
            "oct" if origin == Origin::Published => {
                return Err("a symmetric key that is published is no secret".into());
            }
            "oct" => symmetric(&jwk)?,
            other => return Err(format!("keys of type `{other}` are not known")),
        };
        if let Some(alg) = &jwk.alg {
            verifiers.retain(|(algorithm, _)| Algorithm::parse(alg) == Some(*algorithm));
            if verifiers.is_empty() {
                return Err(format!("its alg `{alg}` is none that signs with such a key"));
            }
        }
        Ok(Self { kid: jwk.kid, verifiers })
    }

    fn verifier(&self, algorithm: Algorithm) -> Option<&Verifier> {
        self.verifiers.iter().find(|(one, _)| *one == algorithm).map(|(_, verifier)| verifier)
    }
}

fn rsa(jwk: &Jwk) -> Result<Vec<(Algorithm, Verifier)>, String> {
    let (n, e) = (bytes(&jwk.n, "n")?, bytes(&jwk.e, "e")?);
    // RFC 7518 §3.3: 2048 bits or more; above 8192 one verification takes long.
    let bits = n.len() * 8 - n.first().map_or(0, |byte| byte.leading_zeros() as usize);
    if !(2048..=8192).contains(&bits) {
        return Err(format!("its modulus has {bits} bits; 2048 to 8192 are taken"));
    }
    let all: [(Algorithm, &'static RsaParameters); 6] = [
        (Algorithm::Rs256, &signature::RSA_PKCS1_2048_8192_SHA256),
        (Algorithm::Rs384, &signature::RSA_PKCS1_2048_8192_SHA384),
        (Algorithm::Rs512, &signature::RSA_PKCS1_2048_8192_SHA512),
        (Algorithm::Ps256, &signature::RSA_PSS_2048_8192_SHA256),
        (Algorithm::Ps384, &signature::RSA_PSS_2048_8192_SHA384),
        (Algorithm::Ps512, &signature::RSA_PSS_2048_8192_SHA512),
    ];
    all.into_iter()
        .map(|(algorithm, parameters)| {
            let parsed = RsaPublicKeyComponents { n: &n, e: &e }.to_parsed_public_key(parameters);
            let parsed = parsed.map_err(|_| "n and e are no RSA key".to_owned())?;
            Ok((algorithm, Verifier::Public(parsed)))
        })
        .collect()
}

fn elliptic(jwk: &Jwk) -> Result<Vec<(Algorithm, Verifier)>, String> {
    let (algorithm, curve, size): (_, &'static EcdsaVerificationAlgorithm, _) = match jwk.crv.as_deref() {
        Some("P-256") => (Algorithm::Es256, &signature::ECDSA_P256_SHA256_FIXED, 32),
        Some("P-384") => (Algorithm::Es384, &signature::ECDSA_P384_SHA384_FIXED, 48),
        Some("P-521") => (Algorithm::Es512, &signature::ECDSA_P521_SHA512_FIXED, 66),
        other => return Err(format!("the curve `{}` is not known", other.unwrap_or_default())),
    };
    let (x, y) = (bytes(&jwk.x, "x")?, bytes(&jwk.y, "y")?);
    // RFC 7518 §6.2.1.2: the length is that of the field, leading zeros and all.
    if x.len() != size || y.len() != size {
        return Err(format!("x and y of this curve have {size} bytes"));
    }
    let point = [&[4], x.as_slice(), y.as_slice()].concat();
    let parsed =
        ParsedPublicKey::new(curve, point).map_err(|_| "x and y are no point of the curve".to_owned())?;
    Ok(vec![(algorithm, Verifier::Public(parsed))])
}

fn edwards(jwk: &Jwk) -> Result<Vec<(Algorithm, Verifier)>, String> {
    match jwk.crv.as_deref() {
        Some("Ed25519") => {}
        other => return Err(format!("the curve `{}` is not known", other.unwrap_or_default())),
    }
    let x = bytes(&jwk.x, "x")?;
    if x.len() != 32 {
        return Err("x of this curve has 32 bytes".into());
    }
    let parsed =
        ParsedPublicKey::new(&signature::ED25519, x).map_err(|_| "x is no key of the curve".to_owned())?;
    Ok(vec![(Algorithm::EdDsa, Verifier::Public(parsed))])
}

fn symmetric(jwk: &Jwk) -> Result<Vec<(Algorithm, Verifier)>, String> {
    let k = bytes(&jwk.k, "k")?;
    // RFC 7518 §3.2: as long as the hash or longer.
    let all = [
        (Algorithm::Hs256, hmac::HMAC_SHA256, 32),
        (Algorithm::Hs384, hmac::HMAC_SHA384, 48),
        (Algorithm::Hs512, hmac::HMAC_SHA512, 64),
    ];
    let made: Vec<_> = all
        .into_iter()
        .filter(|(_, _, least)| k.len() >= *least)
        .map(|(algorithm, hash, _)| (algorithm, Verifier::Secret(Box::new(hmac::Key::new(hash, &k)))))
        .collect();
    if made.is_empty() {
        return Err(format!("the secret has {} bytes; HS256 needs 32 (RFC 7518 section 3.2)", k.len()));
    }
    Ok(made)
}

fn bytes(member: &Option<String>, name: &str) -> Result<Vec<u8>, String> {
    let text = member.as_deref().ok_or_else(|| format!("`{name}` is missing"))?;
    decode_url(text.as_bytes())
        .filter(|bytes| !bytes.is_empty())
        .ok_or_else(|| format!("`{name}` is no base64url"))
}
