use std::collections::BTreeSet;
use std::sync::Arc;

use identity_pki::{ExpiryKind, ExpiryThreshold, Fingerprint};
use serde_json::json;
use tokio::task::JoinSet;

use super::fixtures::{World, at};
use super::witness::Told;
use crate::{Chain, Expiry, ExpiryAlert, ExpiryMail, OperatorId, Severity, rfc3339};

/// How long a claim lasts, in seconds.
const CLAIM: i64 = 60;

impl World {
    fn expiry(&self, kind: ExpiryKind, threshold: ExpiryThreshold) -> Expiry {
        Expiry {
            kind,
            fingerprint: Fingerprint::from_bytes(self.digest()),
            not_after: at(1_000_000),
            threshold,
        }
    }

    /// Of a server certificate that nobody was told of.
    fn expiry_in_two_weeks(&self) -> Expiry {
        self.expiry(ExpiryKind::ServerCert, ExpiryThreshold::Days14)
    }

    async fn claims(&self, expiry: &Expiry, seconds: i64) -> bool {
        let (now, until) = (at(seconds), at(seconds + CLAIM));
        let Expiry {
            fingerprint,
            threshold,
            ..
        } = expiry;
        let claimed = self
            .store
            .claim_expiry_mail(fingerprint, *threshold, now, until);
        claimed.await.unwrap()
    }

    /// Finishes, or gives back, what was claimed at the beginning.
    async fn mails(&self, expiry: Expiry, recipients: &[&OperatorId], is_finished: bool) {
        let mail = ExpiryMail {
            expiry,
            claimed_until: at(CLAIM),
            recipients: recipients.iter().map(|&id| id.clone()).collect(),
            is_finished,
        };
        let sent = [&["cert_expiry_alert_sent"][..], &[]][usize::from(recipients.is_empty())];
        self.commits(self.change(), Told::platform(sent), async |change| {
            self.store.finish_expiry_mail(change, mail.clone()).await
        })
        .await;
    }

    async fn alert(&self, expiry: &Expiry) -> ExpiryAlert {
        let (fingerprint, threshold) = (&expiry.fingerprint, expiry.threshold);
        let alert = self.store.expiry_alert(fingerprint, threshold).await;
        alert.unwrap()
    }
}

fn told(action: &str, webhook: &str) -> Told {
    Told {
        webhooks: vec![webhook.to_owned()],
        ..Told::platform(&[action])
    }
}

pub async fn each_threshold_is_announced_once(world: World) {
    use ExpiryKind::{PlatformCa, ServerCert};
    use ExpiryThreshold::{Day1, Days14, Days30, Days60, Expired};
    let certificate = world.expiry_in_two_weeks();
    assert_eq!(world.alert(&certificate).await, ExpiryAlert::default());
    let (expiring, expired) = (
        "platform.server_cert.expiring",
        "platform.server_cert.expired",
    );
    let mut told_of = BTreeSet::new();
    for (threshold, news) in [
        (Days14, Some(("server_cert_expiring", expiring))),
        (Days14, None),
        (Expired, Some(("server_cert_expired", expired))),
        // The clock was ahead.
        (Days30, Some(("server_cert_expiring", expiring))),
        (Day1, Some(("server_cert_expiring", expiring))),
        (Expired, None),
        (Day1, None),
        (Days30, None),
    ] {
        let expiry = Expiry {
            threshold,
            ..certificate
        };
        let before = world.alert(&expiry).await;
        assert_eq!(before.is_announced, told_of.contains(&threshold));
        let telling = news.map_or_else(Told::nothing, |(action, webhook)| told(action, webhook));
        let announced = world
            .commits(world.change(), telling, async |change| {
                world.store.announce_expiry(change, expiry).await
            })
            .await;
        assert_eq!(announced, news.is_some(), "{threshold:?}");
        told_of.insert(threshold);
        let after = world.alert(&expiry).await;
        assert!(after.is_announced && !after.is_mailed);
    }
    // Another certificate begins anew.
    for (kind, threshold, action, webhook) in [
        (ServerCert, Days30, "server_cert_expiring", expiring),
        (
            PlatformCa,
            Days60,
            "platform_ca_expiring",
            "platform.platform_ca.expiring",
        ),
        (
            PlatformCa,
            Expired,
            "platform_ca_expired",
            "platform.platform_ca.expired",
        ),
    ] {
        let expiry = world.expiry(kind, threshold);
        let announced = world
            .commits(world.change(), told(action, webhook), async |change| {
                world.store.announce_expiry(change, expiry).await
            })
            .await;
        assert!(announced);
    }
}

