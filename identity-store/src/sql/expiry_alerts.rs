//! What was told of the expiry of the platform's certificates.

use std::collections::BTreeSet;

use async_trait::async_trait;
use identity_pki::{ExpiryThreshold, Fingerprint};
use time::OffsetDateTime;

use super::column::{Columns, ms};
use super::connection::Connection;
use super::fault::Step;
use super::post::chain_column;
use super::query::query;
use super::row::Row;
use super::tx::{ChangeTx, Isolation};
use super::{SqlStore, webhook_rows};
use crate::{Chain, Change, Event, Expiry, ExpiryAlert, ExpiryAlertStore, ExpiryMail, Result};

const ALERT: &str = "
    SELECT announced, mailed FROM expiry_thresholds WHERE fingerprint = $1 AND threshold_days = $2";
const RECIPIENTS: &str = "
    SELECT operator_id FROM expiry_recipients WHERE fingerprint = $1 AND threshold_days = $2";
const ANNOUNCE: &str = "
    INSERT INTO expiry_thresholds (fingerprint, threshold_days, announced, mailed)
    VALUES ($1, $2, TRUE, FALSE)
    ON CONFLICT (fingerprint, threshold_days) DO UPDATE SET announced = TRUE
    WHERE NOT expiry_thresholds.announced";
const CLAIM: &str = "
    INSERT INTO expiry_thresholds (fingerprint, threshold_days, announced, mailed, mail_claimed_until)
    VALUES ($1, $2, FALSE, FALSE, $4)
    ON CONFLICT (fingerprint, threshold_days) DO UPDATE SET mail_claimed_until = $4
    WHERE NOT expiry_thresholds.mailed
      AND (expiry_thresholds.mail_claimed_until IS NULL
           OR expiry_thresholds.mail_claimed_until <= $3
           OR expiry_thresholds.mail_claimed_until >= $5)";
const NOTE_RECIPIENT: &str = "
    INSERT INTO expiry_recipients (fingerprint, threshold_days, operator_id)
    SELECT $1, $2, $3 WHERE NOT EXISTS (
        SELECT 1 FROM expiry_thresholds
        WHERE fingerprint = $1 AND threshold_days = $2 AND mailed)
    ON CONFLICT (fingerprint, threshold_days, operator_id) DO NOTHING";
const FINISH: &str = "
    INSERT INTO expiry_thresholds (fingerprint, threshold_days, announced, mailed)
    VALUES ($1, $2, FALSE, TRUE)
    ON CONFLICT (fingerprint, threshold_days) DO UPDATE SET mailed = TRUE";
const FORGET_RECIPIENTS: &str = "
    DELETE FROM expiry_recipients WHERE fingerprint = $1 AND threshold_days = $2";
const GIVE_BACK: &str = "
    UPDATE expiry_thresholds SET mail_claimed_until = NULL
    WHERE fingerprint = $1 AND threshold_days = $2 AND mail_claimed_until = $3";

fn days(threshold: ExpiryThreshold) -> i64 {
    i64::from(threshold.days())
}

fn read(row: Option<&Row>, recipients: &[Row]) -> Result<ExpiryAlert> {
    let mut alert = ExpiryAlert::default();
    if let Some(row) = row {
        let columns = Columns::of(row, "expiry_thresholds");
        alert.is_announced = columns.get("announced")?;
        alert.is_mailed = columns.get("mailed")?;
    }
    let recipients = recipients
        .iter()
        .map(|row| Columns::of(row, "expiry_recipients").parse("operator_id"));
    alert.recipients = recipients.collect::<Result<BTreeSet<_>>>()?;
    Ok(alert)
}

async fn find(
    conn: &mut Connection,
    certificate: &Fingerprint,
    threshold: ExpiryThreshold,
) -> Step<ExpiryAlert> {
    let (fingerprint, days) = (&certificate.as_bytes()[..], days(threshold));
    let row = query(ALERT).bind(fingerprint).bind(days);
    let row = row.fetch_optional(conn).await?;
    let recipients = query(RECIPIENTS).bind(fingerprint).bind(days);
    let recipients = recipients.fetch_all(conn).await?;
    Ok(read(row.as_ref(), &recipients)?)
}

