//! A mail server that takes nobody's password, and tells everybody what it was.

use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Starts one on a free port.
pub(crate) async fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(talk(client));
        }
    });
    address
}

async fn talk(client: TcpStream) -> std::io::Result<()> {
    let mut client = BufReader::new(client);
    client.write_all(b"220 mail.example ESMTP\r\n").await?;
    let mut line = String::new();
    while client.read_line(&mut line).await? > 0 {
        let answer = match line.split_whitespace().next() {
            Some("EHLO") => "250-mail.example\r\n250 AUTH PLAIN LOGIN\r\n".to_owned(),
            Some("QUIT") => "221 Bye\r\n".to_owned(),
            _ => format!("535 5.7.8 Not accepted: {}\r\n", line.trim_end()),
        };
        client.write_all(answer.as_bytes()).await?;
        line.clear();
    }
    Ok(())
}
