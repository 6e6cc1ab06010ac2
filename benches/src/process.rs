//! What a process has used, from `/proc`.

use std::io;

/// CPU seconds, of the finished threads too: nanoseconds for this process, clock ticks of 10 ms for others.
///
/// # Errors
/// When `/proc` cannot be read: not Linux, or the process is gone.
pub fn cpu_seconds(pid: u32) -> io::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields = after_name.split_whitespace().skip(11).take(2);
    let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
    if pid == std::process::id() {
        // Exact for programs of one thread, which the ones that measure themselves are.
        let schedule = std::fs::read_to_string("/proc/thread-self/schedstat")?;
        let nanos: u64 = schedule.split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or(0);
        return Ok(nanos as f64 / 1e9);
    }
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
