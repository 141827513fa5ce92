//! Rounds by a clock that a test sets, before a real mail server.

mod sink;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use identity_pki::{ExpiryKind, ExpiryThreshold, Fingerprint, SpkiSha256};
use identity_store::{
    Actor, AuditStore as _, CaOrigin, CaRecord, Chain, Change, ComparedKey, DeliveryStore as _,
    ExpiryAlertStore as _, MemoryStore, NewOperator, NewWebhook, OperatorId, OperatorStore as _,
    PageRequest, PasswordHash, PrivateKeyPem, Role, SecretBytes, SecretStore as _,
    ServerCertRecord, WebhookId, WebhookSettings, WebhookStore as _,
};
use serde_json::Value;
use time::Duration;
use time::macros::datetime;

use self::sink::{Manner, Place, Sink, Taken};
use super::*;
use crate::App;
use crate::clock::{Clock, entropy};
use crate::config::Config;

const START: OffsetDateTime = datetime!(2027-01-01 9:00 UTC);
const HOUR: i64 = 60 * 60;
const DAY: i64 = 24 * HOUR;

/// Tells the seconds that a test sets.
#[derive(Debug, Default)]
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> OffsetDateTime {
        START + Duration::seconds(self.0.load(Ordering::SeqCst))
    }
}

/// A server with two administrators and a mail server.
struct World {
    app: Arc<App>,
    store: Arc<MemoryStore>,
    clock: Arc<Hand>,
    sink: Sink,
    /// How many events were looked at.
    seen: u64,
}

/// What was told since it was asked last: events for webhooks, and letters.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    events: Vec<String>,
    letters: Vec<(String, String)>,
}

fn fingerprint(byte: u8) -> Fingerprint {
    Fingerprint::from_bytes([byte; 32])
}

fn change(app: &App) -> Change {
    Change::new(app.clock.now(), Actor::System("test"), "req")
}

impl World {
    async fn new() -> Self {
        Self::before(Sink::start()).await
    }

    /// A server whose mail goes to this one.
    async fn before(sink: Sink) -> Self {
        let clock = Arc::new(Hand::default());
        let url = format!("smtp://{}", sink.address);
        let variables = |name: &str| match name {
            "SMTP_URL" => Some(url.clone().into()),
            "ALERT_EMAIL_FROM" => Some("alerts@id.example".into()),
            _ => None,
        };
        let config = Config::from_lookup(variables, false).expect("a configuration");
        let store = Arc::new(MemoryStore::new(entropy()));
        let (kept, hand) = (Arc::clone(&store), Arc::<Hand>::clone(&clock));
        let app = App::load(config, ([127, 0, 0, 1], 1).into(), kept, hand, None).await;
        let world = Self {
            app: app.expect("a server"),
            store,
            clock,
            sink,
            seen: 0,
        };
        for (email, made) in [("ada@id.example", 0), ("bob@id.example", 1)] {
            world.admin(email, made).await;
        }
        world
    }

    async fn admin(&self, email: &str, made: i64) {
        let operator = NewOperator {
            operator_id: OperatorId::generate(START, &mut entropy()),
            email: email.to_owned(),
            role: Role::PlatformAdmin,
            tenant_id: None,
            password: PasswordHash(String::new()),
        };
        let mut change = change(&self.app);
        change.at += Duration::seconds(made);
        let made = self.store.create_operator(change, operator);
        made.await.expect("an administrator");
    }

    /// Uploads a server certificate that expires so many seconds after the start.
    async fn server_cert(&self, byte: u8, expires: i64) {
        let cert = ServerCertRecord {
            fingerprint: fingerprint(byte),
            chain_pem: String::new(),
            not_after: START + Duration::seconds(expires),
        };
        let cas = self.store.cas().await.expect("CAs");
        let compared = ComparedKey {
            spki_sha256: SpkiSha256::from_bytes([byte; 32]),
            with: cas.iter().map(|ca| ca.fingerprint).collect(),
        };
        let (change, key) = (change(&self.app), PrivateKeyPem::new(""));
        let put = self.store.put_server_cert(change, cert, compared, key);
        put.await.expect("a certificate");
    }

