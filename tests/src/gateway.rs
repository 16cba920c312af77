//! One gateway process in a folder of its own. It dies with its handle; the folder stays when the test did not
//! reach [`Gateway::end`], and its path is printed, so that log and database can be looked at.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use duet_sim::Config;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::admin::Admin;
use crate::meta::Meta;
use crate::plugins_file::PluginsFile;
use crate::wait::{Seen, until};

pub const APP_SECRET: &str = "black-box-app-secret";
pub const VERIFY_TOKEN: &str = "black-box-verify-token";
pub const ADMIN_TOKEN: &str = "black-box-admin-token";
pub const ACCESS_TOKEN: &str = "black-box-access-token";

/// Nobody listens there: for tests in which nothing may be sent.
const NO_GRAPH: &str = "http://127.0.0.1:9";
const START_MAX: Duration = Duration::from_secs(60);
const STOP_MAX: Duration = Duration::from_secs(30);
const LOG_TAIL_LINES: usize = 30;

/// What a sim is started with that knows the gateway's secrets.
#[must_use]
pub fn sim() -> Config {
    Config {
        app_secret: APP_SECRET.into(),
        token: ACCESS_TOKEN.into(),
        ..Config::default()
    }
}

/// The same, where anybody may be written to at any time.
#[must_use]
pub fn open_sim() -> Config {
    Config {
        open_window: true,
        ..sim()
    }
}

/// What a gateway is started with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Base address of a sim.
    pub graph_url: String,
    pub plugins: PluginsFile,
    /// More environment; a later entry wins.
    pub env: Vec<(String, String)>,
    /// Where the data is kept, when not in the test's own folder.
    pub data: Option<PathBuf>,
}

impl Default for Setup {
    fn default() -> Self {
        Setup {
            graph_url: NO_GRAPH.into(),
            plugins: PluginsFile::default(),
            env: Vec::new(),
            data: None,
        }
    }
}

impl Setup {
    /// Sends go to this sim.
    #[must_use]
    pub fn graph(mut self, url: &str) -> Setup {
        self.graph_url = url.to_owned();
        self
    }

    #[must_use]
    pub fn plugins(mut self, plugins: PluginsFile) -> Setup {
        self.plugins = plugins;
        self
    }

    #[must_use]
    pub fn env(mut self, name: &str, value: impl ToString) -> Setup {
        self.env.push((name.to_owned(), value.to_string()));
        self
    }
}

/// A running gateway, or one that was killed and may be started again.
pub struct Gateway {
    pub setup: Setup,
    folder: TempDir,
    running: Option<Running>,
    ended: bool,
}

struct Running {
    child: Child,
    addresses: Addresses,
}

/// What the gateway writes into `<data>/addresses.json`.
#[derive(Clone, Debug, Deserialize)]
struct Addresses {
    listen: String,
    admin: String,
    pid: u32,
}

impl Gateway {
    /// Starts in a fresh folder and waits until both listeners are bound.
    ///
    /// # Errors
    /// When the binary is missing or does not come up; with the end of its log.
    pub async fn start(setup: Setup) -> anyhow::Result<Gateway> {
        let folder = tempfile::Builder::new().prefix("duet-test-").tempdir()?;
        let mut gateway = Gateway {
            setup,
            folder,
            running: None,
            ended: false,
        };
        std::fs::create_dir(gateway.folder().join("log"))?;
        gateway.setup.plugins.write(gateway.folder())?;
        gateway.restart().await?;
        Ok(gateway)
    }

