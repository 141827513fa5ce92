use async_trait::async_trait;
use identity_pki::{ExpiryThreshold, Fingerprint};
use time::OffsetDateTime;

use super::MemoryStore;
use crate::posting::to_millisecond;
use crate::{Chain, Change, Event, Expiry, ExpiryAlert, ExpiryAlertStore, ExpiryMail, Result};

/// A threshold of a certificate.
#[derive(Debug, Clone, Default)]
pub(super) struct ExpiryRow {
    alert: ExpiryAlert,
    claimed_until: Option<OffsetDateTime>,
}

#[async_trait]
impl ExpiryAlertStore for MemoryStore {
    async fn expiry_alert(
        &self,
        certificate: &Fingerprint,
        threshold: ExpiryThreshold,
    ) -> Result<ExpiryAlert> {
        let state = self.state();
        let row = state.expiries.get(&(*certificate, threshold));
        Ok(row.map(|row| row.alert.clone()).unwrap_or_default())
    }

    async fn announce_expiry(&self, change: Change, expiry: Expiry) -> Result<bool> {
        self.commit(change, |tx| {
            let key = (expiry.fingerprint, expiry.threshold);
            let row = tx.state.expiries.entry(key).or_default();
            if row.alert.is_announced {
                return Ok(false);
            }
            row.alert.is_announced = true;
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
        let row = state.expiries.entry((*certificate, threshold)).or_default();
        let set_back = until + (until - now);
        let is_anothers = |claim: OffsetDateTime| now < claim && claim < set_back;
        if row.alert.is_mailed || row.claimed_until.is_some_and(is_anothers) {
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
            let key = (fingerprint, threshold);
            let row = tx.state.expiries.entry(key).or_default();
            row.alert.is_mailed |= mail.is_finished;
            if row.alert.is_mailed {
                row.alert.recipients.clear();
            } else {
                row.alert.recipients.extend(mail.recipients.iter().cloned());
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
