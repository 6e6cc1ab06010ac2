//! The conformance suite of stores: what [`Store`] promises, checked on any implementation.
//!
//! ```
//! # futures::executor::block_on(async {
//! use itom_cmdb::store::MemoryStore;
//! itom_cmdb::testing::check_store(&MemoryStore::new()).await;
//! # });
//! ```

mod compaction;
pub mod estate;
mod faulty;
mod snapshot;

use futures::FutureExt as _;
use itom_core::{Batch, Coverage, Scope, SourceName, Timestamp, attr, kind};

use crate::fact::{Fact, FactLog, facts_of};
use crate::store::Store;

pub use compaction::{check_compaction, some_past};
pub use faulty::{Fault, FaultyStore};
pub use snapshot::check_snapshots;

/// The facts of one run of `hosts` hosts, learned at `recorded`.
#[must_use]
pub fn some_facts(run: i64, hosts: usize, recorded: Timestamp) -> Vec<Fact> {
    let mut batch = Batch::new(SourceName::literal("conformance"), Timestamp::from_secs(run));
    for host in 0..hosts {
        batch
            .ci(format!("host-{run}-{host}"), kind::HOST)
            .attr(attr::HOST_NAME, format!("web-{host} \"ü\" \0"));
    }
    batch.finish(Coverage::new().complete(Scope::cis(kind::HOST)));
    facts_of(&batch, recorded)
}

/// Everything a store holds, read in pages of `page` facts.
///
/// # Panics
/// When the store cannot be read, gives a fact twice, or pages never end.
#[expect(clippy::panic, reason = "a conformance suite reports by panicking")]
pub async fn read_all(store: &dyn Store, page: usize) -> FactLog {
    let mut log = FactLog::new();
    let mut after = None;
    loop {
        let got = match store.load(after, page).await {
            Ok(got) => got,
            Err(error) => panic!("load failed: {error}"),
        };
        assert!(got.facts.len() <= page, "a page is not larger than asked for");
        assert!(got.next.is_none() || got.next > after, "pages go on");
        for fact in got.facts {
            assert!(!log.contains(fact.id()), "each fact once");
            log.insert(fact);
        }
        after = got.next;
        if after.is_none() {
            return log;
        }
    }
}

/// Checks an empty store against the contract of [`Store`].
///
/// # Panics
/// When it breaks the contract.
#[expect(clippy::expect_used, reason = "a conformance suite reports by panicking")]
pub async fn check_store(store: &dyn Store) {
    assert!(read_all(store, 10).await.is_empty(), "the suite wants an empty store");
    let late = some_facts(1, 25, Timestamp::from_secs(500));
    store.append(&late).await.expect("append");
    store.append(&[]).await.expect("appending nothing");
    let expected: FactLog = late.iter().cloned().collect();
    for page in [1, 7, 26, 1000] {
        assert_eq!(read_all(store, page).await, expected, "what was appended is read, in pages of {page}");
    }
    // Again, and learned earlier: one fact, the earliest times.
    let early = some_facts(1, 25, Timestamp::from_secs(400));
    for facts in [&late, &early, &late] {
        store.append(facts).await.expect("append again");
    }
    let expected: FactLog = early.iter().cloned().collect();
    assert_eq!(read_all(store, 10).await, expected, "the earliest time is kept");
    assert_eq!(store.describe().await.expect("describe").facts, 26);
    check_order(store).await;
    // A dropped future leaves all or nothing.
    let dropped = some_facts(2, 10, Timestamp::from_secs(600));
    let finished = store.append(&dropped).now_or_never();
    store.flush().await.expect("flush");
    let after = read_all(store, 100).await;
    let there = dropped.iter().filter(|fact| after.contains(fact.id())).count();
    assert!(there == 0 || there == dropped.len(), "all or none of a dropped append, not {there}");
    assert!(
        finished.is_none_or(|result| result.is_err()) || there == dropped.len(),
        "what was acknowledged is there"
    );
}

/// Facts are read in the order of their appending, and reading on from the end gives what came since.
#[expect(clippy::expect_used, reason = "a conformance suite reports by panicking")]
async fn check_order(store: &dyn Store) {
    let end = store.end().await.expect("end");
    assert!(end.is_some(), "there is a last fact");
    assert!(store.load(end, 10).await.expect("load").facts.is_empty(), "nothing after the end");
    let later = some_facts(3, 12, Timestamp::from_secs(700));
    store.append(&later).await.expect("append");
    let ids = |facts: &[Fact]| facts.iter().map(Fact::id).collect::<Vec<_>>();
    let mut read = Vec::new();
    let mut after = end;
    loop {
        let page = store.load(after, 5).await.expect("load");
        assert_eq!(page.last.is_some(), !page.facts.is_empty(), "a page says where it ends");
        read.extend(page.facts);
        after = page.last.or(after);
        if page.next.is_none() {
            break;
        }
    }
    assert_eq!(ids(&read), ids(&later), "what came since, in the order of its appending");
    assert_eq!(store.end().await.expect("end"), after, "the end is where reading ends");
}
