//! Each misbehaviour ends in its named fault, and hurts nobody else.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use duet::plugin::secrets::Secrets;
use duet::plugin::{Component, FaultKind, Outcome, PluginThreads};
use futures_util::future::join_all;

use crate::fixture::{admission_on, admit, call, component, instance, run};
use crate::world::MemoryWorld;

fn toml(limits: &str) -> String {
    named("misbehave", limits)
}

fn named(name: &str, limits: &str) -> String {
    format!(
        r#"
        [plugins.{name}]
        component = "misbehave.wasm"
        [plugins.{name}.messages]
        [plugins.{name}.contacts]
        [plugins.{name}.conversations]
        [plugins.{name}.store]
        [plugins.{name}.limits]
        {limits}
        "#
    )
}

#[tokio::test]
async fn each_misbehaviour_ends_in_its_named_fault() {
    let limits = r#"
        cpu_ms_max = 100
        wall_ms_max = 60000
        memory_bytes_max = "16MiB"
        host_calls_max = 50
        store_bytes_max = "100KiB"
        effects_max = 10
    "#;
    let plugin = admit("misbehave", &toml(limits)).await;
    let cases = [
        (
            "spin",
            FaultKind::Cpu,
            "cpu_ms_max in [plugins.misbehave.limits]",
        ),
        ("bursts 100000", FaultKind::Cpu, "more than 100 ms of CPU"),
        (
            "allocate",
            FaultKind::Memory,
            "more than 16777216 bytes of memory",
        ),
        ("recurse", FaultKind::Trap, "stack is exhausted"),
        ("panic", FaultKind::Trap, "as told"),
        ("trap", FaultKind::Trap, "unreachable"),
        ("exit", FaultKind::Trap, "exit"),
        ("shout 3000000", FaultKind::Transfer, "pass less at once"),
        (
            "bulky-end 3000000",
            FaultKind::Transfer,
            "pass less at once",
        ),
        ("garble", FaultKind::Trap, "no UTF-8"),
        ("garbled-end", FaultKind::Trap, "no UTF-8"),
        ("keep 102401", FaultKind::Store, "store_bytes_max"),
        ("keep 3000000", FaultKind::Transfer, "pass less at once"),
        ("keys 11", FaultKind::Effects, "effects_max"),
        ("calls 51", FaultKind::HostCalls, "more than 50 times"),
        ("effects 11", FaultKind::Effects, "effects_max"),
    ];
    for (mode, kind, words) in cases {
        let run = run(&plugin, mode).await;
        let Outcome::Fault(fault) = &run.outcome else {
            panic!("{mode}: {:?}", run.outcome)
        };
        assert_eq!(fault.kind, kind, "{mode}: {fault}");
        assert!(fault.message.contains(words), "{mode}: {fault}");
        assert!(run.effects.is_empty(), "{mode}");
        assert!(
            run.memory_peak_bytes <= 16 << 20,
            "{mode}: {}",
            run.memory_peak_bytes
        );
    }
    assert_eq!(run(&plugin, "well").await.outcome, Outcome::Done);
}

/// Whatever a run has listed is held until its commit, and listed again there.
#[tokio::test]
async fn a_run_that_lists_its_store_again_and_again_is_a_fault() {
    let limits = "host_calls_max = 100000\ncpu_ms_max = 10000";
    let plugin = admit("misbehave", &toml(limits)).await;
    assert_eq!(run(&plugin, "lists 10000").await.outcome, Outcome::Done);
    let Outcome::Fault(fault) = run(&plugin, "lists 10001").await.outcome else {
        panic!("it went on")
    };
    assert_eq!(fault.kind, FaultKind::Store);
    assert!(fault.message.contains("more than 10000 keys"), "{fault}");
}

#[tokio::test]
async fn a_run_that_takes_too_long_is_a_fault() {
    let plugin = admit("misbehave", &toml("wall_ms_max = 100")).await;
    let Outcome::Fault(fault) = run(&plugin, "wait 600000").await.outcome else {
        panic!("it waited")
    };
    assert_eq!(fault.kind, FaultKind::Wall);
    assert!(
        fault
            .message
            .contains("wall_ms_max in [plugins.misbehave.limits]"),
        "{fault}"
    );
}

#[tokio::test]
async fn what_stays_within_the_limits_is_done() {
    let limits = "host_calls_max = 50\nstore_bytes_max = \"100KiB\"\neffects_max = 10";
    let plugin = admit("misbehave", &toml(limits)).await;
    for mode in ["well", "keep 102400", "calls 49", "effects 10"] {
        assert_eq!(run(&plugin, mode).await.outcome, Outcome::Done, "{mode}");
    }
}

/// A deadline counted from the start of the call would stop it after 50 ms.
#[tokio::test]
async fn waiting_costs_no_cpu() {
    let plugin = admit("misbehave", &toml("cpu_ms_max = 50\nwall_ms_max = 600000")).await;
    let run = run(&plugin, "wait 500").await;
    assert_eq!(run.outcome, Outcome::Done);
    assert!(
        run.wall_us >= 500_000 && run.cpu_us <= 50_000,
        "wall {} cpu {}",
        run.wall_us,
        run.cpu_us
    );
}

