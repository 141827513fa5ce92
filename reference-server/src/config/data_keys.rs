use std::fmt;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::ConfigError;
use super::lookup::Variables;
use crate::clock;

const NAME: &str = "IDENTITY_DATA_ENCRYPTION_KEYS";
const RULE: &str = "id:key[,id:key…], each key 32 bytes in unpadded base64url, no id twice";

/// The keys that encrypt columns of the database: the first encrypts, all decrypt.
#[derive(Debug)]
pub struct DataKeys(Vec<DataKeyText>);

/// A data key under its id.
pub struct DataKeyText {
    /// Its id, which stands with each ciphertext.
    pub id: String,
    /// The key.
    pub key: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for DataKeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataKeyText")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl DataKeys {
    pub(super) fn read(vars: &Variables<'_>) -> Result<Option<Self>, ConfigError> {
        let text = vars.text(NAME)?.map(Zeroizing::new);
        let parse = |text: Zeroizing<String>| {
            Self::parse(&text).ok_or_else(|| ConfigError::new(NAME, RULE))
        };
        text.map(parse).transpose()
    }

    /// The keys, the encrypting one first.
    #[must_use]
    pub fn into_keys(self) -> Vec<DataKeyText> {
        self.0
    }

    /// The key in `file`, which is made with a random key for its owner alone if it is not there.
    ///
    /// # Errors
    ///
    /// What the file system says, and [`ErrorKind::InvalidData`] for a file that holds no key.
    pub fn load_or_create(file: &Path) -> std::io::Result<Self> {
        match std::fs::read_to_string(file).map(Zeroizing::new) {
            Ok(text) => Self::parse(text.trim()).ok_or_else(|| {
                std::io::Error::new(ErrorKind::InvalidData, "the data key file holds no key")
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Self::create(file),
            Err(error) => Err(error),
        }
    }

    fn create(file: &Path) -> std::io::Result<Self> {
        let key = Zeroizing::new(clock::random_bytes::<32>());
        let text = Zeroizing::new(format!("k1:{}\n", URL_SAFE_NO_PAD.encode(*key)));
        // create_new: another process that starts at the same time must not lose its key.
        let mut new = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(file)?;
        new.write_all(text.as_bytes())?;
        new.sync_all()?;
        if let Some(directory) = file.parent().filter(|path| !path.as_os_str().is_empty()) {
            std::fs::File::open(directory)?.sync_all()?;
        }
        Ok(Self(vec![DataKeyText {
            id: "k1".to_owned(),
            key,
        }]))
    }

    fn parse(text: &str) -> Option<Self> {
        let keys = text
            .split(',')
            .map(DataKeyText::parse)
            .collect::<Option<Vec<_>>>()?;
        let ids: std::collections::HashSet<_> = keys.iter().map(|key| &key.id).collect();
        (ids.len() == keys.len()).then_some(())?;
        Some(Self(keys))
    }
}

impl DataKeyText {
    fn parse(text: &str) -> Option<Self> {
        let (id, key) = text.trim().rsplit_once(':')?;
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(key).ok()?);
        let key = Zeroizing::new(<[u8; 32]>::try_from(bytes.as_slice()).ok()?);
        (!id.is_empty()).then(|| Self {
            id: id.to_owned(),
            key,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    #[test]
    fn keys_are_split_at_the_last_colon() {
        let keys = DataKeys::parse(&format!("kms:a:{KEY}, old:{KEY}"))
            .expect("two keys")
            .0;
        let ids: Vec<_> = keys.iter().map(|key| key.id.as_str()).collect();
        assert_eq!(ids, ["kms:a", "old"]);
        assert_eq!(keys.first().map(|key| key.key[31]), Some(31));
        assert!(!format!("{keys:?}").contains("31"));
    }

    #[test]
    fn other_texts_are_refused() {
        let short = &KEY[..40];
        for text in [
            "",
            "k1",
            "k1:",
            &format!(":{KEY}"),
            &format!("k1:{short}"),
            &format!("k1:{KEY}="),
            &format!("a:{KEY},a:{KEY}"),
            &format!("a:{KEY},"),
        ] {
            assert!(DataKeys::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_key_file_is_made_once_and_for_its_owner_alone() {
        let directory = tempfile::tempdir().expect("directory");
        let file = directory.path().join("id.db.key");
        let made = DataKeys::load_or_create(&file).expect("made");
        let read = DataKeys::load_or_create(&file).expect("read");
        assert_eq!(made.0[0].key, read.0[0].key);
        let mode = std::fs::metadata(&file)
            .expect("metadata")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(&file, "nonsense").expect("written");
        let error = DataKeys::load_or_create(&file).expect_err("no key");
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
}
