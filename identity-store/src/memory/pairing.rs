//! What becomes of certificates: the ledger, the denylist, pairing and renewal.

use identity_pki::{DeviceIdentity, PairingCodeHash, SpkiSha256, TbsSha256};
use time::{Duration, OffsetDateTime};

use super::state::{DeviceRow, State};
use super::transaction::Transaction;
use crate::Notice;
use crate::{
    CertificateRecord, Conflict, DenialReason, DeniedCertificate, DeviceStatus, Entity, Error,
    Event, Issuance, IssuancePurpose, PairDevice, Paired, PairingCandidate, RenewDevice,
    RenewalGrace, Renewed, Result,
};

/// The profile of every certificate that a device gets.
const DEVICE_PROFILE: &str = "device";

impl State {
    pub(super) fn key_was_certified(&self, spki_sha256: &SpkiSha256) -> bool {
        self.ledger
            .iter()
            .any(|issuance| issuance.certificate.spki_sha256 == *spki_sha256)
    }

    fn row_of_code(
        &mut self,
        code_hash: &PairingCodeHash,
        now: OffsetDateTime,
    ) -> Option<&mut DeviceRow> {
        self.devices.values_mut().find(|row| {
            let code = row.code.as_ref();
            code.is_some_and(|code| code.code_hash == *code_hash && now < code.expires_at)
        })
    }

    /// What a code stands for at `now`.
    pub(super) fn pairing_candidate(
        &mut self,
        code_hash: &PairingCodeHash,
        now: OffsetDateTime,
    ) -> Option<PairingCandidate> {
        let device = self.row_of_code(code_hash, now)?.at(now);
        let tenant = self.tenants.get(device.identity.tenant_id())?;
        Some(PairingCandidate {
            tenant_status: tenant.status,
            device_policy: self.device_policy.of_tenant(&tenant.config),
            spent_on: device.certificate,
            identity: device.identity,
        })
    }
}

