use time::OffsetDateTime;

use crate::ReplicaId;

/// Work that is done once, however many replicas there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LeaseName {
    /// Makes the audit trail's months and drops those whose retention is over.
    AuditMonths,
    /// Gives audit rows and events their places, and signs where chains end.
    AuditSealer,
    /// Tells of the expiry of the platform's certificates.
    CertExpiry,
    /// Expires overdue challenges.
    ChallengeSweeper,
    /// Does the work of jobs that were asked for.
    Jobs,
    /// Erases palms at the palm server.
    PalmErasure,
    /// Deletes what is kept for a time and past it.
    Purge,
    /// Ends the graces of superseded certificates.
    RenewalGrace,
    /// Replaces the key that signs tokens when its term is over.
    TokenKeys,
    /// Completes the erasures of users.
    UserErasure,
}

impl LeaseName {
    /// Every name.
    pub const ALL: [Self; 10] = [
        Self::AuditMonths,
        Self::AuditSealer,
        Self::CertExpiry,
        Self::ChallengeSweeper,
        Self::Jobs,
        Self::PalmErasure,
        Self::Purge,
        Self::RenewalGrace,
        Self::TokenKeys,
        Self::UserErasure,
    ];

    /// The name as it is stored and logged.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuditMonths => "audit_months",
            Self::AuditSealer => "audit_sealer",
            Self::CertExpiry => "cert_expiry",
            Self::ChallengeSweeper => "challenge_sweeper",
            Self::Jobs => "jobs",
            Self::PalmErasure => "palm_erasure",
            Self::Purge => "purge",
            Self::RenewalGrace => "renewal_grace",
            Self::TokenKeys => "token_keys",
            Self::UserErasure => "user_erasure",
        }
    }
}

impl std::fmt::Display for LeaseName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A lease as its holder has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What it is the right to.
    pub name: LeaseName,
    /// Who holds it.
    pub holder: ReplicaId,
    /// The fencing number: it grows with each change of holder, so that whoever comes with a smaller
    /// one slept while the lease passed on.
    pub fence: u64,
    /// When it runs out, unless it is renewed.
    pub until: OffsetDateTime,
}
