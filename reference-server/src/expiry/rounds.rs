use std::time::Duration;

use identity_pki::ExpiryThreshold;
use identity_store::{Change, Expiry, ExpiryMail, Operator, OperatorId, Result};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::letter::{Sender, letter};
use super::{Watched, watched};
use crate::App;
use crate::mail::{MailError, Mailer};

/// How long a round may send letters about one certificate. Who is left then is written to in the next.
const SENDING: Duration = Duration::from_secs(4 * 60);
/// How long nobody else sends them: longer, by all that its last letter and the database may take.
const CLAIM: time::Duration = time::Duration::minutes(6);

/// What came of one look at the platform's certificates.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// What was announced.
    pub announced: Vec<Expiry>,
    /// What was mailed, and to how many.
    pub mailed: Vec<(Expiry, usize)>,
    /// What was not mailed to everybody who is to have it.
    pub failed: Vec<Failure>,
}

/// Mail that somebody did not get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Of what it tells.
    pub expiry: Expiry,
    /// What went wrong, without the recipient's address.
    pub reason: String,
}

/// Looks at the platform's certificates, and tells what is due as `change`. Any number of them may run at
/// once, anywhere.
///
/// # Errors
///
/// What the store fails with. What was told until then stays told.
pub async fn round(app: &App, change: &Change) -> Result<Round> {
    let mut round = Round::default();
    for certificate in watched(&*app.store).await? {
        round.look_at(app, change, &certificate).await?;
    }
    Ok(round)
}

impl Round {
    async fn look_at(&mut self, app: &App, change: &Change, certificate: &Watched) -> Result<()> {
        let now = app.clock.now();
        let Some(expiry) = crossed(certificate, now) else {
            return Ok(());
        };
        let (fingerprint, threshold) = (&expiry.fingerprint, expiry.threshold);
        let alert = app.store.expiry_alert(fingerprint, threshold).await?;
        if !alert.is_announced && app.store.announce_expiry(at(change, now), expiry).await? {
            log(&expiry);
            self.announced.push(expiry);
        }
        if let Some(mailer) = &app.mailer
            && !alert.is_mailed
        {
            let until = now + CLAIM;
            let claimed = app
                .store
                .claim_expiry_mail(fingerprint, threshold, now, until);
            if claimed.await? {
                let sent = send(app, mailer, certificate, &expiry).await?;
                self.finish(app, change, expiry, until, sent).await?;
            }
        }
        Ok(())
    }

    async fn finish(
        &mut self,
        app: &App,
        change: &Change,
        expiry: Expiry,
        claimed_until: OffsetDateTime,
        sent: Sent,
    ) -> Result<()> {
        let recipients = sent.to.len();
        let mail = ExpiryMail {
            expiry,
            claimed_until,
            is_finished: sent.is_finished(),
            recipients: sent.to,
        };
        if recipients > 0 {
            self.mailed.push((expiry, recipients));
        }
        let failed = sent.failed.into_iter();
        self.failed
            .extend(failed.map(|reason| Failure { expiry, reason }));
        let change = at(change, app.clock.now());
        app.store.finish_expiry_mail(change, mail).await
    }
}

/// A change at another moment.
fn at(change: &Change, now: OffsetDateTime) -> Change {
    Change {
        at: now,
        ..change.clone()
    }
}

fn crossed(certificate: &Watched, now: OffsetDateTime) -> Option<Expiry> {
    let Watched {
        kind,
        fingerprint,
        not_after,
        ..
    } = *certificate;
    let threshold = ExpiryThreshold::crossed(kind, not_after, now)?;
    Some(Expiry {
        kind,
        fingerprint,
        not_after,
        threshold,
    })
}

fn log(expiry: &Expiry) {
    let (kind, fingerprint) = (expiry.kind.as_str(), &expiry.fingerprint);
    let (not_after, threshold_days) = (expiry.not_after, expiry.threshold.days());
    tracing::warn!(kind, %fingerprint, %not_after, threshold_days, "a certificate expires");
}

/// What came of the letters about one certificate.
#[derive(Debug, Default)]
struct Sent {
    to: Vec<OperatorId>,
    /// How many had it before.
    before: usize,
    /// Why others did not get it.
    failed: Vec<String>,
    /// Whether some of these may get it at another time.
    is_left: bool,
    /// Whether nobody else is to be written to now.
    is_over: bool,
}

impl Sent {
    /// Whether there is nothing more to do: somebody had the letter, and whoever had none is refused for
    /// good. A server that refuses everybody may be the wrong one.
    fn is_finished(&self) -> bool {
        !self.is_left && self.before + self.to.len() > 0
    }

    fn failed(&mut self, to: &OperatorId, error: &MailError) {
        metrics::counter!("expiry_mail_failures_total").increment(1);
        tracing::warn!(%to, %error, "an administrator was not written to");
        self.is_left |= !error.is_final();
        self.is_over |= error.is_the_servers();
        self.failed.push(error.to_string());
    }
}

/// Writes to the administrators who did not have the letter yet, one by one, so that nobody sees another's
/// address. A mail server that is not there for one is not asked on.
async fn send(app: &App, mailer: &Mailer, certificate: &Watched, expiry: &Expiry) -> Result<Sent> {
    let alert = app
        .store
        .expiry_alert(&expiry.fingerprint, expiry.threshold)
        .await?;
    let admins = app.store.platform_admins().await?;
    let until = Instant::now() + SENDING;
    let mut sent = Sent::default();
    for admin in &admins {
        if alert.recipients.contains(&admin.operator_id) {
            sent.before += 1;
            continue;
        }
        if Instant::now() >= until {
            sent.is_left = true;
            break;
        }
        let outcome = tokio::select! {
            biased;
            () = app.drained.cancelled() => {
                sent.is_left = true;
                break;
            }
            outcome = write(app, mailer, certificate, expiry, admin) => outcome,
        };
        match outcome {
            Ok(()) => sent.to.push(admin.operator_id.clone()),
            Err(error) => sent.failed(&admin.operator_id, &error),
        }
        if sent.is_over {
            break;
        }
    }
    Ok(sent)
}

async fn write(
    app: &App,
    mailer: &Mailer,
    certificate: &Watched,
    expiry: &Expiry,
    admin: &Operator,
) -> std::result::Result<(), MailError> {
    let address = admin.email.as_deref().ok_or(MailError::Address)?;
    let sender = Sender {
        product: &app.config.product_name,
        platform: &app.issuer,
    };
    let now = app.clock.now();
    let letter = letter(sender, certificate, expiry, &admin.operator_id, now);
    mailer.send(&letter, address, now).await
}
