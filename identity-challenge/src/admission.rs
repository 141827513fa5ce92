use std::collections::BTreeSet;

use time::OffsetDateTime;

use crate::{ChallengeKind, DeviceClass, OperationKind, PalmType, ThrottleDecision, UserThrottle};

/// What admission asks about the user of a new challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserStanding {
    /// Whether the integrator suspended the user.
    pub suspended: bool,
    /// The user's failed tries.
    pub throttle: UserThrottle,
    /// The palms that are enrolled.
    pub enrolled: BTreeSet<PalmType>,
    /// The palms that the user may be verified by.
    pub allowed: BTreeSet<PalmType>,
    /// Whether the user may be verified at all.
    pub verification_enabled: bool,
    /// Whether the user's identity was verified.
    pub kyc_verified: bool,
    /// What the user answered when asked for consent.
    pub consent: Consent,
}

/// What a user answered when asked for consent to palm biometrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// Nothing: they were never asked.
    NotAsked,
    /// They consent.
    Granted,
    /// They took it back, which bars enrolment whatever the tenant requires.
    Withdrawn,
}

/// What admission asks about the device of a new challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceStanding {
    /// Whether it is paired.
    pub paired: bool,
    /// What it is.
    pub class: DeviceClass,
    /// How many challenges are open at it.
    pub open_challenges: u32,
}

/// What a tenant's settings ask of a new challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdmissionRules {
    /// Whether enrolment needs a verified identity.
    pub kyc_required: bool,
    /// Whether enrolment needs consent.
    pub consent_required: bool,
    /// How many challenges may be open at one device.
    pub max_open_challenges: u32,
}

/// The first gate that is shut for a new challenge (contract §8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdmissionRefusal {
    /// There is no such user in the tenant.
    #[error("the user is not known")]
    UserNotFound,
    /// The integrator suspended the user.
    #[error("the user is suspended")]
    UserSuspended,
    /// Too many tries of the user failed; an operator clears it.
    #[error("the user is locked after too many failed tries")]
    UserLocked,
    /// There is no such device in the tenant.
    #[error("the device is not known")]
    DeviceNotFound,
    /// The device has no active certificate.
    #[error("the device is not paired")]
    DeviceNotPaired,
    /// Devices of that class take no challenges.
    #[error("a device of class {class} takes no challenges")]
    DeviceClassNotAllowed {
        /// The class.
        class: DeviceClass,
    },
    /// The tenant enrols only users whose identity was verified.
    #[error("the user's identity is not verified, which this tenant requires before enrolment")]
    KycRequired,
    /// The tenant enrols only users who consent.
    #[error("the user has not consented to palm biometrics")]
    ConsentRequired,
    /// The user has a palm of that type enrolled.
    #[error("the user's {palm_type} palm is enrolled already")]
    AlreadyEnrolled {
        /// Which palm.
        palm_type: PalmType,
    },
    /// The user has no palm enrolled.
    #[error("the user has no palm enrolled")]
    UserNotEnrolled,
    /// None of the user's palms may be used for verification.
    #[error("the user's palm policy allows none of the enrolled palms")]
    PalmTypeRestricted,
    /// The user has to wait after failed tries.
    #[error("the user has to wait until {until} after failed tries")]
    UserThrottled {
        /// When the next try is allowed.
        until: OffsetDateTime,
    },
    /// As many challenges are open at the device as the tenant allows.
    #[error("{open} challenges are open at the device, as many as the tenant allows")]
    DeviceBusy {
        /// How many are open.
        open: u32,
    },
}

