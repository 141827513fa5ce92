//! The one map from what a store refuses or fails at to what the caller is told.

use identity_challenge::{AdmissionRefusal, Refusal};
use identity_pki::{RotationRule, TenantId};
use identity_store::{Conflict, DevicePolicy, Entity, Error, rfc3339};
use std::time::Duration;

use super::{ErrorCode, Problem};

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound(entity) => not_found(entity),
            Error::Conflict(conflict) => self::conflict(conflict),
            Error::Admission(refusal) => admission(refusal),
            Error::Challenge(refusal) => challenge(&refusal),
            Error::RenewalWindow { tenant_id, policy } => {
                let reason = renewal_window(tenant_id.as_ref(), policy);
                Self::invalid("renewal_window_days", reason)
            }
            Error::Id { .. } | Error::Cursor | Error::Month => {
                Self::new(ErrorCode::ValidationFailed, sentence(&error))
            }
            Error::Busy { .. } => Self::new(ErrorCode::Unavailable, "The database is busy.")
                .retry_after(Duration::from_secs(1))
                .because(error),
            Error::Decrypt { .. } => Self::unreadable("What is stored").because(error),
            Error::Backend { .. } => Self::new(ErrorCode::Unavailable, "The database failed.")
                .retry_after(Duration::from_secs(1))
                .because(error),
            other => Self::internal(other),
        }
    }
}

fn not_found(entity: Entity) -> Problem {
    let code = match entity {
        Entity::User => ErrorCode::UserNotFound,
        Entity::Device => ErrorCode::DeviceNotFound,
        _ => ErrorCode::NotFound,
    };
    Problem::new(code, format!("There is no such {entity}."))
}

fn renewal_window(tenant_id: Option<&TenantId>, policy: DevicePolicy) -> String {
    let (window, validity) = (policy.renewal_window_days, policy.validity_days);
    match tenant_id {
        None => format!("must be shorter than the validity of {validity} days"),
        Some(id) => format!(
            "must be shorter than the validity: tenant {id} would have a window of {window} and a \
             validity of {validity} days"
        ),
    }
}

fn conflict(conflict: Conflict) -> Problem {
    let code = match conflict {
        Conflict::CaRotation(rule) => match rule {
            RotationRule::Unknown { .. } => return Problem::not_found("CA"),
            RotationRule::InUse { .. } => ErrorCode::CaInUse,
            RotationRule::Confirm { .. } | RotationRule::RevokeDevices { .. } => {
                ErrorCode::RegenerateConfirmRequired
            }
            _ => ErrorCode::Conflict,
        },
        Conflict::CaWithdrawn => {
            let detail = "The platform CA was replaced at this moment: try again.";
            return Problem::new(ErrorCode::Unavailable, detail)
                .retry_after(Duration::from_secs(1));
        }
        Conflict::KeyNotCompared => {
            let detail = "The platform's certificates were changed at this moment: try again.";
            return Problem::new(ErrorCode::Unavailable, detail)
                .retry_after(Duration::from_secs(1));
        }
        Conflict::TenantExists
        | Conflict::UserExists
        | Conflict::UserBeingErased
        | Conflict::OperatorExists
        | Conflict::DeviceClassFixed
        | Conflict::AttemptInProgress { .. }
        | Conflict::AttemptEnded => ErrorCode::Conflict,
        Conflict::RoleScope | Conflict::NotPlatformAdmin => ErrorCode::ValidationFailed,
        Conflict::PasswordChanged => ErrorCode::InvalidCredentials,
        Conflict::RequestAnswered => ErrorCode::IdempotencyInProgress,
        Conflict::IdTaken => return Problem::internal(conflict),
        Conflict::LastPlatformAdmin => ErrorCode::LastPlatformAdmin,
        Conflict::DeviceAlreadyPaired => ErrorCode::DeviceAlreadyPaired,
        Conflict::DeviceNotPaired => ErrorCode::DeviceNotPaired,
        Conflict::PairingCodeInvalid => ErrorCode::PairingCodeInvalid,
        Conflict::RenewalConflict => ErrorCode::RenewalConflict,
        Conflict::KeyReused => ErrorCode::CsrKeyReused,
        Conflict::WebhookDisabled => ErrorCode::WebhookDisabled,
        Conflict::TooManyWebhooks => ErrorCode::Conflict,
        _ => ErrorCode::Conflict,
    };
    Problem::new(code, sentence(&conflict))
}

