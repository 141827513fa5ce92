#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = identity_mtls::fuzzing::proxy_header(bytes);
});
