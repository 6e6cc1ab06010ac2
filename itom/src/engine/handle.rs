//! Asking a running engine, from any thread.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use futures::channel::{mpsc, oneshot};
use itom_alert::{AlertView, Explanation};
use itom_cmdb::graph::RelationGraph;
use itom_cmdb::health::HealthReport;
use itom_cmdb::history::{ChangeFeed, FieldVersion};
use itom_cmdb::ruleset::{Misfit, RuleSet};
use itom_cmdb::temporal::Point;
use itom_cmdb::{Cmdb, View};
use itom_collect::{BatchSink as _, Offer};
use itom_core::{AlertId, AttrName, Batch, CiChange, CiId, SourceName, Text, Timestamp};
use itom_metrics::SeriesStore;

use super::event::Subscription;
use super::shared::Shared;
use super::status::EngineStatus;
use crate::HandleError;

/// A cheap, cloneable way to ask a running engine: reading never waits for the loop.
#[derive(Debug, Clone)]
pub struct EngineHandle {
    pub(super) shared: Arc<Shared>,
    /// One sender for all: each of its own would come with a place of its own in the queue, which then had no bound.
    pub(super) commands: Arc<Mutex<mpsc::Sender<Command>>>,
}

/// What a handle asks the loop to do.
#[derive(Debug)]
pub(super) enum Command {
    Acknowledge { alert: AlertId, by: Text, reply: oneshot::Sender<bool> },
    Explain { alert: AlertId, reply: oneshot::Sender<Option<Explanation>> },
    Past(Question),
    RunNow(SourceName),
    Pause(SourceName),
    Resume(SourceName),
}

/// Something to ask the items and their past, answered by the loop between two of its steps.
pub(super) struct Question(Box<dyn FnOnce(&Cmdb) + Send>);

impl Question {
    pub(super) fn answer(self, cmdb: &Cmdb) {
        (self.0)(cmdb);
    }
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Question")
    }
}

impl EngineHandle {
    /// What is known just now: items, relations, history.
    #[must_use]
    pub fn view(&self) -> View {
        self.shared.snapshot().view.clone()
    }

    /// What changed lately.
    #[must_use]
    pub fn changes(&self) -> ChangeFeed {
        self.shared.snapshot().changes
    }

    /// What depends on what just now.
    #[must_use]
    pub fn graph(&self) -> Arc<RelationGraph> {
        Arc::clone(&self.shared.snapshot().graph)
    }

    /// The rule set that it goes by; `None` when it was given none and goes by the defaults.
    #[must_use]
    pub fn rule_set(&self) -> Option<Arc<RuleSet>> {
        self.shared.model.rules().cloned()
    }

    /// How good the configuration data is just now, by what the rule set expects of each kind; each measure with at most
    /// `list` of its items. The first question costs a look at every item, later ones cost what changed since.
    #[must_use]
    pub fn health(&self, list: usize) -> HealthReport {
        self.shared.model.health(&self.view(), self.now(), list)
    }

    /// What does not fit what the rule set says of kinds and relations: attributes, types, ends, counts, circles of
    /// containment. Empty without a rule set. Costs a look at every item and relation.
    #[must_use]
    pub fn misfits(&self) -> Vec<Misfit> {
        self.shared.model.misfits(&self.view())
    }

    /// The rule groups as of their last evaluation.
    #[cfg(feature = "prometheus")]
    #[must_use]
    pub fn rule_groups(&self) -> Arc<[itom_alert::prometheus::GroupStatus]> {
        self.shared.groups()
    }

    /// The samples.
    #[must_use]
    pub fn samples(&self) -> Arc<SeriesStore> {
        Arc::clone(&self.shared.samples)
    }

    /// The alerts that are not normal, and those that were until a while ago.
    #[must_use]
    pub fn alerts(&self) -> Arc<[AlertView]> {
        Arc::clone(&self.shared.snapshot().alerts)
    }

    /// How the engine is doing.
    #[must_use]
    pub fn status(&self) -> EngineStatus {
        self.shared.status()
    }

    /// The engine's time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// What happens from now on. A subscriber that does not keep up with `capacity` loses events and is told how many.
    #[must_use]
    pub fn subscribe(&self, capacity: usize) -> Subscription {
        self.shared.events.subscribe(capacity)
    }

    /// Hands the engine a batch from elsewhere: an agent, an importer. It is taken in after those that wait; when the
    /// queue is full it is refused. Accepted is not stored: what waits when the engine crashes, or while the store refuses
    /// for too long, is lost as the rounds of collectors are.
    ///
    /// # Errors
    /// [`HandleError::Busy`] when too many wait (it is counted as dropped), [`HandleError::Ended`] when the engine has
    /// ended.
    pub fn submit(&self, batch: Batch) -> Result<(), HandleError> {
        match self.shared.submitted.offer(batch) {
            Offer::Accepted => Ok(()),
            Offer::Closed => Err(HandleError::Ended),
            _ => Err(HandleError::Busy),
        }
    }

