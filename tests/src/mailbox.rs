//! A mail server that speaks as much SMTP as a client needs (RFC 5321, and AUTH PLAIN of RFC 4954), without TLS.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// It ends with its handle.
pub struct Mailbox {
    address: String,
    heard: Arc<Mutex<Heard>>,
    task: JoinHandle<()>,
}

/// What came over the wire.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// Commands, of all connections.
    pub commands: Vec<String>,
    /// Mails as they were sent, with their headers.
    pub mails: Vec<String>,
}

impl Mailbox {
    /// # Errors
    /// When no port is free.
    pub async fn start() -> anyhow::Result<Mailbox> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let heard = Arc::new(Mutex::new(Heard::default()));
        let told = heard.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = serve(BufStream::new(stream), &told).await;
            }
        });
        Ok(Mailbox {
            address,
            heard,
            task,
        })
    }

    /// `127.0.0.1:<port>`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    #[must_use]
    pub fn heard(&self) -> Heard {
        self.heard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: BufStream<TcpStream>, heard: &Mutex<Heard>) -> std::io::Result<()> {
    reply(&mut stream, "220 mailbox").await?;
    loop {
        let mut command = String::new();
        if stream.read_line(&mut command).await? == 0 {
            return Ok(());
        }
        let command = command.trim_end().to_owned();
        let verb = command.split([' ', ':']).next().unwrap_or_default();
        let verb = verb.to_uppercase();
        note(heard, |heard| heard.commands.push(command.clone()));
        match verb.as_str() {
            "EHLO" => reply(&mut stream, "250-mailbox\r\n250-AUTH PLAIN\r\n250 8BITMIME").await?,
            "AUTH" => reply(&mut stream, "235 welcome").await?,
            "DATA" => {
                reply(&mut stream, "354 go on").await?;
                let mail = mail(&mut stream).await?;
                note(heard, |heard| heard.mails.push(mail));
                reply(&mut stream, "250 taken").await?;
            }
            "QUIT" => return reply(&mut stream, "221 bye").await,
            _ => reply(&mut stream, "250 fine").await?,
        }
    }
}

async fn mail(stream: &mut BufStream<TcpStream>) -> std::io::Result<String> {
    let mut mail = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 || line == ".\r\n" {
            return Ok(mail);
        }
        mail += &line;
    }
}

async fn reply(stream: &mut BufStream<TcpStream>, line: &str) -> std::io::Result<()> {
    stream.write_all(format!("{line}\r\n").as_bytes()).await?;
    stream.flush().await
}

fn note(heard: &Mutex<Heard>, note: impl FnOnce(&mut Heard)) {
    note(&mut heard.lock().unwrap_or_else(PoisonError::into_inner));
}
