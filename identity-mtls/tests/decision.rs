//! The pure decision: what is refused, and by which rule.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod fleet;

use std::sync::LazyLock;

use fleet::certificates::{Authority, Credentials, common_name, other_s, uri, with_signature};
use fleet::{NOW, identity, provider, trust};
use identity_mtls::{
    AgeLimit, DenylistSnapshot, PresentedChain, Refusal, TrustBundle, VerifiedDevice, decide,
};
use identity_pki::{CaCertificate, Curve, ProfileRule, Terms};
use proptest::prelude::{any, prop, prop_assert, proptest};
use rcgen::{
    CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod,
    KeyUsagePurpose, SanType,
};
use rustls::CertificateError;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls_pki_types::CertificateDer;
use time::{Duration, OffsetDateTime};

fn nothing_denied() -> DenylistSnapshot {
    DenylistSnapshot::new([], NOW)
}

/// The decision on `chain` at `now`.
fn verdict(
    chain: &[CertificateDer<'_>],
    now: OffsetDateTime,
    trust: &TrustBundle,
    denylist: Option<&DenylistSnapshot>,
) -> Result<VerifiedDevice, Refusal> {
    let chain = PresentedChain::new(&chain[0], &chain[1..])?;
    let algorithms = provider().signature_verification_algorithms;
    decide(&chain, now, trust, denylist, &algorithms)
}

/// The decision on `credentials` under `authority`, with an empty denylist.
fn verdict_now(
    authority: &Authority,
    credentials: &Credentials,
) -> Result<VerifiedDevice, Refusal> {
    verdict(
        &credentials.chain,
        NOW,
        &authority.trust(),
        Some(&nothing_denied()),
    )
}

#[test]
fn the_profile_admits_exactly_the_profile() {
    let authority = Authority::new();
    let honest = authority.forge("dev_1", |_| {});
    let device = verdict_now(&authority, &honest).expect("the control is the profile itself");
    assert_eq!(*device.identity(), identity("dev_1"));

    type Twist = fn(&mut CertificateParams);
    let twists: [(&str, &str, Twist); 17] = [
        ("CA:true", "basic_constraints", |p| {
            p.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        }),
        ("no basic constraints", "basic_constraints", |p| {
            p.is_ca = IsCa::NoCa;
        }),
        ("server certificate", "ext_key_usage", |p| {
            p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        }),
        ("client and server", "ext_key_usage", |p| {
            p.extended_key_usages
                .push(ExtendedKeyUsagePurpose::ServerAuth);
        }),
        ("any purpose", "ext_key_usage", |p| {
            p.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any];
        }),
        ("no purpose", "ext_key_usage", |p| {
            p.extended_key_usages.clear();
        }),
        ("certificate signing", "key_usage", |p| {
            p.key_usages.push(KeyUsagePurpose::KeyCertSign);
        }),
        ("no key usage", "key_usage", |p| p.key_usages.clear()),
        ("two URIs", "subject_alt_name", |p| {
            p.subject_alt_names
                .push(uri("urn:link:tenant:acme:device:dev_2"));
        }),
        ("the same URI twice", "subject_alt_name", |p| {
            p.subject_alt_names.push(p.subject_alt_names[0].clone());
        }),
        ("a URI and a DNS name", "subject_alt_name", |p| {
            p.subject_alt_names
                .push(SanType::DnsName("a.example".try_into().expect("name")));
        }),
        ("a mail address", "subject_alt_name", |p| {
            let address = "a@example".try_into().expect("address");
            p.subject_alt_names = vec![SanType::Rfc822Name(address)];
        }),
        ("no alternative name", "subject_alt_name", |p| {
            p.subject_alt_names.clear();
        }),
        ("another spelling", "identity", |p| {
            p.subject_alt_names = vec![uri("URN:link:tenant:acme:device:dev_1")];
        }),
        ("another common name", "subject", |p| {
            p.distinguished_name = common_name("dev_2");
        }),
        ("more in the subject", "subject", |p| {
            p.distinguished_name
                .push(rcgen::DnType::OrganizationName, "acme");
        }),
        ("an unknown critical extension", "critical_extension", |p| {
            let mut unknown = CustomExtension::from_oid_content(&[1, 3, 9, 1], vec![5, 0]);
            unknown.set_criticality(true);
            p.custom_extensions.push(unknown);
        }),
    ];
    for (name, code, twist) in twists {
        let refusal = verdict_now(&authority, &authority.forge("dev_1", twist)).expect_err(name);
        assert_eq!(profile_rule(&refusal).code(), code, "{name}: {refusal:?}");
        assert!(matches!(
            CertificateError::from(refusal),
            CertificateError::Other(_)
        ));
    }
}

