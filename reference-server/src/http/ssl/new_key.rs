//! What the key of an upload must not be: a key has one purpose.

use identity_pki::{CaCertificate, ServerCertificate, SpkiSha256};
use identity_store::{CaRecord, ComparedKey, Conflict, Error};

use crate::App;
use crate::http::{ErrorCode, Problem};

/// How often an upload is decided anew because another one came between.
const TRIES: u32 = 10;

/// Compares a key that becomes the server's with those of the CAs, whatever has become of them.
pub(super) async fn for_server(app: &App, key: SpkiSha256) -> Result<ComparedKey, Problem> {
    let mut compared = alone(key);
    for ca in app.store.cas().await? {
        compared.with.insert(ca.fingerprint);
        if key_of(&ca)? == key {
            return Err(in_use(&whose_ca(&ca)));
        }
    }
    Ok(compared)
}

/// Compares the key of a CA with the server's and with those of other CAs. What is decided about a CA, its
/// withdrawal above all, is decided about its key, which has no other.
pub(super) async fn for_ca(app: &App, ca: &CaCertificate) -> Result<ComparedKey, Problem> {
    let mut compared = alone(ca.spki_sha256());
    for known in app.store.cas().await? {
        compared.with.insert(known.fingerprint);
        let is_another = known.fingerprint != ca.fingerprint();
        let is_open = known.state.takes_certificates() && !is_another;
        if !is_open && key_of(&known)? == compared.spki_sha256 {
            return Err(in_use(&whose_ca(&known)));
        }
    }
    if let Some(record) = app.store.server_cert().await? {
        compared.with.insert(record.fingerprint);
        let server = ServerCertificate::from_pem_chain(&record.chain_pem, None);
        if server.map_err(Problem::internal)?.spki_sha256() == compared.spki_sha256 {
            return Err(in_use("the server certificate's"));
        }
    }
    Ok(compared)
}

/// Decides about an upload, and again while another one comes between.
pub(super) async fn decided<T, D>(mut decide: impl FnMut() -> D) -> Result<T, Problem>
where
    D: Future<Output = Result<Result<T, Error>, Problem>>,
{
    for _ in 1..TRIES {
        match decide().await? {
            Err(Error::Conflict(Conflict::KeyNotCompared)) => {}
            outcome => return stored(outcome),
        }
    }
    stored(decide().await?)
}

fn stored<T>(outcome: Result<T, Error>) -> Result<T, Problem> {
    outcome.map_err(|error| match error {
        Error::Conflict(Conflict::KeyReused) => in_use("a device's"),
        error => error.into(),
    })
}

fn alone(key: SpkiSha256) -> ComparedKey {
    ComparedKey {
        spki_sha256: key,
        with: [].into(),
    }
}

fn key_of(ca: &CaRecord) -> Result<SpkiSha256, Problem> {
    let certificate = CaCertificate::from_pem(&ca.certificate_pem);
    Ok(certificate.map_err(Problem::internal)?.spki_sha256())
}

fn whose_ca(ca: &CaRecord) -> String {
    format!("that of CA {}, which is {}", ca.fingerprint, ca.state)
}

fn in_use(whose: &str) -> Problem {
    let detail = format!("The key is {whose}: make another one for this certificate.");
    Problem::new(ErrorCode::ValidationFailed, detail).reason("key_in_use")
}
