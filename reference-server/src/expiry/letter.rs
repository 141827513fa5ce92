use identity_pki::{ExpiryKind, days_remaining};
use identity_store::{Expiry, OperatorId};
use time::OffsetDateTime;
use time::macros::format_description;

use super::{Watched, name, when};
use crate::mail::Letter;

/// Who writes a letter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sender<'a> {
    /// The product's name.
    pub(super) product: &'a str,
    /// The platform's public URL.
    pub(super) platform: &'a str,
}

/// What an administrator is told at `now`.
pub(super) fn letter(
    sender: Sender<'_>,
    certificate: &Watched,
    expiry: &Expiry,
    to: &OperatorId,
    now: OffsetDateTime,
) -> Letter {
    let Sender { product, platform } = sender;
    let Expiry {
        kind,
        fingerprint,
        not_after,
        threshold,
    } = *expiry;
    let (name, when) = (name(kind), when(days_remaining(not_after, now)));
    let fingerprint = fingerprint.to_string();
    let is_urgent = threshold.is_urgent();
    let urgent = if is_urgent {
        "URGENT: act now.\n\n"
    } else {
        ""
    };
    let (subject, expires) = (one_line(&certificate.subject), utc(not_after));
    let what_to_do = what_to_do(kind);
    Letter {
        id: format!("{fingerprint}.{}.{to}", threshold.days()),
        subject: format!("[{product}] {name} {when}"),
        text: format!(
            "{urgent}{name} {when}.\n\
             \n\
             Platform:             {platform}\n\
             Subject:              {subject}\n\
             Fingerprint, SHA-256: {fingerprint}\n\
             Expires:              {expires}\n\
             \n\
             {what_to_do}\n\
             \n\
             Each administrator of the platform gets this letter once at each threshold before the\n\
             expiry. A replaced certificate is not written about any more.\n"
        ),
        is_urgent,
    }
}

fn what_to_do(kind: ExpiryKind) -> &'static str {
    match kind {
        ExpiryKind::ServerCert => {
            "What to do: get the next certificate and upload it with its key, in the console's SSL\n\
             settings or by PUT /v1/admin/ssl/server-cert. It is taken up in place. Once this one has\n\
             expired, no device, backend or browser that checks it connects any more."
        }
        ExpiryKind::PlatformCa => {
            "What to do: make the next CA, in the console's SSL settings or by\n\
             POST /v1/admin/ssl/ca-cert/generate, early enough that every device has renewed under it\n\
             before this one expires. Each certificate that this one has issued expires with it, and\n\
             a device that has no other by then has to be paired anew."
        }
    }
}

/// What a certificate says, without what could pass for a line of the letter.
fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(plain).collect()
}

fn utc(at: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
    let at = at.to_offset(time::UtcOffset::UTC);
    at.format(format).unwrap_or_else(|_| at.to_string())
}

#[cfg(test)]
mod tests {
    use identity_pki::{ExpiryThreshold, Fingerprint};
    use time::Duration;
    use time::macros::datetime;

    use super::*;
    use crate::clock::entropy;

    const NOT_AFTER: OffsetDateTime = datetime!(2027-03-01 12:00 UTC);

    fn of(kind: ExpiryKind, threshold: ExpiryThreshold, left: Duration) -> Letter {
        let certificate = Watched {
            kind,
            subject: "CN=id.example\r\nExpires: never".to_owned(),
            fingerprint: Fingerprint::from_bytes([0xab; 32]),
            not_after: NOT_AFTER,
        };
        let expiry = Expiry {
            kind,
            fingerprint: certificate.fingerprint,
            not_after: NOT_AFTER,
            threshold,
        };
        let sender = Sender {
            product: "Link Identity",
            platform: "https://id.example",
        };
        let to = OperatorId::generate(NOT_AFTER, &mut entropy());
        letter(sender, &certificate, &expiry, &to, NOT_AFTER - left)
    }

    #[test]
    fn the_subject_says_how_long_there_is() {
        use ExpiryKind::{PlatformCa, ServerCert};
        use ExpiryThreshold::{Day1, Days14, Days60, Expired};
        let days = Duration::days;
        for (kind, threshold, left, subject) in [
            (
                ServerCert,
                Days14,
                days(14),
                "Server TLS cert expires in 14 days",
            ),
            // Nobody looked for two days.
            (
                ServerCert,
                Days14,
                days(12),
                "Server TLS cert expires in 12 days",
            ),
            (
                ServerCert,
                Day1,
                days(1),
                "Server TLS cert expires in 1 day",
            ),
            (
                ServerCert,
                Day1,
                Duration::HOUR,
                "Server TLS cert expires in less than a day",
            ),
            (ServerCert, Expired, days(-1), "Server TLS cert has expired"),
            (
                PlatformCa,
                Days60,
                days(60),
                "Platform CA expires in 60 days",
            ),
        ] {
            let letter = of(kind, threshold, left);
            assert_eq!(letter.subject, format!("[Link Identity] {subject}"));
            assert_eq!(letter.is_urgent, threshold.is_urgent());
            assert_eq!(letter.text.starts_with("URGENT"), letter.is_urgent);
        }
    }

    #[test]
    fn the_text_names_the_certificate_and_nothing_passes_for_a_line_of_it() {
        let letter = of(
            ExpiryKind::PlatformCa,
            ExpiryThreshold::Days30,
            Duration::days(30),
        );
        for line in [
            "Platform CA expires in 30 days.".to_owned(),
            "Platform:             https://id.example".to_owned(),
            "Subject:              CN=id.example  Expires: never".to_owned(),
            format!("Fingerprint, SHA-256: {}", "ab".repeat(32)),
            "Expires:              2027-03-01 12:00:00 UTC".to_owned(),
        ] {
            let found = letter.text.lines().any(|it| it == line);
            assert!(found, "{line}: {}", letter.text);
        }
    }
}
