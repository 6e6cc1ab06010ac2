//! An engine with its past.

use std::collections::{BTreeMap, BTreeSet};

use itom_core::{AttrName, Batch, CiChange, CiId, Interval, Timestamp, Value};

use super::line::{Line, LineSize};
use super::sightings::Sightings;
use crate::fact::{Fact, FactBody};
use crate::history::diff;
use crate::view::{Ci, View};
use crate::{Applied, Cmdb, CmdbConfig};

/// Valid lines that are kept.
const KEPT: usize = 4;

/// A question's two times: what was believed at `recorded` about `valid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Point {
    /// When it was so.
    pub valid: Timestamp,
    /// Known by when.
    pub recorded: Timestamp,
}

impl Point {
    /// What was believed at `recorded` about `valid`.
    #[must_use]
    pub const fn new(valid: Timestamp, recorded: Timestamp) -> Self {
        Self { valid, recorded }
    }

    /// What was believed at `recorded` about then.
    #[must_use]
    pub const fn believed(recorded: Timestamp) -> Self {
        Self { valid: Timestamp::MAX, recorded }
    }

    /// How it was at `valid`, as far as is known today.
    #[must_use]
    pub const fn was(valid: Timestamp) -> Self {
        Self { valid, recorded: Timestamp::MAX }
    }
}

/// Everything known at a horizon, in the order in which it was so.
#[derive(Debug, Clone)]
struct ValidLine {
    horizon: Timestamp,
    line: Line,
    /// Observed, and the latest recorded of everything observed up to then.
    learned: Vec<(Timestamp, Timestamp)>,
    /// To go on with; only the newest line has one.
    engine: Option<Box<Cmdb>>,
}

enum Place {
    Recorded(Timestamp),
    Valid(usize, Timestamp),
    Replay,
}

/// A [`Cmdb`] that answers about the past at speed. See the [module](super).
///
/// ```
/// use itom_cmdb::CmdbConfig;
/// use itom_cmdb::temporal::{Chronicle, Point};
/// use itom_core::{Batch, SourceName, Timestamp, attr, kind};
///
/// let at = Timestamp::from_secs;
/// let mut chronicle = Chronicle::new(CmdbConfig::default());
/// let mut said = |tick: i64, learned: i64, name: &str| {
///     let mut batch = Batch::new(SourceName::literal("agent"), at(tick));
///     batch.ci("host", kind::HOST).attr(attr::HOST_NAME, name);
///     chronicle.ingest(chronicle.cmdb().plan(&batch, at(learned)));
/// };
/// said(100, 101, "a");
/// said(300, 301, "c");
/// said(200, 900, "b"); // late
/// let id = chronicle.cmdb().view().cis().next().map(|ci| ci.id()).ok_or("no item")?;
/// let mut name = |point| chronicle.ci(id, point).map(|ci| ci.name().to_string());
/// assert_eq!(name(Point::was(at(250))).as_deref(), Some("b"), "so it was, as is known today");
/// assert_eq!(name(Point::new(at(250), at(400))).as_deref(), Some("a"), "so it was believed to have been");
/// assert_eq!(name(Point::believed(at(400))).as_deref(), Some("c"));
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug, Clone)]
pub struct Chronicle {
    cmdb: Cmdb,
    recorded: Line,
    /// Where the recorded line lacks what was recorded earlier than it arrived.
    stale: Option<(Timestamp, Timestamp)>,
    sightings: Sightings,
    /// Whether a run was ever recorded before a statement that it cites: then statements count as seen at any time.
    disordered: bool,
    valid: Vec<ValidLine>,
}

impl Chronicle {
    /// An empty one.
    #[must_use]
    pub fn new(config: CmdbConfig) -> Self {
        Self {
            cmdb: Cmdb::new(config),
            recorded: Line::new(Timestamp::MIN, View::default()),
            stale: None,
            sightings: Sightings::default(),
            disordered: false,
            valid: Vec::new(),
        }
    }

