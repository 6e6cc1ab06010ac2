//! Compaction: less past, and the same views of what is left.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::executor::block_on;
use itom_cmdb::fact::{Approval, Fact, FactId};
use itom_cmdb::history::{Mark, diff};
use itom_cmdb::identity::verify;
use itom_cmdb::store::{MemoryStore, Retention, Store, StoreError, compact, replay};
use itom_cmdb::testing::{Fault, FaultyStore};
use itom_cmdb::{Applied, Cmdb, CmdbConfig, GraphDelta};
use itom_core::{
    Batch, Coverage, ErrorKind, Key, Retraction, Scope, SourceName, Timestamp, attr, kind, relation,
};
use proptest::prelude::*;

const SOURCES: [&str; 3] = ["agent", "cloud", "inventory"];

const fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

const fn span(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Leases that end in the middle of what is generated.
fn config() -> CmdbConfig {
    CmdbConfig::default()
        .lease(kind::HOST, Some(span(90)))
        .source_lease(SourceName::literal("agent"), Some(span(50)))
        .relations_lease(Some(span(70)))
        .mass_retirement(50, 2)
        .precedence(itom_cmdb::Precedence::new(SourceName::literal("cloud"), 5).fresh_for(span(60)))
}

/// What a source says in a run: which of five items, with which of three values.
#[derive(Debug, Clone)]
enum Say {
    Again,
    New { items: Vec<(usize, i64)>, coverage: u8, related: bool },
    Retract(usize),
    Word { same: bool, until: Option<i64> },
    Approve,
}

#[derive(Debug, Clone)]
struct Step {
    source: usize,
    gap: i64,
    /// How late it is learned.
    late: i64,
    say: Say,
}

fn steps(count: usize) -> impl Strategy<Value = Vec<Step>> {
    let new = (prop::collection::vec((0..5_usize, 0..3_i64), 0..5), 0..4_u8, any::<bool>())
        .prop_map(|(items, coverage, related)| Say::New { items, coverage, related });
    let say = prop_oneof![
        9 => Just(Say::Again),
        4 => new,
        1 => (0..5_usize).prop_map(Say::Retract),
        1 => (any::<bool>(), prop::option::of(10..200_i64)).prop_map(|(same, until)| Say::Word { same, until }),
        1 => Just(Say::Approve),
    ];
    let late = prop_oneof![9 => Just(0), 1 => 1..250_i64];
    let step = (0..3_usize, 1..45_i64, late, say).prop_map(|(source, gap, late, say)| Step {
        source,
        gap,
        late,
        say,
    });
    prop::collection::vec(step, 1..count)
}

/// What drives engines with equal pasts.
struct Script {
    now: i64,
    last: [Option<Batch>; 3],
    runs: Vec<(SourceName, Timestamp)>,
}

impl Script {
    const fn new() -> Self {
        Self { now: 1000, last: [const { None }; 3], runs: Vec::new() }
    }

    /// Takes a step in every engine; each makes its own facts.
    fn step(&mut self, step: &Step, earliest: Timestamp, engines: &mut [&mut Cmdb]) {
        self.now += step.gap;
        let now = at(self.now);
        let source = SourceName::literal(SOURCES[step.source]);
        let observed = at(self.now - step.late).max(earliest);
        let mut batch = Batch::new(source.clone(), observed);
        match &step.say {
            Say::Again => {
                let Some(last) = &self.last[step.source] else { return };
                last.items().iter().for_each(|item| {
                    batch.push(item.clone());
                });
                batch.finish(last.coverage().clone());
            }
            Say::New { items, coverage, related } => {
                for (item, value) in items {
                    batch
                        .ci(format!("item-{item}"), kind::HOST)
                        .key(Key::serial(&format!("SERIAL-{item}")).unwrap())
                        .attr(attr::HOST_NAME, format!("web-{item}"))
                        .attr(attr::OS_KERNEL_RELEASE, format!("6.{value}"));
                }
                if let Some((item, _)) = items.first().filter(|_| *related) {
                    batch.relation(relation::CONNECTS_TO, format!("item-{item}"), "item-0");
                }
                batch.finish(match coverage {
                    0 => Coverage::new(),
                    1 => Coverage::new().complete(Scope::cis(kind::HOST)).partial(
                        Scope::relations(relation::CONNECTS_TO),
                        ErrorKind::Denied,
                        "no",
                    ),
                    _ => Coverage::new()
                        .complete(Scope::cis(kind::HOST))
                        .complete(Scope::relations(relation::CONNECTS_TO)),
                });
                self.last[step.source] = Some(batch.clone());
            }
            Say::Retract(item) => {
                batch.retract(Retraction::Ci(format!("item-{item}").into()));
            }
            Say::Word { same, until } => {
                let mut said = itom_core::Statement::new("item-1", "item-2", "asked");
                said.until = until.map(|until| at(self.now + until));
                batch.push(if *same {
                    itom_core::Observation::SameAs(said)
                } else {
                    itom_core::Observation::NotSame(said)
                });
            }
            Say::Approve => {
                let Some((source, run_at)) = self.runs.last().cloned() else { return };
                let approval = Approval { source, run_at, reason: "asked".into() };
                for engine in engines {
                    let fact = Fact::approval(SourceName::literal("desk"), approval.clone(), now);
                    engine.ingest(vec![fact]);
                }
                return;
            }
        }
        self.runs.push((source, observed));
        for engine in engines {
            let facts = engine.plan(&batch, now);
            engine.ingest(facts);
        }
    }
}

fn all(cmdb: &Cmdb) -> Vec<Fact> {
    cmdb.facts().iter().cloned().collect()
}

/// The state that the facts give, at the time of another.
fn derived(facts: Vec<Fact>, now: Timestamp) -> Cmdb {
    let mut cmdb = Cmdb::new(config());
    cmdb.ingest(facts);
    cmdb.expire(now);
    cmdb
}

/// Some times from a horizon on at which something may be different.
fn times(cmdb: &Cmdb, from: Timestamp, now: Timestamp) -> Vec<Timestamp> {
    let mut times: BTreeSet<Timestamp> = cmdb
        .facts()
        .iter()
        .flat_map(|fact| [fact.observed(), fact.recorded(), fact.observed() + span(91)])
        .filter(|at| *at >= from && *at <= now)
        .collect();
    times.extend([from, now, from + span(1)]);
    let step = times.len().div_ceil(6);
    times.into_iter().step_by(step).collect()
}

fn assert_equal_views(before: &Cmdb, after: &Cmdb, from: Timestamp, now: Timestamp) {
    let times = times(before, from, now);
    for valid in &times {
        for recorded in &times {
            let (a, b) = (before.at(*valid, *recorded), after.at(*valid, *recorded));
            assert_eq!(
                a.state_hash(),
                b.state_hash(),
                "view at {valid} as known at {recorded}, horizon {from}: {:?}",
                diff(&a.view(), &b.view(), now)
            );
        }
    }
    for pair in times.windows(2) {
        let steps = |cmdb: &Cmdb| {
            let (a, b) = (cmdb.view_at(pair[0], now), cmdb.view_at(pair[1], now));
            diff(&a, &b, now)
        };
        assert_eq!(steps(before), steps(after), "the difference of {} and {}", pair[0], pair[1]);
    }
}

fn assert_proofs_hold(before: &Cmdb, after: &Cmdb) {
    for ci in before.view().cis() {
        let (a, b) = (before.explain(ci.id()), after.explain(ci.id()));
        assert_eq!(a, b);
        for proof in b.into_iter().flat_map(|own| own.merges) {
            verify(&proof, after.facts(), after.config().identity()).unwrap();
        }
    }
}

fn cases(usual: u32) -> ProptestConfig {
    let set = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    ProptestConfig { cases: set.unwrap_or(usual), max_shrink_iters: 4000, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(24))]

    /// Views, differences and proofs at any time from the horizon on are what they were, whether the facts were taken out
    /// of a running engine or an engine starts from what is left; and they stay so whatever comes next.
    #[test]
    fn l5_compaction_changes_no_view_from_the_horizon_on(
        past in steps(70),
        next in steps(12),
        sightings in 1..400_u64,
        history in prop::option::of(1..900_u64),
        spacing in 1..200_u64,
        again in any::<bool>(),
    ) {
        let mut script = Script::new();
        let mut before = Cmdb::new(config());
        for step in &past {
            script.step(step, Timestamp::MIN, &mut [&mut before]);
        }
        let mut retention = Retention::new().sightings(span(sightings)).spacing(span(spacing));
        retention.history = history.map(span);
        let now = at(script.now + 5);
        before.expire(now);
        let mut after = before.clone();
        let mut horizon = Timestamp::MIN;
        if again {
            // An earlier compaction is compacted again.
            let earlier = after.plan_compaction(&retention, now - span(200));
            horizon = earlier.horizon();
            after.forget(&earlier);
        }
        let plan = after.plan_compaction(&retention, now);
        after.forget(&plan);
        horizon = horizon.max(plan.horizon());
        prop_assert!(after.plan_compaction(&retention, now).is_empty(), "it is done once");
        prop_assert_eq!(before.state_hash(), after.state_hash());
        let mut fresh = derived(all(&after), now);
        prop_assert_eq!(before.state_hash(), fresh.state_hash());
        assert_equal_views(&before, &fresh, horizon, now);
        assert_proofs_hold(&before, &fresh);
        for step in &next {
            script.step(step, horizon + span(1), &mut [&mut before, &mut after, &mut fresh]);
        }
        prop_assert_eq!(before.state_hash(), after.state_hash());
        prop_assert_eq!(before.state_hash(), fresh.state_hash());
        assert_equal_views(&before, &fresh, horizon, at(script.now));
    }

    /// Where runs were thinned only, views say the same of everything but when it was seen last.
    #[test]
    fn l5_thinned_sightings_change_when_it_was_seen_and_nothing_else(
        past in steps(70),
        sightings in 1..300_u64,
    ) {
        let mut script = Script::new();
        let mut before = Cmdb::new(config());
        for step in &past {
            script.step(step, Timestamp::MIN, &mut [&mut before]);
        }
        let now = at(script.now + 5);
        before.expire(now);
        let mut after = before.clone();
        after.forget(&after.plan_compaction(&Retention::new().sightings(span(sightings)).all_history(), now));
        let last = now - span(sightings);
        for valid in times(&before, Timestamp::MIN, now) {
            let (a, b) = (before.view_at(valid, now), after.view_at(valid, now));
            prop_assert_eq!(diff(&a, &b, now), vec![], "at {}", valid);
            for ci in b.cis().filter(|_| valid < last) {
                let then = a.ci(ci.id()).unwrap();
                prop_assert!(ci.last_seen() <= then.last_seen());
                prop_assert_eq!(ci.first_seen(), then.first_seen());
                prop_assert_eq!(ci.attributes(), then.attributes());
            }
        }
        // It is a part of the log: the whole log brings everything back.
        let gone: BTreeSet<FactId> = before.facts().iter().map(Fact::id).collect();
        prop_assert!(after.facts().iter().all(|fact| gone.contains(&fact.id())));
        after.ingest(all(&before));
        prop_assert_eq!(before.state_hash(), after.state_hash());
        prop_assert_eq!(before.facts(), after.facts());
    }
}

