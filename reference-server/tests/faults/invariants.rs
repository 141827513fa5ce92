//! The nine invariants, checked by one function after each fault.

use std::collections::{BTreeMap, HashSet};

use biowave_client::simulator::PalmServer;
use identity_challenge::ChallengeStatus;
use identity_pki::SerialNumber;
use identity_store::{ConsentStatus, DeviceStatus, Issuance, IssuancePurpose};
use reference_server::clock::{Clock as _, SystemClock};

use crate::clients::fingerprint;
use crate::database::Database;
use crate::journal::{Book, Told};
use crate::records::Records;
use crate::stage::Stage;
use crate::{retry, trail};

/// What is broken: the invariant's number, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation(pub(crate) u8, pub(crate) String);

/// How much there was to check.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Extent {
    pub(crate) certificates: usize,
    pub(crate) denied: usize,
    pub(crate) palms: usize,
    pub(crate) events: usize,
    pub(crate) unavailable: usize,
}

/// What the running processes showed, before they were stopped.
pub(crate) struct Shown {
    /// Logs, metrics and refusals.
    pub(crate) texts: Vec<String>,
    /// Certificates that were served and should not have been, and the other way round.
    pub(crate) violations: Vec<Violation>,
}

/// The invariants.
pub(crate) struct Invariants;

impl Invariants {
    /// Tries every certificate again on every replica, stops the replicas, and checks all nine
    /// invariants of what they left.
    pub(crate) async fn check(stage: &mut Stage) -> Extent {
        let shown = Self::look(stage).await;
        let (extent, violations) = Self::judge(stage, &stage.database, &shown).await;
        assert!(violations.is_empty(), "{violations:#?}");
        extent
    }

    /// What the replicas show while they run; then they are stopped.
    pub(crate) async fn look(stage: &mut Stage) -> Shown {
        let violations = retry::try_again(stage).await;
        retry::jobs_are_done(&*stage.database.store().await).await;
        let mut texts = vec![stage.metrics().await];
        stage.stop();
        texts.extend(stage.logs());
        Shown { texts, violations }
    }

    /// What is wrong with what they left.
    pub(crate) async fn judge(
        stage: &Stage,
        database: &Database,
        shown: &Shown,
    ) -> (Extent, Vec<Violation>) {
        let records = Records::read(database).await;
        let book = stage.clients.journal.book();
        let mut found = shown.violations.clone();
        found.extend(every_certificate_is_in_the_ledger(&book, &records));
        found.extend(superseded_certificates_are_denied(&records));
        found.extend(a_code_leads_to_one_certificate(&book, &records));
        found.extend(challenges_end_once(&records));
        found.extend(palms_agree(&records, &stage.palms));
        found.extend(trail::tells_everything(&book, &records));
        found.extend(what_was_told_is_there(&book, &records));
        found.extend(nothing_is_shown(&book, &records, &shown.texts));
        let extent = Extent {
            certificates: book.held.len(),
            denied: records.denied.len(),
            palms: records.users.values().map(|user| user.palms.len()).sum(),
            events: records.outbox.len(),
            unavailable: book.unavailable,
        };
        (extent, found)
    }
}

/// 1: every certificate that a client received stands in the ledger, as it was received, and serial
/// numbers are unique.
fn every_certificate_is_in_the_ledger(book: &Book, records: &Records) -> Vec<Violation> {
    let mut found = Vec::new();
    let in_ledger: HashSet<&str> = records.ledger.iter().map(pem).collect();
    for holding in &book.held {
        if !in_ledger.contains(holding.certificate.as_str()) {
            let fingerprint = fingerprint(&holding.certificate);
            found.push(Violation(1, format!("{fingerprint} is not in the ledger")));
        }
    }
    let serials: HashSet<_> = records.ledger.iter().map(serial).collect();
    if serials.len() != records.ledger.len() {
        found.push(Violation(1, "serial numbers repeat".to_owned()));
    }
    found
}

/// 2: every unexpired certificate of a device that is not its active one is denied, and its active
/// one is not.
fn superseded_certificates_are_denied(records: &Records) -> Vec<Violation> {
    let now = SystemClock.now();
    let mut found = Vec::new();
    for issuance in &records.ledger {
        let certificate = &issuance.certificate;
        if certificate.not_after < now {
            continue;
        }
        let device = records
            .devices
            .get(certificate.identity.device_id().as_str());
        let active = device.and_then(|device| device.certificate.as_ref());
        let is_active = active.is_some_and(|active| active.serial == certificate.serial);
        let is_denied = records.denied.contains(&certificate.serial);
        if is_active == is_denied {
            let what = format!(
                "{}: active {is_active}, denied {is_denied}",
                certificate.fingerprint
            );
            found.push(Violation(2, what));
        }
    }
    found
}

/// 3: a device's ledger has at most one pairing for each code that it was given, and each pairing's
/// certificate was received by the one client that has the code.
fn a_code_leads_to_one_certificate(book: &Book, records: &Records) -> Vec<Violation> {
    let mut found = Vec::new();
    let received: HashSet<&str> = book
        .codes
        .iter()
        .filter_map(|c| c.led_to.as_deref())
        .collect();
    let mut pairings: BTreeMap<&str, usize> = BTreeMap::new();
    for issuance in &records.ledger {
        if issuance.purpose == IssuancePurpose::Pairing {
            let device = issuance.certificate.identity.device_id().as_str();
            *pairings.entry(device).or_default() += 1;
            if !received.contains(pem(issuance)) {
                let what = format!("{device} was paired, and nobody has the certificate");
                found.push(Violation(3, what));
            }
        }
    }
    for (device, pairings) in pairings {
        let codes = book.codes.iter().filter(|code| code.device == device);
        let codes = codes.count();
        if pairings > codes {
            let what = format!("{device} was paired {pairings} times with {codes} codes");
            found.push(Violation(3, what));
        }
    }
    found
}

