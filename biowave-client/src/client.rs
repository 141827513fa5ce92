use std::time::Duration;

use bytes::{Bytes, BytesMut};
use url::Url;
use uuid::Uuid;

use crate::retry::pause_before_next;
use crate::wire::{self, add, delete, query};
use crate::{
    Added, Builder, Deleted, Error, Matches, Operation, PalmType, PalmTypes, Registration, Sample,
};

/// An answer is a few candidates long; what is longer is not read.
const ANSWER_LIMIT: usize = 1024 * 1024;

/// A palm server, as its caller sees it. Clones share their connections.
#[derive(Debug, Clone)]
pub struct BioWaveClient {
    http: reqwest::Client,
    base: Url,
    timeout: Duration,
}

impl BioWaveClient {
    /// A client of the palm server at `base`, to which `KZ/…` is appended.
    #[must_use]
    pub fn builder(base: Url) -> Builder {
        Builder::new(base)
    }

    pub(crate) const fn new(http: reqwest::Client, base: Url, timeout: Duration) -> Self {
        Self {
            http,
            base,
            timeout,
        }
    }

    /// Compares `sample` with all templates of its type.
    ///
    /// `request_id` is to be fresh for each call; the caller logs it beside its own request's id.
    ///
    /// # Errors
    ///
    /// [`Error`]; [`Refusal::QueryTypeForbidden`](crate::Refusal::QueryTypeForbidden) where the
    /// template that matches is locked.
    pub async fn query(
        &self,
        request_id: Uuid,
        sample: &Sample,
        palm_type: PalmType,
    ) -> Result<Matches, Error> {
        let metadata = query::metadata(palm_type);
        let body = self
            .call(Operation::Query, request_id, Some(sample), &metadata)
            .await?;
        query::answer(&body)
    }

    /// Learns a template.
    ///
    /// Not to be repeated blindly: where [`Error::may_have_happened`], it may have.
    ///
    /// # Errors
    ///
    /// [`Error`]; [`Refusal`](crate::Refusal) names what the palm server has against it.
    pub async fn add(
        &self,
        request_id: Uuid,
        sample: &Sample,
        registration: &Registration<'_>,
    ) -> Result<Added, Error> {
        let metadata = add::metadata(registration);
        let body = self
            .call(Operation::Add, request_id, Some(sample), &metadata)
            .await?;
        add::answer(&body, registration)
    }

    /// Forgets a user's templates. Safe to repeat. The operation is this project's assumption: the
    /// specification names none.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn delete(
        &self,
        request_id: Uuid,
        user_id: &str,
        palms: PalmTypes,
    ) -> Result<Deleted, Error> {
        let metadata = delete::metadata(user_id, palms);
        let body = self
            .call(Operation::Delete, request_id, None, &metadata)
            .await?;
        delete::answer(&body)
    }

    /// One call with its repeats, all within the time limit.
    async fn call(
        &self,
        operation: Operation,
        request_id: Uuid,
        sample: Option<&Sample>,
        metadata: &serde_json::Value,
    ) -> Result<Bytes, Error> {
        let url = self.url(operation);
        let tries = async {
            let mut failed_tries = 0;
            loop {
                let form = wire::form(sample, metadata);
                let error = match self.send(url.clone(), request_id, form).await {
                    Ok(body) => return Ok(body),
                    Err(error) => error,
                };
                failed_tries += 1;
                match pause_before_next(failed_tries, &error) {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Err(error),
                }
            }
        };
        let result = match tokio::time::timeout(self.timeout, tries).await {
            Ok(result) => result,
            Err(_elapsed) => Err(Error::Timeout {
                limit: self.timeout,
            }),
        };
        match &result {
            Ok(_) => tracing::debug!(%operation, %request_id, "palm server answered"),
            Err(error) => {
                tracing::warn!(%operation, %request_id, %error, "palm server call failed");
            }
        }
        result
    }

    async fn send(
        &self,
        url: Url,
        request_id: Uuid,
        form: reqwest::multipart::Form,
    ) -> Result<Bytes, Error> {
        let response = self
            .http
            .post(url)
            .header("request_id", request_id.to_string())
            .multipart(form)
            .send()
            .await
            .map_err(transport_error)?;
        if !response.status().is_success() {
            return Err(Error::Status {
                status: response.status().as_u16(),
            });
        }
        read_bounded(response).await
    }

    fn url(&self, operation: Operation) -> Url {
        let mut url = self.base.clone();
        let path = format!("{}/KZ/{operation}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url
    }
}

async fn read_bounded(mut response: reqwest::Response) -> Result<Bytes, Error> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(transport_error)? {
        if chunk.len() > ANSWER_LIMIT.saturating_sub(body.len()) {
            return Err(Error::TooLarge {
                limit: ANSWER_LIMIT,
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn transport_error(error: reqwest::Error) -> Error {
    let error = error.without_url();
    if error.is_connect() {
        Error::Connect(error.into())
    } else {
        Error::Broken(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_appended_to_the_base() {
        for (base, expected) in [
            ("http://palm.example", "http://palm.example/KZ/query"),
            ("http://palm.example/", "http://palm.example/KZ/query"),
            (
                "http://palm.example/a/b",
                "http://palm.example/a/b/KZ/query",
            ),
            (
                "http://palm.example/a/b/",
                "http://palm.example/a/b/KZ/query",
            ),
        ] {
            let client = BioWaveClient::builder(Url::parse(base).unwrap())
                .build()
                .unwrap();
            assert_eq!(client.url(Operation::Query).as_str(), expected);
        }
    }
}
