use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use identity_bench::fleet::SERVER_NAME;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;

use super::process;

/// Connections at once.
const THREADS: usize = 8;

/// One server's turn ends after this time or this many connections of each thread.
const TURN: Duration = Duration::from_secs(2);
const MOST: usize = 1000;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// The one client of all servers.
pub(crate) struct Load {
    config: Arc<ClientConfig>,
}

/// What a server did in one turn.
pub(crate) struct Served {
    handshakes: usize,
    time: Duration,
    server_cpu: Duration,
}

impl Served {
    /// Handshakes a second.
    pub(crate) fn rate(&self) -> f64 {
        self.handshakes as f64 / self.time.as_secs_f64()
    }

    /// What the server used of its processor for each handshake and its request, in microseconds.
    pub(crate) fn server_microseconds(&self) -> f64 {
        self.server_cpu.as_secs_f64() * 1e6 / self.handshakes as f64
    }
}

impl Load {
    pub(crate) fn new(config: Arc<ClientConfig>) -> Self {
        Self { config }
    }

    /// Connects to the server at `port`, which runs as `processes`, over and over for one turn.
    pub(crate) fn run(&self, port: u16, processes: Vec<u32>) -> Served {
        let cpu = || {
            processes
                .iter()
                .copied()
                .map(process::cpu_time)
                .sum::<Duration>()
        };
        self.connect(port);
        let (start, before) = (Instant::now(), cpu());
        let handshakes = thread::scope(|scope| {
            let one_thread = || {
                let mut count = 0;
                while count < MOST && start.elapsed() < TURN {
                    self.connect(port);
                    count += 1;
                }
                count
            };
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(one_thread)).collect();
            let counts = threads
                .into_iter()
                .map(|thread| thread.join().expect("a client"));
            counts.sum::<usize>()
        });
        Served {
            handshakes,
            time: start.elapsed(),
            server_cpu: cpu() - before,
        }
    }

    /// A connection from its handshake to its end, whose one request has to be answered with 204.
    fn connect(&self, port: u16) {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("a connection");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        let name = ServerName::try_from(SERVER_NAME).expect("server name");
        let connection = ClientConnection::new(Arc::clone(&self.config), name).expect("client");
        let mut stream = StreamOwned::new(connection, stream);
        stream.write_all(REQUEST).expect("a handshake");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        assert!(
            answer.starts_with(b"HTTP/1.1 204"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
}
