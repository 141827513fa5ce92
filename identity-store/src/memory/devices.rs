use async_trait::async_trait;
use identity_challenge::CancelReason;
use identity_pki::{DeviceIdentity, PairingCodeHash, TbsSha256, TenantId};
use time::OffsetDateTime;

use super::MemoryStore;
use super::listing::page;
use super::state::{DeviceRow, State};
use super::transaction::Transaction;
use crate::{
    Change, Conflict, DenialReason, DeniedCertificate, Device, DeviceEdit, DeviceFilter,
    DeviceInfo, DeviceStanding, DeviceStatus, DeviceStore, DeviceWork, Entity, Error, Event,
    NewDevice, Page, PageRequest, PairDevice, Paired, PairingCandidate, PairingOffer, RenewDevice,
    RenewalGrace, Renewed, Result, Revocation,
};

#[async_trait]
impl DeviceStore for MemoryStore {
    async fn create_device(&self, change: Change, device: NewDevice) -> Result<Device> {
        self.commit(change, |tx| tx.create_device(device))
    }

    async fn create_devices(&self, change: Change, devices: Vec<NewDevice>) -> Result<()> {
        self.commit(change, |tx| {
            let mut devices = devices.into_iter();
            devices.try_for_each(|device| tx.create_device(device).map(drop))
        })
    }

    async fn device(
        &self,
        identity: &DeviceIdentity,
        now: OffsetDateTime,
    ) -> Result<Option<Device>> {
        Ok(self.state().devices.get(identity).map(|row| row.at(now)))
    }

    async fn devices(
        &self,
        tenant_id: &TenantId,
        filter: DeviceFilter,
        request: PageRequest,
    ) -> Result<Page<Device>> {
        let devices = self
            .state()
            .devices
            .values()
            .map(|row| row.at(filter.now))
            .filter(|device| device.identity.tenant_id() == tenant_id && matches(device, &filter))
            .collect();
        page(devices, &request, |device: &Device| {
            (device.created_at, device.identity.device_id().as_str())
        })
    }

    async fn update_device(
        &self,
        change: Change,
        identity: &DeviceIdentity,
        edit: DeviceEdit,
    ) -> Result<Device> {
        self.commit(change, |tx| tx.update_device(identity, edit))
    }

    async fn issue_pairing_code(
        &self,
        change: Change,
        identity: &DeviceIdentity,
        offer: PairingOffer,
        replace: bool,
    ) -> Result<Revocation> {
        self.commit(change, |tx| tx.issue_pairing_code(identity, offer, replace))
    }

    async fn pairing_candidate(
        &self,
        code_hash: &PairingCodeHash,
        now: OffsetDateTime,
    ) -> Result<Option<PairingCandidate>> {
        Ok(self.state().pairing_candidate(code_hash, now))
    }

    async fn pair_device(&self, change: Change, pairing: PairDevice) -> Result<Paired> {
        self.commit(change, |tx| tx.pair(pairing))
    }

    async fn renew_device(&self, change: Change, renewal: RenewDevice) -> Result<Renewed> {
        self.commit(change, |tx| tx.renew(renewal))
    }

    async fn end_renewal_grace(
        &self,
        change: Change,
        identity: &DeviceIdentity,
        superseded: &TbsSha256,
    ) -> Result<Option<DeniedCertificate>> {
        self.commit(change, |tx| {
            Ok(tx.end_renewal_grace(identity, Some(superseded)))
        })
    }

    async fn overdue_renewal_graces(
        &self,
        now: OffsetDateTime,
        limit: u32,
    ) -> Result<Vec<(DeviceIdentity, TbsSha256)>> {
        let state = self.state();
        let mut overdue: Vec<_> = state.renewal_graces.iter().collect();
        overdue.retain(|(_, grace)| grace.ends_at <= now);
        overdue.sort_by_key(|(_, grace)| grace.ends_at);
        overdue.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let named = |(identity, grace): (&DeviceIdentity, &RenewalGrace)| {
            (identity.clone(), grace.superseded)
        };
        Ok(overdue.into_iter().map(named).collect())
    }