    /// The engine, as it is now.
    #[must_use]
    pub const fn cmdb(&self) -> &Cmdb {
        &self.cmdb
    }

    /// As [`Cmdb::plan`].
    #[must_use]
    pub fn plan(&self, batch: &Batch, now: Timestamp) -> Vec<Fact> {
        self.cmdb.plan(batch, now)
    }

    /// Takes facts in, in the order in which they were recorded. What that changed comes step by step: what ran out
    /// before the facts came is a step of its own.
    pub fn ingest(&mut self, facts: Vec<Fact>) -> Vec<Applied> {
        let mut rounds: BTreeMap<Timestamp, Vec<Fact>> = BTreeMap::new();
        let end = self.recorded.until();
        for fact in facts {
            // What arrives later than it was recorded joins at the end: the line is not rewritten.
            let known = self.cmdb.facts().get(fact.id()).map(Fact::recorded);
            if fact.recorded() < end && known.is_none_or(|known| fact.recorded() < known) {
                let (from, to) = self.stale.unwrap_or((Timestamp::MAX, Timestamp::MIN));
                self.stale = Some((from.min(fact.recorded()), to.max(end)));
                self.disordered |= known.is_some();
            }
            rounds.entry(fact.recorded().max(end)).or_default().push(fact);
        }
        let mut steps = Vec::new();
        for (at, facts) in rounds {
            steps.extend(self.expire_until(at, false));
            self.look_at(&facts);
            steps.push(self.cmdb.ingest_at(facts, at));
            self.recorded.push(at, self.cmdb.view());
        }
        steps
    }

    /// Takes the time in, as [`Cmdb::expire`]; one step for each time at which something ran out.
    pub fn expire(&mut self, now: Timestamp) -> Vec<Applied> {
        self.expire_until(now, true)
    }

    fn expire_until(&mut self, now: Timestamp, inclusive: bool) -> Vec<Applied> {
        let mut steps = Vec::new();
        run_out(&mut self.cmdb, now, &mut self.recorded, &mut steps);
        if inclusive {
            steps.push(self.cmdb.expire(now));
            self.recorded.push(now, self.cmdb.view());
        }
        steps
    }

    /// Notes when the facts speak of, and whether the order of their recording can be relied on.
    fn look_at(&mut self, facts: &[Fact]) {
        let together: BTreeMap<_, Timestamp> = facts
            .iter()
            .filter(|fact| fact.is_statement())
            .map(|fact| (fact.id(), fact.recorded()))
            .collect();
        for fact in facts.iter().filter(|fact| !self.cmdb.facts().contains(fact.id())) {
            // A line that claims to know everything recorded up to its horizon does not know this.
            self.valid.retain(|line| line.horizon < fact.recorded());
            if fact.is_statement() {
                continue;
            }
            self.sightings.add(fact.recorded(), fact.observed());
            if let FactBody::Run(run) = fact.body() {
                let known = |id| {
                    let there = self.cmdb.facts().get(id).map(Fact::recorded);
                    there.min(together.get(&id).copied()).or(there).or(together.get(&id).copied())
                };
                let in_order = run.seen.iter().all(|id| known(*id).is_some_and(|at| at <= fact.recorded()));
                let based = run.basis.is_none_or(|basis| {
                    let there = self.cmdb.facts().get(basis);
                    there.is_some_and(|basis| basis.observed() <= fact.observed())
                });
                self.disordered |= !in_order || !based;
            }
        }
    }