    async fn ca(&self, byte: u8, expires: i64) {
        let ca = CaRecord {
            fingerprint: fingerprint(byte),
            certificate_pem: String::new(),
            state: CaState::Active,
            not_after: START + Duration::seconds(expires),
            created_at: self.app.clock.now(),
        };
        let (change, key) = (change(&self.app), PrivateKeyPem::new(""));
        self.store
            .add_ca(change, ca, key, CaOrigin::Generated)
            .await
            .expect("a CA");
    }

    async fn round(&self) -> Round {
        let change = change(&self.app);
        round(&self.app, &change).await.expect("a round")
    }

    /// A round so many seconds after the start, and what it told.
    async fn at(&mut self, seconds: i64) -> Told {
        self.clock.0.store(seconds, Ordering::SeqCst);
        self.round().await;
        self.told().await
    }

    async fn told(&mut self) -> Told {
        self.store.seal_audit(u32::MAX).await.expect("sealed");
        let events = self.store.outbox(self.seen, u32::MAX).await;
        let events = events.expect("events");
        self.seen = events.last().map_or(self.seen, |event| event.position);
        let letter = |taken: Taken| {
            let (_, subject) = taken
                .subject
                .split_once("[Link Identity] ")
                .unwrap_or_else(|| panic!("{:?}", taken.subject));
            (taken.to, subject.to_owned())
        };
        Told {
            events: events.into_iter().map(|event| event.event_type).collect(),
            letters: self.sink.taken().into_iter().map(letter).collect(),
        }
    }

    /// An endpoint of the platform that is told of its certificates.
    async fn webhook(&self) -> WebhookId {
        let webhook_id = WebhookId::generate(START, &mut entropy());
        let events = ["platform.*"].map(|pattern| pattern.parse().expect("a pattern"));
        let new = NewWebhook {
            webhook_id: webhook_id.clone(),
            owner: Chain::Platform,
            settings: WebhookSettings {
                url: "https://hooks.example/in".to_owned(),
                events: events.into(),
                description: None,
            },
            secret: SecretBytes::new([1; 32]),
        };
        let made = self.store.create_webhook(change(&self.app), new).await;
        made.expect("an endpoint").webhook_id
    }

    /// What is on its way to an endpoint, in its order.
    async fn deliveries(&self, webhook_id: &WebhookId) -> Vec<String> {
        let now = self.app.clock.now();
        let fanned_out = self.store.fan_out_events(now, u32::MAX).await;
        fanned_out.expect("deliveries");
        let (owner, page) = (Chain::Platform, PageRequest::first(200));
        let made = self.store.deliveries(&owner, webhook_id, None, page).await;
        let newest_first = made.expect("deliveries").data.into_iter().rev();
        newest_first.map(|delivery| delivery.event_type).collect()
    }

    /// The certificates of which the console's pages tell.
    async fn banners(&self) -> Vec<ExpiryKind> {
        let watched = watched(&*self.store).await.expect("certificates");
        let now = self.app.clock.now();
        let banners = watched.iter().filter_map(|it| banner(it, now));
        banners.map(|banner| banner.kind).collect()
    }

    /// The metadata of the audit rows of that name.
    async fn audited(&self, action: &str) -> Vec<Value> {
        self.store.seal_audit(u32::MAX).await.expect("sealed");
        let rows = self.store.sealed_audit(&Chain::Platform, 0, u32::MAX).await;
        let rows = rows.expect("rows").into_iter().map(|sealed| sealed.row);
        let rows = rows.filter(|row| row.action == action);
        rows.map(|row| row.metadata).collect()
    }
}

/// What is told of one threshold.
fn telling(event: &str, subject: &str) -> Told {
    Told {
        events: vec![event.to_owned()],
        letters: to_both(subject),
    }
}

