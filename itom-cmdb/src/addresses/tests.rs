use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use itom_core::{CiId, Interval, Timestamp};
use proptest::prelude::*;

use super::{Addresses, Alias, Claim, End, Flow, Holder};

const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 7));

fn owner(number: usize) -> CiId {
    CiId::derive(&["owner", &number.to_string()])
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

fn any_claim() -> impl Strategy<Value = Claim> {
    (0..4_usize, 0..40_i64, 0..10_i64, any::<bool>(), proptest::bool::weighted(0.3)).prop_map(
        |(who, from, long, began, ended)| {
            let claim = Claim::held("r", IP, owner(who), at(from), at(from + long));
            let claim = if began { claim.began() } else { claim };
            if ended { claim.ended() } else { claim }
        },
    )
}

/// Who holds it at one time, from the words of the definition and all claims anew.
fn naive(claims: &BTreeSet<Claim>, hold: i64, time: i64) -> Holder {
    let of = |candidates: BTreeSet<CiId>| match candidates.len() {
        0 => Holder::Nobody,
        1 => Holder::Held(*candidates.first().unwrap()),
        _ => Holder::Disputed(candidates.into_iter().collect()),
    };
    let around: BTreeSet<CiId> = claims
        .iter()
        .filter(|claim| claim.from <= at(time) && at(time) <= claim.seen)
        .map(|claim| claim.owner)
        .collect();
    if !around.is_empty() {
        return of(around);
    }
    let before: Vec<&Claim> = claims.iter().filter(|claim| claim.seen < at(time)).collect();
    let Some(last) = before.iter().map(|claim| claim.seen).max() else { return Holder::Nobody };
    if time > last.as_micros() + hold {
        return Holder::Nobody;
    }
    let last: Vec<&&Claim> = before.iter().filter(|claim| claim.seen == last).collect();
    let gave_back: BTreeSet<CiId> =
        last.iter().filter(|claim| claim.ended).map(|claim| claim.owner).collect();
    let mut candidates: BTreeSet<CiId> =
        last.iter().map(|claim| claim.owner).filter(|owner| !gave_back.contains(owner)).collect();
    if candidates.is_empty() {
        return Holder::Nobody;
    }
    let next = claims.iter().filter(|claim| claim.from > at(time)).map(|claim| claim.from).min();
    candidates.extend(
        claims.iter().filter(|claim| Some(claim.from) == next && !claim.began).map(|claim| claim.owner),
    );
    of(candidates)
}

proptest! {
    #[test]
    fn l2_owners_are_those_of_the_definition(
        claims in proptest::collection::vec(any_claim(), 0..12),
        hold in 0..15_i64,
    ) {
        let set: BTreeSet<Claim> = claims.iter().cloned().collect();
        let mut addresses = Addresses::new(Duration::from_micros(hold as u64));
        claims.iter().cloned().for_each(|claim| addresses.learn(claim));
        for time in -2..70 {
            prop_assert_eq!(addresses.holder("r", IP, at(time)), naive(&set, hold, time), "at {}", time);
        }
        for from in -1..50 {
            for long in [1, 3, 9] {
                let whole = naive(&set, hold, from);
                let same = (from..from + long).all(|time| naive(&set, hold, time) == whole);
                let expected = match whole {
                    Holder::Held(owner) if same => Some(owner),
                    _ => None,
                };
                let span = Interval::new(at(from), at(from + long));
                prop_assert_eq!(addresses.owns_address("r", IP, span), expected);
            }
        }
    }

    #[test]
    fn l1_order_and_repetition_of_claims_do_not_show(
        claims in proptest::collection::vec(any_claim(), 0..12),
        shuffled in any::<prop::sample::Index>(),
    ) {
        let mut forwards = Addresses::new(Duration::from_micros(5));
        forwards.learn_all(claims.iter().cloned());
        let mut backwards = Addresses::new(Duration::from_micros(5));
        claims.iter().rev().cloned().for_each(|claim| backwards.learn(claim));
        if !claims.is_empty() {
            backwards.learn(claims[shuffled.index(claims.len())].clone());
        }
        prop_assert_eq!(forwards.timeline("r", IP), backwards.timeline("r", IP));
    }

    #[test]
    fn a_reused_address_forges_no_edge(
        claims in proptest::collection::vec(any_claim(), 0..12),
        time in 0..60_i64,
    ) {
        let client = CiId::derive(&["client"]);
        let there = IpAddr::from([10, 0, 0, 1]);
        let mut addresses = Addresses::new(Duration::from_micros(8));
        addresses.learn_all(claims.iter().cloned());
        addresses.learn(Claim::held("r", there, client, at(-100), at(100)));
        let flows = [Flow::new("r", there, IP, 80, at(time))];
        let joined = addresses.join(&flows);
        prop_assert_eq!(joined.edges.len() + joined.loose.len(), 1);
        // Whoever else was seen at that very time, or could have come since, would have made it open.
        for edge in joined.edges {
            let others = claims.iter().filter(|claim| claim.owner != edge.server);
            for other in others {
                prop_assert!(!(other.from <= at(time) && at(time) <= other.seen));
            }
            let seen = claims.iter().any(|claim| claim.owner == edge.server && claim.from <= at(time) && time <= claim.seen.as_micros() + 8);
            prop_assert!(seen);
        }
    }
}

#[test]
fn translation_adds_keys_and_keeps_the_observation() {
    let [client, balancer, one, two] = ["client", "balancer", "one", "two"].map(|name| CiId::derive(&[name]));
    let ip = |last: u8| IpAddr::from([192, 0, 2, last]);
    let mut addresses = Addresses::new(Duration::from_secs(10));
    for (last, owner) in [(1, client), (2, balancer)] {
        addresses.learn(Claim::held("dc", ip(last), owner, at(0), at(1000)));
    }
    for (last, owner) in [(11, one), (12, two)] {
        addresses.learn(Claim::held("pods", ip(last), owner, at(0), at(1000)));
    }
    let span = |from, to| Interval::new(at(from), at(to));
    addresses.learn_alias(Alias::new("dc", ip(2), "pods", ip(11), span(0, 500)).port(443, 8443));
    addresses.learn_alias(Alias::new("dc", ip(2), "pods", ip(12), span(500, 1000)).port(443, 8443));
    let flow = |port, time| Flow::new("dc", ip(1), ip(2), port, at(time));
    let flows = [flow(443, 100), flow(443, 499), flow(443, 500), flow(22, 100), flow(443, 5_000_000_000)];
    let joined = addresses.join(&flows);
    let edges: BTreeSet<(CiId, u16, usize, u64)> =
        joined.edges.iter().map(|edge| (edge.server, edge.port, edge.through.len(), edge.flows)).collect();
    assert_eq!(edges, BTreeSet::from([(one, 8443, 1, 2), (two, 8443, 1, 1), (balancer, 22, 0, 1)]));
    assert_eq!(joined.loose.len(), 1);
    assert_eq!(joined.loose[0].flow, flows[4], "the observation is kept as it was made");
    assert_eq!(joined.loose[0].server, End::Open(Holder::Nobody));
    // Two translations that disagree: the flow is known to have come to the balancer, and no farther.
    addresses.learn_alias(Alias::new("dc", ip(2), "pods", ip(12), span(0, 200)).port(443, 8443));
    let End::Known { ci, .. } = addresses.end("dc", ip(2), Some(443), at(100)) else { panic!("open") };
    assert_eq!(ci, balancer);
    // A circle of translations leads nowhere.
    addresses.learn_alias(Alias::new("x", ip(1), "x", ip(1), span(0, 1000)));
    assert_eq!(addresses.end("x", ip(1), None, at(1)), End::Open(Holder::Nobody));
}

#[test]
fn a_late_claim_closes_a_loose_end() {
    let (client, server) = (owner(0), owner(1));
    let mut addresses = Addresses::new(Duration::from_secs(1));
    addresses.learn(Claim::sighting("r", IpAddr::from([1, 1, 1, 1]), client, at(0)));
    let flows = [Flow::new("r", IpAddr::from([1, 1, 1, 1]), IP, 5432, at(10))];
    let joined = addresses.join(&flows);
    assert_eq!((joined.edges.len(), joined.loose.len()), (0, 1));
    addresses.learn(Claim::sighting("r", IP, server, at(5)));
    let again: Vec<Flow> = joined.loose.into_iter().map(|loose| loose.flow).collect();
    assert_eq!(addresses.join(&again).edges[0].server, server);
}
