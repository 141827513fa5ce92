use crate::name::named;

named! {
    /// Where a challenge stands (contract §8).
    pub enum ChallengeStatus ("challenge status") {
        /// Created, not yet taken up by its device.
        Pending = "pending",
        /// Claimed by its device, or tried at least once.
        InProgress = "in_progress",
        /// The palm matched, or was enrolled.
        Completed = "completed",
        /// Out of tries, or refused for good.
        Failed = "failed",
        /// Turned down at the device.
        Denied = "denied",
        /// Withdrawn by the integrator, or by what happened to its device or user.
        Canceled = "canceled",
        /// Its time ran out.
        Expired = "expired",
    }
}

impl ChallengeStatus {
    /// Whether nothing can change any more.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Pending | Self::InProgress => false,
            Self::Completed | Self::Failed | Self::Denied | Self::Canceled | Self::Expired => true,
        }
    }
}

named! {
    /// Why a challenge ended: `status_reason` of a terminal state.
    pub enum StatusReason ("status reason") {
        /// The palm was the expected user's.
        Matched = "matched",
        /// The palm was enrolled.
        Enrolled = "enrolled",
        /// The last try was used.
        MaxAttempts = "max_attempts",
        /// The palm is registered under another user.
        DuplicateBiometrics = "duplicate_biometrics",
        /// The user has a palm of this type already.
        AlreadyEnrolled = "already_enrolled",
        /// The palm server takes no more templates.
        LicenseCapacity = "license_capacity",
        /// The palm server has locked this palm type for the user.
        QueryTypeRestricted = "query_type_restricted",
        /// Turned down at the device.
        DeniedAtDevice = "denied_at_device",
        /// Withdrawn by the integrator.
        CanceledByIntegrator = "canceled_by_integrator",
        /// Its device was revoked or paired anew.
        DeviceRevoked = "device_revoked",
        /// Its user was suspended, locked or deleted.
        UserBarred = "user_barred",
        /// The user withdrew consent.
        ConsentWithdrawn = "consent_withdrawn",
        /// Its time ran out.
        Expired = "expired",
    }
}

impl StatusReason {
    /// The one terminal status that carries this reason.
    #[must_use]
    pub const fn status(self) -> ChallengeStatus {
        match self {
            Self::Matched | Self::Enrolled => ChallengeStatus::Completed,
            Self::MaxAttempts
            | Self::DuplicateBiometrics
            | Self::AlreadyEnrolled
            | Self::LicenseCapacity
            | Self::QueryTypeRestricted => ChallengeStatus::Failed,
            Self::DeniedAtDevice => ChallengeStatus::Denied,
            Self::CanceledByIntegrator
            | Self::DeviceRevoked
            | Self::UserBarred
            | Self::ConsentWithdrawn => ChallengeStatus::Canceled,
            Self::Expired => ChallengeStatus::Expired,
        }
    }
}

named! {
    /// Who or what withdraws a challenge.
    pub enum CancelReason ("cancel reason") {
        /// The integrator, through the API.
        Integrator = "canceled_by_integrator",
        /// Its device was revoked or paired anew.
        DeviceRevoked = "device_revoked",
        /// Its user was suspended, locked or deleted.
        UserBarred = "user_barred",
        /// The user withdrew consent.
        ConsentWithdrawn = "consent_withdrawn",
    }
}

impl From<CancelReason> for StatusReason {
    fn from(reason: CancelReason) -> Self {
        match reason {
            CancelReason::Integrator => Self::CanceledByIntegrator,
            CancelReason::DeviceRevoked => Self::DeviceRevoked,
            CancelReason::UserBarred => Self::UserBarred,
            CancelReason::ConsentWithdrawn => Self::ConsentWithdrawn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn names_are_the_contracts_and_have_one_spelling() {
        for &status in ChallengeStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
        }
        for bad in ["", "Pending", "in progress", "cancelled", " pending"] {
            assert_eq!(
                bad.parse::<ChallengeStatus>(),
                Err(Error::UnknownName {
                    what: "challenge status",
                    value: bad.to_owned()
                })
            );
        }
    }

    #[test]
    fn every_terminal_status_has_a_reason_and_no_other_has() {
        for &status in ChallengeStatus::ALL {
            let has_reason = StatusReason::ALL.iter().any(|r| r.status() == status);
            assert_eq!(has_reason, status.is_terminal(), "{status}");
        }
    }

    #[test]
    fn a_cancel_reason_is_spelled_as_its_status_reason() {
        for &reason in CancelReason::ALL {
            let status_reason = StatusReason::from(reason);
            assert_eq!(status_reason.as_str(), reason.as_str());
            assert_eq!(status_reason.status(), ChallengeStatus::Canceled);
        }
    }
}
