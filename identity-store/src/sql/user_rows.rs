//! Users and their palms as rows.

use super::connection::Connection;
use super::row::Row;
use identity_challenge::{PalmType, UserThrottle};
use identity_pki::TenantId;
use serde::Deserialize;

use super::column::{Columns, json, ms, word};
use super::contact::{Contact, StoredUser};
use super::fault::{Step, taken};
use super::query::{Sql, query};
use super::tx::ChangeTx;
use crate::{
    Conflict, Entity, Kyc, NewUser, Palm, PalmErasure, Result, StoredChallenge, User, UserId,
    UserPalmPolicy, UserStatus,
};

macro_rules! words {
    ($palms:literal, $rest:literal) => {
        concat!(
            "SELECT tenant_id, user_id, internal_id, erasure_id, display_name, email, mobile, suspended,
                    consent_status, kyc_status, kyc_provider, kyc_level, palm_policy,
                    consecutive_failures, last_failure_at, created_at, (",
            $palms,
            " FROM palms p WHERE p.tenant_id = u.tenant_id AND p.user_id = u.user_id) AS palms
             FROM users u ",
            $rest
        )
    };
}

/// A user with their palms as a JSON array.
macro_rules! select {
    ($rest:literal) => {
        Sql {
            sqlite: words!(
                "SELECT json_group_array(json_object('palm_type', palm_type, 'palm_id', palm_id,
                            'device_id', device_id, 'enrolled_at', enrolled_at)
                            ORDER BY palm_type)",
                $rest
            ),
            postgres: words!(
                "SELECT coalesce(json_agg(json_build_object('palm_type', palm_type,
                            'palm_id', palm_id, 'device_id', device_id,
                            'enrolled_at', enrolled_at) ORDER BY palm_type), '[]')::text",
                $rest
            ),
        }
    };
}

const ONE: Sql = select!("WHERE u.tenant_id = $1 AND u.user_id = $2");
pub(super) const LIST: Sql = select!(
    "WHERE u.tenant_id = $1 AND (u.created_at, u.internal_id) < ($2, $3) AND u.erasure_id IS NULL
     ORDER BY u.created_at DESC, u.internal_id DESC LIMIT $4"
);
const INSERT: &str = "
    INSERT INTO users (tenant_id, user_id, internal_id, display_name, email, mobile, suspended,
                       consent_status, kyc_status, palm_policy, consecutive_failures, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, false, 'none', 'none', $7, 0, $8)";
const UPDATE: &str = "
    UPDATE users
    SET suspended = $3, consent_status = $4, kyc_status = $5, kyc_provider = $6, kyc_level = $7,
        palm_policy = $8
    WHERE tenant_id = $1 AND user_id = $2";
const THROTTLE: &str = "
    UPDATE users SET consecutive_failures = $3, last_failure_at = $4
    WHERE tenant_id = $1 AND user_id = $2";
const ENROLL: &str = "
    INSERT INTO palms (tenant_id, user_id, palm_type, palm_id, device_id, enrolled_at)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (tenant_id, user_id, palm_type)
    DO UPDATE SET palm_id = $4, device_id = $5, enrolled_at = $6";
const FORGET_PALMS: &str = "DELETE FROM palms WHERE tenant_id = $1 AND user_id = $2";
const FORGET_PALM: &str = "
    DELETE FROM palms WHERE tenant_id = $1 AND user_id = $2 AND palm_type = $3";
const ERASE: &str = "
    INSERT INTO palm_erasures (tenant_id, user_id, palm_type, requested_at)
    VALUES ($1, $2, $3, $4)
    ON CONFLICT (tenant_id, user_id, palm_type) DO NOTHING";
const ERASE_STRAY: &str = "
    INSERT INTO palm_erasures (tenant_id, user_id, palm_type, requested_at)
    SELECT $1, $2, $3, $4
    WHERE NOT EXISTS (SELECT 1 FROM palms
                      WHERE tenant_id = $1 AND user_id = $2 AND palm_type = $3)
    ON CONFLICT (tenant_id, user_id, palm_type) DO NOTHING";
const NOT_DUE: &str = "
    DELETE FROM palm_erasures WHERE tenant_id = $1 AND user_id = $2 AND palm_type = $3";
const ERASED: &str = "
    DELETE FROM palm_erasures
    WHERE tenant_id = $1 AND user_id = $2 AND palm_type = $3 AND requested_at = $4";