    /// Starts again in the same folder. The addresses change.
    ///
    /// # Errors
    /// As [`Gateway::start`].
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.restart_with(&[]).await?,
            "the gateway ended at once; {}",
            self.log_tail()
        );
        Ok(())
    }

    /// Starts again with more environment, this time only. False when it ends before it is up.
    ///
    /// # Errors
    /// When it neither comes up nor ends.
    pub async fn restart_with(&mut self, env: &[(String, String)]) -> anyhow::Result<bool> {
        anyhow::ensure!(self.running.is_none(), "the gateway runs already");
        let file = self.data().join("addresses.json");
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_file())?;
        let mut child = self
            .command(&["serve"], &[&self.setup.env[..], env].concat())?
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start the gateway")?;
        let pid = child.id();
        let came_up = until("the gateway starts", START_MAX, || {
            let seen = match (child.try_wait(), read_addresses(&file)) {
                (Ok(Some(_)), _) => Seen::Done(None),
                (_, Some(addresses)) if Some(addresses.pid) == pid => Seen::Done(Some(addresses)),
                _ => Seen::NotYet("no addresses.json".into()),
            };
            std::future::ready(Ok(seen))
        });
        let addresses = came_up
            .await
            .map_err(|error| error.context(self.log_tail()))?;
        self.running = addresses.map(|addresses| Running { child, addresses });
        Ok(self.running.is_some())
    }

    /// Writes another `plugins.toml`; a running gateway takes it over.
    ///
    /// # Errors
    /// When a guest is missing or the folder cannot be written.
    pub fn change_plugins(&mut self, plugins: PluginsFile) -> anyhow::Result<()> {
        plugins.write(self.folder())?;
        self.setup.plugins = plugins;
        Ok(())
    }

    fn command(&self, arguments: &[&str], env: &[(String, String)]) -> anyhow::Result<Command> {
        let mut command = Command::new(binary()?);
        command
            .args(arguments)
            .current_dir(self.folder())
            .env_clear()
            .envs(
                std::env::vars_os()
                    .filter(|(name, _)| !name.to_string_lossy().starts_with("DUET_")),
            )
            .env("DUET_LISTEN", "127.0.0.1:0")
            .env("DUET_ADMIN_LISTEN", "127.0.0.1:0")
            .env("DUET_DATA", self.data())
            .env("DUET_PLUGINS", self.folder().join("plugins.toml"))
            .env("DUET_APP_SECRET", APP_SECRET)
            .env("DUET_VERIFY_TOKEN", VERIFY_TOKEN)
            .env("DUET_ADMIN_TOKEN", ADMIN_TOKEN)
            .env("DUET_ACCESS_TOKEN", ACCESS_TOKEN)
            .env("DUET_GRAPH_URL", &self.setup.graph_url)
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Ok(command)
    }

    /// `duet` with these arguments and the gateway's own settings, beside it; the answer is how it ended and what
    /// it said.
    ///
    /// # Errors
    /// When it does not end by itself.
    pub async fn duet(&self, arguments: &[&str]) -> anyhow::Result<(ExitStatus, String)> {
        let mut command = self.command(arguments, &self.setup.env)?;
        let output = tokio::time::timeout(STOP_MAX, command.output())
            .await
            .context("it went on")??;
        let words = [output.stdout, output.stderr].concat();
        Ok((output.status, String::from_utf8_lossy(&words).into_owned()))
    }

    /// `duet` as after `| head` has seen enough: nobody reads what it says.
    ///
    /// # Errors
    /// When it does not end by itself.
    pub async fn duet_unread(&self, arguments: &[&str]) -> anyhow::Result<ExitStatus> {
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        let mut command = self.command(arguments, &self.setup.env)?;
        let status = command.stdout(writer).status();
        Ok(tokio::time::timeout(STOP_MAX, status)
            .await
            .context("it went on")??)
    }

    /// The power is cut.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill9(&mut self) -> anyhow::Result<()> {
        let mut running = self.running.take().context("the gateway does not run")?;
        running.child.kill().await?;
        Ok(())
    }

    /// Waits until the process has ended by itself, as at a failpoint. False when it still runs then.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn died_within(&mut self, at_most: Duration) -> anyhow::Result<bool> {
        let running = self.running.as_mut().context("the gateway does not run")?;
        let died = tokio::time::timeout(at_most, running.child.wait())
            .await
            .is_ok();
        if died {
            self.running = None;
        }
        Ok(died)
    }

    /// Asks it to stop (SIGTERM) and waits.
    ///
    /// # Errors
    /// When it does not stop in time.
    pub async fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        self.ask_to_stop()?;
        let mut running = self.running.take().context("the gateway does not run")?;
        tokio::time::timeout(STOP_MAX, running.child.wait())
            .await
            .with_context(|| format!("the gateway did not stop; {}", self.log_tail()))?
            .context("cannot wait for the gateway")
    }

    /// Sends SIGTERM.
    ///
    /// # Errors
    /// When it does not run.
    pub fn ask_to_stop(&self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid()?)?;
        kill_process(Pid::from_raw(pid).context("no process id")?, Signal::TERM)?;
        Ok(())
    }

    /// The end of a test: stops it, wants a clean exit, and clears the folder away.
    ///
    /// # Errors
    /// When it did not exit with 0.
    pub async fn end(mut self) -> anyhow::Result<()> {
        if self.running.is_some() {
            let status = self.stop().await?;
            anyhow::ensure!(
                status.success(),
                "the gateway stopped with {status}; {}",
                self.log_tail()
            );
        }
        self.ended = true;
        Ok(())
    }

    /// # Errors
    /// When it does not run.
    pub fn pid(&self) -> anyhow::Result<u32> {
        Ok(self.running()?.addresses.pid)
    }

    /// Address of the public listener, `http://127.0.0.1:<port>`.
    ///
    /// # Errors
    /// When it does not run.
    pub fn url(&self) -> anyhow::Result<String> {
        Ok(format!("http://{}", self.listen()?))
    }

    /// # Errors
    /// When it does not run.
    pub fn listen(&self) -> anyhow::Result<&str> {
        Ok(&self.running()?.addresses.listen)
    }

    /// # Errors
    /// When it does not run.
    pub fn webhook(&self) -> anyhow::Result<String> {
        Ok(format!("{}/webhook", self.url()?))
    }

    /// Posts webhooks with the right secret.
    ///
    /// # Errors
    /// When it does not run.
    pub fn meta(&self) -> anyhow::Result<Meta> {
        Meta::new(self.webhook()?, APP_SECRET)
    }

    /// # Errors
    /// When it does not run.
    pub fn admin(&self) -> anyhow::Result<Admin> {
        Admin::new(
            format!("http://{}", self.running()?.addresses.admin),
            ADMIN_TOKEN,
        )
    }

    fn running(&self) -> anyhow::Result<&Running> {
        self.running.as_ref().context("the gateway does not run")
    }

    /// The folder of this test: `plugins.toml`, components, log, and the data unless it is elsewhere.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `DUET_DATA`.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.setup
            .data
            .clone()
            .unwrap_or_else(|| self.folder().join("data"))
    }

    fn log_file(&self) -> PathBuf {
        // Apart from plugins.toml: the gateway watches that folder.
        self.folder().join("log").join("gateway.log")
    }

    /// Everything that it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read(self.log_file())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        let from = lines.len().saturating_sub(LOG_TAIL_LINES);
        format!(
            "end of its log:\n{}",
            lines.get(from..).unwrap_or_default().join("\n")
        )
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if !self.ended {
            self.folder.disable_cleanup(true);
            eprintln!("kept for a look: {}", self.folder().display());
        }
    }
}

fn read_addresses(file: &Path) -> Option<Addresses> {
    serde_json::from_slice(&std::fs::read(file).ok()?).ok()
}

/// `DUET_BIN`, else the debug build beside this test.
fn binary() -> anyhow::Result<PathBuf> {
    let path = match std::env::var_os("DUET_BIN") {
        Some(path) => PathBuf::from(path),
        None => target_folder()?.join("debug").join("duet"),
    };
    if !path.exists() {
        bail!(
            "{} is missing; run: cargo build -p duet --features failpoints",
            path.display()
        );
    }
    Ok(path.canonicalize()?)
}

/// The target folder that this test was built into.
///
/// # Errors
/// When the test does not run from a target folder.
pub fn target_folder() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    // <target>/<profile>/deps/<test>
    let folder = own
        .ancestors()
        .nth(3)
        .context("the test does not run from a target folder")?;
    Ok(folder.to_owned())
}
