//! The inert WASI 0.2 floor. Compilers import it unasked, so it is always linked, and it leads nowhere: no
//! directories, no sockets, no arguments, an empty environment, a closed stdin; stdout and stderr go to the
//! plugin's log. The wall clock stands still at the run's own time, and maps are shuffled by the run's own seed where it
//! has one, so that a repeated run sees the same.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime::component::Linker;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{HostWallClock, WasiCtx, WasiCtxBuilder, WasiView};

use super::guest_log::{GuestLog, Level};

const RANDOM_BYTES_MAX: u64 = 64 * 1024;
const LINE_BYTES_MAX: usize = 1024;
const WRITE_BYTES_MAX: usize = 64 * 1024;

pub(super) fn link<T: WasiView>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)
}

pub(super) fn context(log: &Arc<GuestLog>, now_ms: i64, seed: Option<[u8; 16]>) -> WasiCtx {
    let mut builder = WasiCtxBuilder::new();
    if let Some(seed) = seed {
        builder.insecure_random_seed(u128::from_be_bytes(seed));
    }
    builder
        .stdout(Output {
            log: Arc::clone(log),
            stderr: false,
        })
        .stderr(Output {
            log: Arc::clone(log),
            stderr: true,
        })
        .wall_clock(Standing(Duration::from_millis(
            u64::try_from(now_ms).unwrap_or(0),
        )))
        .max_random_size(RANDOM_BYTES_MAX)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .build()
}

struct Standing(Duration);

impl HostWallClock for Standing {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        self.0
    }
}

struct Output {
    log: Arc<GuestLog>,
    stderr: bool,
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Lines {
            log: Arc::clone(&self.log),
            stderr: self.stderr,
            line: Vec::new(),
        })
    }

    /// Only WASI 0.3 asks for this, which is not linked.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }
}

/// Cuts what a guest prints into lines; a line that never ends is cut too.
struct Lines {
    log: Arc<GuestLog>,
    stderr: bool,
    line: Vec<u8>,
}

impl Lines {
    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        if self.stderr {
            self.log.write_stderr_line(&text);
        } else {
            self.log.write(Level::Info, &text);
        }
    }
}

impl OutputStream for Lines {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        for byte in bytes {
            if byte != b'\n' {
                self.line.push(byte);
            }
            if byte == b'\n' || self.line.len() >= LINE_BYTES_MAX {
                self.end_line();
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Lines {
    async fn ready(&mut self) {}
}

impl Drop for Lines {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            self.end_line();
        }
    }
}
