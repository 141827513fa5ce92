use async_trait::async_trait;
use identity_challenge::{CancelReason, UserThrottle};
use identity_pki::TenantId;
use time::OffsetDateTime;

use super::cancel::{Whose, cancel_open};
use super::column::place;
use super::fault::Step;
use super::query::query;
use super::row::Row;
use super::tx::{ChangeTx, Isolation};
use super::{SqlStore, consents, contact, erasures, tenants, user_erasures, user_rows};
use crate::{
    Chain, Change, Conflict, Consent, ConsentStatus, Entity, Event, Kyc, NewConsent, NewUser, Page,
    PageRequest, PalmErasure, Result, User, UserEdit, UserId, UserPalmPolicy, UserStatus,
    UserStore,
};

async fn create(tx: &mut ChangeTx<'_>, new: &NewUser) -> Step<User> {
    tenants::must_find(tx.conn(), &new.tenant_id).await?;
    let known = user_rows::find_even_erased(tx.conn(), &new.tenant_id, &new.user_id).await?;
    if let Some(known) = known {
        return Err(match known.erasure_id {
            None => Conflict::UserExists.into(),
            Some(_) => Conflict::UserBeingErased.into(),
        });
    }
    user_rows::insert(tx, new).await?;
    let user = user_rows::must_find(tx.conn(), &new.tenant_id, &new.user_id).await?;
    let event = Event::UserCreated {
        user: user.subject(),
    };
    tx.post(&Chain::Tenant(user.tenant_id.clone()), &event)
        .await?;
    Ok(user.shown(&tx.tx.shared))
}

async fn suspend(
    tx: &mut ChangeTx<'_>,
    tenant_id: &TenantId,
    user_id: &UserId,
    suspended: bool,
) -> Step<User> {
    tx.lock_user(tenant_id, user_id).await?;
    let mut user = user_rows::must_find(tx.conn(), tenant_id, user_id).await?;
    if suspended == (user.status == UserStatus::Suspended) {
        return Ok(user.shown(&tx.tx.shared));
    }
    user.status = user_rows::status(suspended, user.throttle);
    user_rows::update(tx, &user).await?;
    let subject = user.subject();
    let event = if suspended {
        Event::UserSuspended { user: subject }
    } else {
        Event::UserReactivated { user: subject }
    };
    tx.post(&Chain::Tenant(tenant_id.clone()), &event).await?;
    if suspended {
        cancel_open(
            tx,
            Whose::User(tenant_id, user_id),
            CancelReason::UserBarred,
        )
        .await?;
    }
    Ok(user.shown(&tx.tx.shared))
}

async fn clear_lock(tx: &mut ChangeTx<'_>, tenant_id: &TenantId, user_id: &UserId) -> Step<User> {
    tx.lock_user(tenant_id, user_id).await?;
    let user = user_rows::must_find(tx.conn(), tenant_id, user_id).await?;
    user_rows::set_throttle(tx, &user, UserThrottle::default()).await?;
    let event = Event::UserUnlocked {
        user: user.subject(),
    };
    tx.post(&Chain::Tenant(tenant_id.clone()), &event).await?;
    let user = user_rows::must_find(tx.conn(), tenant_id, user_id).await?;
    Ok(user.shown(&tx.tx.shared))
}

async fn finish_erasure(tx: &mut ChangeTx<'_>, erasure: &PalmErasure) -> Step<()> {
    tx.lock_user(&erasure.tenant_id, &erasure.user_id).await?;
    let (tenant_id, user_id) = (&erasure.tenant_id, &erasure.user_id);
    let user = user_rows::must_find_even_erased(tx.conn(), tenant_id, user_id).await?;
    if user_rows::erased(tx, erasure).await? {
        user_erasures::palm_server_answered(tx, &user).await?;
        let event = Event::PalmErased {
            user: user.subject(),
        };
        let chain = Chain::Tenant(erasure.tenant_id.clone());
        tx.post(&chain, &event).await?;
    }
    Ok(())
}

async fn tell_updated(tx: &mut ChangeTx<'_>, user: &User) -> Step<()> {
    let event = Event::UserUpdated {
        user: user.subject(),
    };
    tx.post(&Chain::Tenant(user.tenant_id.clone()), &event)
        .await
}

async fn edit_contact(
    tx: &mut ChangeTx<'_>,
    tenant_id: &TenantId,
    user_id: &UserId,
    edit: &UserEdit,
) -> Step<User> {
    tx.lock_user(tenant_id, user_id).await?;
    let before = user_rows::must_find(tx.conn(), tenant_id, user_id).await?;
    contact::edit(tx, &before, edit).await?;
    tell_updated(tx, &before).await?;
    let user = user_rows::must_find(tx.conn(), tenant_id, user_id).await?;
    Ok(user.shown(&tx.tx.shared))
}

impl SqlStore {
    /// Changes what is known about a user beside their name and addresses.
    async fn edit_user(
        &self,
        name: &'static str,
        change: Change,
        tenant_id: &TenantId,
        user_id: &UserId,
        edit: impl FnOnce(&mut User) + Clone + Send + 'static,
    ) -> Result<User> {
        let (tenant_id, user_id) = (tenant_id.clone(), user_id.clone());
        self.run_change(name, Isolation::ReadCommitted, change, move |tx| {
            Box::pin(async move {
                tx.lock_user(&tenant_id, &user_id).await?;
                let mut user = user_rows::must_find(tx.conn(), &tenant_id, &user_id).await?;
                edit(&mut user);
                user_rows::update(tx, &user).await?;
                tell_updated(tx, &user).await?;
                Ok(user.shown(&tx.tx.shared))
            })
        })
        .await
    }
}

