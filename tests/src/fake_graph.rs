//! A server that answers what a test wants, for what a well-behaved Meta never does. It records every request with
//! its headers.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const HEAD_BYTES_MAX: usize = 16 << 10;
const BODY_BYTES_MAX: usize = 1 << 20;

/// An answer, as it goes over the wire.
pub struct Reply(Vec<u8>);

impl Reply {
    #[must_use]
    pub fn json(body: &Value) -> Reply {
        Reply::with(
            "200 OK",
            "content-type: application/json\r\n",
            body.to_string().as_bytes(),
        )
    }

    /// A refusal in JSON.
    #[must_use]
    pub fn json_with(status: u16, body: &Value) -> Reply {
        Reply::with(
            &format!("{status} No"),
            "content-type: application/json\r\n",
            body.to_string().as_bytes(),
        )
    }

    #[must_use]
    pub fn bytes(body: &[u8]) -> Reply {
        Reply::with("200 OK", "", body)
    }

    #[must_use]
    pub fn status(status: u16) -> Reply {
        Reply::with(&format!("{status} No"), "", b"")
    }

    #[must_use]
    pub fn redirect(to: &str) -> Reply {
        Reply::with("302 Found", &format!("location: {to}\r\n"), b"")
    }

    /// A body that ends with the connection, without a length.
    #[must_use]
    pub fn until_closed(body: &[u8]) -> Reply {
        Reply([b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", body].concat())
    }

    fn with(status: &str, headers: &str, body: &[u8]) -> Reply {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n"
        );
        Reply([head.as_bytes(), body].concat())
    }
}

/// It ends with its handle.
pub struct FakeGraph {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl FakeGraph {
    /// `answer` gets a request's path and the server's own address.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(
        answer: impl Fn(&str, &str) -> Reply + Send + Sync + 'static,
    ) -> anyhow::Result<FakeGraph> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (own, seen) = (url.clone(), requests.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // One after the other is enough for a test; a client that breaks off is its own affair.
                let _ = serve(stream, &seen, |path| answer(path, &own)).await;
            }
        });
        Ok(FakeGraph {
            url,
            requests,
            task,
        })
    }

    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Every request so far: its line and its headers.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for FakeGraph {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn body_bytes(head: &str) -> usize {
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length = length.and_then(|length| length.trim().parse().ok());
    length.unwrap_or(0).min(BODY_BYTES_MAX)
}

async fn serve(
    mut stream: TcpStream,
    seen: &Mutex<Vec<String>>,
    answer: impl Fn(&str) -> Reply,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_BYTES_MAX {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    // A body that is left unread would cut the answer off.
    let mut body = vec![0; body_bytes(&head)];
    stream.read_exact(&mut body).await?;
    let path = head.split(' ').nth(1).unwrap_or_default();
    let Reply(reply) = answer(path.split('?').next().unwrap_or_default());
    seen.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(head);
    stream.write_all(&reply).await?;
    stream.shutdown().await
}