pub async fn what_is_told_of_an_expiry_names_the_certificate_and_the_threshold(world: World) {
    for (threshold, severity) in [
        (ExpiryThreshold::Days14, Severity::Info),
        (ExpiryThreshold::Day1, Severity::High),
    ] {
        let expiry = world.expiry(ExpiryKind::PlatformCa, threshold);
        let announced = world.store.announce_expiry(world.change(), expiry);
        assert!(announced.await.unwrap());
        assert!(world.claims(&expiry, 0).await);
        let (one, other) = (world.id("adm_"), world.id("adm_"));
        world.mails(expiry, &[&one, &other], true).await;
        let rows = world.audit(&Chain::Platform).await;
        let [announced, sent] = &rows[rows.len() - 2..] else {
            panic!("{rows:?}");
        };
        let fingerprint = expiry.fingerprint.to_string();
        assert_eq!(
            announced.metadata,
            json!({
                "kind": "platform_ca", "threshold_days": threshold.days(),
                "fingerprint": fingerprint, "expires_at": rfc3339(expiry.not_after),
            })
        );
        assert_eq!(
            sent.metadata,
            json!({
                "kind": "platform_ca", "channel": "email", "threshold_days": threshold.days(),
                "fingerprint": fingerprint, "recipient_count": 2,
            })
        );
        for row in [announced, sent] {
            assert_eq!(
                (row.subject.as_str(), row.severity),
                ("platform_ca", severity)
            );
        }
        let outbox = world.outbox().await;
        let event = outbox.last().unwrap();
        assert_eq!(
            (&event.tenant_id, &event.data),
            (&None, &announced.metadata)
        );
    }
}

pub async fn mail_is_claimed_by_one_at_a_time_until_it_is_finished(world: World) {
    let expiry = world.expiry_in_two_weeks();
    assert!(world.claims(&expiry, 0).await);
    assert!(!world.claims(&expiry, CLAIM - 1).await);
    // The mail server failed.
    world.mails(expiry, &[], false).await;
    assert!(world.claims(&expiry, 0).await);
    // Whoever had it died; or the clock was set back by more than a claim lasts.
    assert!(world.claims(&expiry, CLAIM).await);
    assert!(!world.claims(&expiry, 1).await);
    assert!(world.claims(&expiry, 0).await);
    world.mails(expiry, &[&world.id("adm_")], true).await;
    assert!(!world.claims(&expiry, CLAIM).await);
    for threshold in [ExpiryThreshold::Days30, ExpiryThreshold::Days7] {
        let other = Expiry {
            threshold,
            ..expiry
        };
        assert!(world.claims(&other, CLAIM).await, "{threshold:?}");
    }
    assert!(world.claims(&world.expiry_in_two_weeks(), 0).await);
}

pub async fn a_claim_that_passed_on_is_not_given_back_by_who_had_it(world: World) {
    let expiry = world.expiry_in_two_weeks();
    assert!(world.claims(&expiry, 0).await);
    assert!(world.claims(&expiry, CLAIM).await);
    world.mails(expiry, &[], false).await;
    assert!(!world.claims(&expiry, CLAIM + 1).await);
}