/// Whether a challenge of `kind` may be created at `now`. `None` stands for a user or a device that
/// the tenant does not have. The gates are tried in a fixed order, and the first that is shut is
/// named.
///
/// # Errors
///
/// [`AdmissionRefusal`]: nothing may be created.
pub fn admit(
    kind: ChallengeKind,
    user: Option<&UserStanding>,
    device: Option<&DeviceStanding>,
    rules: &AdmissionRules,
    now: OffsetDateTime,
) -> Result<(), AdmissionRefusal> {
    let user = user.ok_or(AdmissionRefusal::UserNotFound)?;
    user.admit_at_all(now)?;
    let device = device.ok_or(AdmissionRefusal::DeviceNotFound)?;
    device.admit()?;
    match kind {
        ChallengeKind::Verify => user.admit_verification(now)?,
        ChallengeKind::Enroll { palm_type } => user.admit_enrollment(palm_type, rules)?,
    }
    if device.open_challenges >= rules.max_open_challenges {
        return Err(AdmissionRefusal::DeviceBusy {
            open: device.open_challenges,
        });
    }
    Ok(())
}

impl UserStanding {
    fn admit_at_all(&self, now: OffsetDateTime) -> Result<(), AdmissionRefusal> {
        if self.suspended {
            return Err(AdmissionRefusal::UserSuspended);
        }
        if self.throttle.decide(now) == ThrottleDecision::Locked {
            return Err(AdmissionRefusal::UserLocked);
        }
        Ok(())
    }

    fn admit_verification(&self, now: OffsetDateTime) -> Result<(), AdmissionRefusal> {
        if self.enrolled.is_empty() {
            return Err(AdmissionRefusal::UserNotEnrolled);
        }
        if !self.verification_enabled || self.enrolled.is_disjoint(&self.allowed) {
            return Err(AdmissionRefusal::PalmTypeRestricted);
        }
        match self.throttle.decide(now) {
            ThrottleDecision::Wait { until } => Err(AdmissionRefusal::UserThrottled { until }),
            ThrottleDecision::Allowed | ThrottleDecision::Locked => Ok(()),
        }
    }

    fn admit_enrollment(
        &self,
        palm_type: PalmType,
        rules: &AdmissionRules,
    ) -> Result<(), AdmissionRefusal> {
        if rules.kyc_required && !self.kyc_verified {
            return Err(AdmissionRefusal::KycRequired);
        }
        match self.consent {
            Consent::Withdrawn => return Err(AdmissionRefusal::ConsentRequired),
            Consent::NotAsked if rules.consent_required => {
                return Err(AdmissionRefusal::ConsentRequired);
            }
            Consent::NotAsked | Consent::Granted => {}
        }
        if self.enrolled.contains(&palm_type) {
            return Err(AdmissionRefusal::AlreadyEnrolled { palm_type });
        }
        Ok(())
    }
}

