//! Revocation lists: what they say, who may sign them, and what a verifier of another make makes of
//! them.

#![cfg(feature = "x509")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // It is all test code.

mod support;

use std::sync::LazyLock;

use identity_pki::{
    CaSigner as _, Crl, CrlNumber, Error, PlatformCa, RevocationReason, RevokedCertificate,
    SerialNumber, SoftwareSigner, Terms,
};
use proptest::prelude::*;
use rustls_pki_types::{CertificateDer, UnixTime};
use support::{NOW, SKEW, ca, ca_terms, issue, rng};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};
use webpki::{
    BorrowedCertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, OwnedCertRevocationList,
    RevocationCheckDepth, RevocationOptionsBuilder, UnknownStatusPolicy, anchor_from_trusted_cert,
};
use x509_cert::crl::CertificateList;
use x509_cert::der::{Decode as _, Encode as _};

static CA: LazyLock<PlatformCa> = LazyLock::new(ca);

const REASONS: [(RevocationReason, Option<u8>); 6] = [
    (RevocationReason::KeyCompromise, Some(1)),
    (RevocationReason::PrivilegeWithdrawn, Some(9)),
    (RevocationReason::AffiliationChanged, Some(3)),
    (RevocationReason::CessationOfOperation, Some(5)),
    (RevocationReason::Superseded, Some(4)),
    (RevocationReason::Unspecified, None),
];

fn terms() -> Terms {
    Terms::new(NOW, Duration::DAY, SKEW)
}

fn serial(octets: &[u8]) -> SerialNumber {
    SerialNumber::from_der_contents(octets).unwrap()
}

fn entry(octets: &[u8], at: OffsetDateTime, reason: RevocationReason) -> RevokedCertificate {
    RevokedCertificate::new(serial(octets), at, reason).unwrap()
}

fn crl(entries: impl IntoIterator<Item = RevokedCertificate>) -> Crl {
    CA.issue_crl(CrlNumber::from(7), &terms(), entries).unwrap()
}

/// As another parser reads it, which takes DER only.
fn read(crl: &Crl) -> CertificateList {
    let read = CertificateList::from_der(crl.der()).unwrap();
    assert_eq!(read.to_der().unwrap(), crl.der());
    read
}

#[test]
fn each_entry_says_which_certificate_when_and_why() {
    let at = datetime!(2051-02-03 04:05:06.789 +01:00);
    let entries = REASONS.iter().zip(1..).map(|((reason, _), number)| {
        let year = NOW + Duration::days(number.into());
        let at = if number == 1 { at } else { year };
        entry(&[number], at, *reason)
    });
    let entries: Vec<RevokedCertificate> = entries.collect();
    let crl = crl(entries.clone());
    let read = read(&crl).tbs_cert_list;
    let found = read.revoked_certificates.unwrap();
    assert_eq!(found.len(), entries.len());
    for ((found, entry), (_, code)) in found.iter().zip(&entries).zip(REASONS) {
        let serial = SerialNumber::from_der_contents(found.serial_number.as_bytes());
        assert_eq!(serial, Ok(entry.serial()));
        let at = found.revocation_date.to_unix_duration().as_secs();
        assert_eq!(
            at,
            u64::try_from(entry.revoked_at().unix_timestamp()).unwrap()
        );
        let extensions = found.crl_entry_extensions.as_deref().unwrap_or_default();
        let values: Vec<&[u8]> = extensions
            .iter()
            .inspect(|extension| assert_eq!(extension.extn_id.to_string(), "2.5.29.21"))
            .inspect(|extension| assert!(!extension.critical))
            .map(|extension| extension.extn_value.as_bytes())
            .collect();
        match code {
            Some(code) => assert_eq!(values, [&[0x0a, 1, code]]),
            None => assert!(values.is_empty()),
        }
    }
    assert_eq!(entries[0].revoked_at(), datetime!(2051-02-03 03:05:06 UTC));
}

#[test]
fn a_list_has_its_issuer_its_times_its_number_and_its_key_and_no_more() {
    let crl = crl([]);
    let read = read(&crl).tbs_cert_list;
    assert_eq!(
        read.issuer.to_der().unwrap(),
        CA.certificate().subject_der()
    );
    let seconds = |time: OffsetDateTime| u64::try_from(time.unix_timestamp()).unwrap();
    assert_eq!(crl.this_update(), NOW - SKEW);
    assert_eq!(crl.next_update(), NOW + Duration::DAY);
    let this_update = read.this_update.to_unix_duration().as_secs();
    assert_eq!(this_update, seconds(crl.this_update()));
    let next_update = read.next_update.unwrap().to_unix_duration().as_secs();
    assert_eq!(next_update, seconds(crl.next_update()));

    let extensions = read.crl_extensions.unwrap();
    let extensions: Vec<(String, bool, &[u8])> = extensions
        .iter()
        .map(|extension| {
            let value = extension.extn_value.as_bytes();
            (extension.extn_id.to_string(), extension.critical, value)
        })
        .collect();
    let key_id = CA.certificate().subject_key_id();
    let authority = [&[0x30, 22, 0x80, 20], key_id].concat();
    assert_eq!(
        extensions,
        [
            ("2.5.29.35".to_owned(), false, &authority[..]),
            ("2.5.29.20".to_owned(), false, &[2, 1, 7][..]),
        ]
    );
    assert_eq!(crl.number(), CrlNumber::from(7));
    assert!(crl.pem().starts_with("-----BEGIN X509 CRL-----\n"));
    assert!(crl.pem().ends_with("\n-----END X509 CRL-----\n"));
}

