//! The engine: the one place with a loop. It adapts the ports of the crates to each other and composes them.

mod alerting;
#[cfg(feature = "api")]
mod api;
mod builder;
mod closing;
mod compacting;
mod error;
mod event;
#[cfg(feature = "prometheus")]
mod groups;
mod handle;
mod ingest;
mod keeping;
mod limits;
mod listeners;
mod model;
#[cfg(feature = "prometheus")]
mod remember;
mod run;
mod samples;
mod shared;
mod status;
mod wake;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::channel::mpsc;
use itom_alert::notify::Notifier;
use itom_alert::outbox::Receiver;
use itom_alert::rule::Rule;
use itom_cmdb::ruleset::RuleSet;
use itom_cmdb::store::{Retention, Store};
use itom_cmdb::{Cmdb, CmdbConfig};
use itom_collect::listener::{BatchReceiver, batch_queue};
use itom_collect::{Collector, Listener, Schedule, SchedulerConfig};
use itom_core::{Clock, Evaluator, SourceName, Text};
use itom_metrics::SeriesStore;

pub use builder::EngineBuilder;
pub use error::{BuildError, HandleError, RunError};
pub use event::{Delivery, EngineEvent, Subscription};
pub use handle::EngineHandle;
pub use limits::EngineLimits;
pub use status::{CollectorStatus, EngineStatus, StoreStatus};

use crate::journal::Journal;
use event::EndOfEvents;
use handle::Command;
use model::Model;
use run::{Loop, Mode};
use shared::Shared;

/// Everything that was built in and checked.
struct Parts {
    clock: Arc<dyn Clock>,
    instance: Text,
    collectors: BTreeMap<SourceName, (Arc<dyn Collector>, Schedule)>,
    listeners: BTreeMap<SourceName, Arc<dyn Listener>>,
    rules: Vec<Rule>,
    notifiers: BTreeMap<Text, Arc<dyn Notifier>>,
    receivers: Vec<Receiver>,
    evaluator: Option<Arc<dyn Evaluator>>,
    store: Arc<dyn Store>,
    retention: Option<Retention>,
    journal: Arc<dyn Journal>,
    scheduler: SchedulerConfig,
    cmdb: CmdbConfig,
    rule_set: Option<Arc<RuleSet>>,
    samples: Arc<SeriesStore>,
    limits: EngineLimits,
    #[cfg(feature = "prometheus")]
    groups: groups::GroupParts,
}

/// Collectors, store, rules and notifiers, wired together and ready to run.
///
/// ```
/// use itom::core::{Batch, Coverage, Key, Scope, attr, kind};
/// use itom::prelude::*;
///
/// let racks = collector_fn(Descriptor::new("racks"), |_, batch| {
///     Box::pin(async move {
///         batch.ci("web-1", kind::HOST).key(Key::fqdn("web-1.example.com")).attr(attr::HOST_NAME, "web-1");
///         Ok(Coverage::new().complete(Scope::cis(kind::HOST)))
///     })
/// });
/// let engine = Engine::builder().collector(racks).build()?;
/// let handle = engine.handle();
/// futures::executor::block_on(engine.run_once())?;
/// assert_eq!(handle.view().cis().count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Engine {
    parts: Parts,
    cmdb: Cmdb,
    alerts: alerting::Alerting,
    #[cfg(feature = "prometheus")]
    grouping: Option<groups::Grouping>,
    shared: Arc<Shared>,
    commands: (Arc<Mutex<mpsc::Sender<Command>>>, mpsc::Receiver<Command>),
    submitted: BatchReceiver,
    /// Dropped without ever running, it ends subscriptions too.
    events: EndOfEvents,
}

/// How a run of the engine went.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineSummary {
    /// Runs and submitted batches taken in.
    pub rounds: u64,
    /// Facts acknowledged by the store.
    pub facts: u64,
    /// How long it ran.
    pub span: Duration,
    /// Undelivered notices that the journal keeps for the next start.
    pub undelivered: usize,
}

impl Engine {
    /// A builder with a memory store, the system's clock, no collectors and no rules.
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    #[cfg_attr(
        not(feature = "prometheus"),
        expect(unused_mut, reason = "only rule groups are taken out of it")
    )]
    fn assemble(mut parts: Parts) -> Result<Self, BuildError> {
        let cmdb = Cmdb::new(parts.cmdb.clone());
        let (now, receivers) = (parts.clock.now(), parts.receivers.clone());
        let alerts = alerting::Alerting::new(now, &parts.rules, receivers, parts.evaluator.as_deref())?;
        #[cfg(feature = "prometheus")]
        let grouping = std::mem::take(&mut parts.groups).assemble(&parts.samples)?;
        let names = parts.collectors.keys().cloned().collect();
        let model = Model::new(parts.rule_set.clone());
        let graph = Arc::new(ingest::graph(&cmdb, model.relations()));
        let snapshot = ingest::snapshot(&cmdb, &graph, &alerts);
        let (queue, submitted) = batch_queue(parts.limits.submitted);
        let (clock, samples) = (Arc::clone(&parts.clock), Arc::clone(&parts.samples));
        let shared = Arc::new(Shared::new(clock, samples, queue, names, model, snapshot));
        let (sender, receiver) = mpsc::channel(parts.limits.commands);
        let commands = (Arc::new(Mutex::new(sender)), receiver);
        let events = EndOfEvents::new(&shared.events);
        Ok(Self {
            parts,
            cmdb,
            alerts,
            #[cfg(feature = "prometheus")]
            grouping,
            shared,
            commands,
            submitted,
            events,
        })
    }

    /// A way to ask it while it runs, and after.
    #[must_use]
    pub fn handle(&self) -> EngineHandle {
        EngineHandle { shared: Arc::clone(&self.shared), commands: Arc::clone(&self.commands.0) }
    }

    /// Runs until `shutdown` completes: loads what is stored, then collects, stores, relates, judges and tells. On
    /// shutdown it starts no more runs, waits for those that go on, stores what is pending and gives notices a last
    /// chance, all within the grace of [`EngineLimits`].
    ///
    /// Dropping the future is a crash: nothing acknowledged is lost, what was pending is.
    ///
    /// # Errors
    /// [`RunError`] when the stored facts cannot be read (nothing is changed then), or when the last facts or records
    /// cannot be stored within the grace.
    pub async fn run(
        self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<EngineSummary, RunError> {
        Loop::open(self, Mode::UntilShutdown(Box::pin(shutdown))).await?.run().await
    }

    /// Runs every collector once, takes in what was submitted, stores it, judges it once, and ends. What was found is on
    /// the [`handle`](Self::handle). Listeners are not started, alerts are not remembered, and nobody is told.
    ///
    /// # Errors
    /// As [`run`](Self::run); a store that refuses is tried for as long as the grace of [`EngineLimits`].
    pub async fn run_once(self) -> Result<EngineSummary, RunError> {
        Loop::open(self, Mode::Once).await?.run().await
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("instance", &self.parts.instance)
            .field("collectors", &self.parts.collectors.keys())
            .field("notifiers", &self.parts.notifiers.keys())
            .finish_non_exhaustive()
    }
}
