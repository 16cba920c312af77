//! A server that takes what the gateway posts, and answers what a test wants.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const HEAD_BYTES_MAX: usize = 16 << 10;
const BODY_BYTES_MAX: usize = 1 << 20;

/// A request with its body.
#[derive(Clone, Debug)]
pub struct Posted {
    head: String,
    pub body: String,
}

impl Posted {
    /// A header's text; empty when it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let fields = self.head.lines().filter_map(|line| line.split_once(':'));
        let mut found = fields.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map_or("", |(_, value)| value.trim())
    }
}

/// It ends with its handle.
pub struct Receiver {
    url: String,
    posted: Arc<Mutex<Vec<Posted>>>,
    task: JoinHandle<()>,
}

impl Receiver {
    /// `answer` gets the number of the request, from 0, and gives a status.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(
        answer: impl Fn(usize) -> u16 + Send + Sync + 'static,
    ) -> anyhow::Result<Receiver> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/alarms", listener.local_addr()?);
        let posted = Arc::new(Mutex::new(Vec::new()));
        let seen = posted.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // One after the other is enough for a test; a client that breaks off is its own affair.
                let _ = serve(stream, &seen, &answer).await;
            }
        });
        Ok(Receiver { url, posted, task })
    }

    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Every request so far.
    #[must_use]
    pub fn posted(&self) -> Vec<Posted> {
        self.posted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    seen: &Mutex<Vec<Posted>>,
    answer: &(impl Fn(usize) -> u16 + Send + Sync),
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_BYTES_MAX {
        head.push(stream.read_u8().await?);
    }
    let mut posted = Posted {
        head: String::from_utf8_lossy(&head).into_owned(),
        body: String::new(),
    };
    let length: usize = posted.header("content-length").parse().unwrap_or(0);
    let mut body = vec![0; length.min(BODY_BYTES_MAX)];
    stream.read_exact(&mut body).await?;
    posted.body = String::from_utf8_lossy(&body).into_owned();
    let number = {
        let mut all = seen.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(posted);
        all.len() - 1
    };
    let status = answer(number);
    let reply = format!("HTTP/1.1 {status} So\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(reply.as_bytes()).await?;
    stream.shutdown().await
}
