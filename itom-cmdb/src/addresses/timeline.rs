//! From the claims about one address to its history.
//!
//! At a time *t*: whoever has a claim around *t* holds it; several are disputed. When no claim is around *t*, whoever was
//! seen last still holds it for a while, unless it gave it back; but if the next to be seen is another, who may have come
//! at any time since, the two are disputed.

use std::collections::BTreeMap;
use std::time::Duration;

use itom_core::{CiId, Timestamp};

use super::{Claim, Holder};

fn later(at: Timestamp, by: Duration) -> Timestamp {
    let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(at.as_micros().saturating_add(micros))
}

/// The first moment after a sighting: claims are closed where they were seen, spans are half-open.
fn after(at: Timestamp) -> Timestamp {
    later(at, Duration::from_micros(1))
}

/// What changes, and at which moment: each holder from its time to the next. `claims` are of one address.
pub(super) fn derive(claims: &[Claim], hold: Duration) -> Vec<(Timestamp, Holder)> {
    let mut moments: Vec<Timestamp> = claims
        .iter()
        .flat_map(|claim| {
            let gone = after(claim.seen);
            [claim.from, gone, later(gone, hold)]
        })
        .collect();
    moments.sort_unstable();
    moments.dedup();
    let mut begins: Vec<&Claim> = claims.iter().collect();
    begins.sort_unstable_by_key(|claim| claim.from);
    let mut ends: Vec<&Claim> = claims.iter().collect();
    ends.sort_unstable_by_key(|claim| claim.seen);

    let (mut begun, mut gone) = (0, 0);
    let mut around: BTreeMap<CiId, usize> = BTreeMap::new();
    // Those seen last, all at one moment, and whether each may still hold it.
    let mut last: (Timestamp, BTreeMap<CiId, bool>) = (Timestamp::MIN, BTreeMap::new());
    let mut history: Vec<(Timestamp, Holder)> = Vec::new();
    for moment in moments {
        while let Some(claim) = begins.get(begun).filter(|claim| claim.from <= moment) {
            *around.entry(claim.owner).or_default() += 1;
            begun += 1;
        }
        while let Some(claim) = ends.get(gone).filter(|claim| after(claim.seen) <= moment) {
            if let Some(count) = around.get_mut(&claim.owner) {
                *count -= 1;
                if *count == 0 {
                    around.remove(&claim.owner);
                }
            }
            if last.0 != claim.seen {
                last = (claim.seen, BTreeMap::new());
            }
            // It gave the address back if any source says so.
            let keeps = last.1.entry(claim.owner).or_insert(true);
            *keeps &= !claim.ended;
            gone += 1;
        }
        let holder = if around.is_empty() {
            between(&last, begins.get(begun..).unwrap_or_default(), moment, hold)
        } else {
            of(around.keys().copied().collect())
        };
        if history.last().map(|(_, before)| before) != Some(&holder) {
            history.push((moment, holder));
        }
    }
    history
}

fn of(mut candidates: Vec<CiId>) -> Holder {
    candidates.sort_unstable();
    candidates.dedup();
    match candidates[..] {
        [] => Holder::Nobody,
        [one] => Holder::Held(one),
        _ => Holder::Disputed(candidates),
    }
}

fn between(
    last: &(Timestamp, BTreeMap<CiId, bool>),
    next: &[&Claim],
    moment: Timestamp,
    hold: Duration,
) -> Holder {
    if moment >= later(after(last.0), hold) {
        return Holder::Nobody;
    }
    let mut candidates: Vec<CiId> =
        last.1.iter().filter(|(_, keeps)| **keeps).map(|(owner, _)| *owner).collect();
    if candidates.is_empty() {
        return Holder::Nobody;
    }
    if let Some(first) = next.first() {
        let together = next.iter().take_while(|claim| claim.from == first.from);
        candidates.extend(together.filter(|claim| !claim.began).map(|claim| claim.owner));
    }
    of(candidates)
}
