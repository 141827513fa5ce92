//! The real binary in a folder of its own, taken through its first run.

use std::sync::Arc;

use identity_store::{AuditRow, AuditStore as _, Chain, SqlStore};
use reqwest::multipart::{Form, Part};
use reqwest::tls::Version;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::calls::{Answer, Caller, answer};
use crate::harness::{
    ADMIN, Exit, FIRST_PASSWORD as FIRST, PASSWORD as SECOND, Process, embedded_store, key_beside,
};

/// A platform with a server certificate, a CA, and a tenant `acme` with its administrator.
pub(crate) struct Platform {
    pub(crate) process: Process,
    folder: TempDir,
    pub(crate) root: reqwest::Certificate,
    root_der: CertificateDer<'static>,
    pub(crate) nobody: Caller,
    pub(crate) operator: Caller,
    pub(crate) admin: Caller,
}

impl Platform {
    /// With the request limits lifted.
    pub(crate) async fn start() -> Self {
        Self::first_run("off").await
    }

    pub(crate) async fn with_rate_limits() -> Self {
        Self::first_run("on").await
    }

    async fn first_run(limits: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let variables = [("IDENTITY_RATE_LIMITS", limits)];
        let first = Process::start(folder.path(), "127.0.0.1:0", &variables);
        let address = first.address;
        let plain = Caller {
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            base: format!("http://{address}"),
            token: None,
        };
        let operator = sign_in(&plain, ADMIN, FIRST, SECOND).await;
        let none = json!({"pairing_code": "A", "csr": "x", "device_info": {}});
        plain
            .post("/v1/devices/pair", none)
            .await
            .refused(503, "mtls_not_configured");
        let tls = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let upload = Form::new()
            .part("cert", Part::text(tls.cert.pem()))
            .part("key", Part::text(tls.signing_key.serialize_pem()));
        let request = operator.request(http::Method::PUT, "/v1/admin/ssl/server-cert");
        assert_eq!(
            answer(request.multipart(upload)).await.expect(200)["restart_scheduled"],
            true
        );
        assert_eq!(first.exit(), Exit::success());
        let process = Process::start(folder.path(), &address.to_string(), &variables);
        let root = reqwest::Certificate::from_pem(tls.cert.pem().as_bytes()).unwrap();
        let base = format!("https://{address}");
        let nobody = Caller {
            http: client(&root, None, None),
            base,
            token: None,
        };
        let operator = Caller {
            token: operator.token,
            ..nobody.clone()
        };
        operator
            .post("/v1/admin/ssl/ca-cert/generate", json!({}))
            .await
            .expect(201);
        let admin = tenant(&operator, &nobody, "acme").await;
        Self {
            process,
            folder,
            root,
            root_der: tls.cert.der().clone(),
            nobody,
            operator,
            admin,
        }
    }

    /// Another tenant; its administrator.
    pub(crate) async fn tenant(&self, tenant_id: &str) -> Caller {
        tenant(&self.operator, &self.nobody, tenant_id).await
    }

    /// Where the server keeps everything.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// A handle of its own to the database.
    pub(crate) async fn store(&self) -> SqlStore {
        let database = self.folder.path().join("identity.db");
        embedded_store(&database, key_beside(&database)).await
    }

    /// Kills the server where it stands, and starts it again at the same address.
    pub(crate) fn crash(&mut self) {
        self.process.kill();
        let address = self.process.address.to_string();
        let limits = [("IDENTITY_RATE_LIMITS", "off")];
        self.process = Process::start(self.folder.path(), &address, &limits);
        // Over connections of its own: those that were open broke.
        self.operator.http = client(&self.root, None, None);
    }

    /// Another server on the same database, and nobody who calls it. On SQLite it hears of nothing: it
    /// looks every few seconds.
    pub(crate) fn replica(&self) -> (Process, Caller) {
        let limits = [("IDENTITY_RATE_LIMITS", "off")];
        let process = Process::start(self.folder.path(), "127.0.0.1:0", &limits);
        let nobody = Caller {
            base: format!("https://{}", process.address),
            ..self.nobody.clone()
        };
        (process, nobody)
    }

    /// Changes the database behind the server's back.
    pub(crate) async fn meddle(&self, statement: &'static str) {
        assert_eq!(self.execute(statement).await, 1, "{statement}");
    }

    /// Has the database refuse every change that a trigger is asked about.
    pub(crate) async fn refuse(&self, trigger: &'static str) {
        self.execute(trigger).await;
    }

    /// How many rows a statement changed behind the server's back.
    async fn execute(&self, statement: &'static str) -> u64 {
        let database = self.folder.path().join("identity.db");
        let options = SqliteConnectOptions::new().filename(database);
        let mut connection = options.connect().await.unwrap();
        let changed = sqlx::query(statement).execute(&mut connection).await;
        connection.close().await.unwrap();
        changed.unwrap().rows_affected()
    }

    /// Has the server read its certificates again.
    pub(crate) fn reload(&self) {
        self.process.signal("HUP");
        self.process.log_line("certificates were reloaded");
    }

    /// The platform's audit trail, as the database has it.
    pub(crate) async fn audit(&self) -> Vec<AuditRow> {
        self.audit_of(&Chain::Platform).await
    }

    pub(crate) async fn audit_of(&self, chain: &Chain) -> Vec<AuditRow> {
        let store = self.store().await;
        store.seal_audit(10_000).await.unwrap();
        let rows = store.sealed_audit(chain, 0, 10_000).await;
        rows.unwrap().into_iter().map(|sealed| sealed.row).collect()
    }

