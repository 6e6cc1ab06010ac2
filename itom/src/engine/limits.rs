//! The engine's bounds, each with its default and what happens beyond it.

use std::time::Duration;

use itom_core::BatchLimits;

/// Bounds of the engine's queues and patience. Every queue has one; what is lost beyond it is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineLimits {
    /// Batches that wait to be stored. When full, runs go on to their end but are not taken in, and the scheduler starts
    /// no new ones in their place. While the store refuses, everything is taken in for the sake of samples and alerts,
    /// and the facts of the oldest that do not fit are dropped and counted in
    /// `itom_engine_dropped_total{reason="facts"}`. Default 64.
    pub batches: usize,
    /// Batches from listeners and [`submit`](crate::EngineHandle::submit) that wait. When full, the newest is refused
    /// and counted in `itom_engine_dropped_total{reason="submitted"}`. Default 256.
    pub submitted: usize,
    /// Commands from handles that wait. When full, the command is refused with
    /// [`HandleError::Busy`](crate::HandleError::Busy). Default 256.
    pub commands: usize,
    /// Observations and faults of one run. Default as in [`BatchLimits`].
    pub batch: BatchLimits,
    /// How long a store that refuses is left alone before it is tried again; doubles up to 32 times this. Default 1 s.
    pub store_retry: Duration,
    /// How long shutdown waits for running collectors, the store and notifiers together. Default 10 s.
    pub grace: Duration,
    /// How often the engine reports on itself. Default 15 s.
    pub self_every: Duration,
    /// How long rules wait after the start for every collector to have run once: what was not asked yet must not look
    /// like missing data. Default 45 s.
    pub warm_up: Duration,
    /// How often old facts are summed up when a [`retention`](crate::EngineBuilder::retention) is set, counted from 02:00
    /// UTC. It waits until nothing is collected or stored, for an hour at most; while the store applies it, nothing is
    /// appended. Default 24 h.
    pub compact_every: Duration,
    /// After how many facts a [snapshot](itom_cmdb::store::Snapshot) is kept beside them, in a store that keeps one, as
    /// is done at the end, so that the next opening is quick: only what came after it is taken in moment by moment.
    /// `u64::MAX`: at the end only. Default 10,000.
    pub snapshot_every: u64,
}

impl Default for EngineLimits {
    fn default() -> Self {
        Self {
            batches: 64,
            submitted: 256,
            commands: 256,
            batch: BatchLimits::default(),
            store_retry: Duration::from_secs(1),
            grace: Duration::from_secs(10),
            self_every: Duration::from_secs(15),
            warm_up: Duration::from_secs(45),
            compact_every: Duration::from_secs(86_400),
            snapshot_every: 10_000,
        }
    }
}