#[test]
fn a_list_of_nothing_has_no_list() {
    assert_eq!(read(&crl([])).tbs_cert_list.revoked_certificates, None);
}

#[test]
fn numbers_of_every_length_are_written() {
    let mut longest = [0xff; 20];
    longest[0] = 0x7f;
    let numbers = [&[][..], &[0x7f], &[0x80], &[1, 0], &[0x80; 19], &longest];
    for number in numbers {
        let number = CrlNumber::from_be_bytes(number).unwrap();
        // It is read back before anyone gets it.
        let crl = CA.issue_crl(number, &terms(), []).unwrap();
        assert_eq!(crl.number(), number);
        assert!(BorrowedCertRevocationList::from_der(crl.der()).is_ok());
    }
}

#[test]
fn of_several_entries_for_one_certificate_the_earliest_stays() {
    let later = NOW + Duration::HOUR;
    let unsigned = CA.certificate().prepare_crl(
        CrlNumber::from(1),
        &terms(),
        [
            entry(&[2], later, RevocationReason::KeyCompromise),
            entry(&[1], NOW, RevocationReason::Superseded),
            entry(&[2], NOW, RevocationReason::Unspecified),
            entry(&[1], NOW, RevocationReason::KeyCompromise),
            entry(&[1], later, RevocationReason::KeyCompromise),
        ],
    );
    assert_eq!(
        unsigned.unwrap().entries(),
        [
            entry(&[1], NOW, RevocationReason::KeyCompromise),
            entry(&[2], NOW, RevocationReason::Unspecified),
        ]
    );
}

fn entries() -> impl Strategy<Value = Vec<RevokedCertificate>> {
    let reason = (0..REASONS.len()).prop_map(|position| REASONS[position].0);
    // Few serial numbers, so that some come twice.
    let entry = (1_u8..40, 0..2_000_000_000_i64, reason).prop_map(|(number, seconds, reason)| {
        let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap();
        entry(&[0, 0x80 | number, number], at, reason)
    });
    proptest::collection::vec(entry, 0..60)
}

proptest! {
    #[test]
    fn the_order_in_which_entries_come_does_not_show(
        (entries, shuffled) in entries().prop_flat_map(|entries| {
            (Just(entries.clone()), Just(entries).prop_shuffle())
        })
    ) {
        let prepare = |entries| CA.certificate().prepare_crl(CrlNumber::from(1), &terms(), entries).unwrap();
        prop_assert_eq!(prepare(entries), prepare(shuffled));
    }

    #[test]
    fn another_reader_finds_what_is_revoked_and_nothing_else(entries in entries()) {
        let crl = crl(entries.clone());
        let read = OwnedCertRevocationList::from_der(crl.der()).unwrap();
        let read = webpki::CertRevocationList::Owned(read);
        for number in 1..40 {
            let octets = [0x80 | number, number];
            let serial = serial(&[&[0], &octets[..]].concat());
            let dates = entries.iter().filter(|entry| entry.serial() == serial);
            let earliest = dates.map(RevokedCertificate::revoked_at).min();
            let earliest = earliest.map(|at| u64::try_from(at.unix_timestamp()).unwrap());
            let found = read.find_serial(&[&[0], &octets[..]].concat()).unwrap();
            prop_assert_eq!(found.map(|found| found.revocation_date.as_secs()), earliest);
        }
    }
}

/// What webpki says of a certificate of `ca` when it asks the list at `at`.
fn verify(
    ca: &PlatformCa,
    device: &[u8],
    crl: &Crl,
    at: OffsetDateTime,
) -> Result<(), webpki::Error> {
    let anchor = CertificateDer::from(ca.certificate().der());
    let anchors = [anchor_from_trusted_cert(&anchor).unwrap()];
    let device = CertificateDer::from(device);
    let crl = BorrowedCertRevocationList::from_der(crl.der()).unwrap();
    let crls = [&crl.into()];
    let revocation = RevocationOptionsBuilder::new(&crls)
        .unwrap()
        .with_depth(RevocationCheckDepth::EndEntity)
        .with_status_policy(UnknownStatusPolicy::Deny)
        .with_expiration_policy(ExpirationPolicy::Enforce)
        .build();
    let seconds = u64::try_from(at.unix_timestamp()).unwrap();
    EndEntityCert::try_from(&device)?.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        &anchors,
        &[],
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)),
        KeyUsage::client_auth(),
        Some(revocation),
        None,
    )?;
    Ok(())
}