const DUE: &str = "
    SELECT tenant_id, user_id, palm_type, requested_at FROM palm_erasures
    ORDER BY requested_at, tenant_id, user_id, palm_type LIMIT $1";

/// A palm as the query of its user gives it.
#[derive(Deserialize)]
struct PalmRow {
    palm_type: PalmType,
    palm_id: i64,
    device_id: identity_pki::DeviceId,
    enrolled_at: i64,
}

fn read_palms(columns: Columns<'_>) -> Result<Vec<Palm>> {
    let rows: Vec<PalmRow> = columns.json("palms")?;
    let palm = |row: PalmRow| {
        Ok(Palm {
            palm_type: row.palm_type,
            palm_id: row.palm_id,
            enrolled_at: columns.moment("palms", row.enrolled_at)?,
            device_id: row.device_id,
        })
    };
    rows.into_iter().map(palm).collect()
}

pub(super) fn read(row: &Row) -> Result<StoredUser> {
    let columns = Columns::of(row, "users");
    let throttle = UserThrottle::stored(
        columns.number("consecutive_failures")?,
        columns.time_option("last_failure_at")?,
    );
    let policy: UserPalmPolicy = columns.json("palm_policy")?;
    let user = User {
        tenant_id: columns.parse("tenant_id")?,
        user_id: columns.parse("user_id")?,
        internal_id: columns.parse("internal_id")?,
        display_name: None,
        email: None,
        mobile: None,
        status: status(columns.get("suspended")?, throttle),
        palms: read_palms(columns)?,
        consent_status: columns.word("consent_status")?,
        kyc: Kyc {
            status: columns.word("kyc_status")?,
            provider: columns.get("kyc_provider")?,
            level: columns.get("kyc_level")?,
        },
        palm_policy: policy,
        throttle,
        created_at: columns.time("created_at")?,
    };
    let contact = Contact::read(columns)?;
    Ok(StoredUser {
        user,
        contact,
        erasure_id: columns.parse_option("erasure_id")?,
    })
}

/// A lock is not stored: it is what the failed tries amount to, under any suspension.
pub(super) fn status(suspended: bool, throttle: UserThrottle) -> UserStatus {
    if suspended {
        UserStatus::Suspended
    } else if throttle.consecutive_failures() >= UserThrottle::LOCK_AT {
        UserStatus::Locked
    } else {
        UserStatus::Active
    }
}

pub(super) async fn find(
    conn: &mut Connection,
    tenant_id: &TenantId,
    user_id: &UserId,
) -> Step<Option<StoredUser>> {
    let user = find_even_erased(conn, tenant_id, user_id).await?;
    Ok(user.filter(|user| user.erasure_id.is_none()))
}

/// As [`find`], or one who is being erased.
pub(super) async fn find_even_erased(
    conn: &mut Connection,
    tenant_id: &TenantId,
    user_id: &UserId,
) -> Step<Option<StoredUser>> {
    let row = query(ONE)
        .bind(tenant_id.as_str())
        .bind(user_id.as_str())
        .fetch_optional(conn)
        .await?;
    Ok(row.as_ref().map(read).transpose()?)
}

/// The user, or the refusal that they are not there.
pub(super) async fn must_find(
    conn: &mut Connection,
    tenant_id: &TenantId,
    user_id: &UserId,
) -> Step<StoredUser> {
    let found = find(conn, tenant_id, user_id).await?;
    Ok(found.ok_or(Entity::User)?)
}

/// As [`must_find`], or one who is being erased.
pub(super) async fn must_find_even_erased(
    conn: &mut Connection,
    tenant_id: &TenantId,
    user_id: &UserId,
) -> Step<StoredUser> {
    let found = find_even_erased(conn, tenant_id, user_id).await?;
    Ok(found.ok_or(Entity::User)?)
}

pub(super) async fn insert(tx: &mut ChangeTx<'_>, user: &NewUser) -> Step<()> {
    let at = tx.at();
    let contact = Contact::of(&tx.tx.shared, user)?;
    query(INSERT)
        .bind(user.tenant_id.as_str())
        .bind(user.user_id.as_str())
        .bind(user.internal_id.as_str())
        .bind(contact.display_name.as_deref())
        .bind(contact.email.as_deref())
        .bind(contact.mobile.as_deref())
        .bind(json(&UserPalmPolicy::default())?)
        .bind(ms(at))
        .execute(tx.conn())
        .await
        .map_err(taken(Conflict::IdTaken))?;
    Ok(())
}

