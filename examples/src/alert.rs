use std::error::Error;
use std::io;

/// Whether `error` says that the server ended the TLS connection by an alert (RFC 8446 §6.2), as it does
/// where it refuses the client's certificate. With TLS 1.3 the alert comes after the client's side of the
/// handshake is over, with the first read.
#[must_use]
pub fn is_alert(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |&error| {
        match error.downcast_ref::<io::Error>().map(io::Error::get_ref) {
            Some(inner) => inner.map(|inner| inner as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
    .any(|error| matches!(error.downcast_ref(), Some(rustls::Error::AlertReceived(_))))
}

#[cfg(test)]
mod tests {
    use rustls::{AlertDescription, Error as Tls};

    use super::*;

    #[test]
    fn an_alert_is_found_within_what_wraps_it() {
        let alert = Tls::AlertReceived(AlertDescription::CertificateRevoked);
        assert!(is_alert(&io::Error::new(io::ErrorKind::InvalidData, alert)));
        let other = Tls::General("no alert".to_owned());
        assert!(!is_alert(&io::Error::new(
            io::ErrorKind::InvalidData,
            other
        )));
        assert!(!is_alert(&io::Error::from(io::ErrorKind::ConnectionReset)));
    }
}
