//! From what sources say to what is believed: kinds, names, attributes, life.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use itom_core::{
    AttrName, CiId, CiKind, CiObservation, Key, SourceName, StableHash as _, Strength, Text, Timestamp,
    Value, attr, key_kind,
};

use super::life::{held_by, life_cycle};
use super::presence::Item;
use super::shared::Shared;
use super::{Attribute, Ci, CiBody, Claim, ClaimReason, LifeState, Relation};
use crate::config::CmdbConfig;
use crate::identity::Object;
use crate::lock::{ends, is_about_lock, is_lock};
use crate::ruleset::Reducer;

struct Candidate<'a> {
    value: &'a Value,
    source: &'a SourceName,
    since: Timestamp,
    recorded: Timestamp,
    rank: i32,
    fresh: bool,
    /// A lock whose time is over: it is told of, and holds nothing any more.
    ended: bool,
}

impl Candidate<'_> {
    /// Greatest is best: not ended, known, fresh, rank, recent; then content decides.
    fn order(&self, other: &Self) -> Ordering {
        let plain = |own: &Self| (!own.ended, own.value.is_known(), own.fresh, own.rank, own.since);
        plain(self).cmp(&plain(other)).then_with(|| {
            // Most claims agree: only those that do not are worth a hash.
            if self.value == other.value {
                return Ordering::Equal;
            }
            self.value.stable_fingerprint().cmp(&other.value.stable_fingerprint())
        })
    }

    fn lost_to(&self, winner: &Self) -> ClaimReason {
        if self.value == winner.value {
            ClaimReason::Agrees
        } else if self.ended != winner.ended {
            ClaimReason::Stale
        } else if self.value.is_known() != winner.value.is_known() {
            ClaimReason::Unknown
        } else if self.fresh != winner.fresh {
            ClaimReason::Stale
        } else if self.rank != winner.rank {
            ClaimReason::Outranked
        } else if self.since != winner.since {
            ClaimReason::Older
        } else {
            ClaimReason::Tie
        }
    }

    fn claim(&self, reason: ClaimReason) -> Claim {
        Claim {
            value: self.value.clone(),
            source: self.source.clone(),
            observed: self.since,
            recorded: self.recorded,
            rank: self.rank,
            reason,
        }
    }
}

