//! Decides who may come: by address, by key, by name and password; and whose address a request really has.
//!
//! Knows: CIDR blocks, the fields that proxies add, digests of keys and passwords, all handed in.
//! Never: sockets, files, stores of keys, what a route does with the answer.
//!
//! Secrets are kept as SHA-256 only and nothing here prints one. How long a check takes depends on the length of what
//! was presented and on whether it was right, not on how much of it was right.

mod access;
mod base64;
mod basic;
mod cidr;
mod client;
mod digest;
pub mod jwt;
mod keys;
mod query;

pub use access::AccessList;
pub use basic::{AuthFailure, Basic};
pub use cidr::{CidrError, CidrSet};
pub use client::{client_address, client_address_forwarded};
pub use digest::{sha256, sha256_hex};
pub use keys::{ApiKeys, aws_access_key, bearer};
pub use query::{mask_query_parameter, query_parameter, without_query_parameter};
