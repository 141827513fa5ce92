use identity_challenge::{ChallengeKind, PalmType};
use identity_store::User;

/// Why a sample cannot be taken for the challenge's palm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PalmTypeRule {
    /// The enrolment asks for the other palm.
    #[error("the challenge enrols the {expected} palm, not the {sent} one")]
    Mismatch {
        /// What the challenge asks for.
        expected: PalmType,
        /// What the device sent.
        sent: PalmType,
    },
    /// The user has two palms enrolled, and the device did not say which one it captured.
    #[error("the user has both palms enrolled: `type` has to say which one it is")]
    Required,
    /// The user may not be verified by that palm, or has none any more.
    #[error("the user may not be verified by that palm")]
    Restricted,
}

/// Which palm a sample is of (contract §8): what the device `sent`, or what goes without saying.
///
/// # Errors
///
/// The [`PalmTypeRule`] that stands against it.
pub(super) fn palm_of_sample(
    kind: ChallengeKind,
    sent: Option<PalmType>,
    user: &User,
) -> Result<PalmType, PalmTypeRule> {
    match kind {
        ChallengeKind::Enroll {
            palm_type: expected,
        } => match sent {
            Some(sent) if sent != expected => Err(PalmTypeRule::Mismatch { expected, sent }),
            Some(_) | None => Ok(expected),
        },
        ChallengeKind::Verify => palm_to_verify(sent, user),
    }
}

fn palm_to_verify(sent: Option<PalmType>, user: &User) -> Result<PalmType, PalmTypeRule> {
    let palm_type = match (sent, user.palms.as_slice()) {
        (Some(sent), _) => sent,
        (None, [one]) => one.palm_type,
        (None, []) => return Err(PalmTypeRule::Restricted),
        (None, _) => return Err(PalmTypeRule::Required),
    };
    let policy = &user.palm_policy;
    if policy.verification_enabled && policy.allowed_types.contains(&palm_type) {
        Ok(palm_type)
    } else {
        Err(PalmTypeRule::Restricted)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use identity_challenge::UserThrottle;
    use identity_pki::{DeviceId, TenantId};
    use identity_store::{ConsentStatus, Kyc, Palm, UserPalmPolicy, UserStatus};
    use time::OffsetDateTime;

    use super::*;
    use PalmType::{Left, Right};

    fn user(enrolled: &[PalmType], allowed: &[PalmType]) -> User {
        let palm = |&palm_type| Palm {
            palm_type,
            palm_id: 1,
            enrolled_at: OffsetDateTime::UNIX_EPOCH,
            device_id: DeviceId::new("dev_1").unwrap(),
        };
        User {
            tenant_id: TenantId::new("acme").unwrap(),
            user_id: "alice".parse().unwrap(),
            internal_id: "usr_01jd8z6m3w0000000000000000".parse().unwrap(),
            display_name: None,
            email: None,
            mobile: None,
            status: UserStatus::Active,
            palms: enrolled.iter().map(palm).collect(),
            consent_status: ConsentStatus::Granted,
            kyc: Kyc::default(),
            palm_policy: UserPalmPolicy {
                allowed_types: BTreeSet::from_iter(allowed.iter().copied()),
                verification_enabled: true,
            },
            throttle: UserThrottle::default(),
            created_at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn an_enrolment_takes_the_palm_that_it_asks_for() {
        let nobody = user(&[], &[]);
        let enroll = ChallengeKind::Enroll { palm_type: Left };
        assert_eq!(palm_of_sample(enroll, None, &nobody), Ok(Left));
        assert_eq!(palm_of_sample(enroll, Some(Left), &nobody), Ok(Left));
        let refused = PalmTypeRule::Mismatch {
            expected: Left,
            sent: Right,
        };
        assert_eq!(palm_of_sample(enroll, Some(Right), &nobody), Err(refused));
    }

    #[test]
    fn a_verification_takes_an_enrolled_palm_that_the_policy_allows() {
        let both = [Left, Right];
        for (enrolled, allowed, sent, expected) in [
            (&[Left][..], &both[..], None, Ok(Left)),
            (&[Right], &both, None, Ok(Right)),
            (&both, &both, None, Err(PalmTypeRule::Required)),
            (&both, &both, Some(Right), Ok(Right)),
            (&both, &[Left], Some(Right), Err(PalmTypeRule::Restricted)),
            (&[Left], &[Right], None, Err(PalmTypeRule::Restricted)),
            (&[], &both, None, Err(PalmTypeRule::Restricted)),
        ] {
            let user = user(enrolled, allowed);
            assert_eq!(palm_of_sample(ChallengeKind::Verify, sent, &user), expected);
        }
        let mut disabled = user(&[Left], &both);
        disabled.palm_policy.verification_enabled = false;
        let refused = Err(PalmTypeRule::Restricted);
        assert_eq!(
            palm_of_sample(ChallengeKind::Verify, Some(Left), &disabled),
            refused
        );
    }
}