#[test]
fn webpki_takes_the_good_device_and_refuses_the_revoked_one() {
    let p384 = Box::new(support::p384_signer());
    let p384 = PlatformCa::generate(p384, "CA", &ca_terms(), &mut rng()).unwrap();
    for ca in [&*CA, &p384] {
        let (good, revoked) = (issue(ca), issue(ca));
        let reason = RevocationReason::Superseded;
        let entry = RevokedCertificate::new(revoked.serial(), NOW, reason).unwrap();
        let crl = ca.issue_crl(CrlNumber::from(1), &terms(), [entry]).unwrap();
        assert_eq!(verify(ca, good.der(), &crl, NOW), Ok(()));
        let refused = verify(ca, revoked.der(), &crl, NOW);
        assert_eq!(refused, Err(webpki::Error::CertRevoked));

        let late = crl.next_update() + Duration::SECOND;
        let late = verify(ca, good.der(), &crl, late).unwrap_err();
        assert!(matches!(late, webpki::Error::CrlExpired { .. }), "{late:?}");
    }
}

#[test]
fn the_list_of_another_ca_says_nothing() {
    let good = issue(&CA);
    let other = ca();
    let crl = other.issue_crl(CrlNumber::from(1), &terms(), []).unwrap();
    let refused = verify(&CA, good.der(), &crl, NOW);
    assert_eq!(refused, Err(webpki::Error::UnknownRevocationStatus));
}

#[test]
fn a_hundred_thousand_entries_are_all_found() {
    let numbers = (1..=100_000_u32).rev();
    let octets = |number: u32| [&[1; 16][..], &number.to_be_bytes()].concat();
    let entries = numbers.map(|number| entry(&octets(number), NOW, RevocationReason::Superseded));
    let crl = crl(entries);
    let read = OwnedCertRevocationList::from_der(crl.der()).unwrap();
    let read = webpki::CertRevocationList::Owned(read);
    for number in [1, 2, 50_000, 99_999, 100_000] {
        assert!(read.find_serial(&octets(number)).unwrap().is_some());
    }
    assert!(read.find_serial(&octets(100_001)).unwrap().is_none());
}

#[test]
fn a_key_service_signs_between_the_two_steps() {
    let signer = SoftwareSigner::generate(&mut rng());
    let key = signer.to_pkcs8_pem().unwrap();
    let ca = PlatformCa::generate(Box::new(signer), "CA", &ca_terms(), &mut rng()).unwrap();
    let service = SoftwareSigner::from_pkcs8_pem(&key).unwrap();

    let unsigned = ca
        .certificate()
        .prepare_crl(CrlNumber::from(1), &terms(), [])
        .unwrap();
    let signature = service.sign(unsigned.tbs()).unwrap();
    assert!(unsigned.clone().complete(&signature).is_ok());
    let by_another = SoftwareSigner::generate(&mut rng()).sign(unsigned.tbs());
    let by_another = by_another.unwrap();
    for garbage in [&[][..], &[0x30, 0], &signature[1..], &by_another] {
        let refused = unsigned.clone().complete(garbage).unwrap_err();
        assert!(matches!(refused, Error::Signing(_)), "{refused}");
    }
}

#[test]
fn a_ca_signs_lists_within_its_validity_only() {
    let last = CA.certificate().not_after();
    for (now, validity) in [
        (last + Duration::SECOND, Duration::DAY),
        (NOW - SKEW - Duration::SECOND, Duration::DAY),
    ] {
        let terms = Terms::new(now, validity, SKEW);
        let refused = CA.issue_crl(CrlNumber::from(1), &terms, []).unwrap_err();
        assert!(matches!(refused, Error::CaNotValid { .. }), "{refused}");
    }
    let never = Terms::new(NOW, Duration::ZERO, SKEW);
    let refused = CA.issue_crl(CrlNumber::from(1), &never, []).unwrap_err();
    assert!(matches!(refused, Error::Validity { .. }), "{refused}");
}

#[test]
fn a_date_that_no_list_can_say_is_no_entry() {
    let reason = RevocationReason::Unspecified;
    for at in [
        datetime!(1949-12-31 23:59:59 UTC),
        // In UTC this is in the year 10000, and that in the year −10000.
        datetime!(9999-12-31 23:30 -01:00),
        datetime!(-9999-01-01 00:30 +01:00),
    ] {
        let refused = RevokedCertificate::new(serial(&[1]), at, reason).unwrap_err();
        assert!(matches!(refused, Error::RevocationDate { .. }), "{refused}");
    }
    for at in [
        datetime!(1950-01-01 0:00 UTC),
        datetime!(2049-12-31 23:59:59 UTC),
        datetime!(2050-01-01 0:00 UTC),
        datetime!(9999-12-31 23:59:59 UTC),
    ] {
        crl([entry(&[1], at, reason)]);
    }
}
