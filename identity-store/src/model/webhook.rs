use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Event, SecretBytes};
use crate::{Chain, Error, WebhookId};

/// How many endpoints a tenant, or the platform, may have.
pub const MAX_WEBHOOKS: u32 = 50;

/// How many secrets of an endpoint sign at once.
pub const MAX_WEBHOOK_SECRETS: usize = 4;

/// Where events are delivered.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Its id.
    pub webhook_id: WebhookId,
    /// Whose events it is told of: those of a tenant, or the platform's own.
    pub owner: Chain,
    /// Where they are sent.
    pub url: String,
    /// Which of them.
    pub events: BTreeSet<EventPattern>,
    /// What it is for, in the words of who made it.
    pub description: Option<String>,
    /// What signs, the newest last; none of them if they cannot be read.
    pub secrets: Vec<WebhookSecret>,
    /// Why nothing is delivered, if nothing is.
    pub disabled: Option<DisableReason>,
    /// When the first try failed since one succeeded.
    pub failing_since: Option<OffsetDateTime>,
    /// When it was made.
    pub created_at: OffsetDateTime,
}

impl Webhook {
    /// Whether it is to be told of an event of its owner.
    #[must_use]
    pub fn wants(&self, event_type: &str, subject: &str) -> bool {
        self.disabled.is_none() && self.subscribes(event_type, subject)
    }

    /// Whether it asked for an event of its owner. A test is meant for the endpoint that it is about, and for
    /// no other.
    #[must_use]
    pub(crate) fn subscribes(&self, event_type: &str, subject: &str) -> bool {
        if event_type == Event::WEBHOOK_TEST {
            return subject == self.webhook_id.as_str();
        }
        self.events
            .iter()
            .any(|pattern| pattern.matches(event_type))
    }
}

/// What signs deliveries to an endpoint.
#[derive(Debug, Clone)]
pub struct WebhookSecret {
    /// The secret.
    pub secret: SecretBytes,
    /// Until when it signs, if not for ever.
    pub expires_at: Option<OffsetDateTime>,
}

impl WebhookSecret {
    /// Whether it signs at `now`.
    #[must_use]
    pub fn is_live(&self, now: OffsetDateTime) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

/// Puts `secret` behind `secrets`, which end at `until` or before. What has ended by `now` is dropped, and so
/// are the oldest beyond [`MAX_WEBHOOK_SECRETS`].
pub(crate) fn rotate(
    secrets: &mut Vec<WebhookSecret>,
    secret: SecretBytes,
    until: OffsetDateTime,
    now: OffsetDateTime,
) {
    for before in secrets.iter_mut() {
        let end = before.expires_at.unwrap_or(until);
        before.expires_at = Some(end.min(until));
    }
    secrets.retain(|before| before.is_live(now));
    let surplus = (secrets.len() + 1).saturating_sub(MAX_WEBHOOK_SECRETS);
    secrets.drain(..surplus);
    secrets.push(WebhookSecret {
        secret,
        expires_at: None,
    });
}

/// Which events an endpoint is told of: all (`*`), those of a family (`verification.*`), or one
/// (`verification.complete`).
///
/// ```
/// use identity_store::EventPattern;
///
/// let pattern: EventPattern = "verification.*".parse()?;
/// assert!(pattern.matches("verification.complete"));
/// assert!(!pattern.matches("challenge.created"));
/// # Ok::<_, identity_store::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventPattern(String);

impl EventPattern {
    /// The pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it names an event.
    #[must_use]
    pub fn matches(&self, event_type: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(family) => event_type.starts_with(family),
            None => event_type == self.0,
        }
    }
}

impl FromStr for EventPattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let word = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        };
        let family = text.strip_suffix(".*").unwrap_or(text);
        if text == "*" || (text.len() <= 64 && family.split('.').all(word)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::EventPattern)
        }
    }
}

impl TryFrom<String> for EventPattern {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<EventPattern> for String {
    fn from(pattern: EventPattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for EventPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why an endpoint is told of nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisableReason {
    /// It answered 410 Gone.
    Gone,
    /// No try succeeded for too long.
    Failing,
}

impl DisableReason {
    /// The reason as it is stored and told.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Failing => "failing",
        }
    }
}

/// An endpoint to make.
#[derive(Debug, Clone)]
pub struct NewWebhook {
    /// Its id.
    pub webhook_id: WebhookId,
    /// Whose events it is told of.
    pub owner: Chain,
    /// What it is to be.
    pub settings: WebhookSettings,
    /// Its first secret.
    pub secret: SecretBytes,
}

/// What may be changed of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSettings {
    /// Where events are sent.
    pub url: String,
    /// Which of them.
    pub events: BTreeSet<EventPattern>,
    /// What it is for.
    pub description: Option<String>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_pattern_names_all_events_a_family_or_one() {
        for (pattern, named, others) in [
            ("*", &["a.b", "platform.ops_alert"][..], &[][..]),
            (
                "verification.*",
                &["verification.complete", "verification.failed"],
                &["verifications.complete", "verification", "x.verification.y"],
            ),
            (
                "platform.server_cert.*",
                &["platform.server_cert.expired"],
                &["platform.platform_ca.expired"],
            ),
            (
                "user.created",
                &["user.created"],
                &["user.created.x", "user.updated"],
            ),
        ] {
            let pattern: EventPattern = pattern.parse().unwrap();
            for name in named {
                assert!(pattern.matches(name), "{pattern} {name}");
            }
            for name in others {
                assert!(!pattern.matches(name), "{pattern} {name}");
            }
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        let long = "a".repeat(65);
        for text in [
            "", ".*", "*.*", "a*", "a.*.b", "a..b", "A.b", "a.b ", "a.b*", ".", &long,
        ] {
            assert!(text.parse::<EventPattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_event_is_named_by_itself_and_its_family() {
        for event_type in Event::WEBHOOK_TYPES {
            let (family, _) = event_type.rsplit_once('.').unwrap();
            for pattern in [*event_type, &format!("{family}.*"), "*"] {
                let pattern: EventPattern = pattern.parse().unwrap();
                assert!(pattern.matches(event_type), "{pattern}");
            }
        }
    }

    proptest! {
        #[test]
        fn however_often_secrets_are_rotated_the_newest_signs_and_few_others(
            steps in prop::collection::vec((0..100_i64, 0..100_i64), 1..20),
        ) {
            let (mut secrets, mut now) = (Vec::new(), OffsetDateTime::UNIX_EPOCH);
            for (number, (wait, grace)) in steps.into_iter().enumerate() {
                now += time::Duration::seconds(wait);
                let until = now + time::Duration::seconds(grace);
                let secret = number.to_be_bytes();
                rotate(&mut secrets, SecretBytes::new(secret), until, now);
                prop_assert!(secrets.len() <= MAX_WEBHOOK_SECRETS);
                let (newest, before) = secrets.split_last().unwrap();
                prop_assert_eq!(newest.secret.expose(), secret);
                prop_assert!(newest.expires_at.is_none());
                for secret in before {
                    prop_assert!(secret.is_live(now) && secret.expires_at <= Some(until));
                }
            }
        }
    }
}
