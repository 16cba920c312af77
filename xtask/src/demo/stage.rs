//! The two processes of the demo: `duet sim`, which plays Meta and the phone, and `duet serve`.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use rustix::process::{Pid, Signal, kill_process};

use super::wire::{Wire, until};
use crate::house::House;

const APP_SECRET: &str = "demo-app-secret";
const VERIFY_TOKEN: &str = "demo-verify-token";
const ACCESS_TOKEN: &str = "demo-access-token";
const ADMIN_TOKEN: &str = "demo-admin-token";
/// Whatever the demo waits for takes milliseconds on an idle machine.
const WAIT_SECONDS_MAX: u64 = 30;
/// A gateway that does not end by itself within this time is killed.
const END_WAIT_MAX: Duration = Duration::from_secs(5);

/// The running demo. Dropping it ends both processes.
pub(super) struct Stage {
    pub(super) sim: Wire,
    pub(super) admin: Wire,
    log: PathBuf,
    processes: Mutex<Vec<(&'static str, Child)>>,
}

impl Stage {
    pub(super) fn start(house: &House, plugins: &Path) -> Result<Stage> {
        let folder = house.keep().join("demo");
        let data = folder.join("data");
        if data.exists() {
            fs::remove_dir_all(&data)
                .with_context(|| format!("cannot clear {}", data.display()))?;
        }
        fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
        let [meta, public, admin] = free_addresses()?;
        let logs = folder.join("log");
        fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
        let log = logs.join("duet.log");

        let mut sim = program(house, &folder, &logs.join("sim.log"))?;
        sim.args([
            "sim",
            "--listen",
            &meta,
            "--webhook",
            &format!("http://{public}/webhook"),
        ]);
        sim.env("DUET_APP_SECRET", APP_SECRET)
            .env("DUET_ACCESS_TOKEN", ACCESS_TOKEN)
            .env("DUET_VERIFY_TOKEN", VERIFY_TOKEN);
        let mut gateway = program(house, &folder, &log)?;
        gateway
            .arg("serve")
            .env("DUET_LISTEN", &public)
            .env("DUET_ADMIN_LISTEN", &admin);
        gateway
            .env("DUET_DATA", &data)
            .env("DUET_PLUGINS", plugins)
            .env("DUET_GRAPH_URL", format!("http://{meta}"));
        gateway
            .env("DUET_APP_SECRET", APP_SECRET)
            .env("DUET_VERIFY_TOKEN", VERIFY_TOKEN);
        gateway
            .env("DUET_ACCESS_TOKEN", ACCESS_TOKEN)
            .env("DUET_ADMIN_TOKEN", ADMIN_TOKEN);

        let stage = Stage {
            sim: Wire::new(format!("http://{meta}"), None),
            admin: Wire::new(format!("http://{admin}"), Some(ADMIN_TOKEN)),
            log,
            processes: Mutex::default(),
        };
        println!("▸ start a local Meta with a local phone: duet sim on {meta}");
        stage.keep("duet sim", sim)?;
        println!(
            "▸ start the gateway: duet serve with plugins from {}; its log is {}",
            plugins.display(),
            stage.log.display()
        );
        stage.keep("duet serve", gateway)?;
        stage.until("the sim to answer", || {
            stage.sim.get("/sim/state").map(Some)
        })?;
        stage.until("the gateway to be ready", || {
            stage.admin.get("/readyz").map(Some)
        })?;
        Ok(stage)
    }

    /// Asks until there is an answer; a process that has ended is reported at once.
    pub(super) fn until<T>(
        &self,
        what: &str,
        mut ask: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        until(what, WAIT_SECONDS_MAX, || match self.ended() {
            Some(ended) => Ok(Some(Err(anyhow!(
                "{ended}; its log is {}",
                self.log.display()
            )))),
            None => Ok(ask()?.map(Ok)),
        })?
    }

    /// The end of the gateway's log, for a demo that went wrong.
    pub(super) fn show_log(&self) {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        println!("\nThe last lines of {}:", self.log.display());
        lines
            .iter()
            .skip(lines.len().saturating_sub(25))
            .for_each(|line| println!("  {line}"));
    }

    /// The whole lines that the gateway has logged behind `place`, which moves on.
    pub(super) fn logged_since(&self, place: &mut usize) -> Vec<String> {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let new = text.get(*place..).unwrap_or_default();
        let new = new.get(..new.rfind('\n').map_or(0, |at| at + 1));
        let new = new.unwrap_or_default();
        *place += new.len();
        new.lines().map(str::to_owned).collect()
    }

    fn keep(&self, name: &'static str, mut command: Command) -> Result<()> {
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        self.processes
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push((name, child));
        Ok(())
    }

    fn ended(&self) -> Option<String> {
        let mut processes = self
            .processes
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        processes.iter_mut().find_map(|(name, child)| {
            child
                .try_wait()
                .ok()?
                .map(|status| format!("{name} has ended ({status})"))
        })
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let processes = self
            .processes
            .get_mut()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        // The gateway first: it may still have something to say to Meta.
        for (_, child) in processes.iter_mut().rev() {
            end(child);
        }
    }
}

fn end(child: &mut Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::TERM);
    }
    let killed_at = Instant::now() + END_WAIT_MAX;
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() >= killed_at {
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// `duet` with nothing of the user's own settings, in a folder of its own.
fn program(house: &House, folder: &Path, log: &Path) -> Result<Command> {
    let log = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut duet = Command::new(house.duet());
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("DUET_"))
    {
        duet.env_remove(name);
    }
    duet.current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    // Ctrl-C is for the demo, which ends both after its summary.
    duet.process_group(0);
    Ok(duet)
}

/// Addresses on loopback that were free a moment ago.
fn free_addresses<const N: usize>() -> Result<[String; N]> {
    let held: Vec<_> = (0..N)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<Result<_, _>>()?;
    let addresses: Vec<_> = held
        .iter()
        .map(|held| held.local_addr().map(|address| address.to_string()))
        .collect::<Result<_, _>>()?;
    addresses
        .try_into()
        .ok()
        .context("no free ports on loopback")
}