/// A source that says the same every minute for a week.
fn steady() -> Cmdb {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    for minute in 0..7 * 24 * 60 {
        let mut batch = Batch::new(SourceName::literal("agent"), at(minute * 60));
        batch.ci("host", kind::HOST).attr(attr::HOST_NAME, "web");
        batch.finish(Coverage::new().complete(Scope::cis(kind::HOST)));
        cmdb.ingest(cmdb.plan(&batch, at(minute * 60)));
    }
    cmdb
}

#[test]
fn a_steady_week_is_a_handful_of_facts() {
    let mut cmdb = steady();
    let now = at(7 * 86_400);
    let before = cmdb.facts().len();
    let policy = Retention::new().sightings(span(3600)).all_history();
    cmdb.forget(&cmdb.plan_compaction(&policy, now));
    // The statement, two runs and one each six hours, and the last hour.
    let after = cmdb.facts().len();
    assert!(before > 10_000 && after <= 1 + 2 + 29 + 60, "{before} facts became {after}");
    cmdb.forget(&cmdb.plan_compaction(&Retention::new().sightings(span(60)).history(span(60)), now));
    assert!(cmdb.facts().len() <= 5, "{}", cmdb.facts().len());
}

/// What a host inherits from its interfaces is cited by statements that no run after the horizon says.
#[test]
fn l5_compaction_keeps_what_is_inherited_and_its_proofs() {
    let mut before = Cmdb::new(CmdbConfig::default());
    for minute in 0..40 {
        for source in ["inventory", "cloud"] {
            let mut batch = Batch::new(SourceName::literal(source), at(minute * 60));
            batch.ci("host", kind::HOST);
            // A card is replaced half-way; the cloud falls silent in the end.
            for number in 0..3 {
                let mac = if number == 0 && minute >= 20 { 9 } else { number };
                let native = format!("eth{number}");
                let key = Key::mac(&format!("00:1b:44:11:3a:0{mac}")).unwrap();
                batch.ci(native.as_str(), kind::NETWORK_INTERFACE).key(key);
                batch.relation(relation::CONTAINS, "host", native.as_str());
            }
            batch.finish(Coverage::new().complete(Scope::cis(kind::NETWORK_INTERFACE)));
            if source == "inventory" || minute < 30 {
                before.ingest(before.plan(&batch, at(minute * 60)));
            }
        }
    }
    let now = at(3 * 86_400);
    before.expire(now);
    assert_eq!(before.view().by_kind(&kind::HOST).len(), 1);
    let mut after = before.clone();
    let plan = after.plan_compaction(&Retention::new().sightings(span(300)).history(span(600)), now);
    after.forget(&plan);
    assert!(after.facts().len() < before.facts().len() / 2);
    let mut fresh = Cmdb::new(CmdbConfig::default());
    fresh.ingest(all(&after));
    fresh.expire(now);
    for own in [&after, &fresh] {
        assert_eq!(own.state_hash(), before.state_hash());
        assert_proofs_hold(&before, own);
        let host = own.view().by_kind(&kind::HOST)[0].id();
        let merges = own.explain(host).unwrap().merges;
        assert_eq!(merges.iter().map(|proof| proof.parts().0.len()).collect::<Vec<_>>(), [3]);
    }
    // The host is seen again, its interfaces are not.
    let mut bare = Batch::new(SourceName::literal("cloud"), now);
    bare.ci("host", kind::HOST);
    for own in [&mut before, &mut after, &mut fresh] {
        own.ingest(own.plan(&bare, now));
        assert_eq!(own.view().by_kind(&kind::HOST).len(), 2);
    }
    assert_eq!(before.state_hash(), fresh.state_hash());
}

