//! Compiling: one component at a time, in a child process of low priority that fills wasmtime's own cache.
//!
//! Cranelift may need seconds and hundreds of megabytes for a component, and wasmtime does not promise that a
//! malicious one compiles in bounds. The child has a memory limit, a time limit and an empty environment; when it
//! is done, the parent finds the code in the cache.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Resource, Rlimit, Signal};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use wasmtime::component::Component;

use super::engine::PluginEngine;

const COMPILE_TIME_MAX: Duration = Duration::from_secs(120);
const COMPILE_MEMORY_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
const COMPILE_NICE: i32 = 10;
const CHILD_WORDS_MAX: u64 = 4 * 1024;
/// How the name of a file ends that is being compiled.
const COMPILING: &str = "compiling";

/// Compiled code, shared by all who run the same bytes.
pub(super) struct Compiled {
    pub(super) component: Component,
}

/// Compiles components, each digest once as long as somebody holds it.
pub struct Compiler {
    engine: Arc<PluginEngine>,
    cache_dir: PathBuf,
    /// The program that has the subcommand `compile`.
    program: PathBuf,
    compiled: Mutex<HashMap<String, Weak<Compiled>>>,
    turn: tokio::sync::Mutex<()>,
}

impl Compiler {
    /// `program` is usually the gateway itself, `std::env::current_exe()`. What another one has left half done in the cache
    /// is removed.
    pub fn new(engine: Arc<PluginEngine>, cache_dir: PathBuf, program: PathBuf) -> Self {
        for left in std::fs::read_dir(&cache_dir)
            .into_iter()
            .flatten()
            .flatten()
        {
            if left.path().extension().is_some_and(|end| end == COMPILING) {
                // It would only take room.
                let _ = std::fs::remove_file(left.path());
            }
        }
        Compiler {
            engine,
            cache_dir,
            program,
            compiled: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// `digest` is the SHA-256 of the bytes in hex.
    pub(super) async fn compile(
        &self,
        digest: &str,
        bytes: Arc<[u8]>,
    ) -> anyhow::Result<Arc<Compiled>> {
        // Changed settings of a component that is here need not wait for somebody else's turn.
        if let Some(compiled) = self.find(digest) {
            return Ok(compiled);
        }
        let _turn = self.turn.lock().await;
        if let Some(compiled) = self.find(digest) {
            return Ok(compiled);
        }
        self.fill_cache(digest, &bytes).await?;
        let engine = Arc::clone(&self.engine);
        let component = tokio::task::spawn_blocking(move || engine.compile(&bytes)).await??;
        let compiled = Arc::new(Compiled { component });
        self.keep(digest, &compiled);
        Ok(compiled)
    }

    fn find(&self, digest: &str) -> Option<Arc<Compiled>> {
        self.lock().get(digest)?.upgrade()
    }

    fn keep(&self, digest: &str, compiled: &Arc<Compiled>) {
        let mut kept = self.lock();
        kept.retain(|_, weak| weak.strong_count() > 0);
        kept.insert(digest.to_owned(), Arc::downgrade(compiled));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Weak<Compiled>>> {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fill_cache(&self, digest: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let file = self.cache_dir.join(format!("{digest}.{COMPILING}"));
        tokio::fs::write(&file, bytes)
            .await
            .with_context(|| format!("cannot write {}", file.display()))?;
        let compiled = self.run_child(&file).await;
        let _ = tokio::fs::remove_file(&file).await;
        compiled
    }

    async fn run_child(&self, file: &Path) -> anyhow::Result<()> {
        let mut child = Command::new(&self.program)
            .arg("compile")
            .arg(file)
            .arg("--cache")
            .arg(&self.cache_dir)
            // The gateway's environment holds secrets, and a compiler needs none of it.
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {} to compile", self.program.display()))?;
        // Dropping the child kills it.
        let (status, words) = tokio::time::timeout(COMPILE_TIME_MAX, finish(&mut child))
            .await
            .with_context(|| {
                format!(
                    "compiling took longer than {} s and was stopped",
                    COMPILE_TIME_MAX.as_secs()
                )
            })??;
        if !status.success() {
            bail!("compiling failed ({status}): {}", words.trim());
        }
        Ok(())
    }
}

/// How the child ended, and the beginning of what it said.
async fn finish(child: &mut Child) -> std::io::Result<(ExitStatus, String)> {
    let mut words = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        stderr.take(CHILD_WORDS_MAX).read_to_end(&mut words).await?;
    }
    Ok((
        child.wait().await?,
        String::from_utf8_lossy(&words).into_owned(),
    ))
}

/// The child's side, `duet compile <file> --cache <dir>`: compiles a component into the cache and nothing else.
pub fn compile_main(file: &Path, cache_dir: &Path) -> anyhow::Result<()> {
    limit_this_process()?;
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let engine = PluginEngine::new(cache_dir)?;
    engine.compile(&bytes)?;
    // wasmtime goes on when it cannot write, and the gateway would have to compile it all again.
    let misses = engine.cache_misses();
    engine.compile(&bytes)?;
    anyhow::ensure!(
        engine.cache_misses() == misses,
        "the code could not be kept in {}; is the disk full?",
        cache_dir.display()
    );
    Ok(())
}

fn limit_this_process() -> anyhow::Result<()> {
    // Where there is no such thing it goes on to its end when the gateway is killed.
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    // Without these it would only be slower for others, so a platform that refuses them is fine.
    let _ = rustix::process::nice(COMPILE_NICE);
    let bound = |amount| Rlimit {
        current: Some(amount),
        maximum: Some(amount),
    };
    rustix::process::setrlimit(Resource::As, bound(COMPILE_MEMORY_BYTES_MAX))
        .context("cannot limit memory")?;
    let _ = rustix::process::setrlimit(Resource::Cpu, bound(COMPILE_TIME_MAX.as_secs() * 2));
    Ok(())
}
