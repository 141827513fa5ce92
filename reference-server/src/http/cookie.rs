//! The console's session cookie (contract §3).

use http::header::{COOKIE, InvalidHeaderValue};
use http::{HeaderMap, HeaderValue};

/// `__Host-` binds the cookie to this host and to HTTPS; a browser would drop it over HTTP, where
/// only the first run takes place.
fn name(https: bool) -> &'static str {
    if https { "__Host-session" } else { "session" }
}

/// The session's token, if the request carries the cookie.
pub(super) fn session(headers: &HeaderMap, https: bool) -> Option<&str> {
    let cookies = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(key, value)| (key == name(https) && !value.is_empty()).then_some(value))
}

/// `Set-Cookie` for a session that was opened; `token` is of the base64url alphabet.
pub(super) fn set(token: &str, https: bool) -> Result<HeaderValue, InvalidHeaderValue> {
    of(token, https, "")
}

/// `Set-Cookie` that makes the browser forget the session.
pub(super) fn clear(https: bool) -> Result<HeaderValue, InvalidHeaderValue> {
    of("", https, "; Max-Age=0")
}

fn of(token: &str, https: bool, more: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let name = name(https);
    let secure = if https { "; Secure" } else { "" };
    let cookie = format!("{name}={token}; Path=/; HttpOnly; SameSite=Strict{secure}{more}");
    HeaderValue::try_from(cookie)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_is_read_back() {
        for https in [false, true] {
            let cookie = set("abc", https).expect("cookie");
            let text = cookie.to_str().expect("ASCII");
            let (pair, attributes) = text.split_once("; ").expect("attributes");
            assert_eq!(attributes.contains("Secure"), https);
            assert!(attributes.contains("HttpOnly; SameSite=Strict"));
            let sent = HeaderValue::from_str(&format!("a=b; {pair}")).expect("header");
            let headers = HeaderMap::from_iter([(COOKIE, sent)]);
            assert_eq!(session(&headers, https), Some("abc"));
            assert_eq!(session(&headers, !https), None, "the other scheme's cookie");
        }
    }
}
