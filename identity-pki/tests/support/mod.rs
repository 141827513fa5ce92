//! What several tests need: fixed times, a CA, and OpenSSL as a foreign judge.

#![allow(dead_code, unreachable_pub)] // Each test binary uses its own part.
#![allow(clippy::expect_used, clippy::unwrap_used)] // This is test code outside a test function.

pub mod der;
pub mod leaf;
pub mod path;
pub mod request;
pub mod tree;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use getrandom::SysRng;
use identity_pki::{
    CA_VALIDITY, CsrPolicy, DEVICE_VALIDITY, DeviceId, DeviceIdentity, ECDSA_P256_SHA256,
    IssuedCertificate, PlatformCa, SoftwareSigner, TenantId, Terms, ValidatedCsr,
};
use p384::elliptic_curve::Generate as _;
use p384::pkcs8::{EncodePrivateKey as _, LineEnding};
use rand_core::UnwrapErr;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

pub const NOW: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);
pub const SKEW: Duration = Duration::minutes(5);

/// A request that OpenSSL made.
pub const CSR_PEM: &str = include_str!("../data/device.csr.pem");

pub fn rng() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

pub fn ca_terms() -> Terms {
    Terms::new(NOW, CA_VALIDITY, SKEW)
}

pub fn device_terms() -> Terms {
    Terms::new(NOW, DEVICE_VALIDITY, SKEW)
}

pub fn ca() -> PlatformCa {
    let signer = Box::new(SoftwareSigner::generate(&mut rng()));
    PlatformCa::generate(signer, "Link Identity Device CA", &ca_terms(), &mut rng()).unwrap()
}

pub fn pem(label: &str, der: &[u8]) -> String {
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

/// A key on P-384, as an uploaded CA may have.
pub fn p384_signer() -> SoftwareSigner {
    let key = p384::ecdsa::SigningKey::generate_from_rng(&mut rng());
    let pem = key.to_pkcs8_pem(LineEnding::LF).unwrap();
    SoftwareSigner::from_pkcs8_pem(&pem).unwrap()
}

pub fn identity() -> DeviceIdentity {
    DeviceIdentity::new(
        TenantId::new("acme").unwrap(),
        DeviceId::new("dev_789").unwrap(),
    )
}

pub fn csr() -> ValidatedCsr {
    CsrPolicy::new(ECDSA_P256_SHA256)
        .check_pem(CSR_PEM)
        .unwrap()
}

pub fn issue(ca: &PlatformCa) -> IssuedCertificate {
    ca.issue(&csr(), &identity(), &device_terms(), &mut rng())
        .unwrap()
}

/// A directory in which OpenSSL works.
pub struct OpenSsl(tempfile::TempDir);

impl OpenSsl {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, contents).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn is_installed() -> bool {
        Command::new("openssl").arg("version").output().is_ok()
    }

    /// Runs `openssl` in the directory, which is expected to succeed, and answers its output.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> String {
        let (success, output) = self.try_run(arguments);
        assert!(success, "{output}");
        output
    }

    pub fn try_run<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> (bool, String) {
        let output = Command::new("openssl")
            .args(arguments)
            .current_dir(self.0.path())
            .output()
            .expect("the openssl command is installed");
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    }

    /// The arguments of one line.
    pub fn line(&self, line: &str) -> String {
        self.run(line.split_whitespace())
    }
}

pub fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

pub type Test = (&'static str, fn());

/// Tests, each under its own name.
#[allow(unused_macros, reason = "not every test file has a main of its own")]
macro_rules! tests {
    ($($test:ident),+ $(,)?) => { vec![$((stringify!($test), $test as fn())),+] };
}
#[allow(unused_imports, reason = "not every test file has a main of its own")]
pub(crate) use tests;

/// Runs tests that need something which a machine may lack; without it they report themselves as
/// ignored, and say why.
pub fn run<T: FnOnce() + Send + 'static>(
    tests: impl IntoIterator<Item = (&'static str, T)>,
    available: bool,
    lack: &str,
) -> ! {
    let trials = tests.into_iter().map(|(name, test)| {
        let trial = libtest_mimic::Trial::test(name, move || {
            test();
            Ok(())
        });
        let trial = trial.with_ignored_flag(!available);
        if available {
            trial
        } else {
            trial.with_kind(lack)
        }
    });
    let arguments = libtest_mimic::Arguments::from_args();
    libtest_mimic::run(&arguments, trials.collect()).exit()
}
