//! A full disk refuses, loses nothing, and recovers by itself.

use duet_rules::webhook::Mentions;
use std::path::Path;
use std::process::Command;

use duet::store::StoreError;
use duet::store::intake::Part;
use duet::store::receipts::AppendError;

use super::bodies::ANA;
use super::house::{NOW_MS, open, record};

/// A small disk of its own; needs root.
struct Disk(tempfile::TempDir);

impl Disk {
    fn mount() -> Option<Disk> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m", "duet-test"])
            .arg(folder.path())
            .status()
            .is_ok_and(|status| status.success());
        mounted.then_some(Disk(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

fn fill(path: &Path) {
    use std::io::Write;
    let mut file = std::fs::File::create(path).unwrap();
    for bytes in [64 << 10, 4 << 10, 1] {
        while file.write(&vec![0; bytes]).is_ok_and(|written| written > 0) {}
    }
}

#[tokio::test]
async fn a_full_disk_refuses_loses_nothing_and_recovers() {
    let Some(disk) = Disk::mount() else {
        println!("skipped: mounting a small tmpfs needs root");
        return;
    };
    let (store, log) = open(disk.path());
    let body = |index: u32, bytes| {
        ANA.writes(&format!("3A{index:04}"), &"x".repeat(bytes))
            .to_string()
    };
    let first = log
        .append(body(0, 200_000).into(), NOW_MS, Mentions::default())
        .await
        .unwrap();
    let receipt = log.get(first).unwrap().unwrap();
    let ballast = disk.path().join("ballast");
    fill(&ballast);

    let mut refused = 0;
    let mut acknowledged = vec![first];
    for index in 1..100 {
        match log
            .append(body(index, 4000).into(), NOW_MS, Mentions::default())
            .await
        {
            Ok(id) => acknowledged.push(id),
            Err(AppendError::Disk(_)) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refused > 0);
    let place = duet::store::intake::Place {
        receipt: first,
        element: 0,
    };
    let slices = vec![super::house::slice(&receipt, Part::Live)];
    let recorded = store
        .record(Part::Live, slices, place, super::house::terms())
        .await;
    assert!(
        matches!(recorded, Err(StoreError::Unavailable(_))),
        "{recorded:?}"
    );
    assert!(store.events_after(0, 10).await.unwrap().is_empty());

    std::fs::remove_file(&ballast).unwrap();
    let after = log
        .append(body(100, 4000).into(), NOW_MS, Mentions::default())
        .await
        .unwrap();
    acknowledged.push(after);
    let stored: Vec<i64> = log
        .read_after(0, false, 64 << 20)
        .unwrap()
        .iter()
        .map(|receipt| receipt.id)
        .collect();
    assert_eq!(stored, acknowledged);
    record(&store, &receipt, Part::Live).await;
    record(&store, &log.get(after).unwrap().unwrap(), Part::Live).await;
    assert_eq!(store.events_after(0, 10).await.unwrap().len(), 2);
}
