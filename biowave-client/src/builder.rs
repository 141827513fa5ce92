use std::time::Duration;

use url::Url;

use crate::{BaseUrlRule, BioWaveClient, Error};

/// Settings of a [`BioWaveClient`]; from [`BioWaveClient::builder`].
#[derive(Debug)]
pub struct Builder {
    base: Url,
    timeout: Duration,
    http: Option<reqwest::Client>,
}

impl Builder {
    pub(crate) fn new(base: Url) -> Self {
        Self {
            base,
            timeout: Duration::from_secs(3),
            http: None,
        }
    }

    /// The time limit of one call, from connecting to the last byte of the answer and with all
    /// repeats; 3 seconds unless told.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// An HTTP client of the caller's, for roots or client certificates of its own.
    ///
    /// The default client follows no redirect, repeats nothing by itself and uses no proxy, because
    /// samples shall reach the palm server and nobody else. One that is given here should do so too.
    #[must_use]
    pub fn http_client(self, http: reqwest::Client) -> Self {
        Self {
            http: Some(http),
            ..self
        }
    }

    /// The client.
    ///
    /// # Errors
    ///
    /// [`Error::BaseUrl`] where the address breaks a rule, [`Error::Setup`] where the HTTP client
    /// cannot be made.
    pub fn build(self) -> Result<BioWaveClient, Error> {
        check_base(&self.base).map_err(Error::BaseUrl)?;
        let http = match self.http {
            Some(http) => http,
            None => default_http_client(&self.base)?,
        };
        Ok(BioWaveClient::new(http, self.base, self.timeout))
    }
}

fn check_base(base: &Url) -> Result<(), BaseUrlRule> {
    if !matches!(base.scheme(), "http" | "https") {
        return Err(BaseUrlRule::Scheme {
            found: base.scheme().to_owned(),
        });
    }
    if !base.username().is_empty() || base.password().is_some() {
        return Err(BaseUrlRule::Credentials);
    }
    if base.query().is_some() || base.fragment().is_some() {
        return Err(BaseUrlRule::QueryOrFragment);
    }
    Ok(())
}

fn default_http_client(base: &Url) -> Result<reqwest::Client, Error> {
    let builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy();
    // The system's roots are looked up when the client is made, and a machine without any would
    // have no client: plain HTTP does without them.
    let builder = if base.scheme() == "http" {
        builder.tls_certs_only([])
    } else {
        builder
    };
    builder.build().map_err(|error| Error::Setup(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(base: &str) -> Result<BioWaveClient, Error> {
        BioWaveClient::builder(Url::parse(base).unwrap()).build()
    }

    #[test]
    fn an_address_is_http_without_credentials_query_and_fragment() {
        for good in ["http://127.0.0.1:8080", "http://palm.example/vendor/"] {
            assert!(build(good).is_ok(), "{good}");
        }
        for (bad, rule) in [
            (
                "ftp://palm.example",
                BaseUrlRule::Scheme {
                    found: "ftp".to_owned(),
                },
            ),
            (
                "data:,x",
                BaseUrlRule::Scheme {
                    found: "data".to_owned(),
                },
            ),
            ("http://me@palm.example", BaseUrlRule::Credentials),
            ("http://:secret@palm.example", BaseUrlRule::Credentials),
            ("http://palm.example?a", BaseUrlRule::QueryOrFragment),
            ("http://palm.example#a", BaseUrlRule::QueryOrFragment),
        ] {
            match build(bad) {
                Err(Error::BaseUrl(found)) => {
                    assert_eq!(found, rule);
                    assert!(!found.to_string().contains("secret"));
                }
                other => panic!("{bad}: {other:?}"),
            }
        }
    }
}
