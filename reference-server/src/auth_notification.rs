//! What a client is told with when a user has answered its authentication request (CIBA Core 1.0 §10.2).

use identity_store::SecretBytes;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

/// The notification of one request. It is stored encrypted: the `auth_req_id` is stored nowhere else.
#[derive(Serialize, Deserialize)]
pub struct AuthNotification {
    /// Where it is sent: the client's endpoint when it asked.
    pub endpoint: String,
    /// What the client polls with.
    pub auth_req_id: String,
    /// By which the client knows that it is told by this server: sent as Bearer.
    pub token: String,
}

impl AuthNotification {
    /// The notification for storage.
    ///
    /// # Errors
    ///
    /// [`serde_json::Error`], never.
    pub fn to_bytes(&self) -> serde_json::Result<SecretBytes> {
        let bytes = Zeroizing::new(serde_json::to_vec(self)?);
        Ok(SecretBytes::new(&**bytes))
    }

    /// What [`to_bytes`](Self::to_bytes) made.
    ///
    /// # Errors
    ///
    /// [`serde_json::Error`] for anything else.
    pub fn read(bytes: &SecretBytes) -> serde_json::Result<Self> {
        serde_json::from_slice(bytes.expose())
    }

    /// What is sent.
    #[must_use]
    pub fn body(&self) -> String {
        serde_json::json!({"auth_req_id": self.auth_req_id}).to_string()
    }
}

impl Drop for AuthNotification {
    fn drop(&mut self) {
        self.auth_req_id.zeroize();
        self.token.zeroize();
    }
}

impl std::fmt::Debug for AuthNotification {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuthNotification(..)")
    }
}
