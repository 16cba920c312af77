//! The whole gateway: opens the store, starts every part in the way of a message, and ends them in that order,
//! so that whatever was accepted is answered and whatever runs commits.
//!
//! - `ground`: what all parts stand on; `parts`: what there is to be started; `running`: the tasks, and their end
//! - `operations`: what the admin API asks for; `connect`, `signup`, `turns`, `partner`: the longer ones of them
//! - `reloader`: plugins that change; `keeper`: what has to be done from time to time

mod connect;
mod ground;
mod keeper;
mod operations;
mod partner;
mod parts;
mod reloader;
mod running;
mod signup;
mod turns;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::net::TcpListener;

use crate::admin::RootToken;
use crate::config::{Secrets, Settings};
use ground::Ground;
use parts::Parts;
use running::Running;

/// Runs until `stop` completes.
pub async fn run(
    settings: &Settings,
    secrets: &Secrets,
    root: RootToken,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let (public, public_at) = listen(settings.listen, "DUET_LISTEN").await?;
    let (private, private_at) = listen(settings.admin_listen, "DUET_ADMIN_LISTEN").await?;
    let ground = Ground::open(settings, secrets).await?;
    let parts = Parts::make(&ground, settings, secrets, root, private_at).await?;
    let running = Running::start(ground, parts, settings.into(), public, private);
    announce(&settings.data, public_at, private_at);

    stop.await;
    tracing::info!("stopping: what was accepted is answered, what runs commits");
    running.stop().await;
    tracing::info!("stopped");
    Ok(())
}

async fn listen(address: SocketAddr, variable: &str) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await.map_err(|error| {
        let remedy = match error.kind() {
            ErrorKind::AddrInUse => "; is another process there?",
            ErrorKind::AddrNotAvailable => "; name an address of this machine",
            _ => "",
        };
        anyhow::Error::new(error)
            .context(format!("cannot listen on {address} ({variable}){remedy}"))
    })?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

/// Says where the gateway listens: in the log, and in a file for those who asked for port 0. A full disk is no
/// reason to stop: Meta keeps what cannot be stored.
fn announce(data: &Path, public: SocketAddr, private: SocketAddr) {
    if !private.ip().is_loopback() {
        tracing::warn!(
            "the admin API is open to the network without TLS; put a proxy with TLS before it"
        );
    }
    tracing::info!(webhook = %format!("http://{public}/webhook"), admin = %format!("http://{private}/api/v1"), "duet listens");
    let addresses = serde_json::json!({
        "listen": public.to_string(), "admin": private.to_string(), "pid": std::process::id(),
    });
    let path: PathBuf = data.join("addresses.json");
    let new = data.join("addresses.json.new");
    let written =
        std::fs::write(&new, addresses.to_string()).and_then(|()| std::fs::rename(&new, &path));
    if let Err(error) = written {
        tracing::warn!(%error, path = %path.display(), "cannot write where the gateway listens");
        // The addresses of an earlier start would lead astray.
        let _ = std::fs::remove_file(&path);
    }
}
