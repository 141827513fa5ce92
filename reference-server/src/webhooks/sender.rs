//! One try: a signed request to an address that was checked, and as much of the answer as is of use.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, StatusCode};
use identity_store::{ClaimedDelivery, SecretBytes};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use time::OffsetDateTime;
use tokio::net::lookup_host;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::destination::{AddressPolicy, AddressRefusal, Destination, Loopback, UrlRefusal};
use super::signature::{self, WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP};

/// How long a try may take, from the look-up of the host to the end of what is read of the answer.
pub const TRY_TIME: Duration = Duration::from_secs(15);

/// How much is read of an answer's body: what is longer is left where it is.
const MAX_ANSWER: usize = 16 * 1024;

/// How long an answer's body is read: the status has said what matters.
const ANSWER_TIME: Duration = Duration::from_secs(2);

/// How much is kept of it, in characters.
const KEPT_ANSWER: usize = 1024;

/// How many host names are looked up at once: each takes a thread, which waits for as long as its name
/// servers like.
const LOOK_UPS: usize = 32;

/// How long a connection waits for the next delivery.
const IDLE: Duration = Duration::from_secs(20);

/// Who sends it.
const AGENT: &str = concat!("identity-platform-webhooks/", env!("CARGO_PKG_VERSION"));

/// Sends events to endpoints.
#[derive(Debug)]
pub struct Sender {
    loopback: Loopback,
    /// One for each policy: connections that were opened under one are none of another's.
    public: reqwest::Client,
    loopback_by_http: reqwest::Client,
    lookups: Arc<Semaphore>,
}

/// What came of a try.
#[derive(Debug)]
pub struct Answered {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The beginning of the body, without control characters.
    pub body: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// Nothing may be sent there.
    #[error("the URL {0}")]
    Refused(#[from] UrlRefusal),
    /// The secrets cannot be read, or all of them have ended.
    #[error("there is no secret to sign with")]
    NoSecret,
    /// It took too long.
    #[error("no answer within {} seconds", TRY_TIME.as_secs())]
    TimeOut,
    /// The connection was not made.
    #[error("no connection: {0}")]
    Connect(String),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The event cannot be written down.
    #[error("the event cannot be written as JSON")]
    Unwritable,
}

impl Sender {
    /// A sender that verifies receivers by the system's root certificates.
    ///
    /// # Errors
    ///
    /// [`reqwest::Error`].
    pub fn new(loopback: Loopback) -> Result<Self, reqwest::Error> {
        let lookups = Arc::new(Semaphore::new(LOOK_UPS));
        let policy = match loopback {
            Loopback::Refused => AddressPolicy::Public,
            Loopback::Allowed => AddressPolicy::PublicOrLoopback,
        };
        let client = |policy| {
            let lookups = Arc::clone(&lookups);
            reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .no_proxy()
                .referer(false)
                .http1_only()
                .pool_idle_timeout(IDLE)
                .dns_resolver(Arc::new(Guarded { policy, lookups }))
        };
        let public = client(policy).build().or_else(|error| {
            tracing::warn!(%error, "no root certificates: webhooks by https will fail");
            client(policy).tls_certs_only([]).build()
        })?;
        Ok(Self {
            loopback,
            public,
            loopback_by_http: client(AddressPolicy::Loopback).tls_certs_only([]).build()?,
            lookups,
        })
    }

    /// Reads the URL of an endpoint, and looks at the addresses that its host has now.
    ///
    /// # Errors
    ///
    /// [`UrlRefusal`].
    pub async fn check(&self, url: &str) -> Result<Destination, UrlRefusal> {
        let destination = Destination::parse(url, self.loopback)?;
        if let Some(host) = destination.host_name() {
            let found = timeout(TRY_TIME, addresses(host, &self.lookups)).await;
            let found = found.unwrap_or_default();
            if found.is_empty() {
                return Err(UrlRefusal::Unresolved);
            }
            for address in found {
                destination.policy().check(address)?;
            }
        }
        Ok(destination)
    }

    /// Tries a delivery at `now`.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`]. An answer is one whatever its status.
    pub async fn send(
        &self,
        delivery: &ClaimedDelivery,
        now: OffsetDateTime,
    ) -> Result<Answered, NoAnswer> {
        let one_try = timeout(TRY_TIME, self.send_signed(delivery, now));
        one_try.await.unwrap_or(Err(NoAnswer::TimeOut))
    }

    async fn send_signed(
        &self,
        delivery: &ClaimedDelivery,
        now: OffsetDateTime,
    ) -> Result<Answered, NoAnswer> {
        let secrets: Vec<&SecretBytes> = delivery.secrets.iter().map(|it| &it.secret).collect();
        if secrets.is_empty() {
            return Err(NoAnswer::NoSecret);
        }
        let id = delivery.event.event_id.as_str();
        let timestamp = signature::timestamp(now);
        let body = signature::body(&delivery.event).map_err(|_| NoAnswer::Unwritable)?;
        let signature =
            signature::signature(secrets, id, timestamp, &body).map_err(|_| NoAnswer::NoSecret)?;
        let mut headers = HeaderMap::new();
        let timestamp = timestamp.to_string();
        for (name, value) in [
            (WEBHOOK_ID, id),
            (WEBHOOK_TIMESTAMP, &*timestamp),
            (WEBHOOK_SIGNATURE, &*signature),
        ] {
            let value = HeaderValue::from_str(value).map_err(|_| NoAnswer::Unwritable)?;
            headers.insert(name, value);
        }
        self.post_to(&delivery.url, headers, body).await
    }

