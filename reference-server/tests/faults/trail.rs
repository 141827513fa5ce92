//! What audit trail and outbox tell: 6.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use identity_challenge::{ChallengeKind, ChallengeStatus};
use identity_pki::TenantId;
use identity_store::{
    ConsentStatus, DeviceStatus, Issuance, IssuancePurpose, Outcome, StoredChallenge,
};
use reference_server::audit::verify::{Verified, VerifyError};

use crate::invariants::Violation;
use crate::journal::Book;
use crate::records::Records;

/// What is both audited and announced, under which names.
const AUDITED_AND_ANNOUNCED: [(&str, &str); 19] = [
    ("device_created", "device.created"),
    ("device_updated", "device.updated"),
    ("device_paired", "device.paired"),
    ("cert_renewed", "device.renewed"),
    ("device_revoked", "device.revoked"),
    ("challenge_created", "challenge.created"),
    ("challenge_expired", "challenge.expired"),
    ("challenge_canceled", "challenge.canceled"),
    ("challenge_denied", "challenge.denied"),
    ("verification_complete", "verification.complete"),
    ("palm_enrolled", "enrollment.complete"),
    ("palm_duplicate_detected", "enrollment.duplicate_detected"),
    ("palm_enrollment_failed", "enrollment.failed"),
    ("user_created", "user.created"),
    ("user_updated", "user.updated"),
    ("user_suspended", "user.suspended"),
    ("user_reactivated", "user.reactivated"),
    ("consent_granted", "consent.granted"),
    ("consent_withdrawn", "consent.withdrawn"),
];

/// 6: the chains verify to their heads, which are signed; every change has its audit row and its event,
/// and what is there tells which; a subject's events have no gap.
pub(crate) fn tells_everything(book: &Book, records: &Records) -> Vec<Violation> {
    let found = chains_are_broken(records)
        .into_iter()
        .chain(counts_differ(records))
        .chain(changes_are_missing(book, records))
        .chain(events_have_gaps(records));
    found.map(|what| Violation(6, what)).collect()
}

fn chains_are_broken(records: &Records) -> Vec<String> {
    let broken = |outcome: &Result<Verified, VerifyError>| match outcome {
        Err(broken) => Some(broken.to_string()),
        Ok(verified) if verified.signed < verified.head.length => {
            Some(format!("not signed to its end: {verified:?}"))
        }
        Ok(_) => None,
    };
    records.verified.iter().filter_map(broken).collect()
}

fn counts_differ(records: &Records) -> Vec<String> {
    let mut found = Vec::new();
    for (action, event_type) in AUDITED_AND_ANNOUNCED {
        let rows = records.chains.iter().flatten();
        let failed_is_an_event = action == "palm_enrollment_failed";
        let audited = rows
            .filter(|row| row.action == action)
            .filter(|row| failed_is_an_event || row.outcome == Outcome::Succeeded)
            .count();
        let events = records.outbox.iter();
        let announced = events
            .filter(|event| event.event_type == event_type)
            .count();
        if audited != announced {
            found.push(format!(
                "{action}: {audited} audited, {announced} announced"
            ));
        }
    }
    found
}

/// A change that must have been made so often for things to be as they are.
struct Made<'r> {
    action: &'static str,
    times: RangeInclusive<usize>,
    /// As audit rows call it.
    subject: &'r str,
    /// As events call it.
    announced: &'r str,
}

fn changes_are_missing(book: &Book, records: &Records) -> Vec<String> {
    let mut found = Vec::new();
    for made in devices(records)
        .chain(codes(book, records))
        .chain(users(records))
        .chain(challenges(records))
        .chain(ends(records))
    {
        let named = |(action, _): &&(&str, _)| *action == made.action;
        let event = AUDITED_AND_ANNOUNCED.iter().find(named);
        let audited = records.audited(made.action, made.subject);
        let announced = event.map(|(_, event)| records.announced(event, made.announced));
        if !made.times.contains(&audited) || announced.is_some_and(|n| !made.times.contains(&n)) {
            let (action, subject, times) = (made.action, made.announced, made.times);
            found.push(format!(
                "{subject}: {action} audited {audited} and announced {announced:?} times, not {times:?}"
            ));
        }
    }
    found
}

