//! What compaction promises, checked on any store.

use std::time::Duration;

use itom_core::{Batch, Coverage, Scope, SourceName, Timestamp, attr, kind};

use super::read_all;
use crate::fact::Fact;
use crate::history::Mark;
use crate::store::{Compaction, Retention, Store, StoreError, replay};
use crate::{Cmdb, CmdbConfig};

const fn at(run: i64) -> Timestamp {
    Timestamp::from_secs(run * 60)
}

/// The facts of a run of one of two sources; every tenth changes something.
fn run(cmdb: &Cmdb, source: &'static str, run: i64) -> Vec<Fact> {
    let mut batch = Batch::new(SourceName::literal(source), at(run));
    for host in 0..5 {
        batch
            .ci(format!("host-{host}"), kind::HOST)
            .attr(attr::HOST_NAME, format!("web-{host}-{}", run / 10));
    }
    batch.finish(Coverage::new().complete(Scope::cis(kind::HOST)));
    cmdb.plan(&batch, at(run))
}

/// Runs before the suite compacts.
const RUNS: i64 = 100;

/// The past that the suite compacts: an engine, and the plan for it.
#[must_use]
pub fn some_past() -> (Vec<Vec<Fact>>, Compaction) {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    let mut appends = Vec::new();
    for number in 0..RUNS {
        for source in ["one", "two"] {
            let facts = run(&cmdb, source, number);
            cmdb.ingest(facts.clone());
            appends.push(facts);
        }
    }
    (appends, cmdb.plan_compaction(&policy(), at(RUNS)))
}

/// Changes for 40 minutes, every run for 20, otherwise one in five minutes.
fn policy() -> Retention {
    let minutes = |count: u64| Duration::from_secs(count * 60);
    Retention::new().history(minutes(40)).sightings(minutes(20)).spacing(minutes(5))
}

/// Checks an empty store against what [`Store::compact`] promises.
///
/// # Panics
/// When it breaks the contract.
#[expect(clippy::expect_used, reason = "a conformance suite reports by panicking")]
pub async fn check_compaction(store: &dyn Store) {
    assert!(read_all(store, 10).await.is_empty(), "the suite wants an empty store");
    let (appends, plan) = some_past();
    let mut marks = Vec::new();
    let mut whole = Cmdb::new(CmdbConfig::default());
    for (number, facts) in (0_i64..).zip(&appends) {
        store.append(facts).await.expect("append");
        whole.ingest(facts.clone());
        let end = store.end().await.expect("end").expect("there is a last fact");
        let state = replay(store, CmdbConfig::default(), Mark::new(end.position(), at(number / 2)))
            .await
            .expect("replay");
        marks.push((Mark::new(end.position(), at(number / 2)), end, state.state_hash()));
    }
    let before = read_all(store, 1000).await;
    // A reader that is somewhere in the middle when the compaction comes.
    let middle = marks.get(50).map(|(_, end, _)| *end);
    let mut half = Cmdb::new(CmdbConfig::default());
    half.ingest(appends.iter().take(51).flatten().cloned().collect());

    let end = store.end().await.expect("end");
    let early = plan.clone().known_to(marks.first().map(|(_, end, _)| *end));
    let refused = store.compact(&early).await;
    assert!(matches!(refused, Err(StoreError::Disturbed { .. })), "unknown facts speak of what goes");
    assert_eq!(read_all(store, 1000).await, before, "a refusal changes nothing");

    let plan = plan.known_to(end);
    let done = store.compact(&plan).await.expect("compact");
    assert_eq!((done.dropped, done.checkpoints), (plan.dropped().count() as u64, 2), "{done:?}");
    let after = read_all(store, 7).await;
    assert_eq!(after.len(), before.len() - plan.dropped().count() + 2, "what goes is gone");
    assert!(plan.dropped().all(|id| !after.contains(id)), "what goes is gone");
    assert_eq!(store.end().await.expect("end"), end, "positions do not move");
    assert_eq!(store.describe().await.expect("describe").facts, after.len() as u64);
    let again = store.compact(&plan).await.expect("compact again");
    assert_eq!((again.dropped, again.checkpoints), (0, 0), "a second time does nothing");

    let horizon = store.horizon().await.expect("horizon").expect("there is a horizon");
    let mut kept = 0;
    for (mark, _, hash) in &marks {
        match replay(store, CmdbConfig::default(), *mark).await {
            Ok(state) => {
                kept += 1;
                assert_eq!(state.state_hash(), *hash, "the state at {mark:?}");
            }
            Err(StoreError::Compacted { kept, .. }) => {
                assert_eq!(kept, horizon);
                assert!(mark.position < horizon.position || mark.at < horizon.at, "{mark:?}, {horizon:?}");
            }
            Err(error) => assert!(matches!(error, StoreError::Compacted { .. }), "{error}"),
        }
    }
    assert!(kept >= 20, "states from the horizon on are served, {kept} were");

    // Whoever starts now, and whoever reads on, ends where everybody is.
    let mut fresh = Cmdb::new(CmdbConfig::default());
    fresh.ingest(after.iter().cloned().collect());
    let mut place = middle;
    loop {
        let page = store.load(place, 9).await.expect("load");
        place = page.last.or(place);
        half.ingest(page.facts);
        if page.next.is_none() {
            break;
        }
    }
    let mut engines = [fresh, half, whole];
    for engine in &mut engines {
        engine.expire(at(RUNS));
    }
    let [fresh, half, whole] = &engines;
    assert_eq!(fresh.state_hash(), whole.state_hash(), "an engine that starts from what is left");
    assert_eq!(half.state_hash(), whole.state_hash(), "an engine that read on");
    let more = run(fresh, "one", RUNS + 1);
    store.append(&more).await.expect("append");
    let next = store.load(end, 100).await.expect("load");
    assert_eq!(next.facts.len(), more.len(), "new facts come after the end");
}