    /// Posts JSON to a URL, which is judged as that of an endpoint is.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`]. An answer is one whatever its status.
    pub async fn post(
        &self,
        url: &str,
        headers: HeaderMap,
        body: String,
    ) -> Result<Answered, NoAnswer> {
        let one_try = timeout(TRY_TIME, self.post_to(url, headers, body));
        one_try.await.unwrap_or(Err(NoAnswer::TimeOut))
    }

    async fn post_to(
        &self,
        url: &str,
        headers: HeaderMap,
        body: impl Into<reqwest::Body>,
    ) -> Result<Answered, NoAnswer> {
        let destination = Destination::parse(url, self.loopback)?;
        let client = match destination.policy() {
            AddressPolicy::Loopback => &self.loopback_by_http,
            AddressPolicy::Public | AddressPolicy::PublicOrLoopback => &self.public,
        };
        let request = client
            .post(destination.url().clone())
            .headers(headers)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, AGENT)
            .body(body);
        let response = request.send().await.map_err(|error| no_answer(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Answered {
            status,
            headers,
            body: beginning(response).await,
        })
    }
}

/// The beginning of a body. One that breaks off was answered all the same: the status says whether the
/// receiver has taken the event.
async fn beginning(mut response: reqwest::Response) -> String {
    let mut body = Vec::new();
    let reading = async {
        // Not read to the end, the connection is not used again.
        while let Ok(Some(chunk)) = response.chunk().await {
            let left = MAX_ANSWER.saturating_sub(body.len());
            body.extend_from_slice(chunk.get(..left).unwrap_or(&chunk));
            if body.len() >= MAX_ANSWER {
                break;
            }
        }
    };
    // What came by then is enough.
    let _ = timeout(ANSWER_TIME, reading).await;
    let text = String::from_utf8_lossy(&body);
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(KEPT_ANSWER).map(plain).collect()
}

fn no_answer(error: &reqwest::Error) -> NoAnswer {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    let mut last = error.is_timeout().then(|| "timed out".to_owned());
    while let Some(found) = cause {
        if let Some(refused) = found.downcast_ref::<AddressRefusal>() {
            return NoAnswer::Refused(UrlRefusal::Address(*refused));
        }
        if found.downcast_ref::<NoAddress>().is_some() {
            return NoAnswer::Refused(UrlRefusal::Unresolved);
        }
        last = Some(found.to_string());
        cause = found.source();
    }
    // Without the URL, which may hold what identifies the endpoint.
    let last = last.unwrap_or_else(|| "unknown".to_owned());
    if error.is_connect() {
        NoAnswer::Connect(last)
    } else {
        NoAnswer::Broken(last)
    }
}

/// Finds the addresses of a host, and gives them to be connected to if each of them may be: what is checked is
/// what is connected to, whatever the name means a moment later.
#[derive(Debug)]
struct Guarded {
    policy: AddressPolicy,
    lookups: Arc<Semaphore>,
}

/// A host name without an address.
#[derive(Debug, thiserror::Error)]
#[error("the host has no address")]
struct NoAddress;

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (policy, lookups) = (self.policy, Arc::clone(&self.lookups));
        Box::pin(async move {
            let found = addresses(name.as_str(), &lookups).await;
            if found.is_empty() {
                return Err(NoAddress.into());
            }
            for address in &found {
                policy.check(*address)?;
            }
            let found = found.into_iter();
            let found: Addrs = Box::new(found.map(|address| SocketAddr::new(address, 0)));
            Ok(found)
        })
    }
}

/// The addresses of a host; none if it is not found.
async fn addresses(host: &str, lookups: &Semaphore) -> Vec<IpAddr> {
    let Ok(_turn) = lookups.acquire().await else {
        return Vec::new();
    };
    match lookup_host((host, 0)).await {
        Ok(found) => found.map(|address| address.ip()).collect(),
        Err(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_host_name_is_what_its_addresses_are() {
        let sender = Sender::new(Loopback::Refused).expect("a sender");
        let refused = sender.check("https://localhost/").await;
        assert!(
            matches!(refused, Err(UrlRefusal::Address(_))),
            "{refused:?}"
        );
        let nowhere = sender.check("https://nowhere.invalid/").await;
        assert_eq!(nowhere, Err(UrlRefusal::Unresolved));
        let sender = Sender::new(Loopback::Allowed).expect("a sender");
        assert!(sender.check("http://localhost:1/").await.is_ok());
    }

    /// The name was good when the endpoint was made: what it means now decides.
    #[tokio::test]
    async fn a_connection_is_made_to_what_was_checked_alone() {
        let lookups = Arc::new(Semaphore::new(1));
        let policy = AddressPolicy::Public;
        let guarded = Guarded { policy, lookups };
        let resolved = guarded.resolve("localhost".parse().expect("a name")).await;
        let refused = resolved.err().expect("refused");
        assert!(
            refused.downcast_ref::<AddressRefusal>().is_some(),
            "{refused}"
        );
    }
}
