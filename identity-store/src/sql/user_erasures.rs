//! Erasures of users, and what is left of users meanwhile.

use async_trait::async_trait;
use identity_challenge::CancelReason;
use identity_pki::TenantId;
use time::OffsetDateTime;

use super::cancel::{Whose, cancel_open};
use super::column::{Columns, ms};
use super::connection::Connection;
use super::contact::StoredUser;
use super::fault::{Step, taken};
use super::query::query;
use super::row::Row;
use super::tx::{ChangeTx, Isolation};
use super::{SqlStore, challenge_erasure, user_rows};
use crate::{
    Chain, Change, Conflict, Entity, Erasure, ErasureId, ErasureStore, Event, Result, Tombstone,
    User, UserId,
};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT e.tenant_id, e.erasure_id, e.internal_id, e.requested_at, e.palm_server_at,
                    e.completed_at, e.receipt
             FROM erasures e ",
            $rest
        )
    };
}

const ONE: &str = select!("WHERE e.tenant_id = $1 AND e.erasure_id = $2");
const OF_USER: &str = select!(
    "JOIN users u ON u.tenant_id = e.tenant_id AND u.erasure_id = e.erasure_id
     WHERE e.tenant_id = $1 AND u.user_id = $2"
);
const RUNNING: &str = select!(
    "WHERE e.completed_at IS NULL AND (e.requested_at, e.tenant_id, e.erasure_id) > ($1, $2, $3)
     ORDER BY e.requested_at, e.tenant_id, e.erasure_id LIMIT $4"
);
const TOMBSTONES: &str = select!(
    "WHERE (e.tenant_id, e.erasure_id) > ($1, $2) ORDER BY e.tenant_id, e.erasure_id LIMIT $3"
);
const INSERT: &str = "
    INSERT INTO erasures (tenant_id, erasure_id, internal_id, requested_at)
    VALUES ($1, $2, $3, $4)";
/// What the palm server is still to be asked with stays: the id.
const EMPTY: &str = "
    UPDATE users
    SET erasure_id = $3, display_name = NULL, email = NULL, mobile = NULL, suspended = true,
        consent_status = 'none', kyc_status = 'none', kyc_provider = NULL, kyc_level = NULL,
        consecutive_failures = 0, last_failure_at = NULL
    WHERE tenant_id = $1 AND user_id = $2";
const FORGET_CONSENTS: &str = "DELETE FROM consents WHERE tenant_id = $1 AND user_id = $2";
const KNOWN_AS: &str = "
    SELECT user_id FROM users
    WHERE tenant_id = $1 AND internal_id = $2 AND erasure_id IS NULL";
const BEING_ERASED: &str = "
    SELECT user_id FROM users WHERE tenant_id = $1 AND erasure_id = $2";
const PALM_SERVER_ANSWERED: &str = "
    UPDATE erasures SET palm_server_at = $4
    WHERE tenant_id = $1 AND erasure_id = $2
      AND NOT EXISTS (SELECT 1 FROM palm_erasures due
                      WHERE due.tenant_id = $1 AND due.user_id = $3)";
const COMPLETE: &str = "
    UPDATE erasures SET completed_at = $4, receipt = $5
    WHERE tenant_id = $1 AND erasure_id = $2 AND palm_server_at IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM palm_erasures due
                      WHERE due.tenant_id = $1 AND due.user_id = $3)
      AND NOT EXISTS (SELECT 1 FROM challenges c WHERE c.tenant_id = $1 AND c.user_id = $3)";
const FORGET: &str = "DELETE FROM users WHERE tenant_id = $1 AND user_id = $2";

fn read(row: &Row) -> Result<Erasure> {
    let columns = Columns::of(row, "erasures");
    Ok(Erasure {
        tombstone: Tombstone {
            tenant_id: columns.parse("tenant_id")?,
            erasure_id: columns.parse("erasure_id")?,
            internal_id: columns.parse("internal_id")?,
        },
        requested_at: columns.time("requested_at")?,
        palm_server_at: columns.time_option("palm_server_at")?,
        completed_at: columns.time_option("completed_at")?,
        receipt: columns.get("receipt")?,
    })
}

async fn find(
    conn: &mut Connection,
    tenant_id: &TenantId,
    erasure_id: &ErasureId,
) -> Step<Option<Erasure>> {
    let row = query(ONE)
        .bind(tenant_id.as_str())
        .bind(erasure_id.as_str())
        .fetch_optional(conn)
        .await?;
    Ok(row.as_ref().map(read).transpose()?)
}