fn devices(records: &Records) -> impl Iterator<Item = Made<'_>> {
    records.devices.iter().flat_map(|(device, row)| {
        let issued = |purpose| {
            let of_device = |issuance: &&Issuance| {
                issuance.purpose == purpose
                    && issuance.certificate.identity.device_id().as_str() == device
            };
            records.ledger.iter().filter(of_device).count()
        };
        let revoked = usize::from(row.status == DeviceStatus::Revoked);
        let made = [
            ("device_created", 1),
            ("device_paired", issued(IssuancePurpose::Pairing)),
            ("cert_renewed", issued(IssuancePurpose::Renewal)),
            ("device_revoked", revoked),
        ];
        made.map(|(action, times)| Made {
            action,
            times: times..=times,
            subject: device,
            announced: device,
        })
    })
}

/// The code that a device was registered with is told by its `device_created`. Those under keys that
/// were given up may have been issued.
fn codes<'r>(book: &'r Book, records: &'r Records) -> impl Iterator<Item = Made<'r>> {
    records.devices.keys().map(|device| {
        let given = book.codes.iter().filter(|code| code.device == *device);
        let again = given.count().saturating_sub(1);
        Made {
            action: "pairing_code_issued",
            times: again..=again + book.given_up,
            subject: device,
            announced: device,
        }
    })
}

fn users(records: &Records) -> impl Iterator<Item = Made<'_>> {
    records.users.iter().flat_map(|(user, row)| {
        let consented = usize::from(row.consent_status == ConsentStatus::Granted);
        // Consent may be given again.
        let made = [
            ("user_created", 1..=1),
            ("consent_granted", consented..=usize::MAX),
        ];
        made.map(|(action, times)| Made {
            action,
            times,
            subject: row.internal_id.as_str(),
            announced: user,
        })
    })
}

fn challenges(records: &Records) -> impl Iterator<Item = Made<'_>> {
    records.challenges.iter().map(|record| Made {
        action: "challenge_created",
        times: 1..=1,
        subject: record.challenge_id.as_str(),
        announced: record.challenge_id.as_str(),
    })
}

fn ends(records: &Records) -> impl Iterator<Item = Made<'_>> {
    let ended = |record: &StoredChallenge| {
        let kind = record.challenge.kind();
        match (record.challenge.status(), kind) {
            (ChallengeStatus::Completed, ChallengeKind::Verify) => Some("verification_complete"),
            (ChallengeStatus::Completed, ChallengeKind::Enroll { .. }) => Some("palm_enrolled"),
            (ChallengeStatus::Denied, _) => Some("challenge_denied"),
            (ChallengeStatus::Canceled, _) => Some("challenge_canceled"),
            (ChallengeStatus::Expired, _) => Some("challenge_expired"),
            (
                ChallengeStatus::Pending | ChallengeStatus::InProgress | ChallengeStatus::Failed,
                _,
            ) => None,
        }
    };
    records.challenges.iter().filter_map(move |record| {
        Some(Made {
            action: ended(record)?,
            times: 1..=1,
            subject: record.challenge_id.as_str(),
            announced: record.challenge_id.as_str(),
        })
    })
}

fn events_have_gaps(records: &Records) -> Vec<String> {
    let mut found = Vec::new();
    let mut next: BTreeMap<(Option<&TenantId>, &str), u64> = BTreeMap::new();
    for event in &records.outbox {
        let place = next
            .entry((event.tenant_id.as_ref(), event.subject.as_str()))
            .or_default();
        *place += 1;
        if event.sequence != *place {
            found.push(format!(
                "{}: event {} at {place}",
                event.subject, event.sequence
            ));
        }
    }
    found
}
