//! The present state of a store, moment by moment or by way of a snapshot.

use itom_core::Timestamp;

use super::{Cover, Refusal, Snapshot, SnapshotUse};
use crate::fact::Fact;
use crate::history::Mark;
use crate::store::{Cursor, Store, StoreError};
use crate::{Cmdb, CmdbConfig};

/// Facts read at once.
const PAGE: usize = 16_384;

/// What a store holds, taken in.
#[derive(Debug)]
#[non_exhaustive]
pub struct Opened {
    /// The state at the time of opening.
    pub cmdb: Cmdb,
    /// The position of the last fact that was read.
    pub end: Option<Cursor>,
    /// How many facts were read.
    pub facts: u64,
    /// How many of them were taken in moment by moment: what the next opening will be quicker by when a snapshot is kept
    /// now.
    pub by_moments: u64,
    /// What became of the snapshot.
    pub snapshot: SnapshotUse,
}

/// Takes in everything that a store holds, as it came: facts that were learned together make a moment, and what ran out
/// between two moments ran out at its own time. So the [feed](Cmdb::feed) says again when things happened. At last, time
/// is let pass up to `now`.
///
/// With a fitting [`Snapshot`] the facts that it covers are taken in at once, which is quicker, and only those after it
/// moment by moment. Whether there was one does not show in the outcome.
///
/// Where facts were [compacted](Store::compact), the feed begins at the horizon: before it no state is whole.
///
/// # Errors
/// [`StoreError`] when the facts cannot be read. A snapshot that cannot be read is none.
///
/// ```
/// # futures::executor::block_on(async {
/// use itom_cmdb::fact::facts_of;
/// use itom_cmdb::store::{MemoryStore, SnapshotUse, Store as _, open};
/// use itom_cmdb::CmdbConfig;
/// use itom_core::{Batch, SourceName, Timestamp, kind};
///
/// let (store, now) = (MemoryStore::new(), Timestamp::from_secs(61));
/// let mut batch = Batch::new(SourceName::literal("demo"), Timestamp::from_secs(60));
/// batch.ci("web", kind::SERVICE);
/// store.append(&facts_of(&batch, now)).await?;
///
/// let plain = open(&store, CmdbConfig::default(), now).await?;
/// assert_eq!(plain.snapshot, SnapshotUse::None);
/// let end = plain.end.ok_or("no fact")?;
/// let snapshot = plain.cmdb.snapshot(end, store.horizon().await?).ok_or("not in order")?;
/// store.keep_snapshot(&snapshot).await?;
///
/// let again = open(&store, CmdbConfig::default(), now).await?;
/// assert_eq!(again.snapshot, SnapshotUse::Used { facts: 2 });
/// assert_eq!(again.cmdb.state_hash(), plain.cmdb.state_hash());
/// assert_eq!(again.cmdb.feed().len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub async fn open(store: &dyn Store, config: CmdbConfig, now: Timestamp) -> Result<Opened, StoreError> {
    loop {
        let horizon = store.horizon().await?;
        let opened = match start(store, &config, horizon, now).await? {
            Ok((from, facts)) => from.read_on(store, now, SnapshotUse::Used { facts }).await?,
            Err(unused) => {
                let from = Replay::from_horizon(store, &config, horizon).await?;
                from.read_on(store, now, unused).await?
            }
        };
        // What a compaction took out while this read may be missing in the middle: it is read again.
        if store.horizon().await? == horizon {
            return Ok(opened);
        }
    }
}

/// Everything that the snapshot covers, taken in; or why not.
async fn start(
    store: &dyn Store,
    config: &CmdbConfig,
    horizon: Option<Mark>,
    now: Timestamp,
) -> Result<Result<(Replay, u64), SnapshotUse>, StoreError> {
    let refused = |refusal| Ok(Err(SnapshotUse::Refused(refusal)));
    let snapshot = match store.snapshot().await {
        Ok(Some(bytes)) => Snapshot::decode(&bytes),
        Ok(None) => return Ok(Err(SnapshotUse::None)),
        Err(error) => Err(Refusal::unread(&error)),
    };
    let Snapshot { cover, feed } = match snapshot {
        Ok(snapshot) => snapshot,
        Err(refusal) => return refused(refusal),
    };
    if (cover.rules, cover.remembered) != (config.rules_hash(), config.ring_size() as u64) {
        return refused(Refusal::OtherRules);
    }
    if cover.horizon != horizon {
        return refused(Refusal::HorizonMoved);
    }
    let mut facts: Vec<Fact> = Vec::new();
    let mut after = None;
    let mut digest = 0_u64;
    while (facts.len() as u64) < cover.facts {
        let left = usize::try_from(cover.facts - facts.len() as u64).unwrap_or(PAGE);
        let page = store.load(after, left.min(PAGE)).await?;
        if page.facts.is_empty() {
            return refused(Refusal::FactsChanged);
        }
        digest = page.facts.iter().fold(digest, |sum, fact| sum.wrapping_add(fact.digest()));
        after = page.last;
        facts.extend(page.facts);
    }
    if digest != cover.digest || after.is_some_and(|after| after > cover.end) {
        return refused(Refusal::FactsChanged);
    }
    let first = store.load(after, 1).await?.facts.first().map(Fact::recorded);
    let at = match time_of(&cover, &facts, first, now) {
        Ok(at) => at,
        Err(refusal) => return refused(refusal),
    };
    let count = facts.len() as u64;
    let mut cmdb = Cmdb::of_store(config.clone(), horizon);
    cmdb.ingest_at(facts, at);
    cmdb.resume_feed(feed);
    let replay = Replay { cmdb, after, facts: count, below: None, moment: Vec::new(), by_moments: 0 };
    Ok(Ok((replay, count)))
}

