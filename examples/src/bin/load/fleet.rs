//! Devices: registered over the interface, with keys that were made before any time is taken.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::KeyPair;
use rustls::ClientConfig;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::Failure;
use crate::connection::{Connection, Prepared, Target};
use crate::keys::{DeviceKey, client_tls};
use crate::operator::{Operator, text};
use crate::platform::Platform;

/// How many registrations and pairings run at once while a fleet is made.
const AT_ONCE: usize = 16;

/// A device that waits to be paired.
#[derive(Debug)]
pub(crate) struct Registered {
    pub(crate) device_id: String,
    key: KeyPair,
    /// Its pairing.
    pub(crate) pairing: Prepared,
}

/// A paired device.
#[derive(Debug, Clone)]
pub(crate) struct Device {
    pub(crate) device_id: String,
    /// TLS with its certificate.
    pub(crate) tls: Arc<ClientConfig>,
}

impl Device {
    /// A replica, for this device.
    pub(crate) fn target(&self, address: SocketAddr) -> Target {
        Target {
            address,
            tls: Some(Arc::clone(&self.tls)),
        }
    }
}

/// Registers `count` devices, each with its key and its request.
pub(crate) async fn register(tenant: &Operator, count: usize) -> Result<Vec<Registered>, Failure> {
    let mut work = JoinSet::new();
    for own in shares(count) {
        let tenant = tenant.clone();
        work.spawn(async move {
            let mut registered = Vec::with_capacity(own);
            for _ in 0..own {
                registered.push(register_one(&tenant).await?);
            }
            Ok(registered)
        });
    }
    all(work).await
}

async fn register_one(tenant: &Operator) -> Result<Registered, Failure> {
    let device = json!({"device_name": "Load"});
    let made = tenant.post("/v1/devices", &device).await?;
    let DeviceKey { key, csr } = DeviceKey::generate()?;
    let pairing = json!({
        "pairing_code": text(&made, "/pairing_code")?,
        "csr": csr,
        "device_info": {"model": "load", "firmware": env!("CARGO_PKG_VERSION")},
    });
    Ok(Registered {
        device_id: text(&made, "/device_id")?,
        key,
        pairing: Prepared::post("/v1/devices/pair", &pairing)?,
    })
}

/// Makes `count` paired devices.
pub(crate) async fn pair(platform: &Platform, count: usize) -> Result<Vec<Device>, Failure> {
    let mut registered = register(&platform.tenant, count).await?;
    let target = platform.target()?;
    let root: Arc<str> = platform.identity.root.as_str().into();
    let mut work = JoinSet::new();
    for own in shares(count) {
        let own = registered.split_off(registered.len() - own);
        work.spawn(pair_all(own, target.clone(), Arc::clone(&root)));
    }
    all(work).await
}

async fn pair_all(
    registered: Vec<Registered>,
    target: Target,
    root: Arc<str>,
) -> Result<Vec<Device>, Failure> {
    let mut connection = Connection::open(&target).await?;
    let mut devices = Vec::with_capacity(registered.len());
    for Registered {
        device_id,
        key,
        pairing,
    } in registered
    {
        let answer = connection.send(&pairing).await?.must_be_ok()?;
        let answer: Value = serde_json::from_slice(&answer.body)?;
        let certificate = text(&answer, "/certificate")?;
        let tls = client_tls(&root, Some((&key, &certificate)))?;
        devices.push(Device { device_id, tls });
    }
    Ok(devices)
}

/// `count` in parts as equal as they can be, none of them empty.
fn shares(count: usize) -> impl Iterator<Item = usize> {
    let parts = AT_ONCE.min(count);
    (0..parts).map(move |part| count * (part + 1) / parts - count * part / parts)
}

async fn all<T: 'static>(mut work: JoinSet<Result<Vec<T>, Failure>>) -> Result<Vec<T>, Failure> {
    let mut all = Vec::new();
    while let Some(done) = work.join_next().await {
        all.extend(done??);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        for count in [0, 1, 15, 16, 17, 1000] {
            assert_eq!(shares(count).sum::<usize>(), count);
            assert!(shares(count).all(|share| share > 0));
        }
    }
}
