use async_trait::async_trait;
use identity_pki::{DeviceIdentity, PairingCodeHash, TbsSha256, TenantId};
use time::OffsetDateTime;

use super::column::{Window, place};
use super::fault::Step;
use super::tx::{ChangeTx, Isolation};
use super::{SqlStore, device_rows, device_work, pairing, renewal_graces, seen, tenants};
use crate::{
    Chain, Change, Conflict, DeniedCertificate, Device, DeviceEdit, DeviceFilter, DeviceStanding,
    DeviceStore, DeviceWork, Event, NewDevice, Page, PageRequest, PairDevice, Paired,
    PairingCandidate, PairingOffer, RenewDevice, Renewed, Result, Revocation,
};

async fn create(tx: &mut ChangeTx<'_>, new: &NewDevice) -> Step<Device> {
    tenants::must_find(tx.conn(), new.identity.tenant_id()).await?;
    device_rows::insert(tx, new).await?;
    let at = tx.at();
    let device = device_rows::must_find(tx.conn(), &new.identity, at).await?;
    let event = Event::DeviceCreated {
        device_id: new.identity.device_id().clone(),
        status: device.status,
    };
    let chain = Chain::Tenant(new.identity.tenant_id().clone());
    tx.post(&chain, &event).await?;
    Ok(device)
}

pub(super) async fn edit(
    tx: &mut ChangeTx<'_>,
    identity: &DeviceIdentity,
    edit: DeviceEdit,
) -> Step<Device> {
    let at = tx.at();
    tx.lock_device(identity).await?;
    let mut device = device_rows::must_find(tx.conn(), identity, at).await?;
    if let Some(binding) = edit.binding {
        if binding.class() != device.binding.class() {
            return Err(Conflict::DeviceClassFixed.into());
        }
        device.binding = binding;
    }
    device.name = edit.name.unwrap_or(device.name);
    device.location = edit.location.unwrap_or(device.location);
    device.tags = edit.tags.unwrap_or(device.tags);
    device_rows::update(tx, &device).await?;
    let event = Event::DeviceUpdated {
        device_id: identity.device_id().clone(),
        status: device.status,
    };
    let chain = Chain::Tenant(identity.tenant_id().clone());
    tx.post(&chain, &event).await?;
    Ok(device)
}

impl SqlStore {
    /// Pairs a device in a transaction of its own.
    pub(super) async fn pair_alone(&self, change: Change, new: PairDevice) -> Result<Paired> {
        self.run_change("pair_device", Isolation::ReadCommitted, change, move |tx| {
            Box::pin(async move { pairing::pair(tx, &new).await })
        })
        .await
    }
}

#[async_trait]
impl DeviceStore for SqlStore {
    async fn create_device(&self, change: Change, device: NewDevice) -> Result<Device> {
        self.run_change(
            "create_device",
            Isolation::ReadCommitted,
            change,
            move |tx| Box::pin(async move { create(tx, &device).await }),
        )
        .await
    }

    async fn create_devices(&self, change: Change, devices: Vec<NewDevice>) -> Result<()> {
        self.run_change(
            "create_devices",
            Isolation::ReadCommitted,
            change,
            move |tx| {
                Box::pin(async move {
                    for device in &devices {
                        create(tx, device).await?;
                    }
                    Ok(())
                })
            },
        )
        .await
    }

    async fn device(
        &self,
        identity: &DeviceIdentity,
        now: OffsetDateTime,
    ) -> Result<Option<Device>> {
        self.read("device", async |conn| {
            device_rows::find(conn, identity, now).await
        })
        .await
    }

    async fn devices(
        &self,
        tenant_id: &TenantId,
        filter: DeviceFilter,
        page: PageRequest,
    ) -> Result<Page<Device>> {
        let window = Window::of(&page)?;
        let devices = self
            .read("devices", async |conn| {
                device_rows::list(conn, tenant_id, filter, window).await
            })
            .await?;
        Ok(Page::cut(devices, page.limit, |device| {
            place(device.created_at, device.identity.device_id().as_str())
        }))
    }

