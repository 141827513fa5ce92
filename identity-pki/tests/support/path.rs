//! The path from a device's certificate to its CA, judged by rustls-webpki.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// Whether `leaf` is a client's certificate under the trust anchor `ca`, with nothing between them.
pub fn webpki(ca: &[u8], leaf: &[u8], now: time::OffsetDateTime) -> Result<(), webpki::Error> {
    let ca = CertificateDer::from(ca);
    let anchor = anchor_from_trusted_cert(&ca)?;
    let leaf = CertificateDer::from(leaf);
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now.unix_timestamp().unsigned_abs()));
    let leaf = EndEntityCert::try_from(&leaf)?;
    leaf.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        &[anchor],
        &[],
        now,
        KeyUsage::client_auth(),
        None,
        None,
    )?;
    Ok(())
}
