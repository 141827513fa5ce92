use http::HeaderMap;
use http::header::CONTENT_TYPE;
use zeroize::Zeroizing;

use super::error::{OAuthError, OAuthErrorCode};

/// The parameters of a token request (RFC 6749 §4.4.2). Unknown ones are ignored (§3.2).
#[derive(Default)]
pub(super) struct TokenForm {
    pub(super) grant_type: Option<String>,
    pub(super) scope: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<Zeroizing<String>>,
}

impl TokenForm {
    /// Reads a form. A parameter without a value is as good as left out; one that is there twice is
    /// refused (§3.2).
    pub(super) fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Self, OAuthError> {
        if !is_form(headers) {
            return Err(malformed(
                "the body is to be application/x-www-form-urlencoded",
            ));
        }
        let mut form = Self::default();
        for (name, value) in url::form_urlencoded::parse(body) {
            if value.is_empty() {
                continue;
            }
            let value = value.into_owned();
            let twice = match &*name {
                "grant_type" => form.grant_type.replace(value).is_some(),
                "scope" => form.scope.replace(value).is_some(),
                "client_id" => form.client_id.replace(value).is_some(),
                "client_secret" => form.client_secret.replace(Zeroizing::new(value)).is_some(),
                _ => false,
            };
            if twice {
                return Err(malformed("a parameter is there twice"));
            }
        }
        Ok(form)
    }
}

fn malformed(description: &'static str) -> OAuthError {
    OAuthError::new(OAuthErrorCode::InvalidRequest, description)
}

fn is_form(headers: &HeaderMap) -> bool {
    let declared = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = declared
        .and_then(|value| value.split(';').next())
        .map(str::trim);
    essence.is_some_and(|e| e.eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<TokenForm, OAuthError> {
        let media_type = "application/x-www-form-urlencoded; charset=utf-8".parse();
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, media_type.expect("header"))]);
        TokenForm::parse(&headers, body.as_bytes())
    }

    #[test]
    fn a_form_is_read() {
        let form = parse("grant_type=client_credentials&scope=a+b&client_id=&x=1&x=2");
        let form = form.expect("a form");
        assert_eq!(form.grant_type.as_deref(), Some("client_credentials"));
        assert_eq!(form.scope.as_deref(), Some("a b"));
        assert!(form.client_id.is_none(), "without a value");
    }

    #[test]
    fn what_is_ambiguous_or_no_form_is_refused() {
        assert!(parse("scope=a&scope=b").is_err());
        assert!(TokenForm::parse(&HeaderMap::new(), b"grant_type=x").is_err());
    }
}
