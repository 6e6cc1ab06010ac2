//! The past of one engine.

use std::collections::{BTreeMap, BTreeSet};

use itom_core::{AttrName, CiChange, CiId, Interval, Timestamp, Value};

use super::Point;
use super::line::{Line, LineSize};
use super::sightings::{Sightings, Since};
use crate::fact::{Fact, FactBody, FactLog};
use crate::history::diff;
use crate::view::{Ci, View};
use crate::{Cmdb, CmdbConfig};

/// Valid lines that are kept.
const KEPT: usize = 4;

/// Questions about valid time that are replayed before a line is made for them: a line costs a few replays.
const PATIENCE: u32 = 2;

/// Replayed views that are kept.
const REPLAYED: usize = 2;

/// Spans of time that the recorded line may lack before it is made anew.
const GAPS: usize = 4_096;

/// Everything known at a horizon, in the order in which it was so.
#[derive(Debug, Clone)]
struct ValidLine {
    horizon: Timestamp,
    line: Line,
    /// Observed, and the latest recorded of everything observed up to then.
    learned: Vec<(Timestamp, Timestamp)>,
    /// What was recorded after the horizon.
    since: Since,
    /// To go on with; only the newest line has one.
    engine: Option<Box<Cmdb>>,
}

enum Place {
    Recorded(Timestamp),
    Valid(usize, Timestamp),
    Replay,
}

/// The past of a [`Cmdb`] that is not kept with it: every call is given the engine.
#[derive(Debug, Clone)]
pub(crate) struct Chronicle {
    recorded: Line,
    /// Spans within which the recorded line may lack states: from, to; half-open, by `from`.
    gaps: Vec<(Timestamp, Timestamp)>,
    sightings: Sightings,
    /// Whether a run was ever recorded before a statement that it cites: then statements count as seen at any time.
    disordered: bool,
    /// The engine was itself replayed for a time before some of its facts were learned: no line tells its past.
    replays: bool,
    valid: Vec<ValidLine>,
    /// Questions that no valid line could answer.
    missed: u32,
    /// The last views that were replayed, with their times as far as time had come.
    replayed: Vec<(Point, View)>,
}

/// An engine that only replays.
fn replayer(config: &CmdbConfig) -> Cmdb {
    Cmdb::new(config.clone().remembered_changes(0))
}

impl Chronicle {
    /// The past of an engine, made by replaying its facts in the order in which they were recorded.
    pub(crate) fn of(cmdb: &Cmdb) -> Self {
        let mut own = Self {
            recorded: Line::new(Timestamp::MIN, View::default()),
            gaps: Vec::new(),
            sightings: Sightings::default(),
            disordered: false,
            replays: false,
            valid: Vec::new(),
            missed: 0,
            replayed: Vec::new(),
        };
        let now = cmdb.view().as_of().unwrap_or(Timestamp::MIN);
        let mut rounds: BTreeMap<Timestamp, Vec<Fact>> = BTreeMap::new();
        for fact in cmdb.facts().iter() {
            rounds.entry(fact.recorded()).or_default().push(fact.clone());
        }
        let mut engine = replayer(cmdb.config());
        for (at, facts) in rounds {
            run_out(&mut engine, at, &mut own.recorded);
            own.look_at(engine.facts(), &facts);
            engine.ingest_at(facts, at);
            own.recorded.push(at, engine.view());
        }
        own.replays = own.recorded.until() > now;
        run_out(&mut engine, now, &mut own.recorded);
        engine.expire(now);
        own.recorded.push(now, engine.view());
        // The same facts and the same time give an equal view; this one shares its memory with what comes next.
        own.recorded.share(cmdb.view());
        own
    }

    /// Notes what is about to be taken in at `now`: call it before the engine takes it in. `due` is when something next
    /// runs out.
    pub(crate) fn before(&mut self, log: &FactLog, facts: &[Fact], now: Timestamp, due: Option<Timestamp>) {
        let end = self.recorded.until();
        let now = now.max(end);
        // What the engine takes in at once, although it was learned or ran out at several times, has states between
        // that it never was in.
        let mut first = due.filter(|due| *due < now).unwrap_or(now);
        for fact in facts {
            let known = log.get(fact.id()).map(Fact::recorded);
            if known.is_none_or(|known| fact.recorded() < known) {
                first = first.min(fact.recorded());
                self.disordered |= known.is_some() && fact.recorded() < end;
            }
        }
        if first < now {
            // It may reach back over several, and they stay in order.
            while let Some((from, _)) = self.gaps.pop_if(|(_, to)| *to >= first) {
                first = first.min(from);
            }
            self.gaps.push((first, now));
        }
        self.look_at(log, facts);
    }

