//! A TLS handshake of two connections in one thread, without a network.

use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};
use rustls_pki_types::ServerName;

use crate::clock::thread_cpu_time;
use crate::fleet::SERVER_NAME;

/// Runs a full handshake and answers the server's connection, and how long the server's part took.
///
/// # Panics
///
/// When it fails.
pub fn run(client: &Arc<ClientConfig>, server: Arc<ServerConfig>) -> (ServerConnection, Duration) {
    let name = ServerName::try_from(SERVER_NAME).expect("server name");
    let mut client = ClientConnection::new(Arc::clone(client), name).expect("client");
    let mut server_time = Duration::ZERO;
    let mut timed = |server_part: &mut dyn FnMut()| {
        let start = thread_cpu_time();
        server_part();
        server_time += thread_cpu_time() - start;
    };
    let mut server_connection = None;
    timed(&mut || server_connection = ServerConnection::new(Arc::clone(&server)).ok());
    let mut server = server_connection.expect("server");
    let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
    while client.is_handshaking() || server.is_handshaking() {
        while client.wants_write() {
            client.write_tls(&mut to_server).expect("memory");
        }
        timed(&mut || {
            receive(&mut server, &mut to_server);
            while server.wants_write() {
                server.write_tls(&mut to_client).expect("memory");
            }
        });
        receive(&mut client, &mut to_client);
    }
    (server, server_time)
}

fn receive<D>(connection: &mut rustls::ConnectionCommon<D>, sent: &mut Vec<u8>) {
    let mut bytes = sent.as_slice();
    while !bytes.is_empty() {
        let read = connection.read_tls(&mut bytes).expect("memory");
        assert!(read > 0, "the connection takes nothing more");
        connection.process_new_packets().expect("a sound handshake");
    }
    sent.clear();
}
