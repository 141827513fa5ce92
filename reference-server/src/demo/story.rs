//! The story, told to the server's public interface from outside. A step that does not go as it
//! should ends it.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use rustls::version::{TLS12, TLS13};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::{DemoError, ensure};
use super::http::Http;
use super::knock::{Knock, knock};
use super::narrator::Narrator;
use super::scanner::{Capture, Credentials, Scanner};
use super::stage::{OPERATOR, Stage, password};

const TENANT: &str = "acme";
const TENANT_ADMIN: &str = "tina@acme.example";
const USER: &str = "user_456";
const SCOPES: [&str; 9] = [
    "devices.read",
    "devices.write",
    "devices.revoke",
    "challenges.read",
    "challenges.write",
    "users.read",
    "users.write",
    "consent.read",
    "consent.write",
];

/// Ada's left palm, and a stranger's.
const ADA: u64 = 1;
const STRANGER: u64 = 2;

/// Who can sign in after the story.
pub(super) struct Cast {
    pub(super) operator: (&'static str, String),
    pub(super) tenant_admin: (&'static str, String),
    pub(super) client: (String, String),
    pub(super) token: String,
}

/// Tells the story from the first sign-in to the revoked scanner.
pub(super) async fn tell(stage: &Stage, narrator: &mut Narrator) -> Result<Cast, DemoError> {
    let mut story = Story {
        stage,
        narrator,
        anonymous: Http::anonymous(&stage.base_url, &stage.ca_pem)?,
    };
    let (cast, backend) = story.set_up().await?;
    let mut scanner = story.pair(&backend).await?;
    story.enrol(&backend, &scanner).await?;
    story.verify(&backend, &scanner, &cast.client.0).await?;
    story.refuse_a_stranger(&backend, &scanner).await?;
    story.renew(&mut scanner).await?;
    story.revoke(&backend, &scanner).await?;
    Ok(cast)
}

struct Story<'a> {
    stage: &'a Stage,
    narrator: &'a mut Narrator,
    anonymous: Http,
}

impl Story<'_> {
    fn tell(&mut self, text: &str) -> Result<(), DemoError> {
        Ok(self.narrator.tell(text)?)
    }

    /// Signs in with a first password, changes it, and returns the session and the new password.
    async fn first_sign_in(&self, email: &str, first: &str) -> Result<(Http, String), DemoError> {
        let body = json!({"email": email, "password": first});
        let login = self
            .anonymous
            .post("/v1/auth/login", &body)
            .await?
            .must_be(200)?;
        ensure(
            login.body()["must_change_password"] == true,
            "a first password may be kept",
        )?;
        let session = self.anonymous.with_token(login.text("/session/token")?);
        let early = session.get("/v1/admin/ssl/status").await?;
        early.must_be_refused(403, "password_change_required")?;
        let own = password();
        let change = json!({"current_password": first, "new_password": own});
        session
            .post("/v1/auth/password", &change)
            .await?
            .must_be(204)?;
        Ok((session, own))
    }

    /// Operator, CA, tenant, its administrator, and an integrator with a token.
    async fn set_up(&mut self) -> Result<(Cast, Http), DemoError> {
        let first = self.stage.initial_password.clone();
        let (root, root_password) = self.first_sign_in(OPERATOR, &first).await?;
        self.tell("the first operator signs in, has to change the password, and does")?;

        let ca = root
            .post("/v1/admin/ssl/ca-cert/generate", &json!({}))
            .await?;
        let fingerprint = ca.must_be(201)?.text("/fingerprint")?;
        self.tell(&format!("the platform's CA is generated: {fingerprint}"))?;

        let tenant = json!({"tenant_id": TENANT, "name": "Acme Bank"});
        root.post("/v1/admin/tenants", &tenant)
            .await?
            .must_be(201)?;
        self.tell("a tenant is made: acme")?;

        let user = json!({"email": TENANT_ADMIN, "role": "tenant_admin", "tenant_id": TENANT});
        let made = root
            .post("/v1/admin/console-users", &user)
            .await?
            .must_be(201)?;
        let first = made.text("/initial_password")?;
        let (tina, tina_password) = self.first_sign_in(TENANT_ADMIN, &first).await?;
        self.tell("acme's administrator signs in and changes the password")?;

        let client = json!({"name": "Acme's backend", "scopes": SCOPES});
        let client = tina
            .post("/v1/oauth-clients", &client)
            .await?
            .must_be(201)?;
        let client = (client.text("/client_id")?, client.text("/client_secret")?);
        let form = [("grant_type", "client_credentials")];
        let basic = (client.0.as_str(), client.1.as_str());
        let granted = self.anonymous.post_form("/v1/auth/token", basic, &form);
        let token = granted.await?.must_be(200)?.text("/access_token")?;
        self.tell("acme's backend gets an OAuth client and an access token")?;

        let backend = self.anonymous.with_token(token.clone());
        let cast = Cast {
            operator: (OPERATOR, root_password),
            tenant_admin: (TENANT_ADMIN, tina_password),
            client,
            token,
        };
        Ok((cast, backend))
    }

