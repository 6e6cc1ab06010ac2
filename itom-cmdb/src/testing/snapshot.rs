//! What a store that keeps snapshots promises, checked on any store.

use itom_core::{ChangeSource as _, Interval, Timestamp};

use super::{read_all, some_past};
use crate::CmdbConfig;
use crate::store::{Opened, Refusal, SnapshotUse, Store, open};

/// Checks an empty store that [keeps](Store::keeps_snapshots) snapshots: what is kept comes back as it was, in the place of
/// what was kept before; facts are as they were; opening uses it, until facts that it covers are compacted.
///
/// # Panics
/// When it breaks the contract.
#[expect(clippy::expect_used, reason = "a conformance suite reports by panicking")]
pub async fn check_snapshots(store: &dyn Store) {
    assert!(store.keeps_snapshots(), "the suite wants a store that keeps snapshots");
    assert!(read_all(store, 10).await.is_empty(), "the suite wants an empty store");
    assert_eq!(store.snapshot().await.expect("snapshot"), None, "none was kept");
    let (appends, plan) = some_past();
    // Time comes no further than the facts.
    let opened = async || open(store, CmdbConfig::default(), Timestamp::EPOCH).await.expect("open");
    let keep = async |opened: &Opened| {
        let horizon = store.horizon().await.expect("horizon");
        let snapshot = opened.end.and_then(|end| opened.cmdb.snapshot(end, horizon));
        let snapshot = snapshot.expect("what was just opened can be kept");
        store.keep_snapshot(&snapshot).await.expect("keep");
        let kept = store.snapshot().await.expect("snapshot");
        assert_eq!(kept, Some(snapshot.encode()), "it comes back as it was");
    };
    let mut covers = 0;
    for part in appends.chunks(appends.len() / 3) {
        for facts in part {
            store.append(facts).await.expect("append");
        }
        let whole = read_all(store, 1000).await;
        let by_way = opened().await;
        match &by_way.snapshot {
            SnapshotUse::None => assert_eq!(covers, 0, "it is there"),
            SnapshotUse::Used { facts } => assert_eq!(*facts, covers, "it covers what was there"),
            SnapshotUse::Refused(why) => assert_eq!(why.to_string(), "", "it fits"),
        }
        assert_eq!(by_way.facts, whole.len() as u64, "everything is read");
        assert_eq!(by_way.by_moments, by_way.facts - covers, "what came since, moment by moment");
        covers = by_way.facts;
        keep(&by_way).await;
        assert_eq!(read_all(store, 1000).await, whole, "facts are as they were");
        assert_eq!(store.describe().await.expect("describe").facts, covers, "it is no fact");
    }
    let by_way = opened().await;
    assert_eq!(by_way.snapshot, SnapshotUse::Used { facts: covers }, "everything is covered");
    store.compact(&plan.known_to(by_way.end)).await.expect("compact");
    let plain = opened().await;
    assert_eq!(plain.snapshot, SnapshotUse::Refused(Refusal::HorizonMoved), "it fits no longer");
    keep(&plain).await;
    let by_way = opened().await;
    assert_eq!(by_way.snapshot, SnapshotUse::Used { facts: by_way.facts }, "a new one does");
    assert_eq!(by_way.cmdb.state_hash(), plain.cmdb.state_hash(), "nothing shows of it");
    let changes = |opened: &Opened| opened.cmdb.feed().changes(Interval::ALWAYS);
    assert_eq!(changes(&by_way), changes(&plain), "nothing shows of it");
}
