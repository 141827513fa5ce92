use std::sync::{Arc, Mutex};

use identity_challenge::{CancelReason, ChallengeKind};
use identity_pki::Fingerprint;

use super::fixtures::{World, at};
use crate::{
    ChallengeStep, Notice, Origin, PrivateKeyPem, ServerCertRecord, StoreObserver, StoredChallenge,
    TenantStatus, Transaction, UnreadableValue,
};

/// Writes down what it is told of.
#[derive(Debug, Default)]
struct Notebook(Mutex<Vec<Notice>>);

impl Notebook {
    fn take(&self) -> Vec<Notice> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl StoreObserver for Notebook {
    fn noticed(&self, notice: &Notice, origin: Origin) {
        // A listener that has just connected says so.
        if !matches!(notice, Notice::Deaf | Notice::Lost) {
            assert_eq!(origin, Origin::Here);
            self.0.lock().unwrap().push(notice.clone());
        }
    }

    fn transaction_ended(&self, _transaction: &Transaction) {}

    fn unreadable(&self, _: &UnreadableValue) {}
}

fn challenge(record: &StoredChallenge) -> Notice {
    Notice::Challenge {
        tenant_id: record.tenant_id.clone(),
        challenge_id: record.challenge_id.clone(),
        device_id: record.device_id.clone(),
    }
}

pub async fn who_observes_is_told_of_what_was_committed(world: World) {
    let notebook = Arc::new(Notebook::default());
    let tenant_id = world.tenant("acme").await;
    let device = world.paired_device(&tenant_id).await;
    let user = world.enrolled_user(&device, "ada").await;
    world.store.observe(Arc::clone(&notebook) as _);

    let open = world.open(&user, &device, ChallengeKind::Verify).await;
    assert_eq!(notebook.take(), [challenge(&open)]);
    world
        .store
        .revoke_device(world.change(), &device.identity)
        .await
        .unwrap();
    assert_eq!(notebook.take(), [Notice::Denied, challenge(&open)]);
    let cert = ServerCertRecord {
        fingerprint: Fingerprint::from_bytes(world.digest()),
        chain_pem: "leaf\n".to_owned(),
        not_after: at(500),
    };
    world
        .store
        .put_server_cert(
            world.change(),
            cert,
            world.compared_key([]),
            PrivateKeyPem::new("key"),
        )
        .await
        .unwrap();
    assert_eq!(notebook.take(), [Notice::Certificates]);
    for (status, told) in [
        (TenantStatus::Active, &[][..]),
        (
            TenantStatus::Suspended,
            &[Notice::Tenant {
                tenant_id: tenant_id.clone(),
            }],
        ),
        (TenantStatus::Suspended, &[]),
        (
            TenantStatus::Active,
            &[Notice::Tenant {
                tenant_id: tenant_id.clone(),
            }],
        ),
    ] {
        let set = world
            .store
            .set_tenant_status(world.change(), &tenant_id, status);
        set.await.unwrap();
        assert_eq!(notebook.take(), told);
    }
    let renamed = world
        .store
        .rename_tenant(world.change(), &tenant_id, "Acme & Sons".to_owned());
    renamed.await.unwrap();
    assert_eq!(notebook.take(), []);
}

pub async fn a_refused_change_is_not_told(world: World) {
    let notebook = Arc::new(Notebook::default());
    let tenant_id = world.tenant("acme").await;
    let device = world.paired_device(&tenant_id).await;
    let user = world.enrolled_user(&device, "ada").await;
    let open = world.open(&user, &device, ChallengeKind::Verify).await;
    let cancel = ChallengeStep::Cancel(CancelReason::Integrator);
    let canceled = world.store.transition_challenge(
        world.change(),
        &tenant_id,
        &open.challenge_id,
        cancel.clone(),
    );
    canceled.await.unwrap();
    world.store.observe(Arc::clone(&notebook) as _);
    let again =
        world
            .store
            .transition_challenge(world.change(), &tenant_id, &open.challenge_id, cancel);
    again.await.unwrap_err();
    assert_eq!(notebook.take(), []);
}
