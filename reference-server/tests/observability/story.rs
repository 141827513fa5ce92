//! The whole story of a platform, with every secret that is used in it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use biowave_client::simulator::{PalmServer, palm_png};
use reference_server::clock::{Clock as _, SystemClock};
use reference_server::http::Scope;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{
    Api, Authenticator, CaKey, DeviceKey, Exit, FIRST_PASSWORD, Logged, PASSWORD, Platform, Reply,
};
use crate::mail_server;
use crate::secrets::Secrets;

const DATA_KEY: &str = "c2VjcmV0LWRhdGEta2V5LW9mLWEtd2hvbGUtc3Rvcnk";
const MAIL_PASSWORD: &str = "the-password-at-the-mail-server";
const FEATURES: &[u8] = b"features of a palm that nobody is to see";

/// A platform that has been through everything.
pub(crate) struct Story {
    pub(crate) platform: Platform,
    pub(crate) tenant_admin: Api,
    pub(crate) integrator: Api,
    pub(crate) scanner: Api,
    /// The ids of requests that were answered.
    pub(crate) answered: Vec<String>,
    secrets: Secrets,
    business: Secrets,
    _palms: PalmServer,
}

/// What is left of it.
pub(crate) struct Told {
    pub(crate) log: Vec<String>,
    /// What nothing but the one it was given to may hold.
    pub(crate) secrets: Secrets,
    /// What the database holds, and nothing else.
    pub(crate) business: Secrets,
    directory: TempDir,
}

impl Told {
    /// The files beside the server, as far as they are text.
    pub(crate) fn files(&self) -> Vec<(String, String)> {
        let files = std::fs::read_dir(self.directory.path()).unwrap();
        let read = |entry: std::fs::DirEntry| {
            let content = std::fs::read(entry.path()).unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, String::from_utf8_lossy(&content).into_owned())
        };
        let files: Vec<_> = files.map(|entry| read(entry.unwrap())).collect();
        assert!(files.iter().any(|(name, _)| name == "identity.db"));
        files
    }
}

impl Story {
    /// Tells it to a server with this log filter.
    pub(crate) async fn tell(filter: &str) -> Self {
        Self::tell_with(filter, &[]).await
    }

    /// The same, with more variables.
    pub(crate) async fn tell_with(filter: &str, more: &[(&str, &str)]) -> Self {
        let palms = PalmServer::start().await.unwrap();
        let mail = mail_server::start().await;
        let mut secrets = Secrets::default();
        secrets.keep("the data key", DATA_KEY);
        secrets.keep("the mail server's password", MAIL_PASSWORD);
        secrets.keep("the first password", FIRST_PASSWORD);
        secrets.keep("the chosen password", PASSWORD);
        let palm_url = palms.url().to_string();
        let data_keys = format!("k1:{DATA_KEY}");
        let mail = format!("smtp://platform:{MAIL_PASSWORD}@{mail}");
        let mut variables = vec![
            ("IDENTITY_LOG", filter),
            ("IDENTITY_DATA_ENCRYPTION_KEYS", &data_keys),
            ("BIOWAVE_URL", &palm_url),
            ("SMTP_URL", &mail),
            ("ALERT_EMAIL_FROM", "alerts@id.example"),
        ];
        variables.extend(more);
        let platform = Platform::first_run_with(&variables).await;
        let server_key = platform.server_key.key_pem();
        secrets.keep_key("the server certificate's key", &server_key);
        secrets.keep("a session's token", platform.admin.token());
        let tenant_admin = platform.tenant("acme").await;
        let nobody = platform.api();
        let mut story = Self {
            integrator: nobody.clone(),
            scanner: nobody,
            platform,
            tenant_admin,
            answered: Vec::new(),
            secrets,
            business: Secrets::default(),
            _palms: palms,
        };
        story.operators().await;
        story.integrator().await;
        story.own_ca().await;
        story.scanner().await;
        story.palm().await;
        story.strangers().await;
        story
    }

    /// Console users: made passwords, CSRF tokens, one-time codes.
    async fn operators(&mut self) {
        let root = self.platform.admin.clone();
        let me = self.ok(root.get("/v1/auth/me").await);
        self.keep("a CSRF token", &me["csrf_token"]);
        let user =
            json!({"email": "Grace@Acme.example", "role": "tenant_admin", "tenant_id": "acme"});
        let made = self.ok(root
            .post_once("/v1/admin/console-users", "once", user.clone())
            .await);
        let again = self.ok(root
            .post_once("/v1/admin/console-users", "once", user)
            .await);
        assert_eq!(made, again, "the answer was kept");
        let password = self.keep("a made password", &made["initial_password"]);
        let email = "grace@acme.example";
        self.secrets.keep("a console user's address", email);
        let first = self.platform.api().sign_in(email, &password).await;
        self.secrets.keep("a session's token", first.token());
        let chosen = "a password that was chosen later";
        self.secrets.keep("a chosen password", chosen);
        let change = json!({"current_password": password, "new_password": chosen});
        self.ok(first.post("/v1/auth/password", change).await);

        let totp = self.ok(first.post("/v1/auth/mfa/totp", json!({})).await);
        let secret = self.keep("a secret of one-time codes", &totp["secret"]);
        let authenticator = Authenticator::new(&secret);
        let code = json!({"code": authenticator.code(0)});
        let confirmed = self.ok(first.post("/v1/auth/mfa/totp/confirm", code).await);
        for code in confirmed["recovery_codes"].as_array().unwrap() {
            self.keep("a recovery code", code);
        }
        let recovery = &confirmed["recovery_codes"][0];
        let login = json!({"email": email, "password": chosen});
        let waits = self.ok(self.platform.api().post("/v1/auth/login", login).await);
        let token = self.keep("a sign-in's token", &waits["mfa_token"]);
        let answer = json!({"mfa_token": token, "code": recovery});
        let opened = self.ok(self.platform.api().post("/v1/auth/mfa", answer).await);
        self.keep("a session's token", &opened["session"]["token"]);
    }

