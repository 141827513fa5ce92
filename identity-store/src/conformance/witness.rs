//! Who watches a change: what it told, and that a refused one told nothing.

use std::collections::BTreeMap;

use crate::{
    AuditRow, Chain, Change, Conflict, Entity, Error, OutboxEvent, PageRequest, Reservation,
    Result, SealedRow, StoredAnswer,
};

use super::fixtures::{World, at};
use crate::posting::to_millisecond;

/// What a change is to tell: audit rows of tenants' chains, of the platform's chain, webhooks, each
/// in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) tenant: Vec<String>,
    pub(super) platform: Vec<String>,
    pub(super) webhooks: Vec<String>,
}

impl Told {
    /// Nothing at all.
    pub(super) fn nothing() -> Self {
        Self::default()
    }

    /// In the tenant's chain, and to its webhooks.
    pub(super) fn tenant(actions: &[&str], webhooks: &[&str]) -> Self {
        Self {
            tenant: owned(actions),
            webhooks: owned(webhooks),
            platform: Vec::new(),
        }
    }

    /// In the platform's chain alone.
    pub(super) fn platform(actions: &[&str]) -> Self {
        Self {
            platform: owned(actions),
            ..Self::default()
        }
    }

    /// In the platform's chain too.
    pub(super) fn and_platform(mut self, actions: &[&str]) -> Self {
        self.platform = owned(actions);
        self
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// Everything that was told so far.
#[derive(Debug, PartialEq)]
pub(super) struct Trail {
    pub(super) chains: BTreeMap<Chain, Vec<AuditRow>>,
    pub(super) outbox: Vec<OutboxEvent>,
}

impl Trail {
    /// The rows that were told since `before`.
    fn since(&self, before: &Self) -> (Vec<&AuditRow>, Vec<&AuditRow>, &[OutboxEvent]) {
        let mut tenant = Vec::new();
        let mut platform = Vec::new();
        for (chain, rows) in &self.chains {
            let known = before.chains.get(chain).map_or(0, Vec::len);
            match chain {
                Chain::Platform => platform.extend(&rows[known..]),
                Chain::Tenant(_) => tenant.extend(&rows[known..]),
            }
        }
        (tenant, platform, &self.outbox[before.outbox.len()..])
    }
}

impl World {
    /// The rows of a chain, all sealed.
    pub(super) async fn audit(&self, chain: &Chain) -> Vec<AuditRow> {
        let sealed = self.sealed(chain).await;
        sealed.into_iter().map(|sealed| sealed.row).collect()
    }

    /// The rows of a chain in their places, after a turn of the sealer that reaches all.
    pub(super) async fn sealed(&self, chain: &Chain) -> Vec<SealedRow> {
        self.store.seal_audit(u32::MAX).await.unwrap();
        let rows = self.store.sealed_audit(chain, 0, u32::MAX).await;
        rows.unwrap()
    }

    /// All events, after a turn of the sealer that reaches them.
    pub(super) async fn outbox(&self) -> Vec<OutboxEvent> {
        self.store.seal_audit(u32::MAX).await.unwrap();
        self.store.outbox(0, u32::MAX).await.unwrap()
    }

    pub(super) async fn trail(&self) -> Trail {
        let tenants = self.store.tenants(PageRequest::first(200)).await.unwrap();
        let tenants = tenants.data.into_iter().map(|tenant| tenant.tenant_id);
        let mut chains = BTreeMap::new();
        for chain in tenants.map(Chain::Tenant).chain([Chain::Platform]) {
            let rows = self.audit(&chain).await;
            chains.insert(chain, rows);
        }
        Trail {
            chains,
            outbox: self.outbox().await,
        }
    }

    /// Reserves a request and gives the answer that is to be kept for it.
    async fn reserved_answer(&self) -> StoredAnswer {
        let key = self.request_key();
        assert_eq!(self.reserve(&key).await, Reservation::Fresh);
        StoredAnswer {
            key,
            lease_until: at(60),
            status: 201,
            body: format!("{{\"n\":{}}}", self.draw()).into_bytes(),
        }
    }

    async fn reserve(&self, key: &crate::IdempotencyKey) -> Reservation {
        let reserved = self
            .store
            .reserve(*key, [7; 32], at(0), at(60), at(86_400))
            .await;
        reserved.unwrap()
    }

    /// Runs a change that has to succeed, and checks that it told exactly `told`, by whom it was
    /// made, and that its answer was kept with it.
    pub(super) async fn commits<T>(
        &self,
        change: Change,
        told: Told,
        run: impl AsyncFnOnce(Change) -> Result<T>,
    ) -> T {
        let before = self.trail().await;
        let answer = self.reserved_answer().await;
        let value = run(change.clone().answering(answer.clone())).await.unwrap();
        let after = self.trail().await;
        let (tenant, platform, webhooks) = after.since(&before);
        let actions = |rows: &[&AuditRow]| rows.iter().map(|row| row.action.clone()).collect();
        assert_eq!(
            Told {
                tenant: actions(&tenant),
                platform: actions(&platform),
                webhooks: webhooks.iter().map(|e| e.event_type.clone()).collect(),
            },
            told
        );
        for row in tenant.iter().chain(&platform) {
            assert_eq!(row.at, to_millisecond(change.at), "{row:?}");
            assert_eq!(row.actor.kind, change.actor.kind(), "{row:?}");
            assert_eq!(row.actor.id, change.actor.id(), "{row:?}");
            assert_eq!(row.request_id, change.request_id, "{row:?}");
            assert_eq!(row.ip, change.source, "{row:?}");
        }
        for event in webhooks {
            assert_eq!(event.at, to_millisecond(change.at), "{event:?}");
        }
        let kept = self.reserve(&answer.key).await;
        assert_eq!(kept, Reservation::Answered(answer));
        value
    }

    /// Runs a change that has to be refused, and checks that it told nothing and kept no answer.
    pub(super) async fn refuses<T: std::fmt::Debug>(
        &self,
        change: Change,
        run: impl AsyncFnOnce(Change) -> Result<T>,
    ) -> Error {
        let before = self.trail().await;
        let answer = self.reserved_answer().await;
        let refusal = run(change.answering(answer.clone())).await.unwrap_err();
        assert_eq!(self.trail().await, before);
        assert_eq!(self.reserve(&answer.key).await, Reservation::InProgress);
        refusal
    }

    /// As [`refuses`](Self::refuses), for a conflict.
    pub(super) async fn conflicts<T: std::fmt::Debug>(
        &self,
        change: Change,
        conflict: Conflict,
        run: impl AsyncFnOnce(Change) -> Result<T>,
    ) {
        match self.refuses(change, run).await {
            Error::Conflict(found) => assert_eq!(found, conflict),
            other => panic!("{other:?} in place of {conflict:?}"),
        }
    }

    /// As [`refuses`](Self::refuses), for something that is not there.
    pub(super) async fn misses<T: std::fmt::Debug>(
        &self,
        change: Change,
        entity: Entity,
        run: impl AsyncFnOnce(Change) -> Result<T>,
    ) {
        match self.refuses(change, run).await {
            Error::NotFound(found) => assert_eq!(found, entity),
            other => panic!("{other:?} in place of {entity:?}"),
        }
    }
}

/// Walks a list from its first page to its last, `limit` rows at a time.
pub(super) async fn walk<T>(
    limit: u32,
    read: impl AsyncFn(PageRequest) -> Result<crate::Page<T>>,
) -> Vec<T> {
    let mut rows = Vec::new();
    let mut request = PageRequest::first(limit);
    loop {
        let page = read(request.clone()).await.unwrap();
        assert!(page.data.len() <= limit.try_into().unwrap());
        rows.extend(page.data);
        let Some(next) = page.next else {
            return rows;
        };
        // Clients carry the cursor as text.
        let after = Some(crate::Cursor::decode(&next.encode()).unwrap());
        assert_ne!(after, request.after, "the walk stands still");
        request = PageRequest { limit, after };
    }
}
