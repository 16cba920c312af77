//! Named places where a test may kill the process, as a power cut would: `DUET_FAILPOINT=<name>:<nth>`.
//! Compiled to nothing without the feature `failpoints`.

/// Kills the process when this is the place and the n-th pass that the test asked for.
#[cfg(feature = "failpoints")]
pub fn hit(name: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicI64, Ordering};
    static WANTED: LazyLock<Option<(String, AtomicI64)>> = LazyLock::new(|| {
        let wanted = std::env::var("DUET_FAILPOINT").ok()?;
        let (name, nth) = wanted.rsplit_once(':')?;
        Some((name.to_owned(), AtomicI64::new(nth.parse().ok()?)))
    });
    if let Some((wanted, left)) = WANTED.as_ref()
        && wanted == name
        && left.fetch_sub(1, Ordering::SeqCst) == 1
    {
        let own = rustix::process::getpid();
        let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
        // The signal may take a moment to arrive; nothing after this place may run.
        loop {
            std::thread::park();
        }
    }
}

#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn hit(_name: &str) {}
