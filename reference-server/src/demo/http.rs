//! HTTP over TLS, as an outsider speaks it.

use std::time::Duration;

use http::Method;
use reqwest::{Certificate, Client, Identity, RequestBuilder};
use serde_json::Value;

use super::error::DemoError;

/// Longer than the server's longest wait.
const ANSWER_TIME: Duration = Duration::from_secs(40);

/// Someone who calls the server: its base URL, what the caller trusts, and what the caller shows.
#[derive(Debug, Clone)]
pub(super) struct Http {
    base: String,
    ca: Certificate,
    client: Client,
    token: Option<String>,
}

impl Http {
    /// A caller who shows nothing, and trusts the CA `ca_pem` alone.
    pub(super) fn anonymous(base: &str, ca_pem: &str) -> Result<Self, DemoError> {
        let ca = Certificate::from_pem(ca_pem.as_bytes())?;
        let client = Client::builder().tls_certs_only([ca.clone()]);
        Ok(Self {
            base: base.to_owned(),
            client: client.timeout(ANSWER_TIME).build()?,
            ca,
            token: None,
        })
    }

    /// The same with a bearer token.
    pub(super) fn with_token(&self, token: String) -> Self {
        Self {
            token: Some(token),
            ..self.clone()
        }
    }

    /// A device with its own connections: `pem` is its key and its certificate.
    pub(super) fn with_certificate(&self, pem: &str) -> Result<Self, DemoError> {
        let identity = Identity::from_pem(pem.as_bytes())?;
        let client = Client::builder().tls_certs_only([self.ca.clone()]);
        Ok(Self {
            client: client.identity(identity).timeout(ANSWER_TIME).build()?,
            token: None,
            ..self.clone()
        })
    }

    pub(super) async fn get(&self, path: &str) -> Result<Answer, DemoError> {
        self.call(Method::GET, path, |request| request).await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<Answer, DemoError> {
        self.call(Method::DELETE, path, |request| request).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Answer, DemoError> {
        self.call(Method::POST, path, |request| request.json(body))
            .await
    }

    /// The token endpoint's client authentication (RFC 6749 §2.3.1) and form.
    pub(super) async fn post_form(
        &self,
        path: &str,
        (user, password): (&str, &str),
        form: &[(&str, &str)],
    ) -> Result<Answer, DemoError> {
        let with = |request: RequestBuilder| request.basic_auth(user, Some(password)).form(form);
        self.call(Method::POST, path, with).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        with: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Answer, DemoError> {
        let name = format!("{method} {path}");
        let request = self.client.request(method, format!("{}{path}", self.base));
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let answer = with(request).send().await?;
        let status = answer.status().as_u16();
        let body = answer.bytes().await?;
        Ok(Answer {
            request: name,
            status,
            // An empty body, or one that is no JSON, has no members.
            body: serde_json::from_slice(&body).unwrap_or_default(),
        })
    }
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    request: String,
    status: u16,
    body: Value,
}

impl Answer {
    /// Goes on if the status is the expected one.
    pub(super) fn must_be(self, status: u16) -> Result<Self, DemoError> {
        if self.status == status {
            Ok(self)
        } else {
            Err(self.unexpected(status.to_string()))
        }
    }

    /// Goes on if it is this refusal.
    pub(super) fn must_be_refused(self, status: u16, code: &str) -> Result<(), DemoError> {
        if self.status == status && self.body["error"] == code {
            Ok(())
        } else {
            Err(self.unexpected(format!("{status} {code}")))
        }
    }

    fn unexpected(self, expected: String) -> DemoError {
        let text = |name: &str| self.body[name].as_str().unwrap_or_default().to_owned();
        DemoError::Answer {
            expected,
            status: self.status,
            error: text("error"),
            detail: text("detail"),
            request: self.request,
        }
    }

    pub(super) fn body(&self) -> &Value {
        &self.body
    }

    /// The text at a JSON pointer (RFC 6901).
    pub(super) fn text(&self, pointer: &str) -> Result<String, DemoError> {
        let text = self.body.pointer(pointer).and_then(Value::as_str);
        text.map(str::to_owned).ok_or_else(|| DemoError::NoText {
            request: self.request.clone(),
            pointer: pointer.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(status: u16) -> Answer {
        Answer {
            request: "POST /v1/enroll".to_owned(),
            status,
            body: json!({"error": "consent_required", "detail": "Ask first."}),
        }
    }

    #[test]
    fn an_answer_that_is_not_as_it_should_be_is_an_error_that_says_so() {
        assert!(answer(201).must_be(201).is_ok());
        assert!(answer(403).must_be_refused(403, "consent_required").is_ok());
        for wrong in [
            answer(403).must_be(201).err(),
            answer(409).must_be_refused(403, "consent_required").err(),
            answer(403).must_be_refused(403, "kyc_required").err(),
            answer(200).text("/receipt").err(),
        ] {
            let text = wrong.unwrap().to_string();
            assert!(text.contains("POST /v1/enroll"), "{text}");
        }
        let text = answer(403).must_be(201).unwrap_err().to_string();
        let expected = "POST /v1/enroll was to answer 201, \
                        and answered 403 consent_required Ask first.";
        assert_eq!(text, expected);
    }
}