/// Follower cursors: those from the horizon on are served, older ones are refused with what to do.
#[test]
fn an_older_state_is_refused_and_a_younger_one_is_the_same() {
    block_on(async {
        let (kept, cut) = (MemoryStore::new(), MemoryStore::new());
        let mut cmdb = Cmdb::new(config());
        let mut marks = Vec::new();
        for run in 0..60 {
            let mut batch = Batch::new(SourceName::literal("agent"), at(run * 10));
            for item in 0..3 {
                batch
                    .ci(format!("item-{item}"), kind::HOST)
                    .attr(attr::HOST_NAME, format!("web-{}", if run % 7 == item { run } else { 0 }));
            }
            batch.finish(Coverage::new().complete(Scope::cis(kind::HOST)));
            let facts = cmdb.plan(&batch, at(run * 10));
            kept.append(&facts).await.unwrap();
            cut.append(&facts).await.unwrap();
            cmdb.ingest(facts);
            marks.push(Mark::new(kept.end().await.unwrap().unwrap().position(), at(run * 10)));
        }
        let policy = Retention::new().sightings(span(200)).history(span(300));
        let end = cut.end().await.unwrap();
        let done = compact(&cut, &mut cmdb, end, &policy, at(600), |_| {}).await.unwrap();
        assert!(done.dropped > 20 && done.checkpoints == 1, "{done:?}");
        let horizon = cut.horizon().await.unwrap().unwrap();
        let mut served = 0;
        for mark in marks {
            match replay(&cut, config(), mark).await {
                Ok(state) => {
                    let whole = replay(&kept, config(), mark).await.unwrap();
                    assert_eq!(state.state_hash(), whole.state_hash(), "at {mark:?}");
                    served += 1;
                }
                Err(error) => {
                    assert!(matches!(error, StoreError::Compacted { .. }), "{error}");
                    assert!(error.to_string().contains("start again from the present view"), "{error}");
                    assert!(mark < horizon || mark.at < horizon.at);
                }
            }
        }
        assert!(served >= 20, "{served} states are kept");
        assert_eq!(replay(&cut, config(), Mark::START).await.unwrap().view().len(), 0);
    });
}

