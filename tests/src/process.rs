//! What the system says of a process.

use anyhow::Context;

/// Resident memory in bytes.
///
/// # Errors
/// When the process is gone, or the system has no `/proc`.
pub fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no VmRSS")?;
    let kib: u64 = line
        .split_whitespace()
        .next()
        .context("no figure")?
        .parse()?;
    Ok(kib * 1024)
}

/// Files, sockets and pipes that it has open.
///
/// # Errors
/// As [`resident_bytes`].
pub fn open_files(pid: u32) -> anyhow::Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// Time that its threads have computed in user mode, ms.
///
/// # Errors
/// As [`resident_bytes`].
pub fn user_ms(pid: u32) -> anyhow::Result<u64> {
    /// `USER_HZ`, fixed on Linux.
    const MS_IN_A_TICK: u64 = 10;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in brackets may hold spaces; `utime` is the twelfth field after it.
    let (_, rest) = stat.rsplit_once(')').context("no name")?;
    let ticks: u64 = rest
        .split_whitespace()
        .nth(11)
        .context("no utime")?
        .parse()?;
    Ok(ticks * MS_IN_A_TICK)
}
