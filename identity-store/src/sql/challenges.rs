use async_trait::async_trait;
use identity_pki::{DeviceIdentity, TenantId};
use time::OffsetDateTime;

use super::column::{Window, place};
use super::fault::Step;
use super::tx::{ChangeTx, Isolation};
use super::{SqlStore, attempts, challenge_rows, device_rows, tenants, user_rows};
use crate::attempt::admit;
use crate::{
    AttemptLease, AttemptStanding, AttemptStart, AttemptVerdict, Chain, ChallengeFilter,
    ChallengeId, ChallengeStep, ChallengeStore, Change, Error, Event, NewChallenge, Page,
    PageRequest, Result, SampleDigest, StoredChallenge, StoredVerdict,
};

pub(super) async fn create(tx: &mut ChangeTx<'_>, new: NewChallenge) -> Step<StoredChallenge> {
    let at = tx.at();
    // A tenant that is not there has no users either, and that is what admission says.
    let tenant = tenants::find(tx.conn(), &new.tenant_id).await?;
    let config = tenant.map(|tenant| tenant.config).unwrap_or_default();
    let identity = DeviceIdentity::new(new.tenant_id.clone(), new.device_id.clone());
    tx.lock_device(&identity).await?;
    tx.lock_user(&new.tenant_id, &new.user_id).await?;
    let user = user_rows::find(tx.conn(), &new.tenant_id, &new.user_id).await?;
    let device = device_rows::find(tx.conn(), &identity, at).await?;
    let open = challenge_rows::open_at_device(tx.conn(), &identity, at).await?;
    let open = u32::try_from(open.len()).unwrap_or(u32::MAX);
    let record = admit(new, user.as_deref(), device.as_ref(), open, &config, at)?;
    challenge_rows::insert(tx, &record).await?;
    let chain = Chain::Tenant(record.tenant_id.clone());
    tx.post(&chain, &Event::ChallengeCreated(record.facts()))
        .await?;
    Ok(record)
}

async fn transition(
    tx: &mut ChangeTx<'_>,
    tenant_id: &TenantId,
    challenge_id: &ChallengeId,
    step: ChallengeStep,
) -> Step<StoredChallenge> {
    let at = tx.at();
    tx.lock_challenge(tenant_id, challenge_id).await?;
    let before = challenge_rows::must_find(tx.conn(), tenant_id, challenge_id).await?;
    let challenge = before
        .challenge
        .apply(step.event(), at)
        .map_err(Error::Challenge)?;
    if challenge == before.challenge {
        return Ok(before);
    }
    let record = StoredChallenge {
        challenge,
        ..before
    };
    challenge_rows::update(tx, &record).await?;
    let event = match step {
        ChallengeStep::Claim => return Ok(record),
        ChallengeStep::Deny { reason } => Event::ChallengeDenied {
            facts: record.facts(),
            reason,
        },
        ChallengeStep::Cancel(_) => Event::ChallengeCanceled(record.facts()),
    };
    tx.post(&Chain::Tenant(tenant_id.clone()), &event).await?;
    Ok(record)
}

async fn expire(tx: &mut ChangeTx<'_>, limit: u32) -> Step<Vec<StoredChallenge>> {
    let at = tx.at();
    let mut overdue = challenge_rows::overdue(tx.conn(), at, limit).await?;
    for record in &mut overdue {
        record.challenge = record
            .challenge
            .apply(identity_challenge::Event::Expire, at)
            .map_err(Error::Challenge)?;
        challenge_rows::update(tx, record).await?;
        let chain = Chain::Tenant(record.tenant_id.clone());
        tx.post(&chain, &Event::ChallengeExpired(record.facts()))
            .await?;
    }
    Ok(overdue)
}

#[async_trait]
impl ChallengeStore for SqlStore {
    async fn create_challenge(&self, change: Change, new: NewChallenge) -> Result<StoredChallenge> {
        self.run_change(
            "create_challenge",
            Isolation::ReadCommitted,
            change,
            move |tx| Box::pin(create(tx, new)),
        )
        .await
    }

    async fn challenge(
        &self,
        tenant_id: &TenantId,
        challenge_id: &ChallengeId,
    ) -> Result<Option<StoredChallenge>> {
        self.read("challenge", async |conn| {
            challenge_rows::find(conn, tenant_id, challenge_id).await
        })
        .await
    }

    async fn challenges(
        &self,
        tenant_id: &TenantId,
        filter: ChallengeFilter,
        page: PageRequest,
    ) -> Result<Page<StoredChallenge>> {
        let window = Window::of(&page)?;
        let records = self
            .read("challenges", async |conn| {
                challenge_rows::list(conn, tenant_id, filter, window).await
            })
            .await?;
        Ok(Page::cut(records, page.limit, |record| {
            place(record.challenge.created_at(), record.challenge_id.as_str())
        }))
    }

    async fn transition_challenge(
        &self,
        change: Change,
        tenant_id: &TenantId,
        challenge_id: &ChallengeId,
        step: ChallengeStep,
    ) -> Result<StoredChallenge> {
        let (tenant_id, challenge_id) = (tenant_id.clone(), challenge_id.clone());
        self.run_change(
            "transition_challenge",
            Isolation::ReadCommitted,
            change,
            move |tx| {
                Box::pin(async move { transition(tx, &tenant_id, &challenge_id, step).await })
            },
        )
        .await
    }

    async fn begin_attempt(
        &self,
        change: Change,
        tenant_id: &TenantId,
        challenge_id: &ChallengeId,
        sample: SampleDigest,
        lease_until: OffsetDateTime,
    ) -> Result<AttemptStart> {
        let (tenant_id, challenge_id) = (tenant_id.clone(), challenge_id.clone());
        self.run_change(
            "begin_attempt",
            Isolation::ReadCommitted,
            change,
            move |tx| {
                Box::pin(async move {
                    attempts::begin(tx, &tenant_id, &challenge_id, sample, lease_until).await
                })
            },
        )
        .await
    }

    async fn finish_attempt(
        &self,
        change: Change,
        lease: AttemptLease,
        verdict: AttemptVerdict,
    ) -> Result<StoredVerdict> {
        self.run_change(
            "finish_attempt",
            Isolation::ReadCommitted,
            change,
            move |tx| Box::pin(async move { attempts::finish(tx, &lease, &verdict).await }),
        )
        .await?
        .map_err(Error::Challenge)
    }

    async fn attempt(
        &self,
        tenant_id: &TenantId,
        challenge_id: &ChallengeId,
        number: u32,
    ) -> Result<Option<AttemptStanding>> {
        self.read("attempt", async |conn| {
            attempts::standing(conn, tenant_id, challenge_id, number).await
        })
        .await
    }

    async fn expire_challenges(&self, change: Change, limit: u32) -> Result<Vec<StoredChallenge>> {
        self.run_change(
            "expire_challenges",
            Isolation::ReadCommitted,
            change,
            move |tx| Box::pin(expire(tx, limit)),
        )
        .await
    }
}
