//! What a process has used, from `/proc`.

use std::io;
use std::time::Duration;

/// What this process has computed, all its threads together. Other work on the machine does not count.
#[must_use]
pub fn own_cpu() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// What came out, and the CPU time that it took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let started = own_cpu();
    let answer = work();
    (answer, own_cpu().saturating_sub(started))
}

/// CPU seconds of a process, of its finished threads too, in clock ticks of 10 ms.
///
/// # Errors
/// When `/proc` cannot be read: not Linux, or the process is gone.
pub fn cpu_seconds(pid: u32) -> io::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields = after_name.split_whitespace().skip(11).take(2);
    let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(ticks as f64 / 100.0)
}

/// Resident bytes.
///
/// # Errors
/// As [`cpu_seconds`].
pub fn resident_bytes(pid: u32) -> io::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap_or(0);
    Ok(kib * 1024)
}
