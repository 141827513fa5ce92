//! A receiver of webhooks over plain HTTP, which does with each request what its path says. It shares no code
//! with what sends.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

/// So long may something take that is to come on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A request that came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).expect(name)
    }
}

pub(crate) struct Sink {
    pub(crate) address: SocketAddr,
    received: Receiver<Received>,
    /// Of everybody's: a test waits for what it needs.
    waiting: Mutex<Vec<Received>>,
    all: Arc<Mutex<Vec<Received>>>,
}

impl Sink {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let (report, received) = channel();
        let all = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&all);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (report, kept) = (report.clone(), Arc::clone(&kept));
                std::thread::spawn(move || serve(stream, &report, &kept));
            }
        });
        Self {
            address,
            received,
            waiting: Mutex::default(),
            all,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The next request to a path.
    pub(crate) fn next(&self, path: &str) -> Received {
        let mut waiting = self.waiting.lock().unwrap();
        loop {
            if let Some(place) = waiting.iter().position(|it| it.path == path) {
                return waiting.remove(place);
            }
            let came = self.received.recv_timeout(PATIENCE);
            waiting.push(came.unwrap_or_else(|_| panic!("nothing comes to {path}")));
        }
    }

    /// Every request that came to a path so far.
    pub(crate) fn all(&self, path: &str) -> Vec<Received> {
        let all = self.all.lock().unwrap();
        all.iter().filter(|it| it.path == path).cloned().collect()
    }
}

fn serve(stream: TcpStream, report: &Sender<Received>, all: &Mutex<Vec<Received>>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a stream"));
    while let Some(request) = read(&mut reader) {
        let path = request.path.clone();
        all.lock().unwrap().push(request.clone());
        let _ = report.send(request);
        if answer(&stream, &path).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Received> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length")?.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Received {
        path,
        headers,
        body: String::from_utf8(body).ok()?,
    })
}

fn answer(mut stream: &TcpStream, path: &str) -> std::io::Result<()> {
    let head = match path.trim_end_matches(|c: char| c.is_ascii_digit()) {
        "/fails" => "500 No\r\ncontent-length: 9\r\n\r\nnot today",
        "/gone" => "410 Gone\r\ncontent-length: 0\r\n\r\n",
        "/later" => "503 Later\r\nretry-after: 3600\r\ncontent-length: 0\r\n\r\n",
        "/redirects" => "302 Found\r\nlocation: /ok\r\ncontent-length: 0\r\n\r\n",
        "/hangs" => return hang(),
        "/drips" => return drip(stream),
        "/floods" => return flood(stream),
        _ => "204 Thanks\r\n\r\n",
    };
    stream.write_all(format!("HTTP/1.1 {head}").as_bytes())
}

fn hang() -> std::io::Result<()> {
    loop {
        std::thread::park();
    }
}

/// A byte a second.
fn drip(mut stream: &TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 500 No\r\ncontent-length: 1000000\r\n\r\n")?;
    loop {
        stream.write_all(b"x")?;
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Two gigabytes.
fn flood(mut stream: &TcpStream) -> std::io::Result<()> {
    const LENGTH: usize = 2 << 30;
    stream.write_all(format!("HTTP/1.1 500 No\r\ncontent-length: {LENGTH}\r\n\r\n").as_bytes())?;
    let piece = [b'x'; 1 << 16];
    for _ in 0..LENGTH / piece.len() {
        stream.write_all(&piece)?;
    }
    Ok(())
}