    async fn pair(&mut self, backend: &Http) -> Result<Scanner, DemoError> {
        let device = json!({"device_name": "Counter 3 Scanner", "location": "Branch A"});
        let registered = backend.post("/v1/devices", &device).await?.must_be(201)?;
        let code = registered.text("/pairing_code")?;
        self.tell(&format!(
            "a scanner is registered; its pairing code is {code}"
        ))?;

        let scanner = Scanner::pair(&self.anonymous, &code).await?;
        ensure(
            scanner.device_id == registered.text("/device_id")?,
            "the scanner got another device's identity",
        )?;
        let device_id = scanner.device_id.clone();
        self.tell(&format!(
            "the scanner makes a key, pairs, and is urn:link:tenant:{TENANT}:device:{device_id}"
        ))?;

        let nobody = self.anonymous.get("/v1/challenges/pending").await?;
        nobody.must_be_refused(401, "client_cert_required")?;
        let waiting = scanner.poll(0).await?;
        ensure(waiting.is_empty(), "there is a challenge that nobody made")?;
        self.tell("it polls over mutual TLS; without a certificate nobody can")?;
        Ok(scanner)
    }

    async fn enrol(&mut self, backend: &Http, scanner: &Scanner) -> Result<(), DemoError> {
        let user = json!({"user_id": USER, "display_name": "Ada"});
        backend.post("/v1/users", &user).await?.must_be(201)?;
        let enroll = json!({"user_id": USER, "device_id": scanner.device_id, "type": "left"});
        let early = backend.post("/v1/enroll", &enroll).await?;
        early.must_be_refused(403, "consent_required")?;
        let consent = json!({
            "user_id": USER,
            "consent_type": "palm_biometric",
            "version": "1",
            "purposes": ["verification"],
            "granted": true,
            "method": "signature",
        });
        backend.post("/v1/consent", &consent).await?.must_be(201)?;
        self.tell("Ada is a user; without her consent no palm is enrolled, so she gives it")?;

        let challenge = backend.post("/v1/enroll", &enroll).await?.must_be(201)?;
        let id = challenge.text("/challenge_id")?;
        let palm = Capture {
            palm: ADA,
            noise: 1,
        };
        let outcome = scanner.scan(&id, palm).await?.text("/status")?;
        ensure(outcome == "enrolled", "Ada's palm is not enrolled")?;
        let templates = self.stage.palms.template_count();
        ensure(templates == 1, "the palm server did not learn one palm")?;
        self.tell("Ada's left palm is enrolled; the palm server has learnt it")
    }

    async fn verify(
        &mut self,
        backend: &Http,
        scanner: &Scanner,
        client_id: &str,
    ) -> Result<(), DemoError> {
        let verify = verification(scanner, "doc_123");
        let challenge = backend.post("/v1/verify", &verify).await?.must_be(201)?;
        let id = challenge.text("/challenge_id")?;
        let palm = Capture {
            palm: ADA,
            noise: 2,
        };
        let outcome = scanner.scan(&id, palm).await?;
        ensure(
            outcome.text("/status")? == "completed" && outcome.text("/user_id")? == USER,
            "Ada's palm is not Ada's",
        )?;
        let scores = outcome.body()["scores"].as_array().into_iter().flatten();
        let scores: Vec<_> = scores
            .filter_map(Value::as_f64)
            .map(|score| format!("{score:.2}"))
            .collect();
        let scores = scores.join(", ");
        self.tell(&format!("Ada's palm is verified, with the scores {scores}"))?;

        let path = format!("/v1/challenges/{id}?wait=1");
        let seen = backend.get(&path).await?.must_be(200)?;
        let receipt = seen.text("/receipt")?;
        let platform = backend
            .get("/.well-known/oauth-authorization-server")
            .await?;
        let issuer = platform.must_be(200)?.text("/issuer")?;
        let keys = backend.get("/.well-known/jwks.json").await?.must_be(200)?;
        let claims = Receipt::check(&receipt, keys.body(), &issuer, client_id)?;
        ensure(
            claims.sub == USER && claims.device_id == scanner.device_id && claims.jti == id,
            "the receipt is about something else",
        )?;
        self.tell("the backend has the receipt; its signature is the published key's")
    }

