use async_trait::async_trait;
use identity_pki::{CaRotation, Fingerprint, RotationRule};

use super::MemoryStore;
use super::transaction::Transaction;
use crate::Notice;
use crate::ca_rotation::rotation;
use crate::{
    CaOrigin, CaRecord, CaState, Change, ComparedKey, Conflict, Error, Event, NamedSecret,
    PrivateKeyPem, Result, SecretBytes, SecretStore, ServerCertRecord,
};

#[async_trait]
impl SecretStore for MemoryStore {
    async fn server_cert(&self) -> Result<Option<ServerCertRecord>> {
        Ok(self.state().server_cert.clone())
    }

    async fn put_server_cert(
        &self,
        change: Change,
        cert: ServerCertRecord,
        compared: ComparedKey,
        key: PrivateKeyPem,
    ) -> Result<bool> {
        self.commit(change, |tx| {
            tx.must_be_new(&compared, false)?;
            if let Some(before) = &tx.state.server_cert {
                tx.state.private_keys.remove(&before.fingerprint);
            }
            tx.state.private_keys.insert(cert.fingerprint, key);
            let uploaded = Event::ServerCertUploaded {
                fingerprint: cert.fingerprint,
                expires_at: cert.not_after,
            };
            let is_first = tx.state.server_cert.replace(cert).is_none();
            tx.tell_platform(&uploaded);
            tx.notify(Notice::Certificates);
            Ok(is_first)
        })
    }

    async fn cas(&self) -> Result<Vec<CaRecord>> {
        let mut cas = self.state().cas.clone();
        cas.reverse();
        cas.sort_by_key(|ca| std::cmp::Reverse(ca.created_at));
        Ok(cas)
    }

    async fn add_ca(
        &self,
        change: Change,
        ca: CaRecord,
        key: PrivateKeyPem,
        origin: CaOrigin,
    ) -> Result<CaState> {
        self.commit(change, |tx| {
            tx.rotate(|cas| cas.add(ca.fingerprint, ca.state))?;
            if let CaOrigin::Uploaded(compared) = &origin {
                tx.must_be_new(compared, true)?;
            }
            let state = ca.state;
            tx.tell_platform(&ca.added(&origin));
            tx.state.private_keys.insert(ca.fingerprint, key);
            tx.state.cas.push(ca);
            Ok(state)
        })
    }

    async fn activate_ca(&self, change: Change, ca: &Fingerprint) -> Result<CaRecord> {
        self.commit(change, |tx| {
            tx.rotate(|cas| cas.activate(*ca))?;
            let activated = tx.ca(ca)?;
            tx.tell_platform(&activated.activated());
            Ok(activated)
        })
    }

    async fn retire_ca(&self, change: Change, ca: &Fingerprint, force: bool) -> Result<CaRecord> {
        self.commit(change, |tx| {
            let devices = tx.state.active_devices(tx.at()).remove(ca).unwrap_or(0);
            tx.rotate(|cas| cas.retire(*ca, devices, force))?;
            let retired = tx.ca(ca)?;
            tx.tell_platform(&retired.retired());
            Ok(retired)
        })
    }

    async fn regenerate_ca(
        &self,
        change: Change,
        confirmed: &Fingerprint,
        mut ca: CaRecord,
        key: PrivateKeyPem,
    ) -> Result<()> {
        self.commit(change, |tx| {
            tx.rotate(|cas| cas.regenerate(*confirmed, ca.fingerprint))?;
            ca.state = CaState::Active;
            tx.tell_platform(&ca.regenerated(*confirmed));
            tx.state.private_keys.insert(ca.fingerprint, key);
            tx.state.cas.push(ca);
            Ok(())
        })
    }

    async fn private_key(&self, certificate: &Fingerprint) -> Result<Option<PrivateKeyPem>> {
        Ok(self.state().private_keys.get(certificate).cloned())
    }

    async fn named_secret(&self, name: NamedSecret, fresh: SecretBytes) -> Result<SecretBytes> {
        let mut state = self.state();
        Ok(state.secrets.entry(name).or_insert(fresh).clone())
    }

    async fn known_secret(&self, name: NamedSecret) -> Result<Option<SecretBytes>> {
        Ok(self.state().secrets.get(&name).cloned())
    }
}

impl Transaction<'_> {
    /// Refuses a key that may be a CA's, that is a device's, or, where a CA is to have it, that may be the
    /// server's.
    fn must_be_new(&self, key: &ComparedKey, is_cas: bool) -> Result<()> {
        let state = &self.state;
        let server_cert = state.server_cert.iter().filter(|_| is_cas);
        let server_cert = server_cert.map(|cert| cert.fingerprint);
        let cas = state.cas.iter().map(|ca| ca.fingerprint);
        key.check(cas.chain(server_cert)).map_err(Error::Conflict)?;
        if state.key_was_certified(&key.spki_sha256) {
            return Err(Error::Conflict(Conflict::KeyReused));
        }
        Ok(())
    }

    /// Changes the states of CAs, and deletes the keys of those that issue nothing any more.
    fn rotate(
        &mut self,
        decide: impl FnOnce(&CaRotation) -> Result<CaRotation, RotationRule>,
    ) -> Result<()> {
        let cas = &mut self.state.cas;
        let before = rotation(cas.iter().map(|ca| (ca.fingerprint, ca.state)))?;
        let after = decide(&before)?;
        for (fingerprint, state) in after.changes_since(&before) {
            for known in cas.iter_mut().filter(|ca| ca.fingerprint == fingerprint) {
                known.state = state;
            }
            if !state.takes_certificates() {
                self.state.private_keys.remove(&fingerprint);
            }
        }
        self.notify(Notice::Certificates);
        Ok(())
    }

    fn ca(&self, fingerprint: &Fingerprint) -> Result<CaRecord> {
        let mut cas = self.state.cas.iter();
        let ca = cas.find(|ca| ca.fingerprint == *fingerprint).cloned();
        let fingerprint = *fingerprint;
        ca.ok_or_else(|| RotationRule::Unknown { fingerprint }.into())
    }

    /// Retires a CA whose devices were revoked, unless somebody did so before.
    pub(super) fn retire_after_revocation(&mut self, ca: Fingerprint) -> Result<()> {
        if self.ca(&ca)?.state != CaState::Retired {
            self.rotate(|cas| cas.retire(ca, 0, true))?;
            let retired = self.ca(&ca)?;
            self.tell_platform(&retired.retired());
        }
        Ok(())
    }
}
