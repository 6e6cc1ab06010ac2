use std::collections::BTreeMap;
use std::time::Duration;

use itom_core::{
    Batch, CiId, CiKind, Coverage, Scope as CoveredScope, SourceName, Timestamp, Value, attr, kind, relation,
};
use proptest::prelude::*;

use super::{Compliance, Known, Policy, PolicyError, PolicyResult, PolicySet, Verdict};
use crate::expr::Read;
use crate::graph::RelationModel;
use crate::view::View;
use crate::{Cmdb, CmdbConfig};

const START: i64 = 1_700_000_000;

fn taken(cmdb: &mut Cmdb, batch: &Batch) {
    let facts = cmdb.plan(batch, batch.taken_at());
    cmdb.ingest(facts);
}

fn batch(at: i64) -> Batch {
    Batch::new(SourceName::literal("demo"), Timestamp::from_secs(START + at))
}

fn judged(set: PolicySet, view: &View, now: i64) -> Compliance {
    let mut compliance = Compliance::new(set);
    let graph = view.graph(RelationModel::default()).expect("a graph");
    compliance.update(view, &graph, Timestamp::from_secs(START + now));
    compliance
}

fn verdict(compliance: &Compliance, view: &View, policy: &str, name: &str) -> Option<PolicyResult> {
    let ci = view
        .cis()
        .find(|ci| ci.name().as_str() == name)
        .map_or_else(|| panic!("no {name}"), crate::view::Ci::id);
    compliance.of(ci).find(|result| result.policy.as_str() == policy).cloned()
}

#[test]
fn starter_policies_say_what_they_should() {
    let set = PolicySet::from_yaml("starter.yaml", PolicySet::STARTER).expect("the starter set");
    assert_eq!(set, PolicySet::starter());
    assert!(set.policies().len() >= 10);
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    let mut run = batch(0);
    let host = |run: &mut Batch, name: &str, os: &str, version: &str, days_ago: i64| {
        let updated = Timestamp::from_secs(START - days_ago * 86_400);
        run.ci(name, kind::HOST_LINUX)
            .attr(attr::HOST_NAME, name)
            .attr(attr::OS_NAME, os)
            .attr(attr::OS_VERSION, version)
            .attr(attr::HOST_BOOT_TIME, updated)
            .attr(attr::OS_UPDATE_TIME, updated);
    };
    host(&mut run, "old", "Debian GNU/Linux", "10", 200);
    host(&mut run, "new", "Debian GNU/Linux", "12", 3);
    host(&mut run, "jammy", "Ubuntu", "22.04", 29);
    host(&mut run, "focal", "Ubuntu", "20.04", 31);
    run.ci("silent", kind::HOST_LINUX).attr(attr::HOST_NAME, "silent");
    run.ci("cert", CiKind::literal("certificate"))
        .attr(attr::NAME, "cert")
        .attr(itom_core::AttrName::literal("tls.server.not_after"), Timestamp::from_secs(START + 86_400));
    run.ci("shop", kind::SERVICE).attr(attr::SERVICE_NAME, "shop");
    run.ci("pay", kind::SERVICE).attr(attr::SERVICE_NAME, "pay");
    run.ci("checkout", kind::BUSINESS_SERVICE).attr(attr::NAME, "checkout");
    run.relation(relation::DEPENDS_ON, "checkout", "shop");
    run.relation(relation::RUNS_ON, "shop", "old");
    taken(&mut cmdb, &run);
    let view = cmdb.view();
    let compliance = judged(set.clone(), &view, 0);
    let of =
        |policy: &str, name: &str| verdict(&compliance, &view, policy, name).map(|result| result.verdict);
    assert_eq!(of("os-supported", "old"), Some(Verdict::Fail));
    assert_eq!(of("os-supported", "new"), Some(Verdict::Pass));
    assert_eq!(of("os-supported", "jammy"), Some(Verdict::Pass));
    assert_eq!(of("os-supported", "focal"), Some(Verdict::Fail));
    assert_eq!(of("os-supported", "silent"), Some(Verdict::Unknown));
    assert_eq!(of("host-patched", "new"), Some(Verdict::Pass));
    assert_eq!(of("host-patched", "focal"), Some(Verdict::Fail));
    assert_eq!(of("host-rebooted", "old"), Some(Verdict::Fail));
    assert_eq!(of("certificate-valid", "cert"), Some(Verdict::Fail));
    assert_eq!(of("no-single-point-of-failure", "checkout"), Some(Verdict::Fail));
    // Nobody reports owners: not knowing is not failing.
    let unowned = verdict(&compliance, &view, "service-owned", "pay").expect("it is judged");
    assert_eq!(unowned.verdict, Verdict::Unknown);
    assert_eq!(unowned.unknown_because.as_deref(), Some("no source reports relations of kind `owned_by`"));
    let evidence = verdict(&compliance, &view, "os-supported", "old").expect("it is judged").evidence;
    assert!(
        evidence
            .iter()
            .any(|why| why.read == Read::Attribute(attr::OS_VERSION) && why.value == Value::from("10"))
    );

    // Somebody says who owns one of them: the other one fails.
    let mut owners = Batch::new(SourceName::literal("people"), Timestamp::from_secs(START + 60));
    owners.ci("team", kind::TEAM).attr(attr::NAME, "team");
    owners.ci("shop-too", kind::SERVICE).attr(attr::SERVICE_NAME, "owned");
    owners.relation(relation::OWNED_BY, "shop-too", "team");
    taken(&mut cmdb, &owners);
    let view = cmdb.view();
    let compliance = judged(set, &view, 60);
    let of =
        |policy: &str, name: &str| verdict(&compliance, &view, policy, name).map(|result| result.verdict);
    assert_eq!(of("service-owned", "owned"), Some(Verdict::Pass));
    assert_eq!(of("service-owned", "pay"), Some(Verdict::Fail));
    assert_eq!(compliance.scores()["service-owned"].fail, 2);
    assert_eq!(compliance.scores()["service-owned"].ratio(), Some(1.0 / 3.0));
}