fn profile_rule(refusal: &Refusal) -> &ProfileRule {
    match refusal {
        Refusal::Profile(identity_pki::Error::DeviceCertificate(rule)) => rule,
        other => panic!("not refused by the profile: {other:?}"),
    }
}

#[test]
fn a_leaf_above_four_kib_is_refused_for_its_size() {
    let authority = Authority::new();
    let large = authority.forge("dev_1", |params| {
        let filling = CustomExtension::from_oid_content(&[1, 3, 9, 1], vec![0; 60 * 1024]);
        params.custom_extensions.push(filling);
    });
    let refusal = verdict_now(&authority, &large).expect_err("too large");
    assert_eq!(profile_rule(&refusal).code(), "too_large");
}

#[test]
fn the_chain_is_a_leaf_or_a_leaf_and_its_ca() {
    let authority = Authority::new();
    let device = authority.device("dev_1");
    let with_ca = device.beside(&[authority.der()]);
    assert!(verdict_now(&authority, &with_ca).is_ok());

    let hundred = device.beside(&vec![authority.der(); 99]);
    let refusal = verdict_now(&authority, &hundred).expect_err("too long");
    assert_eq!(refusal, Refusal::ChainTooLong { sent: 100 });

    let stranger = Authority::new();
    let with_stranger = device.beside(&[stranger.der()]);
    let refusal = verdict_now(&authority, &with_stranger).expect_err("foreign");
    let fingerprint = stranger.ca.certificate().fingerprint();
    assert_eq!(refusal, Refusal::ForeignCertificate { fingerprint });
}

#[test]
fn the_issuer_must_be_trusted_and_must_have_signed() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let device = theirs.device("dev_1");
    assert_eq!(verdict_now(&ours, &device), Err(Refusal::UnknownIssuer));
    let none = verdict(
        &device.chain,
        NOW,
        &TrustBundle::default(),
        Some(&nothing_denied()),
    );
    assert_eq!(none, Err(Refusal::UnknownIssuer));

    // A signature of the right form by another key, over a leaf that names our CA.
    let donor = theirs.device("dev_1");
    let stolen = with_signature(ours.device("dev_1").leaf(), |_| signature_of(donor.leaf()));
    let refusal = verdict(&[stolen], NOW, &ours.trust(), Some(&nothing_denied()));
    assert_eq!(refusal, Err(Refusal::BadSignature));
}

fn signature_of(certificate: &CertificateDer<'_>) -> p256::ecdsa::Signature {
    let mut found = None;
    with_signature(certificate, |signature| *found.insert(signature));
    found.expect("a signature")
}

#[test]
fn the_one_link_is_from_the_leaf_to_a_trusted_ca() {
    let root = Authority::new();
    let subordinate = root.subordinate();
    let device = subordinate.device("dev_1");
    assert_eq!(verdict_now(&root, &device), Err(Refusal::UnknownIssuer));

    let with_link = device.beside(&[subordinate.der()]);
    let refusal = verdict_now(&root, &with_link).expect_err("two links");
    assert!(
        matches!(refusal, Refusal::ForeignCertificate { .. }),
        "{refusal:?}"
    );
    let with_path = device.beside(&[subordinate.der(), root.der()]);
    assert_eq!(
        verdict_now(&root, &with_path),
        Err(Refusal::ChainTooLong { sent: 3 })
    );

    // Trusted itself, it is a CA like any other.
    assert!(verdict_now(&subordinate, &device).is_ok());
}

#[test]
fn a_provider_without_the_algorithm_accepts_nobody() {
    let authority = Authority::new();
    let device = authority.device("dev_1");
    let chain = PresentedChain::new(device.leaf(), &[]).expect("short");
    let none = WebPkiSupportedAlgorithms {
        all: &[],
        mapping: &[],
    };
    let denied = nothing_denied();
    let refusal = decide(&chain, NOW, &authority.trust(), Some(&denied), &none);
    assert!(matches!(refusal, Err(Refusal::Path { .. })), "{refusal:?}");
}

#[test]
fn validity_includes_both_ends_of_the_leaf() {
    let authority = Authority::new();
    let terms = Terms::new(NOW, Duration::days(90), Duration::minutes(5));
    let device = authority.device_on("dev_1", &terms);
    let trust = authority.trust();
    let at = |now| {
        let denylist = DenylistSnapshot::new([], now);
        verdict(&device.chain, now, &trust, Some(&denylist))
    };
    let (first, last) = (NOW - Duration::minutes(5), NOW + Duration::days(90));

    assert!(at(first).is_ok());
    assert!(at(last).is_ok());
    let (early, late) = (first - Duration::SECOND, last + Duration::SECOND);
    assert_eq!(
        at(early),
        Err(Refusal::NotYetValid {
            not_before: first,
            now: early
        })
    );
    assert_eq!(
        at(late),
        Err(Refusal::Expired {
            not_after: last,
            now: late
        })
    );
    let time = |refusal: Refusal| CertificateError::from(refusal);
    assert!(matches!(
        time(at(early).expect_err("early")),
        CertificateError::NotValidYetContext { .. }
    ));
    assert!(matches!(
        time(at(late).expect_err("late")),
        CertificateError::ExpiredContext { .. }
    ));
}

