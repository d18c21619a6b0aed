//! Drives `client_hello` by libFuzzer, or by the smoke loop where there is none.
#![cfg_attr(fuzzing, no_main)]

tidegate_fuzz::target!(client_hello);
