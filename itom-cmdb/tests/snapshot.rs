//! Opening a store by way of a snapshot: nothing shows of it.

#[path = "laws/estate.rs"]
mod estate;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use estate::{Run, SOURCES, STEP, runs};
use futures::executor::block_on;
use itom_cmdb::fact::Fact;
use itom_cmdb::history::Mark;
use itom_cmdb::store::{
    Compacted, Compaction, Cursor, Description, MemoryStore, Opened, Page, Refusal, Retention, SnapshotUse,
    Store, StoreError, compact, open,
};
use itom_cmdb::{Cmdb, CmdbConfig};
use itom_core::{
    Batch, ChangeSource as _, Coverage, Interval, Key, Observation, Scope, SourceName, Statement, Timestamp,
    attr, kind,
};
use proptest::prelude::*;

/// The facts of a store, with another snapshot beside them.
#[derive(Debug, Clone)]
struct Beside(Arc<MemoryStore>, Option<Vec<u8>>);

#[async_trait]
impl Store for Beside {
    async fn append(&self, facts: &[Fact]) -> Result<(), StoreError> {
        self.0.append(facts).await
    }
    async fn load(&self, after: Option<Cursor>, page: usize) -> Result<Page, StoreError> {
        self.0.load(after, page).await
    }
    async fn describe(&self) -> Result<Description, StoreError> {
        self.0.describe().await
    }
    async fn end(&self) -> Result<Option<Cursor>, StoreError> {
        self.0.end().await
    }
    async fn horizon(&self) -> Result<Option<Mark>, StoreError> {
        self.0.horizon().await
    }
    async fn compact(&self, plan: &Compaction) -> Result<Compacted, StoreError> {
        self.0.compact(plan).await
    }
    async fn snapshot(&self) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.1.clone())
    }
    async fn flush(&self) -> Result<(), StoreError> {
        self.0.flush().await
    }
}

/// Leases, freshness and a breaker that small estates reach.
fn config() -> CmdbConfig {
    let span = |steps: i64| Some(Duration::from_secs((steps * STEP) as u64));
    CmdbConfig::default()
        .lease(kind::HOST, span(31))
        .lease(kind::UNIT, span(12))
        .source_lease(SourceName::literal("beta"), span(9))
        .relations_lease(span(17))
        .mass_retirement(50, 3)
        .precedence(
            itom_cmdb::Precedence::new(SourceName::literal("alpha"), 5)
                .fresh_for(Duration::from_secs(STEP as u64 * 7)),
        )
}

fn at(step: i64) -> Timestamp {
    Timestamp::from_secs(1_000_000 + step * STEP)
}

/// Everything that can be asked of one is the same of the other.
fn same(one: &Cmdb, other: &Cmdb, points: &[(i64, i64)]) -> Result<(), TestCaseError> {
    let (a, b) = (one.view(), other.view());
    prop_assert_eq!(a.as_of(), b.as_of());
    prop_assert_eq!(one.state_hash(), other.state_hash());
    prop_assert!(a.cis().eq(b.cis()), "items with all their claims");
    prop_assert!(a.relations().eq(b.relations()), "relations with all their claims");
    same_feed(one, other)?;
    prop_assert_eq!(one.facts(), other.facts());
    prop_assert_eq!(one.proposed_retirements(), other.proposed_retirements());
    prop_assert_eq!(one.ambiguities(), other.ambiguities());
    prop_assert_eq!(one.contested_locks(), other.contested_locks());
    prop_assert_eq!(one.learned_until(), other.learned_until());
    for source in SOURCES.map(SourceName::literal) {
        prop_assert_eq!(one.questions(&source), other.questions(&source));
        let mut batch = Batch::new(source, at(1000));
        batch.ci("n1", kind::HOST).attr(attr::OS_VERSION, 1_i64);
        prop_assert_eq!(one.plan(&batch, at(1000)), other.plan(&batch, at(1000)));
    }
    for ci in a.cis() {
        prop_assert_eq!(one.explain(ci.id()), other.explain(ci.id()));
        prop_assert_eq!(
            one.field_history(ci.id(), &attr::OS_VERSION),
            other.field_history(ci.id(), &attr::OS_VERSION)
        );
    }
    for (valid, recorded) in points {
        let (valid, recorded) = (at(*valid), at(*recorded));
        let (a, b) = (one.view_at(valid, recorded), other.view_at(valid, recorded));
        prop_assert_eq!(a.state_hash(), b.state_hash(), "the past at {} as known at {}", valid, recorded);
    }
    Ok(())
}

