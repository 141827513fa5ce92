//! A piece of a chain in a file: one row a line, as exports have them (contract §12).

use std::io;
use std::path::{Path, PathBuf};

use identity_store::{ArchiveManifest, SealedRow};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::{
    AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, BufWriter,
};

/// The longest line that is read. Rows are far shorter; a file may be anything.
const MAX_LINE: u64 = 1 << 20;

/// Why an archived piece is not what its manifest says.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PieceError {
    /// The file is missing or cannot be read.
    #[error("the file cannot be read")]
    Read(#[source] io::Error),
    /// A line is no audit row.
    #[error("line {0} is no audit row")]
    Line(u64),
    /// The file has fewer or more rows.
    #[error("the file has {found} rows, its manifest says {expected}")]
    Rows {
        /// How many there are.
        found: u64,
        /// How many there have to be.
        expected: u64,
    },
    /// The file's rows are others than those that were archived.
    #[error("the file's first or last row is not the manifest's")]
    Ends,
    /// The file was changed.
    #[error("the file's SHA-256 is not the manifest's")]
    Digest,
}

/// Writes a piece: into a file of another name first, which gets its own when everything is on the
/// disk.
pub(super) struct PieceWriter {
    file: BufWriter<File>,
    sha256: Sha256,
    part: PathBuf,
    path: PathBuf,
}

impl PieceWriter {
    pub(super) async fn create(folder: &Path, file_name: &str) -> io::Result<Self> {
        let part = folder.join(format!("{file_name}.part"));
        Ok(Self {
            file: BufWriter::new(File::create(&part).await?),
            sha256: Sha256::new(),
            part,
            path: folder.join(file_name),
        })
    }

    /// Writes a line.
    pub(super) async fn line(&mut self, line: &str) -> io::Result<()> {
        for bytes in [line.as_bytes(), b"\n"] {
            self.sha256.update(bytes);
            self.file.write_all(bytes).await?;
        }
        Ok(())
    }

    /// Puts file and folder on the disk; returns the file's SHA-256.
    pub(super) async fn finish(mut self) -> io::Result<[u8; 32]> {
        self.file.flush().await?;
        self.file.get_ref().sync_all().await?;
        tokio::fs::rename(&self.part, &self.path).await?;
        if let Some(folder) = self.path.parent() {
            File::open(folder).await?.sync_all().await?;
        }
        Ok(self.sha256.finalize().into())
    }
}

/// Reads a piece row by row, and tells at its end whether it is the one of its manifest.
#[derive(Debug)]
pub struct PieceReader<'a> {
    manifest: &'a ArchiveManifest,
    file: BufReader<File>,
    line: String,
    sha256: Sha256,
    rows: u64,
    ends_fit: bool,
}

impl<'a> PieceReader<'a> {
    /// Opens the file of `manifest` in `folder`.
    ///
    /// # Errors
    ///
    /// [`PieceError::Read`].
    pub async fn open(folder: &Path, manifest: &'a ArchiveManifest) -> Result<Self, PieceError> {
        let file = File::open(folder.join(&manifest.file_name)).await;
        Ok(Self {
            manifest,
            file: BufReader::new(file.map_err(PieceError::Read)?),
            line: String::new(),
            sha256: Sha256::new(),
            rows: 0,
            ends_fit: true,
        })
    }

    /// The next row; `None` at the end of a file that is whole.
    ///
    /// # Errors
    ///
    /// [`PieceError`]; at the end, when the file is not the one that the manifest speaks of.
    pub async fn next(&mut self) -> Result<Option<SealedRow>, PieceError> {
        self.line.clear();
        let mut line = (&mut self.file).take(MAX_LINE);
        let read = line.read_line(&mut self.line).await;
        if read.map_err(PieceError::Read)? == 0 {
            return self.check_whole().map(|()| None);
        }
        self.sha256.update(self.line.as_bytes());
        self.rows += 1;
        let position = self.manifest.previous.length.saturating_add(self.rows);
        let row =
            SealedRow::from_json(position, &self.line).map_err(|_| PieceError::Line(self.rows))?;
        let id = &row.row.id;
        self.ends_fit &= self.rows != 1 || *id == self.manifest.first_id;
        self.ends_fit &= self.rows != self.manifest.rows
            || (*id == self.manifest.last_id && row.head() == self.manifest.head);
        Ok(Some(row))
    }

    fn check_whole(&mut self) -> Result<(), PieceError> {
        let (found, expected) = (self.rows, self.manifest.rows);
        if found != expected {
            return Err(PieceError::Rows { found, expected });
        }
        if !self.ends_fit {
            return Err(PieceError::Ends);
        }
        let sha256: [u8; 32] = std::mem::take(&mut self.sha256).finalize().into();
        if sha256 != self.manifest.sha256 {
            return Err(PieceError::Digest);
        }
        Ok(())
    }
}

/// The manifest as it lies beside its file.
#[derive(Debug, Serialize)]
pub(super) struct ManifestFile<'a> {
    tenant_id: Option<&'a str>,
    month: String,
    file: &'a str,
    rows: u64,
    first_id: &'a str,
    last_id: &'a str,
    prev_head: String,
    head: String,
    length: u64,
    sha256: String,
}

impl<'a> From<&'a ArchiveManifest> for ManifestFile<'a> {
    fn from(manifest: &'a ArchiveManifest) -> Self {
        Self {
            tenant_id: manifest
                .chain
                .tenant_id()
                .map(identity_pki::TenantId::as_str),
            month: manifest.month.to_string(),
            file: &manifest.file_name,
            rows: manifest.rows,
            first_id: manifest.first_id.as_str(),
            last_id: manifest.last_id.as_str(),
            prev_head: hex::encode(manifest.previous.hash),
            head: hex::encode(manifest.head.hash),
            length: manifest.head.length,
            sha256: hex::encode(manifest.sha256),
        }
    }
}
