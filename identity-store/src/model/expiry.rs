use std::collections::BTreeSet;

use identity_pki::{ExpiryKind, ExpiryThreshold, Fingerprint};
use time::OffsetDateTime;

use crate::OperatorId;

/// A threshold that a certificate of the platform has crossed on the way to its expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry {
    /// Which certificate it is.
    pub kind: ExpiryKind,
    /// SHA-256 of the certificate.
    pub fingerprint: Fingerprint,
    /// When it expires.
    pub not_after: OffsetDateTime,
    /// What it has crossed.
    pub threshold: ExpiryThreshold,
}

/// What was told of one threshold of a certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExpiryAlert {
    /// Whether it was announced.
    pub is_announced: bool,
    /// Whether its mail is finished.
    pub is_mailed: bool,
    /// Who had its mail, until that is finished.
    pub recipients: BTreeSet<OperatorId>,
}

/// What came of a claim to a threshold's mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpiryMail {
    /// Of what it tells.
    pub expiry: Expiry,
    /// The claim.
    pub claimed_until: OffsetDateTime,
    /// To whom it was sent under this claim.
    pub recipients: Vec<OperatorId>,
    /// Whether nobody is left to send it to.
    pub is_finished: bool,
}