fn same_feed(one: &Cmdb, other: &Cmdb) -> Result<(), TestCaseError> {
    let (a, b) = (one.feed(), other.feed());
    prop_assert_eq!(a.changes(Interval::ALWAYS), b.changes(Interval::ALWAYS));
    prop_assert_eq!(a.forgotten_until(), b.forgotten_until());
    prop_assert_eq!(a.len(), b.len());
    Ok(())
}

#[derive(Debug, Clone)]
enum Op {
    /// A source says something.
    Say(Run),
    /// A person says that two things are the same or are not, for a while.
    Word { same: bool, until: Option<i64> },
    /// Time passes.
    Pass,
    /// A snapshot is kept.
    Keep,
    /// The store is opened anew.
    Open,
    /// Old facts are summed up.
    Compact { sightings: i64, history: Option<i64> },
}

fn ops() -> impl Strategy<Value = Vec<(i64, Op)>> {
    let say = runs().prop_map(|mut runs| Op::Say(runs.swap_remove(0)));
    let word =
        (any::<bool>(), prop::option::of(1..60_i64)).prop_map(|(same, until)| Op::Word { same, until });
    let compact = (1..80_i64, prop::option::of(1..120_i64))
        .prop_map(|(sightings, history)| Op::Compact { sightings, history });
    let op = prop_oneof![
        8 => say,
        1 => word,
        2 => Just(Op::Pass),
        2 => Just(Op::Keep),
        2 => Just(Op::Open),
        1 => compact,
    ];
    prop::collection::vec((1..25_i64, op), 2..22)
}

/// An engine over a store, and one beside it that was opened at the same time without a snapshot.
struct Engines {
    store: Beside,
    cmdb: Cmdb,
    plain: Cmdb,
    used: u32,
}

impl Engines {
    fn new(config: CmdbConfig) -> Self {
        let store = Beside(Arc::default(), None);
        Self { store, cmdb: Cmdb::new(config.clone()), plain: Cmdb::new(config), used: 0 }
    }

    fn take(&mut self, batch: &Batch, now: Timestamp) {
        let facts = self.cmdb.plan(batch, now);
        block_on(self.store.append(&facts)).unwrap();
        self.cmdb.ingest(facts.clone());
        self.plain.ingest(facts);
    }

    fn pass(&mut self, now: Timestamp) {
        self.cmdb.run_out(now);
        self.plain.run_out(now);
    }

    /// Whether there is one to keep.
    fn keep(&mut self) -> bool {
        let end = block_on(self.store.end()).unwrap().unwrap_or(Cursor::new(0));
        let horizon = block_on(self.store.horizon()).unwrap();
        let snapshot = self.cmdb.snapshot(end, horizon);
        if let Some(snapshot) = &snapshot {
            self.store.1 = Some(snapshot.encode());
        }
        snapshot.is_some()
    }

    fn open(&mut self, config: &CmdbConfig, now: Timestamp) -> SnapshotUse {
        let Opened { cmdb, snapshot, .. } = block_on(open(&self.store, config.clone(), now)).unwrap();
        let bare = Beside(Arc::clone(&self.store.0), None);
        let plain = block_on(open(&bare, config.clone(), now)).unwrap();
        assert_eq!(plain.snapshot, SnapshotUse::None);
        self.used += u32::from(matches!(snapshot, SnapshotUse::Used { .. }));
        (self.cmdb, self.plain) = (cmdb, plain.cmdb);
        snapshot
    }

