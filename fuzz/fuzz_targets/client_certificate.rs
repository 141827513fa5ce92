#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = identity_mtls::fuzzing::client_certificate(bytes, &identity_fuzz::PLATFORM);
});
libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    identity_fuzz::mutate(data, size, max_size, seed)
});
