//! What was told of the expiry of the platform's certificates.

use std::collections::BTreeMap;

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
use crate::{Chain, Change, Event, Expiry, ExpiryAlertStore, ExpiryAlerts, ExpiryMail, Result};

// Of two thresholds the one of fewer days is the later one.
const ALERTS: &str = "
    SELECT announced_days, mailed_days FROM expiry_alerts WHERE fingerprint = $1";
const RECIPIENTS: &str = "
    SELECT operator_id, threshold_days FROM expiry_mails WHERE fingerprint = $1";
const ANNOUNCE: &str = "
    INSERT INTO expiry_alerts (fingerprint, announced_days) VALUES ($1, $2)
    ON CONFLICT (fingerprint) DO UPDATE SET announced_days = $2
    WHERE expiry_alerts.announced_days IS NULL OR expiry_alerts.announced_days > $2";
const CLAIM: &str = "
    INSERT INTO expiry_alerts (fingerprint, mail_claimed_until) VALUES ($1, $4)
    ON CONFLICT (fingerprint) DO UPDATE SET mail_claimed_until = $4
    WHERE (expiry_alerts.mailed_days IS NULL OR expiry_alerts.mailed_days > $2)
      AND (expiry_alerts.mail_claimed_until IS NULL OR expiry_alerts.mail_claimed_until <= $3
           OR expiry_alerts.mail_claimed_until >= $5)";
const NOTE_RECIPIENT: &str = "
    INSERT INTO expiry_mails (fingerprint, operator_id, threshold_days) VALUES ($1, $2, $3)
    ON CONFLICT (fingerprint, operator_id) DO UPDATE SET threshold_days = $3";
const FINISH: &str = "
    UPDATE expiry_alerts SET mailed_days = $2
    WHERE fingerprint = $1 AND (mailed_days IS NULL OR mailed_days > $2)";
const FORGET_RECIPIENTS: &str = "
    DELETE FROM expiry_mails WHERE fingerprint = $1 AND threshold_days >= $2";
const GIVE_BACK: &str = "
    UPDATE expiry_alerts SET mail_claimed_until = NULL
    WHERE fingerprint = $1 AND mail_claimed_until = $2";

fn days(threshold: ExpiryThreshold) -> i64 {
    i64::from(threshold.days())
}

fn threshold(columns: Columns<'_>, column: &'static str) -> Result<Option<ExpiryThreshold>> {
    let read = |days: i64| {
        let days = u8::try_from(days).ok();
        let known = days.and_then(ExpiryThreshold::from_days);
        known.ok_or_else(|| columns.corrupt(column))
    };
    columns.get::<Option<i64>>(column)?.map(read).transpose()
}

fn read(row: Option<&Row>, recipients: &[Row]) -> Result<ExpiryAlerts> {
    let mut alerts = ExpiryAlerts::default();
    if let Some(row) = row {
        let columns = Columns::of(row, "expiry_alerts");
        alerts.announced = threshold(columns, "announced_days")?;
        alerts.mailed = threshold(columns, "mailed_days")?;
    }
    let recipients = recipients.iter().map(|row| {
        let columns = Columns::of(row, "expiry_mails");
        let had = threshold(columns, "threshold_days")?;
        let had = had.ok_or_else(|| columns.corrupt("threshold_days"))?;
        Ok((columns.parse("operator_id")?, had))
    });
    alerts.recipients = recipients.collect::<Result<BTreeMap<_, _>>>()?;
    Ok(alerts)
}

async fn find(conn: &mut Connection, certificate: &Fingerprint) -> Step<ExpiryAlerts> {
    let fingerprint = &certificate.as_bytes()[..];
    let row = query(ALERTS).bind(fingerprint).fetch_optional(conn).await?;
    let recipients = query(RECIPIENTS).bind(fingerprint).fetch_all(conn).await?;
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
                .bind(operator_id.as_str())
                .bind(days)
                .execute(tx.conn())
                .await?;
        }
    }
    query(GIVE_BACK)
        .bind(fingerprint)
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
    async fn expiry_alerts(&self, certificate: &Fingerprint) -> Result<ExpiryAlerts> {
        self.read("expiry_alerts", async |conn| find(conn, certificate).await)
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
