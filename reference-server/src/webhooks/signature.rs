//! Standard Webhooks 1.0: what a receiver verifies an event by.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::digest::InvalidLength;
use hmac::{Hmac, KeyInit as _, Mac as _};
use identity_pki::TenantId;
use identity_store::{OutboxEvent, SecretBytes, rfc3339};
use serde::Serialize;
use sha2::Sha256;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::clock;

/// The header with the event's id: the same on each try, so that a receiver knows what it has.
pub const WEBHOOK_ID: &str = "webhook-id";
/// The header with the moment of the try, in seconds since the Unix epoch.
pub const WEBHOOK_TIMESTAMP: &str = "webhook-timestamp";
/// The header with a signature by each live secret.
pub const WEBHOOK_SIGNATURE: &str = "webhook-signature";

/// A secret of its own: 256 random bits.
#[must_use]
pub fn new_secret() -> SecretBytes {
    let bytes = Zeroizing::new(clock::random_bytes::<32>());
    SecretBytes::new(*bytes)
}

/// A secret as receivers are given it.
#[must_use]
pub fn shown(secret: &SecretBytes) -> Zeroizing<String> {
    let base64 = Zeroizing::new(STANDARD.encode(secret.expose()));
    Zeroizing::new(format!("whsec_{}", *base64))
}

/// The value of [`WEBHOOK_SIGNATURE`]: one `v1,…` for each secret.
///
/// # Errors
///
/// [`InvalidLength`], never: HMAC takes keys of any length.
pub fn signature<'s>(
    secrets: impl IntoIterator<Item = &'s SecretBytes>,
    id: &str,
    timestamp: i64,
    body: &[u8],
) -> Result<String, InvalidLength> {
    let mut signatures = Vec::new();
    for secret in secrets {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose())?;
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        let tag = mac.finalize().into_bytes();
        signatures.push(format!("v1,{}", STANDARD.encode(tag)));
    }
    Ok(signatures.join(" "))
}

/// An event as receivers get it.
#[derive(Debug, Serialize)]
struct Envelope<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    event_type: &'a str,
    timestamp: String,
    tenant_id: Option<&'a str>,
    sequence: u64,
    subject: &'a str,
    data: &'a serde_json::Value,
}

/// The body of an event's deliveries.
///
/// # Errors
///
/// What serialising says.
pub fn body(event: &OutboxEvent) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&Envelope {
        id: event.event_id.as_str(),
        event_type: &event.event_type,
        timestamp: rfc3339(event.at),
        tenant_id: event.tenant_id.as_ref().map(TenantId::as_str),
        sequence: event.sequence,
        subject: &event.subject,
        data: &event.data,
    })
}

/// The value of [`WEBHOOK_TIMESTAMP`].
#[must_use]
pub fn timestamp(now: OffsetDateTime) -> i64 {
    now.unix_timestamp()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    /// The vector of the specification's reference libraries.
    #[test]
    fn the_known_message_has_the_known_signature() {
        let secret = STANDARD
            .decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
            .expect("base64");
        let secret = SecretBytes::new(secret);
        assert_eq!(*shown(&secret), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let (id, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", br#"{"test": 2432232314}"#);
        let signed = |secrets: &[SecretBytes]| signature(secrets, id, 1_614_265_330, body);
        let known = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(
            signed(std::slice::from_ref(&secret)).expect("signed"),
            known
        );
        let two = signed(&[SecretBytes::new([1; 32]), secret]).expect("signed");
        let (other, second) = two.split_once(' ').expect("two values");
        assert_eq!(second, known);
        assert!(other.starts_with("v1,") && other != known);
    }

    #[test]
    fn secrets_are_long_and_never_the_same() {
        let (one, other) = (shown(&new_secret()), shown(&new_secret()));
        assert_eq!(one.len(), "whsec_".len() + 44);
        assert_ne!(*one, *other);
    }

    #[test]
    fn the_body_has_what_the_contract_names() {
        let event = OutboxEvent {
            position: 9,
            event_id: "evt_01arz3ndektsv4rrffq69g5fav".parse().expect("an id"),
            tenant_id: Some("acme".parse().expect("a tenant")),
            event_type: "user.created".to_owned(),
            subject: "ada".to_owned(),
            sequence: 3,
            at: datetime!(2026-11-22 10:00 UTC),
            data: serde_json::json!({"user_id": "ada"}),
        };
        let body = String::from_utf8(body(&event).expect("JSON")).expect("UTF-8");
        let expected = concat!(
            r#"{"id":"evt_01arz3ndektsv4rrffq69g5fav","type":"user.created","#,
            r#""timestamp":"2026-11-22T10:00:00.000Z","tenant_id":"acme","sequence":3,"#,
            r#""subject":"ada","data":{"user_id":"ada"}}"#
        );
        assert_eq!(body, expected);
    }
}
