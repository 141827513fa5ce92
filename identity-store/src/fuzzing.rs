//! Entry points for the fuzz targets under `fuzz/`, which are also fed the corpora by an ordinary
//! test. Not part of the public interface.

use std::sync::LazyLock;

use crate::crypter::{Place, Stored};
use crate::{Crypter, DataKey};

/// Where the corpus' values were made for.
const PLACE: Place<'_> = Place {
    table: "fuzz",
    row: "row",
    column: "column",
};

/// The keys of the corpus.
static CRYPTER: LazyLock<Option<Crypter>> = LazyLock::new(|| {
    let key = |(id, byte)| DataKey::new(id, [byte; 32]).ok();
    Crypter::new(
        [("new", 2), ("old", 1)]
            .into_iter()
            .filter_map(key)
            .collect(),
    )
    .ok()
});

/// Bytes where a ciphertext is expected; returns whether they opened. What can be taken apart is put
/// together to the same bytes, and what opens names a key that is there.
pub fn stored_value(bytes: &[u8]) -> bool {
    let Some(crypter) = &*CRYPTER else {
        return false;
    };
    let parsed = Stored::parse(bytes);
    if let Some(stored) = &parsed {
        assert_eq!(stored.encode().as_deref(), Some(bytes));
    }
    let opened = crypter.decrypt(PLACE, bytes).is_ok();
    if opened {
        let names = |stored: Stored<'_>| {
            crypter
                .keys()
                .any(|key| key.id().as_bytes() == stored.key_id)
        };
        assert!(parsed.is_some_and(names), "opened without a key");
    }
    opened
}
