//! The laws of deriving, as properties over random small estates. `PROPTEST_CASES` raises the number of cases.

mod estate;
mod model;
mod parts;
mod resolver;

use std::collections::BTreeSet;

use estate::{KEYS, Run, STEP, Said, runs};
use itom_cmdb::fact::{Fact, FactLog, facts_of};
use itom_cmdb::identity::{IdentityRules, Object, Share, verify, verify_apart, verify_item};
use itom_cmdb::{Cmdb, CmdbConfig, GraphDelta, View};
use itom_core::{
    Batch, CiId, Coverage, ErrorKind, Key, RelationKind, Scope, SourceName, Timestamp, attr, key_kind, kind,
};
use proptest::prelude::*;

const END: Timestamp = Timestamp::from_secs(1_000_000 + 500 * STEP);

fn config() -> CmdbConfig {
    // Small estates need a small floor for the breaker to come into play.
    CmdbConfig::default().mass_retirement(50, 3)
}

/// The default rules, or such that compare sets otherwise: common to join, too few to be one, both or neither.
fn varied(pick: u8) -> IdentityRules {
    let mut rules = IdentityRules::default();
    let has = |bit: u8| pick >> bit & 1 == 1;
    let share = match pick & 3 {
        0 => Share { of: 1, out_of: 1 },
        1 => Share { of: 1, out_of: 2 },
        2 => Share { of: 2, out_of: 3 },
        _ => Share { of: 1, out_of: 100 },
    };
    for (bit, kind) in [(2, key_kind::FQDN), (3, key_kind::MAC), (4, key_kind::SERIAL)] {
        if has(bit) {
            let mut rule = rules.rule_of(&kind).cloned().unwrap_or_default();
            rule.overlap = has(5).then_some(share);
            rule.apart_below = has(6).then_some(share);
            rule.single_valued &= !has(7);
            rules = rules.key_rule(kind, rule);
        }
    }
    rules
}

/// One thing of each source, with several keys: few enough that little stands between them.
fn few() -> impl Strategy<Value = Vec<Run>> {
    let run = |source: usize| {
        let keys = proptest::collection::vec(0_u8..KEYS, 1..6);
        (0_u8..4, keys).prop_map(move |(kind, keys)| {
            let said = vec![Said::Ci { native: 0, kind, keys, value: 0, partition: false }];
            Run { source, tick: source as i64, said, complete: 0, partial: 0 }
        })
    };
    (run(0), run(1), run(2)).prop_map(|(a, b, c)| vec![a, b, c])
}

fn facts(runs: &[Run]) -> Vec<Fact> {
    runs.iter().flat_map(|run| facts_of(&run.batch(), run.at())).collect()
}

fn derived(facts: impl IntoIterator<Item = Fact>) -> Cmdb {
    let mut cmdb = Cmdb::new(config());
    cmdb.ingest(facts.into_iter().collect());
    cmdb.expire(END);
    cmdb
}

fn agrees_with_the_naive_model(runs: &[Run], rules: &IdentityRules) -> Result<(), TestCaseError> {
    let mut cmdb = Cmdb::new(config().identity_rules(rules.clone()));
    cmdb.ingest(facts(runs));
    cmdb.expire(END);
    let view = cmdb.view();
    let model = model::derive(runs, END, rules);
    let parts: BTreeSet<BTreeSet<Object>> =
        view.cis().filter(|ci| !ci.is_loose_end()).map(|ci| ci.objects().iter().cloned().collect()).collect();
    prop_assert_eq!(&parts, &model.parts, "which objects are one item");
    for ci in view.cis().filter(|ci| !ci.is_loose_end()) {
        let active = ci.objects().iter().any(|object| model.live.contains(object));
        prop_assert_eq!(ci.state().is_active(), active, "{:?}", ci.objects());
    }
    Ok(())
}

