//! Requests that a page of another site makes a browser send (contract §3).
//!
//! The browser adds the session's cookie to them by itself. The page cannot read `GET /v1/auth/me`, so
//! it does not know the token that a write has to carry beside the cookie.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::digest::InvalidLength;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::{ErrorCode, Problem};

/// The header that carries a session's CSRF token.
pub(super) const X_CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");

/// Sent by browsers over HTTPS; no page can set it (W3C Fetch Metadata §2.3).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// HMAC-SHA-256 of a label under the session's token: who knows it cannot tell the session's.
pub(super) fn token(session: &str) -> Result<String, Problem> {
    let mut mac = Hmac::<Sha256>::new_from_slice(session.as_bytes())
        .map_err(|error: InvalidLength| Problem::internal(error))?;
    mac.update(b"csrf-token");
    Ok(URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// Refuses a write that the cookie of `session` alone speaks for.
///
/// # Errors
///
/// 403 `cross_site_request` and `csrf_token_invalid`.
pub(super) fn check(parts: &Parts, session: &str) -> Result<(), Problem> {
    if parts.method.is_safe() {
        return Ok(());
    }
    refuse_other_sites(&parts.headers)?;
    let sent = parts.headers.get(X_CSRF_TOKEN);
    let sent = sent.map_or(&b""[..], HeaderValue::as_bytes);
    if bool::from(sent.ct_eq(token(session)?.as_bytes())) {
        return Ok(());
    }
    Err(Problem::new(
        ErrorCode::CsrfTokenInvalid,
        "Beside the session's cookie, a write carries its `csrf_token` of GET /v1/auth/me in X-CSRF-Token.",
    ))
}

/// Refuses what the browser says a page of another origin asks for. Other programs say nothing of it.
///
/// # Errors
///
/// 403 `cross_site_request`.
pub(super) fn refuse_other_sites(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => Err(Problem::new(
            ErrorCode::CrossSiteRequest,
            "Only the console's own pages may ask for this with a browser.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use http::{Method, Request};

    use super::*;

    fn refusal(method: &Method, headers: &[(&str, &str)]) -> Option<ErrorCode> {
        let mut request = Request::builder().method(method);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        check(&parts, "the session")
            .err()
            .map(|problem| problem.code())
    }

    #[test]
    fn the_token_is_of_one_session() {
        // Python: hmac.new(b"the session", b"csrf-token", "sha256"), base64url without padding.
        let of = |session| token(session).expect("a token");
        assert_eq!(
            of("the session"),
            "9v5x-Jjweydb04RmalY62kLbmmpxMNHCUFDYv_NG7KI"
        );
        assert_ne!(of("the session"), of("another"));
    }

    #[test]
    fn a_write_needs_the_token_of_its_session_and_a_page_of_the_console() {
        let right = token("the session").expect("a token");
        let right = ("x-csrf-token", right.as_str());
        let other = token("another").expect("a token");
        let invalid = Some(ErrorCode::CsrfTokenInvalid);
        let cross_site = Some(ErrorCode::CrossSiteRequest);
        for (headers, expected) in [
            (vec![right], None),
            (vec![right, ("sec-fetch-site", "same-origin")], None),
            (vec![right, ("sec-fetch-site", "none")], None),
            (vec![right, ("sec-fetch-site", "same-site")], cross_site),
            (vec![right, ("sec-fetch-site", "cross-site")], cross_site),
            (vec![], invalid),
            (vec![("x-csrf-token", "")], invalid),
            (vec![("x-csrf-token", &other)], invalid),
            (vec![("x-csrf-token", "the session")], invalid),
            (vec![("x-csrf-token", &right.1[1..])], invalid),
        ] {
            for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
                assert_eq!(refusal(&method, &headers), expected, "{method} {headers:?}");
            }
            for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
                assert_eq!(refusal(&method, &headers), None, "{method} {headers:?}");
            }
        }
    }
}
