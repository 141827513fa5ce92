#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| identity_pki::fuzzing::server_certificate(bytes));