    async fn revoke_device(&self, change: Change, identity: &DeviceIdentity) -> Result<Revocation> {
        self.commit(change, |tx| tx.revoke_device(identity))
    }

    async fn device_standing(
        &self,
        identity: &DeviceIdentity,
        now: OffsetDateTime,
    ) -> Result<Option<DeviceStanding>> {
        Ok(self.state().device_standing(identity, now))
    }

    async fn device_work(
        &self,
        identity: &DeviceIdentity,
        now: OffsetDateTime,
    ) -> Result<Option<DeviceWork>> {
        let state = self.state();
        let standing = state.device_standing(identity, now);
        Ok(standing.map(|standing| DeviceWork {
            standing,
            open_challenges: state.open_at_device(identity, now),
        }))
    }

    async fn touch_devices(&self, seen: Vec<(DeviceIdentity, OffsetDateTime)>) -> Result<()> {
        let mut state = self.state();
        for (identity, at) in seen {
            if let Some(row) = state.devices.get_mut(&identity) {
                row.device.last_seen_at = row.device.last_seen_at.max(Some(at));
            }
        }
        Ok(())
    }
}

impl State {
    fn device_standing(
        &self,
        identity: &DeviceIdentity,
        now: OffsetDateTime,
    ) -> Option<DeviceStanding> {
        let device = self.devices.get(identity)?.at(now);
        Some(DeviceStanding {
            status: device.status,
            active_tbs_sha256: device.certificate.map(|active| active.tbs_sha256),
            class: device.binding.class(),
            tenant_status: self.tenants.get(identity.tenant_id())?.status,
            renewal_grace: self.renewal_graces.get(identity).copied(),
        })
    }

    fn code_is_taken(&self, code_hash: &PairingCodeHash) -> bool {
        self.devices
            .values()
            .filter_map(|row| row.code.as_ref())
            .any(|code| code.code_hash == *code_hash)
    }
}

