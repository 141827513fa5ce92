//! All that the database has, read by the store's public interface.

use std::collections::{BTreeMap, HashSet};

use identity_pki::{SerialNumber, TenantId};
use identity_store::{
    AuditRow, Chain, ChallengeFilter, Device, DeviceFilter, Issuance, NamedSecret, OutboxEvent,
    Outcome, Page, PageRequest, Store, StoredChallenge, User,
};
use reference_server::audit::verify::{Verified, VerifyError, verify_all};
use reference_server::clock::{Clock as _, SystemClock};
use reference_server::tokens::Tokens;

use crate::database::Database;
use crate::stage::TENANT;

/// How much is read at once.
const BATCH: u32 = 200;

pub(crate) struct Records {
    pub(crate) ledger: Vec<Issuance>,
    /// The certificates that are on the denylist.
    pub(crate) denied: HashSet<SerialNumber>,
    pub(crate) devices: BTreeMap<String, Device>,
    pub(crate) users: BTreeMap<String, User>,
    pub(crate) challenges: Vec<StoredChallenge>,
    /// Challenges of which two attempts were under way at once.
    pub(crate) overlapping: Vec<String>,
    /// The rows of each chain.
    pub(crate) chains: Vec<Vec<AuditRow>>,
    /// What `audit verify` finds in what the servers sealed.
    pub(crate) verified: Vec<Result<Verified, VerifyError>>,
    pub(crate) outbox: Vec<OutboxEvent>,
}

impl Records {
    pub(crate) async fn read(database: &Database) -> Self {
        let store = &*database.store().await;
        let verified = verified(store).await;
        // Some jobs' last rows come after the sealer's last turn.
        while store
            .seal_audit(1_000)
            .await
            .expect("sealed")
            .is_full(1_000)
        {}
        let mut ledger = Vec::new();
        let mut denied = HashSet::new();
        for serial in database.serials().await {
            let issuance = store.issuance(&serial).await.expect("the ledger");
            let issuance = issuance.expect("a row that is listed");
            let denial = store.denial(&issuance.certificate.tbs_sha256).await;
            if denial.expect("the denylist").is_some() {
                denied.insert(serial);
            }
            ledger.push(issuance);
        }
        let records = Self {
            ledger,
            denied,
            devices: devices(store).await,
            users: users(store).await,
            challenges: challenges(store).await,
            overlapping: database.overlapping_attempts().await,
            chains: vec![
                chain(store, Chain::Platform).await,
                chain(store, Chain::Tenant(tenant())).await,
            ],
            verified,
            outbox: outbox(store).await,
        };
        store.close().await;
        records
    }

    /// How many audit rows tell that `action` succeeded on `subject`.
    pub(crate) fn audited(&self, action: &str, subject: &str) -> usize {
        let rows = self.chains.iter().flatten();
        rows.filter(|row| row.action == action && row.subject == subject)
            .filter(|row| row.outcome == Outcome::Succeeded)
            .count()
    }

    /// How many events of that type are on `subject`.
    pub(crate) fn announced(&self, event_type: &str, subject: &str) -> usize {
        let events = self.outbox.iter();
        events
            .filter(|event| event.event_type == event_type && event.subject == subject)
            .count()
    }
}

pub(crate) fn tenant() -> TenantId {
    TenantId::new(TENANT).expect("a tenant")
}

/// Every page of a list.
async fn all<T>(
    mut read: impl AsyncFnMut(PageRequest) -> identity_store::Result<Page<T>>,
) -> Vec<T> {
    let mut items = Vec::new();
    let mut page = PageRequest::first(BATCH);
    loop {
        let Page { data, next } = read(page).await.expect("a page");
        items.extend(data);
        match next {
            Some(cursor) => {
                page = PageRequest {
                    limit: BATCH,
                    after: Some(cursor),
                };
            }
            None => return items,
        }
    }
}

async fn devices(store: &dyn Store) -> BTreeMap<String, Device> {
    let filter = DeviceFilter::all(SystemClock.now());
    let devices = all(async |page| store.devices(&tenant(), filter.clone(), page).await).await;
    let by_id = |device: Device| (device.identity.device_id().to_string(), device);
    devices.into_iter().map(by_id).collect()
}

async fn users(store: &dyn Store) -> BTreeMap<String, User> {
    let users = all(async |page| store.users(&tenant(), page).await).await;
    let by_id = |user: User| (user.user_id.to_string(), user);
    users.into_iter().map(by_id).collect()
}

async fn challenges(store: &dyn Store) -> Vec<StoredChallenge> {
    let filter = ChallengeFilter::default();
    all(async |page| store.challenges(&tenant(), filter.clone(), page).await).await
}

async fn chain(store: &dyn Store, chain: Chain) -> Vec<AuditRow> {
    let (mut rows, mut after) = (Vec::new(), 0);
    loop {
        let more = store.sealed_audit(&chain, after, BATCH).await;
        let more = more.expect("the chain");
        let Some(last) = more.last() else {
            return rows;
        };
        after = last.position;
        rows.extend(more.into_iter().map(|sealed| sealed.row));
    }
}

async fn verified(store: &dyn Store) -> Vec<Result<Verified, VerifyError>> {
    let fresh = Tokens::fresh_key().expect("a key");
    let key = store.named_secret(NamedSecret::TokenSigningKey, fresh);
    let tokens = Tokens::load("", &key.await.expect("the key")).expect("a key");
    let mut all = Vec::new();
    let each = |outcome| all.push(outcome);
    let listed = verify_all(
        store,
        Some(&tokens),
        None,
        Vec::new(),
        SystemClock.now(),
        each,
    )
    .await;
    listed.expect("the chains");
    all
}

async fn outbox(store: &dyn Store) -> Vec<OutboxEvent> {
    let mut events = Vec::new();
    loop {
        let more = store.outbox(events.len() as u64, BATCH).await;
        let more = more.expect("the outbox");
        if more.is_empty() {
            return events;
        }
        events.extend(more);
    }
}
