//! Decides who may come: by address, by key, by name and password, by token; and whose address a request really has.
//!
//! Knows: CIDR blocks, the fields that proxies add, digests of keys and passwords, keys of signatures, all handed in.
//! Never: sockets, clocks, files, stores of keys, what a route does with the answer.
//!
//! API keys and passwords are kept as hashes only and nothing here prints one. How long a check takes depends on the length of what
//! was presented and on whether it was right, not on how much of it was right.

mod access;
mod apr1;
mod base64;
mod basic;
mod cidr;
mod client;
mod digest;
pub mod jwt;
mod keys;
mod password;
mod query;
mod session;
mod verified;

pub use access::AccessList;
pub use basic::{AuthFailure, Basic, MAX_BYTES as NAME_AND_PASSWORD_MOST, name_and_password};
pub use cidr::{CidrError, CidrSet};
pub use client::{client_address, client_address_forwarded};
pub use digest::{sha256, sha256_hex};
pub use keys::{ApiKeys, aws_access_key, bearer};
pub use password::PasswordHashes;
pub use query::{mask_query_parameter, query_parameter, without_query_parameter};
pub use session::{COOKIE_MOST, COOKIES_MOST, Sealer, Session, join_cookies};
pub use verified::{Hashed, Keyed, Until, Verified};
