//! Tests of the dialect as a whole: requests, answers, streams and errors.

mod requests;
mod streams;