#[test]
fn what_comes_too_late_is_kept_and_not_believed() {
    let mut cmdb = steady();
    let now = at(7 * 86_400);
    cmdb.forget(&cmdb.plan_compaction(&Retention::new().sightings(span(60)).history(span(60)), now));
    let hash = cmdb.state_hash();
    let mut late = Batch::new(SourceName::literal("agent"), at(90));
    late.ci("host", kind::HOST).attr(attr::HOST_NAME, "other");
    let applied = cmdb.ingest(cmdb.plan(&late, now));
    assert_eq!((applied.too_late, applied.changes.len()), (1, 0));
    assert_eq!(cmdb.state_hash(), hash);
}

/// What a value was before the horizon is gone; what it was at the horizon is told with since when.
#[test]
fn the_history_of_a_field_begins_at_the_horizon() {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    for run in 0..10 {
        let mut batch = Batch::new(SourceName::literal("agent"), at(run * 100));
        batch.ci("host", kind::HOST).attr(attr::HOST_NAME, format!("web-{}", run / 3));
        cmdb.ingest(cmdb.plan(&batch, at(run * 100)));
    }
    let id = cmdb.view().cis().next().unwrap().id();
    let whole = cmdb.field_history(id, &attr::HOST_NAME);
    assert_eq!(whole.len(), 4);
    let policy = Retention::new().sightings(span(200)).history(span(500));
    cmdb.forget(&cmdb.plan_compaction(&policy, at(1000)));
    let left = cmdb.field_history(id, &attr::HOST_NAME);
    assert_eq!(left[..], whole[1..]);
}