    /// Completes when there is room for a batch, or the engine has ended.
    pub async fn ready(&self) {
        self.shared.submitted.ready().await;
    }

    fn command(&self, command: Command) -> Result<(), HandleError> {
        let mut sender = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        sender
            .try_send(command)
            .map_err(|refused| if refused.is_full() { HandleError::Busy } else { HandleError::Ended })
    }

    /// Somebody takes an alert on: it stays open and is not told again. It is written to the journal right after.
    ///
    /// # Errors
    /// [`HandleError::NotFound`] when there is no such open alert, and those of every request.
    pub async fn acknowledge(&self, alert: AlertId, by: impl Into<Text>) -> Result<(), HandleError> {
        let (reply, answer) = oneshot::channel();
        self.command(Command::Acknowledge { alert, by: by.into(), reply })?;
        match answer.await {
            Ok(true) => Ok(()),
            Ok(false) => {
                Err(HandleError::NotFound { what: "open alert", name: Text::from(alert.to_string()) })
            }
            Err(_) => Err(HandleError::Ended),
        }
    }

    /// Why an alert fired, and who was told or why not.
    ///
    /// # Errors
    /// [`HandleError::NotFound`] when there is no such alert, and those of every request.
    pub async fn explain(&self, alert: AlertId) -> Result<Explanation, HandleError> {
        let (reply, answer) = oneshot::channel();
        self.command(Command::Explain { alert, reply })?;
        match answer.await {
            Ok(Some(explanation)) => Ok(explanation),
            Ok(None) => Err(HandleError::NotFound { what: "alert", name: Text::from(alert.to_string()) }),
            Err(_) => Err(HandleError::Ended),
        }
    }

    async fn past<R: Send + 'static>(
        &self,
        ask: impl FnOnce(&Cmdb) -> R + Send + 'static,
    ) -> Result<R, HandleError> {
        let (reply, answer) = oneshot::channel();
        // A requester that has gone away needs no answer.
        let question = Question(Box::new(move |cmdb| drop(reply.send(ask(cmdb)))));
        self.command(Command::Past(question))?;
        answer.await.map_err(|_| HandleError::Ended)
    }

    /// What was believed at one time about another. The first question about the past takes as long as reading every
    /// fact again, and the loop waits for it; later ones cost what changed since.
    ///
    /// # Errors
    /// Those of every request.
    pub async fn view_at(&self, point: Point) -> Result<View, HandleError> {
        self.past(move |cmdb| cmdb.past().view(point)).await
    }

    /// What is different at `b` against `a`; costs as [`view_at`](Self::view_at).
    ///
    /// # Errors
    /// Those of every request.
    pub async fn changed(&self, a: Point, b: Point) -> Result<Vec<CiChange>, HandleError> {
        self.past(move |cmdb| cmdb.past().diff(a, b)).await
    }

    /// Everything that any source ever said about an attribute of an item, by time.
    ///
    /// # Errors
    /// Those of every request.
    pub async fn field_history(
        &self,
        ci: CiId,
        attribute: AttrName,
    ) -> Result<Vec<FieldVersion>, HandleError> {
        self.past(move |cmdb| cmdb.field_history(ci, &attribute)).await
    }

    /// Runs a collector as soon as the limits allow.
    ///
    /// # Errors
    /// [`HandleError::NotFound`] when there is no such collector, and those of every request.
    pub fn run_now(&self, collector: &SourceName) -> Result<(), HandleError> {
        self.known(collector).and_then(|name| self.command(Command::RunNow(name)))
    }

    /// Keeps a collector from running, for maintenance.
    ///
    /// # Errors
    /// As [`run_now`](Self::run_now).
    pub fn pause(&self, collector: &SourceName) -> Result<(), HandleError> {
        self.known(collector).and_then(|name| self.command(Command::Pause(name)))
    }

    /// Ends a pause.
    ///
    /// # Errors
    /// As [`run_now`](Self::run_now).
    pub fn resume(&self, collector: &SourceName) -> Result<(), HandleError> {
        self.known(collector).and_then(|name| self.command(Command::Resume(name)))
    }

    fn known(&self, collector: &SourceName) -> Result<SourceName, HandleError> {
        if self.shared.collectors.contains(collector) {
            return Ok(collector.clone());
        }
        Err(HandleError::NotFound { what: "collector", name: collector.text().clone() })
    }
}