    async fn update_device(
        &self,
        change: Change,
        identity: &DeviceIdentity,
        new: DeviceEdit,
    ) -> Result<Device> {
        let identity = identity.clone();
        self.run_change(
            "update_device",
            Isolation::ReadCommitted,
            change,
            move |tx| Box::pin(async move { edit(tx, &identity, new).await }),
        )
        .await
    }

    async fn issue_pairing_code(
        &self,
        change: Change,
        identity: &DeviceIdentity,
        offer: PairingOffer,
        replace: bool,
    ) -> Result<Revocation> {
        let identity = identity.clone();
        self.run_change(
            "issue_pairing_code",
            Isolation::ReadCommitted,
            change,
            move |tx| {
                Box::pin(async move { pairing::issue_code(tx, &identity, &offer, replace).await })
            },
        )
        .await
    }

    async fn pairing_candidate(
        &self,
        code_hash: &PairingCodeHash,
        now: OffsetDateTime,
    ) -> Result<Option<PairingCandidate>> {
        self.look_up_in_a_group((*code_hash, now)).await
    }

    async fn pair_device(&self, change: Change, new: PairDevice) -> Result<Paired> {
        // An answer to keep is kept with the work that it answers.
        if change.answer.is_some() {
            self.pair_alone(change, new).await
        } else {
            self.pair_in_a_group(change, new).await
        }
    }

    async fn renew_device(&self, change: Change, renewal: RenewDevice) -> Result<Renewed> {
        self.run_change(
            "renew_device",
            Isolation::ReadCommitted,
            change,
            move |tx| Box::pin(async move { pairing::renew(tx, &renewal).await }),
        )
        .await
    }

    async fn end_renewal_grace(
        &self,
        change: Change,
        identity: &DeviceIdentity,
        superseded: &TbsSha256,
    ) -> Result<Option<DeniedCertificate>> {
        let (identity, superseded) = (identity.clone(), *superseded);
        self.run_change(
            "end_renewal_grace",
            Isolation::ReadCommitted,
            change,
            move |tx| {
                Box::pin(async move {
                    tx.lock_device(&identity).await?;
                    renewal_graces::end(tx, &identity, Some(&superseded)).await
                })
            },
        )
        .await
    }

    async fn overdue_renewal_graces(
        &self,
        now: OffsetDateTime,
        limit: u32,
    ) -> Result<Vec<(DeviceIdentity, TbsSha256)>> {
        self.read("overdue_renewal_graces", async move |conn| {
            renewal_graces::overdue(conn, now, limit).await
        })
        .await
    }

    async fn revoke_device(&self, change: Change, identity: &DeviceIdentity) -> Result<Revocation> {
        let identity = identity.clone();
        self.run_change(
            "revoke_device",
            Isolation::ReadCommitted,
            change,
            move |tx| Box::pin(async move { pairing::revoke(tx, &identity).await }),
        )
        .await
    }

    async fn device_standing(
        &self,
        identity: &DeviceIdentity,
        now: OffsetDateTime,
    ) -> Result<Option<DeviceStanding>> {
        self.read("device_standing", async |conn| {
            device_rows::standing(conn, identity, now).await
        })
        .await
    }

    async fn device_work(
        &self,
        identity: &DeviceIdentity,
        now: OffsetDateTime,
    ) -> Result<Option<DeviceWork>> {
        self.read("device_work", async |conn| {
            device_work::find(conn, identity, now).await
        })
        .await
    }

    async fn touch_devices(&self, seen: Vec<(DeviceIdentity, OffsetDateTime)>) -> Result<()> {
        for seen in seen.chunks(seen::AT_ONCE) {
            let seen = seen.to_vec();
            self.run_tx("touch_devices", Isolation::ReadCommitted, move |tx| {
                Box::pin(async move { seen::note(tx.conn(), &seen).await })
            })
            .await?;
        }
        Ok(())
    }
}
