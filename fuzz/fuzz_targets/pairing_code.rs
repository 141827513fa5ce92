#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| identity_pki::fuzzing::pairing_code(bytes));
