//! A store whose chains reach over two months that are over, and a folder for archives.

use std::path::{Path, PathBuf};

use identity_store::{ArchiveManifest, AuditStore as _, Chain, ChainHead, MemoryStore, Month};
use reference_server::audit::archive::{ArchiveError, archive};
use reference_server::audit::heads;
use reference_server::audit::verify::{Verified, VerifyError, verify_all};
use reference_server::clock::entropy;
use reference_server::tokens::Tokens;
use tempfile::TempDir;
use time::OffsetDateTime;
use time::macros::datetime;

use crate::months::two_months;

pub(crate) const MARCH: OffsetDateTime = datetime!(2020-03-01 00:00 UTC);

pub(crate) struct World {
    pub(crate) store: MemoryStore,
    pub(crate) tokens: Tokens,
    pub(crate) folder: TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        let store = MemoryStore::new(entropy());
        two_months(&store).await;
        let key = Tokens::fresh_key().unwrap();
        Self {
            store,
            tokens: Tokens::load("https://id.example", &key).unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) async fn archive(&self, month: OffsetDateTime) -> Vec<ArchiveManifest> {
        self.try_archive(month, MARCH).await.unwrap()
    }

    pub(crate) async fn try_archive(
        &self,
        month: OffsetDateTime,
        now: OffsetDateTime,
    ) -> Result<Vec<ArchiveManifest>, ArchiveError> {
        archive(&self.store, Month::of(month), self.folder.path(), now).await
    }

    pub(crate) async fn verify(&self) -> Vec<Result<Verified, VerifyError>> {
        self.verify_with(Some(self.folder.path()), Vec::new()).await
    }

    pub(crate) async fn verify_with(
        &self,
        folder: Option<&Path>,
        noted: Vec<(Chain, ChainHead)>,
    ) -> Vec<Result<Verified, VerifyError>> {
        self.sign().await;
        self.verify_at(MARCH, folder, noted).await
    }

    /// Signs what grew, as the sealer does in each turn.
    pub(crate) async fn sign(&self) {
        let grown = self.store.unsigned_heads(100).await.unwrap();
        let signed = grown.into_iter().map(|state| {
            let signed = heads::sign(&self.tokens, state.chain, state.head, MARCH);
            signed.unwrap()
        });
        let kept = self.store.keep_signed_heads(signed.collect());
        kept.await.unwrap();
    }

    pub(crate) async fn verify_at(
        &self,
        now: OffsetDateTime,
        folder: Option<&Path>,
        noted: Vec<(Chain, ChainHead)>,
    ) -> Vec<Result<Verified, VerifyError>> {
        let mut outcomes = Vec::new();
        let each = |outcome| outcomes.push(outcome);
        let tokens = Some(&self.tokens);
        let verified = verify_all(&self.store, tokens, folder, noted, now, each).await;
        verified.unwrap();
        outcomes
    }

    /// What is wrong with the tenant's chain.
    pub(crate) async fn finding(&self) -> VerifyError {
        let outcomes = self.verify().await;
        let mut findings = outcomes.into_iter().filter_map(Result::err);
        let finding = findings.next().unwrap();
        assert!(findings.next().is_none() && finding.is_finding());
        finding
    }

    /// The file of the tenant's piece of a month.
    pub(crate) fn file(&self, month: OffsetDateTime) -> PathBuf {
        let name = format!("audit-tenant-acme-{}.ndjson", Month::of(month));
        self.folder.path().join(name)
    }
}
