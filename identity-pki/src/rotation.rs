//! The life of the platform's CAs, as pure decisions over their states.

use std::collections::BTreeMap;
use std::fmt;

use crate::Fingerprint;

/// Where a CA is in its life.
///
/// ```text
///                    activate
///  prepared ────────────────────────▶ active
///     │                               │  ▲
///     │    another one is activated   │  │ activate (the way back)
///     │                               ▼  │
///     ├─────────── taint ───┐       retiring
///     │                     ▼         │  │
///     │                  tainted ◀────┘  │
///     │ retire              │ retire     │ retire
///     └─────────────────────┴────────────┴──────▶ retired
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum CaState {
    /// Trusted, not issuing yet.
    Prepared,
    /// Trusted and issuing. At most one CA is.
    Active,
    /// Trusted, no longer issuing; may issue again.
    Retiring,
    /// Trusted until its devices have moved, and never to issue again: its key may be known.
    Tainted,
    /// Not trusted. This is for good.
    Retired,
}

impl CaState {
    /// Every state, in the order of a CA's life.
    pub const ALL: [Self; 5] = [
        Self::Prepared,
        Self::Active,
        Self::Retiring,
        Self::Tainted,
        Self::Retired,
    ];

    /// Whether certificates of such a CA may be entered in the ledger: not once its key may be known, or
    /// nobody trusts it. One that issued a moment ago, or will in a moment, is taken as well, since
    /// replicas hear of a change one after the other.
    #[must_use]
    pub const fn takes_certificates(self) -> bool {
        match self {
            Self::Prepared | Self::Active | Self::Retiring => true,
            Self::Tainted | Self::Retired => false,
        }
    }

    /// Whether devices under such a CA are accepted.
    #[must_use]
    pub const fn is_trusted(self) -> bool {
        match self {
            Self::Prepared | Self::Active | Self::Retiring | Self::Tainted => true,
            Self::Retired => false,
        }
    }

    /// Its one spelling, in storage and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Tainted => "tainted",
            Self::Retired => "retired",
        }
    }
}

impl fmt::Display for CaState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why an event in the life of a CA may not happen. Nothing has changed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RotationRule {
    /// A CA that is there already.
    #[error("CA {fingerprint} is there already")]
    Known {
        /// The CA.
        fingerprint: Fingerprint,
    },
    /// A CA that is not there.
    #[error("there is no CA {fingerprint}")]
    Unknown {
        /// The CA.
        fingerprint: Fingerprint,
    },
    /// Two issuing CAs: devices would get certificates of either.
    #[error("CA {second} cannot be active while CA {first} is")]
    SecondActive {
        /// The one.
        first: Fingerprint,
        /// The other.
        second: Fingerprint,
    },
    /// A new CA that is neither prepared nor active.
    #[error("a new CA is prepared or active, not {state}")]
    NewState {
        /// The state that it was to be in.
        state: CaState,
    },
    /// A CA that cannot become the issuing one.
    #[error("CA {fingerprint} is {state}; a prepared or retiring one can be activated")]
    Activate {
        /// The CA.
        fingerprint: Fingerprint,
        /// Its state.
        state: CaState,
    },
    /// A CA that cannot be called tainted.
    #[error("CA {fingerprint} is {state}; a prepared or retiring one can be tainted")]
    Taint {
        /// The CA.
        fingerprint: Fingerprint,
        /// Its state.
        state: CaState,
    },
    /// A CA that cannot leave the trust bundle.
    #[error("CA {fingerprint} is {state}; a prepared, retiring or tainted one can be retired")]
    Retire {
        /// The CA.
        fingerprint: Fingerprint,
        /// Its state.
        state: CaState,
    },
    /// A regeneration that was not confirmed by the CA that it is the end of.
    #[error("the CA that issues is not {confirmed}")]
    Confirm {
        /// The CA that was named.
        confirmed: Fingerprint,
    },
    /// A CA whose devices are not to be revoked.
    #[error("CA {fingerprint} is {state}; the devices of a tainted one can be revoked all at once")]
    RevokeDevices {
        /// The CA.
        fingerprint: Fingerprint,
        /// Its state.
        state: CaState,
    },
    /// A CA whose devices would be locked out.
    #[error("{devices} devices still have certificates of CA {fingerprint}")]
    InUse {
        /// The CA.
        fingerprint: Fingerprint,
        /// Devices whose active certificate it issued.
        devices: u64,
    },
}

