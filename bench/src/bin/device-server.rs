//! The peer of the bench `handshakes`: identity-mtls as a server runs it, in one thread, answering
//! each request with 204.
//!
//!     device-server FOLDER DENIED
//!
//! It says its port on a line of standard output and ends with its standard input.

use std::convert::Infallible;
use std::env;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use identity_bench::clock;
use identity_bench::fleet::ServerSide;
use identity_mtls::{DeviceAcceptor, HandshakeLimits};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut arguments = env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("which folder?")?);
    let denied = arguments.next().ok_or("how many are denied?")?.parse()?;

    let side = ServerSide::read(&folder)?;
    let (tls, live) = side.tls(denied, clock::now());
    let acceptor = DeviceAcceptor::new(tls, live, HandshakeLimits::default());

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    std::io::stdout().flush()?;
    let mut input = tokio::io::stdin();
    tokio::select! {
        () = accept(listener, acceptor) => {}
        _ = input.read_u8() => {}
    }
    Ok(())
}

async fn accept(listener: TcpListener, acceptor: DeviceAcceptor) {
    while let Ok((stream, peer)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            if let Err(failure) = serve(stream, peer.ip(), acceptor).await {
                eprintln!("{failure}");
            }
        });
    }
}

async fn serve(stream: TcpStream, source: IpAddr, acceptor: DeviceAcceptor) -> Result<(), Failure> {
    stream.set_nodelay(true)?;
    let accepted = acceptor.accept(stream, source).await?;
    let _live = accepted.live.ok_or("a client without a certificate")?;
    let service = service_fn(async |_: Request<Incoming>| {
        let mut response = Response::new(Empty::<Bytes>::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        Ok::<_, Infallible>(response)
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(accepted.stream), service);
    Ok(connection.await?)
}
