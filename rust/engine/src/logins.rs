//! What whoever logs people in needs of the engine: sealed cookies and checked tokens.

use tidegate_auth::{
    Sealer,
    jwt::{Algorithm, KeySet, Origin, TokenRules},
};

pub use tidegate_auth::{COOKIE_MOST, COOKIES_MOST};

/// Seals what a browser carries, for a purpose; `None` where the system gives no randomness.
pub fn seal(secret: &str, purpose: &str, content: &[u8]) -> Option<String> {
    Sealer::new(secret.as_bytes(), purpose.as_bytes())?.seal(content)
}

/// What was sealed with this secret for this purpose; `None` for anything else.
pub fn unseal(secret: &str, purpose: &str, text: &str) -> Option<Vec<u8>> {
    Sealer::new(secret.as_bytes(), purpose.as_bytes())?.open(text.as_bytes())
}

/// The claims of an ID token, as JSON, or why it is none (OpenID Connect Core 1.0 §3.1.3.7).
pub fn check_id_token(
    jwks: &[u8],
    token: &str,
    issuer: &str,
    client_id: &str,
    now: u64,
) -> Result<Vec<u8>, String> {
    /// Seconds by which the provider's clock may differ.
    const LEEWAY_S: u32 = 60;
    let keys = KeySet::parse(jwks, Origin::Published).map_err(|error| error.to_string())?;
    let rules = TokenRules {
        algorithms: Algorithm::ALL.into_iter().collect(),
        issuers: vec![issuer.into()],
        audiences: vec![client_id.into()],
        required: ["sub", "exp", "iat"].map(String::from).into(),
        scopes: Vec::new(),
        leeway_s: LEEWAY_S,
        max_age_s: 0,
    };
    let token = rules.verify(&keys, token.as_bytes(), now).map_err(|error| error.as_str().to_owned())?;
    // A token for several must say for whom of them it was made (rules 4 and 5 there).
    match token.claims.text("azp") {
        Some(party) if party != client_id => Err("token_audience".into()),
        _ => Ok(token.claims.to_json()),
    }
}
