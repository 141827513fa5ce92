//! Denied certificates that were offered in a handshake, noted there and audited later: a certificate
//! that was superseded and is in use all the same may be a stolen one (contract §6).

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use identity_mtls::{Refusal, RefusalObserver};
use identity_pki::TbsSha256;
use identity_store::{Actor, Chain, Change, DenialReason, DeniedCertificate, Event, Result};
use time::{Duration, OffsetDateTime};

use crate::App;
use crate::http::RequestId;

/// How many certificates are noted between two turns of the job; further ones are let go.
const MAX_NOTED: usize = 1024;
/// A certificate that keeps coming is audited so often.
const PAUSE: Duration = Duration::MINUTE;

/// The denied certificates that handshakes were offered since the last [`take`](Self::take).
///
/// Whoever offers a certificate has not proved to have its key at that point, so what is noted says
/// that it was offered, and not by whom.
#[derive(Debug, Clone, Default)]
pub struct Offered(Arc<Mutex<BTreeSet<TbsSha256>>>);

impl Offered {
    /// What was noted.
    #[must_use]
    pub fn take(&self) -> BTreeSet<TbsSha256> {
        std::mem::take(&mut *self.noted())
    }

    fn noted(&self) -> std::sync::MutexGuard<'_, BTreeSet<TbsSha256>> {
        // A set of plain values: whoever panicked with the lock left a whole one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RefusalObserver for Offered {
    fn refused(&self, refusal: &Refusal) {
        if let Refusal::Denied { tbs_sha256, .. } = refusal {
            let mut noted = self.noted();
            if noted.len() < MAX_NOTED {
                noted.insert(*tbs_sha256);
            }
        }
    }
}

/// Which certificates were audited lately.
#[derive(Debug, Default)]
pub(crate) struct Audited(HashMap<TbsSha256, OffsetDateTime>);

impl Audited {
    /// Whether a certificate is to be audited again; if so, that counts.
    fn is_due(&mut self, tbs_sha256: TbsSha256, now: OffsetDateTime) -> bool {
        self.0.retain(|_, at| *at + PAUSE > now);
        let due = !self.0.contains_key(&tbs_sha256);
        if due {
            self.0.insert(tbs_sha256, now);
        }
        due
    }
}

/// Audits the superseded ones among the certificates that were offered.
///
/// # Errors
///
/// As the store's; what was not audited yet is let go.
pub(crate) async fn audit(app: &App, audited: &mut Audited) -> Result<()> {
    let now = app.clock.now();
    for tbs_sha256 in app.offered.take() {
        if !audited.is_due(tbs_sha256, now) {
            continue;
        }
        if let Some(denied) = app.store.denial(&tbs_sha256).await?
            && is_superseded(denied.reason)
        {
            record(app, denied, now).await?;
        }
    }
    Ok(())
}

/// Whether a device has, or waits for, another certificate in the place of the denied one.
fn is_superseded(reason: DenialReason) -> bool {
    match reason {
        DenialReason::Renewed | DenialReason::Replaced => true,
        DenialReason::Revoked => false,
    }
}

async fn record(app: &App, denied: DeniedCertificate, now: OffsetDateTime) -> Result<()> {
    let request_id = RequestId::generate(now);
    let change = Change::new(now, Actor::Anonymous, request_id.as_str());
    let chain = Chain::Tenant(denied.identity.tenant_id().clone());
    let event = Event::SupersededCertificateUsed {
        device_id: denied.identity.device_id().clone(),
        old_fingerprint: denied.fingerprint,
    };
    app.store.record(change, chain, vec![event]).await?;
    count_use();
    Ok(())
}

/// Counts an alarm that was audited.
pub(crate) fn count_use() {
    metrics::counter!("superseded_certificates_used_total").increment(1);
}

#[cfg(test)]
mod tests {
    use identity_pki::{DeviceId, DeviceIdentity, TenantId};

    use super::*;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn denied(n: usize) -> Refusal {
        let (tenant, device) = (TenantId::new("acme"), DeviceId::new("dev_1"));
        let mut tbs = [0; 32];
        tbs[..8].copy_from_slice(&n.to_be_bytes());
        Refusal::Denied {
            identity: DeviceIdentity::new(tenant.expect("tenant"), device.expect("device")),
            tbs_sha256: TbsSha256::from_bytes(tbs),
        }
    }

    #[test]
    fn only_denials_are_noted_once_each_and_not_without_end() {
        let offered = Offered::default();
        offered.refused(&Refusal::UnknownIssuer);
        assert!(offered.take().is_empty());
        for n in [1, 1, 2] {
            offered.refused(&denied(n));
        }
        assert_eq!(offered.take().len(), 2);
        assert!(offered.take().is_empty(), "taken once");
        for n in 0..2 * MAX_NOTED {
            offered.refused(&denied(n));
        }
        assert_eq!(offered.take().len(), MAX_NOTED);
    }

    #[test]
    fn a_certificate_that_keeps_coming_is_audited_once_a_minute() {
        let mut audited = Audited::default();
        let one = TbsSha256::from_bytes([1; 32]);
        assert!(audited.is_due(one, NOW));
        assert!(!audited.is_due(one, NOW + PAUSE - Duration::MILLISECOND));
        assert!(
            audited.is_due(TbsSha256::from_bytes([2; 32]), NOW),
            "another"
        );
        assert!(audited.is_due(one, NOW + PAUSE));
    }
}
