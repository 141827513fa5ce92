#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| identity_pki::fuzzing::device_san_uri(bytes));
