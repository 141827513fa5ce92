use http::HeaderMap;
use http::header::CONTENT_TYPE;
use zeroize::Zeroizing;

use super::error::{OAuthError, OAuthErrorCode};

/// The parameters by which clients authenticate.
const OF_CLIENTS: [&str; 4] = [
    "client_id",
    "client_secret",
    "client_assertion_type",
    "client_assertion",
];

/// The parameters of a request of OAuth's (RFC 6749 §3.2): those of the endpoint, and those by which
/// clients authenticate. Others are ignored.
#[derive(Default)]
pub(super) struct Form(Vec<(String, Zeroizing<String>)>);

impl Form {
    /// Reads a form with the endpoint's own parameters. One without a value is as good as left out; one
    /// that is there twice is refused (RFC 6749 §3.2).
    pub(super) fn parse(
        headers: &HeaderMap,
        body: &[u8],
        own: &[&str],
    ) -> Result<Self, OAuthError> {
        if !is_form(headers) {
            return Err(malformed(
                "the body is to be application/x-www-form-urlencoded",
            ));
        }
        let mut form = Self::default();
        for (name, value) in url::form_urlencoded::parse(body) {
            let is_known = own.contains(&&*name) || OF_CLIENTS.contains(&&*name);
            if value.is_empty() || !is_known {
                continue;
            }
            if form.0.iter().any(|(known, _)| *known == name) {
                return Err(malformed("a parameter is there twice"));
            }
            let value = Zeroizing::new(value.into_owned());
            form.0.push((name.into_owned(), value));
        }
        Ok(form)
    }

    /// Whether a parameter has this value.
    pub(super) fn has(&self, name: &str, value: &str) -> bool {
        self.0.iter().any(|(n, v)| n == name && v.as_str() == value)
    }

    /// Takes the value of a parameter out of the form.
    pub(super) fn take(&mut self, name: &str) -> Option<Zeroizing<String>> {
        let place = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(place).1)
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

    fn parse(body: &str) -> Result<Form, OAuthError> {
        let media_type = "application/x-www-form-urlencoded; charset=utf-8".parse();
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, media_type.expect("header"))]);
        Form::parse(&headers, body.as_bytes(), &["grant_type", "scope"])
    }

    #[test]
    fn a_form_is_read() {
        let form = parse("grant_type=client_credentials&scope=a+b&client_id=&x=1&x=2");
        let mut form = form.expect("a form");
        let grant = form.take("grant_type").expect("a grant");
        assert_eq!(*grant, "client_credentials");
        assert_eq!(*form.take("scope").expect("a scope"), "a b");
        assert!(form.take("client_id").is_none(), "without a value");
        assert!(form.take("scope").is_none(), "taken");
        assert!(form.take("x").is_none(), "not the endpoint's");
    }

    #[test]
    fn what_is_ambiguous_or_no_form_is_refused() {
        assert!(parse("scope=a&scope=b").is_err());
        assert!(parse("client_secret=a&client_secret=a").is_err());
        assert!(Form::parse(&HeaderMap::new(), b"grant_type=x", &[]).is_err());
    }
}
