//! Entry points for the fuzz targets under `fuzz/`, which are also fed the corpora by an ordinary
//! test. Not part of the public interface.

use std::collections::BTreeSet;

use identity_pki::TbsSha256;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls_pki_types::{CertificateDer, TrustAnchor};
use time::OffsetDateTime;
use webpki::{EndEntityCert, KeyUsage};

use crate::unix_time::to_unix;
use crate::{
    Denylist, DenylistSnapshot, PresentedChain, ProxyHeader, ProxyHeaderError, Refusal, Reload,
    TrustBundle, VerifiedDevice, decide,
};

/// What a server knows when a client comes.
#[derive(Debug)]
pub struct Platform {
    /// The CAs.
    pub trust: TrustBundle,
    /// The time of the decision.
    pub now: OffsetDateTime,
    /// The algorithms that check the signatures. Those that take any signature let inputs through
    /// that no fuzzer could sign.
    pub algorithms: WebPkiSupportedAlgorithms,
}

/// The certificates of a client in DER, one after the other and the leaf first. What is accepted,
/// webpki alone accepts too, under the same name; and it is denied as soon as the denylist says so.
///
/// # Errors
///
/// The decision's.
pub fn client_certificate(bytes: &[u8], platform: &Platform) -> Result<VerifiedDevice, Refusal> {
    let chain = certificates(bytes);
    let verdict = decide_on(&chain, platform, &[]);
    if let (Ok(device), [leaf, beside @ ..]) = (&verdict, chain.as_slice()) {
        let name = device.identity().san_uri();
        assert_eq!(stock(leaf, beside, platform), Ok(vec![name]));
        let again = decide_on(&chain, platform, &[device.tbs_sha256()]);
        assert!(matches!(again, Err(Refusal::Denied { .. })), "{again:?}");
    }
    verdict
}

