use std::collections::BTreeSet;

use identity_challenge::{PalmType, UserThrottle};
use identity_pki::{DeviceId, TenantId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{InternalUserId, UserId};

/// A person whose palm can be verified.
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    /// Their tenant.
    pub tenant_id: TenantId,
    /// How the integrator knows them.
    pub user_id: UserId,
    /// How audit rows know them.
    pub internal_id: InternalUserId,
    /// Their name; `None` also if it cannot be decrypted.
    pub display_name: Option<String>,
    /// Their e-mail address; `None` also if it cannot be decrypted.
    pub email: Option<String>,
    /// Their telephone number; `None` also if it cannot be decrypted.
    pub mobile: Option<String>,
    /// Whether they may be verified.
    pub status: UserStatus,
    /// Their palms at the palm server.
    pub palms: Vec<Palm>,
    /// Their consent to palm biometrics.
    pub consent_status: ConsentStatus,
    /// Whether their identity was verified.
    pub kyc: Kyc,
    /// Which palms they may be verified by.
    pub palm_policy: UserPalmPolicy,
    /// Their failed tries, over all devices.
    pub throttle: UserThrottle,
    /// When they were made known.
    pub created_at: OffsetDateTime,
}

/// Whether a user may be verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserStatus {
    /// They may.
    Active,
    /// The integrator suspended them.
    Suspended,
    /// Too many tries failed (NIST SP 800-63B-4); an operator clears it.
    Locked,
}

/// A palm that is enrolled at the palm server. The template is there, not here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Palm {
    /// Left or right.
    pub palm_type: PalmType,
    /// The palm server's id.
    pub palm_id: i64,
    /// When it was enrolled.
    pub enrolled_at: OffsetDateTime,
    /// At which device.
    pub device_id: DeviceId,
}

/// A template that is still to be erased at the palm server, if it is there at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PalmErasure {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The user.
    pub user_id: UserId,
    /// Which palm.
    pub palm_type: PalmType,
    /// Since when.
    pub requested_at: OffsetDateTime,
}

/// A user's standing consent to palm biometrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentStatus {
    /// They were never asked, or refused.
    None,
    /// They consented.
    Granted,
    /// They took their consent back.
    Withdrawn,
}

/// Whether a user's identity was verified.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kyc {
    /// The outcome.
    pub status: KycStatus,
    /// Who verified it.
    pub provider: Option<String>,
    /// How thoroughly, in the provider's terms.
    pub level: Option<String>,
}

/// The outcome of an identity verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KycStatus {
    /// None was started.
    #[default]
    None,
    /// It is under way.
    Pending,
    /// It succeeded.
    Verified,
    /// It failed.
    Failed,
}

/// Which palms a user may be verified by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserPalmPolicy {
    /// The types that may be used.
    pub allowed_types: BTreeSet<PalmType>,
    /// Whether the user may be verified at all.
    pub verification_enabled: bool,
}

impl Default for UserPalmPolicy {
    fn default() -> Self {
        Self {
            allowed_types: BTreeSet::from([PalmType::Left, PalmType::Right]),
            verification_enabled: true,
        }
    }
}

/// A user to make known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUser {
    /// Their tenant.
    pub tenant_id: TenantId,
    /// How the integrator knows them.
    pub user_id: UserId,
    /// How audit rows will know them.
    pub internal_id: InternalUserId,
    /// Their name.
    pub display_name: Option<String>,
    /// Their e-mail address.
    pub email: Option<String>,
    /// Their telephone number.
    pub mobile: Option<String>,
}

/// A change of a user's contact data. `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserEdit {
    /// A new name, or none.
    pub display_name: Option<Option<String>>,
    /// A new e-mail address, or none.
    pub email: Option<Option<String>>,
    /// A new telephone number, or none.
    pub mobile: Option<Option<String>>,
}

impl UserEdit {
    pub(crate) fn apply(self, user: &mut User) {
        if let Some(display_name) = self.display_name {
            user.display_name = display_name;
        }
        if let Some(email) = self.email {
            user.email = email;
        }
        if let Some(mobile) = self.mobile {
            user.mobile = mobile;
        }
    }
}

/// How a consent was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConsentMethod(pub String);

/// An answer to a request for consent, to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewConsent {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The user.
    pub user_id: UserId,
    /// The version of the text that was shown.
    pub version: String,
    /// What the palm may be used for.
    pub purposes: Vec<String>,
    /// Whether the user agreed.
    pub granted: bool,
    /// How the user answered: `signature`, `checkbox`, …
    pub method: ConsentMethod,
}

/// A recorded consent to palm biometrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// What was recorded.
    pub consent: NewConsent,
    /// When.
    pub recorded_at: OffsetDateTime,
    /// When it was taken back.
    pub withdrawn_at: Option<OffsetDateTime>,
}
