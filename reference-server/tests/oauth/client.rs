//! A client of OAuth that the tests play.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reference_server::clock::{Clock as _, SystemClock};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Api, Platform, Reply};

pub(crate) const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A platform with a tenant, and one of its administrators.
pub(crate) struct World {
    pub(crate) platform: Platform,
    pub(crate) admin: Api,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With these variables beside the usual ones.
    pub(crate) async fn start_with(variables: &[(&str, &str)]) -> Self {
        let platform = Platform::first_run_with(variables).await;
        let admin = platform.tenant("acme").await;
        Self { platform, admin }
    }

    /// A client with a secret, of a tenant.
    pub(crate) async fn client_of(&self, admin: &Api) -> Client {
        self.client_with(admin, &["devices.read", "users.read"])
            .await
    }

    pub(crate) async fn client_with(&self, admin: &Api, scopes: &[&str]) -> Client {
        let body = json!({"name": "backend", "scopes": scopes});
        let made = created(admin.post("/v1/oauth-clients", body).await);
        Client {
            api: self.platform.api(),
            client_id: text(&made["client_id"]),
            secret: text(&made["client_secret"]),
        }
    }

    pub(crate) async fn client(&self) -> Client {
        self.client_of(&self.admin).await
    }

    /// A client with these public keys.
    pub(crate) async fn keyed(&self, keys: &[&SigningKey]) -> Client {
        self.keyed_with(keys, &["devices.read"]).await
    }

    pub(crate) async fn keyed_with(&self, keys: &[&SigningKey], scopes: &[&str]) -> Client {
        let keys: Vec<_> = keys.iter().map(|key| &key.public).collect();
        let body = json!({"name": "backend", "scopes": scopes, "jwks": {"keys": keys}});
        let made = created(self.admin.post("/v1/oauth-clients", body).await);
        assert_eq!(made.get("client_secret"), None, "keys stand in for it");
        Client {
            api: self.platform.api(),
            client_id: text(&made["client_id"]),
            secret: String::new(),
        }
    }
}

pub(crate) struct Client {
    pub(crate) api: Api,
    pub(crate) client_id: String,
    pub(crate) secret: String,
}

pub(crate) const GRANT: (&str, &str) = ("grant_type", "client_credentials");

impl Client {
    /// Posts a form, with whatever credential is in it.
    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Reply {
        let request = self.api.request(Method::POST, path).form(form);
        self.api.send(request).await
    }

    /// Posts a form with the client's secret in it.
    pub(crate) async fn post_with_secret(&self, path: &str, form: &[(&str, &str)]) -> Reply {
        let credentials = [
            ("client_id", &*self.client_id),
            ("client_secret", &*self.secret),
        ];
        self.post(path, &[&credentials[..], form].concat()).await
    }

    /// Posts a form with an assertion in it.
    pub(crate) async fn post_with_assertion(
        &self,
        path: &str,
        assertion: &str,
        form: &[(&str, &str)],
    ) -> Reply {
        let proof = [
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", assertion),
        ];
        self.post(path, &[&proof[..], form].concat()).await
    }

    pub(crate) async fn token(&self) -> String {
        let granted = self.post_with_secret("/v1/auth/token", &[GRANT]).await;
        assert_eq!(granted.status, 200, "{}", granted.text);
        text(&granted.json["access_token"])
    }

    /// What it asserts of itself for a minute.
    pub(crate) fn claims(&self) -> Value {
        let now = SystemClock.now().unix_timestamp();
        json!({
            "iss": self.client_id, "sub": self.client_id, "aud": self.api.base(),
            "iat": now, "exp": now + 60, "jti": unique(),
        })
    }
}

/// A private key, and the public one as a JWK.
pub(crate) struct SigningKey {
    pub(crate) algorithm: Algorithm,
    pub(crate) public: Value,
    signing: EncodingKey,
    /// The private key as a JWK, if it is one on P-256.
    pub(crate) private: Option<Value>,
}

impl SigningKey {
    pub(crate) fn generate(algorithm: Algorithm) -> Self {
        let rng = SystemRandom::new();
        let mut private = None;
        let signing = match algorithm {
            Algorithm::ES256 => {
                let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
                let number = aws_lc_rs::encoding::AsBigEndian::as_be_bytes(&key.private_key());
                let number: aws_lc_rs::encoding::EcPrivateKeyBin<'_> = number.unwrap();
                private = Some(URL_SAFE_NO_PAD.encode(number.as_ref()));
                EncodingKey::from_ec_der(key.to_pkcs8v1().unwrap().as_ref())
            }
            Algorithm::ES384 => {
                let key = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
                EncodingKey::from_ec_der(key.to_pkcs8v1().unwrap().as_ref())
            }
            Algorithm::EdDSA => {
                let key = Ed25519KeyPair::generate_pkcs8v1(&rng).unwrap();
                EncodingKey::from_ed_der(key.as_ref())
            }
            Algorithm::RS256 | Algorithm::PS256 => {
                let key = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048);
                let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = key.unwrap().as_der().unwrap();
                let lines = STANDARD.encode(der.as_ref());
                let pem =
                    format!("-----BEGIN PRIVATE KEY-----\n{lines}\n-----END PRIVATE KEY-----\n");
                EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap()
            }
            other => panic!("{other:?}"),
        };
        let mut public = Jwk::from_encoding_key(&signing, algorithm).unwrap();
        public.common.key_id = Some(format!("{algorithm:?}-{}", unique()));
        let public = serde_json::to_value(public).unwrap();
        let private = private.map(|number| {
            let mut jwk = public.clone();
            jwk["d"] = json!(number);
            jwk["alg"] = json!("ES256");
            jwk
        });
        Self {
            algorithm,
            public,
            signing,
            private,
        }
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(text(&self.public["kid"]));
        self.sign_under(&header, claims)
    }

    pub(crate) fn sign_under(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.signing).unwrap()
    }
}

/// Text that was not there before.
fn unique() -> String {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn created(reply: Reply) -> Value {
    assert_eq!(reply.status, 201, "{}", reply.text);
    reply.json
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

/// The refusal of an endpoint of OAuth's: its status and code.
pub(crate) fn refusal(reply: &Reply) -> (u16, &str) {
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert!(
        reply.json["error_description"].is_string(),
        "{}",
        reply.text
    );
    (reply.status, reply.json["error"].as_str().expect("a code"))
}
