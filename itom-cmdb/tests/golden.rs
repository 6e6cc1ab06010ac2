//! The stored form of facts and their addresses. A change here breaks every log that exists: add a format instead.

use std::path::PathBuf;
use std::time::Duration;

use itom_cmdb::fact::{Approval, Fact, FactBody, facts_of};
use itom_cmdb::graph::{Effect, FailureMode, Flow, Gate, Passage, RelationSpec};
use itom_cmdb::identity::{FromChildren, IdentityRules, SourceRule};
use itom_cmdb::ruleset::{AttributeRule, AttributeType, KindRule, Lease, Reducer, RelationRule, RuleSet};
use itom_cmdb::store::Retention;
use itom_cmdb::{Cmdb, CmdbConfig, Precedence};
use itom_core::{
    AttrName, Batch, CiKind, Coverage, Key, RelationKind, Retraction, Scope, SourceName, Strength, Timestamp,
    Value, attr, key_kind, kind, relation,
};

fn golden() -> Vec<Fact> {
    let mut batch = Batch::new(SourceName::literal("linux@web-1"), Timestamp::from_secs(1_700_000_000));
    batch
        .ci("host", kind::HOST_LINUX)
        .key(Key::fqdn("web-1.example.com"))
        .attr(attr::HOST_CPU_COUNT, 8_i64)
        .attr(attr::OS_VERSION, Value::Unknown)
        .within("site-a");
    batch.relation(relation::CONNECTS_TO, "host", Key::endpoint("tcp", [192, 0, 2, 9].into(), 5432));
    batch.retract(Retraction::Ci("old".into()));
    batch.same_as("host", Key::fqdn("web-1.example.com"), "asked");
    batch.finish(Coverage::new().complete(Scope::cis(kind::HOST)));
    facts_of(&batch, Timestamp::from_secs(1_700_000_001))
}

#[test]
fn facts_keep_their_form_and_address() {
    let text: String = golden()
        .iter()
        .map(|fact| format!("{} {}\n", fact.id(), serde_json::to_string(fact.body()).unwrap()))
        .collect();
    let expected = include_str!("golden/facts.txt");
    assert_eq!(text, expected);
}

/// A checkpoint that uses everything: an item that was seen to the end with an attribute older than its statement, one
/// that came back, one that is gone, and a round that builds upon another.
fn checkpoint() -> Vec<Fact> {
    let at = |minute: i64| Timestamp::from_secs(1_700_000_000 + 60 * minute);
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    let rounds: [&[&str]; 5] = [&["a", "b", "c"], &["a", "b"], &["a", "b", "c"], &["a", "c"], &["a", "c"]];
    for (minute, hosts) in rounds.into_iter().enumerate() {
        let mut batch = Batch::new(SourceName::literal("agent"), at(minute as i64));
        for host in hosts {
            let ci = batch.ci(*host, kind::HOST).attr(attr::HOST_NAME, *host);
            if *host == "a" {
                ci.attr(attr::HOST_CPU_COUNT, i64::from(minute > 1));
            }
        }
        batch.finish(Coverage::new().complete(Scope::cis(kind::HOST)));
        cmdb.ingest(cmdb.plan(&batch, at(minute as i64)));
    }
    let mut word = Batch::new(SourceName::literal("desk"), at(2));
    word.not_same("a", Key::fqdn("b.example.com"), "asked");
    let mut facts = facts_of(&word, at(2));
    let approval =
        Approval { source: SourceName::literal("agent"), run_at: at(3), reason: "it was moved".into() };
    facts.push(Fact::approval(SourceName::literal("desk"), approval, at(4)));
    let policy = Retention::new().sightings(Duration::ZERO).history(Duration::ZERO);
    facts.extend(cmdb.plan_compaction(&policy, at(60)).checkpoints().cloned());
    facts
}

