use identity_pki::DeviceIdentity;
use serde::Serialize;

use crate::{ClientId, OperatorId};

/// Who made a change.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Actor {
    /// A device, by its client certificate.
    Device(DeviceIdentity),
    /// An integrator's backend, by its OAuth client.
    Client(ClientId),
    /// A console user, by their session.
    Operator(OperatorId),
    /// A caller who proved nothing: a sign-in, a pairing.
    Anonymous,
    /// The platform itself, by the job that did it.
    System(&'static str),
}

impl Actor {
    /// The actor's type in audit rows.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Device(_) => "device",
            Self::Client(_) => "client",
            Self::Operator(_) => "operator",
            Self::Anonymous => "anonymous",
            Self::System(_) => "system",
        }
    }

    /// The actor's id in audit rows; empty for an anonymous one.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Device(identity) => identity.device_id().as_str(),
            Self::Client(id) => id.as_str(),
            Self::Operator(id) => id.as_str(),
            Self::Anonymous => "",
            Self::System(job) => job,
        }
    }
}

impl Serialize for Actor {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut object = serializer.serialize_struct("Actor", 2)?;
        object.serialize_field("type", self.kind())?;
        object.serialize_field("id", self.id())?;
        object.end()
    }
}
