//! A provider of a few lines over plain sockets: it answers what the test says, cuts where the test says, and remembers
//! every request.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use homeward_provider::{AtlassianProvider, AtlassianSettings};
use homeward_types::{AccountId, Email, SystemClock};
use secrecy::SecretString;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The key of [`Stub::provider`].
pub const KEY: &str = "sesame-open";

/// What came in.
#[derive(Debug, Clone)]
pub struct Request {
    pub line: String,
    pub headers: String,
    pub body: Value,
}

impl Request {
    pub fn bearer(&self) -> Option<&str> {
        self.headers.lines().find_map(|line| line.strip_prefix("authorization: Bearer "))
    }

    /// The texts of a list in the body.
    pub fn list(&self, key: &str) -> Vec<String> {
        let list = self.body.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        list.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect()
    }
}

/// What goes out.
#[derive(Debug, Clone)]
pub enum Reply {
    /// A whole answer: status, further header lines, body.
    Whole(u16, Vec<(&'static str, String)>, String),
    /// The connection is closed without an answer.
    Cut,
    /// The head of a 200 or 202 and the beginning of a body, then the connection is closed.
    CutInside(u16, String),
    /// A body without a length that goes on for so many bytes.
    Endless(usize),
    /// Nothing comes.
    Silence,
}

impl Reply {
    pub fn json(status: u16, body: &Value) -> Self {
        Self::Whole(status, Vec::new(), body.to_string())
    }

    pub fn status(status: u16) -> Self {
        Self::Whole(status, Vec::new(), String::new())
    }

    pub fn html(status: u16) -> Self {
        Self::Whole(status, vec![("content-type", "text/html".into())], "<html><body>sorry</body></html>".into())
    }

    #[must_use]
    pub fn header(self, name: &'static str, value: impl Into<String>) -> Self {
        match self {
            Self::Whole(status, mut headers, body) => {
                headers.push((name, value.into()));
                Self::Whole(status, headers, body)
            }
            other @ (Self::Cut | Self::CutInside(..) | Self::Endless(_) | Self::Silence) => other,
        }
    }
}

type Script = dyn Fn(&Request) -> Reply + Send + Sync;

/// The running stub.
pub struct Stub {
    pub url: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Stub {
    /// Starts one that answers as `script` says.
    pub async fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = listen().await;
        let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (script, log): (Arc<Script>, _) = (Arc::new(script), Arc::clone(&seen));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&script), Arc::clone(&log)));
            }
        });
        Self { url, seen }
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The request lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|request| request.line).collect()
    }

    pub fn settings(&self) -> AtlassianSettings {
        let mut settings = AtlassianSettings::new("org-1", SecretString::from(KEY));
        settings.base_url = self.url.parse().expect("an address");
        settings.timeout = Duration::from_secs(5);
        settings.patience = Duration::from_millis(50);
        settings
    }

    pub fn provider(&self) -> AtlassianProvider {
        provider(self.settings())
    }

    /// For a stub that may stay silent.
    pub fn hasty_provider(&self) -> AtlassianProvider {
        let mut settings = self.settings();
        settings.timeout = Duration::from_millis(400);
        provider(settings)
    }
}

/// An adapter on the machine's clock.
pub fn provider(settings: AtlassianSettings) -> AtlassianProvider {
    AtlassianProvider::new(settings, Arc::new(SystemClock)).expect("usable settings")
}

pub fn account(id: &str) -> AccountId {
    id.parse().expect("an account id")
}

pub fn email(text: &str) -> Email {
    text.parse().expect("an address")
}

/// A free port below those that outgoing connections use.
async fn listen() -> TcpListener {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    for _ in 0..1_000 {
        // Each process begins elsewhere, so that two at once seldom meet.
        let offset = (std::process::id() * 97 + TRIED.fetch_add(1, Ordering::Relaxed)) % 10_000;
        let port = 20_000 + u16::try_from(offset).expect("less than ten thousand");
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)).await {
            return listener;
        }
    }
    panic!("no free port between 20000 and 30000");
}

async fn serve(mut socket: TcpStream, script: Arc<Script>, log: Arc<Mutex<Vec<Request>>>) {
    while let Some(request) = receive(&mut socket).await {
        log.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
        if !answer(&mut socket, script(&request)).await {
            return;
        }
    }
}

async fn receive(socket: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8(bytes[..head].to_vec()).ok()?;
    let (line, headers) = text.split_once("\r\n")?;
    let length = headers.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok()).unwrap_or(0usize);
    while bytes.len() < head + length {
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = serde_json::from_slice(&bytes[head..head + length]).unwrap_or(Value::Null);
    Some(Request { line: line.trim_end_matches(" HTTP/1.1").to_owned(), headers: headers.to_owned(), body })
}

/// Whether the connection stays open.
async fn answer(socket: &mut TcpStream, reply: Reply) -> bool {
    let sent = match reply {
        Reply::Whole(status, headers, body) => {
            let mut text = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
            for (name, value) in headers {
                text.extend([name, ": ", &value, "\r\n"]);
            }
            text.extend(["\r\n", &body]);
            return socket.write_all(text.as_bytes()).await.is_ok();
        }
        Reply::Cut => Ok(()),
        Reply::CutInside(status, body) => {
            let text = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len() + 100);
            socket.write_all(text.as_bytes()).await
        }
        Reply::Endless(bytes) => endless(socket, bytes).await,
        Reply::Silence => {
            std::future::pending::<()>().await;
            Ok(())
        }
    };
    let _ = sent; // the other side may have gone; that is its affair
    false
}

async fn endless(socket: &mut TcpStream, bytes: usize) -> std::io::Result<()> {
    socket.write_all(b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n").await?;
    for _ in 0..bytes / 1_000 {
        socket.write_all(format!("3e8\r\n{}\r\n", " ".repeat(1_000)).as_bytes()).await?;
    }
    socket.write_all(b"0\r\n\r\n").await
}