/// Writes everything about a user but their name and addresses, their palms and their failed tries.
pub(super) async fn update(tx: &mut ChangeTx<'_>, user: &User) -> Step<()> {
    query(UPDATE)
        .bind(user.tenant_id.as_str())
        .bind(user.user_id.as_str())
        .bind(user.status == UserStatus::Suspended)
        .bind(word(&user.consent_status)?)
        .bind(word(&user.kyc.status)?)
        .bind(user.kyc.provider.as_deref())
        .bind(user.kyc.level.as_deref())
        .bind(json(&user.palm_policy)?)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Writes a user's failed tries.
pub(super) async fn set_throttle(
    tx: &mut ChangeTx<'_>,
    user: &User,
    throttle: UserThrottle,
) -> Step<()> {
    query(THROTTLE)
        .bind(user.tenant_id.as_str())
        .bind(user.user_id.as_str())
        .bind(i64::from(throttle.consecutive_failures()))
        .bind(throttle.last_failure_at().map(ms))
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Records a palm, which is no longer due for erasure.
pub(super) async fn enroll(tx: &mut ChangeTx<'_>, user: &User, palm: &Palm) -> Step<()> {
    let (tenant_id, user_id) = (user.tenant_id.as_str(), user.user_id.as_str());
    query(ENROLL)
        .bind(tenant_id)
        .bind(user_id)
        .bind(palm.palm_type.as_str())
        .bind(palm.palm_id)
        .bind(palm.device_id.as_str())
        .bind(ms(palm.enrolled_at))
        .execute(tx.conn())
        .await?;
    query(NOT_DUE)
        .bind(tenant_id)
        .bind(user_id)
        .bind(palm.palm_type.as_str())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Both palms of a user no longer count and are due for erasure.
pub(super) async fn erase_all(tx: &mut ChangeTx<'_>, user: &User) -> Step<()> {
    let at = tx.at();
    for palm_type in PalmType::ALL {
        query(ERASE)
            .bind(user.tenant_id.as_str())
            .bind(user.user_id.as_str())
            .bind(palm_type.as_str())
            .bind(ms(at))
            .execute(tx.conn())
            .await?;
    }
    query(FORGET_PALMS)
        .bind(user.tenant_id.as_str())
        .bind(user.user_id.as_str())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// A palm that was enrolled for nobody is due for erasure, unless it is the user's.
pub(super) async fn erase_stray(
    tx: &mut ChangeTx<'_>,
    record: &StoredChallenge,
    palm_type: PalmType,
) -> Step<()> {
    let at = tx.at();
    query(ERASE_STRAY)
        .bind(record.tenant_id.as_str())
        .bind(record.user_id.as_str())
        .bind(palm_type.as_str())
        .bind(ms(at))
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Takes an erasure off the list, and the palm with it; returns whether it was due.
pub(super) async fn erased(tx: &mut ChangeTx<'_>, erasure: &PalmErasure) -> Step<bool> {
    let (tenant_id, user_id) = (erasure.tenant_id.as_str(), erasure.user_id.as_str());
    let erased = query(ERASED)
        .bind(tenant_id)
        .bind(user_id)
        .bind(erasure.palm_type.as_str())
        .bind(ms(erasure.requested_at))
        .execute(tx.conn())
        .await?;
    if erased == 0 {
        return Ok(false);
    }
    query(FORGET_PALM)
        .bind(tenant_id)
        .bind(user_id)
        .bind(erasure.palm_type.as_str())
        .execute(tx.conn())
        .await?;
    Ok(true)
}

pub(super) async fn due_erasures(conn: &mut Connection, limit: u32) -> Step<Vec<PalmErasure>> {
    let rows = query(DUE).bind(i64::from(limit)).fetch_all(conn).await?;
    let erasure = |row: &Row| {
        let columns = Columns::of(row, "palm_erasures");
        Ok(PalmErasure {
            tenant_id: columns.parse("tenant_id")?,
            user_id: columns.parse("user_id")?,
            palm_type: columns.parse("palm_type")?,
            requested_at: columns.time("requested_at")?,
        })
    };
    Ok(rows.iter().map(erasure).collect::<Result<_>>()?)
}
