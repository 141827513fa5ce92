//! What a CA that is made here says about itself.

use rand_core::CryptoRng;

use crate::der::{self, tag};
use crate::extension::{self, KeyUsage};
use crate::key::CaKey;
use crate::{Error, SerialNumber, excerpt, oid, profile};

use super::issue::{self, Terms};

/// The longest common name (RFC 5280, appendix A.1: ub-common-name).
const MAX_COMMON_NAME_LEN: usize = 64;

/// The `TBSCertificate` of a new CA: CA:true without subordinates, keyCertSign and cRLSign.
pub(super) fn write_tbs(
    key: &CaKey,
    common_name: &str,
    terms: &Terms,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<Vec<u8>, Error> {
    let mut generation = [0; 8];
    rng.fill_bytes(&mut generation);
    let subject = write_subject(common_name, &hex::encode(generation))?;
    Ok(issue::write_tbs(&issue::Fields {
        serial: SerialNumber::generate(rng),
        curve: key.curve(),
        issuer: &subject,
        validity: terms.validity()?,
        subject: &subject,
        key: key.as_bytes(),
        extensions: &write_extensions(key),
    }))
}

fn write_subject(common_name: &str, generation: &str) -> Result<Vec<u8>, Error> {
    let length = common_name.chars().count();
    if !(1..=MAX_COMMON_NAME_LEN).contains(&length) || common_name.chars().any(char::is_control) {
        return Err(Error::CommonName {
            value: excerpt(common_name, 80),
        });
    }
    let attribute = |kind, tag, value: &str| {
        der::set(&der::sequence(&[
            &der::object_identifier(kind),
            &der::tlv(tag, &[value.as_bytes()]),
        ]))
    };
    Ok(der::sequence(&[
        &attribute(oid::COMMON_NAME, tag::UTF8_STRING, common_name),
        &attribute(oid::SERIAL_NUMBER, tag::PRINTABLE_STRING, generation),
    ]))
}

fn write_extensions(key: &CaKey) -> Vec<u8> {
    let no_subordinates = der::tlv(tag::INTEGER, &[&[0]]);
    let constraints = der::sequence(&[&der::boolean(true), &no_subordinates]);
    let key_id = der::octet_string(&profile::key_identifier(key.point()));
    der::sequence(&[
        &extension::write(oid::BASIC_CONSTRAINTS, true, &constraints),
        &extension::write(oid::KEY_USAGE, true, &KeyUsage::CA.to_der()),
        &extension::write(oid::SUBJECT_KEY_IDENTIFIER, false, &key_id),
    ])
}
