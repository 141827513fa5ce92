use serde::{Deserialize, Serialize};

/// Which palm a sample is of: the metadata member `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PalmType {
    /// The left palm.
    Left,
    /// The right palm.
    Right,
}

/// Which palms are meant: by a deletion, or by the lock `query_type` of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PalmTypes {
    /// The left palm only.
    Left,
    /// The right palm only.
    Right,
    /// Both.
    All,
}

impl PalmTypes {
    /// Whether `palm` is among them.
    #[must_use]
    pub const fn include(self, palm: PalmType) -> bool {
        match self {
            Self::Left => matches!(palm, PalmType::Left),
            Self::Right => matches!(palm, PalmType::Right),
            Self::All => true,
        }
    }
}

impl From<PalmType> for PalmTypes {
    fn from(palm: PalmType) -> Self {
        match palm {
            PalmType::Left => Self::Left,
            PalmType::Right => Self::Right,
        }
    }
}
