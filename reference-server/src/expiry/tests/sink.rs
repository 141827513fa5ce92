//! A mail server of these tests: it takes what it is told to take.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What it says to a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// It takes the letter.
    Takes,
    /// Not now.
    Busy,
    /// Never.
    Refuses,
    /// Nothing.
    Silent,
    /// It hangs up.
    HangsUp,
}

/// A letter that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) to: String,
    pub(super) subject: String,
    pub(super) id: String,
}

#[derive(Debug, Default)]
struct Books {
    manners: BTreeMap<String, Manner>,
    /// What anybody else is told.
    manner: Option<Manner>,
    taken: Vec<Taken>,
    asked: usize,
}

#[derive(Debug, Clone)]
pub(super) struct Sink {
    pub(super) address: SocketAddr,
    books: Arc<Mutex<Books>>,
}

impl Sink {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let sink = Self {
            address: listener.local_addr().expect("an address"),
            books: Arc::default(),
        };
        let accepting = sink.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let sink = accepting.clone();
                tokio::spawn(async move { sink.serve(stream).await });
            }
        });
        sink
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().expect("nobody panics with it")
    }

    /// How it is to everybody who is not named.
    pub(super) fn is(&self, manner: Manner) {
        self.books().manner = Some(manner);
    }

    pub(super) fn is_to(&self, recipient: &str, manner: Manner) {
        self.books().manners.insert(recipient.to_owned(), manner);
    }

    /// The letters that were taken since this was asked last.
    pub(super) fn taken(&self) -> Vec<Taken> {
        std::mem::take(&mut self.books().taken)
    }

    /// How often it was asked to take a letter, since this was asked last.
    pub(super) fn asked(&self) -> usize {
        std::mem::take(&mut self.books().asked)
    }

    fn manner_to(&self, recipient: &str) -> Manner {
        let mut books = self.books();
        books.asked += 1;
        let named = books.manners.get(recipient).copied();
        named.or(books.manner).unwrap_or(Manner::Takes)
    }

    /// One connection (RFC 5321), as far as it is sound.
    async fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut stream = BufReader::new(stream);
        say(&mut stream, "220 sink").await?;
        let mut to = String::new();
        loop {
            let line = hear(&mut stream).await?;
            let answer = match line.split([' ', ':']).next()? {
                "EHLO" | "MAIL" => "250 yes",
                "RCPT" => {
                    let (_, address) = line.split_once('<')?;
                    let (address, _) = address.split_once('>')?;
                    to = address.to_owned();
                    match self.manner_to(&to) {
                        Manner::Takes => "250 yes",
                        Manner::Busy => "451 not now",
                        Manner::Refuses => "550 no such user",
                        Manner::Silent => std::future::pending().await,
                        Manner::HangsUp => return None,
                    }
                }
                "DATA" => {
                    say(&mut stream, "354 go on").await?;
                    let taken = letter(&mut stream, &to).await?;
                    self.books().taken.push(taken);
                    "250 taken"
                }
                _ => "221 bye",
            };
            say(&mut stream, answer).await?;
        }
    }
}

async fn say(stream: &mut BufReader<TcpStream>, line: &str) -> Option<()> {
    let line = format!("{line}\r\n");
    stream.get_mut().write_all(line.as_bytes()).await.ok()
}

async fn hear(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    let read = stream.read_line(&mut line).await.ok()?;
    (read > 0).then(|| line.trim_end().to_owned())
}

/// A letter up to the dot at its end.
async fn letter(stream: &mut BufReader<TcpStream>, to: &str) -> Option<Taken> {
    let mut taken = Taken {
        to: to.to_owned(),
        subject: String::new(),
        id: String::new(),
    };
    let mut is_head = true;
    loop {
        let line = hear(stream).await?;
        is_head &= !line.is_empty();
        if line == "." {
            return Some(taken);
        }
        if !is_head {
            continue;
        }
        if let Some(subject) = line.strip_prefix("Subject: ") {
            taken.subject = subject.to_owned();
        }
        if let Some(id) = line.strip_prefix("Message-ID: ") {
            taken.id = id.to_owned();
        }
    }
}