fn to_both(subject: &str) -> Vec<(String, String)> {
    let to = |name: &str| (format!("{name}@id.example"), subject.to_owned());
    vec![to("ada"), to("bob")]
}

/// The seed's table (002 §9.2.2), through job, store and mail.
#[tokio::test]
async fn a_year_day_by_day_tells_what_the_table_says_and_nothing_else() {
    const SERVER: &str = "platform.server_cert.expiring";
    const CA: &str = "platform.platform_ca.expiring";
    let mut world = World::new().await;
    let webhook = world.webhook().await;
    world.server_cert(1, 200 * DAY + 5 * HOUR).await;
    world.ca(2, 300 * DAY + 5 * HOUR).await;
    let (mut year, mut banners) = (Vec::new(), Vec::new());
    for day in 0..365 {
        let told = world.at(day * DAY).await;
        let delivered = world.deliveries(&webhook).await;
        let shown = world.banners().await;
        if banners.last().is_none_or(|(_, before)| *before != shown) {
            banners.push((day, shown));
        }
        // The hours in between have nothing to tell.
        let later = world.at(day * DAY + HOUR).await;
        assert_eq!(later, Told::default(), "{day}");
        if told != Told::default() {
            assert_eq!(delivered.last(), told.events.last(), "{day}");
            year.push((day, told));
        }
    }
    let expected = [
        (170, telling(SERVER, "Server TLS cert expires in 30 days")),
        (186, telling(SERVER, "Server TLS cert expires in 14 days")),
        (193, telling(SERVER, "Server TLS cert expires in 7 days")),
        (199, telling(SERVER, "Server TLS cert expires in 1 day")),
        (
            201,
            telling(
                "platform.server_cert.expired",
                "Server TLS cert has expired",
            ),
        ),
        (240, telling(CA, "Platform CA expires in 60 days")),
        (270, telling(CA, "Platform CA expires in 30 days")),
        (286, telling(CA, "Platform CA expires in 14 days")),
        (293, telling(CA, "Platform CA expires in 7 days")),
        (299, telling(CA, "Platform CA expires in 1 day")),
        (
            301,
            telling("platform.platform_ca.expired", "Platform CA has expired"),
        ),
    ];
    assert_eq!(year, expected);
    use ExpiryKind::{PlatformCa, ServerCert};
    let expected_banners = [
        (0, vec![]),
        (170, vec![ServerCert]),
        (240, vec![ServerCert, PlatformCa]),
    ];
    assert_eq!(banners, expected_banners);
    assert_eq!(world.deliveries(&webhook).await.len(), expected.len());
    let sent = world.audited("cert_expiry_alert_sent").await;
    for (channel, recipients) in [("webhook", 1), ("email", 2)] {
        let sent = sent.iter().filter(|it| it["channel"] == channel);
        let sent: Vec<_> = sent
            .map(|it| (it["threshold_days"].clone(), it["recipient_count"].clone()))
            .collect();
        let thresholds = [30, 14, 7, 1, 0, 60, 30, 14, 7, 1, 0];
        let expected = thresholds.map(|days: u8| (days.into(), recipients.into()));
        assert_eq!(sent, expected, "{channel}");
    }
}

#[tokio::test]
async fn who_was_away_is_told_the_nearest_threshold_alone() {
    let mut world = World::new().await;
    world.ca(2, 100 * DAY).await;
    let told = world.at(88 * DAY).await;
    let expected = telling(
        "platform.platform_ca.expiring",
        "Platform CA expires in 12 days",
    );
    assert_eq!(told, expected);
    assert_eq!(world.at(89 * DAY).await, Told::default());
    assert_eq!(world.at(93 * DAY).await.letters.len(), 2);
}

