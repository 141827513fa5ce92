//! Palm challenges as pure functions: who may act now, what an outcome does, whether a palm matches.
//!
//! Nothing here reads a clock, a socket or a database. A caller holds a [`Challenge`], asks the
//! palm server, turns its answer into an [`Outcome`], and gets back the next `Challenge` to store
//! and the [`Answer`] for the device:
//!
//! ```
//! use identity_challenge::{
//!     Answer, Candidate, Challenge, ChallengeKind, MaxAttempts, Outcome, PalmPolicy, Scores,
//!     Thresholds, Ttl, VerifyOutcome,
//! };
//! use time::{Duration, OffsetDateTime};
//!
//! let now = OffsetDateTime::UNIX_EPOCH;
//! let challenge = Challenge::open(ChallengeKind::Verify, MaxAttempts::new(3)?, Ttl::default(), now);
//!
//! // What the palm server answered, and what the tenant makes of it.
//! let candidates = [Candidate {
//!     user_id: "user_456".into(),
//!     scores: Scores::parse(&[0.91, 0.88, 0.95, 0.90])?,
//! }];
//! let thresholds = Thresholds::parse(&[0.80, 0.80, 0.80, 0.80])?;
//! let outcome = PalmPolicy::default().verify("user_456", &candidates, &thresholds);
//! assert!(matches!(outcome, VerifyOutcome::Match { .. }));
//!
//! let completion = challenge.complete(&Outcome::Verify(outcome), now + Duration::seconds(8))?;
//! assert_eq!(completion.challenge.status().as_str(), "completed");
//! assert!(matches!(completion.answer, Answer::Completed { .. }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Topics
//!
//! - [`ChallengeStatus`] and [`StatusReason`]: the states, drawn below.
//! - [`Challenge`]: the value that the machine works on, and [`ChallengeRecord`], its stored form.
//! - [`PalmPolicy`]: the tenant's rule over four scores and four thresholds.
//! - [`Outcome`], [`Completion`]: what one palm sample led to, and what the device is told.
//! - [`DeviceClass`], [`DeviceBinding`]: which device may do what.
//! - [`UserThrottle`]: failed tries of one user over all devices.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `serde` | `Serialize` and `Deserialize`, with the spellings of the HTTP interface |
//!
//! # Sources
//!
//! Rules come from contract §8 of the platform, its §4 (`palm_policy`) and §6 (bindings), which
//! follow the product's specification, diagrams 5.2 and 5.3 and section 9.3.
//!
//! # States
//!
//! A failed try (`not_found`, `low_confidence`, `identity_mismatch`) leads to `failed` when it was
//! the last one. `expire` needs the time to be over, and everything else needs it not to be.
//!
#![doc = include_str!("../states.md")]

mod admission;
mod answer;
mod binding;
mod error;
mod limits;
mod machine;
mod name;
mod outcome;
mod palm;
mod policy;
mod policy_config;
mod record;
mod score;
mod state;
mod throttle;

pub use admission::{
    AdmissionRefusal, AdmissionRules, Consent, DeviceStanding, UserStanding, admit,
};
pub use answer::{Answer, Completion, FailedAnswer, ReasonCode};
pub use binding::{BindingRule, DeviceBinding, DeviceClass, OperationKind};
pub use error::Error;
pub use limits::{Attempts, MaxAttempts, Ttl};
pub use machine::{Challenge, ChallengeKind, Event, Refusal};
pub use outcome::{EnrollOutcome, Outcome, Undecided, VerifyOutcome};
pub use palm::PalmType;
pub use policy::{Candidate, MatchMode, PalmPolicy};
pub use policy_config::{PalmPolicyConfig, PolicyRule};
pub use record::{ChallengeRecord, RecordRule};
pub use score::{SCORES, Scores, Thresholds, VendorFault};
pub use state::{CancelReason, ChallengeStatus, StatusReason};
pub use throttle::{ThrottleDecision, UserThrottle};