/// Somebody else appended what the planner did not know.
#[test]
fn a_plan_that_does_not_know_everything_is_refused() {
    block_on(async {
        let store = MemoryStore::new();
        let mut cmdb = steady();
        store.append(&all(&cmdb)).await.unwrap();
        let known = store.end().await.unwrap();
        let mut late = Batch::new(SourceName::literal("agent"), at(90));
        late.ci("other", kind::HOST).attr(attr::HOST_NAME, "other");
        let now = at(7 * 86_400);
        store.append(&cmdb.plan(&late, now)).await.unwrap();
        let policy = Retention::new().sightings(span(60)).history(span(60));
        let plan = cmdb.plan_compaction(&policy, now).known_to(known);
        let error = store.compact(&plan).await.unwrap_err();
        assert!(matches!(error, StoreError::Disturbed { .. }), "{error}");
        assert!(store.horizon().await.unwrap().is_none(), "nothing was changed");
        // Taking it in first, as the error says, is what `compact` does.
        // What that changes is told, so that a graph kept beside follows.
        let mut told = Vec::new();
        compact(&store, &mut cmdb, known, &policy, now, |applied| told.push(applied)).await.unwrap();
        assert_eq!(cmdb.view().len(), 2);
        assert_eq!(
            told.iter().map(|applied| applied.new_facts).collect::<Vec<_>>(),
            [2, 1],
            "theirs, the sum"
        );
        // Also when the compaction then fails.
        let mut new = Batch::new(SourceName::literal("another"), now);
        new.ci("third", kind::HOST).attr(attr::HOST_NAME, "third");
        let known = store.end().await.unwrap();
        store.append(&cmdb.plan(&new, now)).await.unwrap();
        let faulty = FaultyStore::new(store).fail(1, Fault::Unavailable);
        let mut steps = Vec::new();
        let follow = |applied: Applied| steps.extend(applied.graph);
        let later = now + span(86_400);
        compact(&faulty, &mut cmdb, known, &policy, later, follow).await.unwrap_err();
        let [GraphDelta::Upsert { name, .. }] = steps.as_slice() else { panic!("{steps:?}") };
        assert_eq!(name.as_str(), "third");
    });
}