#[tokio::test]
async fn a_clock_that_was_ahead_silences_no_threshold_and_repeats_none() {
    let mut world = World::new().await;
    world.ca(2, 100 * DAY).await;
    let expired = telling("platform.platform_ca.expired", "Platform CA has expired");
    assert_eq!(world.at(101 * DAY).await, expired);
    let expiring = |days| {
        let subject = format!("Platform CA expires in {days} days");
        telling("platform.platform_ca.expiring", &subject)
    };
    for (day, told) in [
        (10, Told::default()),
        (40, expiring(60)),
        (41, Told::default()),
        (70, expiring(30)),
        (40, Told::default()),
        (86, expiring(14)),
        (93, expiring(7)),
        (101, Told::default()),
    ] {
        assert_eq!(world.at(day * DAY).await, told, "{day}");
    }
}

#[tokio::test]
async fn the_same_certificate_again_tells_nothing_and_another_begins_anew() {
    let mut world = World::new().await;
    world.server_cert(1, 20 * DAY).await;
    assert_eq!(world.at(0).await.letters.len(), 2);
    world.server_cert(1, 20 * DAY).await;
    assert_eq!(world.at(DAY).await, Told::default());
    world.server_cert(3, 25 * DAY).await;
    assert_eq!(world.at(DAY).await.letters.len(), 2);
    world.server_cert(1, 20 * DAY).await;
    assert_eq!(world.at(2 * DAY).await, Told::default());
}

#[tokio::test]
async fn a_mail_server_that_fails_gets_the_letters_later_and_nothing_else_is_told_again() {
    // Who answers at all may take the letter to another; who does not is not asked on.
    for (manner, asked) in [(Manner::Busy, 2), (Manner::HangsUp, 1)] {
        let mut world = World::new().await;
        world.server_cert(1, 14 * DAY).await;
        world.sink.is(manner);
        let told = world.at(0).await;
        assert_eq!(told.events, ["platform.server_cert.expiring"]);
        assert_eq!(told.letters, []);
        assert_eq!(world.sink.asked(), asked, "{manner:?}");
        let failed = world.round().await.failed;
        assert_eq!(failed.len(), asked, "{failed:?}");
        assert!(!failed[0].reason.contains("id.example"), "{failed:?}");
        assert!(world.audited("cert_expiry_alert_sent").await.is_empty());
        world.sink.is(Manner::Takes);
        let told = world.at(HOUR).await;
        assert!(told.events.is_empty());
        assert_eq!(told.letters, to_both("Server TLS cert expires in 13 days"));
        assert_eq!(world.at(2 * HOUR).await, Told::default());
        assert_eq!(world.audited("cert_expiry_alert_sent").await.len(), 1);
    }
}

#[tokio::test]
async fn who_had_the_letter_does_not_get_it_again_when_it_comes_to_the_others() {
    let mut world = World::new().await;
    world.server_cert(1, 14 * DAY).await;
    world.sink.is_to("bob@id.example", Manner::Busy);
    let told = world.at(0).await;
    let to: Vec<_> = told.letters.iter().map(|(to, _)| to.as_str()).collect();
    assert_eq!(to, ["ada@id.example"]);
    world.sink.is_to("bob@id.example", Manner::Takes);
    let told = world.at(HOUR).await;
    let to: Vec<_> = told.letters.iter().map(|(to, _)| to.as_str()).collect();
    assert_eq!(to, ["bob@id.example"]);
    assert_eq!(world.at(2 * HOUR).await, Told::default());
    let sent = world.audited("cert_expiry_alert_sent").await;
    let counts: Vec<_> = sent
        .iter()
        .map(|it| it["recipient_count"].clone())
        .collect();
    assert_eq!(counts, [1, 1]);
}

#[tokio::test]
async fn who_is_refused_for_good_holds_nobody_up_and_is_asked_again_at_the_next_threshold() {
    let mut world = World::new().await;
    world.server_cert(1, 14 * DAY).await;
    world.sink.is_to("ada@id.example", Manner::Refuses);
    assert_eq!(world.at(0).await.letters.len(), 1);
    assert_eq!(world.sink.asked(), 2);
    assert_eq!(world.at(HOUR).await, Told::default());
    assert_eq!(world.sink.asked(), 0);
    world.sink.is_to("ada@id.example", Manner::Takes);
    assert_eq!(world.at(7 * DAY).await.letters.len(), 2);
}