fn attributes<'a>(
    config: &CmdbConfig,
    kind: Option<&CiKind>,
    now: Timestamp,
    items: &[(&'a SourceName, &'a Item, &'a BTreeMap<AttrName, Value>)],
) -> BTreeMap<AttrName, Attribute> {
    let mut said: Vec<(&AttrName, Candidate<'a>)> =
        Vec::with_capacity(items.iter().map(|(_, _, attributes)| attributes.len()).sum());
    for (source, item, attributes) in items {
        let gone = item.departure(config, now).is_some();
        let held = is_lock(source);
        let ended = held && ends(attributes).is_some_and(|end| end <= now);
        for (name, value) in *attributes {
            if held && is_about_lock(name) {
                continue;
            }
            let (rank, fresh_for) = kind.map_or((0, None), |kind| config.trust(kind, name, source));
            let stale = ended || fresh_for.is_some_and(|span| item.last_seen + span <= now);
            let candidate = Candidate {
                value,
                source,
                since: item.said_since(name),
                recorded: item.statement.recorded(),
                rank,
                fresh: !gone && !stale,
                ended,
            };
            said.push((name, candidate));
        }
    }
    // One item says them in this order already, each once.
    if items.len() > 1 {
        said.sort_by(|(a, one), (b, other)| {
            a.cmp(b).then_with(|| other.order(one)).then_with(|| one.source.cmp(other.source))
        });
    }
    said.chunk_by(|(a, _), (b, _)| a == b)
        .filter_map(|candidates| {
            let (name, best) = candidates.first()?;
            if best.ended {
                return None;
            }
            match kind.map_or(Reducer::Ordered, |kind| config.reducer_of(kind, name)) {
                Reducer::Union => {
                    if let Some(attribute) = united(candidates) {
                        return Some(((*name).clone(), attribute));
                    }
                }
                Reducer::Replace => return Some(((*name).clone(), replaced(candidates)?)),
                Reducer::Ordered => {}
            }
            let ((_, best), rest) = candidates.split_first()?;
            let reason = if rest.is_empty() { ClaimReason::Only } else { ClaimReason::Best };
            let others = rest.iter().map(|(_, other)| other.claim(other.lost_to(best))).collect();
            Some(((*name).clone(), Attribute { winner: best.claim(reason), others }))
        })
        .collect()
}

/// The elements of a list as a set.
fn elements(value: &Value) -> Option<BTreeSet<&Value>> {
    match value {
        Value::List(list) => Some(list.iter().collect()),
        _ => None,
    }
}

/// Everything that present, fresh sources list. `None` when the best claim is no such list, or somebody locked it.
fn united(candidates: &[(&AttrName, Candidate<'_>)]) -> Option<Attribute> {
    let ((_, best), rest) = candidates.split_first()?;
    if !best.fresh || is_lock(best.source) {
        return None;
    }
    let mut all = elements(best.value)?;
    let mut others = Vec::with_capacity(rest.len());
    let mut several = false;
    for (_, other) in rest {
        match elements(other.value).filter(|_| other.fresh) {
            Some(list) => {
                several = true;
                all.extend(list);
                others.push(other.claim(ClaimReason::United));
            }
            None => others.push(other.claim(other.lost_to(best))),
        }
    }
    let reason = match (several, others.is_empty()) {
        (true, _) => ClaimReason::United,
        (false, true) => ClaimReason::Only,
        (false, false) => ClaimReason::Best,
    };
    let value = Value::List(all.into_iter().cloned().collect());
    Some(Attribute { winner: Claim { value, ..best.claim(reason) }, others })
}

/// The best list as a set: ascending, without repeats.
fn replaced(candidates: &[(&AttrName, Candidate<'_>)]) -> Option<Attribute> {
    let ((_, best), rest) = candidates.split_first()?;
    let set = elements(best.value);
    let reason = if rest.is_empty() { ClaimReason::Only } else { ClaimReason::Best };
    let claim = |other: &Candidate<'_>| {
        let same = set.is_some() && elements(other.value) == set;
        other.claim(if same { ClaimReason::Agrees } else { other.lost_to(best) })
    };
    let others = rest.iter().map(|(_, other)| claim(other)).collect();
    let mut winner = best.claim(reason);
    if let Some(set) = &set {
        winner.value = Value::List(set.iter().map(|value| (*value).clone()).collect());
    }
    Some(Attribute { winner, others })
}

/// Active while any item is there; else since when and how the last one left.
fn life<'a>(config: &CmdbConfig, now: Timestamp, items: impl Iterator<Item = &'a Item>) -> LifeState {
    let mut last = None;
    for item in items {
        match item.departure(config, now) {
            None => return LifeState::Active,
            departure => last = last.max(departure),
        }
    }
    last.map_or(LifeState::Active, |(since, why)| LifeState::Retired { since, why })
}

/// The most refined kind, or what they have in common.
fn kind_of(config: &CmdbConfig, kinds: &BTreeSet<&CiKind>) -> Option<CiKind> {
    if let Some(refined) = kinds.iter().find(|kind| kinds.iter().all(|other| kind.is_a(other))) {
        return Some((*refined).clone());
    }
    let mut kinds = kinds.iter();
    let mut common: CiKind = (*kinds.next()?).clone();
    for kind in kinds {
        while !kind.is_a(&common) {
            match common.parent() {
                Some(general) => common = general,
                // Identity never joins kinds without a common one, unless somebody said so: the smallest name stands.
                None => return config.identity().common_kind(&common, kind).or(Some(common)),
            }
        }
    }
    Some(common)
}

/// What people call an item: a name that a source gives, else its best name-like key, else the source's own id.
fn name_of(attributes: &BTreeMap<AttrName, Attribute>, items: &[(&Object, &Item)]) -> Text {
    const NAMES: [AttrName; 8] = [
        attr::NAME,
        attr::HOST_NAME,
        attr::SERVICE_NAME,
        attr::PACKAGE_NAME,
        attr::PROCESS_EXECUTABLE_NAME,
        attr::NETWORK_INTERFACE_NAME,
        attr::SYSTEM_FILESYSTEM_MOUNTPOINT,
        attr::SYSTEM_DEVICE,
    ];
    let text = |name| match attributes.get(name)?.value() {
        Value::Text(text) if !text.is_empty() => Some(text),
        _ => None,
    };
    if let Some(name) = NAMES.iter().find_map(text) {
        return name.clone();
    }
    let keys = || items.iter().filter_map(|(_, item)| item.ci()).flat_map(|ci| &ci.keys);
    let named = [key_kind::FQDN, key_kind::HOST_NAME, key_kind::IP]
        .iter()
        .find_map(|kind| keys().filter(|key| key.kind() == kind).map(|key| key.value()).min());
    match (named, items.first()) {
        (Some(name), _) => Text::from(name),
        (None, Some((object, _))) => object.native.clone(),
        (None, None) => Text::literal(""),
    }
}

type DescribedBy<'a> = (&'a Object, &'a Item, &'a CiObservation);

fn distinct_sources<'a>(described: &'a [DescribedBy<'a>]) -> impl Iterator<Item = &'a SourceName> + Clone {
    described.chunk_by(|a, b| a.0.source == b.0.source).filter_map(|chunk| Some(&chunk.first()?.0.source))
}

/// Every key that is claimed. Most often what is claimed stays as it was, and is shared with what was believed before.
fn keys_of(described: &[DescribedBy<'_>], before: Option<&CiBody>) -> Arc<[Key]> {
    let claimed = || described.iter().flat_map(|(_, _, ci)| &ci.keys);
    let same = |known: &&Arc<[Key]>| {
        claimed().all(|key| known.binary_search(key).is_ok())
            && known.iter().all(|key| described.iter().any(|(_, _, ci)| ci.keys.contains(key)))
    };
    match before.map(|before| &before.keys).filter(same) {
        Some(known) => Arc::clone(known),
        None => claimed().collect::<BTreeSet<&Key>>().into_iter().cloned().collect(),
    }
}

/// The item that these objects are, which was `before`; a loose end when nothing they say is enough to make an item.
pub(crate) fn ci(
    config: &CmdbConfig,
    id: CiId,
    now: Timestamp,
    mints: bool,
    items: &[(&Object, &Item)],
    (before, shared): (Option<&CiBody>, &mut Shared),
) -> Option<Ci> {
    let described: Vec<_> =
        items.iter().filter_map(|(object, item)| Some((*object, *item, item.ci()?))).collect();
    let (_, first, one) = described.first()?;
    let kind = if described.iter().all(|(_, _, ci)| ci.kind == one.kind) {
        one.kind.clone()
    } else {
        let live: BTreeSet<&CiKind> = described
            .iter()
            .filter(|(_, item, _)| item.departure(config, now).is_none())
            .map(|(_, _, ci)| &ci.kind)
            .collect();
        let all: BTreeSet<&CiKind> = described.iter().map(|(_, _, ci)| &ci.kind).collect();
        kind_of(config, if live.is_empty() { &all } else { &live })?
    };
    let said: Vec<_> =
        described.iter().map(|(object, item, ci)| (&object.source, *item, &ci.attributes)).collect();
    let attributes = attributes(config, Some(&kind), now, &said);
    let held = held_by(described.iter().map(|(object, item, _)| (&object.source, *item)));
    let state = life(config, now, held);
    let body = CiBody {
        name: name_of(&attributes, items),
        keys: keys_of(&described, before),
        objects: match before.map(|before| &before.objects) {
            Some(known) if known.iter().eq(described.iter().map(|(object, _, _)| *object)) => {
                Arc::clone(known)
            }
            _ => described.iter().map(|(object, _, _)| (*object).clone()).collect(),
        },
        // Objects are in the order of their sources.
        sources: match before.map(|before| &before.sources) {
            Some(known) if known.iter().eq(distinct_sources(&described)) => Arc::clone(known),
            _ => shared.sources(&distinct_sources(&described)),
        },
        life: life_cycle(config, now, state, &described, &attributes),
        state,
        loose_end: !mints,
        kind,
        attributes: shared.attributes(attributes),
    };
    Some(Ci {
        id,
        first_seen: described.iter().map(|(_, item, _)| item.first_seen).min().unwrap_or(first.first_seen),
        last_seen: described.iter().map(|(_, item, _)| item.last_seen).max().unwrap_or(first.last_seen),
        body: Arc::new(body),
    })
}

/// The relation that these statements make.
pub(crate) fn relation(
    config: &CmdbConfig,
    (from, to): (CiId, CiId),
    now: Timestamp,
    items: &[(&SourceName, &Item)],
    shared: &mut Shared,
) -> Option<Relation> {
    let said: Vec<_> = items
        .iter()
        .filter_map(|(source, item)| Some((*source, *item, &item.relation()?.attributes)))
        .collect();
    let (_, first, _) = said.first()?;
    // Statements are in the order of their sources.
    let sources = shared.sources(
        &said.chunk_by(|a, b| a.0 == b.0).filter_map(|chunk| chunk.first()).map(|(source, ..)| *source),
    );
    let finder = said.iter().map(|(source, item, _)| (item.first_seen, *source)).min().map(|own| own.1);
    Some(Relation {
        kind: first.relation()?.kind.clone(),
        from,
        to,
        attributes: shared.attributes(attributes(config, None, now, &said)),
        finder: sources.iter().position(|source| Some(source) == finder).unwrap_or(0) as u32,
        sources,
        first_seen: said.iter().map(|(_, item, _)| item.first_seen).min()?,
        last_seen: said.iter().map(|(_, item, _)| item.last_seen).max()?,
        state: life(config, now, said.iter().map(|(_, item, _)| *item)),
    })
}

/// What is only known by reference, from the relations that refer to it.
pub(crate) fn loose_end(
    config: &CmdbConfig,
    id: CiId,
    key: &itom_core::Key,
    now: Timestamp,
    items: &[(&SourceName, &Item)],
) -> Option<Ci> {
    use itom_core::kind;
    let kind = match key.kind() {
        own if *own == key_kind::PROCESS => kind::PROCESS,
        own if *own == key_kind::CONTAINER_ID => kind::CONTAINER,
        own if *own == key_kind::PURL => kind::SOFTWARE,
        own if *own == key_kind::FQDN || *own == key_kind::HOST_NAME || *own == key_kind::MACHINE_ID => {
            kind::HOST
        }
        own if *own == key_kind::MAC || *own == key_kind::IP || *own == key_kind::ENDPOINT => {
            kind::NETWORK_ADDRESS
        }
        _ => kind::DEVICE,
    };
    // The claims of references differ in strength at most; the ambient form says least.
    let key = itom_core::Key::new(key.kind().clone(), key.realm().clone(), key.value(), Strength::Ambient)
        .unwrap_or_else(|_| key.clone());
    let state = life(config, now, items.iter().map(|(_, item)| *item));
    let body = CiBody {
        kind,
        name: Text::from(key.value()),
        keys: Arc::from([key]),
        attributes: Arc::default(),
        objects: Arc::default(),
        sources: Arc::new(items.iter().map(|(source, _)| (*source).clone()).collect()),
        life: state.into(),
        state,
        loose_end: true,
    };
    Some(Ci {
        id,
        first_seen: items.iter().map(|(_, item)| item.first_seen).min()?,
        last_seen: items.iter().map(|(_, item)| item.last_seen).max()?,
        body: Arc::new(body),
    })
}