/// The same items in an order that `seed` decides.
fn shuffled<T>(mut items: Vec<T>, mut seed: u64) -> Vec<T> {
    for index in (1..items.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        items.swap(index, (seed >> 33) as usize % (index + 1));
    }
    items
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 4_000, ..ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(96)
    ) })]

    #[test]
    fn l1_order_repetition_and_partition_do_not_show(runs in runs(), seed in any::<u64>(), chunk in 1_usize..9) {
        let expected = derived(facts(&runs)).state_hash();
        // Facts in any order, some twice, in pieces of any size.
        let mut all = facts(&runs);
        all.extend(facts(&runs).into_iter().step_by(3));
        let mut cmdb = Cmdb::new(config());
        for piece in shuffled(all, seed).chunks(chunk) {
            cmdb.ingest(piece.to_vec());
        }
        cmdb.expire(END);
        prop_assert_eq!(cmdb.state_hash(), expected, "shuffled facts");
        // Batches in any order, planned against what is known then.
        let mut planned = Cmdb::new(config());
        for run in shuffled(runs.clone(), seed) {
            let facts = planned.plan(&run.batch(), END);
            planned.ingest(facts);
        }
        planned.expire(END);
        prop_assert_eq!(planned.state_hash(), expected, "planned batches");
        // A crash, and a replay of the planned facts in the order of a store.
        let replayed = derived(planned.facts().iter().cloned());
        prop_assert_eq!(replayed.state_hash(), expected, "replayed facts");
    }

    #[test]
    fn l2_incremental_is_a_full_recompute(runs in runs()) {
        let mut cmdb = Cmdb::new(config());
        let mut cis = BTreeSet::new();
        let mut edges: BTreeSet<(RelationKind, CiId, CiId)> = BTreeSet::new();
        let mut now = Timestamp::EPOCH;
        for run in &runs {
            now = now.max(run.at());
            let facts = cmdb.plan(&run.batch(), now);
            let applied = cmdb.ingest(facts);
            let mut full = Cmdb::new(config());
            full.ingest(cmdb.facts().iter().cloned().collect());
            full.expire(now);
            prop_assert_eq!(cmdb.state_hash(), full.state_hash());
            for delta in applied.graph {
                match delta {
                    GraphDelta::Upsert { ci, .. } => { cis.insert(ci); }
                    GraphDelta::Remove(ci) => { prop_assert!(cis.remove(&ci)); }
                    GraphDelta::Relate { kind, from, to } => { prop_assert!(edges.insert((kind, from, to))); }
                    GraphDelta::Unrelate { kind, from, to } => { prop_assert!(edges.remove(&(kind, from, to))); }
                    _ => {}
                }
            }
            let view = cmdb.view();
            let active = |id: CiId| view.ci(id).is_some_and(|ci| ci.state().is_active());
            let expected: BTreeSet<CiId> = view.cis().map(|ci| ci.id()).filter(|id| active(*id)).collect();
            prop_assert_eq!(&cis, &expected, "the graph's items follow the view");
            let expected: BTreeSet<_> = view
                .relations()
                .filter(|relation| relation.state.is_active() && active(relation.from) && active(relation.to))
                .map(|relation| (relation.kind.clone(), relation.from, relation.to))
                .collect();
            prop_assert_eq!(&edges, &expected, "the graph's relations follow the view");
        }
    }

    #[test]
    fn l2_agrees_with_the_naive_model(runs in runs()) {
        agrees_with_the_naive_model(&runs, &IdentityRules::default())?;
    }

    #[test]
    fn l2_agrees_with_the_naive_model_under_other_rules(
        runs in prop_oneof![runs(), few()],
        pick in any::<u8>(),
    ) {
        agrees_with_the_naive_model(&runs, &varied(pick))?;
    }

    #[test]
    fn l3_merging_logs_is_a_set_union(a in runs(), b in runs(), c in runs()) {
        // Each log learned its facts at another time.
        let log = |runs: &[Run], delay: i64| -> FactLog {
            let late = |run: &Run| Timestamp::from_secs(run.at().as_secs() + delay);
            runs.iter().flat_map(|run| facts_of(&run.batch(), late(run))).collect()
        };
        let (a, b, c) = (log(&a, 9), log(&b, 5), log(&c, 1));
        let merge = |x: &FactLog, y: &FactLog| { let mut merged = x.clone(); merged.merge(y); merged };
        prop_assert_eq!(merge(&a, &b), merge(&b, &a));
        prop_assert_eq!(merge(&merge(&a, &b), &c), merge(&a, &merge(&b, &c)));
        prop_assert_eq!(merge(&a, &a), a.clone());
        let ab = derived(merge(&a, &b).iter().cloned());
        let ba = derived(b.iter().chain(a.iter()).cloned());
        prop_assert_eq!(ab.state_hash(), ba.state_hash());
    }

    #[test]
    fn l4_only_coverage_retraction_or_lease_retires(runs in runs()) {
        let view = derived(facts(&runs)).view();
        for ci in view.cis().filter(|ci| !ci.is_loose_end() && !ci.state().is_active()) {
            for object in ci.objects() {
                prop_assert!(model::may_be_gone(&runs, object, END), "{object} was let go without a reason");
            }
        }
    }

    #[test]
    fn l5_a_past_view_is_what_was_believed_then(runs in runs()) {
        let mut cmdb = Cmdb::new(config());
        let mut believed = Vec::new();
        for (index, run) in runs.iter().enumerate() {
            // Learned in this order whatever the valid time says: late facts included.
            let now = Timestamp::from_secs(1_000_000 + index as i64 * 7 * STEP);
            let facts = cmdb.plan(&run.batch(), now);
            cmdb.ingest(facts);
            believed.push((now, cmdb.view().state_hash(), cmdb.state_hash()));
        }
        for (recorded, view, state) in believed {
            prop_assert_eq!(cmdb.view_at(Timestamp::MAX, recorded).state_hash(), view);
            prop_assert_eq!(cmdb.at(Timestamp::MAX, recorded).state_hash(), state);
        }
    }

    #[test]
    fn l6_every_merge_has_a_proof_that_holds(runs in runs()) {
        let cmdb = derived(facts(&runs));
        for ci in cmdb.view().cis() {
            let Some(why) = cmdb.explain(ci.id()) else { prop_assert!(false, "no explanation"); return Ok(()) };
            prop_assert_eq!(why.merges.len(), ci.objects().len().saturating_sub(1), "a spanning tree of merges");
            prop_assert_eq!(verify_item(&why.merges, cmdb.facts(), cmdb.config().identity()), Ok(()));
            for proof in &why.merges {
                prop_assert_eq!(verify(proof, cmdb.facts(), cmdb.config().identity()), Ok(()));
                for cited in proof.facts() {
                    let without: FactLog = cmdb.facts().iter().filter(|fact| fact.id() != cited).cloned().collect();
                    prop_assert!(verify(proof, &without, cmdb.config().identity()).is_err());
                    let other = derived(without.iter().cloned());
                    prop_assert_ne!(other.state_hash(), cmdb.state_hash(), "a cited fact matters");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(64)
    ))]

    #[test]
    fn l6_every_reason_to_stay_apart_holds(runs in runs()) {
        let cmdb = derived(facts(&runs));
        let view = cmdb.view();
        let ids: Vec<CiId> = view.cis().filter(|ci| !ci.is_loose_end()).map(|ci| ci.id()).collect();
        for (at, a) in ids.iter().enumerate() {
            for b in &ids[..at] {
                let why = cmdb.explain_pair(*a, *b);
                let Some(why) = why else { prop_assert!(false, "no explanation"); return Ok(()) };
                prop_assert!(!why.together);
                for apart in &why.apart {
                    prop_assert_eq!(verify_apart(apart, cmdb.facts(), cmdb.config().identity()), Ok(()));
                    for cited in apart.facts() {
                        let without = cmdb.facts().iter().filter(|fact| fact.id() != cited).cloned();
                        let without: FactLog = without.collect();
                        let checked = verify_apart(apart, &without, cmdb.config().identity());
                        prop_assert!(checked.is_err());
                        let other = derived(without.iter().cloned());
                        let again = other.explain_pair(*a, *b).is_some_and(|why| why.apart.contains(apart));
                        prop_assert!(!again, "without a fact that it cites the reason is gone");
                    }
                }
            }
        }
    }
}

