//! Challenges that end because what they rest on was taken away.

use identity_challenge::CancelReason;
use identity_pki::{DeviceIdentity, TenantId};

use super::challenge_rows;
use super::fault::Step;
use super::tx::ChangeTx;
use crate::{Chain, Error, Event, UserId};

/// Whose open challenges end.
#[derive(Clone, Copy)]
pub(super) enum Whose<'a> {
    Device(&'a DeviceIdentity),
    User(&'a TenantId, &'a UserId),
}

/// Cancels the challenges that are open, and tells of each.
pub(super) async fn cancel_open(
    tx: &mut ChangeTx<'_>,
    whose: Whose<'_>,
    reason: CancelReason,
) -> Step<()> {
    let at = tx.at();
    let open = match whose {
        Whose::Device(device) => {
            tx.lock_open_at_device(device).await?;
            challenge_rows::open_at_device(tx.conn(), device, at).await?
        }
        Whose::User(tenant_id, user_id) => {
            tx.lock_open_of_user(tenant_id, user_id).await?;
            challenge_rows::open_of_user(tx.conn(), tenant_id, user_id, at).await?
        }
    };
    for mut record in open {
        record.challenge = record
            .challenge
            .apply(identity_challenge::Event::Cancel(reason), at)
            .map_err(Error::Challenge)?;
        challenge_rows::update(tx, &record).await?;
        let chain = Chain::Tenant(record.tenant_id.clone());
        tx.post(&chain, &Event::ChallengeCanceled(record.facts()))
            .await?;
    }
    Ok(())
}