/// The platform's CAs and their states: which one issues, which are trusted, and what may happen
/// next (§11 of the HTTP contract).
///
/// A value: an event makes another value or is refused, and whoever stores the states writes
/// [`changes_since`](Self::changes_since) in the transaction in which it read them.
///
/// ```
/// use identity_pki::{CaRotation, CaState, Fingerprint};
///
/// let (old, new) = (Fingerprint::from_bytes([1; 32]), Fingerprint::from_bytes([2; 32]));
/// let cas = CaRotation::new([(old, CaState::Active)])?;
///
/// // Trusted everywhere first, issuing later.
/// let prepared = cas.add(new, CaState::Prepared)?;
/// assert_eq!(prepared.issuing(), Some(old));
/// let rotated = prepared.activate(new)?;
/// assert_eq!(rotated.issuing(), Some(new));
/// assert_eq!(rotated.trusted().collect::<Vec<_>>(), [old, new]);
///
/// // The way back.
/// assert_eq!(rotated.activate(old)?.issuing(), Some(old));
///
/// // The old one leaves when nobody needs it any more.
/// assert!(rotated.retire(old, 3, false).is_err());
/// assert_eq!(rotated.retire(old, 0, false)?.trusted().collect::<Vec<_>>(), [new]);
/// # Ok::<(), identity_pki::RotationRule>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CaRotation(BTreeMap<Fingerprint, CaState>);

impl CaRotation {
    /// The CAs as they are stored.
    ///
    /// # Errors
    ///
    /// [`RotationRule::Known`] when one is there twice, [`RotationRule::SecondActive`] when two are
    /// active.
    pub fn new(
        cas: impl IntoIterator<Item = (Fingerprint, CaState)>,
    ) -> Result<Self, RotationRule> {
        let mut rotation = Self::default();
        for (fingerprint, state) in cas {
            if let (CaState::Active, Some(first)) = (state, rotation.issuing()) {
                return Err(RotationRule::SecondActive {
                    first,
                    second: fingerprint,
                });
            }
            if rotation.0.insert(fingerprint, state).is_some() {
                return Err(RotationRule::Known { fingerprint });
            }
        }
        Ok(rotation)
    }

    /// The CA that issues, if there is one.
    #[must_use]
    pub fn issuing(&self) -> Option<Fingerprint> {
        self.iter()
            .find_map(|(fingerprint, state)| (state == CaState::Active).then_some(fingerprint))
    }

    /// The CAs whose devices are accepted: the trust bundle, sorted by fingerprint.
    pub fn trusted(&self) -> impl Iterator<Item = Fingerprint> {
        self.iter()
            .filter_map(|(fingerprint, state)| state.is_trusted().then_some(fingerprint))
    }

    /// Every CA and its state, sorted by fingerprint.
    pub fn iter(&self) -> impl Iterator<Item = (Fingerprint, CaState)> {
        self.0
            .iter()
            .map(|(fingerprint, state)| (*fingerprint, *state))
    }

    /// The state of a CA.
    ///
    /// # Errors
    ///
    /// [`RotationRule::Unknown`].
    pub fn state(&self, fingerprint: Fingerprint) -> Result<CaState, RotationRule> {
        let state = self.0.get(&fingerprint).copied();
        state.ok_or(RotationRule::Unknown { fingerprint })
    }

    /// Adds a CA as prepared, which changes the trust bundle alone, or as active, which makes the
    /// active one retiring.
    ///
    /// # Errors
    ///
    /// [`RotationRule::Known`], and [`RotationRule::NewState`] for any other state.
    pub fn add(&self, fingerprint: Fingerprint, state: CaState) -> Result<Self, RotationRule> {
        if self.0.contains_key(&fingerprint) {
            return Err(RotationRule::Known { fingerprint });
        }
        match state {
            CaState::Prepared => Ok(self.with(fingerprint, CaState::Prepared)),
            CaState::Active => Ok(self.with_active(fingerprint)),
            CaState::Retiring | CaState::Tainted | CaState::Retired => {
                Err(RotationRule::NewState { state })
            }
        }
    }

