use identity_pki::{ExpiryKind, ExpiryThreshold, days_remaining};
use identity_store::rfc3339;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{Watched, name, when};

/// A line at the head of the console, until the certificate is replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Banner {
    /// `server_cert` or `platform_ca`.
    #[schema(value_type = String)]
    pub kind: ExpiryKind,
    /// How much it matters.
    pub severity: BannerSeverity,
    /// Whole days until the certificate expires; negative when it has.
    pub days_remaining: i64,
    /// What to tell people.
    pub message: String,
}

/// How much a banner matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BannerSeverity {
    /// There is time.
    Warning,
    /// It is the CA, with which every certificate of a device expires; or there is no time left.
    High,
}

/// The banner of a certificate at `now`, from its first threshold on.
#[must_use]
pub fn banner(certificate: &Watched, now: OffsetDateTime) -> Option<Banner> {
    let Watched {
        kind, not_after, ..
    } = *certificate;
    let crossed = ExpiryThreshold::crossed(kind, not_after, now)?;
    let days_remaining = days_remaining(not_after, now);
    let remedy = match kind {
        ExpiryKind::ServerCert => "upload the next one",
        ExpiryKind::PlatformCa => "make the next one, and have every device renew under it",
    };
    let severity = match kind {
        ExpiryKind::PlatformCa => BannerSeverity::High,
        ExpiryKind::ServerCert if crossed.is_urgent() => BannerSeverity::High,
        ExpiryKind::ServerCert => BannerSeverity::Warning,
    };
    Some(Banner {
        kind,
        severity,
        days_remaining,
        message: format!(
            "{} {} ({}): {remedy}.",
            name(kind),
            when(days_remaining),
            rfc3339(not_after)
        ),
    })
}

#[cfg(test)]
mod tests {
    use identity_pki::Fingerprint;
    use time::Duration;
    use time::macros::datetime;

    use super::*;

    /// The seed's table: from 30 days on for the server's certificate, from 60 for the CA.
    #[test]
    fn a_banner_is_shown_from_the_first_threshold_on_until_there_is_another_certificate() {
        use BannerSeverity::{High, Warning};
        let not_after = datetime!(2027-03-01 12:00 UTC);
        for (days, server, ca) in [
            (365, None, None),
            (61, None, None),
            (60, None, Some(High)),
            (31, None, Some(High)),
            (30, Some(Warning), Some(High)),
            (2, Some(Warning), Some(High)),
            (1, Some(High), Some(High)),
            (0, Some(High), Some(High)),
            (-400, Some(High), Some(High)),
        ] {
            for (kind, expected) in [
                (ExpiryKind::ServerCert, server),
                (ExpiryKind::PlatformCa, ca),
            ] {
                let certificate = Watched {
                    kind,
                    subject: String::new(),
                    fingerprint: Fingerprint::from_bytes([1; 32]),
                    not_after,
                };
                let shown = banner(&certificate, not_after - Duration::days(days));
                let severity = shown.as_ref().map(|banner| banner.severity);
                assert_eq!(severity, expected, "{kind:?} {days}");
                assert!(shown.is_none_or(|banner| banner.days_remaining == days));
            }
        }
    }

    #[test]
    fn a_banner_says_what_expires_and_what_to_do() {
        let certificate = Watched {
            kind: ExpiryKind::ServerCert,
            subject: String::new(),
            fingerprint: Fingerprint::from_bytes([1; 32]),
            not_after: datetime!(2027-03-01 12:00 UTC),
        };
        let shown = banner(&certificate, datetime!(2027-02-15 11:00 UTC)).expect("a banner");
        assert_eq!(
            shown.message,
            "Server TLS cert expires in 14 days (2027-03-01T12:00:00.000Z): upload the next one."
        );
    }
}
