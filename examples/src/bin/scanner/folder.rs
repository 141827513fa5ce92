//! What a scanner keeps over a restart. In a real one the key never leaves its secure hardware.

use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rcgen::KeyPair;

use crate::platform::Failure;

pub(crate) struct Folder {
    /// The key and its certificate, in one file, so that they always match.
    credentials: PathBuf,
    /// The key that is to be certified next.
    next_key: PathBuf,
}

impl Folder {
    pub(crate) fn open(folder: PathBuf) -> Result<Self, Failure> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)?;
        Ok(Self {
            credentials: folder.join("device.pem"),
            next_key: folder.join("next.key"),
        })
    }

    /// Key and certificate in PEM; `None` before the first pairing.
    pub(crate) fn credentials(&self) -> Result<Option<String>, Failure> {
        read(&self.credentials)
    }

    /// The key that is to be certified next, kept before it is used: when the answer to a pairing is
    /// lost, asking again with the same key brings it again.
    pub(crate) fn next_key(&self) -> Result<KeyPair, Failure> {
        let certified = self.credentials()?.unwrap_or_default();
        match read(&self.next_key)? {
            Some(pem) if !certified.starts_with(&pem) => Ok(KeyPair::from_pem(&pem)?),
            Some(_) | None => {
                let key = KeyPair::generate()?;
                replace(&self.next_key, &key.serialize_pem())?;
                Ok(key)
            }
        }
    }

    /// Keeps `key`, which was the next one, with its certificate; returns both in PEM.
    pub(crate) fn keep(&self, key: &KeyPair, certificate: &str) -> Result<String, Failure> {
        let pem = [key.serialize_pem().as_str(), certificate].concat();
        replace(&self.credentials, &pem)?;
        std::fs::remove_file(&self.next_key)?;
        Ok(pem)
    }
}

fn read(file: &Path) -> Result<Option<String>, Failure> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Replaces a file, readable for its owner alone, as a whole or not at all.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    let new = file.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let mut written = options.open(&new)?;
    written.write_all(text.as_bytes())?;
    written.sync_all()?;
    std::fs::rename(new, file)
}
