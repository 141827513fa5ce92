//! The command `console-users recover`.

use identity_store::{Actor, Change, Store};

use crate::cli::print;
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::http::Email;
use crate::password::{Password, Passwords};
use crate::serve::open_as_it_is;
use crate::start::StartError;

/// Lets the platform administrator at `email` in again, who lost password, authenticator or both, whether
/// or not servers serve: prints a password that has to be changed at the next sign-in. Again gives another.
///
/// # Errors
///
/// [`StartError::NoConsoleUser`], and what the store refuses or fails at: the user stays as they were.
pub async fn recover(config: Config, email: &Email) -> Result<(), StartError> {
    let store = open_as_it_is(config).await?;
    let recovered = recover_at(&store, email).await;
    store.close().await;
    print(recovered?.expose())
}

async fn recover_at(store: &dyn Store, email: &Email) -> Result<Password, StartError> {
    let operator = store.operator_by_email(email.as_str()).await?;
    let operator = operator.ok_or_else(|| StartError::NoConsoleUser(email.as_str().to_owned()))?;
    let password = Password::generate();
    let hashed = Passwords::new()?
        .turn()
        .await
        .hash(password.clone())
        .await?;
    let actor = Actor::System("console_users_recover");
    let change = Change::new(SystemClock.now(), actor, "command:console-users-recover");
    store
        .recover_platform_admin(change, &operator.operator_id, hashed)
        .await?;
    Ok(password)
}