    fn place(&mut self, point: Point) -> Place {
        let now = self.recorded.until();
        let (valid, recorded) = (point.valid, point.recorded.min(now));
        if self.sightings.latest(recorded) <= valid {
            let at = if valid >= recorded || !self.sightings.between(valid, recorded).is_empty() {
                recorded
            } else {
                valid
            };
            let fresh = self.stale.is_none_or(|(from, to)| at < from || at >= to);
            if fresh && valid >= at && at >= self.recorded.since() {
                return Place::Recorded(at);
            }
        }
        if valid > recorded || self.disordered {
            return Place::Replay;
        }
        if let Some(index) = self.valid.iter().position(|line| line.tells(valid, recorded, &self.sightings)) {
            return Place::Valid(index, valid);
        }
        self.extend_or_replay(recorded);
        match self.valid.last() {
            Some(line) if line.tells(valid, recorded, &self.sightings) => {
                Place::Valid(self.valid.len() - 1, valid)
            }
            _ => Place::Replay,
        }
    }

    /// Makes a line of what was known at a horizon, from the newest one if nothing came late.
    fn extend_or_replay(&mut self, horizon: Timestamp) {
        let ready = self.valid.last().is_some_and(|line| {
            line.engine.is_some()
                && line.horizon <= horizon
                && self
                    .sightings
                    .between(line.horizon, horizon)
                    .iter()
                    .all(|(_, observed)| *observed > line.line.until())
        });
        let mut line = match self.valid.pop() {
            Some(line) if ready => line,
            other => {
                self.valid.extend(other);
                ValidLine {
                    horizon: Timestamp::MIN,
                    line: Line::new(Timestamp::MIN, View::default()),
                    learned: Vec::new(),
                    engine: Some(Box::new(Cmdb::new(self.cmdb.config().clone()))),
                }
            }
        };
        line.take(&self.cmdb, horizon, &self.sightings);
        let newest = self.valid.iter().map(|line| line.horizon).max();
        if newest.is_some_and(|newest| newest > horizon) {
            // An old horizon will hardly be asked to go on.
            line.engine = None;
        }
        self.valid.push(line);
        if self.valid.len() > KEPT {
            self.valid.remove(0);
        }
    }

    /// The whole view at a point: equal to [`Cmdb::view_at`].
    ///
    /// The cost is that of what changed since; the first question about the valid time of a horizon replays once.
    #[must_use]
    pub fn view(&mut self, point: Point) -> View {
        match self.place(point) {
            Place::Recorded(at) => self.recorded.view(at),
            Place::Valid(index, at) => {
                self.valid.get(index).map_or_else(View::default, |line| line.line.view(at))
            }
            Place::Replay => self.cmdb.view_at(point.valid, point.recorded),
        }
    }

    /// One item at a point, found by the id it had then or by one that led to it then.
    #[must_use]
    pub fn ci(&mut self, id: CiId, point: Point) -> Option<Ci> {
        let (line, at) = match self.place(point) {
            Place::Recorded(at) => (&self.recorded, at),
            Place::Valid(index, at) => (&self.valid.get(index)?.line, at),
            Place::Replay => {
                let view = self.cmdb.view_at(point.valid, point.recorded);
                return view.ci(view.current(id)?).cloned();
            }
        };
        line.ci(id, at).or_else(|| line.ci(line.current(id, at)?, at))
    }

    /// What is different at `b` against `a`, told at `b`'s recorded time. Between points on one axis the cost follows
    /// what changed between them.
    #[must_use]
    pub fn diff(&mut self, a: Point, b: Point) -> Vec<CiChange> {
        match (self.place(a), self.place(b)) {
            (Place::Recorded(a), Place::Recorded(b)) => self.recorded.diff(a, b),
            (Place::Valid(one, a), Place::Valid(other, b)) if one == other => {
                self.valid.get(one).map_or_else(Vec::new, |line| line.line.diff(a, b))
            }
            _ => {
                let (before, after) = (self.view(a), self.view(b));
                diff(&before, &after, b.recorded.min(self.recorded.until()))
            }
        }
    }

    /// What was believed about an attribute, by the time at which it was believed.
    #[must_use]
    pub fn believed(&self, ci: CiId, attribute: &AttrName) -> Vec<(Interval, Value)> {
        self.recorded.field(ci, attribute)
    }

