use std::net::SocketAddr;

use http::HeaderValue;
use http::header::CONTENT_TYPE;
use reqwest::multipart::{Form, Part};
use reqwest::{Certificate, Client, ClientBuilder, Identity, Method, RequestBuilder};
use serde_json::{Value, json};

use super::{DeviceKey, ServerKey};

/// A client of the API, with or without a credential.
#[derive(Clone)]
pub struct Api {
    base: String,
    client: Client,
    bearer: Option<String>,
    root: Option<String>,
}

/// An answer that was read to its end; one that lasts, up to its second piece.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub text: String,
    /// The body, if it is JSON.
    pub json: Value,
}

impl Reply {
    /// The problem document's code.
    pub fn error(&self) -> &str {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{}",
            self.text
        );
        assert_eq!(self.json["status"], self.status);
        assert_eq!(
            self.json["request_id"].as_str(),
            self.header("x-request-id")
        );
        self.json["error"].as_str().expect("a code")
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Api {
    /// A client over plain HTTP.
    pub fn plain(address: SocketAddr) -> Self {
        let client = builder().build().expect("a client");
        Self {
            base: format!("http://{address}"),
            client,
            bearer: None,
            root: None,
        }
    }

    /// A client that trusts the server's certificate and nothing else.
    pub fn https(address: SocketAddr, server: &ServerKey) -> Self {
        Self::trusting(address, server.root_pem())
    }

    /// A client that trusts this root, or these, and nothing else.
    pub fn trusting(address: SocketAddr, root: String) -> Self {
        let client = trusting(&root).build().expect("a client");
        Self {
            base: format!("https://{address}"),
            client,
            bearer: None,
            root: Some(root),
        }
    }

    /// The same caller, once the server speaks HTTPS.
    pub fn moved_to_https(&self, address: SocketAddr, server: &ServerKey) -> Self {
        Self {
            bearer: self.bearer.clone(),
            ..Self::https(address, server)
        }
    }

    /// The same caller, at another server of the same platform.
    pub fn at(&self, address: SocketAddr) -> Self {
        Self {
            base: format!("https://{address}"),
            ..self.clone()
        }
    }

    /// With a token in place of whatever credential there was.
    pub fn with_bearer(&self, token: &str) -> Self {
        Self {
            bearer: Some(token.to_owned()),
            ..self.clone()
        }
    }

    /// A client of its own connections that presents a device's certificate.
    pub fn with_certificate(&self, key: &DeviceKey, certificate_pem: &str) -> Self {
        let pem = format!("{certificate_pem}{}", key.pem());
        let identity = Identity::from_pem(pem.as_bytes()).expect("an identity");
        let root = self.root.as_deref().expect("HTTPS");
        let client = trusting(root).identity(identity).build().expect("a client");
        Self {
            client,
            bearer: None,
            ..self.clone()
        }
    }

    /// The token that it presents.
    pub fn token(&self) -> &str {
        self.bearer.as_deref().expect("a token")
    }

    /// The base URL.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The HTTP client, for what the shortcuts do not cover.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Signs a console user in.
    pub async fn sign_in(&self, email: &str, password: &str) -> Self {
        let reply = self
            .post(
                "/v1/auth/login",
                json!({"email": email, "password": password}),
            )
            .await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        self.with_bearer(reply.json["session"]["token"].as_str().expect("a token"))
    }

    pub async fn get(&self, path: &str) -> Reply {
        send(self.request(Method::GET, path)).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        send(self.request(Method::DELETE, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Reply {
        send(self.request(Method::POST, path).json(&body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Reply {
        send(self.request(Method::PUT, path).json(&body)).await
    }

    /// A POST with an `Idempotency-Key`.
    pub async fn post_once(&self, path: &str, key: &str, body: Value) -> Reply {
        send(
            self.request(Method::POST, path)
                .header("idempotency-key", key)
                .json(&body),
        )
        .await
    }

    /// Uploads a server certificate.
    pub async fn upload(&self, server: &ServerKey) -> Reply {
        self.upload_parts(&[("cert", &server.chain_pem()), ("key", &server.key_pem())])
            .await
    }

    /// Uploads parts of a server certificate.
    pub async fn upload_parts(&self, parts: &[(&'static str, &str)]) -> Reply {
        self.put_parts("/v1/admin/ssl/server-cert", parts).await
    }

    /// Puts the parts of an upload.
    pub async fn put_parts(&self, path: &str, parts: &[(&'static str, &str)]) -> Reply {
        let form = parts.iter().fold(Form::new(), |form, (name, text)| {
            form.part(*name, Part::text((*text).to_owned()))
        });
        send(self.request(Method::PUT, path).multipart(form)).await
    }

    /// A request with the credential, to be completed and sent with [`send`](Self::send).
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        match &self.bearer {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub async fn send(&self, request: RequestBuilder) -> Reply {
        send(request).await
    }

    /// What becomes of a request whose answer may be lost.
    pub async fn try_send(&self, request: RequestBuilder) -> reqwest::Result<Reply> {
        try_send(request).await
    }

    /// What becomes of a request whose connection may be refused.
    pub async fn try_get(&self, path: &str) -> reqwest::Result<u16> {
        Ok(self
            .request(Method::GET, path)
            .send()
            .await?
            .status()
            .as_u16())
    }
}

async fn send(request: RequestBuilder) -> Reply {
    try_send(request).await.expect("an answer")
}

async fn try_send(request: RequestBuilder) -> reqwest::Result<Reply> {
    let mut response = request.send().await?;
    let status = response.status().as_u16();
    let (headers, url) = (response.headers().clone(), response.url().clone());
    let lasts = headers.get(CONTENT_TYPE) == Some(&HeaderValue::from_static("text/event-stream"));
    let text = if lasts {
        let first = response.chunk().await.map(Option::unwrap_or_default);
        first.map(|first| String::from_utf8_lossy(&first).into_owned())
    } else {
        response.text().await
    };
    let text = text.map_err(|error| error.with_url(url))?;
    let json = serde_json::from_str(&text).unwrap_or_default();
    Ok(Reply {
        status,
        headers,
        text,
        json,
    })
}

fn builder() -> ClientBuilder {
    Client::builder().no_proxy()
}

fn trusting(root: &str) -> ClientBuilder {
    builder().tls_certs_only(Certificate::from_pem_bundle(root.as_bytes()).expect("roots"))
}
