use std::fmt;

use crate::error::{Error, excerpt};
use crate::{DeviceId, TenantId};

const PREFIX: &str = "urn:link:tenant:";
const INFIX: &str = ":device:";

/// The longest URI that can be a device identity, in bytes.
const MAX_SAN_URI_LEN: usize = PREFIX.len() + 63 + INFIX.len() + 64;

/// The rule of the SAN URI that a value breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SanUriRule {
    /// Longer than any device identity.
    #[error("has {length} bytes; at most {limit} are allowed")]
    TooLong {
        /// Bytes given.
        length: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Not of the form `urn:link:tenant:{tenant_id}:device:{device_id}`.
    #[error("is not of the form urn:link:tenant:{{tenant_id}}:device:{{device_id}}")]
    Form,
    /// The tenant's part is no tenant id.
    #[error("has a tenant part that {0}")]
    Tenant(crate::IdRule),
    /// The device's part is no device id.
    #[error("has a device part that {0}")]
    Device(crate::IdRule),
}

/// Who a device is: its tenant and its id.
///
/// In a certificate it is the one `uniformResourceIdentifier` of the subject alternative name
/// (RFC 5280 §4.2.1.6), spelled `urn:link:tenant:{tenant_id}:device:{device_id}`. There is exactly
/// one spelling: [`from_san_uri`](Self::from_san_uri) accepts what [`san_uri`](Self::san_uri) makes
/// and nothing else, so comparing identities and comparing URIs are the same thing.
///
/// ```
/// use identity_pki::{DeviceId, DeviceIdentity, TenantId};
///
/// let identity = DeviceIdentity::new(TenantId::new("acme")?, DeviceId::new("dev_789")?);
/// assert_eq!(identity.san_uri(), "urn:link:tenant:acme:device:dev_789");
/// assert_eq!(DeviceIdentity::from_san_uri(&identity.san_uri())?, identity);
/// # Ok::<(), identity_pki::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceIdentity {
    tenant_id: TenantId,
    device_id: DeviceId,
}

impl DeviceIdentity {
    /// The identity of device `device_id` of tenant `tenant_id`.
    #[must_use]
    pub fn new(tenant_id: TenantId, device_id: DeviceId) -> Self {
        Self {
            tenant_id,
            device_id,
        }
    }

    /// Reads the canonical SAN URI.
    ///
    /// # Errors
    ///
    /// [`Error::SanUri`] with the [`SanUriRule`] that `uri` breaks: another scheme, another case,
    /// escapes, empty or further parts, or ids that break their own syntax.
    pub fn from_san_uri(uri: &str) -> Result<Self, Error> {
        parse(uri).map_err(|rule| Error::SanUri {
            value: excerpt(uri, 160),
            rule,
        })
    }

    /// The canonical SAN URI, at most 151 bytes of ASCII.
    #[must_use]
    pub fn san_uri(&self) -> String {
        format!("{PREFIX}{}{INFIX}{}", self.tenant_id, self.device_id)
    }

    /// The tenant that the device belongs to.
    #[must_use]
    pub fn tenant_id(&self) -> &TenantId {
        &self.tenant_id
    }

    /// The device.
    #[must_use]
    pub fn device_id(&self) -> &DeviceId {
        &self.device_id
    }
}

impl fmt::Display for DeviceIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}{INFIX}{}", self.tenant_id, self.device_id)
    }
}

pub(crate) fn parse(uri: &str) -> Result<DeviceIdentity, SanUriRule> {
    if uri.len() > MAX_SAN_URI_LEN {
        return Err(SanUriRule::TooLong {
            length: uri.len(),
            limit: MAX_SAN_URI_LEN,
        });
    }
    // No id holds a colon, so the first infix is the only place where the two parts can meet.
    let (tenant, device) = uri
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.split_once(INFIX))
        .ok_or(SanUriRule::Form)?;
    let tenant_id = TenantId::new(tenant).map_err(|error| match error {
        Error::TenantId { rule, .. } => SanUriRule::Tenant(rule),
        _ => SanUriRule::Form,
    })?;
    let device_id = DeviceId::new(device).map_err(|error| match error {
        Error::DeviceId { rule, .. } => SanUriRule::Device(rule),
        _ => SanUriRule::Form,
    })?;
    Ok(DeviceIdentity {
        tenant_id,
        device_id,
    })
}