    /// Registers a personal scanner: its id and its code.
    pub(crate) async fn register(&self) -> (String, String) {
        register(&self.admin).await
    }

    pub(crate) async fn pair(&self, code: &str, csr: &str) -> Answer {
        self.pair_at(&self.nobody, code, csr).await
    }

    /// Pairs at a server of the platform.
    pub(crate) async fn pair_at(&self, server: &Caller, code: &str, csr: &str) -> Answer {
        let info = json!({"model": "PS-1", "serial": "S1", "mainboard": {"rev": 2}});
        let body = json!({"pairing_code": code, "csr": csr, "device_info": info});
        server.post("/v1/devices/pair", body).await
    }

    /// A scanner that is paired.
    pub(crate) async fn scanner(&self) -> Scanner {
        self.scanner_of(&self.admin).await
    }

    /// A scanner that is paired, of the tenant whose administrator that is.
    pub(crate) async fn scanner_of(&self, admin: &Caller) -> Scanner {
        let (device_id, code) = register(admin).await;
        let key = Key::new();
        let paired = self.pair(&code, &key.csr()).await.expect(200);
        Scanner {
            device_id,
            certificate: text(&paired["certificate"]),
            key,
        }
    }

    /// A new connection of a scanner, at this version of TLS or the best one.
    pub(crate) fn connect(&self, scanner: &Scanner, version: Option<Version>) -> Caller {
        let pem = format!("{}{}", scanner.certificate, scanner.key.0.serialize_pem());
        let http = client(&self.root, Some(&pem), version);
        Caller {
            http,
            ..self.nobody.clone()
        }
    }

    /// A new connection of a scanner that is to carry HTTP/2, and carries nothing yet.
    pub(crate) async fn connect_raw(&self, scanner: &Scanner) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root_der.clone()).unwrap();
        let chain = CertificateDer::pem_slice_iter(scanner.certificate.as_bytes());
        let key = PrivateKeyDer::try_from(scanner.key.0.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(chain.map(Result::unwrap).collect(), key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let address = self.process.address;
        let stream = TcpStream::connect(address).await.unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        connector
            .connect(address.ip().into(), stream)
            .await
            .unwrap()
    }

    /// What the server has in memory, in KiB.
    pub(crate) fn memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let words = line.unwrap().split_whitespace().next();
        words.unwrap().parse().unwrap()
    }

    /// Whether no HTTP answer comes over a new connection of the scanner.
    pub(crate) async fn is_out(&self, scanner: &Scanner, version: Version) -> bool {
        let request = self
            .connect(scanner, Some(version))
            .request(http::Method::GET, "/v1/devices/self");
        request.send().await.is_err()
    }
}

async fn register(admin: &Caller) -> (String, String) {
    let body = json!({"device_name": "Counter 3", "location": "Branch A"});
    let registered = admin.post("/v1/devices", body).await.expect(201);
    assert_eq!(registered["status"], "pending_pairing");
    (
        text(&registered["device_id"]),
        text(&registered["pairing_code"]),
    )
}

pub(crate) struct Scanner {
    pub(crate) device_id: String,
    pub(crate) certificate: String,
    pub(crate) key: Key,
}

pub(crate) struct Key(pub(crate) rcgen::KeyPair);

impl Key {
    pub(crate) fn new() -> Self {
        Self(rcgen::KeyPair::generate().unwrap())
    }

    /// A request for it, PEM.
    pub(crate) fn csr(&self) -> String {
        self.csr_with(|_| {})
    }

    pub(crate) fn csr_with(&self, ask: impl FnOnce(&mut rcgen::CertificateParams)) -> String {
        let mut parameters = rcgen::CertificateParams::default();
        ask(&mut parameters);
        parameters
            .serialize_request(&self.0)
            .unwrap()
            .pem()
            .unwrap()
    }
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn client(
    root: &reqwest::Certificate,
    identity: Option<&str>,
    version: Option<Version>,
) -> reqwest::Client {
    let mut builder = reqwest::Client::builder()
        .tls_certs_only([root.clone()])
        .no_proxy();
    if let Some(pem) = identity {
        builder = builder.identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap());
    }
    if let Some(version) = version {
        builder = builder.tls_version_min(version).tls_version_max(version);
    }
    builder.build().unwrap()
}

async fn sign_in(caller: &Caller, email: &str, first: &str, second: &str) -> Caller {
    let body = json!({"email": email, "password": first});
    let login = caller.post("/v1/auth/login", body).await.expect(200);
    let session = caller.with_token(&login["session"]["token"]);
    let change = json!({"current_password": first, "new_password": second});
    session.post("/v1/auth/password", change).await.expect(204);
    session
}

async fn tenant(operator: &Caller, nobody: &Caller, tenant_id: &str) -> Caller {
    let body = json!({"tenant_id": tenant_id, "name": "A tenant"});
    operator.post("/v1/admin/tenants", body).await.expect(201);
    let email = format!("admin@{tenant_id}.example");
    let body = json!({
        "email": email, "role": "tenant_admin", "tenant_id": tenant_id, "password": FIRST,
    });
    operator
        .post("/v1/admin/console-users", body)
        .await
        .expect(201);
    sign_in(nobody, &email, FIRST, SECOND).await
}
