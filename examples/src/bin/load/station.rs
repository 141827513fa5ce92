//! A device with somebody whose palm it sees.

use std::ops::RangeFrom;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use biowave_client::simulator::palm_png;
use serde_json::{Value, json};

use crate::Failure;
use crate::connection::{Answer, Connection, Prepared};
use crate::fleet::Device;
use crate::operator::{Operator, text};
use crate::platform::Platform;

/// As many challenges of one device may be open.
pub(crate) const OPEN_CHALLENGES: usize = 5;

/// A device with somebody whose palm it sees.
#[derive(Debug)]
pub(crate) struct Station {
    pub(crate) device: Device,
    pub(crate) user: String,
    pub(crate) palm: u64,
}

/// Makes a user who consents.
pub(crate) async fn person(tenant: &Operator, user: &str) -> Result<(), Failure> {
    tenant.post("/v1/users", &json!({"user_id": user})).await?;
    let consent = json!({
        "user_id": user, "consent_type": "palm_biometric", "version": "1",
        "purposes": ["verification"], "granted": true, "method": "signature",
    });
    tenant.post("/v1/consent", &consent).await?;
    Ok(())
}

impl Station {
    /// Makes a user and has the device enrol a palm.
    pub(crate) async fn set_up(
        platform: &Platform,
        device: Device,
        palm: u64,
    ) -> Result<Self, Failure> {
        let user = format!("user_{palm}");
        let tenant = &platform.tenant;
        person(tenant, &user).await?;
        let enrolment = json!({"user_id": user, "device_id": device.device_id, "type": "right"});
        let made = tenant.post("/v1/enroll", &enrolment).await?;
        let station = Self { device, user, palm };
        let target = station.device.target(platform.server()?.address);
        let mut connection = Connection::open(&target).await?;
        let enrolment = station.completion(&made, 0)?;
        must_end(connection.send(&enrolment).await?, "enrolled")?;
        let verification = station.verification(tenant, 1).await?;
        must_end(connection.send(&verification).await?, "completed")?;
        Ok(station)
    }

    /// Another device that sees the same person.
    pub(crate) fn with(&self, device: Device) -> Self {
        Self {
            device,
            user: self.user.clone(),
            palm: self.palm,
        }
    }

    /// Makes as many challenges as may be open, and gives what completes them.
    pub(crate) async fn completions(
        &self,
        tenant: &Operator,
        captures: &mut RangeFrom<u64>,
    ) -> Result<Vec<Prepared>, Failure> {
        let mut completions = Vec::new();
        for _ in 0..OPEN_CHALLENGES {
            let capture = captures.next().ok_or("too many captures")?;
            completions.push(self.verification(tenant, capture).await?);
        }
        Ok(completions)
    }

    /// Makes a challenge, and gives what completes it.
    async fn verification(&self, tenant: &Operator, capture: u64) -> Result<Prepared, Failure> {
        let verification = json!({
            "user_id": self.user, "device_id": self.device.device_id, "context": "load",
        });
        let made = tenant.post("/v1/verify", &verification).await?;
        self.completion(&made, capture)
    }

    fn completion(&self, challenge: &Value, capture: u64) -> Result<Prepared, Failure> {
        let image = |palm| STANDARD.encode(palm_png(palm, capture));
        let id = text(challenge, "/challenge_id")?;
        let body = json!({"palm_template": {
            "type": "right", "image_rgb": image(self.palm), "image_ir": image(!self.palm),
        }});
        Prepared::post(&format!("/v1/challenges/{id}/complete"), &body)
    }
}

/// Goes on if a completion ended so.
pub(crate) fn must_end(answer: Answer, status: &str) -> Result<(), Failure> {
    let answer: Value = serde_json::from_slice(&answer.must_be_ok()?.body)?;
    if text(&answer, "/status")? == status {
        return Ok(());
    }
    Err(format!("a completion was to be {status}: {answer}").into())
}
