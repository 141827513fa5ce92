use identity_challenge::{AdmissionRefusal, Refusal};
use identity_pki::{RotationRule, TenantId};

use crate::DevicePolicy;

/// Everything that a store refuses or fails at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The thing that an operation names is not there, or belongs to another tenant.
    #[error("{0} not found")]
    NotFound(Entity),
    /// The state of things does not allow the operation; nothing was changed.
    #[error("{0}")]
    Conflict(Conflict),
    /// A challenge may not be created; nothing was changed.
    #[error("{0}")]
    Admission(AdmissionRefusal),
    /// A challenge does not take this transition; nothing was changed.
    #[error("{0}")]
    Challenge(Refusal),
    /// A device policy under which a new certificate would be due for renewal at once; nothing was
    /// changed.
    #[error(
        "a renewal window of {} days is not shorter than a validity of {} days{}",
        policy.renewal_window_days, policy.validity_days, of_tenant(tenant_id.as_ref())
    )]
    RenewalWindow {
        /// The tenant whose policy it would be; `None` for the platform's own.
        tenant_id: Option<TenantId>,
        /// The policy.
        policy: DevicePolicy,
    },
    /// Text that is not an id of its kind.
    #[error("not an id: {expected} is expected")]
    Id {
        /// The prefix or the alphabet.
        expected: &'static str,
    },
    /// Text that is not a cursor which an earlier page gave.
    #[error("the cursor is not one that an earlier page gave")]
    Cursor,
    /// Text that does not name events.
    #[error("events are named `*`, like `verification.*`, or like `verification.complete`")]
    EventPattern,
    /// Text that is not a month.
    #[error("a month is written YYYY-MM")]
    Month,
    /// A line of an export that is not an audit row.
    #[error("the line is no audit row of an export")]
    ExportedRow,
    /// A data encryption key that cannot be used.
    #[error("data encryption key: {0}")]
    Key(&'static str),
    /// An encrypted value that cannot be read.
    #[error("{table}.{column} of {row} {why}")]
    Decrypt {
        /// The table that holds it.
        table: &'static str,
        /// The column that holds it.
        column: &'static str,
        /// The row's key.
        row: String,
        /// Why not.
        why: Unreadable,
    },
    /// None of the configured data encryption keys is one that this database knows.
    #[error("none of the configured data encryption keys is this database's: it knows {known}")]
    ForeignDataKeys {
        /// The ids of those that it knows.
        known: String,
    },
    /// A data encryption key has the id of another that this database knows.
    #[error("the data encryption key `{id}` is not the one that this database knows by that id")]
    OtherDataKey {
        /// The id.
        id: String,
    },
    /// A stored value that cannot be read back.
    #[error("{table}.{column} holds a value that this version cannot read")]
    Corrupt {
        /// The table that holds it.
        table: &'static str,
        /// The column that holds it.
        column: &'static str,
    },
    /// The database's schema was made by a newer version.
    #[error(
        "the database has schema version {found}, this program knows {known}: upgrade the program"
    )]
    SchemaNewer {
        /// The newest migration applied.
        found: i64,
        /// The newest migration known.
        known: i64,
    },
    /// The database's schema is older, and migrating was switched off.
    #[error(
        "the database has schema version {found}, this program needs {known}: run `migrate` first"
    )]
    SchemaOlder {
        /// The newest migration applied; 0 for an empty database.
        found: i64,
        /// The newest migration known.
        known: i64,
    },
    /// A database URL that no back end takes.
    #[error("the database URL {0}")]
    Url(&'static str),
    /// A backup that is not made.
    #[error("the backup {0}")]
    Backup(&'static str),
    /// The database stayed busy for every try of a transaction.
    #[error("{transaction} found the database busy (tries: {tries})")]
    Busy {
        /// The transaction's name.
        transaction: &'static str,
        /// How often it was tried.
        tries: u32,
    },
    /// The database is not there to be opened or migrated.
    #[error("the database cannot be reached: start it, or correct the host and port of its URL")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database failed.
    #[error("{operation} failed in the database")]
    Backend {
        /// The transaction or read that failed.
        operation: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Whose policy it is that is not sound.
fn of_tenant(tenant_id: Option<&TenantId>) -> String {
    tenant_id.map_or_else(String::new, |id| format!(", which tenant {id} would have"))
}

/// Why an encrypted value cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// The data key that it names is none of those that are configured.
    #[error("cannot be decrypted with the configured data encryption keys")]
    NoDataKey,
    /// The data key that it names is configured and does not open it in its place.
    #[error("was altered: the data encryption key that it names does not open it there")]
    Altered,
    /// Its row is gone.
    #[error("is gone")]
    Gone,
}

/// What an operation looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Entity {
    /// A tenant.
    #[error("tenant")]
    Tenant,
    /// A device.
    #[error("device")]
    Device,
    /// A user.
    #[error("user")]
    User,
    /// A user's consent.
    #[error("consent")]
    Consent,
    /// A challenge.
    #[error("challenge")]
    Challenge,
    /// An OAuth client.
    #[error("OAuth client")]
    Client,
    /// A console user.
    #[error("console user")]
    Operator,
    /// A console session.
    #[error("session")]
    Session,
    /// A job.
    #[error("job")]
    Job,
    /// A console user's secret of one-time codes.
    #[error("secret of one-time codes")]
    Totp,
    /// A sign-in that waits for a code.
    #[error("sign-in that waits for a code")]
    SignIn,
    /// An endpoint that is told of events.
    #[error("webhook")]
    Webhook,
    /// That an endpoint is to be told of an event.
    #[error("delivery")]
    Delivery,
}

/// Why the state of things does not allow an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Conflict {
    /// The tenant id is taken.
    #[error("a tenant of that id exists")]
    TenantExists,
    /// The user id is taken in this tenant.
    #[error("a user of that id exists")]
    UserExists,
    /// The user who had this id is being erased, and the palm server may still know them by it.
    #[error("the user who had this id is being erased: it is free again when that is completed")]
    UserBeingErased,
    /// The console user's address is taken.
    #[error("a console user of that address exists")]
    OperatorExists,
    /// The console user's password was changed since it was verified.
    #[error("the password was changed since it was verified")]
    PasswordChanged,
    /// The console user's sign-ins ask for a code beside the password.
    #[error("sign-ins of this console user ask for a code")]
    CodeRequired,
    /// The code was used before, or is none of the console user's.
    #[error("the code was used before, or is none of the console user's")]
    CodeRefused,
    /// The console user's one-time codes are confirmed.
    #[error("one-time codes are in use already: remove them first")]
    TotpConfirmed,
    /// The operation would leave the platform without an administrator.
    #[error("the last platform administrator stays")]
    LastPlatformAdmin,
    /// The console user is no platform administrator.
    #[error(
        "the console user is no platform administrator: one of those deletes the user and makes them anew"
    )]
    NotPlatformAdmin,
    /// The device is paired, and replacing its certificate was not asked for.
    #[error("the device is paired; ask for its replacement to pair it anew")]
    DeviceAlreadyPaired,
    /// The device is not paired.
    #[error("the device is not paired")]
    DeviceNotPaired,
    /// The pairing code is unknown, used, replaced or expired.
    #[error("the pairing code is unknown, used, replaced or expired")]
    PairingCodeInvalid,
    /// The certificate that asks to be renewed is not, or no longer, the device's active one.
    #[error("the certificate was renewed already")]
    RenewalConflict,
    /// The device is of another class than the binding.
    #[error("a device's class never changes")]
    DeviceClassFixed,
    /// The client proves itself by keys, and takes no secret.
    #[error("the client proves itself by keys, and takes no secret")]
    ClientHasKeys,
    /// The key has had a certificate before.
    #[error("the key has had a certificate before")]
    KeyReused,
    /// An attempt at the challenge is being decided.
    #[error("an attempt at this challenge is being decided")]
    AttemptInProgress {
        /// The attempt's number.
        number: u32,
    },
    /// The attempt was decided already, or its lease passed to another.
    #[error("the attempt was decided already")]
    AttemptEnded,
    /// A console user's role does not fit its scope: a platform administrator has no tenant, every
    /// other console user has one, and neither changes.
    #[error("a platform administrator has no tenant, and every other console user keeps theirs")]
    RoleScope,
    /// An id, a code or a serial number that was drawn is taken: draw again.
    #[error("an id, a code or a serial number that was drawn is taken")]
    IdTaken,
    /// The change carries an answer, and its run of the request is not, or no longer, waiting for one:
    /// another run, or another request, has its key.
    #[error("the request was answered by another run of it")]
    RequestAnswered,
    /// The change is made under a lease that another replica has, or had, since.
    #[error("the lease passed to another replica")]
    LeaseLost,
    /// The secret that was to be replaced can be read, or was never made.
    #[error("the secret is not lost: it stays")]
    SecretNotLost,
    /// The secret that was to be replaced was altered, and one that was lost was meant.
    #[error(
        "the secret was altered, which no lost key does: find out who did it, and restore it from a backup if there is one"
    )]
    SecretAltered,
    /// A server that may still hold the secret that was to be replaced has a lease, or another process
    /// has the file open.
    #[error(
        "a server uses the database: stop every one of them, and wait half a minute for one that died"
    )]
    Served,
    /// A piece of an audit chain that does not lie behind the pieces before it.
    #[error("the piece does not lie behind the archived pieces of its chain")]
    ArchiveGap,
    /// The owner has as many endpoints as there may be.
    #[error("there are {} webhooks already: delete one first", crate::MAX_WEBHOOKS)]
    TooManyWebhooks,
    /// The endpoint is disabled.
    #[error("the webhook is disabled: enable it first")]
    WebhookDisabled,
    /// The CA of the new certificate was tainted or retired since it was signed.
    #[error("the CA that signed the certificate issues no more")]
    CaWithdrawn,
    /// The platform has a certificate that the uploaded key was not compared with: compare it again.
    #[error(
        "the platform has another certificate since the key was compared with those that it has"
    )]
    KeyNotCompared,
    /// The platform's CAs are not in states that allow it, such as one that is stored already.
    #[error(transparent)]
    CaRotation(#[from] RotationRule),
}

/// The result of a storage operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;
