use std::io::{Error, ErrorKind, Result, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity_store::Crypter;
use zeroize::Zeroizing;

use crate::clock;

/// The data key in `file`, which is made with a random key for its owner alone if it is not there.
///
/// # Errors
///
/// What the file system says, and [`ErrorKind::InvalidData`] for a file that holds no key.
pub fn load_or_create(file: &Path) -> Result<Crypter> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == ErrorKind::NotFound => create(file)?,
        Err(error) => return Err(error),
    };
    Crypter::parse(text.trim()).map_err(|error| Error::new(ErrorKind::InvalidData, error))
}

fn create(file: &Path) -> Result<Zeroizing<String>> {
    let key = Zeroizing::new(clock::random_bytes::<32>());
    let text = Zeroizing::new(format!("k1:{}\n", URL_SAFE_NO_PAD.encode(*key)));
    // create_new: another process that starts at the same time must not lose its key.
    let mut options = std::fs::OpenOptions::new();
    let mut new = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)?;
    new.write_all(text.as_bytes())?;
    new.sync_all()?;
    if let Some(directory) = file.parent().filter(|path| !path.as_os_str().is_empty()) {
        std::fs::File::open(directory)?.sync_all()?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_file_is_made_once_and_for_its_owner_alone() {
        let directory = tempfile::tempdir().expect("directory");
        let file = directory.path().join("id.db.key");
        load_or_create(&file).expect("made");
        let made = std::fs::read(&file).expect("written");
        load_or_create(&file).expect("read");
        assert_eq!(std::fs::read(&file).expect("kept"), made);
        let mode = std::fs::metadata(&file)
            .expect("metadata")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(&file, "nonsense").expect("written");
        let error = load_or_create(&file).expect_err("no key");
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
}
