# CI runs `.ci/run`: `just check`, and then `just foreign`, `just schemas` and `just tls-posture`.

default:
    @just --list

# Everything that decides whether a change lands.
check: format lint alone doc test fuzz-build bench-build publishable

format:
    cargo fmt --all --check

lint:
    cargo clippy --workspace --all-features --all-targets --locked -- -D warnings

doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --all-features --no-deps --locked

test:
    cargo test --workspace --all-features --locked

# Each library builds alone and with no feature; with its own, `publishable` checks it.
alone:
    for crate in identity-pki identity-mtls identity-challenge biowave-client identity-store; do \
        cargo clippy -p $crate --no-default-features --locked -- -D warnings || exit 1; \
    done

# The whole story, told by Python's ssl and pyca/cryptography and a palm server that is not ours.
foreign:
    cargo build -p reference-server --locked
    python3 foreign/story.py target/debug/reference-server

# Every route, called with what its description allows and what it does not, for so many seconds.
schemas seconds="60":
    cargo build -p reference-server --locked
    python3 foreign/schemas.py target/debug/reference-server {{seconds}}

# What sslyze and testssl.sh report of the server's TLS has to be defended in docs/THREAT_MODEL.md.
tls-posture:
    cargo build -p reference-server --locked
    python3 foreign/tls_posture.py target/debug/reference-server

# The fuzz targets compile; their corpora are replayed by `cargo test`.
fuzz-build:
    cargo fmt --manifest-path fuzz/Cargo.toml --check
    cargo check --manifest-path fuzz/Cargo.toml --lib --bins --examples --locked

# Each library's README is the front page of its documentation.
readmes:
    WRITE_READMES=1 cargo test -p reference-server --test front_pages --locked

# What would be published compiles by itself, and names nobody's types but the allowed ones.
publishable:
    .ci/publishable identity-pki identity-mtls identity-challenge biowave-client identity-store

# For example: just fuzz csr_der 60. What the run finds worth keeping stays out of the repository.
fuzz target seconds:
    mkdir -p fuzz/target/grown/{{target}}
    cd fuzz && cargo +nightly fuzz run {{target}} target/grown/{{target}} \
        corpus/{{ if target == "csr_differential" { "csr_der" } else { target } }} -- \
        -dict=x509.dict -max_total_time={{seconds}}

# The benches and their helpers compile and are in order; nothing is timed.
bench-build:
    cargo fmt --manifest-path bench/Cargo.toml --check
    cargo clippy --manifest-path bench/Cargo.toml --all-targets --locked -- -D warnings

# Measures everything that has a bar and prints the table: name, measured, bar, verdict.
bench:
    #!/usr/bin/env bash
    set -euo pipefail
    said=$(mktemp)
    trap 'rm -f "$said"' EXIT
    cargo bench --manifest-path bench/Cargo.toml --locked | tee "$said"
    printf '\n| what | measured | bar | verdict |\n|---|---|---|---|\n'
    grep '^|' "$said"

demo:
    cargo run --release -p reference-server -- demo