#[test]
fn under_an_expired_ca_nobody_is_a_device() {
    let authority = Authority::valid_for(Duration::days(10));
    // Longer than its CA, as ours never is.
    let device = authority.forge("dev_1", |_| {});
    assert!(verdict_now(&authority, &device).is_ok());
    let now = NOW + Duration::days(11);
    let refusal = verdict(
        &device.chain,
        now,
        &authority.trust(),
        Some(&DenylistSnapshot::new([], now)),
    );
    let refusal = refusal.expect_err("the CA has expired");
    assert!(matches!(refusal, Refusal::CaNotValid { .. }), "{refusal:?}");
    assert_eq!(CertificateError::from(refusal), CertificateError::Expired);
}

#[test]
fn without_a_denylist_nobody_is_a_device() {
    let authority = Authority::new();
    let refusal = verdict(
        &authority.device("dev_1").chain,
        NOW,
        &authority.trust(),
        None,
    );
    assert_eq!(refusal, Err(Refusal::NoDenylist));
}

#[test]
fn under_a_denylist_beyond_its_age_limit_nobody_is_a_device() {
    let authority = Authority::new();
    let device = authority.device("dev_1");
    let at = |denylist: &DenylistSnapshot, now| {
        verdict(&device.chain, now, &authority.trust(), Some(denylist))
    };
    let (limit, late) = (Duration::hours(1), NOW + Duration::hours(2));
    let refusing = nothing_denied();
    let accepted = at(&refusing, NOW + limit).expect("at the default limit");
    let refusal = at(&refusing, late).expect_err("beyond it");
    let age = Duration::hours(2);
    assert_eq!(refusal, Refusal::StaleDenylist { age, limit });
    assert_eq!(
        CertificateError::from(refusal.clone()),
        CertificateError::UnknownRevocationStatus
    );
    let rechecked = accepted.recheck(late, &authority.trust(), Some(&refusing));
    assert_eq!(rechecked, Err(refusal));

    let serving = nothing_denied().with_age_limit(AgeLimit::serve_beyond(limit));
    assert!(serving.is_stale(late));
    assert!(at(&serving, late).is_ok());

    // What is denied for certain is called so at any age.
    let denied = DenylistSnapshot::new([device.certificate().tbs_sha256()], NOW);
    let refusal = at(&denied, late).expect_err("denied");
    assert!(matches!(refusal, Refusal::Denied { .. }), "{refusal:?}");
}

#[test]
fn only_a_genuine_certificate_is_called_denied() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let device = ours.device("dev_1");
    let tbs_sha256 = device.certificate().tbs_sha256();
    let denied = DenylistSnapshot::new([tbs_sha256], NOW);
    let refusal = verdict(&device.chain, NOW, &ours.trust(), Some(&denied));
    let identity = identity("dev_1");
    assert_eq!(
        refusal,
        Err(Refusal::Denied {
            identity,
            tbs_sha256
        })
    );

    let donor = theirs.device("dev_1");
    let forged = with_signature(device.leaf(), |_| signature_of(donor.leaf()));
    let refusal = verdict(&[forged], NOW, &ours.trust(), Some(&denied));
    assert_eq!(refusal, Err(Refusal::BadSignature));
}

#[test]
fn the_other_s_is_refused_before_the_denylist_is_asked() {
    let authority = Authority::new();
    let device = authority.device("dev_1");
    let rewritten = device.presenting(vec![with_signature(device.leaf(), other_s)]);
    assert_ne!(rewritten.leaf(), device.leaf());
    let refusal = verdict_now(&authority, &rewritten).expect_err("high s");
    assert_eq!(profile_rule(&refusal).code(), "high_s");
    let back = with_signature(rewritten.leaf(), other_s);
    assert_eq!(back, *device.leaf(), "low s is the CA's own form");
}

#[test]
fn devices_of_a_p384_ca_are_devices() {
    let authority = Authority::p384();
    let device = authority.device("dev_1");
    let verified = verdict_now(&authority, &device).expect("a device");
    assert_eq!(verified.identity(), &identity("dev_1"));
    let honest = authority.forge("dev_1", |_| {});
    assert!(verdict_now(&authority, &honest).is_ok());

    let other = Authority::p384().device("dev_1");
    assert_eq!(verdict_now(&authority, &other), Err(Refusal::UnknownIssuer));
}