#[tokio::test]
async fn a_mail_server_that_refuses_everybody_is_asked_again() {
    let mut world = World::new().await;
    world.server_cert(1, 14 * DAY).await;
    world.sink.is(Manner::Refuses);
    assert_eq!(world.at(0).await.letters, []);
    world.sink.is(Manner::Takes);
    assert_eq!(world.at(HOUR).await.letters.len(), 2);
}

#[tokio::test]
async fn who_is_not_taken_now_keeps_nobody_else_from_the_letter() {
    let mut world = World::new().await;
    world.server_cert(1, 14 * DAY).await;
    for manner in [
        Manner::Busy,
        Manner::Says("554 no"),
        Manner::Says("550 5.7.1 no"),
    ] {
        world.sink.is_to("ada@id.example", manner);
        world.round().await;
    }
    let to: Vec<_> = world
        .told()
        .await
        .letters
        .into_iter()
        .map(|(to, _)| to)
        .collect();
    assert_eq!(to, ["bob@id.example"]);
    world.sink.is_to("ada@id.example", Manner::Takes);
    let to: Vec<_> = world
        .at(HOUR)
        .await
        .letters
        .into_iter()
        .map(|(to, _)| to)
        .collect();
    assert_eq!(to, ["ada@id.example"]);
    assert_eq!(world.at(2 * HOUR).await, Told::default());
}

#[tokio::test]
async fn a_refusal_of_ours_is_no_refusal_of_the_recipients() {
    for (place, reply, asked) in [
        (Place::Greeting, "554 no mail here", 2),
        (Place::Greeting, "521 no mail here", 1),
        (Place::Greeting, "421 closing", 1),
        (Place::Sender, "530 5.7.0 who are you", 1),
        (Place::Sender, "535 5.7.8 wrong password", 1),
        (Place::Sender, "550 5.7.1 you may not", 2),
        (Place::Letter, "554 5.6.0 not such a letter", 2),
    ] {
        let mut world = World::new().await;
        world.server_cert(1, 14 * DAY).await;
        world.sink.is_at(place, Manner::Says(reply));
        let failed = world.round().await.failed;
        assert_eq!(failed.len(), asked, "{reply}: {failed:?}");
        assert_eq!(world.sink.asked(), asked, "{reply}");
        assert!(world.audited("cert_expiry_alert_sent").await.is_empty());
        world.sink.taken();
        world.sink.is(Manner::Takes);
        let told = world.at(HOUR).await;
        let expected = to_both("Server TLS cert expires in 13 days");
        assert_eq!(told.letters, expected, "{reply}");
        assert_eq!(world.at(2 * HOUR).await, Told::default());
    }
}

#[tokio::test]
async fn a_mail_server_that_is_not_there_gets_the_letters_once_it_is() {
    let mut world = World::before(Sink::down()).await;
    world.server_cert(1, 14 * DAY).await;
    let told = world.at(0).await;
    assert_eq!(told.events, ["platform.server_cert.expiring"]);
    let failed = world.round().await.failed;
    assert_eq!(failed.len(), 1, "{failed:?}");
    world.sink.listen();
    let told = world.at(HOUR).await;
    assert!(told.events.is_empty());
    assert_eq!(told.letters, to_both("Server TLS cert expires in 13 days"));
    assert_eq!(world.at(2 * HOUR).await, Told::default());
}

#[tokio::test]
async fn a_slow_mail_server_is_waited_for() {
    let mut world = World::new().await;
    world.server_cert(1, 14 * DAY).await;
    world.sink.is_slow();
    let told = world.at(0).await;
    assert_eq!(told.letters, to_both("Server TLS cert expires in 14 days"));
    assert_eq!(world.at(HOUR).await, Told::default());
}