    /// Lets a prepared CA issue from now on, or a retiring one again; the active one becomes
    /// retiring. The trust bundle stays as it is.
    ///
    /// # Errors
    ///
    /// [`RotationRule::Unknown`] and [`RotationRule::Activate`].
    pub fn activate(&self, fingerprint: Fingerprint) -> Result<Self, RotationRule> {
        match self.state(fingerprint)? {
            CaState::Prepared | CaState::Retiring => Ok(self.with_active(fingerprint)),
            state @ (CaState::Active | CaState::Tainted | CaState::Retired) => {
                Err(RotationRule::Activate { fingerprint, state })
            }
        }
    }

    /// Says that a CA must never issue again, because its key may be known. Its devices go on
    /// working until it is retired. To taint the active one, activate or add another first.
    ///
    /// # Errors
    ///
    /// [`RotationRule::Unknown`] and [`RotationRule::Taint`].
    pub fn taint(&self, fingerprint: Fingerprint) -> Result<Self, RotationRule> {
        match self.state(fingerprint)? {
            CaState::Prepared | CaState::Retiring => Ok(self.with(fingerprint, CaState::Tainted)),
            state @ (CaState::Active | CaState::Tainted | CaState::Retired) => {
                Err(RotationRule::Taint { fingerprint, state })
            }
        }
    }

    /// Lets `new` issue in the place of the active CA, which is tainted. `confirmed` is the CA that whoever
    /// asks for it takes for the active one.
    ///
    /// # Errors
    ///
    /// [`RotationRule::Confirm`] and [`RotationRule::Known`].
    pub fn regenerate(
        &self,
        confirmed: Fingerprint,
        new: Fingerprint,
    ) -> Result<Self, RotationRule> {
        if self.issuing() != Some(confirmed) {
            return Err(RotationRule::Confirm { confirmed });
        }
        self.add(new, CaState::Active)?.taint(confirmed)
    }

    /// Whether the devices of a CA may be revoked all at once: those of a tainted one.
    ///
    /// # Errors
    ///
    /// [`RotationRule::Unknown`] and [`RotationRule::RevokeDevices`].
    pub fn revoke_devices(&self, fingerprint: Fingerprint) -> Result<(), RotationRule> {
        match self.state(fingerprint)? {
            CaState::Tainted => Ok(()),
            state
            @ (CaState::Prepared | CaState::Active | CaState::Retiring | CaState::Retired) => {
                Err(RotationRule::RevokeDevices { fingerprint, state })
            }
        }
    }

    /// Takes a CA out of the trust bundle for good. `devices` is how many devices act with a
    /// certificate that it issued; they are locked out, which `force` accepts.
    ///
    /// # Errors
    ///
    /// [`RotationRule::Unknown`], [`RotationRule::Retire`], and [`RotationRule::InUse`] without
    /// `force`. The active CA is never retired, not even by force.
    pub fn retire(
        &self,
        fingerprint: Fingerprint,
        devices: u64,
        force: bool,
    ) -> Result<Self, RotationRule> {
        match self.state(fingerprint)? {
            CaState::Prepared | CaState::Retiring | CaState::Tainted if devices > 0 && !force => {
                Err(RotationRule::InUse {
                    fingerprint,
                    devices,
                })
            }
            CaState::Prepared | CaState::Retiring | CaState::Tainted => {
                Ok(self.with(fingerprint, CaState::Retired))
            }
            state @ (CaState::Active | CaState::Retired) => {
                Err(RotationRule::Retire { fingerprint, state })
            }
        }
    }

    /// What has to be written where `before` is stored: CAs that are new or in another state. The
    /// active one is the last, so that at no step two are.
    #[must_use]
    pub fn changes_since(&self, before: &Self) -> Vec<(Fingerprint, CaState)> {
        let changed = |(fingerprint, state): &(Fingerprint, CaState)| {
            before.0.get(fingerprint) != Some(state)
        };
        let mut changes: Vec<_> = self.iter().filter(changed).collect();
        changes.sort_by_key(|(_, state)| *state == CaState::Active);
        changes
    }

    fn with(&self, fingerprint: Fingerprint, state: CaState) -> Self {
        let mut next = self.clone();
        next.0.insert(fingerprint, state);
        next
    }

    fn with_active(&self, fingerprint: Fingerprint) -> Self {
        let mut next = self.clone();
        if let Some(active) = self.issuing() {
            next.0.insert(active, CaState::Retiring);
        }
        next.0.insert(fingerprint, CaState::Active);
        next
    }
}
