//! The stored form of facts and their addresses. A change here breaks every log that exists: add a format instead.

use itom_cmdb::fact::{Fact, facts_of};
use itom_core::{
    Batch, Coverage, Key, Retraction, Scope, SourceName, Timestamp, Value, attr, kind, relation,
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

#[test]
fn facts_read_back_equal() {
    for fact in golden() {
        let text = serde_json::to_string(&fact).unwrap();
        assert_eq!(serde_json::from_str::<Fact>(&text).unwrap(), fact);
    }
}
