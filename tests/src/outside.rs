//! An outside system that plugins call: it records every request, and answers what a test wants.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

const HEAD_BYTES_MAX: usize = 16 << 10;
const BODY_BYTES_MAX: usize = 4 << 20;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Called {
    pub method: String,
    /// With its query.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Called {
    /// A header's text; empty when it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let mut found = self
            .headers
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map_or("", |(_, value)| value)
    }

    /// Everything that came, as JSON.
    #[must_use]
    pub fn echo(&self) -> Value {
        json!({"method": self.method, "path": self.path, "headers": self.headers, "body": self.body})
    }
}

/// An answer, and when it goes out.
#[derive(Clone, Debug)]
pub struct Reply {
    status: u16,
    headers: String,
    body: Vec<u8>,
    /// Only once so many requests have come.
    once: usize,
}

impl Reply {
    #[must_use]
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Reply {
        Reply {
            status,
            headers: String::new(),
            body: body.into(),
            once: 0,
        }
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Reply {
        self.headers.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// It goes out once so many requests have come.
    #[must_use]
    pub fn once(mut self, requests: usize) -> Reply {
        self.once = requests;
        self
    }
}

/// It ends with its handle.
pub struct Outside {
    url: String,
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

struct Seen {
    called: Mutex<Vec<Called>>,
    count: watch::Sender<usize>,
}

impl Outside {
    /// Each request is answered beside the others.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(
        answer: impl Fn(&Called) -> Reply + Send + Sync + 'static,
    ) -> anyhow::Result<Outside> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let seen = Arc::new(Seen {
            called: Mutex::default(),
            count: watch::Sender::new(0),
        });
        let (own, answer) = (seen.clone(), Arc::new(answer));
        let task = tokio::spawn(async move {
            let mut serving = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, answer) = (own.clone(), answer.clone());
                // A client that breaks off is its own affair.
                serving.spawn(async move { serve(stream, &seen, &*answer).await });
            }
        });
        Ok(Outside { url, seen, task })
    }

    /// `http://127.0.0.1:<port>`
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Every request so far.
    #[must_use]
    pub fn called(&self) -> Vec<Called> {
        self.seen
            .called
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    seen: &Seen,
    answer: &(impl Fn(&Called) -> Reply + Sync),
) -> std::io::Result<()> {
    let called = read(&mut stream).await?;
    let reply = answer(&called);
    {
        let mut all = seen.called.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(called);
        seen.count.send_replace(all.len());
    }
    let _ = seen
        .count
        .subscribe()
        .wait_for(|count| *count >= reply.once)
        .await;
    let head = format!(
        "HTTP/1.1 {} So\r\n{}content-length: {}\r\nconnection: close\r\n\r\n",
        reply.status,
        reply.headers,
        reply.body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&reply.body).await?;
    stream.shutdown().await
}

async fn read(stream: &mut TcpStream) -> std::io::Result<Called> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_BYTES_MAX {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.lines();
    let mut words = lines
        .next()
        .unwrap_or_default()
        .split(' ')
        .map(str::to_owned);
    let (method, path) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    let mut called = Called {
        method,
        path,
        headers: headers.collect(),
        body: String::new(),
    };
    let length: usize = called.header("content-length").parse().unwrap_or(0);
    let mut body = vec![0; length.min(BODY_BYTES_MAX)];
    stream.read_exact(&mut body).await?;
    called.body = String::from_utf8_lossy(&body).into_owned();
    Ok(called)
}