/// When the facts that a snapshot covers are judged. It is of a time at which a replay by moments would be, too. Time goes
/// by facts and by itself: if it came by itself to where the snapshot is, what is learned next must not have been learned
/// before that; nor before the horizon, of which a replay tells nothing.
fn time_of(
    cover: &Cover,
    facts: &[Fact],
    next: Option<Timestamp>,
    now: Timestamp,
) -> Result<Timestamp, Refusal> {
    let learned = facts.iter().map(Fact::recorded).max().unwrap_or(Timestamp::MIN);
    let horizon = cover.horizon.map_or(Timestamp::MIN, |horizon| horizon.at);
    let by_facts = learned.max(horizon);
    if cover.at.max(horizon) < by_facts {
        return Err(Refusal::FactsChanged);
    }
    let same_moment = next.is_some() && next == facts.last().map(Fact::recorded);
    let not_whole = next.is_some_and(|next| next <= horizon);
    let ran_ahead = cover.at > by_facts && next.unwrap_or(now) < cover.at;
    if same_moment || not_whole || ran_ahead {
        return Err(Refusal::TimeAhead);
    }
    Ok(cover.at.max(by_facts))
}

/// A replay under way.
struct Replay {
    cmdb: Cmdb,
    /// Up to where facts were read.
    after: Option<Cursor>,
    facts: u64,
    /// Facts of states that are not whole.
    below: Option<Below>,
    moment: Vec<Fact>,
    by_moments: u64,
}

/// Facts up to the horizon: of states that are not whole.
struct Below {
    facts: Vec<Fact>,
    /// Until when they are not.
    until: Timestamp,
    /// When the last of them was learned, or the horizon.
    learned: Timestamp,
}

impl Replay {
    /// An empty one; or one of the facts up to the horizon, of which no moment can be told.
    async fn from_horizon(
        store: &dyn Store,
        config: &CmdbConfig,
        horizon: Option<Mark>,
    ) -> Result<Self, StoreError> {
        let cmdb = Cmdb::of_store(config.clone(), horizon);
        let mut own = Self { cmdb, after: None, facts: 0, below: None, moment: Vec::new(), by_moments: 0 };
        let Some(horizon) = horizon else { return Ok(own) };
        let end = Cursor::new(horizon.position);
        let mut facts = Vec::new();
        let mut size = PAGE;
        while own.after.is_none_or(|after| after < end) {
            let page = store.load(own.after, size).await?;
            let Some(last) = page.last else { break };
            if last > end && size > 1 {
                // Positions have gaps: a shorter page ends at or before the horizon.
                size /= 2;
                continue;
            }
            if last > end {
                break;
            }
            facts.extend(page.facts);
            own.after = Some(last);
            if page.next.is_none() {
                break;
            }
        }
        own.facts = facts.len() as u64;
        let learned = facts.iter().map(Fact::recorded).max().unwrap_or(horizon.at).max(horizon.at);
        own.below = Some(Below { facts, until: horizon.at, learned });
        Ok(own)
    }

    async fn read_on(
        mut self,
        store: &dyn Store,
        now: Timestamp,
        snapshot: SnapshotUse,
    ) -> Result<Opened, StoreError> {
        loop {
            let page = store.load(self.after, PAGE).await?;
            self.facts += page.facts.len() as u64;
            page.facts.into_iter().for_each(|fact| self.add(fact));
            self.after = page.last.or(self.after);
            if page.next.is_none() {
                break;
            }
        }
        self.take_below();
        self.take_moment();
        self.cmdb.run_out(now);
        self.cmdb.replayed();
        let Self { cmdb, after, facts, by_moments, .. } = self;
        Ok(Opened { cmdb, end: after, facts, by_moments, snapshot })
    }

    fn add(&mut self, fact: Fact) {
        if let Some(below) = &mut self.below {
            let same_moment = below.facts.last().is_some_and(|last| last.recorded() == fact.recorded());
            if same_moment || (fact.recorded() <= below.until && below.learned <= below.until) {
                below.facts.push(fact);
                return;
            }
            self.take_below();
        }
        if self.moment.last().is_some_and(|last| last.recorded() != fact.recorded()) {
            self.take_moment();
        }
        self.moment.push(fact);
    }

    /// What no moment can be told of, at once.
    fn take_below(&mut self) {
        let Some(below) = self.below.take() else { return };
        self.cmdb.ingest_at(below.facts, below.learned);
        self.cmdb.forget_feed();
    }

    fn take_moment(&mut self) {
        let facts = std::mem::take(&mut self.moment);
        let Some(recorded) = facts.first().map(Fact::recorded) else { return };
        self.by_moments += facts.len() as u64;
        self.cmdb.run_due(recorded);
        self.cmdb.ingest(facts);
    }
}
