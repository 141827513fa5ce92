use identity_pki::ServerCertificate;
use rustls_pki_types::{CertificateDer, IpAddr, ServerName};
use url::{Host, Url};
use webpki::EndEntityCert;

/// The host of `url`, if clients that go there would not find it in the certificate (RFC 9525 §6).
pub(super) fn unnamed(certificate: &ServerCertificate, url: &Url) -> Option<String> {
    let host = url.host()?;
    (!names(certificate, &host)).then(|| host.to_string())
}

fn names(certificate: &ServerCertificate, host: &Host<&str>) -> bool {
    let name = match host {
        Host::Domain(name) => ServerName::try_from(*name).ok(),
        Host::Ipv4(address) => Some(ServerName::IpAddress(IpAddr::from(*address))),
        Host::Ipv6(address) => Some(ServerName::IpAddress(IpAddr::from(*address))),
    };
    let leaf = certificate
        .chain_der()
        .first()
        .map(|der| CertificateDer::from(der.as_slice()));
    let (Some(name), Some(leaf)) = (name, leaf) else {
        return false;
    };
    EndEntityCert::try_from(&leaf)
        .is_ok_and(|leaf| leaf.verify_is_valid_for_subject_name(&name).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_named_as_clients_read_names() {
        let names = [
            "id.example.com",
            "*.example.org",
            "192.0.2.7",
            "2001:db8::7",
        ];
        let names = names.map(str::to_owned).to_vec();
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let certificate = ServerCertificate::from_pem_chain(&made.cert.pem(), None);
        let certificate = certificate.expect("a certificate");
        for (url, expected) in [
            ("https://id.example.com", None),
            ("https://ID.example.com:8443", None),
            ("https://eu.example.org", None),
            ("https://192.0.2.7", None),
            ("https://[2001:db8::7]", None),
            ("https://other.example.com", Some("other.example.com")),
            ("https://example.org", Some("example.org")),
            ("https://a.eu.example.org", Some("a.eu.example.org")),
            ("https://192.0.2.8", Some("192.0.2.8")),
            ("https://[2001:db8::8]", Some("[2001:db8::8]")),
        ] {
            let url = Url::parse(url).expect("a URL");
            assert_eq!(unnamed(&certificate, &url).as_deref(), expected, "{url}");
        }
    }
}