fn host_run(source: &'static str, tick: i64, hosts: impl IntoIterator<Item = usize>) -> Batch {
    let mut batch = Batch::new(SourceName::literal(source), Timestamp::from_secs(tick * 60));
    for host in hosts {
        batch.ci(format!("host-{host}"), kind::HOST).attr(attr::HOST_NAME, format!("h{host}"));
    }
    batch
}

fn feed(cmdb: &mut Cmdb, batch: &Batch) -> itom_cmdb::Applied {
    let facts = cmdb.plan(batch, batch.taken_at());
    cmdb.ingest(facts)
}

fn active(view: &View) -> usize {
    view.cis().filter(|ci| ci.state().is_active()).count()
}

#[test]
fn l4_a_read_that_fails_at_any_index_retires_nothing() {
    let complete = || Coverage::new().complete(Scope::cis(kind::HOST));
    for fails_at in 0..20 {
        let mut cmdb = Cmdb::new(CmdbConfig::default());
        let mut whole = host_run("inventory", 1, 0..20);
        whole.finish(complete());
        feed(&mut cmdb, &whole);
        let mut torn = host_run("inventory", 2, 0..fails_at);
        torn.finish(complete().partial(Scope::cis(kind::HOST), ErrorKind::Timeout, "page lost"));
        feed(&mut cmdb, &torn);
        assert_eq!(active(&cmdb.view()), 20, "failed at {fails_at}");
        let mut silent = host_run("inventory", 3, 0..fails_at);
        silent.finish(Coverage::new());
        feed(&mut cmdb, &silent);
        assert_eq!(active(&cmdb.view()), 20, "failed at {fails_at} without a word");
    }
}

