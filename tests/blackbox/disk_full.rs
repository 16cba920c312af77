//! A full disk: Meta is asked to keep its webhooks (503), nothing that was acknowledged is lost, and the
//! gateway recovers by itself when there is room again. Needs root for a small tmpfs.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::ensure;
use duet_sim::{Config, DeliveryRules, Sim, StatusDelays};
use duet_tests::checker::Checker;
use duet_tests::flood::{Amount, Element, Flood};
use duet_tests::plugins_file::PluginsFile;
use duet_tests::wait::{Seen, until};
use duet_tests::{Gateway, Setup, gateway, webhook};

const PATIENCE: Duration = Duration::from_secs(60);

/// A tmpfs of its own, gone with the handle.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    fn mount(bytes: usize) -> anyhow::Result<SmallDisk> {
        let folder = tempfile::Builder::new()
            .prefix("duet-small-disk-")
            .tempdir()?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "duet-test"])
            .arg(folder.path())
            .status()?;
        ensure!(mounted.success(), "mount: {mounted}");
        Ok(SmallDisk { folder })
    }

    /// Takes all the room that is left; the answer is the file that holds it.
    fn fill(&self) -> anyhow::Result<PathBuf> {
        let path = self.folder.path().join("filler");
        let mut file = std::fs::File::create(&path)?;
        let mut block = vec![0; 1 << 20];
        while !block.is_empty() {
            // Down to the last page.
            if file.write_all(&block).is_err() {
                block.truncate(block.len() / 2);
            }
        }
        Ok(path)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .arg("-l")
            .arg(self.folder.path())
            .status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_gives_503_loses_nothing_and_heals() -> anyhow::Result<()> {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: a small tmpfs can only be mounted by root");
        return Ok(());
    }
    let disk = SmallDisk::mount(64 << 20)?;
    let sim = Sim::start(Config {
        statuses: StatusDelays::sent(20),
        delivery: DeliveryRules {
            retry_first_ms: 200,
            retry_max_ms: 500,
            ..DeliveryRules::default()
        },
        ..gateway::open_sim()
    })
    .await?;
    let setup = Setup {
        data: Some(disk.path().join("data")),
        ..Setup::default()
    }
    .graph(sim.url())
    .plugins(PluginsFile::probe("bot", 0))
    .env("DUET_UNKNOWN_HOLD_SECONDS", 2)
    // More goes through the one number than Meta would take.
    .env("DUET_SENDING_NUMBER_PER_SECOND", 100_000)
    .env("DUET_SENDING_PAIR_BURST", 100_000);
    let gateway = Gateway::start(setup).await?;
    sim.set_webhook(gateway.webhook()?);
    let (meta, admin) = (gateway.meta()?, gateway.admin()?);
    admin.plugins_run(PATIENCE).await?;
    let (flood, mut checker) = (Flood::new(1, 96), Checker::default());
    flood
        .run(
            &meta,
            Amount {
                bodies: 300,
                per_second: 1000,
            },
        )
        .await?;

    let filler = disk.fill()?;
    let mut refused = 0;
    for round in 0..20 {
        let id = format!("wamid.full.{round}");
        let body = webhook::text("919600000001", &id, &"x".repeat(200_000));
        let status = flood
            .post(&meta, &body, vec![Element::text(&id, "919600000001")])
            .await?;
        ensure!(
            [200, 503].contains(&status),
            "a full disk is answered {status}"
        );
        refused += u32::from(status == 503);
    }
    ensure!(refused > 0, "4 MB went onto a full disk");
    flood
        .run(
            &meta,
            Amount {
                bodies: 200,
                per_second: 1000,
            },
        )
        .await?;
    ensure!(admin.open("/healthz").await?.0 == 200, "it is alive");

    std::fs::remove_file(filler)?;
    let first = webhook::text("919600000002", "wamid.healed", "now?");
    until("webhooks are taken again", PATIENCE, || async {
        let status = flood.post(&meta, &first, vec![]).await?;
        Ok(Seen::when(status == 200, (), || {
            format!("answered {status}")
        }))
    })
    .await?;
    ensure!(
        flood
            .post(
                &meta,
                &first,
                vec![Element::text("wamid.healed", "919600000002")]
            )
            .await?
            == 200
    );
    ensure!(admin.open("/readyz").await?.0 == 200, "it is ready");
    let repeated = flood.retry(&meta).await?;
    let round = checker.check(&flood.take(), &admin, &sim, PATIENCE).await?;
    println!("measured: {refused} of 20 large bodies refused, {repeated} bodies repeated; {round}");
    gateway.end().await
}
