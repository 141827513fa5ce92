//! The calls to the palm server that one sample leads to.

use std::collections::BTreeSet;

use biowave_client::{BioWaveClient, Error, Matches, PalmTypes, Registration, Sample};
use identity_challenge::{PalmPolicy, PalmType};
use identity_pki::TenantId;
use identity_store::{PalmDuplicateAction, UserId, VendorState};
use uuid::Uuid;

use super::verdict::{self, Verdict};
use crate::clock;

/// Whose palm a sample is to be, or to become.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim<'a> {
    /// The tenant.
    pub(super) tenant_id: &'a TenantId,
    /// The user.
    pub(super) user_id: &'a UserId,
    /// Which palm.
    pub(super) palm_type: PalmType,
    /// When scores are a match.
    pub(super) policy: &'a PalmPolicy,
}

/// What came of asking: the verdict, and the header of the call that led to it.
#[derive(Debug)]
pub(super) struct Asked {
    /// The verdict.
    pub(super) verdict: Verdict,
    /// `request_id` of the call; `None` when none was made.
    pub(super) request_id: Option<Uuid>,
}

impl Asked {
    /// There is no palm server to ask.
    #[must_use]
    pub(super) fn nobody() -> Self {
        Self {
            verdict: Verdict::undecided(VendorState::NotReached),
            request_id: None,
        }
    }
}

/// Asks whether the sample is of the user.
pub(super) async fn verify(server: &BioWaveClient, sample: &Sample, claim: Claim<'_>) -> Asked {
    let (request_id, answer) = query(server, sample, claim).await;
    let verdict = verdict::of_query(&answer, claim.tenant_id, claim.user_id, claim.policy);
    Asked {
        verdict,
        request_id: Some(request_id),
    }
}

/// What an enrolment is to heed beside the claim.
#[derive(Debug, Clone, Copy)]
pub(super) struct EnrollRules<'a> {
    /// The palms that the user may be verified by.
    pub(super) allowed: &'a BTreeSet<PalmType>,
    /// What to do when the palm is another user's too.
    pub(super) on_duplicate: PalmDuplicateAction,
    /// Whether the answer to an earlier addition was lost.
    pub(super) reconcile: bool,
}

/// Asks the palm server to learn the sample, and before that, unless duplicates are allowed, whether it
/// is another user's palm. What the palm server has against a palm of its own accord stands in any case.
///
/// After an addition whose answer was lost the palm server may have the template, and our record says that
/// the user has none: if the sample matches it, it is taken over. If it stands in the way, it is erased, by
/// the job that erases: a deletion from here, whose answer is lost, could be carried out behind the next
/// attempt's addition.
pub(super) async fn enroll(
    server: &BioWaveClient,
    sample: &Sample,
    claim: Claim<'_>,
    rules: EnrollRules<'_>,
) -> Asked {
    let looks_first = match rules.on_duplicate {
        PalmDuplicateAction::Reject | PalmDuplicateAction::Flag => true,
        PalmDuplicateAction::Allow => rules.reconcile,
    };
    let mut duplicate_of = None;
    if looks_first {
        let (request_id, answer) = query(server, sample, claim).await;
        let asked = |verdict| Asked {
            verdict,
            request_id: Some(request_id),
        };
        let known = match verdict::of_search(&answer, claim.tenant_id, claim.user_id, claim.policy)
        {
            Ok(known) => known,
            Err(undecided) => return asked(undecided),
        };
        match (rules.on_duplicate, known.duplicate_of) {
            (PalmDuplicateAction::Reject, Some(other)) => return asked(Verdict::duplicate(other)),
            (PalmDuplicateAction::Flag, other) => duplicate_of = other,
            (PalmDuplicateAction::Reject, None) | (PalmDuplicateAction::Allow, _) => {}
        }
        if let Some(palm_id) = known.palm_id.filter(|_| rules.reconcile) {
            return asked(Verdict::added(palm_id).beside(duplicate_of));
        }
    }
    let asked = add(server, sample, claim, rules.allowed).await;
    let verdict = if rules.reconcile && asked.verdict.is_name_taken() {
        Verdict::in_the_way()
    } else {
        asked.verdict.beside(duplicate_of)
    };
    Asked { verdict, ..asked }
}

async fn add(
    server: &BioWaveClient,
    sample: &Sample,
    claim: Claim<'_>,
    allowed: &BTreeSet<PalmType>,
) -> Asked {
    let user_id = verdict::vendor_user_id(claim.tenant_id, claim.user_id);
    let registration = Registration {
        user_id: &user_id,
        palm_type: vendor_type(claim.palm_type),
        query_type: query_type(allowed),
    };
    let request_id = fresh_request_id();
    let answer = server.add(request_id, sample, &registration).await;
    Asked {
        verdict: verdict::of_add(&answer),
        request_id: Some(request_id),
    }
}

/// Makes the palm server forget a template; that there is none is as good.
///
/// # Errors
///
/// What the call failed with: it is safe to repeat.
pub(super) async fn erase(
    server: &BioWaveClient,
    tenant_id: &TenantId,
    user_id: &UserId,
    palm_type: PalmType,
) -> Result<(), Error> {
    let user_id = verdict::vendor_user_id(tenant_id, user_id);
    let palms = PalmTypes::from(vendor_type(palm_type));
    server
        .delete(fresh_request_id(), &user_id, palms)
        .await
        .map(|_| ())
}

async fn query(
    server: &BioWaveClient,
    sample: &Sample,
    claim: Claim<'_>,
) -> (Uuid, Result<Matches, Error>) {
    let request_id = fresh_request_id();
    (
        request_id,
        server
            .query(request_id, sample, vendor_type(claim.palm_type))
            .await,
    )
}

fn fresh_request_id() -> Uuid {
    uuid::Builder::from_random_bytes(clock::random_bytes()).into_uuid()
}

fn vendor_type(palm_type: PalmType) -> biowave_client::PalmType {
    match palm_type {
        PalmType::Left => biowave_client::PalmType::Left,
        PalmType::Right => biowave_client::PalmType::Right,
    }
}

/// The palm server's own lock. A user who may use both palms, or none for now, gets none there.
fn query_type(allowed: &BTreeSet<PalmType>) -> Option<PalmTypes> {
    match (
        allowed.contains(&PalmType::Left),
        allowed.contains(&PalmType::Right),
    ) {
        (true, false) => Some(PalmTypes::Left),
        (false, true) => Some(PalmTypes::Right),
        (true, true) | (false, false) => None,
    }
}