#[test]
fn l4_a_mass_retirement_waits_for_a_second_run_or_an_approval() {
    use itom_cmdb::fact::Approval;
    let complete = || Coverage::new().complete(Scope::cis(kind::HOST));
    let run = |tick, hosts| {
        let mut batch = host_run("inventory", tick, 0..hosts);
        batch.finish(complete());
        batch
    };
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    feed(&mut cmdb, &run(1, 20));
    let held = feed(&mut cmdb, &run(2, 5));
    assert_eq!(active(&cmdb.view()), 20);
    assert_eq!(held.proposed_retirements.len(), 1);
    assert_eq!((held.proposed_retirements[0].missing, held.proposed_retirements[0].of), (15, 20));

    let mut approved = cmdb.clone();
    let approval = Approval {
        source: SourceName::literal("inventory"),
        run_at: Timestamp::from_secs(120),
        reason: "site closed".into(),
    };
    approved.ingest(vec![Fact::approval(SourceName::literal("ops"), approval, Timestamp::from_secs(130))]);
    assert_eq!(active(&approved.view()), 5);

    let mut relieved = cmdb.clone();
    feed(&mut relieved, &run(3, 20));
    assert_eq!((active(&relieved.view()), relieved.proposed_retirements().len()), (20, 0));

    let confirmed = feed(&mut cmdb, &run(3, 5));
    assert_eq!(active(&cmdb.view()), 5);
    assert!(confirmed.proposed_retirements.is_empty());
    let few = feed(&mut cmdb, &run(4, 4));
    assert_eq!((active(&cmdb.view()), few.graph.len()), (4, 1), "one of five is no mass");
}

#[test]
fn l1_a_steady_state_costs_one_small_fact_a_run() {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    for tick in 1..=50 {
        let mut batch = host_run("inventory", tick, 0..500);
        batch.finish(Coverage::new().complete(Scope::cis(kind::HOST)));
        let facts = cmdb.plan(&batch, batch.taken_at());
        if tick > 1 {
            assert_eq!(facts.len(), 1);
            assert!(serde_json::to_vec(&facts).unwrap().len() < 400);
        }
        let applied = cmdb.ingest(facts);
        assert!(tick == 1 || applied.changes.is_empty());
    }
    let view = cmdb.view();
    assert!(view.cis().all(|ci| ci.last_seen() == Timestamp::from_secs(3000)));
    assert_eq!(cmdb.facts().len(), 550);
    let rebuilt = {
        let mut other = Cmdb::new(CmdbConfig::default());
        other.ingest(cmdb.facts().iter().cloned().collect());
        other
    };
    assert_eq!(rebuilt.state_hash(), cmdb.state_hash());
}

#[test]
fn loose_ends_resolve_and_redirect() {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    let key = || Key::endpoint("tcp", [192, 0, 2, 9].into(), 5432);
    let mut flows = host_run("flows", 1, [1]);
    flows.relation(itom_core::relation::CONNECTS_TO, "host-1", key());
    feed(&mut cmdb, &flows);
    let view = cmdb.view();
    let loose = view.cis().find(|ci| ci.is_loose_end()).unwrap().clone();
    assert_eq!(loose.kind(), &kind::NETWORK_ADDRESS);
    let mut agent = Batch::new(SourceName::literal("agent"), Timestamp::from_secs(120));
    agent.ci("pg", kind::SERVICE).key(key());
    let applied = feed(&mut cmdb, &agent);
    let view = cmdb.view();
    let service = view.by_kind(&kind::SERVICE)[0].id();
    assert_eq!(view.current(loose.id()), Some(service));
    assert!(applied.redirects.iter().any(|redirect| redirect.from == loose.id() && redirect.to == service));
    assert_eq!(view.relations_of(service).count(), 1);
    // A second claimant makes it ambiguous again: nobody tosses a coin.
    let mut other = Batch::new(SourceName::literal("other"), Timestamp::from_secs(180));
    other.ci("db", kind::SERVICE).key(key());
    let applied = feed(&mut cmdb, &other);
    assert_eq!(applied.ambiguous.len(), 1);
    assert_eq!(applied.ambiguous[0].candidates.len(), 2);
    assert!(cmdb.view().ci(loose.id()).is_some_and(|ci| ci.is_loose_end()));
}

/// What the laws are about happens in the estates that they look at.
#[test]
fn random_estates_join_by_what_is_inherited() {
    use itom_cmdb::identity::{Apart, Rule};
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut joined, mut apart) = (0, 0);
    for _ in 0..200 {
        let cmdb = derived(facts(&runs().new_tree(&mut runner).unwrap().current()));
        let view = cmdb.view();
        let ids: Vec<CiId> = view.cis().filter(|ci| !ci.is_loose_end()).map(|ci| ci.id()).collect();
        for id in &ids {
            let merges = cmdb.explain(*id).unwrap().merges;
            joined += merges.iter().filter(|own| matches!(own.rule(), Rule::Inherited { .. })).count();
        }
        for (at, one) in ids.iter().enumerate() {
            for other in &ids[..at] {
                let reasons = cmdb.explain_pair(*one, *other).unwrap().apart;
                apart += reasons.iter().filter(|own| matches!(own, Apart::TooFewInherited { .. })).count();
            }
        }
    }
    assert!(joined > 10 && apart > 10, "{joined} merges, {apart} reasons");
}