/// Whether it took the letter nobody knows: it gets it again, as the same one.
#[tokio::test]
async fn a_mail_server_that_stops_talking_anywhere_gets_the_same_letters_later() {
    for place in [Place::Greeting, Place::Sender, Place::Letter] {
        let world = World::new().await;
        world.server_cert(1, 14 * DAY).await;
        world.sink.is_at(place, Manner::Silent);
        let (app, change) = (Arc::clone(&world.app), change(&world.app));
        let silent = tokio::spawn(async move { round(&app, &change).await });
        while world.sink.asked() == 0 {
            tokio::task::yield_now().await;
        }
        // From here on nothing happens but that time goes by.
        tokio::time::pause();
        let silent = silent.await.expect("no panic").expect("a round");
        tokio::time::resume();
        assert_eq!(silent.announced.len(), 1);
        assert_eq!(silent.failed.len(), 1, "{:?}", silent.failed);
        assert!(world.audited("cert_expiry_alert_sent").await.is_empty());
        let first: Vec<_> = world.sink.taken().into_iter().map(|it| it.id).collect();
        assert_eq!(first.len(), usize::from(place == Place::Letter));
        world.sink.is(Manner::Takes);
        world.round().await;
        let later = world.sink.taken();
        let to: Vec<_> = later.iter().map(|it| it.to.as_str()).collect();
        assert_eq!(to, ["ada@id.example", "bob@id.example"], "{place:?}");
        assert!(first.iter().all(|id| *id == later[0].id), "{first:?}");
    }
}

/// Its time runs as soon as nothing else does.
#[tokio::test(start_paused = true)]
async fn a_mail_server_that_says_nothing_is_given_up() {
    let world = World::new().await;
    world.server_cert(1, 14 * DAY).await;
    world.sink.is(Manner::Silent);
    let failed = world.round().await.failed;
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(world.sink.taken().is_empty());
}

#[tokio::test]
async fn a_server_that_stops_waits_for_no_mail_server_and_the_letters_go_out_later() {
    let mut world = World::new().await;
    world.server_cert(1, 14 * DAY).await;
    world.sink.is(Manner::Silent);
    let (app, change) = (Arc::clone(&world.app), change(&world.app));
    let stopped = tokio::spawn(async move { round(&app, &change).await });
    while world.sink.asked() == 0 {
        tokio::task::yield_now().await;
    }
    world.app.drained.cancel();
    stopped.await.expect("no panic").expect("a round");
    // Its claim was given back: the next server need not wait.
    let (certificate, threshold) = (fingerprint(1), ExpiryThreshold::Days14);
    let until = START + Duration::HOUR;
    let claimed = world
        .store
        .claim_expiry_mail(&certificate, threshold, START, until);
    assert!(claimed.await.expect("the store"));
    assert_eq!(world.told().await.letters, []);
}

#[tokio::test]
async fn rounds_at_once_write_to_each_administrator_once() {
    let mut world = World::new().await;
    world.server_cert(1, 14 * DAY).await;
    let change = change(&world.app);
    let rounds = (0..8).map(|_| {
        let (app, change) = (Arc::clone(&world.app), change.clone());
        tokio::spawn(async move { round(&app, &change).await })
    });
    for round in rounds.collect::<Vec<_>>() {
        round.await.expect("no panic").expect("a round");
    }
    let expected = telling(
        "platform.server_cert.expiring",
        "Server TLS cert expires in 14 days",
    );
    assert_eq!(world.told().await, expected);
}

#[tokio::test]
async fn a_letter_that_comes_twice_has_one_id_and_another_has_another() {
    let mut world = World::new().await;
    world.server_cert(1, 14 * DAY).await;
    world.round().await;
    let ids: Vec<String> = world.sink.taken().into_iter().map(|it| it.id).collect();
    assert_eq!(ids.len(), 2);
    assert_ne!(ids[0], ids[1]);
    for id in ids {
        let hex = fingerprint(1).to_string();
        assert!(id.starts_with(&format!("<{hex}.14.adm_")), "{id}");
    }
    assert_eq!(world.at(DAY).await.letters, []);
}
