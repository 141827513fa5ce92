//! A platform administrator who cannot sign in is let in again.

use super::fault::Step;
use super::query::query;
use super::tx::ChangeTx;
use super::{operators, second_factor, sessions};
use crate::{Chain, Conflict, Event, OperatorId, PasswordHash, Role};

const SET_TEMPORARY_PASSWORD: &str = "
    UPDATE console_users SET password_hash = $2, must_change_password = true
    WHERE operator_id = $1";

/// Holds the console user's row first, as whatever opens a session or confirms codes does: what of it was
/// under way is seen here and ended.
pub(super) async fn recover(
    tx: &mut ChangeTx<'_>,
    operator_id: OperatorId,
    password: &PasswordHash,
) -> Step<()> {
    tx.tx.lock_operator(&operator_id).await?;
    let operator = operators::must_find(tx, &operator_id).await?;
    if operator.role != Role::PlatformAdmin {
        return Err(Conflict::NotPlatformAdmin.into());
    }
    query(SET_TEMPORARY_PASSWORD)
        .bind(operator_id.as_str())
        .bind(&password.0)
        .execute(tx.conn())
        .await?;
    second_factor::forget(tx, &operator_id).await?;
    sessions::end_all_but(tx, &operator_id, None).await?;
    sessions::forget_failures(tx, &operator_id).await?;
    let event = Event::ConsoleUserRecovered { operator_id };
    tx.post(&Chain::Platform, &event).await
}
