//! From the bytes of a request to a certificate in PEM, beside the two signature operations in it
//! that nobody can leave out.

use std::hint::black_box;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use criterion::Criterion;
use getrandom::SysRng;
use identity_bench::paired::{self, Spread};
use identity_bench::report::{self, Bar};
use identity_bench::{clock, fleet};
use identity_pki::{CsrPolicy, DeviceIdentity, PlatformCa, Terms};
use rand_core::UnwrapErr;
use webpki::aws_lc_rs::ECDSA_P256_SHA256;

/// One device's request and the CA that answers it.
struct Issuance {
    csr: Vec<u8>,
    ca: PlatformCa,
    identity: DeviceIdentity,
    terms: Terms,
}

impl Issuance {
    fn new() -> Self {
        let (identity, _, csr) = fleet::request();
        let (ca, terms) = fleet::authority(clock::now());
        Self {
            csr,
            ca,
            identity,
            terms,
        }
    }

    fn run(&self) -> String {
        let csr = CsrPolicy::new(ECDSA_P256_SHA256).check_der(&self.csr);
        let csr = csr.expect("a request that passes");
        let mut rng = UnwrapErr(SysRng);
        let issued = self.ca.issue(&csr, &self.identity, &self.terms, &mut rng);
        issued.expect("certificate").pem()
    }
}

/// The same two operations of the same library, over messages of the same lengths.
struct Signatures {
    key: EcdsaKeyPair,
    point: Vec<u8>,
    request: [u8; 140],
    request_signature: Vec<u8>,
    tbs: [u8; 460],
}

impl Signatures {
    fn new() -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("key");
        let request = [0x30; 140];
        let signature = key.sign(&SystemRandom::new(), &request);
        Self {
            point: key.public_key().as_ref().to_vec(),
            request,
            request_signature: signature.expect("signature").as_ref().to_vec(),
            tbs: [0x30; 460],
            key,
        }
    }

    fn verify(&self) {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.point)
            .verify(&self.request, &self.request_signature)
            .expect("a signature that verifies");
    }

    fn sign(&self) {
        black_box(self.key.sign(&SystemRandom::new(), &self.tbs)).expect("signature");
    }
}

fn main() {
    let issuance = Issuance::new();
    let signatures = Signatures::new();
    let mut criterion = Criterion::default().configure_from_args();
    criterion.bench_function("issue/request to certificate", |b| {
        b.iter(|| issuance.run());
    });
    criterion.bench_function("issue/verify", |b| b.iter(|| signatures.verify()));
    criterion.bench_function("issue/sign", |b| b.iter(|| signatures.sign()));
    criterion.final_summary();

    let turns = paired::turns(
        [&mut || drop(black_box(issuance.run())), &mut || {
            signatures.verify();
            signatures.sign();
        }],
        Duration::from_secs(5),
    );
    let ratio = Spread::of(turns.iter().map(|[issue, floor]| issue / floor));
    let issue = Spread::of(turns.iter().map(|[issue, _]| issue / 1e3));
    println!("request to certificate: {issue} µs; of verify + sign: {ratio}");
    let name = "request to certificate, of one verify + one sign";
    report::row(name, ratio.median, Bar::AtMost(1.25), "×");
}
