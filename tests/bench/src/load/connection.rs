//! One HTTP/1.1 connection, with as little work as possible on the generator's side.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const HEAD_END: &[u8] = b"\r\n\r\n";
/// The listener's answers are shorter.
const ANSWER_BYTES_MAX: usize = 4096;

pub(super) struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Connection {
    pub(super) async fn open(to: SocketAddr) -> Result<Connection> {
        let stream = TcpStream::connect(to)
            .await
            .with_context(|| format!("cannot connect to {to}"))?;
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream,
            answer: Vec::with_capacity(ANSWER_BYTES_MAX),
        })
    }

    /// Sends a request; the answer is the status. The body of an answer is empty or announced by its length.
    pub(super) async fn ask(&mut self, request: &[u8]) -> Result<u16> {
        self.stream.write_all(request).await?;
        self.answer.clear();
        loop {
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                bail!("the listener has closed the connection");
            }
            if let Some(status) = whole(&self.answer)? {
                return Ok(status);
            }
            if self.answer.len() > ANSWER_BYTES_MAX {
                bail!("an answer of more than {ANSWER_BYTES_MAX} bytes");
            }
        }
    }
}

/// The status, once head and body are there.
fn whole(answer: &[u8]) -> Result<Option<u16>> {
    let Some(head_bytes) = answer
        .windows(HEAD_END.len())
        .position(|found| found == HEAD_END)
    else {
        return Ok(None);
    };
    let head = std::str::from_utf8(answer.get(..head_bytes).unwrap_or_default())?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .context("an answer without status")?;
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let body_bytes: usize = length.and_then(|length| length.parse().ok()).unwrap_or(0);
    Ok((answer.len() >= head_bytes + HEAD_END.len() + body_bytes).then_some(status))
}