#[test]
fn a_p256_ca_does_not_sign_by_ecdsa_with_sha384() {
    let authority = Authority::new();
    let device = authority.signed_by_sha384(&authority.device("dev_1"));
    let refusal = Refusal::SignatureAlgorithm {
        leaf: Curve::P384,
        ca: Curve::P256,
    };
    // It is refused after the path was verified: rustls-webpki takes that algorithm.
    assert_eq!(verdict_now(&authority, &device), Err(refusal));
}

#[test]
fn two_cas_of_one_name_do_not_hide_each_other() {
    let (ours, theirs) = (Authority::named("Same"), Authority::named("Same"));
    let device = ours.device("dev_1");
    assert_eq!(verdict_now(&theirs, &device), Err(Refusal::BadSignature));
    let both = trust(&[&theirs, &ours, &theirs]);
    assert_eq!(both.certificates().count(), 2, "twice counts once");
    let found = verdict(&device.chain, NOW, &both, Some(&nothing_denied())).expect("accepted");
    assert_eq!(found.issuer(), ours.ca.certificate().fingerprint());
    let from_the_other = verdict(
        &theirs.device("dev_2").chain,
        NOW,
        &both,
        Some(&nothing_denied()),
    );
    assert!(from_the_other.is_ok());
    // Taken out of the bundle, the CA takes its devices along.
    let without = trust(&[&theirs]);
    let refusal = found.recheck(NOW, &without, Some(&nothing_denied()));
    assert_eq!(refusal, Err(Refusal::UnknownIssuer));
}

#[test]
fn a_ca_renewed_under_its_key_keeps_its_devices_beyond_the_old_certificate() {
    let authority = Authority::named("Same");
    let device = authority.forge("dev_1", |_| {});
    let (last, leaf_last) = (NOW + Duration::days(10), NOW + Duration::days(90));
    let old = authority.renewed("Same", |ca| ca.not_after = last);
    // The leaf names the key identifier of the old one; another CA may have made that of the renewed
    // one in another way (RFC 5280 §4.2.1.2).
    let renewed = authority.renewed("Same", |_| {});
    let identified_anew = authority.renewed("Same", |ca| {
        ca.key_identifier_method = KeyIdMethod::PreSpecified(vec![1; 20]);
    });
    assert_eq!(old.spki_sha256(), renewed.spki_sha256());
    let decided = |now, authorities: &[&CaCertificate]| {
        let trust = TrustBundle::new(authorities.iter().copied().cloned()).expect("bundle");
        let denylist = DenylistSnapshot::new([], now);
        let verified = verdict(&device.chain, now, &trust, Some(&denylist))?;
        Ok::<_, Refusal>((verified.issuer(), verified.expires_at()))
    };

    let after = last + Duration::SECOND;
    for (now, new) in [
        (NOW, &renewed),
        (after, &renewed),
        (after, &identified_anew),
    ] {
        for bundle in [[&old, new], [new, &old]] {
            assert_eq!(decided(now, &bundle), Ok((new.fingerprint(), leaf_last)));
        }
    }
    assert_eq!(decided(last, &[&old]), Ok((old.fingerprint(), last)));
    let refusal = decided(after, &[&old]).expect_err("without the renewed one");
    assert!(matches!(refusal, Refusal::CaNotValid { .. }), "{refusal:?}");

    // One whose time is to come does not hide the one whose time it is.
    let next = authority.renewed("Same", |ca| ca.not_before = last);
    for bundle in [[&old, &next], [&next, &old]] {
        assert_eq!(decided(NOW, &bundle), Ok((old.fingerprint(), last)));
        assert_eq!(decided(after, &bundle), Ok((next.fingerprint(), leaf_last)));
    }
}

static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);
static DEVICE: LazyLock<Credentials> = LazyLock::new(|| AUTHORITY.device("dev_1"));

proptest! {
    #[test]
    fn no_byte_of_a_certificate_can_change(position in any::<prop::sample::Index>(), bits in 1..=255_u8) {
        let mut leaf = DEVICE.leaf().to_vec();
        *position.get_mut(&mut leaf) ^= bits;
        let verdict = verdict(&[leaf.into()], NOW, &AUTHORITY.trust(), Some(&nothing_denied()));
        prop_assert!(verdict.is_err(), "{verdict:?}");
    }

    #[test]
    fn garbage_is_refused_without_a_panic(leaf in prop::collection::vec(any::<u8>(), 0..600)) {
        let verdict = verdict(&[leaf.into()], NOW, &AUTHORITY.trust(), Some(&nothing_denied()));
        prop_assert!(verdict.is_err());
    }
}
