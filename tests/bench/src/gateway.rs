//! The real gateway and the sim, each in a process of its own.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use ureq::Agent;

use crate::APP_SECRET;

const TOKEN: &str = "bench-token";
const WAIT_MAX: Duration = Duration::from_secs(300);

/// A process that is killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    agent: Agent,
    /// Admin API of the gateway, play face of the sim.
    base: String,
}

/// Where the gateway listens.
pub(crate) struct Gateway {
    pub(crate) process: Process,
    pub(crate) public: SocketAddr,
    /// From the start of the process until it was ready.
    pub(crate) ready_after: Duration,
}

impl Process {
    fn start(mut command: Command, base: String) -> Result<Process> {
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("DUET_"))
        {
            if command.get_envs().all(|(own, _)| own != name) {
                command.env_remove(name);
            }
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let agent = Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(30)))
            .proxy(None)
            .build()
            .into();
        Ok(Process { child, agent, base })
    }

    pub(crate) fn get(&self, path: &str) -> Result<String> {
        let request = self
            .agent
            .get(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {TOKEN}"));
        Ok(request
            .call()?
            .body_mut()
            .with_config()
            .limit(1 << 30)
            .read_to_string()?)
    }

    pub(crate) fn json(&self, path: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.get(path)?)?)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<()> {
        self.agent
            .post(format!("{}{path}", self.base))
            .send_json(body)?;
        Ok(())
    }

    /// Sum of a metric over its labels.
    pub(crate) fn metric(&self, name: &str) -> Result<f64> {
        let text = self.get("/metrics")?;
        let of_name = |line: &&str| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with([' ', '{']))
        };
        Ok(text
            .lines()
            .filter(of_name)
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum())
    }

    /// Resident memory in MB.
    pub(crate) fn resident_mb(&self) -> Result<f64> {
        self.memory_mb("VmRSS:")
    }

    /// The same at its highest so far.
    pub(crate) fn peak_mb(&self) -> Result<f64> {
        self.memory_mb("VmHWM:")
    }

    /// Files and pipes that are open, and sockets.
    pub(crate) fn open_files(&self) -> Result<(u64, u64)> {
        let (mut files, mut sockets) = (0, 0);
        for file in fs::read_dir(format!("/proc/{}/fd", self.child.id()))? {
            match fs::read_link(file?.path()) {
                Ok(link) if link.to_string_lossy().starts_with("socket:") => sockets += 1,
                Ok(_) => files += 1,
                // Closed meanwhile.
                Err(_) => {}
            }
        }
        Ok((files, sockets))
    }

    fn memory_mb(&self, name: &str) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB"));
        Ok(kib.context("no such figure")?.trim().parse::<f64>()? / 1024.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Gateway {
    /// Starts on the data in `folder`, which may be empty, and waits until it is ready.
    pub(crate) fn start(duet: &Path, folder: &Path, plugins: &str, graph: &str) -> Result<Gateway> {
        fs::create_dir_all(folder)?;
        let file: PathBuf = folder.with_extension("plugins.toml");
        fs::write(&file, plugins)?;
        let addresses = folder.join("addresses.json");
        let _ = fs::remove_file(&addresses);
        let mut command = Command::new(duet);
        command
            .arg("serve")
            .env("DUET_LISTEN", "127.0.0.1:0")
            .env("DUET_ADMIN_LISTEN", "127.0.0.1:0");
        command
            .env("DUET_DATA", folder)
            .env("DUET_PLUGINS", &file)
            .env("DUET_GRAPH_URL", graph)
            .env("DUET_SENDING_NUMBER_PER_SECOND", "100000")
            .env("DUET_SENDING_PAIR_BURST", "100000");
        command
            .env("DUET_APP_SECRET", APP_SECRET)
            .env("DUET_VERIFY_TOKEN", TOKEN)
            .env("DUET_LOG_LEVEL", "warn");
        command
            .env("DUET_ACCESS_TOKEN", TOKEN)
            .env("DUET_ADMIN_TOKEN", TOKEN);
        let began = Instant::now();
        let mut process = Process::start(command, String::new())?;
        let address = |name: &str| -> Option<SocketAddr> {
            let told: Value = serde_json::from_slice(&fs::read(&addresses).ok()?).ok()?;
            told.get(name)?.as_str()?.parse().ok()
        };
        let (public, admin) = until("the gateway to start", || {
            Ok(address("listen").zip(address("admin")))
        })?;
        process.base = format!("http://{admin}");
        until("the gateway to be ready", || {
            Ok(process.get("/readyz").ok())
        })?;
        Ok(Gateway {
            process,
            public,
            ready_after: began.elapsed(),
        })
    }

    /// How the plugins of `plugins.toml` fare, up to a thousand.
    pub(crate) fn plugins(&self) -> Result<Vec<Value>> {
        let mut page = self.process.json("/api/v1/plugins?limit=1000")?;
        let plugins = page.get_mut("plugins").and_then(Value::as_array_mut);
        plugins.map(std::mem::take).context("no plugins")
    }

    /// Waits until so many plugins run, and nothing is said against any.
    pub(crate) fn plugins_run(&self, count: usize) -> Result<()> {
        until("the plugins to run", || {
            let plugins = self.plugins()?;
            let runs = |plugin: &Value| plugin["state"] == "ready" && plugin["cause"].is_null();
            Ok((plugins.len() == count && plugins.iter().all(runs)).then_some(()))
        })
    }

    /// Events that the plugins are done with.
    pub(crate) fn done(&self) -> Result<f64> {
        Ok(self
            .plugins()?
            .iter()
            .filter_map(|plugin| plugin.pointer("/events/done")?.as_f64())
            .sum())
    }
}

/// A sim whose customers may be written to at any time; webhooks go to `webhook`.
pub(crate) fn sim(duet: &Path, webhook: &str) -> Result<(Process, String)> {
    let port = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
    let mut command = Command::new(duet);
    command.args([
        "sim",
        "--open-window",
        "--unread",
        "--listen",
        &port.to_string(),
        "--webhook",
        webhook,
    ]);
    command.args(["--app-secret", APP_SECRET, "--token", TOKEN]);
    let base = format!("http://{port}");
    let process = Process::start(command, base.clone())?;
    until("the sim to start", || Ok(process.get("/sim/state").ok()))?;
    process.post("/sim/mood", &serde_json::json!({"rate_limits": false}))?;
    Ok((process, base))
}

/// Asks until there is an answer.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + WAIT_MAX;
    while Instant::now() < end {
        if let Some(found) = ask()? {
            return Ok(found);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    bail!("waited {} s for {what}", WAIT_MAX.as_secs())
}