    /// Takes in what the engine became by it.
    pub(crate) fn after(&mut self, now: Timestamp, view: View) {
        self.recorded.push(now, view);
    }

    /// Whether a question about the recorded axis can be answered; else the chronicle is to be made anew.
    fn lacks(&self, at: Timestamp) -> bool {
        let index = self.gaps.partition_point(|(from, _)| *from <= at);
        index.checked_sub(1).and_then(|index| self.gaps.get(index)).is_some_and(|(_, to)| at < *to)
    }

    /// Notes when the facts speak of, and whether the order of their recording can be relied on.
    fn look_at(&mut self, log: &FactLog, facts: &[Fact]) {
        let together: BTreeMap<_, Timestamp> = facts
            .iter()
            .filter(|fact| fact.is_statement())
            .map(|fact| (fact.id(), fact.recorded()))
            .collect();
        for fact in facts.iter().filter(|fact| !log.contains(fact.id())) {
            // A line that claims to know everything recorded up to its horizon does not know this.
            self.valid.retain(|line| line.horizon < fact.recorded());
            self.replayed.retain(|(point, _)| point.recorded < fact.recorded());
            if fact.is_statement() {
                continue;
            }
            self.sightings.add(fact.recorded(), fact.observed());
            for line in &mut self.valid {
                line.since.add(fact.recorded(), fact.observed());
            }
            if let FactBody::Run(run) = fact.body() {
                let known = |id| {
                    let there = log.get(id).map(Fact::recorded);
                    there.min(together.get(&id).copied()).or(there).or(together.get(&id).copied())
                };
                let in_order = run.seen.iter().all(|id| known(*id).is_some_and(|at| at <= fact.recorded()));
                let based = run.basis.is_none_or(|basis| {
                    let there = log.get(basis);
                    there.is_some_and(|basis| basis.observed() <= fact.observed())
                });
                self.disordered |= !in_order || !based;
            }
        }
    }

    fn place(&mut self, cmdb: &Cmdb, point: Point) -> Place {
        if self.replays {
            return Place::Replay;
        }
        let now = self.recorded.until();
        let (valid, recorded) = (point.valid, point.recorded.min(now));
        if self.sightings.end_by(valid, recorded) {
            let at = if valid >= recorded || !self.sightings.between(valid, recorded).is_empty() {
                recorded
            } else {
                valid
            };
            if valid >= at && at >= self.recorded.since() {
                if self.lacks(at) || self.gaps.len() > GAPS {
                    let since = self.recorded.since();
                    *self = Self::of(cmdb);
                    self.recorded.forget(since);
                }
                return Place::Recorded(at);
            }
        }
        if valid > recorded || self.disordered {
            return Place::Replay;
        }
        if let Some(index) = self.valid.iter().position(|line| line.tells(valid, recorded)) {
            return Place::Valid(index, valid);
        }
        if self.replayed.iter().any(|(own, _)| *own == Point::new(valid, recorded)) {
            return Place::Replay;
        }
        self.missed += 1;
        if self.missed <= PATIENCE {
            return Place::Replay;
        }
        self.extend_or_replay(cmdb, recorded);
        match self.valid.last() {
            Some(line) if line.tells(valid, recorded) => Place::Valid(self.valid.len() - 1, valid),
            _ => Place::Replay,
        }
    }

