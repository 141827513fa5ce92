#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| identity_mtls::fuzzing::denylist(bytes));