    async fn refuse_a_stranger(
        &mut self,
        backend: &Http,
        scanner: &Scanner,
    ) -> Result<(), DemoError> {
        let verify = verification(scanner, "doc_124");
        let challenge = backend.post("/v1/verify", &verify).await?.must_be(201)?;
        let id = challenge.text("/challenge_id")?;
        let mut reasons = Vec::new();
        for noise in 1..=3 {
            let palm = Capture {
                palm: STRANGER,
                noise,
            };
            reasons.push(scanner.scan(&id, palm).await?.text("/reason_code")?);
        }
        ensure(
            reasons == ["not_found", "not_found", "max_attempts"],
            "a stranger's palm is not refused as it should be",
        )?;
        self.tell("a stranger's palm is refused, and the third try ends the challenge")
    }

    async fn renew(&mut self, scanner: &mut Scanner) -> Result<(), DemoError> {
        let old = scanner.renew().await?;
        scanner.itself().await?.must_be(200)?;
        self.tell("the scanner renews its certificate for a new key, without anybody's help")?;
        self.both_versions_refuse(&old, "the old certificate").await
    }

    async fn revoke(&mut self, backend: &Http, scanner: &Scanner) -> Result<(), DemoError> {
        for version in [&TLS12, &TLS13] {
            let knock = self.knock(&scanner.credentials, version).await?;
            ensure(
                matches!(knock, Knock::Answered),
                "the paired scanner is refused in the handshake",
            )?;
        }
        self.tell("so far the scanner's certificate is let in, over TLS 1.2 and TLS 1.3")?;

        let path = format!("/v1/devices/{}", scanner.device_id);
        let revoked = backend.delete(&path).await?.must_be(200)?;
        ensure(
            revoked.text("/status")? == "revoked",
            "the scanner is not revoked",
        )?;
        let closed = &revoked.body()["connections_closed"];
        let text = format!("the scanner is revoked; open connections that this closed: {closed}");
        self.tell(&text)?;
        ensure(
            scanner
                .itself()
                .await
                .and_then(|answer| answer.must_be(200))
                .is_err(),
            "the revoked scanner is still served",
        )?;
        let credentials = scanner.credentials.clone();
        self.both_versions_refuse(&credentials, "the revoked scanner")
            .await
    }

    async fn both_versions_refuse(
        &mut self,
        credentials: &Credentials,
        who: &str,
    ) -> Result<(), DemoError> {
        for (version, name) in [(&TLS12, "1.2"), (&TLS13, "1.3")] {
            match self.knock(credentials, version).await? {
                Knock::Refused(how) => {
                    self.tell(&format!(
                        "{who} is refused in the handshake, TLS {name}: {how}"
                    ))?;
                }
                Knock::Answered => {
                    return Err(DemoError::Plot(format!("{who} is let in with TLS {name}")));
                }
            }
        }
        Ok(())
    }

    async fn knock(
        &self,
        credentials: &Credentials,
        version: &'static rustls::SupportedProtocolVersion,
    ) -> Result<Knock, DemoError> {
        let (address, ca_pem) = (self.stage.address(), &self.stage.ca_pem);
        knock(address, ca_pem, credentials, version).await
    }
}

fn verification(scanner: &Scanner, document: &str) -> Value {
    json!({
        "user_id": USER,
        "device_id": scanner.device_id,
        "context": "e_signature",
        "metadata": {"document_id": document},
    })
}

/// What a receipt says, as far as the story looks.
#[derive(Debug, Deserialize)]
struct Receipt {
    sub: String,
    jti: String,
    device_id: String,
}

impl Receipt {
    /// The claims, if the platform signed them for this client (contract §8).
    fn check(
        receipt: &str,
        keys: &Value,
        issuer: &str,
        client_id: &str,
    ) -> Result<Self, DemoError> {
        let keys = JwkSet::deserialize(keys)
            .map_err(|error| DemoError::Plot(format!("the keys are no JWK set: {error}")))?;
        let key_id = jsonwebtoken::decode_header(receipt)?.kid;
        let key = key_id.and_then(|id| keys.find(&id).cloned());
        let key = key.ok_or_else(|| DemoError::Plot("the key is not published".to_owned()))?;
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[client_id]);
        validation.set_required_spec_claims(&["iss", "aud", "sub"]);
        // A receipt does not expire.
        validation.validate_exp = false;
        let key = DecodingKey::from_jwk(&key)?;
        Ok(jsonwebtoken::decode(receipt, &key, &validation)?.claims)
    }
}
