//! The real server with all that it needs: `reference-server demo`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::path::PathBuf;
use std::process::Command;

use reqwest::{Certificate, Client, Method};
use serde_json::{Value, json};

use crate::program::Program;
use crate::server_binary::reference_server;

/// The server, and its tenant's backend, which has a token.
pub(crate) struct Platform {
    // In this order: the server has ended when its folder goes.
    _server: Program,
    _folder: tempfile::TempDir,
    pub(crate) base: String,
    pub(crate) ca_file: PathBuf,
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    http: Client,
    token: String,
}

impl Platform {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(reference_server());
        let mut server = Program::start(command.arg("demo").env("TMPDIR", folder.path()));
        let mut told = Vec::new();
        while !told
            .last()
            .is_some_and(|line: &String| line.starts_with("The server goes on"))
        {
            told.push(server.line());
        }
        let after = |title: &str| {
            let line = told.iter().find_map(|line| line.strip_prefix(title));
            line.unwrap().trim().to_owned()
        };
        let ca_file = PathBuf::from(after("CA file"));
        let (client_id, client_secret) = {
            let client = after("OAuth client");
            let (id, secret) = client.split_once(' ').unwrap();
            (id.to_owned(), secret.to_owned())
        };
        let ca = Certificate::from_pem(&std::fs::read(&ca_file).unwrap()).unwrap();
        let mut platform = Self {
            _server: server,
            _folder: folder,
            base: after("base URL"),
            ca_file,
            client_id,
            client_secret,
            http: Client::builder().tls_certs_only([ca]).build().unwrap(),
            token: String::new(),
        };
        let answer = platform
            .http
            .post(format!("{}/v1/auth/token", platform.base))
            .basic_auth(&platform.client_id, Some(&platform.client_secret))
            .form(&[("grant_type", "client_credentials")])
            .send()
            .await;
        let answer: Value = answer.unwrap().json().await.unwrap();
        platform.token = answer["access_token"].as_str().unwrap().to_owned();
        platform
    }

    /// A call of the backend.
    async fn call(&self, method: Method, path: &str, body: &Value) -> Value {
        let request = self.http.request(method, format!("{}{path}", self.base));
        let answer = request.bearer_auth(&self.token).json(body).send().await;
        let answer = answer.unwrap();
        let status = answer.status();
        let body: Value = answer.json().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {body}");
        body
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        self.call(Method::POST, path, &body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Value {
        self.call(Method::DELETE, path, &Value::Null).await
    }

    /// Registers a scanner; its id and its pairing code.
    pub(crate) async fn register(&self) -> (String, String) {
        let made = self
            .post("/v1/devices", json!({"device_name": "Example"}))
            .await;
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        (text("device_id"), text("pairing_code"))
    }

    /// A user who agreed to have a palm enrolled.
    pub(crate) async fn welcome(&self, user_id: &str) {
        self.post("/v1/users", json!({"user_id": user_id})).await;
        let consent = json!({
            "user_id": user_id,
            "consent_type": "palm_biometric",
            "version": "1",
            "purposes": ["verification"],
            "granted": true,
            "method": "signature",
        });
        self.post("/v1/consent", consent).await;
    }
}
