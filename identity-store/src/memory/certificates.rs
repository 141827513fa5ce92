use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use identity_pki::{DeviceId, DeviceIdentity, Fingerprint, SerialNumber, SpkiSha256, TbsSha256};
use time::{Duration, OffsetDateTime};

use super::MemoryStore;
use super::listing::page;
use super::state::State;
use super::transaction::{as_u64, as_usize};
use crate::model::DenialPurge;
use crate::{
    CertificateRecord, CertificateStore, DenialCursor, DeniedCertificate, DeniedPage, Issuance,
    Page, PageRequest, Result,
};

#[async_trait]
impl CertificateStore for MemoryStore {
    async fn issuance(&self, serial: &SerialNumber) -> Result<Option<Issuance>> {
        let state = self.state();
        let issuance = state
            .ledger
            .iter()
            .find(|issuance| issuance.certificate.serial == *serial);
        Ok(issuance.cloned())
    }

    async fn issuances(
        &self,
        device_id: Option<&DeviceId>,
        request: PageRequest,
    ) -> Result<Page<Issuance>> {
        let state = self.state();
        let of_the_device = |issuance: &&Issuance| {
            let found = issuance.certificate.identity.device_id();
            device_id.is_none_or(|device_id| device_id == found)
        };
        let rows: Vec<_> = state.ledger.iter().filter(of_the_device).collect();
        let serials: Vec<_> = rows
            .iter()
            .map(|row| row.certificate.serial.to_string())
            .collect();
        let rows = rows.into_iter().zip(&serials).collect();
        let page = page(rows, &request, |(issuance, serial)| {
            (issuance.issued_at, serial.as_str())
        })?;
        let data = page.data.into_iter().map(|(issuance, _)| issuance.clone());
        Ok(Page {
            data: data.collect(),
            next: page.next,
        })
    }

    async fn key_was_certified(&self, spki_sha256: &SpkiSha256) -> Result<bool> {
        Ok(self.state().key_was_certified(spki_sha256))
    }

    async fn active_devices(&self, now: OffsetDateTime) -> Result<BTreeMap<Fingerprint, u64>> {
        Ok(self.state().active_devices(now))
    }

    async fn denial(&self, tbs_sha256: &TbsSha256) -> Result<Option<DeniedCertificate>> {
        let state = self.state();
        let denied = state
            .denials
            .iter()
            .find(|denied| denied.tbs_sha256 == *tbs_sha256);
        Ok(denied.cloned())
    }

    async fn denials(&self, after: i64, limit: u32) -> Result<Vec<DeniedCertificate>> {
        let state = self.state();
        let beyond = state
            .denials
            .iter()
            .filter(|denied| denied.sequence > after);
        Ok(beyond.take(as_usize(limit)).cloned().collect())
    }

    async fn denied(&self, after: DenialCursor, limit: u32) -> Result<DeniedPage> {
        let denials = self.denials(after.sequence, limit).await?;
        let sequence = denials.last().map_or(after.sequence, |last| last.sequence);
        Ok(DeniedPage {
            digests: denials.iter().map(|denied| denied.tbs_sha256).collect(),
            next: DenialCursor {
                sequence,
                ..DenialCursor::default()
            },
            is_last: denials.len() < as_usize(limit),
        })
    }

    async fn purge_denials(&self, now: OffsetDateTime, step: Duration) -> Result<u64> {
        let mut state = self.state();
        let denied = state.denials.len();
        let first_denied = state.denials.first().map(|row| row.revoked_at);
        let turn = DenialPurge::turn(state.denials_purged, first_denied, now, step);
        state.denials_purged = Some(turn.place);
        state.denials.retain(|row| row.not_after >= turn.before);
        Ok(as_u64(denied - state.denials.len()))
    }
}

impl State {
    /// How many devices need each CA at `now`.
    pub(super) fn active_devices(&self, now: OffsetDateTime) -> BTreeMap<Fingerprint, u64> {
        let mut active = BTreeMap::new();
        for row in self.devices.values() {
            let needed = row.device.certificate.as_ref().into_iter();
            let needed = needed.chain(self.in_its_grace(&row.device.identity, now));
            let valid = needed.filter(|certificate| certificate.not_after >= now);
            for ca in BTreeSet::from_iter(valid.map(|certificate| certificate.ca_fingerprint)) {
                *active.entry(ca).or_default() += 1;
            }
        }
        active
    }

    /// The certificate of a device that may still repeat its renewal.
    fn in_its_grace(
        &self,
        identity: &DeviceIdentity,
        now: OffsetDateTime,
    ) -> Option<&CertificateRecord> {
        let grace = self.renewal_graces.get(identity)?;
        let mut ledger = self.ledger.iter().map(|issued| &issued.certificate);
        ledger.find(|issued| grace.covers(&issued.tbs_sha256, now))
    }
}
