//! Answers to requests for consent, and what a withdrawal takes with it.

use super::connection::Connection;
use super::row::Row;
use identity_challenge::CancelReason;
use identity_pki::TenantId;

use super::cancel::{Whose, cancel_open};
use super::column::{Columns, json, ms};
use super::contact::StoredUser;
use super::fault::Step;
use super::query::query;
use super::tx::ChangeTx;
use super::user_rows;
use crate::{Chain, Consent, ConsentMethod, ConsentStatus, Event, NewConsent, Result, UserId};

const INSERT: &str = "
    INSERT INTO consents (tenant_id, user_id, position, recorded_at, version, purposes, granted,
                          method)
    SELECT $1, $2, coalesce(max(position), 0) + 1, $3, $4, $5, $6, $7
    FROM consents WHERE tenant_id = $1 AND user_id = $2";
const LIST: &str = "
    SELECT tenant_id, user_id, recorded_at, version, purposes, granted, method, withdrawn_at
    FROM consents WHERE tenant_id = $1 AND user_id = $2 ORDER BY position DESC";
const WITHDRAW: &str = "
    UPDATE consents SET withdrawn_at = $3
    WHERE tenant_id = $1 AND user_id = $2 AND granted AND withdrawn_at IS NULL";

fn read(row: &Row) -> Result<Consent> {
    let columns = Columns::of(row, "consents");
    Ok(Consent {
        consent: NewConsent {
            tenant_id: columns.parse("tenant_id")?,
            user_id: columns.parse("user_id")?,
            version: columns.get("version")?,
            purposes: columns.json("purposes")?,
            granted: columns.get("granted")?,
            method: ConsentMethod(columns.get("method")?),
        },
        recorded_at: columns.time("recorded_at")?,
        withdrawn_at: columns.time_option("withdrawn_at")?,
    })
}

/// A user's answers, newest first.
pub(super) async fn list(
    conn: &mut Connection,
    tenant_id: &TenantId,
    user_id: &UserId,
) -> Step<Vec<Consent>> {
    let rows = query(LIST)
        .bind(tenant_id.as_str())
        .bind(user_id.as_str())
        .fetch_all(conn)
        .await?;
    Ok(rows.iter().map(read).collect::<Result<_>>()?)
}

async fn insert(tx: &mut ChangeTx<'_>, consent: &NewConsent) -> Step<()> {
    let at = tx.at();
    query(INSERT)
        .bind(consent.tenant_id.as_str())
        .bind(consent.user_id.as_str())
        .bind(ms(at))
        .bind(&consent.version)
        .bind(json(&consent.purposes)?)
        .bind(consent.granted)
        .bind(&consent.method.0)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Records an answer: a consent, or a refusal, which withdraws the consent that stands.
pub(super) async fn record(tx: &mut ChangeTx<'_>, consent: NewConsent) -> Step<Consent> {
    tx.lock_user(&consent.tenant_id, &consent.user_id).await?;
    let mut user = user_rows::must_find(tx.conn(), &consent.tenant_id, &consent.user_id).await?;
    let chain = Chain::Tenant(user.tenant_id.clone());
    if consent.granted {
        user.consent_status = ConsentStatus::Granted;
        user_rows::update(tx, &user).await?;
        let event = Event::ConsentGranted {
            user: user.subject(),
            version: consent.version.clone(),
        };
        tx.post(&chain, &event).await?;
    } else if user.consent_status == ConsentStatus::Granted {
        withdraw(tx, user).await?;
    } else {
        let event = Event::ConsentWithdrawn {
            user: user.subject(),
        };
        tx.post(&chain, &event).await?;
    }
    insert(tx, &consent).await?;
    Ok(Consent {
        consent,
        recorded_at: tx.at(),
        withdrawn_at: None,
    })
}

/// Takes back the consent that stands, with the palms and the challenges that rested on it.
pub(super) async fn withdraw(tx: &mut ChangeTx<'_>, mut user: StoredUser) -> Step<StoredUser> {
    let at = tx.at();
    user.consent_status = ConsentStatus::Withdrawn;
    user.palms.clear();
    user_rows::update(tx, &user).await?;
    user_rows::erase_all(tx, &user).await?;
    query(WITHDRAW)
        .bind(user.tenant_id.as_str())
        .bind(user.user_id.as_str())
        .bind(ms(at))
        .execute(tx.conn())
        .await?;
    let event = Event::ConsentWithdrawn {
        user: user.subject(),
    };
    tx.post(&Chain::Tenant(user.tenant_id.clone()), &event)
        .await?;
    let whose = Whose::User(&user.tenant_id, &user.user_id);
    cancel_open(tx, whose, CancelReason::ConsentWithdrawn).await?;
    Ok(user)
}
