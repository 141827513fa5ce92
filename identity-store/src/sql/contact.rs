//! A user's name and addresses, which stay encrypted until they are shown.

use std::ops::{Deref, DerefMut};

use super::Shared;
use super::column::Columns;
use super::encrypted::{self, EncryptedColumn, RowKey};
use super::fault::Step;
use super::query::query;
use super::tx::ChangeTx;
use crate::{ErasureId, NewUser, Result, User, UserEdit};

const SET: &str = "
    UPDATE users
    SET display_name = CASE WHEN $3 THEN $4 ELSE display_name END,
        email = CASE WHEN $5 THEN $6 ELSE email END,
        mobile = CASE WHEN $7 THEN $8 ELSE mobile END
    WHERE tenant_id = $1 AND user_id = $2";

/// A user's name and addresses as they are stored.
#[derive(Debug, Default)]
pub(super) struct Contact {
    pub(super) display_name: Option<Vec<u8>>,
    pub(super) email: Option<Vec<u8>>,
    pub(super) mobile: Option<Vec<u8>>,
}

impl Contact {
    pub(super) fn read(columns: Columns<'_>) -> Result<Self> {
        Ok(Self {
            display_name: columns.get("display_name")?,
            email: columns.get("email")?,
            mobile: columns.get("mobile")?,
        })
    }

    /// What a new user is stored with.
    pub(super) fn of(shared: &Shared, user: &NewUser) -> Result<Self> {
        let row = row(user.tenant_id.as_str(), user.user_id.as_str());
        let sealed = |column, text: &Option<String>| shared.sealed(column, &row, text.as_deref());
        Ok(Self {
            display_name: sealed(&encrypted::USER_DISPLAY_NAME, &user.display_name)?,
            email: sealed(&encrypted::USER_EMAIL, &user.email)?,
            mobile: sealed(&encrypted::USER_MOBILE, &user.mobile)?,
        })
    }
}

/// A user as decisions take them: without name and addresses, which only [`shown`](Self::shown)
/// decrypts.
#[derive(Debug)]
pub(super) struct StoredUser {
    pub(super) user: User,
    pub(super) contact: Contact,
    /// The erasure that is under way of the user.
    pub(super) erasure_id: Option<ErasureId>,
}

impl Deref for StoredUser {
    type Target = User;

    fn deref(&self) -> &User {
        &self.user
    }
}

impl DerefMut for StoredUser {
    fn deref_mut(&mut self) -> &mut User {
        &mut self.user
    }
}

impl StoredUser {
    /// The user with what can be read of their name and addresses.
    pub(super) fn shown(self, shared: &Shared) -> User {
        let row = row(self.tenant_id.as_str(), self.user_id.as_str());
        let text = |column, stored: Option<Vec<u8>>| shared.text(column, &row, stored.as_deref());
        User {
            display_name: text(&encrypted::USER_DISPLAY_NAME, self.contact.display_name),
            email: text(&encrypted::USER_EMAIL, self.contact.email),
            mobile: text(&encrypted::USER_MOBILE, self.contact.mobile),
            ..self.user
        }
    }
}

fn row(tenant_id: &str, user_id: &str) -> RowKey {
    RowKey::Texts(tenant_id.to_owned(), user_id.to_owned())
}

/// Writes the fields that an edit names, and leaves the others as they are, readable or not.
pub(super) async fn edit(tx: &mut ChangeTx<'_>, user: &User, edit: &UserEdit) -> Step<()> {
    let (tenant_id, user_id) = (user.tenant_id.as_str(), user.user_id.as_str());
    let row = row(tenant_id, user_id);
    let shared = &tx.tx.shared;
    let sealed = |column: &EncryptedColumn, field: &Option<Option<String>>| {
        let text = field.as_ref().and_then(Option::as_deref);
        shared.sealed(column, &row, text)
    };
    let display_name = sealed(&encrypted::USER_DISPLAY_NAME, &edit.display_name)?;
    let email = sealed(&encrypted::USER_EMAIL, &edit.email)?;
    let mobile = sealed(&encrypted::USER_MOBILE, &edit.mobile)?;
    query(SET)
        .bind(tenant_id)
        .bind(user_id)
        .bind(edit.display_name.is_some())
        .bind(display_name.as_deref())
        .bind(edit.email.is_some())
        .bind(email.as_deref())
        .bind(edit.mobile.is_some())
        .bind(mobile.as_deref())
        .execute(tx.conn())
        .await?;
    Ok(())
}
