//! The peer of `pairings`: Debian's `cfssl serve`, which signs, stores nothing, and speaks plain HTTP.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::Failure;
use crate::connection::{Connection, Prepared, Target};
use crate::keys::{Authority, DeviceKey};
use crate::process::{Process, free_address, until_it_listens};

/// A running `cfssl serve`.
#[derive(Debug)]
pub(crate) struct Cfssl {
    process: Process,
    pub(crate) target: Target,
}

impl Cfssl {
    /// Starts it with a CA of the same kind as the platform's, its files in `folder`.
    pub(crate) async fn start(folder: &Path) -> Result<Self, Failure> {
        let Authority { certificate, key } = Authority::generate()?;
        let [ca, ca_key, config] = ["cfssl-ca.pem", "cfssl-ca.key", "cfssl.json"];
        let profile = json!({"signing": {"default": {
            "usages": ["digital signature", "client auth"], "expiry": "2160h",
        }}});
        std::fs::write(folder.join(ca), certificate)?;
        std::fs::write(folder.join(ca_key), key)?;
        std::fs::write(folder.join(config), profile.to_string())?;
        let address = free_address()?;
        let mut command = Command::new("cfssl");
        command
            .arg("serve")
            .args(["-ca", ca, "-ca-key", ca_key, "-config", config])
            .args(["-address", &address.ip().to_string()])
            .args(["-port", &address.port().to_string()])
            .current_dir(folder);
        let mut process = Process::start(&mut command, &folder.join("cfssl.log"))?;
        until_it_listens(&mut process, address).await?;
        let target = Target { address, tls: None };
        Ok(Self { process, target })
    }

    pub(crate) fn process(&self) -> u32 {
        self.process.id()
    }

    /// Whether it signs a request: an answer of status 200 may also say that it does not.
    pub(crate) async fn check(&self) -> Result<(), Failure> {
        let [request] = <[Prepared; 1]>::try_from(requests(1)?).map_err(|_| "no request")?;
        let mut connection = Connection::open(&self.target).await?;
        let answer = connection.send(&request).await?.must_be_ok()?;
        let answer: Value = serde_json::from_slice(&answer.body)?;
        match answer.pointer("/result/certificate") {
            Some(Value::String(pem)) if pem.starts_with("-----BEGIN CERTIFICATE") => Ok(()),
            _ => Err(format!("cfssl does not sign: {answer}").into()),
        }
    }
}

/// `count` requests of new keys, as devices make them.
pub(crate) fn requests(count: usize) -> Result<Vec<Prepared>, Failure> {
    let request = |_| {
        let body = json!({"certificate_request": DeviceKey::generate()?.csr, "hosts": ["dev_1"]});
        Prepared::post("/api/v1/cfssl/sign", &body)
    };
    (0..count).map(request).collect()
}
