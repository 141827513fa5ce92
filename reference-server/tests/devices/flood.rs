//! Strangers who open connections and say nothing.

use std::net::SocketAddr;

use tokio::net::{TcpSocket, TcpStream};

use crate::platform::Platform;

/// More than any cap: of handshakes that run, of all that wait, and of one source.
const FLOOD: usize = 1500;

async fn silent(from: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(from.parse().unwrap()).unwrap();
    socket.connect(to).await.unwrap()
}

#[tokio::test]
async fn a_flood_from_one_address_keeps_no_device_at_another_from_connecting() {
    let platform = Platform::start().await;
    let scanner = platform.scanner().await;
    let connected = platform.connect(&scanner, None);
    connected.get("/v1/devices/self").await.expect(200);
    let address = platform.nobody.base.strip_prefix("https://").unwrap();
    let address = address.parse().unwrap();

    let mut flood = Vec::new();
    for n in 0..FLOOD {
        flood.push(silent("127.0.0.2:0", address).await);
        if n % 100 == 0 {
            connected.get("/v1/devices/self").await.expect(200);
            let newcomer = platform.connect(&scanner, None);
            newcomer.get("/v1/devices/self").await.expect(200);
        }
    }
    let another = platform.scanner().await;
    for device in [connected, platform.connect(&another, None)] {
        device.get("/v1/devices/self").await.expect(200);
    }
    // The address itself is refused what goes beyond its share.
    let last = flood.pop().unwrap();
    last.readable().await.unwrap();
    assert!(!matches!(last.try_read(&mut [0; 1]), Ok(1..)));
}
