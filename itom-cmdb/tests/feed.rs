//! The change feed: events lead from one view to the next, cursors resume, the form is kept.

#[path = "laws/estate.rs"]
mod estate;

use std::collections::BTreeMap;

use estate::{STEP, runs};
use futures::executor::block_on;
use itom_cmdb::history::{CloudEvent, FeedChange, FeedCursor, FeedEvent, Follower, Mark, events};
use itom_cmdb::store::{MemoryStore, Store as _, replay};
use itom_cmdb::view::LifeState;
use itom_cmdb::{Cmdb, CmdbConfig, View};
use itom_core::{
    AttrName, Batch, CiId, CiKind, Coverage, Key, RelationKind, Scope, SourceName, Text, Timestamp, Value,
    attr, kind,
};
use proptest::prelude::*;

fn config() -> CmdbConfig {
    CmdbConfig::default().mass_retirement(50, 3)
}

/// What a consumer can know from events alone.
#[derive(Debug, Clone, Default, PartialEq)]
struct Told {
    items: BTreeMap<CiId, (CiKind, Text, bool, BTreeMap<AttrName, Value>)>,
    relations: std::collections::BTreeSet<(RelationKind, CiId, CiId)>,
}

impl Told {
    fn of(view: &View) -> Self {
        let items = view.cis().map(|ci| {
            let attributes =
                ci.attributes().iter().map(|(name, own)| (name.clone(), own.value().clone())).collect();
            (ci.id(), (ci.kind().clone(), ci.name().clone(), ci.state() == LifeState::Active, attributes))
        });
        let holds = view.relations().filter(|relation| relation.state.is_active());
        let relations = holds.map(|relation| (relation.kind.clone(), relation.from, relation.to)).collect();
        Self { items: items.collect(), relations }
    }

    fn take(&mut self, event: FeedEvent) {
        let id = event.ci;
        match event.what {
            FeedChange::Appeared { kind, name } => {
                let before = self.items.insert(id, (kind, name, true, BTreeMap::new()));
                assert_eq!(before, None, "appeared twice");
            }
            FeedChange::Redirected { .. } | FeedChange::Removed => {
                assert!(self.items.remove(&id).is_some(), "unknown and gone");
            }
            FeedChange::Split { .. } | FeedChange::Merged { .. } => {}
            FeedChange::Returned => self.item(id).2 = true,
            FeedChange::Retired { .. } => self.item(id).2 = false,
            FeedChange::Kind { before, after } => {
                assert_eq!(std::mem::replace(&mut self.item(id).0, after), before);
            }
            FeedChange::Name { before, after } => {
                assert_eq!(std::mem::replace(&mut self.item(id).1, after), before);
            }
            FeedChange::Attribute { name, before, after, why } => {
                assert_eq!(why.is_some(), after.is_some());
                let known = &mut self.item(id).3;
                let was = match after {
                    Some(value) => known.insert(name, value),
                    None => known.remove(&name),
                };
                assert_eq!(was, before);
            }
            FeedChange::Related { kind, to, .. } => assert!(self.relations.insert((kind, id, to))),
            FeedChange::Unrelated { kind, to } => assert!(self.relations.remove(&(kind, id, to))),
            _ => {}
        }
    }

    fn item(&mut self, id: CiId) -> &mut (CiKind, Text, bool, BTreeMap<AttrName, Value>) {
        self.items.get_mut(&id).expect("an event about an item that was told")
    }
}

fn ingested(cmdb: &mut Cmdb, store: &MemoryStore, batch: &Batch, now: Timestamp) -> Mark {
    let facts = cmdb.plan(batch, now);
    block_on(store.append(&facts)).unwrap();
    cmdb.ingest(facts);
    let end = block_on(store.end()).unwrap().map_or(0, |end| end.position());
    Mark::new(end, cmdb.view().as_of().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 4_000, ..ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(96)
    ) })]

    /// A quick consumer, a slow one and one that crashes now and then all end at the same knowledge.
    #[test]
    fn l9_events_lead_from_view_to_view_and_resume_exactly(
        runs in runs(),
        limits in proptest::collection::vec((1_usize..9, any::<bool>(), any::<bool>()), 1..12),
    ) {
        let mut cmdb = Cmdb::new(config());
        let store = MemoryStore::new();
        let (mut quick, mut slow) = (Follower::new(), Follower::new());
        let (mut told_quick, mut told_slow) = (Told::default(), Told::default());
        let mut now = Timestamp::EPOCH;
        let mut mark = Mark::START;
        for (index, run) in runs.iter().enumerate() {
            let (limit, polls, crashes) = limits[index % limits.len()];
            now = now.max(run.at()) + std::time::Duration::from_secs(STEP as u64 / 7);
            mark = ingested(&mut cmdb, &store, &run.batch(), now);
            let delivery = quick.poll(&cmdb.view(), mark, usize::MAX);
            prop_assert!(!delivery.more);
            delivery.events.into_iter().for_each(|event| told_quick.take(event));
            prop_assert_eq!(&told_quick, &Told::of(&cmdb.view()));
            if polls {
                // Some of it, with a small buffer.
                let delivery = slow.poll(&cmdb.view(), mark, limit);
                delivery.events.into_iter().for_each(|event| told_slow.take(event));
            }
            if crashes {
                // Only the cursor survives, as text.
                let text = serde_json::to_string(&slow.cursor()).unwrap();
                let cursor: FeedCursor = serde_json::from_str(&text).unwrap();
                let from = block_on(replay(&store, config(), cursor.from())).unwrap();
                let to = block_on(replay(&store, config(), cursor.to())).unwrap();
                slow = Follower::resume(cursor, from.view(), to.view());
            }
        }
        for _ in 0..10_000 {
            let delivery = slow.poll(&cmdb.view(), mark, 3);
            delivery.events.into_iter().for_each(|event| told_slow.take(event));
            if !delivery.more {
                break;
            }
        }
        prop_assert_eq!(&told_slow, &Told::of(&cmdb.view()));
        prop_assert!(events(&cmdb.view(), &cmdb.view(), now).is_empty());
    }
}