#[async_trait]
impl UserStore for SqlStore {
    async fn create_user(&self, change: Change, user: NewUser) -> Result<User> {
        self.run_change("create_user", Isolation::ReadCommitted, change, move |tx| {
            Box::pin(async move { create(tx, &user).await })
        })
        .await
    }

    async fn user(&self, tenant_id: &TenantId, user_id: &UserId) -> Result<Option<User>> {
        self.read("user", async |conn| {
            let user = user_rows::find(conn, tenant_id, user_id).await?;
            Ok(user.map(|user| user.shown(&self.shared)))
        })
        .await
    }

    async fn users(&self, tenant_id: &TenantId, page: PageRequest) -> Result<Page<User>> {
        let list = query(user_rows::LIST).bind(tenant_id.as_str());
        let read = |row: &Row| Ok(user_rows::read(row)?.shown(&self.shared));
        self.page("users", list, &page, read, |user| {
            place(user.created_at, user.internal_id.as_str())
        })
        .await
    }

    async fn update_user(
        &self,
        change: Change,
        tenant_id: &TenantId,
        user_id: &UserId,
        edit: UserEdit,
    ) -> Result<User> {
        let (tenant_id, user_id) = (tenant_id.clone(), user_id.clone());
        self.run_change("update_user", Isolation::ReadCommitted, change, move |tx| {
            Box::pin(async move { edit_contact(tx, &tenant_id, &user_id, &edit).await })
        })
        .await
    }

    async fn set_user_suspended(
        &self,
        change: Change,
        tenant_id: &TenantId,
        user_id: &UserId,
        suspended: bool,
    ) -> Result<User> {
        let (tenant_id, user_id) = (tenant_id.clone(), user_id.clone());
        self.run_change(
            "set_user_suspended",
            Isolation::ReadCommitted,
            change,
            move |tx| Box::pin(async move { suspend(tx, &tenant_id, &user_id, suspended).await }),
        )
        .await
    }

    async fn clear_lock(
        &self,
        change: Change,
        tenant_id: &TenantId,
        user_id: &UserId,
    ) -> Result<User> {
        let (tenant_id, user_id) = (tenant_id.clone(), user_id.clone());
        self.run_change("clear_lock", Isolation::ReadCommitted, change, move |tx| {
            Box::pin(async move { clear_lock(tx, &tenant_id, &user_id).await })
        })
        .await
    }

    async fn set_kyc(
        &self,
        change: Change,
        tenant_id: &TenantId,
        user_id: &UserId,
        kyc: Kyc,
    ) -> Result<User> {
        self.edit_user("set_kyc", change, tenant_id, user_id, |user| user.kyc = kyc)
            .await
    }

    async fn set_palm_policy(
        &self,
        change: Change,
        tenant_id: &TenantId,
        user_id: &UserId,
        policy: UserPalmPolicy,
    ) -> Result<User> {
        self.edit_user("set_palm_policy", change, tenant_id, user_id, |user| {
            user.palm_policy = policy;
        })
        .await
    }

    async fn record_consent(&self, change: Change, consent: NewConsent) -> Result<Consent> {
        self.run_change(
            "record_consent",
            Isolation::ReadCommitted,
            change,
            move |tx| Box::pin(consents::record(tx, consent)),
        )
        .await
    }

    async fn consents(&self, tenant_id: &TenantId, user_id: &UserId) -> Result<Vec<Consent>> {
        self.read("consents", async |conn| {
            consents::list(conn, tenant_id, user_id).await
        })
        .await
    }

    async fn withdraw_consent(
        &self,
        change: Change,
        tenant_id: &TenantId,
        user_id: &UserId,
    ) -> Result<User> {
        let (tenant_id, user_id) = (tenant_id.clone(), user_id.clone());
        self.run_change(
            "withdraw_consent",
            Isolation::ReadCommitted,
            change,
            move |tx| {
                Box::pin(async move {
                    tx.lock_user(&tenant_id, &user_id).await?;
                    let user = user_rows::must_find(tx.conn(), &tenant_id, &user_id).await?;
                    if user.consent_status != ConsentStatus::Granted {
                        return Err(Entity::Consent.into());
                    }
                    let user = consents::withdraw(tx, user).await?;
                    Ok(user.shown(&tx.tx.shared))
                })
            },
        )
        .await
    }

    async fn due_palm_erasures(&self, limit: u32) -> Result<Vec<PalmErasure>> {
        self.read("due_palm_erasures", async |conn| {
            user_rows::due_erasures(conn, limit).await
        })
        .await
    }

    async fn claim_palm_erasure(
        &self,
        erasure: &PalmErasure,
        now: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Result<bool> {
        let erasure = erasure.clone();
        let name = "claim_palm_erasure";
        self.run_tx(name, Isolation::ReadCommitted, move |tx| {
            Box::pin(async move { erasures::claim(tx, &erasure, now, until).await })
        })
        .await
    }

    async fn release_palm_erasure(
        &self,
        erasure: &PalmErasure,
        until: OffsetDateTime,
    ) -> Result<()> {
        let erasure = erasure.clone();
        let name = "release_palm_erasure";
        self.run_tx(name, Isolation::ReadCommitted, move |tx| {
            Box::pin(async move { erasures::release(tx, &erasure, until).await })
        })
        .await
    }

    async fn finish_palm_erasure(&self, change: Change, erasure: PalmErasure) -> Result<()> {
        self.run_change(
            "finish_palm_erasure",
            Isolation::ReadCommitted,
            change,
            move |tx| Box::pin(async move { finish_erasure(tx, &erasure).await }),
        )
        .await
    }
}
