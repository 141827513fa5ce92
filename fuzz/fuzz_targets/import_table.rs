#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = identity_fuzz::import_table(bytes);
});
