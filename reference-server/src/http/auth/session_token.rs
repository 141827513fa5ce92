//! Tokens of sessions: drawn, shown, and replaced when what their user may do changes.

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};
use identity_store::KeptSession;
use zeroize::Zeroizing;

use crate::http::{Carrier, ConsoleSession, Problem, cookie, session_token_hash};
use crate::{App, clock};

/// A new token, of the base64url alphabet.
pub(super) fn draw() -> Zeroizing<String> {
    Zeroizing::new(URL_SAFE_NO_PAD.encode(clock::random_bytes::<32>()))
}

/// The session that asks for what ends the user's sessions. One that a cookie carries goes on under a new
/// token, which the answer sets: who knew the one before, knows nothing. A Bearer client keeps its
/// token, since nothing brings it another, and nobody but itself could have given it one.
pub(super) struct Kept {
    pub(super) session: KeptSession,
    fresh: Option<Zeroizing<String>>,
}

impl Kept {
    pub(super) fn of(console: &ConsoleSession) -> Self {
        let fresh = match console.carrier {
            Carrier::Cookie => Some(draw()),
            Carrier::Bearer => None,
        };
        let session = KeptSession {
            session_id: console.session.session_id.clone(),
            token_hash: fresh.as_ref().map(|token| session_token_hash(token)),
        };
        Self { session, fresh }
    }

    /// `response`, with the new token if there is one.
    pub(super) fn set_in(self, app: &App, response: Response) -> Result<Response, Problem> {
        match self.fresh {
            Some(token) => with_cookie(app, response, &token),
            None => Ok(response),
        }
    }
}

/// `response`, which sets the session's cookie.
pub(super) fn with_cookie(
    app: &App,
    mut response: Response,
    token: &str,
) -> Result<Response, Problem> {
    let cookie = cookie::set(token, app.tls.is_https()).map_err(Problem::internal)?;
    append(response.headers_mut(), cookie);
    Ok(response)
}

/// `response`, which makes the browser forget the session.
pub(super) fn without_cookie(app: &App, mut response: Response) -> Result<Response, Problem> {
    let cookie = cookie::clear(app.tls.is_https()).map_err(Problem::internal)?;
    append(response.headers_mut(), cookie);
    Ok(response)
}

fn append(headers: &mut HeaderMap, cookie: HeaderValue) {
    headers.append(SET_COOKIE, cookie);
}
