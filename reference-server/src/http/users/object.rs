//! The user object of the contract (§7).

use identity_challenge::PalmType;
use identity_pki::DeviceId;
use identity_store::{ConsentStatus, KycStatus, Palm, User, UserId, UserStatus};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::Timestamp;

/// A person whose palm can be verified, as their tenant sees them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub(super) struct UserObject {
    #[schema(value_type = String)]
    user_id: UserId,
    display_name: Option<String>,
    #[schema(value_type = String)]
    status: UserStatus,
    /// Whether at least one palm is enrolled.
    palm_enrolled: bool,
    palms: Vec<PalmObject>,
    #[schema(value_type = String)]
    consent_status: ConsentStatus,
    #[schema(value_type = String)]
    kyc_status: KycStatus,
    created_at: Timestamp,
}

/// An enrolled palm.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Palm)]
struct PalmObject {
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    palm_type: PalmType,
    palm_id: i64,
    enrolled_at: Timestamp,
    #[schema(value_type = String)]
    device_id: DeviceId,
}

impl From<User> for UserObject {
    fn from(user: User) -> Self {
        Self {
            user_id: user.user_id,
            display_name: user.display_name,
            status: user.status,
            palm_enrolled: !user.palms.is_empty(),
            palms: user.palms.into_iter().map(PalmObject::from).collect(),
            consent_status: user.consent_status,
            kyc_status: user.kyc.status,
            created_at: Timestamp(user.created_at),
        }
    }
}

impl From<Palm> for PalmObject {
    fn from(palm: Palm) -> Self {
        Self {
            palm_type: palm.palm_type,
            palm_id: palm.palm_id,
            enrolled_at: Timestamp(palm.enrolled_at),
            device_id: palm.device_id,
        }
    }
}
