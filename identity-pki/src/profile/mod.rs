//! Certificate profiles: what a device's certificate is, and what is read from the server's.

mod device;
mod server;
mod server_chain;

pub use device::{DeviceCertificate, MAX_DEVICE_CERTIFICATE_LEN, ProfileRule};
pub use server::{ServerCertificate, ServerCertificateRule, ServerCertificateWarning};

pub(crate) use device::{key_identifier, subject, write_extensions};