/// The user of the row that `statement` finds.
async fn user_of(
    conn: &mut Connection,
    statement: &'static str,
    tenant_id: &TenantId,
    id: &str,
) -> Step<Option<UserId>> {
    let row = query(statement)
        .bind(tenant_id.as_str())
        .bind(id)
        .fetch_optional(conn)
        .await?;
    let user_id = |row| Columns::of(row, "users").parse("user_id");
    Ok(row.as_ref().map(user_id).transpose()?)
}

async fn begin(
    tx: &mut ChangeTx<'_>,
    user: StoredUser,
    erasure_id: ErasureId,
    reason: String,
) -> Step<Erasure> {
    let at = tx.at();
    let erasure = Erasure {
        tombstone: Tombstone {
            tenant_id: user.tenant_id.clone(),
            erasure_id: erasure_id.clone(),
            internal_id: user.internal_id.clone(),
        },
        requested_at: at,
        palm_server_at: None,
        completed_at: None,
        receipt: None,
    };
    let (tenant_id, user_id) = (user.tenant_id.as_str(), user.user_id.as_str());
    query(INSERT)
        .bind(tenant_id)
        .bind(erasure_id.as_str())
        .bind(user.internal_id.as_str())
        .bind(ms(at))
        .execute(tx.conn())
        .await
        .map_err(taken(Conflict::IdTaken))?;
    let empty = query(EMPTY).bind(tenant_id).bind(user_id);
    empty.bind(erasure_id.as_str()).execute(tx.conn()).await?;
    let forget = query(FORGET_CONSENTS).bind(tenant_id).bind(user_id);
    forget.execute(tx.conn()).await?;
    user_rows::erase_all(tx, &user).await?;
    let event = Event::UserDeleted {
        user: user.subject(),
        erasure_id,
        reason,
    };
    tx.post(&Chain::Tenant(user.tenant_id.clone()), &event)
        .await?;
    let whose = Whose::User(&user.tenant_id, &user.user_id);
    cancel_open(tx, whose, CancelReason::UserBarred).await?;
    Ok(erasure)
}

async fn begin_once(
    tx: &mut ChangeTx<'_>,
    tenant_id: &TenantId,
    user_id: &UserId,
    erasure_id: ErasureId,
    reason: String,
) -> Step<Erasure> {
    tx.lock_user(tenant_id, user_id).await?;
    let user = user_rows::must_find_even_erased(tx.conn(), tenant_id, user_id).await?;
    match &user.erasure_id {
        None => begin(tx, user, erasure_id, reason).await,
        Some(running) if *running == erasure_id => {
            let erasure = find(tx.conn(), tenant_id, &erasure_id).await?;
            Ok(erasure.ok_or(Entity::User)?)
        }
        Some(_) => Err(Conflict::UserBeingErased.into()),
    }
}

async fn begin_again(tx: &mut ChangeTx<'_>, tombstone: Tombstone) -> Step<bool> {
    let Tombstone {
        tenant_id,
        erasure_id,
        internal_id,
    } = tombstone;
    let known = user_of(tx.conn(), KNOWN_AS, &tenant_id, internal_id.as_str()).await?;
    let Some(user_id) = known else {
        return Ok(false);
    };
    tx.lock_user(&tenant_id, &user_id).await?;
    let user = user_rows::find(tx.conn(), &tenant_id, &user_id).await?;
    match user.filter(|user| user.internal_id == internal_id) {
        None => Ok(false),
        Some(user) => {
            let reason = "restored from a backup".to_owned();
            begin(tx, user, erasure_id, reason).await.map(|_| true)
        }
    }
}

/// Notes that the palm server has answered for all palms of a user who is being erased, if it has.
pub(super) async fn palm_server_answered(tx: &mut ChangeTx<'_>, user: &StoredUser) -> Step<()> {
    let Some(erasure_id) = &user.erasure_id else {
        return Ok(());
    };
    let at = tx.at();
    let User {
        tenant_id, user_id, ..
    } = &user.user;
    query(PALM_SERVER_ANSWERED)
        .bind(tenant_id.as_str())
        .bind(erasure_id.as_str())
        .bind(user_id.as_str())
        .bind(ms(at))
        .execute(tx.conn())
        .await?;
    Ok(())
}

