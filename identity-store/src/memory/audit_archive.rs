use std::collections::BTreeMap;

use async_trait::async_trait;

use super::MemoryStore;
use super::transaction::as_u64;
use crate::{
    ArchiveManifest, AuditArchiveStore, Chain, ChainHead, Conflict, Error, Month, Result, Retired,
    SealedRow,
};

const GAP: Error = Error::Conflict(Conflict::ArchiveGap);

#[async_trait]
impl AuditArchiveStore for MemoryStore {
    async fn archive_manifests(&self, chain: &Chain) -> Result<Vec<ArchiveManifest>> {
        let state = self.state();
        let archived = state.chains.get(chain).map(|chain| chain.archived.clone());
        Ok(archived.unwrap_or_default())
    }

    async fn keep_archive_manifest(&self, manifest: ArchiveManifest) -> Result<()> {
        let mut state = self.state();
        let chain = state.chains.get_mut(&manifest.chain).ok_or(GAP)?;
        let last = chain.archived.last();
        let end = last.map_or(ChainHead::EMPTY, |last| last.head);
        let is_later = last.is_none_or(|last| last.month < manifest.month);
        let ends_with_a_row = chain.live.iter().any(|row| row.head() == manifest.head);
        let follows = end == manifest.previous && is_later && ends_with_a_row;
        if !follows || end.length + manifest.rows != manifest.head.length {
            return Err(GAP);
        }
        chain.archived.push(manifest);
        Ok(())
    }

    async fn retire_audit(
        &self,
        month: Month,
        verified: Vec<(Chain, ChainHead)>,
    ) -> Result<Retired> {
        let mut state = self.state();
        let verified: BTreeMap<Chain, ChainHead> = verified.into_iter().collect();
        for (name, head) in &verified {
            let chain = state.chains.get(name).ok_or(GAP)?;
            if !chain.archived.iter().any(|manifest| manifest.head == *head) {
                return Err(GAP);
            }
        }
        let end = month.next().start();
        let live = state.chains.values().flat_map(|chain| &chain.live);
        let due: Vec<_> = live.filter(|sealed| sealed.row.at < end).collect();
        let rows = as_u64(due.len());
        let is_archived = |sealed: &&SealedRow| {
            let head = verified.get(&sealed.row.chain());
            head.is_some_and(|head| sealed.position <= head.length)
        };
        if !due.iter().all(is_archived) {
            return Ok(Retired {
                dropped: 0,
                kept: rows,
            });
        }
        for (name, chain) in &mut state.chains {
            chain.live.retain(|sealed| sealed.row.at >= end);
            let Some(head) = verified.get(name) else {
                continue;
            };
            for manifest in &mut chain.archived {
                manifest.retired |= manifest.head.length <= head.length;
            }
        }
        Ok(Retired {
            dropped: rows,
            kept: 0,
        })
    }

    async fn prepare_audit_months(&self, _months: &[Month]) -> Result<u64> {
        Ok(0)
    }
}
