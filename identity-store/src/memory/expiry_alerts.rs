use async_trait::async_trait;
use identity_pki::{ExpiryThreshold, Fingerprint};
use time::OffsetDateTime;

use super::MemoryStore;
use crate::posting::to_millisecond;
use crate::{Chain, Change, Event, Expiry, ExpiryAlertStore, ExpiryAlerts, ExpiryMail, Result};

/// The alerts of a certificate.
#[derive(Debug, Clone, Default)]
pub(super) struct ExpiryRow {
    alerts: ExpiryAlerts,
    claimed_until: Option<OffsetDateTime>,
}

/// Whether a threshold is later than the last one.
fn is_news(last: Option<ExpiryThreshold>, threshold: ExpiryThreshold) -> bool {
    last.is_none_or(|last| last < threshold)
}

#[async_trait]
impl ExpiryAlertStore for MemoryStore {
    async fn expiry_alerts(&self, certificate: &Fingerprint) -> Result<ExpiryAlerts> {
        let state = self.state();
        let row = state.expiries.get(certificate);
        Ok(row.map(|row| row.alerts.clone()).unwrap_or_default())
    }

    async fn announce_expiry(&self, change: Change, expiry: Expiry) -> Result<bool> {
        self.commit(change, |tx| {
            let row = tx.state.expiries.entry(expiry.fingerprint).or_default();
            if !is_news(row.alerts.announced, expiry.threshold) {
                return Ok(false);
            }
            row.alerts.announced = Some(expiry.threshold);
            let news = Event::CertExpiring(expiry);
            tx.tell_platform(&news);
            let event_type = news.webhook_type().unwrap_or_default();
            let subject = news.webhook_subject();
            let all = tx.state.webhooks.values();
            let own = all.filter(|webhook| webhook.owner == Chain::Platform);
            let told = own.filter(|webhook| webhook.wants(event_type, &subject));
            let told = told.count();
            if told > 0 {
                tx.tell_platform(&Event::expiry_webhooks_sent(&expiry, told));
            }
            Ok(true)
        })
    }

    async fn claim_expiry_mail(
        &self,
        certificate: &Fingerprint,
        threshold: ExpiryThreshold,
        now: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Result<bool> {
        let mut state = self.state();
        let row = state.expiries.entry(*certificate).or_default();
        let set_back = until + (until - now);
        let is_anothers = |claim: OffsetDateTime| now < claim && claim < set_back;
        if row.claimed_until.is_some_and(is_anothers) || !is_news(row.alerts.mailed, threshold) {
            return Ok(false);
        }
        row.claimed_until = Some(to_millisecond(until));
        Ok(true)
    }

    async fn finish_expiry_mail(&self, change: Change, mail: ExpiryMail) -> Result<()> {
        self.commit(change, |tx| {
            let Expiry {
                fingerprint,
                threshold,
                ..
            } = mail.expiry;
            let row = tx.state.expiries.entry(fingerprint).or_default();
            row.alerts
                .recipients
                .extend(mail.recipients.iter().map(|id| (id.clone(), threshold)));
            if mail.is_finished {
                row.alerts.recipients.retain(|_, had| threshold < *had);
                row.alerts.mailed = row.alerts.mailed.max(Some(threshold));
            }
            let claim = to_millisecond(mail.claimed_until);
            row.claimed_until = row.claimed_until.filter(|until| *until != claim);
            if !mail.recipients.is_empty() {
                tx.tell_platform(&Event::expiry_mail_sent(&mail));
            }
            Ok(())
        })
    }
}