    fn compact(&mut self, retention: &Retention, now: Timestamp) {
        let end = block_on(self.store.end()).unwrap();
        let plan = self.cmdb.plan_compaction(retention, now);
        block_on(compact(&self.store, &mut self.cmdb, end, retention, now, |_| ())).unwrap();
        if !plan.is_empty() {
            self.plain.forget(&plan);
        }
    }
}

fn word(now: Timestamp, same: bool, until: Option<i64>) -> Batch {
    let mut batch = Batch::new(SourceName::literal("alpha"), now);
    let mut said = Statement::new("n1", "n2", "asked");
    said.until = until.map(|steps| now + Duration::from_secs((steps * STEP) as u64));
    batch.push(if same { Observation::SameAs(said) } else { Observation::NotSame(said) });
    batch
}

fn cases(usual: u32) -> ProptestConfig {
    let set = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    ProptestConfig { max_shrink_iters: 4_000, ..ProptestConfig::with_cases(set.unwrap_or(usual)) }
}

proptest! {
    #![proptest_config(cases(96))]

    /// An engine that keeps time: every snapshot it keeps fits, and whether there was one does not show, then or later.
    #[test]
    fn l1_opened_with_a_snapshot_is_a_replay(
        ops in ops(),
        remembered in prop_oneof![Just(65_536_usize), 0..40_usize],
        points in prop::collection::vec((-5..500_i64, -5..500_i64), 3),
    ) {
        let config = config().remembered_changes(remembered);
        let mut engines = Engines::new(config.clone());
        let mut step = 0;
        // What was summed up since the snapshot.
        let mut fits = true;
        for (gap, op) in ops {
            step += gap;
            let now = at(step);
            engines.pass(now);
            match op {
                Op::Say(run) => engines.take(&run.batch(), now),
                Op::Word { same, until } => engines.take(&word(now, same, until), now),
                Op::Pass => {}
                Op::Keep => {
                    prop_assert!(engines.keep(), "it heard of everything in order");
                    fits = true;
                }
                Op::Open => {
                    let used = engines.open(&config, now);
                    match used {
                        SnapshotUse::None => prop_assert!(engines.store.1.is_none()),
                        SnapshotUse::Used { .. } => prop_assert!(fits),
                        SnapshotUse::Refused(why) => prop_assert!(!fits, "{}", why),
                        _ => prop_assert!(false),
                    }
                    same(&engines.cmdb, &engines.plain, &points)?;
                }
                Op::Compact { sightings, history } => {
                    let span = |steps: i64| Duration::from_secs((steps * STEP) as u64);
                    let mut retention = Retention::new().sightings(span(sightings)).spacing(span(2));
                    retention.history = history.map(span);
                    let before = block_on(engines.store.horizon()).unwrap();
                    engines.compact(&retention, now);
                    fits &= before == block_on(engines.store.horizon()).unwrap();
                }
            }
            same_feed(&engines.cmdb, &engines.plain)?;
            prop_assert_eq!(engines.cmdb.state_hash(), engines.plain.state_hash());
        }
        engines.open(&config, at(step + 3));
        same(&engines.cmdb, &engines.plain, &points)?;
        engines.pass(at(step + 90));
        same(&engines.cmdb, &engines.plain, &points)?;
    }

    /// Facts that were learned at any times, in any order, some of them again; snapshots taken at any cut by whoever
    /// opened the store there: what is used is right, whatever is refused.
    #[test]
    fn l1_opened_with_a_snapshot_at_any_cut_is_a_replay(
        runs in runs(),
        more in runs(),
        gaps in prop::collection::vec((-9..25_i64, any::<bool>()), 20),
        (keeper, opener) in (0..200_i64, 0..300_i64),
        again in prop::option::of((any::<prop::sample::Index>(), 0..300_i64)),
        points in prop::collection::vec((-5..500_i64, -5..500_i64), 2),
    ) {
        let mut engines = Engines::new(config());
        let mut source = Cmdb::new(config());
        let mut step = 0;
        let mut gaps = gaps.into_iter();
        let mut append = |store: &Beside, runs: &[Run]| {
            for run in runs {
                let (gap, together) = gaps.next().unwrap_or((1, false));
                step += if together { 0 } else { gap };
                let facts = source.plan(&run.batch(), at(step));
                block_on(store.append(&facts)).unwrap();
                source.ingest(facts);
            }
        };
        append(&engines.store, &runs);
        engines.open(&config(), at(keeper));
        prop_assert!(engines.keep(), "what was just opened can be kept");
        append(&engines.store, &more);
        if let Some((index, recorded)) = again {
            let facts = block_on(engines.store.load(None, 1000)).unwrap().facts;
            let fact = index.get(&facts);
            let learned =
                Fact::new(fact.source().clone(), fact.run(), fact.observed(), at(recorded), fact.body().clone());
            block_on(engines.store.append(&[learned])).unwrap();
        }
        engines.open(&config(), at(opener));
        same(&engines.cmdb, &engines.plain, &points)?;
        engines.pass(at(opener + 50));
        same(&engines.cmdb, &engines.plain, &points)?;
    }

    #[test]
    fn l10_any_bytes_as_a_snapshot(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        magic in any::<bool>(),
    ) {
        let mut engines = Engines::new(config());
        engines.take(&word(at(1), true, None), at(1));
        let bytes = if magic { [b"itomsnap".as_slice(), &bytes].concat() } else { bytes };
        engines.store.1 = Some(bytes);
        let used = engines.open(&config(), at(2));
        prop_assert!(matches!(used, SnapshotUse::Refused(Refusal::Damaged { .. })), "{:?}", used);
        same(&engines.cmdb, &engines.plain, &[])?;
    }

    #[test]
    fn l10_a_damaged_snapshot_is_noticed(
        runs in runs(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut engines = Engines::new(config());
        for (step, run) in (1..).zip(&runs) {
            engines.pass(at(step));
            engines.take(&run.batch(), at(step));
        }
        prop_assert!(engines.keep());
        let whole = engines.store.1.clone().unwrap();
        let mut damaged = whole.clone();
        for (index, mask) in &flips {
            *index.get_mut(&mut damaged) ^= mask;
        }
        if let Some(cut) = cut {
            damaged.truncate(cut.index(damaged.len()));
        }
        prop_assume!(damaged != whole);
        engines.store.1 = Some(damaged);
        let used = engines.open(&config(), at(50));
        prop_assert!(matches!(used, SnapshotUse::Refused(Refusal::Damaged { .. })), "{:?}", used);
        same(&engines.cmdb, &engines.plain, &[])?;
    }
}

/// Hosts with a serial number, the value of one attribute.
fn hosts(source: &'static str, step: i64, hosts: std::ops::Range<i64>, value: i64) -> Batch {
    let mut batch = Batch::new(SourceName::literal(source), at(step));
    for host in hosts {
        batch
            .ci(format!("host-{host}"), kind::HOST)
            .key(Key::serial(&format!("SN-{host}")).unwrap())
            .attr(attr::OS_VERSION, value);
    }
    batch.finish(Coverage::new().complete(Scope::cis(kind::HOST)));
    batch
}

/// An engine with some past, and a snapshot of it.
fn kept() -> Engines {
    let mut engines = Engines::new(config());
    for step in 1..6 {
        engines.pass(at(step));
        engines.take(&hosts("alpha", step, 0..4, step), at(step));
    }
    assert!(engines.keep());
    engines
}

#[test]
fn what_does_not_fit_is_refused_and_says_why() {
    let refused = |engines: &mut Engines, config: &CmdbConfig, now| match engines.open(config, at(now)) {
        SnapshotUse::Refused(why) => {
            same(&engines.cmdb, &engines.plain, &[]).unwrap();
            why
        }
        other => panic!("{other:?}"),
    };
    let mut engines = kept();
    assert_eq!(engines.open(&config(), at(6)), SnapshotUse::Used { facts: 25 });
    assert_eq!(refused(&mut kept(), &config().lease(kind::HOST, None), 6), Refusal::OtherRules);
    assert_eq!(refused(&mut kept(), &config().remembered_changes(9), 6), Refusal::OtherRules);

    // Somebody else appended what the engine did not know.
    let mut engines = kept();
    let snapshot = engines.store.1.take();
    let mut other = Engines::new(config());
    other.take(&hosts("beta", 1, 0..2, 7), at(0));
    other.store.1 = snapshot;
    let facts = block_on(engines.store.load(None, 1000)).unwrap().facts;
    block_on(other.store.append(&facts)).unwrap();
    assert_eq!(refused(&mut other, &config(), 6), Refusal::FactsChanged);

    // A fact that it covers was learned earlier than it knew.
    let mut engines = kept();
    let fact = block_on(engines.store.load(None, 1000)).unwrap().facts.swap_remove(10);
    let earlier = Fact::new(fact.source().clone(), fact.run(), fact.observed(), at(0), fact.body().clone());
    block_on(engines.store.append(&[earlier])).unwrap();
    assert_eq!(refused(&mut engines, &config(), 6), Refusal::FactsChanged);

    // The store holds less than it covers.
    let mut engines = kept();
    engines.store.0 = Arc::default();
    assert_eq!(refused(&mut engines, &config(), 6), Refusal::FactsChanged);

    // Old facts were summed up since.
    let mut engines = kept();
    let retention = Retention::new().sightings(Duration::from_secs(60)).history(Duration::from_secs(60));
    engines.compact(&retention, at(9));
    assert!(block_on(engines.store.horizon()).unwrap().is_some());
    assert_eq!(refused(&mut engines, &config(), 9), Refusal::HorizonMoved);

    // The clock was set back behind a time that had come by itself.
    let mut engines = kept();
    engines.pass(at(40));
    assert!(engines.keep());
    assert_eq!(refused(&mut engines, &config(), 30), Refusal::TimeAhead);
    let facts = engines.cmdb.plan(&hosts("beta", 20, 0..2, 7), at(35));
    block_on(engines.store.append(&facts)).unwrap();
    assert_eq!(refused(&mut engines, &config(), 50), Refusal::TimeAhead);
}

#[test]
fn who_did_not_keep_time_has_nothing_to_keep() {
    let late = |engines: &mut Engines, step| engines.take(&hosts("beta", step, 0..3, 1), at(step));
    // Something ran out, and it was told later.
    let mut engines = kept();
    engines.cmdb.expire(at(200));
    assert!(!engines.keep());
    // It came in after something that was learned later.
    let mut engines = kept();
    late(&mut engines, 4);
    assert!(!engines.keep());
    // Two moments at once, or one in two parts.
    let mut engines = kept();
    let facts: Vec<Fact> = [7, 8]
        .iter()
        .flat_map(|step| engines.cmdb.plan(&hosts("beta", *step, 0..3, *step), at(*step)))
        .collect();
    engines.cmdb.ingest(facts);
    assert!(!engines.keep());
    let mut engines = kept();
    late(&mut engines, 5);
    assert!(!engines.keep());
    // Opened anew it can.
    engines.open(&config(), at(20));
    assert!(engines.keep());
    assert!(matches!(engines.open(&config(), at(21)), SnapshotUse::Used { .. }));
}

#[test]
fn what_ran_out_while_nobody_looked_is_told_at_its_time() {
    let mut engines = Engines::new(config());
    engines.take(&hosts("beta", 1, 0..2, 1), at(1));
    engines.store.1 = None;
    engines.open(&config(), at(500));
    let told = engines.cmdb.feed().changes(Interval::ALWAYS);
    let gone: Vec<Timestamp> = told
        .iter()
        .filter(|change| change.change == itom_core::ChangeKind::Retired)
        .map(|change| change.at)
        .collect();
    assert_eq!(gone, [at(10), at(10)], "nine steps after it was seen");
}
