//! Compaction: a log that does not grow for good, and views that stay what they are.
//!
//! A plan is a pure function of the facts, the rules, a [`Retention`] and the time. It only ever
//!
//! - takes runs out that saw what the runs around them saw, so close together that no lease could have ended between
//!   them ([`Retention::sightings`]);
//! - puts one [checkpoint](crate::fact::Checkpoint) per source in the place of its runs up to a time, with the statements
//!   that nothing after it cites ([`Retention::history`]);
//! - takes statements about sameness out that ended, or were overruled, before.
//!
//! Facts that were learned later than that about times before it keep what they speak of from being summed up, so that
//! every view from the horizon on, on both axes, is what it was. What is learned *after* a compaction about a time that
//! was summed up is kept and not believed ([`Applied::too_late`](crate::Applied::too_late)).

mod apply;
mod fold;
mod thin;
mod words;

use std::collections::BTreeSet;
use std::time::Duration;

use itom_core::{SourceName, Timestamp};

use super::{Cursor, Store, StoreError};
use crate::fact::{Fact, FactBody, FactId, FactLog};
use crate::{Applied, Cmdb, CmdbConfig};

/// How much of the past is kept.
///
/// ```
/// use std::time::Duration;
/// use itom_cmdb::store::Retention;
/// const DAY: Duration = Duration::from_secs(86_400);
/// let policy = Retention::new().sightings(7 * DAY).history(400 * DAY);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// Every run is kept so long; older ones that saw no change are thinned. Views older than this say to
    /// [`spacing`](Self::spacing) when an item was seen last, and the same as before about everything else.
    pub sightings: Duration,
    /// Changes are kept so long; views older than this are gone. `None`: for good.
    pub history: Option<Duration>,
    /// How far apart runs that saw no change may lie once they are thinned. Half of the shortest lease or freshness of the
    /// rules if that is less.
    pub spacing: Duration,
}

const DAY: Duration = Duration::from_secs(86_400);

impl Default for Retention {
    /// Every run for a week, changes for 400 days, otherwise a run every six hours.
    fn default() -> Self {
        Self { sightings: 7 * DAY, history: Some(400 * DAY), spacing: DAY / 4 }
    }
}

impl Retention {
    /// The default.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How long every run is kept.
    #[must_use]
    pub const fn sightings(mut self, span: Duration) -> Self {
        self.sightings = span;
        self
    }

    /// How long changes are kept.
    #[must_use]
    pub const fn history(mut self, span: Duration) -> Self {
        self.history = Some(span);
        self
    }

    /// Changes are kept for good.
    #[must_use]
    pub const fn all_history(mut self) -> Self {
        self.history = None;
        self
    }

    /// How far apart thinned runs may lie.
    #[must_use]
    pub const fn spacing(mut self, span: Duration) -> Self {
        self.spacing = span;
        self
    }
}

/// One source whose past is summed up.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fold {
    checkpoint: Fact,
    /// What it stands for and goes.
    dropped: Vec<FactId>,
    /// What it stands for and stays, because something later builds on it.
    kept: Vec<FactId>,
}

/// What can go of a log. See [`Retention`] and [`Cmdb::plan_compaction`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compaction {
    horizon: Timestamp,
    folds: Vec<Fold>,
    /// Thinned runs of a source, and the time of the last run of the last thinned stretch.
    thinned: Vec<(SourceName, Timestamp, Vec<FactId>)>,
    /// Statements about sameness and approvals that decide nothing any more.
    spent: Vec<FactId>,
    known_to: Option<Cursor>,
}

impl Compaction {
    pub(crate) fn plan(log: &FactLog, config: &CmdbConfig, retention: &Retention, now: Timestamp) -> Self {
        let exact = before(now, retention.sightings);
        let oldest = retention.history.map(|span| before(now, span).min(exact));
        let spacing =
            config.shortest_span().map_or(retention.spacing, |span| retention.spacing.min(span / 2));
        let mut plan = Self {
            horizon: Timestamp::MIN,
            folds: Vec::new(),
            thinned: Vec::new(),
            spent: Vec::new(),
            known_to: None,
        };
        let cited: BTreeSet<FactId> = log
            .iter()
            .filter_map(|fact| match fact.body() {
                FactBody::Run(run) => run.basis,
                _ => None,
            })
            .collect();
        for source in log.sources() {
            let fold = oldest.and_then(|oldest| fold::fold(log, config, source, oldest));
            let until = fold.as_ref().map(|fold| fold.checkpoint.observed());
            let until = until.max(log.checkpoint(source).map(|(at, _)| at));
            if let Some((last, runs)) = thin::thin(log, source, until, exact, spacing, &cited) {
                plan.thinned.push((source.clone(), last, runs));
                plan.horizon = exact;
            }
            plan.folds.extend(fold);
        }
        if let Some(oldest) = oldest {
            plan.spent = words::spent(log, oldest, &plan.folds);
            if !plan.folds.is_empty() || !plan.spent.is_empty() {
                plan.horizon = plan.horizon.max(oldest);
            }
        }
        plan
    }

    /// Says that the planner knew every fact of the store up to a position: the store checks that nothing after it speaks
    /// of what goes. Without it, nothing is checked.
    #[must_use]
    pub const fn known_to(mut self, position: Option<Cursor>) -> Self {
        self.known_to = position;
        self
    }