pub async fn of_many_that_claim_mail_at_once_one_may_send_it(world: World) {
    for _ in 0..4 {
        let expiry = world.expiry_in_two_weeks();
        let mut claims = JoinSet::new();
        for _ in 0..8 {
            let store = Arc::clone(&world.store);
            claims.spawn(async move {
                let (now, until) = (at(0), at(CLAIM));
                let Expiry {
                    fingerprint,
                    threshold,
                    ..
                } = expiry;
                let claimed = store.claim_expiry_mail(&fingerprint, threshold, now, until);
                claimed.await.unwrap()
            });
        }
        let claimed = claims.join_all().await;
        assert_eq!(claimed.iter().filter(|claimed| **claimed).count(), 1);
    }
}

pub async fn who_had_the_mail_is_known_until_it_is_finished(world: World) {
    let expiry = world.expiry_in_two_weeks();
    let (ada, bob): (OperatorId, OperatorId) = (world.id("adm_"), world.id("adm_"));
    assert!(world.claims(&expiry, 0).await);
    world.mails(expiry, &[&ada], false).await;
    let ada_had_it = ExpiryAlert {
        recipients: BTreeSet::from([ada.clone()]),
        ..ExpiryAlert::default()
    };
    assert_eq!(world.alert(&expiry).await, ada_had_it);
    let later = Expiry {
        threshold: ExpiryThreshold::Days7,
        ..expiry
    };
    for other in [later, world.expiry_in_two_weeks()] {
        assert_eq!(world.alert(&other).await, ExpiryAlert::default());
    }
    assert!(world.claims(&later, 0).await);
    world.mails(later, &[&ada], false).await;
    assert!(world.claims(&expiry, 0).await);
    world.mails(expiry, &[&bob], true).await;
    let finished = ExpiryAlert {
        is_mailed: true,
        ..ExpiryAlert::default()
    };
    assert_eq!(world.alert(&expiry).await, finished);
    assert_eq!(
        world.alert(&later).await,
        ada_had_it,
        "it is another letter"
    );
}

pub async fn mail_is_finished_by_who_had_no_claim_or_lost_it(world: World) {
    let expiry = world.expiry_in_two_weeks();
    let (ada, bob): (OperatorId, OperatorId) = (world.id("adm_"), world.id("adm_"));
    world.mails(expiry, &[&ada], true).await;
    assert!(world.alert(&expiry).await.is_mailed);
    // Whoever sent to the rest meanwhile: nobody is written to again.
    world.mails(expiry, &[&bob], false).await;
    let alert = world.alert(&expiry).await;
    assert!(alert.is_mailed && alert.recipients.is_empty(), "{alert:?}");
    assert!(!world.claims(&expiry, CLAIM).await);
}

pub async fn an_expiry_is_told_to_the_platforms_endpoints_that_want_it(world: World) {
    let owner = Chain::Platform;
    for patterns in [
        &["platform.server_cert.*"][..],
        &["*"],
        &["platform.ops_alert"],
    ] {
        world.add_webhook(&owner, patterns).await;
    }
    let tenants = world.owner("acme").await;
    world.add_webhook(&tenants, &["*"]).await;
    let expiry = world.expiry_in_two_weeks();
    let told = Told {
        webhooks: vec!["platform.server_cert.expiring".to_owned()],
        ..Told::platform(&["server_cert_expiring", "cert_expiry_alert_sent"])
    };
    let announced = world
        .commits(world.change(), told, async |change| {
            world.store.announce_expiry(change, expiry).await
        })
        .await;
    assert!(announced);
    let row = world.audit(&owner).await.pop().unwrap();
    assert_eq!(
        row.metadata,
        json!({
            "kind": "server_cert", "channel": "webhook", "threshold_days": 14,
            "fingerprint": expiry.fingerprint.to_string(), "recipient_count": 2,
        })
    );
    world.fan_out().await;
    assert_eq!(world.claim(0, 9).await.len(), 2);
}