/// With one thread, a guest that never returns would hold up everybody if it did not yield.
#[tokio::test]
async fn others_go_on_while_one_spins() {
    let admission = admission_on(PluginThreads::new(1, 16).unwrap());
    let misbehave = Component::new(component("misbehave"));
    let well = admission
        .admit(
            misbehave.clone(),
            instance(&named("well", "")),
            Secrets::default(),
        )
        .await
        .unwrap();
    let spinner = admission
        .admit(
            misbehave,
            instance(&named("spinner", "cpu_ms_max = 2000\nwall_ms_max = 600000")),
            Secrets::default(),
        )
        .await
        .unwrap();

    let (spun, seen) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let (end, look) = (Arc::clone(&spun), Arc::clone(&spun));
    let spinning = admission.spawn(async move {
        let outcome = run(&spinner, "spin").await.outcome;
        assert!(matches!(outcome, Outcome::Fault(fault) if fault.kind == FaultKind::Cpu));
        end.store(true, Ordering::Release);
    });
    // Behind the spinner, on the one thread that both have.
    let told = Arc::clone(&seen);
    let others = admission.spawn(async move {
        for round in join_all((0..20).map(|_| run(&well, "well"))).await {
            assert_eq!(round.outcome, Outcome::Done);
        }
        told.store(look.load(Ordering::Acquire), Ordering::Release);
    });
    others.await.unwrap();
    assert!(
        !seen.load(Ordering::Acquire),
        "the others had to wait for the end"
    );
    spinning.await.unwrap();
    assert!(spun.load(Ordering::Acquire));
}

/// So those that end soon never queue behind it.
#[tokio::test]
async fn a_run_that_computes_for_long_goes_on_among_long_ones() {
    let limits = "cpu_ms_max = 10000\nwall_ms_max = 600000";
    let plugin = admit("misbehave", &toml(limits)).await;
    let is_long = async |mode: &str| {
        let world = Arc::<MemoryWorld>::default();
        let run = plugin.run(call(mode, &world)).await;
        assert_eq!(run.outcome, Outcome::Done, "{mode}");
        let thread = world.read_on.lock().unwrap();
        thread.contains("duet-long")
    };
    // On a machine that gives idle threads no time they go on among the short ones for a while.
    let end = Instant::now() + Duration::from_secs(120);
    for mode in ["late 20", "late 0"] {
        while !is_long(mode).await {
            assert!(Instant::now() < end, "{mode} never did");
            is_long("late 20").await;
        }
    }
    while is_long("late 0").await {
        assert!(Instant::now() < end, "short ones do for ever");
    }
}

#[tokio::test]
async fn a_dropped_call_gives_its_place_back() {
    let admission = admission_on(PluginThreads::new(1, 1).unwrap());
    let instance = instance(&toml("wall_ms_max = 600000\ncpu_ms_max = 10000"));
    let plugin = admission
        .admit(
            Component::new(component("misbehave")),
            instance,
            Secrets::default(),
        )
        .await
        .unwrap();
    for mode in ["wait 600000", "spin"] {
        let cut = tokio::time::timeout(Duration::from_millis(100), run(&plugin, mode)).await;
        assert!(cut.is_err(), "{mode} came to an end");
        assert_eq!(
            run(&plugin, "well").await.outcome,
            Outcome::Done,
            "after {mode}"
        );
    }
}

#[tokio::test]
async fn a_flood_of_log_is_cut_off_with_a_mark() {
    let lines = captured_log();
    let plugin = admit("misbehave", &named("flooder", "log_bytes_max = \"10KiB\"")).await;
    assert_eq!(run(&plugin, "flood").await.outcome, Outcome::Done);
    assert_eq!(run(&plugin, "print 1048576").await.outcome, Outcome::Done);

    let log = lines.lock().unwrap();
    let log: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("flooder"))
        .collect();
    let bytes = |letter: &str| {
        log.iter()
            .map(|line| line.matches(letter).count())
            .max()
            .unwrap_or(0)
    };
    assert_eq!(
        log.iter()
            .filter(|line| line.contains("log_bytes_max"))
            .count(),
        2
    );
    assert_eq!(
        log.iter().filter(|line| line.contains("xxxx")).count(),
        10 * 1024 / 501
    );
    // What never ends is cut into lines of 1 KiB.
    assert_eq!((bytes("xxxxx"), bytes("yyyy")), (100, 256));
}

/// Everything that the process has logged since the first call.
fn captured_log() -> Arc<Log> {
    static LOG: OnceLock<Arc<Log>> = OnceLock::new();
    let log = LOG.get_or_init(|| {
        let log = Arc::<Log>::default();
        let writer = Arc::clone(&log);
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || Writer(Arc::clone(&writer)))
            .init();
        log
    });
    Arc::clone(log)
}

type Log = Mutex<String>;

struct Writer(Arc<Log>);

impl std::io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0
            .lock()
            .unwrap()
            .push_str(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