    /// Whether nothing can go.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.folds.is_empty() && self.thinned.is_empty() && self.spent.is_empty()
    }

    /// Views from this time on (valid and recorded) stay exactly what they were.
    #[must_use]
    pub const fn horizon(&self) -> Timestamp {
        self.horizon
    }

    /// The facts that go.
    pub fn dropped(&self) -> impl Iterator<Item = FactId> {
        let folds = self.folds.iter().flat_map(|fold| &fold.dropped);
        let thinned = self.thinned.iter().flat_map(|(_, _, runs)| runs);
        folds.chain(thinned).chain(&self.spent).copied()
    }

    /// The facts that come in their place.
    pub fn checkpoints(&self) -> impl Iterator<Item = &Fact> {
        self.folds.iter().map(|fold| &fold.checkpoint)
    }

    /// Every fact that a store must find to apply it.
    pub(crate) fn named(&self) -> impl Iterator<Item = FactId> {
        let kept = self.folds.iter().flat_map(|fold| &fold.kept).copied();
        self.dropped().chain(kept).chain(self.checkpoints().map(Fact::id))
    }

    /// Whether a fact that the planner did not know speaks of what goes.
    fn disturbed_by(&self, fact: &Fact) -> bool {
        let goes = |source: &SourceName, at: Timestamp| {
            let folded = self.folds.iter().map(|fold| (fold.checkpoint.source(), fold.checkpoint.observed()));
            let thinned = self.thinned.iter().map(|(source, last, _)| (source, *last));
            folded.chain(thinned).any(|(own, until)| own == source && at <= until)
        };
        match fact.body() {
            FactBody::Run(run) => {
                let cites = |id: FactId| run.basis == Some(id) || run.seen.binary_search(&id).is_ok();
                goes(fact.source(), fact.observed()) || self.dropped().any(cites)
            }
            FactBody::Retract(_) | FactBody::Checkpoint(_) => goes(fact.source(), fact.observed()),
            FactBody::Approve(approval) => goes(&approval.source, approval.run_at),
            _ => false,
        }
    }
}

fn before(now: Timestamp, span: Duration) -> Timestamp {
    now - span
}

/// Whether a fact shows in some but not all views from a horizon on.
fn is_late(fact: &Fact, horizon: Timestamp) -> bool {
    fact.recorded() > horizon || (!fact.is_statement() && fact.observed() > horizon)
}

/// What a compaction did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compacted {
    /// How many facts went.
    pub dropped: u64,
    /// How many checkpoints came.
    pub checkpoints: u64,
}

impl Compacted {
    /// An outcome, for implementations.
    #[must_use]
    pub const fn new(dropped: u64, checkpoints: u64) -> Self {
        Self { dropped, checkpoints }
    }
}

/// Facts read at once.
const PAGE: usize = 4096;

/// Compacts a store and the engine over it. `known_to` is the position up to which the engine knows the store's facts
/// ([`Store::end`] when it is the only one that appends); what others appended since is taken in first. `changed` is told
/// what that changes, as by [`Cmdb::ingest`], even when the compaction then fails: whoever keeps a graph or a rule current
/// follows it.
///
/// ```
/// # futures::executor::block_on(async {
/// use itom_cmdb::store::{MemoryStore, Retention, Store as _, compact};
/// use itom_cmdb::{Cmdb, CmdbConfig};
/// # use itom_core::{Batch, SourceName, Timestamp, kind};
/// let (store, mut cmdb) = (MemoryStore::new(), Cmdb::new(CmdbConfig::default()));
/// # let mut batch = Batch::new(SourceName::literal("another engine"), Timestamp::EPOCH);
/// # batch.ci("web", kind::SERVICE);
/// # store.append(&itom_cmdb::fact::facts_of(&batch, Timestamp::EPOCH)).await?;
/// let mut steps = Vec::new();
/// let follow = |applied: itom_cmdb::Applied| steps.extend(applied.graph);
/// let done = compact(&store, &mut cmdb, None, &Retention::new(), Timestamp::from_secs(60), follow).await?;
/// # assert_eq!((done.dropped, steps.len()), (0, 1));
/// # Ok::<(), itom_cmdb::store::StoreError>(())
/// # }).unwrap();
/// ```
///
/// # Errors
/// [`StoreError`]; then neither has changed, but for facts of others that were taken in. [`StoreError::Disturbed`] is
/// worth another try.
pub async fn compact(
    store: &dyn Store,
    cmdb: &mut Cmdb,
    known_to: Option<Cursor>,
    retention: &Retention,
    now: Timestamp,
    mut changed: impl FnMut(Applied) + Send,
) -> Result<Compacted, StoreError> {
    let mut known_to = known_to;
    loop {
        let page = store.load(known_to, PAGE).await?;
        known_to = page.last.or(known_to);
        if !page.facts.is_empty() {
            changed(cmdb.ingest(page.facts));
        }
        if page.next.is_none() {
            break;
        }
    }
    let plan = cmdb.plan_compaction(retention, now).known_to(known_to);
    if plan.is_empty() {
        return Ok(Compacted::default());
    }
    let done = store.compact(&plan).await?;
    changed(cmdb.forget(&plan));
    Ok(done)
}