/// 4: a challenge has one terminal transition, and one attempt at a time.
fn challenges_end_once(records: &Records) -> Vec<Violation> {
    let mut found = Vec::new();
    for record in &records.challenges {
        let id = record.challenge_id.as_str();
        let announced = |of: &[&str]| of.iter().map(|t| records.announced(t, id)).sum::<usize>();
        let status = record.challenge.status();
        let expected = usize::from(status.is_terminal());
        let (ends, fitting) = (announced(&ENDS), announced(ends_as(status)));
        if (ends, fitting) != (expected, expected) {
            let what = format!("{id} is {status:?}: {ends} ends announced, {fitting} of that kind");
            found.push(Violation(4, what));
        }
    }
    for id in &records.overlapping {
        let what = format!("two attempts of {id} were under way at once");
        found.push(Violation(4, what));
    }
    found
}

const ENDS: [&str; 7] = [
    "verification.complete",
    "verification.failed",
    "enrollment.complete",
    "enrollment.failed",
    "challenge.denied",
    "challenge.canceled",
    "challenge.expired",
];

/// The events of which one tells that a challenge ended so.
fn ends_as(status: ChallengeStatus) -> &'static [&'static str] {
    match status {
        ChallengeStatus::Pending | ChallengeStatus::InProgress => &[],
        ChallengeStatus::Completed => &["verification.complete", "enrollment.complete"],
        ChallengeStatus::Failed => &["verification.failed", "enrollment.failed"],
        ChallengeStatus::Denied => &["challenge.denied"],
        ChallengeStatus::Canceled => &["challenge.canceled"],
        ChallengeStatus::Expired => &["challenge.expired"],
    }
}

/// 5: a user has one template for each palm at the palm server, and our record agrees.
fn palms_agree(records: &Records, palms: &PalmServer) -> Vec<Violation> {
    let mut theirs: Vec<(String, &str, i64)> = palms
        .templates()
        .into_iter()
        .map(|learnt| (learnt.user_id, word(learnt.palm_type), learnt.id))
        .collect();
    let mut ours: Vec<(String, &str, i64)> = Vec::new();
    for user in records.users.values() {
        for palm in &user.palms {
            let vendor_id = format!("{}:{}", user.tenant_id, user.user_id);
            ours.push((vendor_id, palm.palm_type.as_str(), palm.palm_id));
        }
    }
    theirs.sort();
    ours.sort();
    if theirs == ours {
        return Vec::new();
    }
    vec![Violation(5, format!("theirs {theirs:?}, ours {ours:?}"))]
}

const fn word(palm_type: biowave_client::PalmType) -> &'static str {
    match palm_type {
        biowave_client::PalmType::Left => "left",
        biowave_client::PalmType::Right => "right",
    }
}

/// 7: what was answered with 2xx is there.
fn what_was_told_is_there(book: &Book, records: &Records) -> Vec<Violation> {
    let missing = book.told.iter().filter(|told| !is_there(told, records));
    missing
        .map(|told| Violation(7, format!("was told and is not there: {told:?}")))
        .collect()
}

fn is_there(told: &Told, records: &Records) -> bool {
    let challenge = |id: &str| {
        let mut all = records.challenges.iter();
        all.find(|record| record.challenge_id.as_str() == id)
    };
    let completed =
        |id: &str| challenge(id).filter(|c| c.challenge.status() == ChallengeStatus::Completed);
    match told {
        Told::Registered { device } => records.devices.contains_key(device),
        Told::Revoked { device } => {
            let device = records.devices.get(device);
            device.is_some_and(|device| device.status == DeviceStatus::Revoked)
        }
        Told::User { user, name } => {
            let user = records.users.get(user);
            user.is_some_and(|user| user.display_name.as_ref() == Some(name))
        }
        Told::Consented { user } => {
            let user = records.users.get(user);
            user.is_some_and(|user| user.consent_status == ConsentStatus::Granted)
        }
        Told::Asked { challenge: id } => challenge(id).is_some(),
        Told::Enrolled {
            challenge: id,
            user,
        } => {
            let palms = records.users.get(user).map_or(0, |user| user.palms.len());
            completed(id).is_some() && palms == 1
        }
        Told::Verified {
            challenge: id,
            receipt,
        } => completed(id).is_some_and(|record| record.receipt.as_ref() == Some(receipt)),
    }
}

/// 8: no secret, name, contact datum or picture in logs, metrics, refusals or audit rows.
fn nothing_is_shown(book: &Book, records: &Records, shown: &[String]) -> Vec<Violation> {
    let rows = records.chains.iter().flatten();
    let rows = rows.map(|row| serde_json::to_string(row).expect("JSON"));
    let rows = rows.collect::<Vec<_>>().join("\n");
    let texts = [shown.join("\n"), book.refusals.join("\n"), rows];
    let leaks = book.canaries.iter().filter(|canary| {
        let canary = canary.as_str();
        texts.iter().any(|text| text.contains(canary))
    });
    leaks
        .map(|canary| Violation(8, format!("{canary} is shown")))
        .collect()
}

fn pem(issuance: &Issuance) -> &str {
    &issuance.certificate.pem
}

fn serial(issuance: &Issuance) -> SerialNumber {
    issuance.certificate.serial
}
