//! Who may call which route (contract §§2 to 13).

use reference_server::http::Right;

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Who {
    /// Anybody, for this reason.
    Anybody(&'static str),
    /// A console user, whatever the role, about nobody but themselves.
    ConsoleUser,
    /// Whoever holds one of these rights.
    Holder(&'static [Right]),
    /// A device of any class.
    Device,
    /// A device of the class that takes challenges.
    Scanner,
}

use Who::{Anybody, ConsoleUser, Device, Holder, Scanner};

const HEALTH: Who = Anybody("a probe has no credential");
const OAUTH: Who = Anybody("what a client reads before it has a token");
const SIGN_IN: Who = Anybody("the body is the credential");

/// Every route, in the order of the description, a line for each.
#[rustfmt::skip]
pub(crate) const ROUTES: &[(&str, Who)] = &[
    ("GET /.well-known/jwks.json", OAUTH),
    ("GET /.well-known/oauth-authorization-server", OAUTH),
    ("GET /.well-known/receipt-keys.json", Anybody("whoever keeps receipts")),
    ("GET /actuator/health", HEALTH),
    ("GET /api/health", HEALTH),
    ("GET /api/version", HEALTH),
    ("GET /healthz", HEALTH),
    ("GET /openapi.json", Anybody("the interface is no secret")),
    ("GET /readyz", HEALTH),
    ("GET /v1/admin/banner", Holder(&[Right::Tls])),
    ("GET /v1/admin/console-users", Holder(&[Right::ConsoleUsers])),
    ("POST /v1/admin/console-users", Holder(&[Right::ConsoleUsers])),
    ("GET /v1/admin/console-users/{id}", Holder(&[Right::ConsoleUsers])),
    ("PUT /v1/admin/console-users/{id}", Holder(&[Right::ConsoleUsers])),
    ("DELETE /v1/admin/console-users/{id}", Holder(&[Right::ConsoleUsers])),
    ("DELETE /v1/admin/console-users/{id}/mfa", Holder(&[Right::ConsoleUsers])),
    ("GET /v1/admin/issuance", Holder(&[Right::Issuance])),
    ("POST /v1/admin/jobs/cert-expiry/run", Holder(&[Right::Tls])),
    ("GET /v1/admin/ssl/ca-cert", Holder(&[Right::Tls])),
    ("PUT /v1/admin/ssl/ca-cert", Holder(&[Right::Tls])),
    ("POST /v1/admin/ssl/ca-cert/generate", Holder(&[Right::Tls])),
    ("POST /v1/admin/ssl/ca-cert/regenerate", Holder(&[Right::Tls])),
    ("POST /v1/admin/ssl/ca-cert/regenerate/revoke-devices", Holder(&[Right::Tls])),
    ("POST /v1/admin/ssl/ca-certs/{fingerprint}/activate", Holder(&[Right::Tls])),
    ("POST /v1/admin/ssl/ca-certs/{fingerprint}/retire", Holder(&[Right::Tls])),
    ("GET /v1/admin/ssl/device-policy", Holder(&[Right::DevicePolicy])),
    ("PUT /v1/admin/ssl/device-policy", Holder(&[Right::DevicePolicy])),
    ("GET /v1/admin/ssl/server-cert", Holder(&[Right::Tls])),
    ("PUT /v1/admin/ssl/server-cert", Holder(&[Right::Tls])),
    ("GET /v1/admin/ssl/status", Holder(&[Right::Tls])),
    ("GET /v1/admin/tenants", Holder(&[Right::Tenants])),
    ("POST /v1/admin/tenants", Holder(&[Right::Tenants])),
    ("GET /v1/admin/tenants/{tenant_id}", Holder(&[Right::Tenants])),
    ("PUT /v1/admin/tenants/{tenant_id}", Holder(&[Right::Tenants])),
    ("POST /v1/admin/tenants/{tenant_id}/activate", Holder(&[Right::Tenants])),
    ("GET /v1/admin/tenants/{tenant_id}/config", Holder(&[Right::Tenants])),
    ("PUT /v1/admin/tenants/{tenant_id}/config", Holder(&[Right::Tenants])),
    ("POST /v1/admin/tenants/{tenant_id}/devices/revoke-all", Holder(&[Right::Tenants])),
    ("POST /v1/admin/tenants/{tenant_id}/suspend", Holder(&[Right::Tenants])),
    ("GET /v1/admin/token-keys", Holder(&[Right::TokenKeys])),
    ("POST /v1/admin/token-keys/rotate", Holder(&[Right::TokenKeys])),
    ("GET /v1/audit", Holder(&[Right::AuditRead, Right::AnyAudit])),
    ("GET /v1/audit/export", Holder(&[Right::AuditExport, Right::AnyAudit])),
    ("GET /v1/audit/verify", Holder(&[Right::AuditRead, Right::AnyAudit])),
    ("POST /v1/auth/introspect", SIGN_IN),
    ("POST /v1/auth/login", SIGN_IN),
    ("POST /v1/auth/logout", ConsoleUser),
    ("GET /v1/auth/me", ConsoleUser),
    ("POST /v1/auth/mfa", SIGN_IN),
    ("POST /v1/auth/mfa/totp", ConsoleUser),
    ("POST /v1/auth/mfa/totp/confirm", ConsoleUser),
    ("POST /v1/auth/mfa/totp/remove", ConsoleUser),
    ("POST /v1/auth/password", ConsoleUser),
    ("POST /v1/auth/revoke", SIGN_IN),
    ("GET /v1/auth/sessions", ConsoleUser),
    ("DELETE /v1/auth/sessions/{id}", ConsoleUser),
    ("POST /v1/auth/token", SIGN_IN),
    ("POST /v1/bc-authorize", SIGN_IN),
    ("GET /v1/challenges", Holder(&[Right::ChallengesRead])),
    ("GET /v1/challenges/pending", Scanner),
    ("GET /v1/challenges/stream", Scanner),
    ("GET /v1/challenges/{challenge_id}", Holder(&[Right::ChallengesRead])),
    ("POST /v1/challenges/{challenge_id}/cancel", Holder(&[Right::ChallengesWrite])),
    ("POST /v1/challenges/{challenge_id}/claim", Scanner),
    ("POST /v1/challenges/{challenge_id}/complete", Scanner),
    ("POST /v1/challenges/{challenge_id}/deny", Scanner),
    ("POST /v1/consent", Holder(&[Right::ConsentWrite])),
    ("POST /v1/device/heartbeat", Device),
    ("GET /v1/devices", Holder(&[Right::DevicesRead])),
    ("POST /v1/devices", Holder(&[Right::DevicesWrite])),
    ("POST /v1/devices/bulk", Holder(&[Right::DevicesTag])),
    ("GET /v1/devices/export", Holder(&[Right::DevicesRead])),
    ("POST /v1/devices/import", Holder(&[Right::DevicesWrite])),
    ("POST /v1/devices/pair", SIGN_IN),
    ("POST /v1/devices/renew", Device),
    ("GET /v1/devices/self", Device),
    ("GET /v1/devices/{device_id}", Holder(&[Right::DevicesRead])),
    ("PUT /v1/devices/{device_id}", Holder(&[Right::DevicesWrite])),
    ("DELETE /v1/devices/{device_id}", Holder(&[Right::DevicesRevoke])),
    ("POST /v1/devices/{device_id}/pairing-code", Holder(&[Right::DevicesWrite])),
    ("POST /v1/enroll", Holder(&[Right::ChallengesWrite])),
    ("GET /v1/erasures/{erasure_id}", Holder(&[Right::UsersDelete])),
    ("GET /v1/events", Holder(&[Right::WebhooksRead, Right::PlatformWebhooks])),
    ("GET /v1/jobs/{job_id}", Holder(&[Right::DeviceJobs, Right::Jobs])),
    ("GET /v1/oauth-clients", Holder(&[Right::ClientsRead])),
    ("POST /v1/oauth-clients", Holder(&[Right::ClientsWrite])),
    ("DELETE /v1/oauth-clients/{client_id}", Holder(&[Right::ClientsWrite])),
    ("PUT /v1/oauth-clients/{client_id}/jwks", Holder(&[Right::ClientsWrite])),
    ("POST /v1/oauth-clients/{client_id}/secrets", Holder(&[Right::ClientsWrite])),
    ("GET /v1/users", Holder(&[Right::UsersRead])),
    ("POST /v1/users", Holder(&[Right::UsersWrite])),
    ("GET /v1/users/{user_id}", Holder(&[Right::UsersRead])),
    ("PUT /v1/users/{user_id}", Holder(&[Right::UsersWrite])),
    ("DELETE /v1/users/{user_id}", Holder(&[Right::UsersDelete])),
    ("POST /v1/users/{user_id}/clear-lock", Holder(&[Right::UsersWrite])),
    ("GET /v1/users/{user_id}/consent", Holder(&[Right::ConsentRead])),
    ("DELETE /v1/users/{user_id}/consent/palm_biometric", Holder(&[Right::ConsentWrite])),
    ("GET /v1/users/{user_id}/data", Holder(&[Right::UsersExport])),
    ("PUT /v1/users/{user_id}/kyc", Holder(&[Right::UsersWrite])),
    ("PUT /v1/users/{user_id}/palm-policy", Holder(&[Right::UsersWrite])),
    ("POST /v1/users/{user_id}/reactivate", Holder(&[Right::UsersWrite])),
    ("POST /v1/users/{user_id}/suspend", Holder(&[Right::UsersWrite])),
    ("POST /v1/verify", Holder(&[Right::ChallengesWrite])),
    ("POST /v1/webhook-deliveries/{delivery_id}/resend", Holder(&[Right::WebhooksWrite, Right::PlatformWebhooks])),
    ("GET /v1/webhooks", Holder(&[Right::WebhooksRead, Right::PlatformWebhooks])),
    ("POST /v1/webhooks", Holder(&[Right::WebhooksWrite, Right::PlatformWebhooks])),
    ("GET /v1/webhooks/{webhook_id}", Holder(&[Right::WebhooksRead, Right::PlatformWebhooks])),
    ("PUT /v1/webhooks/{webhook_id}", Holder(&[Right::WebhooksWrite, Right::PlatformWebhooks])),
    ("DELETE /v1/webhooks/{webhook_id}", Holder(&[Right::WebhooksWrite, Right::PlatformWebhooks])),
    ("GET /v1/webhooks/{webhook_id}/deliveries", Holder(&[Right::WebhooksRead, Right::PlatformWebhooks])),
    ("POST /v1/webhooks/{webhook_id}/enable", Holder(&[Right::WebhooksWrite, Right::PlatformWebhooks])),
    ("POST /v1/webhooks/{webhook_id}/recover", Holder(&[Right::WebhooksWrite, Right::PlatformWebhooks])),
    ("POST /v1/webhooks/{webhook_id}/secret/rotate", Holder(&[Right::WebhooksWrite, Right::PlatformWebhooks])),
    ("POST /v1/webhooks/{webhook_id}/test", Holder(&[Right::WebhooksWrite, Right::PlatformWebhooks])),
];

/// What whoever may call is answered where that is no success: the call is good, and something else is
/// in its way.
pub(crate) const ANSWERS: &[(&str, u16, &str)] = &[
    // Nothing is confirmed.
    (
        "POST /v1/admin/ssl/ca-cert/regenerate",
        409,
        "regenerate_confirm_required",
    ),
    (
        "POST /v1/admin/ssl/ca-cert/regenerate/revoke-devices",
        409,
        "regenerate_confirm_required",
    ),
    ("DELETE /v1/admin/console-users/{id}/mfa", 404, "not_found"),
    ("POST /v1/auth/introspect", 401, "invalid_client"),
    ("POST /v1/auth/login", 401, "invalid_credentials"),
    ("POST /v1/auth/mfa", 401, "mfa_token_invalid"),
    ("POST /v1/auth/mfa/totp/confirm", 404, "not_found"),
    ("POST /v1/auth/mfa/totp/remove", 404, "not_found"),
    ("POST /v1/auth/revoke", 401, "invalid_client"),
    ("POST /v1/auth/token", 401, "invalid_client"),
    ("POST /v1/bc-authorize", 401, "invalid_client"),
    ("POST /v1/devices/pair", 401, "pairing_code_invalid"),
    (
        "POST /v1/devices/{device_id}/pairing-code",
        409,
        "device_already_paired",
    ),
    // Nothing is asked for.
    ("GET /v1/events", 422, "validation_failed"),
    // A job of nobody's: no tenant can ask for one yet.
    ("GET /v1/jobs/{job_id}", 404, "not_found"),
    ("POST /v1/verify", 400, "user_not_enrolled"),
];

/// What a console user may call who has to choose another password first (contract §3).
pub(crate) const WITH_THE_FIRST_PASSWORD: &[&str] = &[
    "POST /v1/auth/logout",
    "GET /v1/auth/me",
    "POST /v1/auth/password",
];
