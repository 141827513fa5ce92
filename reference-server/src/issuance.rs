//! The thin service between the CSR gate, the platform CA and the store: which requests are good,
//! on which terms their certificates are made, and what the ledger keeps of them.

use identity_pki::{
    CsrCategory, CsrPolicy, CsrReason, DeviceIdentity, IssuedCertificate, PlatformCa, SpkiSha256,
    Terms, ValidatedCsr,
};
use identity_store::{CertificateRecord, DevicePolicy};
use time::OffsetDateTime;

use crate::clock;
use crate::http::{ErrorCode, Problem};

/// No CA of the platform lives longer, so no certificate can.
pub const MAX_VALIDITY_DAYS: u32 = 3650;

/// When to come again for what an operator has to mend first.
pub const RETRY_AFTER: std::time::Duration = std::time::Duration::from_secs(30);

/// Judges a CSR, PEM or base64 of its DER: the strict policy, and none of the platform's own keys.
/// A device that has a name already may ask for exactly that name.
///
/// # Errors
///
/// 400 `csr_invalid`, `csr_invalid_algorithm`, `csr_invalid_extensions`, `csr_signature_invalid`,
/// each with the reason.
pub fn check_csr(
    text: &str,
    platform_keys: &[SpkiSha256],
    name: Option<&DeviceIdentity>,
) -> Result<ValidatedCsr, Problem> {
    let policy = CsrPolicy::new(webpki::aws_lc_rs::ECDSA_P256_SHA256).refuse_keys(platform_keys);
    let policy = match name {
        Some(identity) => policy.expect_identity(identity),
        None => policy,
    };
    policy
        .check_text(text)
        .map_err(|reason| refused_csr(&reason))
}

fn refused_csr(reason: &CsrReason) -> Problem {
    let code = match reason.category() {
        CsrCategory::Malformed => ErrorCode::CsrInvalid,
        CsrCategory::Algorithm => ErrorCode::CsrInvalidAlgorithm,
        CsrCategory::Extensions => ErrorCode::CsrInvalidExtensions,
        CsrCategory::Signature => ErrorCode::CsrSignatureInvalid,
    };
    Problem::new(code, format!("The request is refused: {reason}.")).reason(reason.code())
}

/// Makes the certificate of `identity` for the key of `csr`. It must not leave the process before
/// the store has committed it.
///
/// # Errors
///
/// 503 `unavailable` when the CA has expired, 500 when its key fails.
pub fn issue(
    ca: &PlatformCa,
    csr: &ValidatedCsr,
    identity: &DeviceIdentity,
    policy: DevicePolicy,
    now: OffsetDateTime,
) -> Result<CertificateRecord, Problem> {
    let terms = Terms::new(now, policy.validity(), policy.clock_skew());
    match ca.issue(csr, identity, &terms, &mut clock::entropy()) {
        Ok(issued) => Ok(record(ca, &issued)),
        Err(error @ identity_pki::Error::CaNotValid { .. }) => {
            let detail = "The platform CA is not valid now: an operator has to make a new one.";
            Err(Problem::new(ErrorCode::Unavailable, detail)
                .retry_after(RETRY_AFTER)
                .because(error))
        }
        Err(error) => Err(Problem::internal(error)),
    }
}

fn record(ca: &PlatformCa, issued: &IssuedCertificate) -> CertificateRecord {
    CertificateRecord {
        identity: issued.identity().clone(),
        serial: issued.serial(),
        fingerprint: issued.fingerprint(),
        tbs_sha256: issued.tbs_sha256(),
        spki_sha256: issued.spki_sha256(),
        ca_fingerprint: ca.certificate().fingerprint(),
        not_before: issued.not_before(),
        not_after: issued.not_after(),
        pem: issued.pem(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_no_csr_is_malformed_and_says_why() {
        for text in [
            "",
            " ",
            "AAAA",
            "not base64!",
            "-----BEGIN CERTIFICATE REQUEST-----",
        ] {
            let problem = check_csr(text, &[], None).expect_err(text);
            assert_eq!(problem.code(), ErrorCode::CsrInvalid, "{text:?}");
            let shown = String::from_utf8(problem.to_json("r")).expect("UTF-8");
            assert!(shown.contains("\"reason\":"), "{shown}");
        }
    }
}