fn admission(refusal: AdmissionRefusal) -> Problem {
    let code = match refusal {
        AdmissionRefusal::UserNotFound => ErrorCode::UserNotFound,
        AdmissionRefusal::UserSuspended => ErrorCode::UserSuspended,
        AdmissionRefusal::UserLocked => ErrorCode::UserLocked,
        AdmissionRefusal::DeviceNotFound => ErrorCode::DeviceNotFound,
        AdmissionRefusal::DeviceNotPaired => ErrorCode::DeviceNotPaired,
        AdmissionRefusal::DeviceClassNotAllowed { .. } => ErrorCode::DeviceClassNotAllowed,
        AdmissionRefusal::KycRequired => ErrorCode::KycRequired,
        AdmissionRefusal::ConsentRequired => ErrorCode::ConsentRequired,
        AdmissionRefusal::AlreadyEnrolled { .. } => ErrorCode::AlreadyEnrolled,
        AdmissionRefusal::UserNotEnrolled => ErrorCode::UserNotEnrolled,
        AdmissionRefusal::PalmTypeRestricted => ErrorCode::PalmTypeRestricted,
        AdmissionRefusal::UserThrottled { .. } => ErrorCode::UserThrottled,
        AdmissionRefusal::DeviceBusy { .. } => ErrorCode::DeviceBusy,
        other => return Problem::internal(other),
    };
    match refusal {
        AdmissionRefusal::UserThrottled { until } => {
            let until_text = rfc3339(until);
            let detail = format!("The user has to wait until {until_text} after failed tries.");
            Problem::new(code, detail).retry_at(until)
        }
        _ => Problem::new(code, sentence(&refusal)),
    }
}

fn challenge(refusal: &Refusal) -> Problem {
    let code = match refusal {
        Refusal::Terminal { .. } => ErrorCode::ChallengeTerminal,
        Refusal::Expired { expires_at } => {
            let detail = format!("The challenge expired at {}.", rfc3339(*expires_at));
            return Problem::new(ErrorCode::ChallengeExpired, detail);
        }
        Refusal::NotDue { .. } | Refusal::OtherKind { .. } => ErrorCode::Conflict,
    };
    Problem::new(code, sentence(refusal))
}

/// An error's message as a sentence.
fn sentence(error: &impl std::fmt::Display) -> String {
    let message = error.to_string();
    let mut letters = message.chars();
    letters.next().map_or_else(String::new, |first| {
        format!("{}{}.", first.to_uppercase(), letters.as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_database_says_is_not_shown() {
        let error = Error::Backend {
            operation: "pair_device",
            source: "near SELECT".into(),
        };
        let problem = Problem::from(error);
        assert_eq!(problem.code(), ErrorCode::Unavailable);
        let shown = String::from_utf8(problem.to_json("r")).expect("UTF-8");
        assert!(
            !shown.contains("SELECT") && !shown.contains("pair_device"),
            "{shown}"
        );
        assert!(
            problem
                .source_chain()
                .is_some_and(|chain| chain.contains("near SELECT"))
        );
    }

    #[test]
    fn conflicts_have_the_codes_of_the_contract() {
        for (conflict, code) in [
            (Conflict::LastPlatformAdmin, ErrorCode::LastPlatformAdmin),
            (Conflict::PairingCodeInvalid, ErrorCode::PairingCodeInvalid),
            (Conflict::KeyReused, ErrorCode::CsrKeyReused),
            (Conflict::TenantExists, ErrorCode::Conflict),
        ] {
            assert_eq!(Problem::from(Error::Conflict(conflict)).code(), code);
        }
    }

    #[test]
    fn times_are_told_as_everywhere_else() {
        let expires_at = time::OffsetDateTime::UNIX_EPOCH;
        let problem = Problem::from(Error::Challenge(Refusal::Expired { expires_at }));
        let shown = String::from_utf8(problem.to_json("r")).expect("UTF-8");
        assert!(shown.contains("at 1970-01-01T00:00:00.000Z."), "{shown}");
    }

    #[test]
    fn messages_become_sentences() {
        assert_eq!(sentence(&"that is gone"), "That is gone.");
        assert_eq!(sentence(&""), "");
    }
}