async fn announce(tx: &mut ChangeTx<'_>, expiry: Expiry) -> Step<bool> {
    let announced = query(ANNOUNCE)
        .bind(&expiry.fingerprint.as_bytes()[..])
        .bind(days(expiry.threshold))
        .execute(tx.conn())
        .await?;
    if announced == 0 {
        return Ok(false);
    }
    let news = Event::CertExpiring(expiry);
    tx.post(&Chain::Platform, &news).await?;
    let event_type = news.webhook_type().unwrap_or_default();
    let subject = news.webhook_subject();
    let platforms = [chain_column(&Chain::Platform)];
    let webhooks = webhook_rows::enabled(tx.tx, &platforms).await?;
    let told = webhooks.iter();
    let told = told
        .filter(|webhook| webhook.wants(event_type, &subject))
        .count();
    if told > 0 {
        let event = Event::expiry_webhooks_sent(&expiry, told);
        tx.post(&Chain::Platform, &event).await?;
    }
    Ok(true)
}

async fn finish(tx: &mut ChangeTx<'_>, mail: &ExpiryMail) -> Step<()> {
    let fingerprint = &mail.expiry.fingerprint.as_bytes()[..];
    let days = days(mail.expiry.threshold);
    if mail.is_finished {
        for statement in [FINISH, FORGET_RECIPIENTS] {
            let statement = query(statement).bind(fingerprint).bind(days);
            statement.execute(tx.conn()).await?;
        }
    } else {
        for operator_id in &mail.recipients {
            query(NOTE_RECIPIENT)
                .bind(fingerprint)
                .bind(days)
                .bind(operator_id.as_str())
                .execute(tx.conn())
                .await?;
        }
    }
    query(GIVE_BACK)
        .bind(fingerprint)
        .bind(days)
        .bind(ms(mail.claimed_until))
        .execute(tx.conn())
        .await?;
    if !mail.recipients.is_empty() {
        tx.post(&Chain::Platform, &Event::expiry_mail_sent(mail))
            .await?;
    }
    Ok(())
}

#[async_trait]
impl ExpiryAlertStore for SqlStore {
    async fn expiry_alert(
        &self,
        certificate: &Fingerprint,
        threshold: ExpiryThreshold,
    ) -> Result<ExpiryAlert> {
        self.read("expiry_alert", async |conn| {
            find(conn, certificate, threshold).await
        })
        .await
    }

    async fn announce_expiry(&self, change: Change, expiry: Expiry) -> Result<bool> {
        self.run_change(
            "announce_expiry",
            Isolation::ReadCommitted,
            change,
            move |tx| Box::pin(async move { announce(tx, expiry).await }),
        )
        .await
    }

    async fn claim_expiry_mail(
        &self,
        certificate: &Fingerprint,
        threshold: ExpiryThreshold,
        now: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Result<bool> {
        let certificate = *certificate;
        self.run_tx("claim_expiry_mail", Isolation::ReadCommitted, move |tx| {
            Box::pin(async move {
                let claimed = query(CLAIM)
                    .bind(&certificate.as_bytes()[..])
                    .bind(days(threshold))
                    .bind(ms(now))
                    .bind(ms(until))
                    .bind(ms(until + (until - now)))
                    .execute(tx.conn())
                    .await?;
                Ok(claimed > 0)
            })
        })
        .await
    }

    async fn finish_expiry_mail(&self, change: Change, mail: ExpiryMail) -> Result<()> {
        self.run_change(
            "finish_expiry_mail",
            Isolation::ReadCommitted,
            change,
            move |tx| Box::pin(async move { finish(tx, &mail).await }),
        )
        .await
    }
}