impl DeviceStanding {
    fn admit(&self) -> Result<(), AdmissionRefusal> {
        if !self.paired {
            return Err(AdmissionRefusal::DeviceNotPaired);
        }
        if !self.class.allows(OperationKind::Challenge) {
            return Err(AdmissionRefusal::DeviceClassNotAllowed { class: self.class });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;
    const ENROLL: ChallengeKind = ChallengeKind::Enroll {
        palm_type: PalmType::Left,
    };

    fn user() -> UserStanding {
        UserStanding {
            suspended: false,
            throttle: UserThrottle::default(),
            enrolled: BTreeSet::from([PalmType::Left]),
            allowed: BTreeSet::from([PalmType::Left, PalmType::Right]),
            verification_enabled: true,
            kyc_verified: false,
            consent: Consent::NotAsked,
        }
    }

    fn device() -> DeviceStanding {
        DeviceStanding {
            paired: true,
            class: DeviceClass::PersonalScanner,
            open_challenges: 0,
        }
    }

    const RULES: AdmissionRules = AdmissionRules {
        kyc_required: true,
        consent_required: true,
        max_open_challenges: 2,
    };

    fn refusal(
        kind: ChallengeKind,
        user: &UserStanding,
        device: &DeviceStanding,
    ) -> AdmissionRefusal {
        admit(kind, Some(user), Some(device), &RULES, NOW).unwrap_err()
    }

    #[test]
    fn an_enrolment_opens_its_gates_one_by_one_in_the_contracts_order() {
        let mut user = UserStanding {
            suspended: true,
            ..user()
        };
        let mut device = DeviceStanding {
            paired: false,
            class: DeviceClass::Gate,
            open_challenges: 2,
        };
        let missing = admit(ENROLL, None, None, &RULES, NOW);
        assert_eq!(missing, Err(AdmissionRefusal::UserNotFound));
        assert_eq!(
            refusal(ENROLL, &user, &device),
            AdmissionRefusal::UserSuspended
        );
        user.suspended = false;
        let missing = admit(ENROLL, Some(&user), None, &RULES, NOW);
        assert_eq!(missing, Err(AdmissionRefusal::DeviceNotFound));
        assert_eq!(
            refusal(ENROLL, &user, &device),
            AdmissionRefusal::DeviceNotPaired
        );
        device.paired = true;
        let class = DeviceClass::Gate;
        let shut = AdmissionRefusal::DeviceClassNotAllowed { class };
        assert_eq!(refusal(ENROLL, &user, &device), shut);
        device.class = DeviceClass::PersonalScanner;
        assert_eq!(
            refusal(ENROLL, &user, &device),
            AdmissionRefusal::KycRequired
        );
        user.kyc_verified = true;
        assert_eq!(
            refusal(ENROLL, &user, &device),
            AdmissionRefusal::ConsentRequired
        );
        user.consent = Consent::Granted;
        let shut = AdmissionRefusal::AlreadyEnrolled {
            palm_type: PalmType::Left,
        };
        assert_eq!(refusal(ENROLL, &user, &device), shut);
        user.enrolled.clear();
        assert_eq!(
            refusal(ENROLL, &user, &device),
            AdmissionRefusal::DeviceBusy { open: 2 }
        );
        device.open_challenges = 1;
        assert_eq!(
            admit(ENROLL, Some(&user), Some(&device), &RULES, NOW),
            Ok(())
        );
    }

    #[test]
    fn a_verification_needs_an_enrolled_palm_that_the_user_may_use() {
        let verify = |user: &UserStanding| {
            admit(
                ChallengeKind::Verify,
                Some(user),
                Some(&device()),
                &RULES,
                NOW,
            )
        };
        assert_eq!(verify(&user()), Ok(()));
        let nothing = UserStanding {
            enrolled: BTreeSet::new(),
            ..user()
        };
        assert_eq!(verify(&nothing), Err(AdmissionRefusal::UserNotEnrolled));
        let other = UserStanding {
            allowed: BTreeSet::from([PalmType::Right]),
            ..user()
        };
        assert_eq!(verify(&other), Err(AdmissionRefusal::PalmTypeRestricted));
        let off = UserStanding {
            verification_enabled: false,
            ..user()
        };
        assert_eq!(verify(&off), Err(AdmissionRefusal::PalmTypeRestricted));
    }

    #[test]
    fn a_withdrawn_consent_bars_enrolment_where_none_is_required_too() {
        let enroll = |consent| {
            let user = UserStanding {
                consent,
                enrolled: BTreeSet::new(),
                ..user()
            };
            let rules = AdmissionRules {
                kyc_required: false,
                consent_required: false,
                ..RULES
            };
            admit(ENROLL, Some(&user), Some(&device()), &rules, NOW)
        };
        let barred = Err(AdmissionRefusal::ConsentRequired);
        assert_eq!(enroll(Consent::Withdrawn), barred);
        assert_eq!(enroll(Consent::NotAsked), Ok(()));
        assert_eq!(enroll(Consent::Granted), Ok(()));
    }

    #[test]
    fn a_user_who_failed_often_waits_and_one_who_failed_too_often_is_locked() {
        let after = |failures| UserStanding {
            throttle: UserThrottle::stored(failures, Some(NOW)),
            ..user()
        };
        let until = NOW + UserThrottle::DELAY;
        let verify = ChallengeKind::Verify;
        let waits = refusal(verify, &after(UserThrottle::DELAY_FROM), &device());
        assert_eq!(waits, AdmissionRefusal::UserThrottled { until });
        for kind in [verify, ENROLL] {
            let locked = refusal(kind, &after(UserThrottle::LOCK_AT), &device());
            assert_eq!(locked, AdmissionRefusal::UserLocked);
        }
    }
}