fn decide_on(
    chain: &[CertificateDer<'_>],
    platform: &Platform,
    denied: &[TbsSha256],
) -> Result<VerifiedDevice, Refusal> {
    // A client that sends no certificate is not decided on; here it sends an empty one.
    let nothing = CertificateDer::from(&[][..]);
    let (leaf, beside) = chain.split_first().unwrap_or((&nothing, &[]));
    let chain = PresentedChain::new(leaf, beside)?;
    let denylist = DenylistSnapshot::new(denied.iter().copied(), platform.now);
    let Platform {
        trust,
        now,
        algorithms,
    } = platform;
    decide(&chain, *now, trust, Some(&denylist), algorithms)
}

/// The URIs of a leaf that webpki verifies for a client.
fn stock(
    leaf: &CertificateDer<'_>,
    beside: &[CertificateDer<'_>],
    platform: &Platform,
) -> Result<Vec<String>, webpki::Error> {
    let authorities = platform.trust.authorities().iter();
    let anchors: Vec<TrustAnchor<'_>> = authorities.map(|a| a.anchor.clone()).collect();
    let leaf = EndEntityCert::try_from(leaf)?;
    leaf.verify_for_usage(
        platform.algorithms.all,
        &anchors,
        beside,
        to_unix(platform.now),
        KeyUsage::client_auth(),
        None,
        None,
    )?;
    Ok(leaf.valid_uri_names().map(str::to_owned).collect())
}

/// Cuts `bytes` where elements of DER end. What is no element is one certificate.
fn certificates(mut bytes: &[u8]) -> Vec<CertificateDer<'_>> {
    let mut chain = Vec::new();
    while !bytes.is_empty() {
        let length = element_len(bytes).unwrap_or(bytes.len());
        let (certificate, rest) = bytes.split_at_checked(length).unwrap_or((bytes, &[]));
        chain.push(certificate.into());
        bytes = rest;
    }
    chain
}

/// The length of the element that `bytes` begin with, header included.
fn element_len(bytes: &[u8]) -> Option<usize> {
    let [_, first, rest @ ..] = bytes else {
        return None;
    };
    match (*first, rest) {
        (0..=0x7f, _) => Some(2 + usize::from(*first)),
        (0x81, [length, ..]) => Some(3 + usize::from(*length)),
        (0x82, [high, low, ..]) => Some(4 + (usize::from(*high) << 8 | usize::from(*low))),
        _ => None,
    }
}

/// Revocations, reloads, catching up and clean-up in the order that `bytes` say, two for each step. The denylist
/// denies exactly what a model of it does.
pub fn denylist(bytes: &[u8]) {
    let denylist = Denylist::new();
    let mut model = Model::default();
    let mut reloads: Vec<(Reload<'_>, usize, BTreeSet<TbsSha256>)> = Vec::new();
    for step in bytes.chunks_exact(2) {
        let &[operation, argument] = step else {
            continue;
        };
        let entry = digest(argument);
        match operation % 7 {
            // A revocation is committed, and then made known.
            0 => {
                model.committed.insert(entry);
                model.add(entry);
                denylist.add([entry]);
            }
            // An expired entry is cleaned up.
            1 => {
                model.committed.remove(&entry);
            }
            2 if reloads.len() < 8 => {
                let reload = denylist.begin_reload(OffsetDateTime::UNIX_EPOCH);
                reloads.push((reload, model.next(), model.committed.clone()));
            }
            // A reload reads at some moment after it began: at once, or only now.
            3 | 4 if !reloads.is_empty() => {
                let chosen = usize::from(argument) % reloads.len();
                let (reload, place, read_at_once) = reloads.swap_remove(chosen);
                let read = match operation % 7 {
                    3 => read_at_once,
                    _ => model.committed.clone(),
                };
                let taken = reload.publish(read.iter().copied());
                assert_eq!(taken, model.publish(place, read));
            }
            // Another writer commits a revocation, of which nobody tells us.
            5 => {
                model.committed.insert(entry);
            }
            // We read what others committed.
            6 => {
                if let Some(catch_up) = denylist.begin_catch_up(OffsetDateTime::UNIX_EPOCH) {
                    catch_up.publish(model.committed.iter().copied());
                    model.catch_up();
                }
            }
            _ => {}
        }
        for entry in (0..=u8::MAX).step_by(7).map(digest) {
            let is_denied = denylist.denies(&entry, OffsetDateTime::UNIX_EPOCH);
            assert_eq!(is_denied, model.denies(&entry));
        }
    }
}

/// What a connection from a load balancer begins with. A header is as long as its beginning says,
/// whatever is behind it, and no part of it is one.
///
/// # Errors
///
/// What is wrong with it.
pub fn proxy_header(bytes: &[u8]) -> Result<ProxyHeader, ProxyHeaderError> {
    let Some(start) = bytes.first_chunk() else {
        return ProxyHeader::parse(bytes);
    };
    let length = ProxyHeader::length_of(start)?;
    assert!((ProxyHeader::START..=ProxyHeader::MAX_LENGTH).contains(&length));
    let header = bytes.get(..length).unwrap_or(bytes);
    let read = ProxyHeader::parse(header);
    if read.is_ok() {
        assert_eq!(header.len(), length);
        for end in 0..length {
            assert!(ProxyHeader::parse(&header[..end]).is_err());
        }
        if bytes.len() > length {
            assert!(ProxyHeader::parse(&bytes[..=length]).is_err());
        }
    }
    if let Ok(ProxyHeader::Proxied { source }) = read {
        assert_eq!(source.ip(), source.ip().to_canonical());
    }
    read
}

/// Sixteen certificates, half of which share all but the last byte of their hashes.
fn digest(number: u8) -> TbsSha256 {
    let number = number % 16;
    let mut bytes = [if number < 8 { number << 5 } else { 0x7f }; 32];
    let [.., last] = &mut bytes;
    *last = number;
    TbsSha256::from_bytes(bytes)
}

/// What a denylist is to deny, kept the simple way.
#[derive(Default)]
struct Model {
    /// The authoritative list.
    committed: BTreeSet<TbsSha256>,
    /// What the reload read that counts, and where in the order of things it began.
    published: Option<(usize, BTreeSet<TbsSha256>)>,
    /// Where in that order it was published.
    published_at: usize,
    added: Vec<(usize, TbsSha256)>,
    places: usize,
}

impl Model {
    fn next(&mut self) -> usize {
        self.places += 1;
        self.places
    }

    fn add(&mut self, entry: TbsSha256) {
        let place = self.next();
        self.added.push((place, entry));
    }

    fn catch_up(&mut self) {
        let place = self.next();
        let read = self.committed.iter().map(|entry| (place, *entry));
        self.added.extend(read);
    }

    fn publish(&mut self, place: usize, read: BTreeSet<TbsSha256>) -> bool {
        // Of reloads that overlap the first to be published counts.
        let is_first = place > self.published_at;
        if is_first {
            self.published = Some((place, read));
            self.published_at = self.next();
        }
        is_first
    }

    fn denies(&self, entry: &TbsSha256) -> bool {
        self.published.as_ref().is_none_or(|(place, read)| {
            let mut since = self.added.iter().filter(|(added, _)| added > place);
            read.contains(entry) || since.any(|(_, added)| added == entry)
        })
    }
}
