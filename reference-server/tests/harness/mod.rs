//! The real binary on free ports with a directory of its own, and clients for it.
//!
//! [`Platform::first_run`] is the state that most stories begin with: HTTPS, a platform CA, and an
//! administrator who is signed in.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "each test binary uses a part"
)]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod api;
mod authenticator;
pub mod frames;
mod keys;
mod process;
mod proxy;
mod random;
mod rotation;
mod store;

pub use api::{Api, Reply};
pub use authenticator::Authenticator;
pub use keys::{CaKey, DeviceKey, ServerKey};
pub use process::{Exit, Logged, Process, command, program, wrapped};
pub use proxy::{Flow, Held, Proxy};
pub use random::Random;
pub use rotation::rotate_and_kill;
pub use store::{add_users, embedded_store, key_beside, store_at};

use serde_json::json;
use tempfile::TempDir;

/// The seeded administrator, and the password that they choose.
pub const ADMIN: &str = "root@example.com";
pub const FIRST_PASSWORD: &str = "the seeded password";
pub const PASSWORD: &str = "the chosen password";

/// A server that is not set up yet, in a directory of its own.
pub struct Fresh {
    pub directory: TempDir,
    pub process: Process,
}

impl Fresh {
    /// Starts a server over plain HTTP, with these variables beside the usual ones.
    pub fn start(variables: &[(&str, &str)]) -> Self {
        let directory = TempDir::new().expect("a directory");
        let process = Process::start(directory.path(), "127.0.0.1:0", variables);
        Self { directory, process }
    }

    /// A client without credential.
    pub fn api(&self) -> Api {
        Api::plain(self.process.address)
    }
}

/// A server that is set up: HTTPS, platform CA, an administrator signed in.
pub struct Platform {
    pub directory: TempDir,
    pub process: Process,
    pub server_key: ServerKey,
    /// The administrator.
    pub admin: Api,
    /// What was logged before there was HTTPS.
    pub first_logged: Logged,
    variables: Vec<(String, String)>,
}

impl Platform {
    /// Goes through the whole first run.
    pub async fn first_run() -> Self {
        Self::first_run_with(&[]).await
    }

    /// Goes through the whole first run, with these variables beside the usual ones.
    pub async fn first_run_with(variables: &[(&str, &str)]) -> Self {
        let fresh = Fresh::start(variables);
        let admin = sign_in_for_the_first_time(&fresh.api()).await;
        let server_key = ServerKey::generate();
        let uploaded = admin.upload(&server_key).await;
        assert_eq!(uploaded.status, 200, "{}", uploaded.json);
        assert_eq!(uploaded.json["restart_scheduled"], true);
        let Fresh { directory, process } = fresh;
        let (address, first_logged) = (process.address, process.logged());
        assert_eq!(process.exit(), Exit::success());

        let process = Process::start(directory.path(), &address.to_string(), variables);
        let admin = admin.moved_to_https(process.address, &server_key);
        let made = admin
            .post("/v1/admin/ssl/ca-cert/generate", json!({}))
            .await;
        assert_eq!(made.status, 201, "{}", made.json);
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let variables = variables.iter().map(owned).collect();
        Self {
            directory,
            process,
            server_key,
            admin,
            first_logged,
            variables,
        }
    }

    /// A client without credential.
    pub fn api(&self) -> Api {
        Api::https(self.process.address, &self.server_key)
    }

    /// A client that presents a device's certificate.
    pub fn device(&self, key: &DeviceKey, certificate_pem: &str) -> Api {
        self.api().with_certificate(key, certificate_pem)
    }

    /// Stops the server and starts it again at the same address.
    pub fn restart(&mut self) {
        self.restart_after(|process, _| {
            process.terminate();
        });
    }

    /// Starts the server again at the same address, after `end` ended it in its directory.
    pub fn restart_after(&mut self, end: impl FnOnce(&mut Process, &std::path::Path)) {
        let address = self.process.address.to_string();
        end(&mut self.process, self.directory.path());
        let variables: Vec<_> = self
            .variables
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        self.process = Process::start(self.directory.path(), &address, &variables);
    }

    /// Makes a tenant and one of its administrators, signed in.
    pub async fn tenant(&self, tenant_id: &str) -> Api {
        let tenant = json!({"tenant_id": tenant_id, "name": tenant_id});
        let made = self.admin.post("/v1/admin/tenants", tenant).await;
        assert_eq!(made.status, 201, "{}", made.json);
        self.operator(tenant_id, "tenant_admin").await
    }

    /// Makes a console user of a tenant, signed in.
    pub async fn operator(&self, tenant_id: &str, role: &str) -> Api {
        let email = format!("{role}@{tenant_id}.example");
        let user = json!({
            "email": email, "role": role, "tenant_id": tenant_id, "password": FIRST_PASSWORD,
        });
        let made = self.admin.post("/v1/admin/console-users", user).await;
        assert_eq!(made.status, 201, "{}", made.json);
        change_password(&self.api().sign_in(&email, FIRST_PASSWORD).await).await
    }
}

/// Signs the seeded administrator in and changes the password.
pub async fn sign_in_for_the_first_time(api: &Api) -> Api {
    change_password(&api.sign_in(ADMIN, FIRST_PASSWORD).await).await
}

async fn change_password(signed_in: &Api) -> Api {
    let change = json!({"current_password": FIRST_PASSWORD, "new_password": PASSWORD});
    let changed = signed_in.post("/v1/auth/password", change).await;
    assert_eq!(changed.status, 204, "{}", changed.json);
    signed_in.clone()
}
