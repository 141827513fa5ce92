//! Two tenants on one platform.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

use reference_server::http::Scope;
use reqwest::Method;
use serde_json::json;

use crate::harness::{Api, Platform};

pub(crate) struct World {
    pub(crate) platform: Platform,
    /// Whose objects are asked for.
    pub(crate) acme: Tenant,
    /// Who has none of them.
    pub(crate) other: Tenant,
    names: AtomicU32,
}

/// A tenant with somebody of each role, and an OAuth client that may get every scope.
pub(crate) struct Tenant {
    pub(crate) tenant_id: &'static str,
    pub(crate) admin: Api,
    pub(crate) operator: Api,
    client_id: String,
    client_secret: String,
    nobody: Api,
}

impl World {
    pub(crate) async fn start() -> Self {
        let platform =
            Platform::first_run_with(&[("IDENTITY_WEBHOOK_ALLOW_LOOPBACK", "true")]).await;
        Self {
            acme: Tenant::make(&platform, "acme").await,
            other: Tenant::make(&platform, "other").await,
            platform,
            names: AtomicU32::default(),
        }
    }

    /// A name that nothing has yet.
    pub(crate) fn name(&self) -> String {
        format!("made-{}", self.names.fetch_add(1, Ordering::Relaxed))
    }
}

impl Tenant {
    async fn make(platform: &Platform, tenant_id: &'static str) -> Self {
        let admin = platform.tenant(tenant_id).await;
        let scopes: Vec<_> = all_scopes().iter().map(|scope| scope.as_str()).collect();
        let client = json!({"name": "backend", "scopes": scopes});
        let client = admin.post("/v1/oauth-clients", client).await.json;
        let member = |name: &str| client[name].as_str().expect("text").to_owned();
        Self {
            tenant_id,
            operator: platform.operator(tenant_id, "tenant_operator").await,
            client_id: member("client_id"),
            client_secret: member("client_secret"),
            nobody: platform.api(),
            admin,
        }
    }

    /// An integrator's backend with an access token of these scopes.
    pub(crate) async fn backend(&self, scopes: &BTreeSet<Scope>) -> Api {
        let scopes: Vec<_> = scopes.iter().map(|scope| scope.as_str()).collect();
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &self.client_id),
            ("client_secret", &self.client_secret),
            ("scope", &scopes.join(" ")),
        ];
        let request = self.nobody.request(Method::POST, "/v1/auth/token");
        let reply = self.nobody.send(request.form(&form)).await;
        let token = reply.json["access_token"].as_str().expect("a token");
        self.nobody.with_bearer(token)
    }
}

/// Every scope that a client can have.
pub(crate) fn all_scopes() -> BTreeSet<Scope> {
    let all = Scope::ALL.iter().copied();
    all.filter(|scope| scope.is_of_clients()).collect()
}
