//! What is stored: values without behaviour of their own, shared by every back end.

mod actor;
mod archive;
mod audit;
mod backchannel;
mod certificate;
mod challenge;
mod change;
mod client;
mod delivery;
mod denial_purge;
mod denied_page;
mod device;
mod device_policy;
mod erasure;
mod event;
mod expiry;
mod idempotency;
mod job;
mod lease;
mod month;
mod operator;
mod page;
mod rate_limit;
mod second_factor;
mod secret;
mod tenant;
mod token;
mod token_key;
mod user;
mod webhook;

pub use actor::Actor;
pub use archive::{ArchiveManifest, Retired};
pub use audit::{
    AuditActor, AuditFilter, AuditRow, Chain, ChainHead, ChainState, OutboxEvent, Sealed,
    SealedRow, SignedHead,
};
pub use backchannel::{
    AUTH_POLL_INTERVAL, AuthRequestAnswer, AuthRequestSha256, ClaimedNotification,
};
pub use certificate::{
    CertificateRecord, DenialReason, DeniedCertificate, Issuance, IssuancePurpose,
};
pub use challenge::{
    AttemptLease, AttemptStanding, AttemptStart, AttemptVerdict, ChallengeFilter, ChallengeStep,
    NewChallenge, SampleDigest, StoredChallenge, StoredVerdict, VendorState,
};
pub use change::Change;
pub use client::{ClientCredential, ClientSecret, NewClient, OAuthClient, SecretHash};
pub(crate) use delivery::Health;
pub use delivery::{
    ClaimedDelivery, Delivery, DeliveryStatus, DisabledWebhook, FannedOut, Recovered,
    TriedDelivery, Try, Verdict,
};
pub(crate) use denial_purge::DenialPurge;
pub use denial_purge::PURGE_MARGIN;
pub use denied_page::{DenialCursor, DeniedPage};
pub use device::{
    Device, DeviceEdit, DeviceFilter, DeviceInfo, DeviceStanding, DeviceStatus, DeviceWork,
    MAX_DEVICE_TAGS, NewDevice, PairDevice, Paired, PairingCandidate, PairingOffer, RenewDevice,
    RenewalGrace, Renewed, Revocation,
};
pub use device_policy::DevicePolicy;
pub use erasure::{Erasure, Tombstone};
pub use event::{ChallengeFacts, Event, Outcome, Reason, Severity, Subject};
pub use expiry::{Expiry, ExpiryAlert, ExpiryMail};
pub use idempotency::{IdempotencyKey, Reservation, StoredAnswer};
pub use identity_pki::CaState;
pub use job::{DeviceAction, DeviceSelection, Job, JobProgress, JobStatus, JobWork, NewJob};
pub use lease::{Lease, LeaseName};
pub use month::Month;
pub use operator::{
    KeptSession, LoginFailures, LoginRefusal, MAX_REAUTHENTICATION_FAILURES, NewOperator,
    NewPassword, NewSession, Operator, OperatorEdit, PasswordHash, Role, SESSION_USE_RESOLUTION,
    Session, SessionTokenHash,
};
pub use page::{Cursor, Page, PageRequest};
pub use rate_limit::{BucketKey, RateDecision, RateLimit};
pub use second_factor::{
    ConfirmTotp, MAX_WRONG_CODES, NewSignIn, NewTotp, RecoveryCodeHash, RemoveTotp, SecondFactor,
    SignInTokenHash, Totp,
};
pub use secret::{
    CaOrigin, CaRecord, ComparedKey, NamedSecret, PrivateKeyPem, SecretBytes, ServerCertRecord,
};
pub use tenant::{PalmDuplicateAction, Tenant, TenantConfig, TenantStatus};
pub use token::{AssertionSha256, IssuedToken};
pub use token_key::{NextTokenKey, RetiredTokenKey, TokenKeys};
pub use user::{
    Consent, ConsentMethod, ConsentStatus, Kyc, KycStatus, NewConsent, NewUser, Palm, PalmErasure,
    User, UserEdit, UserPalmPolicy, UserStatus,
};
pub(crate) use webhook::rotate;
pub use webhook::{
    DisableReason, EventPattern, MAX_WEBHOOK_SECRETS, MAX_WEBHOOKS, NewWebhook, Webhook,
    WebhookSecret, WebhookSettings,
};
