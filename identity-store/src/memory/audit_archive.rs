use std::collections::BTreeMap;

use async_trait::async_trait;

use super::MemoryStore;
use crate::{
    ArchiveManifest, AuditArchiveStore, Chain, ChainHead, Conflict, Error, Month, Result, Retired,
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
        let mut retired = Retired {
            pieces: 0,
            unarchived: 0,
        };
        let archived = |name: &Chain| verified.get(name).map_or(0, |head| head.length);
        for (name, chain) in &state.chains {
            let mut due = chain.live.iter().filter(|sealed| sealed.row.at < end);
            let is_unarchived = due.any(|sealed| sealed.position > archived(name));
            retired.unarchived += u64::from(is_unarchived);
        }
        if retired.unarchived > 0 {
            return Ok(retired);
        }
        for (name, chain) in &mut state.chains {
            chain.live.retain(|sealed| sealed.row.at >= end);
            for manifest in &mut chain.archived {
                if !manifest.retired && manifest.head.length <= archived(name) {
                    manifest.retired = true;
                    retired.pieces += 1;
                }
            }
        }
        Ok(retired)
    }

    async fn prepare_audit_months(&self, _months: &[Month]) -> Result<u64> {
        Ok(0)
    }
}
