//! `/proc/stat`, `/proc/loadavg`, `/proc/pressure/*`, `/proc/cpuinfo`.

use super::super::scan::{Garbled, each, fraction, lines, number, text, words};

/// One line of `/proc/stat` (proc_stat(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StatLine<'a> {
    /// One CPU, its times in USER_HZ: user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice.
    /// Columns an old kernel does not have are zero.
    Cpu { cpu: &'a [u8], ticks: [u64; 10] },
    /// Interrupts serviced since boot.
    Interrupts(u64),
    /// Context switches since boot.
    ContextSwitches(u64),
    /// Seconds since the epoch.
    BootTime(u64),
    /// Processes and threads created since boot.
    Forks(u64),
    /// Runnable tasks.
    Running(u64),
    /// Tasks waiting for I/O.
    Blocked(u64),
    /// The sum over CPUs, and whatever else a kernel writes.
    Other,
}

/// `/proc/stat`.
pub(crate) fn parse_stat(bytes: &[u8]) -> impl Iterator<Item = Result<StatLine<'_>, Garbled>> {
    each(bytes, |line| {
        let mut words = words(line);
        let name = words.next()?;
        if let Some(cpu) = name.strip_prefix(b"cpu") {
            if cpu.is_empty() {
                return Some(StatLine::Other);
            }
            number(cpu)?;
            let mut ticks = [0; 10];
            let mut columns = 0;
            for (slot, word) in ticks.iter_mut().zip(words) {
                *slot = number(word)?;
                columns += 1;
            }
            return (columns >= 4).then_some(StatLine::Cpu { cpu, ticks });
        }
        let make = match name {
            b"intr" => StatLine::Interrupts,
            b"ctxt" => StatLine::ContextSwitches,
            b"btime" => StatLine::BootTime,
            b"processes" => StatLine::Forks,
            b"procs_running" => StatLine::Running,
            b"procs_blocked" => StatLine::Blocked,
            _ => return Some(StatLine::Other),
        };
        number(words.next()?).map(make)
    })
}

/// `/proc/loadavg`: the load over 1, 5 and 15 minutes.
pub(crate) fn parse_loadavg(bytes: &[u8]) -> Result<[f64; 3], Garbled> {
    let mut words = words(lines(bytes).next().ok_or(Garbled)?);
    let mut load = [0.0; 3];
    for slot in &mut load {
        *slot = words.next().and_then(fraction).ok_or(Garbled)?;
    }
    Ok(load)
}

/// Who waits, of a pressure file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pressure {
    /// At least one task waits.
    Some,
    /// All tasks wait.
    Full,
}

/// `/proc/pressure/*`: microseconds lost since boot.
pub(crate) fn parse_pressure(bytes: &[u8]) -> impl Iterator<Item = Result<(Pressure, u64), Garbled>> {
    each(bytes, |line| {
        let mut words = words(line);
        let who = match words.next()? {
            b"some" => Pressure::Some,
            b"full" => Pressure::Full,
            _ => return None,
        };
        let total = words.find_map(|word| word.strip_prefix(b"total="))?;
        Some((who, number(total)?))
    })
}

/// What `/proc/cpuinfo` says that does not change within a boot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct CpuInfo {
    /// The model in words.
    pub(crate) model: Option<String>,
    /// Logical CPUs listed.
    pub(crate) count: usize,
    /// Whether the CPU says that it runs under a hypervisor (x86).
    pub(crate) hypervisor: bool,
}

/// `/proc/cpuinfo`; its fields differ between architectures.
pub(crate) fn parse_cpuinfo(bytes: &[u8]) -> CpuInfo {
    let mut info = CpuInfo::default();
    let mut fallback = None;
    for line in lines(bytes) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
        match name {
            b"processor" if number(value).is_some() => info.count += 1,
            b"model name" | b"cpu model" if info.model.is_none() => {
                info.model = Some(text(value).into_owned())
            }
            // POWER writes `cpu`, single-board ARM machines `Hardware` or `Model`, RISC-V `uarch`.
            b"cpu" | b"Hardware" | b"Model" | b"uarch" if fallback.is_none() => fallback = Some(value),
            b"flags" if !info.hypervisor => info.hypervisor = words(value).any(|flag| flag == b"hypervisor"),
            _ => {}
        }
    }
    info.model = info.model.or_else(|| fallback.map(|value| text(value).into_owned()));
    info.model = info.model.filter(|model| !model.is_empty());
    info
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_lines_are_told_apart() {
        let text = b"cpu  1 2 3 4\ncpu0 1 2 3 4 5 6 7 8 9 10\ncpu1 1 2 3 4\nintr 99 1 2\nctxt 7\nbtime 1700000000\nprocesses 5\nprocs_running 2\nprocs_blocked 0\nsoftirq 1 2\ncpux 1\n";
        let lines: Vec<_> = parse_stat(text).collect();
        assert_eq!(lines[0], Ok(StatLine::Other));
        assert_eq!(lines[1], Ok(StatLine::Cpu { cpu: b"0", ticks: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] }));
        assert_eq!(lines[2], Ok(StatLine::Cpu { cpu: b"1", ticks: [1, 2, 3, 4, 0, 0, 0, 0, 0, 0] }));
        assert_eq!(lines[3], Ok(StatLine::Interrupts(99)));
        assert_eq!(lines[5], Ok(StatLine::BootTime(1_700_000_000)));
        assert_eq!(lines[10], Err(Garbled));
    }

    #[test]
    fn loadavg_and_pressure_are_read() {
        assert_eq!(parse_loadavg(b"0.50 1.25 2.00 1/234 567\n"), Ok([0.5, 1.25, 2.0]));
        assert_eq!(parse_loadavg(b"0.50 x"), Err(Garbled));
        let lines: Vec<_> = parse_pressure(
            b"some avg10=0.00 avg60=0.07 avg300=0.76 total=21174276\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=3\nodd\n",
        )
        .collect();
        assert_eq!(lines, [Ok((Pressure::Some, 21_174_276)), Ok((Pressure::Full, 3)), Err(Garbled)]);
    }

    #[test]
    fn cpuinfo_of_two_architectures() {
        let x86 = b"processor\t: 0\nmodel name\t: Example CPU @ 2.00GHz\nflags\t\t: fpu hypervisor lm\n\nprocessor\t: 1\nmodel name\t: Example CPU @ 2.00GHz\n";
        let info = parse_cpuinfo(x86);
        assert_eq!(
            (info.model.as_deref(), info.count, info.hypervisor),
            (Some("Example CPU @ 2.00GHz"), 2, true)
        );
        let power = b"processor\t: 0\ncpu\t\t: POWER9, altivec supported\n";
        assert_eq!(parse_cpuinfo(power).model.as_deref(), Some("POWER9, altivec supported"));
    }
}
