//! The collector of processes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use itom_core::{Batch, Coverage, ErrorKind, Key, Scope, kind};

use super::{Arguments, Faults, KernelThreads, PROCESS, Process, ProcessReader, ProcessTable, emit};
use crate::linux::identity;
use crate::{CollectContext, CollectError, Collector, Descriptor};

/// How many processes are read between two looks at the clock.
const STEP: usize = 64;

/// Every process of the machine: what runs, as whom, since when, in which container or unit, and what it uses.
///
/// Items are of kind [`PROCESS`](kind::PROCESS) with the native id `proc:<pid>:<start>`, where `start` is in clock ticks
/// since boot: a pid that is used again makes another item. Containers found through control groups are items too.
///
/// ```
/// use itom_collect::linux::process::{Arguments, ProcessCollector};
/// let collector = ProcessCollector::new().arguments(Arguments::Withheld).samples(50);
/// # let _ = collector;
/// ```
#[derive(Debug)]
pub struct ProcessCollector {
    root: PathBuf,
    host: Option<Key>,
    arguments: Arguments,
    kernel_threads: KernelThreads,
    samples: usize,
}

impl Default for ProcessCollector {
    fn default() -> Self {
        Self::new()
    }
}

impl ProcessCollector {
    /// Reads the machine it runs on, without kernel threads, redacts arguments, and samples the 20 busiest processes.
    #[must_use]
    pub fn new() -> Self {
        Self {
            root: PathBuf::from("/"),
            host: None,
            arguments: Arguments::default(),
            kernel_threads: KernelThreads::default(),
            samples: 20,
        }
    }

    /// Reads the machine whose root file system is at `root` (`/host` in a container).
    #[must_use]
    pub fn root(self, root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), ..self }
    }

    /// Sets the key of the host the processes run on, instead of the one found on the machine.
    #[must_use]
    pub fn with_host_key(self, key: Key) -> Self {
        Self { host: Some(key), ..self }
    }

    /// Sets what of command lines is reported.
    #[must_use]
    pub fn arguments(self, arguments: Arguments) -> Self {
        Self { arguments, ..self }
    }

    /// Sets whether kernel threads are processes.
    #[must_use]
    pub fn kernel_threads(self, kernel_threads: KernelThreads) -> Self {
        Self { kernel_threads, ..self }
    }

    /// Sets how many processes are sampled: those that used most CPU time since they started come first.
    #[must_use]
    pub fn samples(self, most: usize) -> Self {
        Self { samples: most, ..self }
    }
}

#[async_trait]
impl Collector for ProcessCollector {
    fn descriptor(&self) -> Descriptor {
        Descriptor::new("linux.process").emits(kind::PROCESS).emits(kind::CONTAINER)
    }

    async fn collect(&self, cx: &CollectContext, batch: &mut Batch) -> Result<Coverage, CollectError> {
        let mut faults = Faults::default();
        let table = read_table(&self.root, self.kernel_threads, cx, &mut faults).await?;
        let host = identity::host_of(self.host.as_ref(), &self.root)?;
        let chosen: BTreeSet<u32> = table.processes.keys().copied().collect();
        emit::processes(batch, &table, &chosen, &host, self.arguments, "all");
        cx.checkpoint().await?;
        let mut busiest: Vec<&Process> = table.processes.values().collect();
        busiest.sort_by_key(|process| (std::cmp::Reverse(process.cpu_ticks), process.pid));
        busiest.truncate(self.samples);
        emit::samples(batch, &table, busiest);
        faults.report(batch);
        let limits = |groups: bool| {
            if table.hidden {
                Some((ErrorKind::Denied, "/proc hides the processes of others (hidepid)"))
            } else if faults.has(PROCESS) {
                Some((ErrorKind::Unavailable, "some processes are there and could not be read"))
            } else if groups && faults.has("/proc/PID/cgroup") {
                Some((ErrorKind::Unavailable, "the control groups of some processes could not be read"))
            } else {
                None
            }
        };
        let mut coverage = Coverage::new();
        for (scope, limit) in
            [(Scope::cis(kind::PROCESS), limits(false)), (Scope::cis(kind::CONTAINER), limits(true))]
        {
            match limit {
                Some((kind, reason)) => coverage.add_partial(scope, kind, reason),
                None => coverage.add_complete(scope),
            }
        }
        Ok(coverage)
    }
}

/// Reads all processes, looking at the clock between steps.
pub(crate) async fn read_table(
    root: &Path,
    kernel_threads: KernelThreads,
    cx: &CollectContext,
    faults: &mut Faults,
) -> Result<ProcessTable, CollectError> {
    let mut reader = ProcessReader::new(root, kernel_threads);
    let (mut table, pids) = reader.begin().map_err(|error| CollectError::io("/proc", error))?;
    for (index, pid) in pids.into_iter().enumerate() {
        if index % STEP == 0 {
            cx.checkpoint().await?;
        }
        if let Some(process) = reader.read(pid, faults) {
            table.processes.insert(pid, process);
        }
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use itom_core::{Observation, SourceName, SystemClock};

    use super::*;
    use crate::Cancel;
    use itom_core::Clock as _;

    #[test]
    fn finds_itself_and_covers_processes() {
        let clock = Arc::new(SystemClock::new());
        let now = clock.now();
        let cx = CollectContext::new(clock, now + Duration::from_secs(30), Cancel::new());
        let mut batch = Batch::new(SourceName::literal("test"), now);
        let coverage = futures::executor::block_on(ProcessCollector::new().collect(&cx, &mut batch))
            .expect("reads /proc");
        let own = std::process::id();
        let found = batch.items().iter().any(|item| {
            matches!(item, Observation::Ci(ci)
                if ci.attributes.get(&itom_core::attr::PROCESS_PID).and_then(|pid| pid.as_int()) == Some(i64::from(own))
                    && ci.keys.len() == 1)
        });
        assert!(found);
        assert!(batch.faults().len() < 8, "faults are one line for each kind of file: {:?}", batch.faults());
        assert_eq!(coverage.covers_ci(&kind::PROCESS, None), coverage.partial_scopes().is_empty());
    }

    #[test]
    fn a_cancelled_run_stops() {
        let clock = Arc::new(SystemClock::new());
        let now = clock.now();
        let cancel = Cancel::new();
        cancel.cancel();
        let cx = CollectContext::new(clock, now + Duration::from_secs(30), cancel);
        let mut batch = Batch::new(SourceName::literal("test"), now);
        let error = futures::executor::block_on(ProcessCollector::new().collect(&cx, &mut batch));
        assert!(matches!(error, Err(CollectError::Cancelled)));
    }
}
