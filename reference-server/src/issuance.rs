//! The thin service between the CSR gate, the platform CA and the store: which requests are good,
//! on which terms their certificates are made, and what the ledger keeps of them.

use identity_pki::{
    CsrCategory, CsrPolicy, CsrReason, DeviceIdentity, IssuedCertificate, PlatformCa, SpkiSha256,
    Terms, ValidatedCsr,
};
use identity_store::{CertificateRecord, TenantConfig};
use time::{Duration, OffsetDateTime};

use crate::clock;
use crate::http::{ErrorCode, Problem};

/// The platform's device policy (contract §11), which a tenant's own values override.
const VALIDITY_DAYS: u32 = 90;
const RENEWAL_WINDOW_DAYS: u32 = 30;

/// How far certificates are dated back, for devices whose clock is late.
const CLOCK_SKEW: Duration = Duration::seconds(300);

/// When to come again for what an operator has to mend first.
pub const RETRY_AFTER: std::time::Duration = std::time::Duration::from_secs(30);

/// How long a tenant's device certificates are valid, and when they are due to be renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DevicePolicy {
    validity: Duration,
    renewal_window: Duration,
}

impl DevicePolicy {
    /// The policy of a tenant with these settings.
    #[must_use]
    pub fn of(config: &TenantConfig) -> Self {
        Self::from_days(config.certificate_validity_days, config.renewal_window_days)
    }

    /// The policy that these settings make, the platform's values standing in for what is `None`.
    #[must_use]
    pub fn from_days(validity: Option<u32>, renewal_window: Option<u32>) -> Self {
        let days = |own: Option<u32>, platform| Duration::days(i64::from(own.unwrap_or(platform)));
        Self {
            validity: days(validity, VALIDITY_DAYS),
            renewal_window: days(renewal_window, RENEWAL_WINDOW_DAYS),
        }
    }

    /// Whether a new certificate is not due to be renewed at once.
    #[must_use]
    pub fn is_sound(self) -> bool {
        self.renewal_window < self.validity
    }

    /// How long before its expiry a certificate is due to be renewed.
    #[must_use]
    pub fn renewal_window(self) -> Duration {
        self.renewal_window
    }

    /// When a certificate that expires at `not_after` is due to be renewed.
    #[must_use]
    pub fn renew_after(self, not_after: OffsetDateTime) -> OffsetDateTime {
        not_after - self.renewal_window
    }

    fn terms(self, now: OffsetDateTime) -> Terms {
        Terms::new(now, self.validity, CLOCK_SKEW)
    }
}

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
    match ca.issue(csr, identity, &policy.terms(now), &mut clock::entropy()) {
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
    fn a_tenants_days_override_the_platforms() {
        for (validity, window, expected) in [
            (None, None, (90, 30)),
            (Some(7), Some(2), (7, 2)),
            (Some(365), None, (365, 30)),
            (None, Some(60), (90, 60)),
        ] {
            let policy = DevicePolicy::from_days(validity, window);
            let days = (
                policy.validity.whole_days(),
                policy.renewal_window.whole_days(),
            );
            assert_eq!(days, expected, "{validity:?} {window:?}");
        }
    }

    #[test]
    fn a_window_is_shorter_than_the_validity() {
        for (validity, window, sound) in [
            (None, None, true),
            (Some(30), None, false),
            (Some(31), None, true),
            (None, Some(90), false),
            (Some(1), Some(0), true),
        ] {
            assert_eq!(DevicePolicy::from_days(validity, window).is_sound(), sound);
        }
    }

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
