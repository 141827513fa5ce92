use async_trait::async_trait;
use identity_pki::Fingerprint;

use super::MemoryStore;
use crate::Notice;
use crate::ca_rotation::rotation;
use crate::{
    CaRecord, CaState, Change, Event, NamedSecret, PrivateKeyPem, Result, SecretBytes, SecretStore,
    ServerCertRecord,
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
        key: PrivateKeyPem,
    ) -> Result<bool> {
        self.commit(change, |tx| {
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

    async fn add_ca(&self, change: Change, ca: CaRecord, key: PrivateKeyPem) -> Result<CaState> {
        self.commit(change, |tx| {
            let cas = &mut tx.state.cas;
            let before = rotation(cas.iter().map(|ca| (ca.fingerprint, ca.state)))?;
            let after = before.add(ca.fingerprint, ca.state)?;
            for (fingerprint, state) in after.changes_since(&before) {
                for known in cas.iter_mut().filter(|ca| ca.fingerprint == fingerprint) {
                    known.state = state;
                }
            }
            let state = ca.state;
            let generated = Event::PlatformCaGenerated {
                fingerprint: ca.fingerprint,
                expires_at: ca.not_after,
            };
            tx.state.private_keys.insert(ca.fingerprint, key);
            cas.push(ca);
            tx.tell_platform(&generated);
            tx.notify(Notice::Certificates);
            Ok(state)
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
