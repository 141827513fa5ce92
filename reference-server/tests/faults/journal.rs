//! What the clients hold and were told: the one record that no server can lose.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::harness::{Api, DeviceKey};

/// Something that a 2xx answer said.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Told {
    Registered { device: String },
    Revoked { device: String },
    User { user: String, name: String },
    Consented { user: String },
    Asked { challenge: String },
    Enrolled { challenge: String, user: String },
    Verified { challenge: String, receipt: String },
}

/// A certificate that a client received, with its key and the connections that it opened with it.
#[derive(Clone)]
pub(crate) struct Holding {
    pub(crate) device: String,
    pub(crate) certificate: String,
    pub(crate) key: Arc<DeviceKey>,
    /// One for each replica.
    pub(crate) connections: Vec<Api>,
}

/// A pairing code that was given out, and the certificate that it led to.
#[derive(Clone)]
pub(crate) struct Code {
    pub(crate) device: String,
    pub(crate) code: String,
    pub(crate) led_to: Option<String>,
}

#[derive(Default)]
pub(crate) struct Book {
    pub(crate) told: Vec<Told>,
    pub(crate) held: Vec<Holding>,
    pub(crate) codes: Vec<Code>,
    /// The certificate that each device acts with, as far as its client knows.
    pub(crate) active: BTreeMap<String, String>,
    /// What must not be shown to anybody: secrets, names, contact data, pictures.
    pub(crate) canaries: Vec<String>,
    /// What refusals said.
    pub(crate) refusals: Vec<String>,
    /// How many answers did not come, or not whole.
    pub(crate) lost: usize,
    /// Of those, the paths of requests that were on their way already.
    pub(crate) cut: Vec<String>,
    /// How many `Idempotency-Key`s were given up, which nobody told the outcome of.
    pub(crate) given_up: usize,
    /// How many answers were 503.
    pub(crate) unavailable: usize,
}

/// The book, for many clients at once.
#[derive(Default)]
pub(crate) struct Journal(Mutex<Book>);

impl Journal {
    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().expect("nobody panics with the book")
    }

    pub(crate) fn note(&self, told: Told) {
        self.book().told.push(told);
    }

    pub(crate) fn hide(&self, canary: impl Into<String>) {
        self.book().canaries.push(canary.into());
    }

    /// Hides a private key, PEM.
    pub(crate) fn hide_key(&self, pem: &str) {
        self.hide(pem.lines().nth(1).expect("a PEM body"));
    }

    /// Hides data keys, as `IDENTITY_DATA_ENCRYPTION_KEYS` lists them.
    pub(crate) fn hide_data_keys(&self, keys: &str) {
        for key in keys.trim().split(',') {
            self.hide(key.split_once(':').expect("an id and a key").1);
        }
    }

    /// A certificate came that is the device's from now on.
    pub(crate) fn hold(&self, holding: Holding) {
        self.hide_key(&holding.key.pem());
        let mut book = self.book();
        let (device, certificate) = (holding.device.clone(), holding.certificate.clone());
        book.active.insert(device, certificate);
        book.held.push(holding);
    }

    /// A code came for a device, whose certificate is denied from now on.
    pub(crate) fn given_code(&self, device: &str, code: &str) {
        let mut book = self.book();
        book.canaries.push(code.to_owned());
        book.active.remove(device);
        book.codes.push(Code {
            device: device.to_owned(),
            code: code.to_owned(),
            led_to: None,
        });
    }

    /// The code led to a certificate.
    pub(crate) fn code_led_to(&self, code: &str, certificate: &str) {
        let mut book = self.book();
        let entry = book.codes.iter_mut().find(|entry| entry.code == code);
        entry.expect("a code that was given").led_to = Some(certificate.to_owned());
    }

    /// A device is out.
    pub(crate) fn revoked(&self, device: &str) {
        let mut book = self.book();
        book.active.remove(device);
        book.told.push(Told::Revoked {
            device: device.to_owned(),
        });
    }
}
