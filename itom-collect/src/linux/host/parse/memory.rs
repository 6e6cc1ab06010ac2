//! `/proc/meminfo`, `/proc/vmstat`.

use super::super::scan::{Garbled, each, number, words};

/// One line of `/proc/meminfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemoryLine<'a> {
    /// The name as the kernel writes it: `Active(anon)`.
    pub(crate) name: &'a [u8],
    /// The number as written.
    pub(crate) value: u64,
    /// Whether it counts KiB; else it is a plain count.
    pub(crate) in_kib: bool,
}

impl MemoryLine<'_> {
    /// The number in bytes, or the plain count.
    pub(crate) fn scaled(&self) -> f64 {
        if self.in_kib { self.value as f64 * 1024.0 } else { self.value as f64 }
    }
}

/// `/proc/meminfo` (proc_meminfo(5)).
pub(crate) fn parse_meminfo(bytes: &[u8]) -> impl Iterator<Item = Result<MemoryLine<'_>, Garbled>> {
    each(bytes, |line| {
        let mut words = words(line);
        let name = words.next()?.strip_suffix(b":")?;
        let value = number(words.next()?)?;
        let in_kib = match words.next() {
            None => false,
            Some(b"kB") => true,
            Some(_) => return None,
        };
        Some(MemoryLine { name, value, in_kib })
    })
}

/// node_exporter's metric name of a line: `Active(anon)` in kB is `node_memory_Active_anon_bytes`.
pub(crate) fn memory_metric(line: &MemoryLine<'_>) -> String {
    let mut name = String::from("node_memory_");
    for byte in line.name {
        match byte {
            b'(' => name.push('_'),
            b')' => {}
            byte if byte.is_ascii_alphanumeric() => name.push(char::from(*byte)),
            _ => name.push('_'),
        }
    }
    if line.in_kib {
        name.push_str("_bytes");
    }
    name
}

/// `/proc/vmstat`: names and counts.
pub(crate) fn parse_vmstat(bytes: &[u8]) -> impl Iterator<Item = Result<(&[u8], u64), Garbled>> {
    each(bytes, |line| {
        let mut words = words(line);
        Some((words.next()?, number(words.next()?)?))
    })
}

/// node_exporter's default choice of `/proc/vmstat`: `^(oom_kill|pgpg|pswp|pg.*fault).*`.
pub(crate) fn is_wanted_vmstat(name: &[u8]) -> bool {
    name.starts_with(b"oom_kill")
        || name.starts_with(b"pgpg")
        || name.starts_with(b"pswp")
        || name.strip_prefix(b"pg").is_some_and(|rest| rest.windows(5).any(|part| part == b"fault"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_node_exporter() {
        let text = b"MemTotal:       24684100 kB\nActive(anon):       1572 kB\nHugePages_Total:       3\nOdd: 3 MB\n";
        let lines: Vec<_> = parse_meminfo(text).collect();
        let named: Vec<_> = lines.iter().flatten().map(|line| (memory_metric(line), line.scaled())).collect();
        assert_eq!(
            named,
            [
                ("node_memory_MemTotal_bytes".to_owned(), 24_684_100.0 * 1024.0),
                ("node_memory_Active_anon_bytes".to_owned(), 1572.0 * 1024.0),
                ("node_memory_HugePages_Total".to_owned(), 3.0),
            ]
        );
        assert_eq!(lines[3], Err(Garbled));
    }

    #[test]
    fn vmstat_is_filtered() {
        let wanted: Vec<_> = parse_vmstat(
            b"nr_free_pages 1\npgpgin 2\npgmajfault 3\npgfault 4\npswpin 5\noom_kill 6\npgalloc_dma 7\n",
        )
        .flatten()
        .filter(|(name, _)| is_wanted_vmstat(name))
        .map(|(_, value)| value)
        .collect();
        assert_eq!(wanted, [2, 3, 4, 5, 6]);
    }
}
