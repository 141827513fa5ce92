use std::collections::BTreeMap;

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

/// How far the alerts of one certificate are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExpiryAlerts {
    /// The threshold that was announced last.
    pub announced: Option<ExpiryThreshold>,
    /// The threshold whose mail was finished last.
    pub mailed: Option<ExpiryThreshold>,
    /// Who had the mail of which threshold, of those that are not finished.
    pub recipients: BTreeMap<OperatorId, ExpiryThreshold>,
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