impl Transaction<'_> {
    pub(super) fn device_row(&mut self, identity: &DeviceIdentity) -> Result<&mut DeviceRow> {
        let row = self.state.devices.get_mut(identity);
        row.ok_or(Error::NotFound(Entity::Device))
    }

    fn create_device(&mut self, new: NewDevice) -> Result<Device> {
        let at = self.at();
        let tenant_id = new.identity.tenant_id().clone();
        self.tenant_mut(&tenant_id)?;
        if self.state.devices.contains_key(&new.identity)
            || self.state.code_is_taken(&new.pairing.code_hash)
        {
            return Err(Error::Conflict(Conflict::IdTaken));
        }
        let device = Device {
            identity: new.identity.clone(),
            name: new.name,
            location: new.location,
            binding: new.binding,
            tags: new.tags,
            status: DeviceStatus::PendingPairing,
            info: DeviceInfo::default(),
            certificate: None,
            pairing_expires_at: None,
            paired_at: None,
            revoked_at: None,
            revoked_by: None,
            last_seen_at: None,
            created_at: at,
        };
        let row = DeviceRow {
            device,
            code: Some(new.pairing),
        };
        let device = row.at(at);
        self.state.devices.insert(new.identity, row);
        self.tell(
            &tenant_id,
            &Event::DeviceCreated {
                device_id: device.identity.device_id().clone(),
                status: device.status,
            },
        );
        Ok(device)
    }

    pub(super) fn update_device(
        &mut self,
        identity: &DeviceIdentity,
        edit: DeviceEdit,
    ) -> Result<Device> {
        let at = self.at();
        let row = self.device_row(identity)?;
        if let Some(binding) = edit.binding {
            if binding.class() != row.device.binding.class() {
                return Err(Error::Conflict(Conflict::DeviceClassFixed));
            }
            row.device.binding = binding;
        }
        if let Some(name) = edit.name {
            row.device.name = name;
        }
        if let Some(location) = edit.location {
            row.device.location = location;
        }
        if let Some(tags) = edit.tags {
            row.device.tags = tags;
        }
        let device = row.at(at);
        self.tell(
            identity.tenant_id(),
            &Event::DeviceUpdated {
                device_id: identity.device_id().clone(),
                status: device.status,
            },
        );
        Ok(device)
    }

    fn issue_pairing_code(
        &mut self,
        identity: &DeviceIdentity,
        offer: PairingOffer,
        replace: bool,
    ) -> Result<Revocation> {
        let at = self.at();
        let taken = self.state.code_is_taken(&offer.code_hash);
        let row = self.device_row(identity)?;
        if row.device.status == DeviceStatus::Paired && !replace {
            return Err(Error::Conflict(Conflict::DeviceAlreadyPaired));
        }
        if taken {
            return Err(Error::Conflict(Conflict::IdTaken));
        }
        row.device.status = DeviceStatus::PendingPairing;
        row.device.certificate = None;
        row.code = Some(offer);
        let device = row.at(at);
        let denied = self.deny_all(identity, DenialReason::Replaced);
        self.tell(
            identity.tenant_id(),
            &Event::PairingCodeIssued {
                device_id: identity.device_id().clone(),
                status: device.status,
            },
        );
        self.cancel_challenges_at(identity, CancelReason::DeviceRevoked)?;
        Ok(Revocation { device, denied })
    }

    pub(super) fn revoke_device(&mut self, identity: &DeviceIdentity) -> Result<Revocation> {
        let at = self.at();
        let revoked_by = self.change.actor.id().to_owned();
        let row = self.device_row(identity)?;
        if row.device.status == DeviceStatus::Revoked {
            return Ok(Revocation {
                device: row.at(at),
                denied: Vec::new(),
            });
        }
        let active = row.device.certificate.take();
        row.device.status = DeviceStatus::Revoked;
        row.device.revoked_at = Some(at);
        row.device.revoked_by = Some(revoked_by.clone());
        row.code = None;
        let device = row.at(at);
        let denied = self.deny_all(identity, DenialReason::Revoked);
        self.tell(
            identity.tenant_id(),
            &Event::DeviceRevoked {
                device_id: identity.device_id().clone(),
                revoked_by,
                fingerprint: active.map(|certificate| certificate.fingerprint),
            },
        );
        self.cancel_challenges_at(identity, CancelReason::DeviceRevoked)?;
        Ok(Revocation { device, denied })
    }
}

pub(super) fn matches(device: &Device, filter: &DeviceFilter) -> bool {
    let not_after = device.certificate.as_ref().map(|record| record.not_after);
    let seen = device.last_seen_at;
    filter.status.is_none_or(|status| device.status == status)
        && filter
            .class
            .is_none_or(|class| device.binding.class() == class)
        && filter
            .tag
            .as_ref()
            .is_none_or(|(key, value)| device.tags.get(key) == Some(value))
        && filter
            .seen_since
            .is_none_or(|since| seen.is_some_and(|seen| seen >= since))
        && filter
            .unseen_since
            .is_none_or(|since| seen.is_none_or(|seen| seen < since))
        && filter
            .text
            .as_ref()
            .is_none_or(|text| mentions(device, text))
        && filter
            .has_certificate
            .is_none_or(|wanted| wanted == not_after.is_some())
        && filter
            .expires_after
            .is_none_or(|moment| not_after.is_some_and(|end| end > moment))
        && filter
            .expires_until
            .is_none_or(|moment| not_after.is_some_and(|end| end <= moment))
}

fn mentions(device: &Device, text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    [
        Some(device.name.as_str()),
        device.location.as_deref(),
        Some(device.identity.device_id().as_str()),
    ]
    .into_iter()
    .flatten()
    .any(|place| place.to_ascii_lowercase().contains(&text))
}