    /// What an attribute was, by the time at which it was so, as known at `recorded`. Empty when the order of recording
    /// is no guide (a run was recorded before a statement it cites).
    #[must_use]
    pub fn was(&mut self, ci: CiId, attribute: &AttrName, recorded: Timestamp) -> Vec<(Interval, Value)> {
        let recorded = recorded.min(self.recorded.until());
        if self.disordered {
            return Vec::new();
        }
        let place = self.valid.iter().position(|line| {
            line.line.until() == recorded && line.tells(recorded, recorded, &self.sightings)
        });
        let place = place.unwrap_or_else(|| {
            self.extend_or_replay(recorded);
            self.valid.len() - 1
        });
        self.valid.get(place).map_or_else(Vec::new, |line| line.line.field(ci, attribute))
    }

    /// How much the past takes.
    #[must_use]
    pub fn size(&self) -> LineSize {
        let lines = self.valid.iter().map(|line| &line.line);
        lines.chain([&self.recorded]).map(Line::size).fold(LineSize::default(), |sum, size| LineSize {
            versions: sum.versions + size.versions,
            bytes: sum.bytes + size.bytes,
        })
    }

    /// Forgets states before a time, of both axes; questions about them are replayed from the facts, as far as those are
    /// kept. Views at and after it are unchanged.
    pub fn forget(&mut self, before: Timestamp) {
        self.recorded.forget(before);
        self.valid.iter_mut().for_each(|line| line.line.forget(before));
    }
}

/// Lets what runs out before `now` run out, each at its time.
fn run_out(cmdb: &mut Cmdb, now: Timestamp, line: &mut Line, steps: &mut Vec<Applied>) {
    while let Some(at) = cmdb.next_deadline().map(|deadline| deadline.at).filter(|at| *at < now) {
        steps.push(cmdb.expire(at));
        line.push(at, cmdb.view());
    }
}

impl ValidLine {
    /// Whether what was known at `recorded` about `valid` is what the line knows about it.
    fn tells(&self, valid: Timestamp, recorded: Timestamp, sightings: &Sightings) -> bool {
        if valid > self.line.until() || valid < self.line.since() {
            return false;
        }
        if recorded >= self.horizon {
            return sightings.between(self.horizon, recorded).iter().all(|(_, observed)| *observed > valid);
        }
        let place = self.learned.partition_point(|(observed, _)| *observed <= valid);
        place
            .checked_sub(1)
            .and_then(|place| self.learned.get(place))
            .is_none_or(|(_, last)| *last <= recorded)
    }

    /// Takes in what was known at `horizon`, as far as it is so until then.
    fn take(&mut self, cmdb: &Cmdb, horizon: Timestamp, sightings: &Sightings) {
        let Some(engine) = self.engine.as_mut() else { return };
        let (known, done) = (self.horizon, self.line.until());
        let mut statements = Vec::new();
        let mut rounds: BTreeMap<Timestamp, Vec<Fact>> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for fact in cmdb.facts().iter().filter(|fact| fact.recorded() <= horizon) {
            if fact.is_statement() {
                if fact.recorded() > known || known == Timestamp::MIN {
                    statements.push(fact.clone());
                }
            } else if (fact.observed() > done || known == Timestamp::MIN)
                && fact.observed() <= horizon
                && seen.insert(fact.id())
            {
                rounds.entry(fact.observed()).or_default().push(fact.clone());
            }
        }
        engine.ingest_at(statements, done);
        let mut steps = Vec::new();
        for (at, facts) in rounds {
            run_out(engine, at, &mut self.line, &mut steps);
            engine.ingest_at(facts, at);
            self.line.push(at, engine.view());
            steps.clear();
        }
        run_out(engine, horizon, &mut self.line, &mut steps);
        engine.expire(horizon);
        self.line.push(horizon, engine.view());
        self.horizon = horizon;
        self.learned = sightings.learned(horizon);
    }
}
