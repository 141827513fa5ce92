//! The stage on which attempts are told.

use identity_challenge::{CancelReason, ChallengeKind, Refusal};
use identity_pki::TenantId;

use super::fixtures::World;
use super::verdicts::matched;
use super::witness::Told;
use crate::{
    AttemptLease, AttemptStart, AttemptVerdict, ChallengeStep, Conflict, Device, Error,
    PalmErasure, SampleDigest, StoredChallenge, StoredVerdict, User,
};

/// A tenant with a paired device and a user whose left palm is enrolled.
pub(super) struct Scene {
    pub(super) world: World,
    pub(super) tenant_id: TenantId,
    pub(super) device: Device,
    pub(super) user: User,
}

pub(super) async fn scene(world: World) -> Scene {
    let tenant_id = world.tenant("acme").await;
    let device = world.paired_device(&tenant_id).await;
    let user = world.enrolled_user(&device, "ada").await;
    Scene {
        world,
        tenant_id,
        device,
        user,
    }
}

impl Scene {
    pub(super) async fn open(&self, kind: ChallengeKind) -> StoredChallenge {
        self.world.open(&self.user, &self.device, kind).await
    }

    pub(super) fn sample(&self) -> SampleDigest {
        SampleDigest(self.world.digest())
    }

    /// Finishes an attempt that has to succeed.
    pub(super) async fn finishes(
        &self,
        seconds: i64,
        lease: AttemptLease,
        verdict: AttemptVerdict,
        told: Told,
    ) -> StoredVerdict {
        self.world
            .commits(self.world.change_at(seconds), told, async |change| {
                self.world
                    .store
                    .finish_attempt(change, lease, verdict)
                    .await
            })
            .await
    }

    /// Finishes an attempt of which nothing is told, because its challenge is over.
    pub(super) async fn finishes_too_late(
        &self,
        seconds: i64,
        lease: AttemptLease,
        verdict: AttemptVerdict,
    ) -> Refusal {
        let refusal = self
            .world
            .refuses(self.world.change_at(seconds), async |change| {
                self.world
                    .store
                    .finish_attempt(change, lease, verdict)
                    .await
            })
            .await;
        match refusal {
            Error::Challenge(refusal) => refusal,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn conflicts(&self, lease: &AttemptLease, conflict: Conflict) {
        let change = self.world.change_at(1);
        self.world
            .conflicts(change, conflict, async |change| {
                let lease = lease.clone();
                self.world
                    .store
                    .finish_attempt(change, lease, matched())
                    .await
            })
            .await;
    }

    pub(super) async fn cancel(&self, challenge: &StoredChallenge) {
        let step = ChallengeStep::Cancel(CancelReason::Integrator);
        let id = &challenge.challenge_id;
        let canceled = self
            .world
            .store
            .transition_challenge(self.world.change_at(1), &self.tenant_id, id, step)
            .await;
        canceled.unwrap();
    }

    pub(super) async fn due(&self) -> Vec<PalmErasure> {
        self.world.store.due_palm_erasures(9).await.unwrap()
    }

    pub(super) async fn reconciles(
        &self,
        challenge: &StoredChallenge,
        seconds: i64,
    ) -> (AttemptLease, bool) {
        match self.world.begin(challenge, seconds, self.sample()).await {
            Ok(AttemptStart::Begun {
                lease, reconcile, ..
            }) => (lease, reconcile),
            other => panic!("{other:?}"),
        }
    }
}

impl World {
    pub(super) async fn cancel_at(&self, challenge: &StoredChallenge, seconds: i64) {
        let step = ChallengeStep::Cancel(CancelReason::Integrator);
        let canceled = self.store.transition_challenge(
            self.change_at(seconds),
            &challenge.tenant_id,
            &challenge.challenge_id,
            step,
        );
        canceled.await.unwrap();
    }
}
