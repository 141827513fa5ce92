//! The rows that a change decides on, held until its end.
//!
//! A transaction takes what it needs in one order, device before user before challenge, and before it
//! reads them. On SQLite, whose one writer holds everything, there is nothing to take.

use identity_pki::{DeviceIdentity, TenantId};

use super::connection::Connection;
use super::fault::Step;
use super::query::query;
use super::tx::{ChangeTx, Tx};
use crate::{ChallengeId, OperatorId, UserId};

const DEVICE: &str = "
    SELECT 1 FROM devices WHERE tenant_id = $1 AND device_id = $2 FOR NO KEY UPDATE";
const USER: &str = "
    SELECT 1 FROM users WHERE tenant_id = $1 AND user_id = $2 FOR NO KEY UPDATE";
const USER_OF_CHALLENGE: &str = "
    SELECT 1 FROM users WHERE tenant_id = $1 AND user_id =
        (SELECT user_id FROM challenges WHERE tenant_id = $1 AND challenge_id = $2)
    FOR NO KEY UPDATE";
const OPERATOR: &str = "
    SELECT 1 FROM console_users WHERE operator_id = $1 FOR NO KEY UPDATE";
const CHALLENGE: &str = "
    SELECT 1 FROM challenges WHERE tenant_id = $1 AND challenge_id = $2 FOR NO KEY UPDATE";
const OPEN_AT_DEVICE: &str = "
    SELECT 1 FROM challenges
    WHERE tenant_id = $1 AND device_id = $2 AND status IN ('pending', 'in_progress')
    ORDER BY challenge_id FOR NO KEY UPDATE";
const OPEN_OF_USER: &str = "
    SELECT 1 FROM challenges
    WHERE tenant_id = $1 AND user_id = $2 AND status IN ('pending', 'in_progress')
    ORDER BY challenge_id FOR NO KEY UPDATE";

impl Tx {
    pub(super) async fn lock_user(&mut self, tenant_id: &TenantId, user_id: &UserId) -> Step<()> {
        self.lock(USER, tenant_id.as_str(), user_id.as_str()).await
    }

    pub(super) async fn lock_operator(&mut self, operator_id: &OperatorId) -> Step<()> {
        if self.is_shared() {
            query(OPERATOR)
                .bind(operator_id.as_str())
                .fetch_all(self.conn())
                .await?;
        }
        Ok(())
    }

    async fn lock(&mut self, rows: &'static str, tenant_id: &str, id: &str) -> Step<()> {
        if self.is_shared() {
            query(rows)
                .bind(tenant_id)
                .bind(id)
                .fetch_all(self.conn())
                .await?;
        }
        Ok(())
    }

    /// Whether other writers work beside this one.
    pub(super) fn is_shared(&mut self) -> bool {
        match self.conn() {
            #[cfg(feature = "sqlite")]
            Connection::Sqlite(_) => false,
            #[cfg(feature = "postgres")]
            Connection::Postgres(_) => true,
        }
    }
}

impl ChangeTx<'_> {
    pub(super) async fn lock_device(&mut self, device: &DeviceIdentity) -> Step<()> {
        let (tenant_id, device_id) = (device.tenant_id().as_str(), device.device_id().as_str());
        self.lock(DEVICE, tenant_id, device_id).await
    }

    pub(super) async fn lock_user(&mut self, tenant_id: &TenantId, user_id: &UserId) -> Step<()> {
        self.tx.lock_user(tenant_id, user_id).await
    }

    pub(super) async fn lock_challenge(
        &mut self,
        tenant_id: &TenantId,
        challenge_id: &ChallengeId,
    ) -> Step<()> {
        self.lock(CHALLENGE, tenant_id.as_str(), challenge_id.as_str())
            .await
    }

    /// A challenge and the user whose palm it asks for.
    pub(super) async fn lock_challenge_and_user(
        &mut self,
        tenant_id: &TenantId,
        challenge_id: &ChallengeId,
    ) -> Step<()> {
        let (tenant, challenge) = (tenant_id.as_str(), challenge_id.as_str());
        self.lock(USER_OF_CHALLENGE, tenant, challenge).await?;
        self.lock_challenge(tenant_id, challenge_id).await
    }

    /// The open challenges of a device that is locked already.
    pub(super) async fn lock_open_at_device(&mut self, device: &DeviceIdentity) -> Step<()> {
        let (tenant_id, device_id) = (device.tenant_id().as_str(), device.device_id().as_str());
        self.lock(OPEN_AT_DEVICE, tenant_id, device_id).await
    }

    /// The open challenges of a user who is locked already.
    pub(super) async fn lock_open_of_user(
        &mut self,
        tenant_id: &TenantId,
        user_id: &UserId,
    ) -> Step<()> {
        self.lock(OPEN_OF_USER, tenant_id.as_str(), user_id.as_str())
            .await
    }

    async fn lock(&mut self, rows: &'static str, tenant_id: &str, id: &str) -> Step<()> {
        self.tx.lock(rows, tenant_id, id).await
    }
}