#[test]
fn what_changed_back_while_nobody_asked_is_no_event() {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    let store = MemoryStore::new();
    let run = |tick: i64, name: &str| {
        let mut batch = Batch::new(SourceName::literal("agent"), Timestamp::from_secs(tick * 60));
        batch.ci("host", kind::HOST).attr(attr::HOST_NAME, name);
        batch
    };
    let mark = ingested(&mut cmdb, &store, &run(1, "a"), Timestamp::from_secs(61));
    let mut follower = Follower::from_snapshot(cmdb.view(), mark);
    for (tick, name) in [(2, "b"), (3, "c"), (4, "a")] {
        ingested(&mut cmdb, &store, &run(tick, name), Timestamp::from_secs(tick * 60 + 1));
    }
    let mark = ingested(&mut cmdb, &store, &run(5, "a"), Timestamp::from_secs(301));
    assert!(follower.poll(&cmdb.view(), mark, 10).events.is_empty());
    let mark = ingested(&mut cmdb, &store, &run(6, "d"), Timestamp::from_secs(361));
    let told = follower.poll(&cmdb.view(), mark, 10).events;
    assert_eq!(told.len(), 2, "the name of the item and its attribute: {told:?}");
}

/// A merge, a split and their redirects, told as such; the envelope of each kind of change is kept as a file.
#[test]
fn merges_and_splits_are_told_and_the_envelope_is_kept() {
    let at = |tick: i64| Timestamp::from_secs(1_700_000_000 + tick * 60);
    let serial = || Key::serial("SN-77").unwrap();
    let run = |source: &'static str, tick: i64, name: &'static str, key: Option<Key>| {
        let mut batch = Batch::new(SourceName::literal(source), at(tick));
        let ci = batch.ci("host", kind::HOST).attr(attr::HOST_NAME, name);
        key.into_iter().for_each(|key| {
            ci.key(key);
        });
        batch.finish(Coverage::new().complete(Scope::cis(kind::HOST)));
        batch
    };
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    let store = MemoryStore::new();
    let mut follower = Follower::new();
    let mut lines = Vec::new();
    let mut empty = Batch::new(SourceName::literal("agent"), at(7));
    empty.finish(Coverage::new().complete(Scope::cis(kind::HOST)));
    let mut related = run("agent", 4, "web-1", Some(serial()));
    related.ci("pg", kind::SERVICE).attr(attr::SERVICE_NAME, "pg");
    related.relation(itom_core::relation::RUNS_ON, "pg", "host");
    let batches = [
        run("agent", 1, "web-1", None),
        run("cloud", 2, "web-1.cloud", Some(serial())),
        run("agent", 3, "web-1", Some(serial())),
        related,
        run("agent", 5, "web-1", None),
        empty,
    ];
    for batch in &batches {
        let mark = ingested(&mut cmdb, &store, batch, batch.taken_at());
        let since = follower.cursor();
        let delivery = follower.poll(&cmdb.view(), mark, 100);
        lines.extend(delivery.cloud_events("/itom/demo", &since));
    }
    let told: Vec<&str> = lines.iter().map(|event| event.data.what.name()).collect();
    for name in ["appeared", "merged", "redirected", "split", "related", "attribute", "retired"] {
        assert!(told.contains(&name), "{name} in {told:?}");
    }
    let written = serde_json::to_string_pretty(&lines).unwrap() + "\n";
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cloud_events.json");
    if std::env::var_os("ITOM_BLESS").is_some() {
        std::fs::write(&path, &written).unwrap();
    }
    let kept = std::fs::read_to_string(&path).expect("run with ITOM_BLESS=1 to write it");
    assert_eq!(kept, written);
    assert_eq!(serde_json::from_str::<Vec<CloudEvent>>(&kept).unwrap(), lines);
}
