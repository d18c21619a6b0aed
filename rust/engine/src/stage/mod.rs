//! The stages of the journey: plain functions that return small verdicts.

pub mod auth;
pub mod cors;
pub mod hook;
pub mod limit;
pub mod matching;
pub mod respond;
