#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = identity_store::fuzzing::stored_value(bytes);
});
