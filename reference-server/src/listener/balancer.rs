//! What a load balancer sends before the bytes of its client.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use identity_mtls::{ProxyHeader, ProxyHeaderError};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::timeout;

/// How long a balancer may take for its header, which it sends at once: as long as a handshake may.
const HEADER_TIME: Duration = Duration::from_secs(5);

/// Why a balancer's connection is not served: nobody knows whose it is.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoClient {
    #[error("the PROXY header is refused")]
    Header(#[from] ProxyHeaderError),
    #[error("the connection ends before its PROXY header does")]
    Ended(#[from] io::Error),
    #[error("the PROXY header takes longer than 5 s")]
    TooSlow,
}

/// Where the client is, by the header that the connection begins with; `peer` for a connection of the
/// balancer's own. Nothing behind the header is read.
pub(super) async fn client(
    stream: &mut (impl AsyncRead + Unpin),
    peer: SocketAddr,
) -> Result<SocketAddr, NoClient> {
    let header = timeout(HEADER_TIME, read(stream)).await;
    match header.map_err(|_| NoClient::TooSlow)?? {
        ProxyHeader::Local => Ok(peer),
        ProxyHeader::Proxied { source } => Ok(source),
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<ProxyHeader, NoClient> {
    let mut start = [0; ProxyHeader::START];
    stream.read_exact(&mut start).await?;
    let length = ProxyHeader::length_of(&start)?;
    let mut header = start.to_vec();
    header.resize(length, 0);
    stream.read_exact(&mut header[ProxyHeader::START..]).await?;
    Ok(ProxyHeader::parse(&header)?)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt as _, duplex};
    use tokio::time::sleep;

    use super::*;

    const HEADER: &[u8] =
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc0\0\x02\x01\x0f\xa0\x01\xbb";

    fn peer() -> SocketAddr {
        ([10, 0, 0, 1], 50_000).into()
    }

    #[tokio::test]
    async fn pieces_of_any_size_are_read_and_nothing_behind_them() {
        for size in 1..=HEADER.len() + 5 {
            let (mut balancer, mut server) = duplex(1);
            let sent = tokio::spawn(async move {
                for piece in [HEADER, b"hello"].concat().chunks(size) {
                    balancer.write_all(piece).await.expect("it is read");
                }
            });
            let client = client(&mut server, peer()).await.expect("a client");
            assert_eq!(client, ([192, 0, 2, 7], 4000).into());
            let mut behind = String::new();
            server.read_to_string(&mut behind).await.expect("text");
            assert_eq!(behind, "hello");
            sent.await.expect("all of it");
        }
    }

    #[tokio::test]
    async fn a_check_of_the_balancers_own_keeps_its_address() {
        let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
        let client = client(&mut &local[..], peer()).await;
        assert_eq!(client.expect("a client"), peer());
    }

    #[tokio::test]
    async fn what_ends_before_its_header_is_nobodys() {
        for end in 0..HEADER.len() {
            let refused = client(&mut &HEADER[..end], peer()).await;
            assert!(matches!(refused, Err(NoClient::Ended(_))), "{end}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_header_has_its_time_however_its_bytes_come() {
        let (mut balancer, mut server) = duplex(64);
        tokio::spawn(async move {
            for byte in HEADER {
                sleep(Duration::from_secs(1)).await;
                // The server may have closed.
                let _ = balancer.write_all(&[*byte]).await;
            }
        });
        let refused = client(&mut server, peer()).await;
        assert!(matches!(refused, Err(NoClient::TooSlow)), "{refused:?}");
    }
}