    /// Makes a line of what was known at a horizon, from the newest one if nothing came late.
    fn extend_or_replay(&mut self, cmdb: &Cmdb, horizon: Timestamp) {
        let ready = self.valid.last().is_some_and(|line| {
            line.engine.is_some()
                && line.horizon <= horizon
                && line.since.earliest(horizon).is_none_or(|observed| observed > line.line.until())
        });
        let mut line = match self.valid.pop() {
            Some(line) if ready => line,
            other => {
                self.valid.extend(other);
                ValidLine {
                    horizon: Timestamp::MIN,
                    line: Line::new(Timestamp::MIN, View::default()),
                    learned: Vec::new(),
                    since: Since::default(),
                    engine: Some(Box::new(replayer(cmdb.config()))),
                }
            }
        };
        line.take(cmdb, horizon, &self.sightings);
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

    fn replay(&mut self, cmdb: &Cmdb, point: Point) -> &View {
        let point = Point::new(point.valid, point.recorded.min(self.recorded.until()));
        let known = self.replayed.iter().position(|(own, _)| *own == point);
        let index = known.unwrap_or_else(|| {
            if self.replayed.len() == REPLAYED {
                self.replayed.remove(0);
            }
            self.replayed.push((point, cmdb.at(point.valid, point.recorded).view()));
            self.replayed.len() - 1
        });
        &self.replayed[index].1
    }

    /// The whole view at a point.
    pub(crate) fn view(&mut self, cmdb: &Cmdb, point: Point) -> View {
        match self.place(cmdb, point) {
            Place::Recorded(at) => self.recorded.view(at),
            Place::Valid(index, at) => {
                self.valid.get(index).map_or_else(View::default, |line| line.line.view(at))
            }
            Place::Replay => self.replay(cmdb, point).clone(),
        }
    }

    /// One item at a point, found by the id it had then or by one that led to it then.
    pub(crate) fn ci(&mut self, cmdb: &Cmdb, id: CiId, point: Point) -> Option<Ci> {
        let (line, at) = match self.place(cmdb, point) {
            Place::Recorded(at) => (&self.recorded, at),
            Place::Valid(index, at) => (&self.valid.get(index)?.line, at),
            Place::Replay => {
                let view = self.replay(cmdb, point);
                return view.ci(view.current(id)?).cloned();
            }
        };
        line.current(id, at)
    }

    /// What is different at `b` against `a`, told at `b`'s recorded time.
    pub(crate) fn diff(&mut self, cmdb: &Cmdb, a: Point, b: Point) -> Vec<CiChange> {
        match (self.place(cmdb, a), self.place(cmdb, b)) {
            (Place::Recorded(a), Place::Recorded(b)) => self.recorded.diff(a, b),
            (Place::Valid(one, a), Place::Valid(other, b)) if one == other => {
                self.valid.get(one).map_or_else(Vec::new, |line| line.line.diff(a, b))
            }
            _ => {
                let (before, after) = (self.view(cmdb, a), self.view(cmdb, b));
                diff(&before, &after, b.recorded.min(self.recorded.until()))
            }
        }
    }

    /// What was believed about an attribute, by the time at which it was believed.
    pub(crate) fn believed(&mut self, cmdb: &Cmdb, ci: CiId, attribute: &AttrName) -> Vec<(Interval, Value)> {
        if !self.gaps.is_empty() {
            let since = self.recorded.since();
            *self = Self::of(cmdb);
            self.recorded.forget(since);
        }
        self.recorded.field(ci, attribute)
    }

    /// What an attribute was, by the time at which it was so, as known at `recorded`; `None` when the order of recording
    /// is no guide.
    pub(crate) fn was(
        &mut self,
        cmdb: &Cmdb,
        ci: CiId,
        attribute: &AttrName,
        recorded: Timestamp,
    ) -> Option<Vec<(Interval, Value)>> {
        let recorded = recorded.min(self.recorded.until());
        if self.disordered || self.replays {
            return None;
        }
        let place = self
            .valid
            .iter()
            .position(|line| line.line.until() == recorded && line.tells(recorded, recorded));
        let place = place.unwrap_or_else(|| {
            self.extend_or_replay(cmdb, recorded);
            self.valid.len() - 1
        });
        self.valid.get(place).map(|line| line.line.field(ci, attribute))
    }

    /// How much the past takes.
    pub(crate) fn size(&self) -> LineSize {
        let lines = self.valid.iter().map(|line| &line.line);
        lines.chain([&self.recorded]).map(Line::size).fold(LineSize::default(), |sum, size| LineSize {
            versions: sum.versions + size.versions,
            bytes: sum.bytes + size.bytes,
        })
    }

    /// Forgets states before a time, of both axes.
    pub(crate) fn forget(&mut self, before: Timestamp) {
        self.recorded.forget(before);
        self.gaps.retain(|(_, to)| *to > before);
        self.valid.iter_mut().for_each(|line| line.line.forget(before));
    }
}

/// Lets what runs out before `now` run out, each at its time.
fn run_out(cmdb: &mut Cmdb, now: Timestamp, line: &mut Line) {
    while let Some(at) = cmdb.next_deadline().map(|deadline| deadline.at).filter(|at| *at < now) {
        cmdb.expire(at);
        line.push(at, cmdb.view());
    }
}

impl ValidLine {
    /// Whether what was known at `recorded` about `valid` is what the line knows about it.
    fn tells(&self, valid: Timestamp, recorded: Timestamp) -> bool {
        if valid > self.line.until() || valid < self.line.since() {
            return false;
        }
        if recorded >= self.horizon {
            return self.since.earliest(recorded).is_none_or(|observed| observed > valid);
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
        for (at, facts) in rounds {
            run_out(engine, at, &mut self.line);
            engine.ingest_at(facts, at);
            self.line.push(at, engine.view());
        }
        run_out(engine, horizon, &mut self.line);
        engine.expire(horizon);
        self.line.push(horizon, engine.view());
        self.horizon = horizon;
        self.learned = sightings.learned(horizon);
        self.since = Since::default();
        for (recorded, observed) in sightings.between(horizon, Timestamp::MAX) {
            self.since.add(*recorded, *observed);
        }
    }
}
