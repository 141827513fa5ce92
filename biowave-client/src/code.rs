/// The palm server's `code` when it is not 0: it understood the call and says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// 30002: the template could not be inserted; the licence may be full.
    #[error("template not inserted or licence full (30002)")]
    InsertFailed,
    /// 30005: this user has a template of this type already.
    #[error("user and type already there (30005)")]
    NameDuplicated,
    /// 30007: these features are registered under another user.
    #[error("features already registered (30007)")]
    AlreadyRegistered,
    /// 30008: the matching template is locked for this type.
    #[error("query type forbidden (30008)")]
    QueryTypeForbidden,
    /// 50000: the palm server's own store failed.
    #[error("store error of the palm server (50000)")]
    StoreError,
    /// A code that the specification does not know.
    #[error("unknown code {0}")]
    Other(i64),
}

impl Refusal {
    /// What `code` says; nothing for 0, which is success.
    #[must_use]
    pub const fn from_code(code: i64) -> Option<Self> {
        match code {
            0 => None,
            30002 => Some(Self::InsertFailed),
            30005 => Some(Self::NameDuplicated),
            30007 => Some(Self::AlreadyRegistered),
            30008 => Some(Self::QueryTypeForbidden),
            50000 => Some(Self::StoreError),
            other => Some(Self::Other(other)),
        }
    }

    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> i64 {
        match self {
            Self::InsertFailed => 30002,
            Self::NameDuplicated => 30005,
            Self::AlreadyRegistered => 30007,
            Self::QueryTypeForbidden => 30008,
            Self::StoreError => 50000,
            Self::Other(code) => code,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_no_refusal_and_every_other_code_keeps_its_number() {
        assert_eq!(Refusal::from_code(0), None);
        for code in [30002, 30005, 30007, 30008, 50000, 1, -1, 30003, i64::MIN] {
            assert_eq!(Refusal::from_code(code).map(Refusal::code), Some(code));
        }
    }
}
