//! One kept-alive HTTP/1.1 connection: the same client for every server that is measured.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use crate::Failure;

/// A server, and how to speak to it.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// TLS with these settings, or plain HTTP.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

/// A request that was made before the time is taken; clones share its body.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    method: Method,
    uri: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

/// An answer that was read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

/// A connection that is open, with one request at a time.
#[derive(Debug)]
pub(crate) struct Connection {
    requests: SendRequest<Full<Bytes>>,
    host: HeaderValue,
    /// Until someone was told how it ended.
    ended: Option<JoinHandle<hyper::Result<()>>>,
}

impl Prepared {
    pub(crate) fn get(path: &str) -> Result<Self, Failure> {
        Ok(Self {
            method: Method::GET,
            uri: path.parse()?,
            headers: Vec::new(),
            body: Bytes::new(),
        })
    }

    /// A POST of JSON.
    pub(crate) fn post(path: &str, body: &serde_json::Value) -> Result<Self, Failure> {
        Ok(Self {
            method: Method::POST,
            uri: path.parse()?,
            headers: Vec::new(),
            body: serde_json::to_vec(body)?.into(),
        })
    }

    /// With one more header.
    pub(crate) fn with_header(mut self, name: &'static str, value: &str) -> Result<Self, Failure> {
        self.headers
            .push((HeaderName::from_static(name), value.parse()?));
        Ok(self)
    }

    fn request(&self, host: &HeaderValue) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(HOST, host.clone());
        if !self.body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        headers.extend(self.headers.iter().cloned());
        request
    }
}

impl Answer {
    /// Goes on if the status is 200.
    pub(crate) fn must_be_ok(self) -> Result<Self, Failure> {
        if self.status == StatusCode::OK {
            return Ok(self);
        }
        let text = String::from_utf8_lossy(&self.body);
        Err(format!("an answer was to be 200, and is {}: {text}", self.status).into())
    }
}

impl Connection {
    pub(crate) async fn open(target: &Target) -> Result<Self, Failure> {
        let stream = TcpStream::connect(target.address).await?;
        Self::over(stream, target).await
    }

    /// From a source address of choice: each has its own share of the server's handshakes, and its own
    /// ephemeral ports.
    pub(crate) async fn open_from(source: IpAddr, target: &Target) -> Result<Self, Failure> {
        let socket = match source {
            IpAddr::V4(_) => TcpSocket::new_v4()?,
            IpAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.bind(SocketAddr::new(source, 0))?;
        Self::over(socket.connect(target.address).await?, target).await
    }

    async fn over(stream: TcpStream, target: &Target) -> Result<Self, Failure> {
        stream.set_nodelay(true)?;
        let host = target.address.to_string().parse()?;
        let Some(tls) = &target.tls else {
            return Self::speak(stream, host).await;
        };
        let name = ServerName::from(target.address.ip());
        let connector = TlsConnector::from(Arc::clone(tls));
        Self::speak(connector.connect(name, stream).await?, host).await
    }

    async fn speak<S>(stream: S, host: HeaderValue) -> Result<Self, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (requests, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends with `requests`, or when the server closes it.
        let ended = Some(tokio::spawn(connection));
        Ok(Self {
            requests,
            host,
            ended,
        })
    }

    /// Waits until the server has closed the connection, in whatever way.
    pub(crate) async fn closed(self) {
        let Self {
            requests, ended, ..
        } = self;
        if let Some(ended) = ended {
            let _ = ended.await;
        }
        drop(requests);
    }

    pub(crate) async fn send(&mut self, prepared: &Prepared) -> Result<Answer, Failure> {
        let (parts, body) = self.answer(prepared).await?.into_parts();
        Ok(Answer {
            status: parts.status,
            body: body.collect().await?.to_bytes(),
        })
    }

    async fn answer(&mut self, prepared: &Prepared) -> Result<Response<Incoming>, Failure> {
        let request = prepared.request(&self.host);
        let Self {
            requests, ended, ..
        } = self;
        let connection = ended.as_mut().ok_or("the connection is over")?;
        let answered = async {
            requests.ready().await?;
            requests.send_request(request).await
        };
        let outcome = tokio::select! {
            biased;
            answer = answered => match answer {
                Err(error) if error.is_closed() => connection.await,
                answer => return Ok(answer?),
            },
            // What is sent at the very moment at which the connection ends is answered by nobody.
            outcome = &mut *connection => outcome,
        };
        *ended = None;
        outcome??;
        Err("the connection ended".into())
    }
}
