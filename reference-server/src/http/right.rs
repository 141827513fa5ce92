//! Who may do what: the one table of rights, scopes and roles (contract §§3, 5).

use std::fmt;
use std::str::FromStr;

use identity_store::Role;

/// What a caller wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Right {
    /// Read the tenant's devices.
    DevicesRead,
    /// Read any tenant's devices, which is audited.
    AnyDevicesRead,
    /// Register and edit the tenant's devices, and give out pairing codes.
    DevicesWrite,
    /// Tag many of the tenant's devices at once.
    DevicesTag,
    /// Revoke the tenant's devices.
    DevicesRevoke,
    /// Read the tenant's users.
    UsersRead,
    /// Make and change the tenant's users.
    UsersWrite,
    /// Export what is held of one of the tenant's users.
    UsersExport,
    /// Erase the tenant's users, and follow their erasures.
    UsersDelete,
    /// Read consents.
    ConsentRead,
    /// Record and withdraw consents.
    ConsentWrite,
    /// Read the tenant's challenges.
    ChallengesRead,
    /// Create and cancel challenges.
    ChallengesWrite,
    /// Read the tenant's OAuth clients.
    ClientsRead,
    /// Make and delete the tenant's OAuth clients.
    ClientsWrite,
    /// Read the tenant's audit trail, and whether it is whole.
    AuditRead,
    /// Export the tenant's audit trail.
    AuditExport,
    /// Read and export the platform's audit trail, and any tenant's, which is audited.
    AnyAudit,
    /// Read the issuance ledger.
    Issuance,
    /// Read the tenant's webhooks, their deliveries and the tenant's events.
    WebhooksRead,
    /// Make, change and try out the tenant's webhooks, and send events again.
    WebhooksWrite,
    /// All of that for the platform's own.
    PlatformWebhooks,
    /// Read and change tenants and their settings.
    Tenants,
    /// Read and change TLS certificate and platform CA.
    Tls,
    /// Read and change the platform's device policy.
    DevicePolicy,
    /// Read and replace the keys that sign tokens and receipts.
    TokenKeys,
    /// Read and change console users.
    ConsoleUsers,
    /// Read the platform's jobs.
    Jobs,
    /// Read the tenant's jobs.
    DeviceJobs,
}

/// Who holds a right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holders {
    /// The scope of an access token that holds it, if one does.
    pub scope: Option<Scope>,
    /// The roles of console users that hold it.
    pub roles: &'static [Role],
}

impl Right {
    /// Every right.
    pub const ALL: &[Self] = &[
        Self::DevicesRead,
        Self::AnyDevicesRead,
        Self::DevicesWrite,
        Self::DevicesTag,
        Self::DevicesRevoke,
        Self::UsersRead,
        Self::UsersWrite,
        Self::UsersExport,
        Self::UsersDelete,
        Self::ConsentRead,
        Self::ConsentWrite,
        Self::ChallengesRead,
        Self::ChallengesWrite,
        Self::ClientsRead,
        Self::ClientsWrite,
        Self::AuditRead,
        Self::AuditExport,
        Self::AnyAudit,
        Self::Issuance,
        Self::WebhooksRead,
        Self::WebhooksWrite,
        Self::PlatformWebhooks,
        Self::Tenants,
        Self::Tls,
        Self::DevicePolicy,
        Self::TokenKeys,
        Self::ConsoleUsers,
        Self::Jobs,
        Self::DeviceJobs,
    ];

    /// Who holds it.
    #[must_use]
    pub const fn holders(self) -> Holders {
        const PLATFORM: &[Role] = &[Role::PlatformAdmin];
        const ADMIN: &[Role] = &[Role::TenantAdmin];
        const STAFF: &[Role] = &[Role::TenantAdmin, Role::TenantOperator];
        let (scope, roles) = match self {
            Self::DevicesRead => (Some(Scope::DevicesRead), STAFF),
            Self::DevicesWrite => (Some(Scope::DevicesWrite), STAFF),
            Self::DevicesTag => (Some(Scope::DevicesWrite), ADMIN),
            Self::DevicesRevoke => (Some(Scope::DevicesRevoke), ADMIN),
            Self::UsersRead => (Some(Scope::UsersRead), STAFF),
            Self::UsersWrite => (Some(Scope::UsersWrite), ADMIN),
            Self::UsersExport => (Some(Scope::UsersRead), ADMIN),
            Self::UsersDelete => (Some(Scope::UsersDelete), ADMIN),
            Self::ConsentRead => (Some(Scope::ConsentRead), STAFF),
            Self::ConsentWrite => (Some(Scope::ConsentWrite), ADMIN),
            Self::ChallengesRead => (Some(Scope::ChallengesRead), STAFF),
            Self::ChallengesWrite => (Some(Scope::ChallengesWrite), ADMIN),
            Self::ClientsRead => (None, STAFF),
            Self::ClientsWrite => (None, ADMIN),
            Self::AuditRead => (Some(Scope::AuditRead), ADMIN),
            Self::AuditExport => (Some(Scope::AuditExport), ADMIN),
            Self::WebhooksRead => (Some(Scope::WebhooksRead), STAFF),
            Self::WebhooksWrite => (Some(Scope::WebhooksWrite), ADMIN),
            Self::AnyDevicesRead
            | Self::PlatformWebhooks
            | Self::AnyAudit
            | Self::Issuance
            | Self::Tenants
            | Self::Tls
            | Self::DevicePolicy
            | Self::TokenKeys
            | Self::ConsoleUsers
            | Self::Jobs => (None, PLATFORM),
            Self::DeviceJobs => (Some(Scope::DevicesRead), ADMIN),
        };
        Holders { scope, roles }
    }
}

