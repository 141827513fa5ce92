//! Answers that are written while they are read, so that they need the same memory however long they are.

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http_body_util::channel::{Channel, Sender};
use identity_pki::TenantId;
use serde::Deserialize;
use tracing::Instrument as _;
use utoipa::{IntoParams, ToSchema};

use super::csv;

/// How much is written at once.
const PIECE: usize = 64 * 1024;

/// How many pieces wait for the reader.
const AHEAD: usize = 1;

/// How an export is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// For spreadsheets.
    Csv,
    /// An object a line, as the API shows it.
    #[default]
    Ndjson,
}

impl Format {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
        }
    }

    const fn media_type(self) -> &'static str {
        match self {
            Self::Csv => csv::MEDIA_TYPE,
            Self::Ndjson => "application/x-ndjson",
        }
    }

    /// A file of this format, by its name without the extension.
    pub(crate) fn download(self, stem: &str) -> Download {
        Download {
            media_type: self.media_type(),
            file_name: format!("{stem}.{}", self.as_str()),
        }
    }
}

/// What is exported, and how.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportQuery {
    /// Of this tenant: for the platform's administrators, and audited.
    #[param(value_type = Option<String>)]
    pub(crate) tenant_id: Option<TenantId>,
    /// `csv`, or `ndjson`, the default.
    #[serde(default)]
    #[param(inline, required = false)]
    pub(crate) format: Format,
}

/// A file that the caller gets.
#[derive(Debug)]
pub(crate) struct Download {
    pub(crate) media_type: &'static str,
    pub(crate) file_name: String,
}

/// Why a download ends before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Interrupted {
    #[error("nobody reads it any more")]
    Unread,
    #[error("what it is made of cannot be read")]
    Store(#[from] identity_store::Error),
    #[error("what it is made of has no JSON form")]
    Json(#[from] serde_json::Error),
}

impl Download {
    /// The answer that `write` writes: it begins with the first piece, and its connection breaks off
    /// if `write` does not [finish](Writer::finish), so that nobody takes a part for the whole.
    pub(crate) fn write<W>(self, write: impl FnOnce(Writer) -> W) -> Response
    where
        W: Future<Output = Result<(), Interrupted>> + Send + 'static,
    {
        let (sender, body) = Channel::new(AHEAD);
        let written = write(Writer {
            sender: Some(sender),
            piece: Vec::with_capacity(PIECE),
        });
        let writing = async move {
            match written.await {
                Ok(()) | Err(Interrupted::Unread) => {}
                Err(error) => tracing::warn!(%error, "a download breaks off"),
            }
        };
        tokio::spawn(writing.in_current_span());
        let disposition = format!("attachment; filename=\"{}\"", self.file_name);
        let headers = [
            (CONTENT_TYPE, self.media_type.to_owned()),
            (CONTENT_DISPOSITION, disposition),
        ];
        (headers, Body::new(body)).into_response()
    }
}

/// What a download is written to. If it goes before its end, the connection breaks off.
#[derive(Debug)]
pub(crate) struct Writer {
    sender: Option<Sender<Bytes, Interrupted>>,
    piece: Vec<u8>,
}

impl Writer {
    /// Writes `text`.
    ///
    /// # Errors
    ///
    /// [`Interrupted::Unread`].
    pub(crate) async fn text(&mut self, text: &str) -> Result<(), Interrupted> {
        self.piece.extend_from_slice(text.as_bytes());
        if self.piece.len() < PIECE {
            return Ok(());
        }
        self.send().await
    }

    async fn send(&mut self) -> Result<(), Interrupted> {
        let piece = Bytes::copy_from_slice(&self.piece);
        self.piece.clear();
        let sender = self.sender.as_mut().ok_or(Interrupted::Unread)?;
        let sent = sender.send_data(piece).await;
        sent.map_err(|_| Interrupted::Unread)
    }

    /// Ends the download.
    ///
    /// # Errors
    ///
    /// [`Interrupted::Unread`].
    pub(crate) async fn finish(mut self) -> Result<(), Interrupted> {
        self.send().await?;
        self.sender = None;
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(sender) = self.sender.take() {
            sender.abort(Interrupted::Unread);
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    fn download() -> Download {
        Download {
            media_type: "text/plain",
            file_name: "lines.txt".to_owned(),
        }
    }

    #[tokio::test]
    async fn everything_arrives_in_its_order() {
        let written = download().write(|mut body| async move {
            for number in 0..50_000 {
                body.text(&format!("line {number}\n")).await?;
            }
            body.finish().await
        });
        let disposition = "attachment; filename=\"lines.txt\"";
        assert_eq!(written.headers()[CONTENT_DISPOSITION], disposition);
        let read = written.into_body().collect().await.unwrap().to_bytes();
        let read = String::from_utf8(read.to_vec()).unwrap();
        let expected = (0..50_000).map(|number| format!("line {number}"));
        assert!(read.lines().eq(expected));
    }

    #[tokio::test]
    async fn a_part_is_not_taken_for_the_whole() {
        let failed = download().write(|mut body| async move {
            body.text(&"x".repeat(PIECE)).await?;
            Err(identity_store::Error::Cursor.into())
        });
        assert!(failed.into_body().collect().await.is_err());
        let panicked = download().write(|mut body| async move {
            body.text(&"x".repeat(PIECE)).await?;
            panic!("half-way")
        });
        assert!(panicked.into_body().collect().await.is_err());
    }

    #[tokio::test]
    async fn nothing_is_written_that_nobody_reads() {
        let (ended, end) = tokio::sync::oneshot::channel();
        let written = download().write(|mut body| async move {
            let told = loop {
                if let Err(error) = body.text(&"x".repeat(PIECE)).await {
                    break error;
                }
            };
            let _ = ended.send(matches!(told, Interrupted::Unread));
            Err(told)
        });
        drop(written);
        assert_eq!(end.await, Ok(true));
    }
}
