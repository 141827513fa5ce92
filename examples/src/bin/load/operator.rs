//! Those who set a platform up, over its own interface.

use reqwest::multipart::Form;
use reqwest::{Certificate, Client, RequestBuilder};
use serde_json::{Value, json};

use crate::Failure;
use crate::keys::ServerIdentity;

/// The seeded administrator.
pub(crate) const ADMIN: &str = "load@example.com";
pub(crate) const FIRST_PASSWORD: &str = "the seeded password";
const PASSWORD: &str = "the chosen password";

/// Someone who is signed in.
#[derive(Debug, Clone)]
pub(crate) struct Operator {
    http: Client,
    base: String,
    token: String,
}

impl Operator {
    /// Signs in for the first time at `base`, trusting `root` if there is HTTPS already, and chooses a
    /// password.
    pub(crate) async fn sign_in(
        base: String,
        root: Option<&str>,
        email: &str,
    ) -> Result<Self, Failure> {
        let mut operator = Self {
            http: client(root)?,
            base,
            token: String::new(),
        };
        let login = json!({"email": email, "password": FIRST_PASSWORD});
        let session = operator.post("/v1/auth/login", &login).await?;
        operator.token = text(&session, "/session/token")?;
        let change = json!({"current_password": FIRST_PASSWORD, "new_password": PASSWORD});
        operator.post("/v1/auth/password", &change).await?;
        Ok(operator)
    }

    /// The same session at another address.
    pub(crate) fn moved_to(&self, base: String, root: &str) -> Result<Self, Failure> {
        Ok(Self {
            http: client(Some(root))?,
            base,
            token: self.token.clone(),
        })
    }

    /// Makes a tenant, and an administrator of it, who signs in.
    pub(crate) async fn tenant(&self, tenant_id: &str, root: &str) -> Result<Self, Failure> {
        let tenant = json!({"tenant_id": tenant_id, "name": "Load"});
        self.post("/v1/admin/tenants", &tenant).await?;
        let email = format!("admin@{tenant_id}.example");
        let user = json!({
            "email": email, "role": "tenant_admin", "tenant_id": tenant_id,
            "password": FIRST_PASSWORD,
        });
        self.post("/v1/admin/console-users", &user).await?;
        Self::sign_in(self.base.clone(), Some(root), &email).await
    }

    /// Uploads the server's certificate.
    pub(crate) async fn upload(&self, server: &ServerIdentity) -> Result<(), Failure> {
        let form = Form::new()
            .text("cert", server.certificate.clone())
            .text("key", server.key.clone());
        let url = format!("{}/v1/admin/ssl/server-cert", self.base);
        self.answer(self.http.put(url).multipart(form)).await?;
        Ok(())
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let request = self.http.post(format!("{}{path}", self.base)).json(body);
        self.answer(request).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<Value, Failure> {
        let request = self.http.delete(format!("{}{path}", self.base));
        self.answer(request).await
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Value, Failure> {
        let answer = request.bearer_auth(&self.token).send().await?;
        let (status, url) = (answer.status(), answer.url().clone());
        let body = answer.bytes().await?;
        if status.is_success() {
            // An empty body has no members.
            return Ok(serde_json::from_slice(&body).unwrap_or_default());
        }
        let problem = String::from_utf8_lossy(&body);
        Err(format!("{url} answers {status}: {problem}").into())
    }
}

/// The text at a JSON pointer (RFC 6901).
pub(crate) fn text(body: &Value, pointer: &str) -> Result<String, Failure> {
    let text = body.pointer(pointer).and_then(Value::as_str);
    Ok(text
        .ok_or_else(|| format!("an answer has no {pointer}"))?
        .to_owned())
}

fn client(root: Option<&str>) -> Result<Client, Failure> {
    let builder = Client::builder().no_proxy();
    let builder = match root {
        Some(root) => builder.tls_certs_only([Certificate::from_pem(root.as_bytes())?]),
        None => builder,
    };
    Ok(builder.build()?)
}