#[test]
fn waivers_keep_the_failure_and_end() {
    let text = r#"
policies:
  - name: named
    applies_to: host
    check: ci.name == "good"
    waivers:
      - { items: 'ci.name == "bad"', owner: ada, reason: moves in spring, until: 2023-11-15T00:00:00Z }
"#;
    let set = PolicySet::from_yaml("p.yaml", text).expect("a set");
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    let mut run = batch(0);
    run.ci("bad", kind::HOST).attr(attr::HOST_NAME, "bad");
    taken(&mut cmdb, &run);
    let view = cmdb.view();
    let graph = view.graph(RelationModel::default()).expect("a graph");
    let mut compliance = judged(set, &view, 0);
    let result = verdict(&compliance, &view, "named", "bad").expect("judged");
    assert_eq!(result.verdict, Verdict::Fail);
    assert_eq!(result.waived.map(|waived| waived.owner), Some("ada".into()));
    assert_eq!(compliance.scores()["named"].waived, 1);
    let next = compliance.next_look().expect("the waiver ends some time");
    assert!(next <= Timestamp::from_secs(START + 3600));
    // The verdict stays, the waiver goes.
    assert!(compliance.update(&view, &graph, Timestamp::from_secs(START + 2 * 86_400)).is_empty());
    let result = verdict(&compliance, &view, "named", "bad").expect("judged");
    assert_eq!((result.verdict, result.waived), (Verdict::Fail, None));
    assert_eq!(result.since, Timestamp::from_secs(START), "it failed all the time");
}

#[test]
fn bad_files_are_refused_with_their_place() {
    let refused = |text: &str| match PolicySet::from_yaml("p.yaml", text) {
        Err(PolicyError::File { file, line, reason, .. }) => (file, line, reason),
        other => panic!("{other:?}"),
    };
    let (file, line, reason) =
        refused("policies:\n  - name: a\n    applies_to: host\n    check: ci.active &&\n");
    assert_eq!((file.as_str(), line), ("p.yaml", 4));
    assert!(reason.contains("policy `a`, field `check`"), "{reason}");
    let (_, line, reason) =
        refused("policies:\n  - name: a\n    applies_to: host\n    chekc: true\n    check: true\n");
    assert!(line == 4 && reason.contains("chekc"), "{line} {reason}");
    let twice = "policies:\n  - {name: a, applies_to: host, check: 'true'}\n  - {name: a, applies_to: host, check: 'true'}\n";
    assert_eq!(refused(twice).1, 3);
    let (_, _, reason) = refused("policies:\n  - {name: a, applies_to: 'no kind!', check: 'true'}\n");
    assert!(reason.contains("no kind!"), "{reason}");
    assert!(matches!(
        PolicySet::new(["x", "x"].map(|name| Policy::new(name, kind::HOST, "true").expect("a policy"))),
        Err(PolicyError::Duplicate { .. })
    ));
    assert!(matches!(Policy::new("x", kind::HOST, "nothing == 1"), Err(PolicyError::Expression { .. })));
}