#[test]
fn checkpoints_approvals_and_words_keep_their_form_and_address() {
    let facts = checkpoint();
    assert!(facts.iter().any(|fact| matches!(fact.body(), FactBody::Checkpoint(_))));
    let text: String = facts
        .iter()
        .map(|fact| format!("{} {}\n", fact.id(), serde_json::to_string(fact.body()).unwrap()))
        .collect();
    assert_eq!(text, kept("checkpoint.txt", &text), "logs that people keep must stay readable");
}

#[test]
fn facts_read_back_equal() {
    for fact in golden().into_iter().chain(checkpoint()) {
        let text = serde_json::to_string(&fact).unwrap();
        assert_eq!(serde_json::from_str::<Fact>(&text).unwrap(), fact);
    }
}

/// What is written today is read by every later release. After a wanted change run with `ITOM_BLESS=1` and read the
/// difference as a reviewer would.
fn kept(name: &str, written: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("ITOM_BLESS").is_some() {
        std::fs::write(&path, written).expect("the golden file can be written");
    }
    std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; run with ITOM_BLESS=1 to write it", path.display()))
}

fn keeps(name: &str, rules: &RuleSet) {
    let written = rules.to_json() + "\n";
    let kept = kept(name, &written);
    assert_eq!(kept, written, "the form of {name} changed; rule sets that people keep must stay readable");
    let read = RuleSet::from_json(name, kept.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(read, *rules, "{name} does not read back as it was written");
    assert_eq!(read.hash(), rules.hash());
}

#[test]
fn the_default_pack_keeps_its_form() {
    let mut pack = RuleSet::default_pack();
    // A release alone changes nothing in it.
    pack.version = "0".into();
    keeps("default_pack.json", &pack);
}

#[test]
fn a_rule_set_that_uses_everything_keeps_its_form() {
    let camera = CiKind::literal("device.camera");
    let rules = RuleSet::new("everything", "3")
        .kind(kind::DEVICE, KindRule::new("A device").lease(Lease::Never))
        .kind(
            camera.clone(),
            KindRule::new("A camera")
                .extending(kind::DEVICE)
                .attribute(AttrName::literal("camera.lens"), AttributeRule::required(AttributeType::Text))
                .attribute(
                    attr::HOST_IP,
                    AttributeRule::recommended(AttributeType::List).reduced(Reducer::Union),
                )
                .identified_by([key_kind::SERIAL, key_kind::MAC])
                .from_children([FromChildren::new(
                    RelationKind::literal("watches"),
                    kind::DEVICE,
                    [key_kind::MAC],
                )])
                .mints_at(Strength::Administrative)
                .lease(Lease::After(Duration::from_secs(90)))
                .stale_after(Lease::After(Duration::from_secs(60)))
                .purge_after(Lease::Never)
                .related_by([relation::DEPENDS_ON])
                .uniquely_named(),
        )
        .kind(
            CiKind::literal("device.camera.old"),
            KindRule::new("An old one").attribute(
                AttrName::literal("camera.lens"),
                AttributeRule::optional(AttributeType::Any).reduced(Reducer::Replace).overriding(),
            ),
        )
        .relation(
            relation::DEPENDS_ON,
            RelationRule::new(
                RelationSpec::flowing(Flow::ToFrom)
                    .gated(Gate::KOfN(2))
                    .with_effect(Effect::Capacity)
                    .passing(Passage::new([FailureMode::DataLoss], FailureMode::Unreachable)),
            )
            .joining([camera.clone()], [kind::DEVICE])
            .one_per_source(),
        )
        .relation(RelationKind::literal("watches"), RelationRule::default().containing())
        .identity(
            IdentityRules::default()
                .hot_above(5)
                .crowd_above(100)
                .junk("none of your business")
                .source(SourceRule::with_double_entries(SourceName::literal("sheet"))),
        )
        .precedence(
            Precedence::new(SourceName::literal("agent"), 10)
                .for_kind(camera)
                .for_attribute(attr::HOST_IP)
                .fresh_for(Duration::from_secs(3600)),
        )
        .source_lease(SourceName::literal("csv"), Lease::Never)
        .source_lease(SourceName::literal("probe"), Lease::After(Duration::from_secs(60)));
    rules.check().expect("it is sound");
    keeps("rule_set.json", &rules);
}