macro_rules! scopes {
    ($($variant:ident = $text:literal,)+) => {
        /// A scope of an access token (contract §5).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Scope {
            $(#[doc = concat!("`", $text, "`")] $variant,)+
        }

        impl Scope {
            /// Every scope.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

scopes! {
    OpenId = "openid",
    DevicesRead = "devices.read",
    DevicesWrite = "devices.write",
    DevicesRevoke = "devices.revoke",
    ChallengesRead = "challenges.read",
    ChallengesWrite = "challenges.write",
    UsersRead = "users.read",
    UsersWrite = "users.write",
    UsersDelete = "users.delete",
    ConsentRead = "consent.read",
    ConsentWrite = "consent.write",
    WebhooksRead = "webhooks.read",
    WebhooksWrite = "webhooks.write",
    AuditRead = "audit.read",
    AuditExport = "audit.export",
}

impl Scope {
    /// Whether clients have it. A user's token has the other, which opens no route.
    #[must_use]
    pub const fn is_of_clients(self) -> bool {
        !matches!(self, Self::OpenId)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Text that names no scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no scope")]
pub struct UnknownScope;

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL
            .iter()
            .copied()
            .find(|scope| scope.as_str() == text)
            .ok_or(UnknownScope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The contract's table, §3, row by row: platform administrator, tenant administrator, operator.
    #[test]
    fn roles_hold_what_the_contract_gives_them() {
        for (right, platform, admin, operator) in [
            (Right::Tenants, true, false, false),
            (Right::Tls, true, false, false),
            (Right::DevicePolicy, true, false, false),
            (Right::TokenKeys, true, false, false),
            (Right::ConsoleUsers, true, false, false),
            (Right::Jobs, true, false, false),
            (Right::DeviceJobs, false, true, false),
            (Right::DevicesRead, false, true, true),
            (Right::AnyDevicesRead, true, false, false),
            (Right::DevicesWrite, false, true, true),
            (Right::DevicesTag, false, true, false),
            (Right::DevicesRevoke, false, true, false),
            (Right::ClientsRead, false, true, true),
            (Right::ClientsWrite, false, true, false),
            (Right::WebhooksRead, false, true, true),
            (Right::WebhooksWrite, false, true, false),
            (Right::PlatformWebhooks, true, false, false),
            (Right::UsersRead, false, true, true),
            (Right::UsersWrite, false, true, false),
            (Right::UsersExport, false, true, false),
            (Right::UsersDelete, false, true, false),
            (Right::ConsentRead, false, true, true),
            (Right::ConsentWrite, false, true, false),
            (Right::AuditRead, false, true, false),
            (Right::AuditExport, false, true, false),
            (Right::AnyAudit, true, false, false),
            (Right::Issuance, true, false, false),
            (Right::ChallengesRead, false, true, true),
            (Right::ChallengesWrite, false, true, false),
        ] {
            let roles = right.holders().roles;
            assert_eq!(roles.contains(&Role::PlatformAdmin), platform, "{right:?}");
            assert_eq!(roles.contains(&Role::TenantAdmin), admin, "{right:?}");
            assert_eq!(roles.contains(&Role::TenantOperator), operator, "{right:?}");
        }
    }

    #[test]
    fn no_token_reaches_beyond_its_tenant() {
        for right in Right::ALL {
            let Holders { scope, roles } = right.holders();
            assert!(
                scope.is_none() || !roles.contains(&Role::PlatformAdmin),
                "{right:?}"
            );
        }
    }

    #[test]
    fn scopes_have_one_spelling() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(*scope));
        }
        for other in ["", "devices", "Devices.read", "devices.read ", "*"] {
            assert_eq!(other.parse::<Scope>(), Err(UnknownScope), "{other}");
        }
    }
}
