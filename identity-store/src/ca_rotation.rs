//! The stored states of the platform's CAs, as the machine that decides over them.

use identity_pki::{CaRotation, CaState, Fingerprint, RotationRule};

use crate::{Conflict, Error, Result};

pub(crate) fn rotation(
    stored: impl IntoIterator<Item = (Fingerprint, CaState)>,
) -> Result<CaRotation> {
    CaRotation::new(stored).map_err(|_| Error::Corrupt {
        table: "platform_secrets",
        column: "state",
    })
}

impl From<RotationRule> for Error {
    fn from(rule: RotationRule) -> Self {
        Self::Conflict(Conflict::CaRotation(rule))
    }
}
