//! A mail server of these tests: it takes what it is told to take.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpSocket, TcpStream};

/// Where in a letter's way it is as it is told to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// Before anything is said.
    Greeting,
    /// When it hears of the sender.
    Sender,
    #[default]
    Recipient,
    /// When it has the letter, before it says so.
    Letter,
}

/// What it says there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// It takes the letter.
    Takes,
    /// Not now.
    Busy,
    /// Never.
    Refuses,
    /// This.
    Says(&'static str),
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
    place: Place,
    /// Whether each byte of an answer takes its time.
    is_slow: bool,
    taken: Vec<Taken>,
    asked: usize,
}

#[derive(Debug, Clone)]
pub(super) struct Sink {
    pub(super) address: SocketAddr,
    books: Arc<Mutex<Books>>,
    /// The address before anybody listens there, who connects to it is refused.
    held: Arc<Mutex<Option<TcpSocket>>>,
}

impl Sink {
    pub(super) fn start() -> Self {
        let sink = Self::down();
        sink.listen();
        sink
    }

    /// One that is not there yet.
    pub(super) fn down() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        socket.bind(any).expect("a port");
        Self {
            address: socket.local_addr().expect("an address"),
            books: Arc::default(),
            held: Arc::new(Mutex::new(Some(socket))),
        }
    }

    pub(super) fn listen(&self) {
        let held = self.held.lock().expect("nobody panics with it").take();
        let listener = held.expect("it is down").listen(64).expect("a listener");
        let accepting = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let sink = accepting.clone();
                tokio::spawn(async move { sink.serve(stream).await });
            }
        });
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().expect("nobody panics with it")
    }

    /// How it is to everybody who is not named.
    pub(super) fn is(&self, manner: Manner) {
        self.books().manner = Some(manner);
    }

    /// How it is to everybody, there.
    pub(super) fn is_at(&self, place: Place, manner: Manner) {
        self.is(manner);
        self.books().place = place;
    }

    pub(super) fn is_slow(&self) {
        self.books().is_slow = true;
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

    /// How it is at a place, to a recipient once it knows one.
    fn manner_at(&self, place: Place, recipient: &str) -> Manner {
        let mut books = self.books();
        if books.place != place {
            return Manner::Takes;
        }
        books.asked += 1;
        let named = books.manners.get(recipient).copied();
        named.or(books.manner).unwrap_or(Manner::Takes)
    }

    /// What it says there; `None` when it hangs up.
    async fn answer(
        &self,
        place: Place,
        recipient: &str,
        good: &'static str,
    ) -> Option<&'static str> {
        match self.manner_at(place, recipient) {
            Manner::Takes => Some(good),
            Manner::Busy => Some("451 not now"),
            Manner::Refuses => Some("550 no such user"),
            Manner::Says(reply) => Some(reply),
            Manner::Silent => std::future::pending().await,
            Manner::HangsUp => None,
        }
    }

    /// One connection (RFC 5321), as far as it is sound.
    async fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut stream = BufReader::new(stream);
        let greeting = self.answer(Place::Greeting, "", "220 sink").await?;
        self.say(&mut stream, greeting).await?;
        let mut to = String::new();
        loop {
            let line = hear(&mut stream).await?;
            let answer = match line.split([' ', ':']).next()? {
                "EHLO" => "250 yes",
                "MAIL" => self.answer(Place::Sender, "", "250 yes").await?,
                "RCPT" => {
                    let (_, address) = line.split_once('<')?;
                    let (address, _) = address.split_once('>')?;
                    to = address.to_owned();
                    self.answer(Place::Recipient, &to, "250 yes").await?
                }
                "DATA" => {
                    self.say(&mut stream, "354 go on").await?;
                    let taken = letter(&mut stream, &to).await?;
                    self.books().taken.push(taken);
                    self.answer(Place::Letter, &to, "250 taken").await?
                }
                _ => "221 bye",
            };
            self.say(&mut stream, answer).await?;
        }
    }

    async fn say(&self, stream: &mut BufReader<TcpStream>, line: &str) -> Option<()> {
        let line = format!("{line}\r\n");
        if !self.books().is_slow {
            return stream.get_mut().write_all(line.as_bytes()).await.ok();
        }
        for byte in line.bytes() {
            tokio::time::sleep(Duration::from_millis(5)).await;
            stream.get_mut().write_all(&[byte]).await.ok()?;
        }
        Some(())
    }
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
