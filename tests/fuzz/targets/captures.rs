//! See `tolmach_fuzz::run`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tolmach_fuzz::run("captures", input));