    /// An OAuth client: two secrets, and tokens by each way to prove them.
    async fn integrator(&mut self) {
        let scopes = Scope::ALL.iter().filter(|scope| scope.is_of_clients());
        let scopes: Vec<_> = scopes.map(|scope| scope.as_str()).collect();
        let client = json!({"name": "backend", "scopes": scopes});
        let client = self.ok(self.tenant_admin.post("/v1/oauth-clients", client).await);
        let secret = self.keep("a client's secret", &client["client_secret"]);
        let client_id = client["client_id"].as_str().unwrap();
        let basic = STANDARD.encode(format!("{client_id}:{secret}"));
        self.secrets.keep("a client's credentials", &basic);
        let nobody = self.platform.api();
        let request = nobody.request(Method::POST, "/v1/auth/token");
        let request = request.header("authorization", format!("Basic {basic}"));
        let granted = self.ok(nobody
            .send(request.form(&[("grant_type", "client_credentials")]))
            .await);
        self.keep("an access token", &granted["access_token"]);

        let path = format!("/v1/oauth-clients/{client_id}/secrets");
        let second = self.ok(self
            .tenant_admin
            .post(&path, json!({"overlap_seconds": 60}))
            .await);
        let second = self.keep("a client's second secret", &second["client_secret"]);
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", client_id),
            ("client_secret", &second),
        ];
        let request = nobody.request(Method::POST, "/v1/auth/token").form(&form);
        let granted = self.ok(nobody.send(request).await);
        let token = self.keep("an access token", &granted["access_token"]);
        self.integrator = nobody.with_bearer(&token);
    }

    /// A CA of the operator's own, of whose end the mail server is to be told.
    async fn own_ca(&mut self) {
        let soon = SystemClock.now() + time::Duration::days(20);
        let ca = CaKey::with(|params| params.not_after = soon);
        self.secrets
            .keep_key("the platform CA's key", &ca.key_pem());
        let parts = [("cert", &*ca.certificate_pem()), ("key", &ca.key_pem())];
        let root = self.platform.admin.clone();
        let uploaded = root.put_parts("/v1/admin/ssl/ca-cert", &parts).await;
        self.ok(uploaded);
        let ran = self.ok(root.post("/v1/admin/jobs/cert-expiry/run", json!({})).await);
        let failed = ran.to_string();
        assert!(
            failed.contains("535"),
            "the mail server has refused the password: {failed}"
        );
    }

    /// A scanner: its pairing code, its pairing, its renewal.
    async fn scanner(&mut self) {
        let device = json!({"device_name": "Counter 3", "location": "Branch A"});
        let made = self.ok(self
            .integrator
            .post_once("/v1/devices", "once", device)
            .await);
        let code = self.keep("a pairing code", &made["pairing_code"]);
        let key = DeviceKey::generate();
        let pairing = json!({"pairing_code": code, "csr": key.csr(), "device_info": {}});
        let paired = self.ok(self.platform.api().post("/v1/devices/pair", pairing).await);
        let certificate = paired["certificate"].as_str().unwrap();
        let before = self.platform.device(&key, certificate);
        let key = DeviceKey::generate();
        let renewed = self.ok(before
            .post("/v1/devices/renew", json!({"csr": key.csr()}))
            .await);
        let certificate = renewed["certificate"].as_str().unwrap();
        self.scanner = self.platform.device(&key, certificate);
    }

    /// A user whose palm is enrolled and verified.
    async fn palm(&mut self) {
        let device = self.ok(self.scanner.get("/v1/devices/self").await)["device_id"].clone();
        let personal = [
            ("display_name", "Ada Lovelace"),
            ("email", "ada@lovelace.example"),
            ("mobile", "+441632960961"),
        ];
        let mut user = json!({"user_id": "user_456"});
        for (name, value) in personal {
            user[name] = value.into();
            self.secrets.keep("what is known of a user", value);
        }
        self.ok(self.integrator.post("/v1/users", user).await);
        let consent = json!({
            "user_id": "user_456", "consent_type": "palm_biometric", "version": "1",
            "purposes": ["verification"], "granted": true, "method": "signature",
        });
        self.ok(self.integrator.post("/v1/consent", consent).await);
        let enrollment = json!({"user_id": "user_456", "device_id": device, "type": "left"});
        let metadata = "a document that is nobody's business";
        self.business.keep("what a verification is about", metadata);
        let verification = json!({
            "user_id": "user_456", "device_id": device, "context": "e_signature",
            "metadata": {"document": metadata},
        });
        self.secrets
            .keep("features of a palm", std::str::from_utf8(FEATURES).unwrap());
        for (noise, path, body, status) in [
            (0, "/v1/enroll", enrollment, "enrolled"),
            (1, "/v1/verify", verification, "completed"),
        ] {
            let challenge = self.ok(self.integrator.post(path, body).await);
            self.ok(self.scanner.get("/v1/challenges/pending?wait=5").await);
            let image = |palm| {
                let image = STANDARD.encode(palm_png(palm, noise));
                let middle = image.len() / 2;
                (image[middle..middle + 64].to_owned(), image)
            };
            let ((part, rgb), (_, ir)) = (image(7), image(8));
            self.secrets.keep("an image of a palm", &part);
            let capture = json!({"palm_template": {
                "image_rgb": rgb, "image_ir": ir, "features_rgb": STANDARD.encode(FEATURES),
            }});
            let path = format!(
                "/v1/challenges/{}/complete",
                challenge["challenge_id"].as_str().unwrap()
            );
            let outcome = self.ok(self.scanner.post(&path, capture).await);
            assert_eq!(outcome["status"], status, "{outcome}");
            if let Some(receipt) = outcome["receipt"].as_str() {
                self.business.keep("a receipt", receipt);
            }
        }
    }

    /// Those who know almost: what they try is as good as a secret, since people mistype.
    async fn strangers(&mut self) {
        let nobody = self.platform.api();
        let refused = async |status, request: reqwest::RequestBuilder| {
            let reply = nobody.send(request).await;
            assert_eq!(reply.status, status, "{}", reply.text);
        };
        let post = |path: &str| nobody.request(Method::POST, path);
        let wrong = "almost the right password";
        self.secrets.keep("a wrong password", wrong);
        let login = json!({"email": crate::harness::ADMIN, "password": wrong});
        refused(401, post("/v1/auth/login").json(&login)).await;
        self.secrets.keep("a wrong pairing code", "ZQXWZQXW7");
        let pairing = json!({"pairing_code": "ZQXW-ZQXW-7", "csr": DeviceKey::generate().csr(), "device_info": {}});
        refused(401, post("/v1/devices/pair").json(&pairing)).await;
        self.secrets
            .keep("a wrong client's secret", "almost-the-clients-secret");
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", "cli_1"),
            ("client_secret", "almost-the-clients-secret"),
        ];
        refused(401, post("/v1/auth/token").form(&form)).await;
        self.secrets.keep("a wrong token", "almost.an.access-token");
        refused(
            401,
            nobody
                .request(Method::GET, "/v1/devices")
                .bearer_auth("almost.an.access-token"),
        )
        .await;
        self.secrets.keep("a wrong cookie", "almost-a-session");
        let cookie = "__Host-session=almost-a-session";
        refused(
            401,
            nobody
                .request(Method::GET, "/v1/auth/me")
                .header("cookie", cookie),
        )
        .await;
        // A stranger to TLS.
        let stream = tokio::net::TcpStream::connect(self.platform.process.address)
            .await
            .unwrap();
        stream.writable().await.unwrap();
        stream.try_write(b"almost a handshake\r\n\r\n").unwrap();
        let mut end = Vec::new();
        let _ = tokio::io::AsyncReadExt::read_to_end(&mut { stream }, &mut end).await;
    }

    /// What the metrics listener shows.
    pub(crate) async fn metrics(&self) -> String {
        let reply = Api::plain(self.platform.process.metrics)
            .get("/metrics")
            .await;
        assert_eq!(reply.status, 200);
        reply.text
    }

    /// Stops the server.
    pub(crate) fn end(self) -> Told {
        let Platform {
            directory,
            mut process,
            first_logged,
            ..
        } = self.platform;
        let logged = process.logged();
        assert_eq!(process.terminate(), Exit::success());
        Told {
            log: [first_logged, logged]
                .iter()
                .flat_map(Logged::lines)
                .collect(),
            secrets: self.secrets,
            business: self.business,
            directory,
        }
    }

    fn ok(&mut self, reply: Reply) -> Value {
        assert!(
            (200..300).contains(&reply.status),
            "{}: {}",
            reply.status,
            reply.text
        );
        self.answered
            .push(reply.header("x-request-id").expect("an id").to_owned());
        reply.json
    }

    /// Keeps a secret of an answer, and returns it.
    fn keep(&mut self, what: &'static str, secret: &Value) -> String {
        let secret = secret
            .as_str()
            .unwrap_or_else(|| panic!("{what} is no text: {secret}"));
        self.secrets.keep(what, secret);
        secret.to_owned()
    }
}
