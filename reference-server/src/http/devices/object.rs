//! The device object of the contract (§6), and what callers say about a device.

use std::collections::BTreeMap;

use identity_challenge::DeviceClass;
use identity_pki::DeviceId;
use identity_store::{Device, DeviceInfo, DevicePolicy, DeviceStatus, MAX_DEVICE_TAGS};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::derived::{CertState, Connectivity};
use crate::http::Timestamp;

/// A device, as its tenant sees it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Device)]
pub(super) struct DeviceObject {
    #[schema(value_type = String)]
    device_id: DeviceId,
    device_name: String,
    location: Option<String>,
    #[schema(value_type = String)]
    device_class: DeviceClass,
    bound_product: Option<String>,
    bound_action: Option<String>,
    tags: BTreeMap<String, String>,
    #[schema(value_type = String)]
    status: DeviceStatus,
    connectivity: Connectivity,
    cert_state: CertState,
    #[schema(value_type = Object)]
    device_info: DeviceInfo,
    /// SHA-256 of the active certificate.
    fingerprint: Option<String>,
    cert_expires_at: Option<Timestamp>,
    paired_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    last_seen_at: Option<Timestamp>,
    created_at: Timestamp,
}

impl DeviceObject {
    /// `device` as it is at `now`, under its tenant's policy.
    pub(super) fn of(device: Device, policy: DevicePolicy, now: OffsetDateTime) -> Self {
        let certificate = device.certificate.as_ref();
        let not_after = certificate.map(|certificate| certificate.not_after);
        Self {
            device_id: device.identity.device_id().clone(),
            device_name: device.name,
            location: device.location,
            device_class: device.binding.class(),
            bound_product: device.binding.product().map(str::to_owned),
            bound_action: device.binding.action().map(str::to_owned),
            tags: device.tags,
            status: device.status,
            connectivity: Connectivity::at(now, device.last_seen_at),
            cert_state: CertState::at(now, not_after, policy.renewal_window()),
            device_info: device.info,
            fingerprint: certificate.map(|certificate| certificate.fingerprint.to_string()),
            cert_expires_at: not_after.map(Timestamp),
            paired_at: device.paired_at.map(Timestamp),
            revoked_at: device.revoked_at.map(Timestamp),
            last_seen_at: device.last_seen_at.map(Timestamp),
            created_at: Timestamp(device.created_at),
        }
    }
}

/// A tenant's own labels: at most 32, each key 1 to 64 of `A-Za-z0-9._-`, each value at most 128
/// characters.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>")]
pub(super) struct Tags(BTreeMap<String, String>);

const MAX_TAG_VALUE: usize = 128;

impl Tags {
    /// The labels.
    pub(super) fn into_map(self) -> BTreeMap<String, String> {
        self.0
    }
}

impl TryFrom<BTreeMap<String, String>> for Tags {
    type Error = String;

    fn try_from(tags: BTreeMap<String, String>) -> Result<Self, String> {
        if tags.len() > MAX_DEVICE_TAGS {
            return Err(format!("must be at most {MAX_DEVICE_TAGS} tags"));
        }
        if !tags.keys().all(|key| is_tag_key(key)) {
            return Err("must have keys of 1 to 64 of A-Za-z0-9._-".to_owned());
        }
        let fits = |value: &String| {
            value.chars().count() <= MAX_TAG_VALUE && !value.chars().any(char::is_control)
        };
        if !tags.values().all(fits) {
            return Err(format!(
                "must have values of at most {MAX_TAG_VALUE} characters"
            ));
        }
        Ok(Self(tags))
    }
}

/// Whether `key` can be a label's key. A colon cannot be in it: `?tag=key:value` splits there.
pub(super) fn is_tag_key(key: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=64).contains(&key.len()) && key.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags<const N: usize>(tags: [(&str, &str); N]) -> Result<Tags, String> {
        let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        Tags::try_from(BTreeMap::from(tags.map(owned)))
    }

    #[test]
    fn tags_are_few_and_plain() {
        assert!(tags([("site", "Berlin Süd"), ("floor.no", "")]).is_ok());
        assert!(tags([("", "x")]).is_err());
        assert!(tags([("a:b", "x")]).is_err());
        assert!(tags([(&"k".repeat(65), "x")]).is_err());
        assert!(tags([("a", "line\nbreak")]).is_err());
        assert!(tags([("a", &"v".repeat(129))]).is_err());
        let many: BTreeMap<_, _> = (0..33).map(|n| (n.to_string(), String::new())).collect();
        assert!(Tags::try_from(many).is_err());
    }
}