fn policies() -> PolicySet {
    let policy = |name: &str, kind: CiKind, check: &str| Policy::new(name, kind, check).expect(name);
    PolicySet::new([
        policy("own", kind::HOST, r#"attr["os.version"] != "1""#),
        policy("near", kind::SERVICE, r#"outgoing["runs_on"].all(h, h.attr["os.version"] == "0")"#),
        policy("far", kind::SERVICE, r#"!spofs.exists(s, is_a(s.kind, "host"))"#),
        policy("owned", kind::SERVICE, r#"size(outgoing["owned_by"]) > 0"#)
            .needs_relation(relation::OWNED_BY)
            .needs_kind(kind::TEAM),
        policy("seen", kind::HOST, &format!("ci.last_seen - {START} < 1000")),
        policy("timed", kind::HOST, "now - ci.first_seen < days(1)").every(Duration::from_secs(600)),
        policy("filtered", kind::HOST, "ci.active").when(r#"attr["os.version"] == "2""#).expect("filtered"),
    ])
    .expect("a set")
}

/// One step of a small estate: hosts with versions, services on hosts and on services, owners.
fn estate(at: i64, hosts: &[u8], runs: &[(u8, u8)], needs: &[(u8, u8)], owned: &[u8]) -> Batch {
    let mut run = batch(at);
    for (number, version) in hosts.iter().enumerate() {
        if *version < 4 {
            let host = run.ci(format!("h{number}"), kind::HOST);
            host.attr(attr::HOST_NAME, format!("h{number}"));
            host.attr_opt(attr::OS_VERSION, (*version < 3).then(|| version.to_string()));
        }
    }
    for service in 0..3_u8 {
        run.ci(format!("s{service}"), kind::SERVICE).attr(attr::SERVICE_NAME, format!("s{service}"));
    }
    for (service, host) in runs {
        run.relation(
            relation::RUNS_ON,
            format!("s{}", service % 3),
            format!("h{}", usize::from(*host) % hosts.len()),
        );
    }
    for (service, other) in needs {
        run.relation(relation::DEPENDS_ON, format!("s{}", service % 3), format!("s{}", other % 3));
    }
    if !owned.is_empty() {
        run.ci("team", kind::TEAM).attr(attr::NAME, "team");
    }
    for service in owned {
        run.relation(relation::OWNED_BY, format!("s{}", service % 3), "team");
    }
    run.finish(
        Coverage::new()
            .complete(CoveredScope::cis(kind::HOST))
            .complete(CoveredScope::cis(kind::SERVICE))
            .complete(CoveredScope::cis(kind::TEAM))
            .complete(CoveredScope::relations(relation::RUNS_ON))
            .complete(CoveredScope::relations(relation::DEPENDS_ON))
            .complete(CoveredScope::relations(relation::OWNED_BY)),
    );
    run
}

type Step = (Vec<u8>, Vec<(u8, u8)>, Vec<(u8, u8)>, Vec<u8>, i64);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let pairs = || proptest::collection::vec((any::<u8>(), any::<u8>()), 0..4);
    let step = (
        proptest::collection::vec(0_u8..5, 3),
        pairs(),
        pairs(),
        proptest::collection::vec(any::<u8>(), 0..2),
        prop_oneof![Just(60), Just(700), Just(90_000)],
    );
    proptest::collection::vec(step, 1..6)
}

fn without_since(compliance: &Compliance) -> BTreeMap<(String, CiId), PolicyResult> {
    let zero = Timestamp::from_secs(0);
    compliance
        .results()
        .map(|result| {
            ((result.policy.to_string(), result.ci), PolicyResult { since: zero, ..result.clone() })
        })
        .collect()
}

proptest! {
    #[test]
    fn l2_compliance_kept_current_is_compliance_judged_anew(steps in steps()) {
        let mut cmdb = Cmdb::new(CmdbConfig::default().mass_retirement(100, usize::MAX));
        let mut compliance = Compliance::new(policies());
        let mut verdicts: BTreeMap<(String, CiId), Verdict> = BTreeMap::new();
        let mut at = 0;
        for (hosts, runs, needs, owned, later) in steps {
            at += later;
            taken(&mut cmdb, &estate(at, &hosts, &runs, &needs, &owned));
            let view = cmdb.view();
            let graph = view.graph(RelationModel::default()).expect("a graph");
            for change in compliance.update(&view, &graph, Timestamp::from_secs(START + at)) {
                let key = (change.policy.to_string(), change.ci);
                prop_assert_eq!(verdicts.get(&key).copied(), change.before);
                match change.after {
                    Some(after) => { verdicts.insert(key, after); }
                    None => { verdicts.remove(&key); }
                }
            }
            let anew = judged(policies(), &view, at);
            prop_assert_eq!(without_since(&compliance), without_since(&anew));
            prop_assert_eq!(&compliance.known, &Known::of(&view));
            let told: BTreeMap<_, _> =
                compliance.results().map(|result| ((result.policy.to_string(), result.ci), result.verdict)).collect();
            prop_assert_eq!(&verdicts, &told, "the changes told add up to the results");
        }
    }

    #[test]
    fn l10_any_text_is_a_policy_file_or_an_error(text in ".{0,300}") {
        let _ = PolicySet::from_yaml("any", &text);
    }

    #[test]
    fn l10_damaged_policy_files(cut in 0_usize..4000, put in ".{0,3}") {
        let mut text = PolicySet::STARTER.to_owned();
        let at = (0..=cut.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.insert_str(at, &put);
        let _ = PolicySet::from_yaml("damaged", &text);
        let _ = PolicySet::from_yaml("cut", &PolicySet::STARTER[..at.min(PolicySet::STARTER.len())]);
    }
}