async fn complete(tx: &mut ChangeTx<'_>, tombstone: Tombstone, receipt: String) -> Step<bool> {
    let at = tx.at();
    let (tenant_id, erasure_id) = (&tombstone.tenant_id, tombstone.erasure_id.as_str());
    let user_id = user_of(tx.conn(), BEING_ERASED, tenant_id, erasure_id).await?;
    let Some(user_id) = user_id else {
        return Ok(false);
    };
    tx.lock_user(tenant_id, &user_id).await?;
    let completed = query(COMPLETE)
        .bind(tenant_id.as_str())
        .bind(erasure_id)
        .bind(user_id.as_str())
        .bind(ms(at))
        .bind(&receipt)
        .execute(tx.conn())
        .await?;
    if completed == 0 {
        return Ok(false);
    }
    let forget = query(FORGET)
        .bind(tenant_id.as_str())
        .bind(user_id.as_str());
    forget.execute(tx.conn()).await?;
    let chain = Chain::Tenant(tenant_id.clone());
    let event = Event::ErasureCompleted { tombstone, receipt };
    tx.post(&chain, &event).await?;
    Ok(true)
}

#[async_trait]
impl ErasureStore for SqlStore {
    async fn begin_erasure(
        &self,
        change: Change,
        tenant_id: &TenantId,
        user_id: &UserId,
        erasure_id: ErasureId,
        reason: String,
    ) -> Result<Erasure> {
        let (tenant_id, user_id) = (tenant_id.clone(), user_id.clone());
        self.run_change(
            "begin_erasure",
            Isolation::ReadCommitted,
            change,
            move |tx| {
                Box::pin(
                    async move { begin_once(tx, &tenant_id, &user_id, erasure_id, reason).await },
                )
            },
        )
        .await
    }

    async fn erase_again(&self, change: Change, tombstone: Tombstone) -> Result<bool> {
        self.run_change("erase_again", Isolation::ReadCommitted, change, move |tx| {
            Box::pin(begin_again(tx, tombstone))
        })
        .await
    }

    async fn erasure_of(&self, tenant_id: &TenantId, user_id: &UserId) -> Result<Option<Erasure>> {
        self.read("erasure_of", async |conn| {
            let row = query(OF_USER)
                .bind(tenant_id.as_str())
                .bind(user_id.as_str())
                .fetch_optional(conn)
                .await?;
            Ok(row.as_ref().map(read).transpose()?)
        })
        .await
    }

    async fn erasure(
        &self,
        tenant_id: &TenantId,
        erasure_id: &ErasureId,
    ) -> Result<Option<Erasure>> {
        self.read("erasure", async |conn| {
            find(conn, tenant_id, erasure_id).await
        })
        .await
    }

    async fn running_erasures(&self, after: Option<&Erasure>, limit: u32) -> Result<Vec<Erasure>> {
        self.read("running_erasures", async move |conn| {
            let whose = after.map(|after| &after.tombstone);
            let rows = query(RUNNING)
                .bind(after.map_or(i64::MIN, |after| ms(after.requested_at)))
                .bind(whose.map_or("", |whose| whose.tenant_id.as_str()))
                .bind(whose.map_or("", |whose| whose.erasure_id.as_str()))
                .bind(i64::from(limit))
                .fetch_all(conn)
                .await?;
            Ok(rows.iter().map(read).collect::<Result<_>>()?)
        })
        .await
    }

    async fn erase_challenges(
        &self,
        tombstone: &Tombstone,
        now: OffsetDateTime,
        limit: u32,
    ) -> Result<u64> {
        let tombstone = tombstone.clone();
        self.run_tx("erase_challenges", Isolation::ReadCommitted, move |tx| {
            Box::pin(async move {
                let Tombstone {
                    tenant_id,
                    erasure_id,
                    ..
                } = &tombstone;
                let user_id =
                    user_of(tx.conn(), BEING_ERASED, tenant_id, erasure_id.as_str()).await?;
                match user_id {
                    Some(user_id) => {
                        challenge_erasure::erase(tx, tenant_id, &user_id, now, limit).await
                    }
                    None => Ok(0),
                }
            })
        })
        .await
    }

    async fn complete_erasure(
        &self,
        change: Change,
        tombstone: &Tombstone,
        receipt: String,
    ) -> Result<bool> {
        let tombstone = tombstone.clone();
        self.run_change(
            "complete_erasure",
            Isolation::ReadCommitted,
            change,
            move |tx| Box::pin(complete(tx, tombstone, receipt)),
        )
        .await
    }

    async fn tombstones(&self, after: Option<&Tombstone>, limit: u32) -> Result<Vec<Tombstone>> {
        self.read("tombstones", async move |conn| {
            let rows = query(TOMBSTONES)
                .bind(after.map_or("", |after| after.tenant_id.as_str()))
                .bind(after.map_or("", |after| after.erasure_id.as_str()))
                .bind(i64::from(limit))
                .fetch_all(conn)
                .await?;
            let tombstone = |row| read(row).map(|erasure| erasure.tombstone);
            Ok(rows.iter().map(tombstone).collect::<Result<_>>()?)
        })
        .await
    }
}
