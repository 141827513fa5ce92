use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use identity_pki::{Fingerprint, SpkiSha256};
use identity_store::{
    Actor, Change, ComparedKey, Notice, Origin, PrivateKeyPem, SecretStore as _, ServerCertRecord,
    Store as _, StoreObserver, Transaction, UnreadableValue,
};
use postgres_cluster::Database;
use time::OffsetDateTime;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::open;

/// Passes on what it is told.
#[derive(Debug)]
struct Heard(UnboundedSender<(Notice, Origin)>);

impl StoreObserver for Heard {
    fn noticed(&self, notice: &Notice, origin: Origin) {
        self.0.send((notice.clone(), origin)).unwrap();
    }

    fn transaction_ended(&self, _transaction: &Transaction) {}

    fn unreadable(&self, _value: &UnreadableValue) {}
}

pub(crate) async fn a_change_is_heard_in_another_process_and_in_its_own_once(database: Database) {
    let here = open(&database).await;
    let elsewhere = open(&database).await;
    let ((own, mut told), (other, mut heard)) = (unbounded_channel(), unbounded_channel());
    here.observe(Arc::new(Heard(own)));
    elsewhere.observe(Arc::new(Heard(other)));
    let news = (Notice::Certificates, Origin::Elsewhere);
    let mut changes = 0;
    // The listener may be connecting still: what is told then is read, not heard.
    loop {
        changes += 1;
        assert!(changes < 200, "nothing is heard");
        let cert = ServerCertRecord {
            fingerprint: Fingerprint::from_bytes([changes; 32]),
            chain_pem: "leaf\n".to_owned(),
            not_after: OffsetDateTime::UNIX_EPOCH,
        };
        let change = Change::new(OffsetDateTime::UNIX_EPOCH, Actor::System("test"), "req");
        let key = PrivateKeyPem::new("key");
        let compared = ComparedKey {
            spki_sha256: SpkiSha256::from_bytes([changes; 32]),
            with: BTreeSet::new(),
        };
        let put = here.put_server_cert(change, cert, compared, key);
        put.await.unwrap();
        let soon = tokio::time::timeout(Duration::from_millis(200), heard.recv());
        if soon
            .await
            .is_ok_and(|notice| notice.as_ref() == Some(&news))
        {
            break;
        }
    }
    here.close().await;
    let mut own = 0;
    while let Ok((notice, origin)) = told.try_recv() {
        if notice == Notice::Certificates {
            assert_eq!(origin, Origin::Here);
            own += 1;
        }
    }
    assert_eq!(own, changes);
}