impl Transaction<'_> {
    /// Enters a certificate in the ledger, which takes no key and no number twice.
    fn issue(&mut self, certificate: CertificateRecord, purpose: IssuancePurpose) -> Result<()> {
        let mut cas = self.state.cas.iter();
        let ca = cas.find(|ca| ca.fingerprint == certificate.ca_fingerprint);
        if ca.is_some_and(|ca| !ca.state.takes_certificates()) {
            return Err(Error::Conflict(Conflict::CaWithdrawn));
        }
        if self.state.key_was_certified(&certificate.spki_sha256) {
            return Err(Error::Conflict(Conflict::KeyReused));
        }
        let mut numbers = self.state.ledger.iter().map(|it| it.certificate.serial);
        if numbers.any(|serial| serial == certificate.serial) {
            return Err(Error::Conflict(Conflict::IdTaken));
        }
        self.state.ledger.push(Issuance {
            certificate,
            profile: DEVICE_PROFILE.to_owned(),
            purpose,
            request_id: self.change.request_id.clone(),
            issued_at: self.at(),
        });
        Ok(())
    }

    /// Denies a certificate.
    fn deny(&mut self, certificate: &CertificateRecord, reason: DenialReason) -> DeniedCertificate {
        self.state.last_denial += 1;
        let denied = DeniedCertificate {
            sequence: self.state.last_denial,
            tbs_sha256: certificate.tbs_sha256,
            fingerprint: certificate.fingerprint,
            serial: certificate.serial,
            ca_fingerprint: certificate.ca_fingerprint,
            identity: certificate.identity.clone(),
            reason,
            revoked_at: self.at(),
            revoked_by: self.change.actor.id().to_owned(),
            not_after: certificate.not_after,
        };
        self.state.denials.push(denied.clone());
        self.notify(Notice::Denied);
        denied
    }

    /// Denies every certificate of a device that is not denied yet.
    pub(super) fn deny_all(
        &mut self,
        identity: &DeviceIdentity,
        reason: DenialReason,
    ) -> Vec<DeniedCertificate> {
        self.state.renewal_graces.remove(identity);
        let denials = &self.state.denials;
        let is_denied = |certificate: &CertificateRecord| {
            let mut tbs_hashes = denials.iter().map(|denied| denied.tbs_sha256);
            tbs_hashes.any(|tbs_sha256| tbs_sha256 == certificate.tbs_sha256)
        };
        let not_denied: Vec<CertificateRecord> = self
            .state
            .ledger
            .iter()
            .map(|issuance| &issuance.certificate)
            .filter(|certificate| certificate.identity == *identity)
            .filter(|certificate| !is_denied(certificate))
            .cloned()
            .collect();
        not_denied
            .iter()
            .map(|certificate| self.deny(certificate, reason))
            .collect()
    }

    /// Ends the grace of that certificate, or of whichever is in its grace: it is denied.
    pub(super) fn end_renewal_grace(
        &mut self,
        identity: &DeviceIdentity,
        superseded: Option<&TbsSha256>,
    ) -> Option<DeniedCertificate> {
        let graces = &mut self.state.renewal_graces;
        let grace = graces.get(identity)?.superseded;
        if superseded.is_some_and(|superseded| *superseded != grace) {
            return None;
        }
        graces.remove(identity);
        let mut ledger = self.state.ledger.iter().map(|issued| &issued.certificate);
        let certificate = ledger.find(|issued| issued.tbs_sha256 == grace)?.clone();
        Some(self.deny(&certificate, DenialReason::Renewed))
    }

    pub(super) fn pair(&mut self, pairing: PairDevice) -> Result<Paired> {
        let at = self.at();
        let PairDevice {
            code_hash,
            certificate,
            info,
        } = pairing;
        let invalid = || Error::Conflict(Conflict::PairingCodeInvalid);
        let row = self
            .state
            .row_of_code(&code_hash, at)
            .filter(|row| row.device.identity == certificate.identity)
            .ok_or_else(invalid)?;
        if let Some(active) = &row.device.certificate {
            let same_key = active.spki_sha256 == certificate.spki_sha256;
            return if same_key {
                Ok(Paired::Before(Box::new(row.at(at))))
            } else {
                Err(invalid())
            };
        }
        row.device.status = DeviceStatus::Paired;
        row.device.certificate = Some(certificate.clone());
        row.device.info = info;
        row.device.paired_at = Some(at);
        let device = row.at(at);
        let fingerprint = certificate.fingerprint;
        self.issue(certificate, IssuancePurpose::Pairing)?;
        self.tell(
            device.identity.tenant_id(),
            &Event::DevicePaired {
                device_id: device.identity.device_id().clone(),
                fingerprint,
            },
        );
        Ok(Paired::Now(Box::new(device)))
    }

    pub(super) fn renew(&mut self, renewal: RenewDevice) -> Result<Renewed> {
        let at = self.at();
        let RenewDevice {
            presented,
            certificate,
        } = renewal;
        let row = self
            .state
            .devices
            .get_mut(&certificate.identity)
            .ok_or(Error::NotFound(Entity::Device))?;
        let old = row
            .device
            .certificate
            .clone()
            .ok_or(Error::Conflict(Conflict::DeviceNotPaired))?;
        if old.tbs_sha256 != presented {
            return Err(Error::Conflict(Conflict::RenewalConflict));
        }
        row.device.certificate = Some(certificate.clone());
        row.code = None;
        let device = row.at(at);
        self.issue(certificate.clone(), IssuancePurpose::Renewal)?;
        let mut denied = Vec::from_iter(self.end_renewal_grace(&device.identity, None));
        let tenant = self.tenant_mut(device.identity.tenant_id())?;
        match tenant.config.renewal_grace_seconds {
            0 => denied.push(self.deny(&old, DenialReason::Renewed)),
            grace => {
                let grace = RenewalGrace {
                    superseded: old.tbs_sha256,
                    ends_at: at + Duration::seconds(grace.into()),
                };
                let graces = &mut self.state.renewal_graces;
                graces.insert(device.identity.clone(), grace);
            }
        }
        self.tell(
            device.identity.tenant_id(),
            &Event::CertRenewed {
                device_id: device.identity.device_id().clone(),
                old_fingerprint: old.fingerprint,
                new_fingerprint: certificate.fingerprint,
            },
        );
        Ok(Renewed { device, denied })
    }
}
