//! The serialized form of every type, as files: what is written today is read by every later release.
//!
//! Each file in `golden/` is named after a type and holds examples of it. After a wanted change run with
//! `ITOM_BLESS=1` and read the difference as a reviewer would.

use std::fmt::Debug;
use std::path::PathBuf;

use itom_core::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, examples: &[T]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.json"));
    let written = serde_json::to_string_pretty(examples).expect("examples serialize") + "\n";
    if std::env::var_os("ITOM_BLESS").is_some() {
        std::fs::write(&path, &written).expect("the golden file can be written");
    }
    let kept = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; run with ITOM_BLESS=1 to write it", path.display()));
    assert_eq!(kept, written, "the JSON form of {name} changed; old data must stay readable");
    let read: Vec<T> = serde_json::from_str(&kept).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(read, examples, "{name} does not read back as it was written");
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_767_225_600 + secs)
}

fn id() -> CiId {
    CiId::derive(&["web-1"])
}

fn labels() -> Labels {
    Labels::from_pairs([("instance", "a:9100"), ("job", "quote \" and \\ back")]).expect("valid names")
}

fn key() -> Key {
    Key::mac("00-1B-44-11-3A-B7").expect("a MAC address")
}

fn values() -> Vec<Value> {
    let map = |pairs: &[(&str, Value)]| {
        Value::Map(pairs.iter().map(|(name, value)| (Text::from(*name), value.clone())).collect())
    };
    vec![
        Value::Unknown,
        Value::NotApplicable,
        Value::Withheld,
        true.into(),
        i64::MIN.into(),
        3_i64.into(),
        3.0.into(),
        0.1.into(),
        f64::NAN.into(),
        f64::INFINITY.into(),
        f64::NEG_INFINITY.into(),
        "text".into(),
        at(0).into(),
        Timestamp::MAX.into(),
        vec![Value::Int(1), "two".into(), Value::Unknown].into(),
        map(&[]),
        map(&[("a", 1_i64.into()), ("b", Value::Withheld)]),
        map(&[("$unknown", true.into())]),
        map(&[("$map", "x".into())]),
        map(&[("$a", 1_i64.into()), ("$b", 2_i64.into())]),
    ]
}

fn batch() -> Batch {
    let mut batch = Batch::new(SourceName::literal("racks@site-a"), at(0));
    batch
        .ci("web", kind::HOST_LINUX)
        .key(key())
        .key(Key::fqdn("web-1.example.com"))
        .attr(attr::HOST_NAME, "web-1")
        .within("site-a");
    batch.relation(relation::DEPENDS_ON, "web", Key::ip([192, 0, 2, 7].into())).attr(attr::SERVER_PORT, 5432);
    batch.gauge(MetricName::literal("node_load1"), 0.25).labels(labels()).on("web").at(at(1));
    batch.counter(MetricName::literal("node_boots_total"), f64::NAN);
    batch.event(event::HOST_BOOTED, Severity::Info, "came up").on("web").attr(attr::STATE, "up").at(at(2));
    batch.same_as("web", key(), "asset register");
    batch.not_same("web", "db", "two boards in one case");
    batch.retract(Retraction::Ci("old".into()));
    batch.retract(Retraction::Relation { kind: relation::RUNS_ON, from: "a".into(), to: "b".into() });
    batch.fault("/proc/1/fd", ErrorKind::Denied, "run as root to read it");
    batch.fault("/proc/1/fd", ErrorKind::Denied, "run as root to read it");
    batch.finish(coverage());
    batch
}

fn coverage() -> Coverage {
    Coverage::new()
        .complete(Scope::relations(relation::DEPENDS_ON))
        .complete(Scope::cis(kind::HOST).within("site-a"))
        .partial(Scope::cis(kind::PROCESS), ErrorKind::Denied, "not root")
}

fn histograms() -> Vec<Histogram> {
    let mut exponential = Histogram::exponential(Schema::new(3).expect("a schema"));
    exponential.reset = CounterReset::NotReset;
    (exponential.zero_threshold, exponential.zero_count) = (0.001, 2.0);
    (exponential.count, exponential.sum) = (9.5, f64::INFINITY);
    exponential.positive = Buckets::dense(-2, &[1.0, 0.0, 2.5]).expect("near indexes");
    exponential.positive.add(i32::MAX, 1.0);
    exponential.negative.add(i32::MIN, 1.0);
    exponential.negative.add(i32::MAX, 2.0);
    let mut custom = Histogram::custom(CustomBounds::new(&[-1.0, 0.25]).expect("ascending"));
    custom.reset = CounterReset::Gauge;
    (custom.count, custom.sum) = (3.0, -0.0);
    custom.positive = Buckets::dense(0, &[1.0, 2.0]).expect("near indexes");
    vec![Histogram::default(), exponential, custom]
}

macro_rules! golden {
    ($($test:ident: $type:ident = $examples:expr;)*) => {
        $(#[test]
        fn $test() {
            let examples: Vec<$type> = $examples.into_iter().collect();
            check(stringify!($type), &examples);
        })*
    };
}

fn observed<T>(pick: impl Fn(&Observation) -> Option<T>) -> Vec<T> {
    batch().items().iter().filter_map(pick).collect()
}

golden! {
    alert_id: AlertId = [AlertId::derive(&["a", "b"])];
    attr_name: AttrName = [attr::HOST_NAME];
    batches: Batch = [Batch::new(SourceName::literal("empty"), at(0)), batch()];
    ci_change: CiChange = [
        ChangeKind::Appeared,
        ChangeKind::Attribute(attr::OS_VERSION),
        ChangeKind::Related { kind: relation::RUNS_ON, to: CiId::derive(&["b"]) },
    ].map(|change| CiChange {
        at: at(3), ci: id(), change, before: Some("11".into()), after: None, source: Some(SourceName::literal("s")),
    });
    change_kind: ChangeKind = [
        ChangeKind::Appeared,
        ChangeKind::Retired,
        ChangeKind::Returned,
        ChangeKind::Attribute(attr::OS_VERSION),
        ChangeKind::Related { kind: relation::RUNS_ON, to: id() },
        ChangeKind::Unrelated { kind: relation::RUNS_ON, to: id() },
    ];
    ci_id: CiId = [id()];
    ci_kind: CiKind = [kind::HOST_LINUX];
    ci_observation: CiObservation =
        observed(|item| if let Observation::Ci(ci) = item { Some(ci.clone()) } else { None });
    ci_summary: CiSummary = [{
        let mut summary = CiSummary::new(id(), kind::HOST, "web-1", at(0));
        summary.attributes.insert(attr::HOST_NAME, "web-1".into());
        summary
    }];
    coverages: Coverage = [Coverage::new(), coverage()];
    error_kind: ErrorKind = [
        ErrorKind::Invalid, ErrorKind::NotFound, ErrorKind::Conflict, ErrorKind::Denied, ErrorKind::Unavailable,
        ErrorKind::Timeout, ErrorKind::Cancelled, ErrorKind::Exhausted, ErrorKind::Unsupported, ErrorKind::Bug,
    ];
    event_observation: EventObservation =
        observed(|item| if let Observation::Event(event) = item { Some(event.clone()) } else { None });
    fault: Fault = batch().faults().to_vec();
    histogram: Histogram = histograms();
    incident_id: IncidentId = [IncidentId::derive(&["a"])];
    interval: Interval = [Interval::new(at(0), at(60)), Interval::ALWAYS];
    keys: Key = [key(), Key::native(Realm::literal("vcenter-a"), "vm-17"), Key::fqdn("")];
    key_kinds: KeyKind = [key_kind::MAC];
    label_name: LabelName = [LabelName::literal("job")];
    label_sets: Labels = [Labels::empty(), labels()];
    match_op: MatchOp = [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex];
    matcher: Matcher =
        [Matcher { name: LabelName::literal("job"), op: MatchOp::Regex, value: "web|db".into() }];
    metric_name: MetricName = [MetricName::literal("node_load1")];
    observation: Observation = batch().items().to_vec();
    partial_scope: PartialScope = coverage().partial_scopes().to_vec();
    question: Question = [Question::new(
        SourceName::literal("inventory"), "web", kind::HOST, vec![key_kind::SERIAL], "`fqdn=web` fits two items",
    )];
    realm: Realm = [Realm::GLOBAL, Realm::literal("vrf:blue")];
    relation_kind: RelationKind = [relation::DEPENDS_ON];
    relation_observation: RelationObservation =
        observed(|item| if let Observation::Relation(relation) = item { Some(relation.clone()) } else { None });
    retraction: Retraction =
        observed(|item| if let Observation::Retract(retraction) = item { Some(retraction.clone()) } else { None });
    run_id: RunId = [RunId::derive(&["a"])];
    sample_kind: SampleKind = [SampleKind::Gauge, SampleKind::Counter];
    sample_observation: SampleObservation =
        observed(|item| if let Observation::Sample(sample) = item { Some(sample.clone()) } else { None });
    scope: Scope = coverage().complete_scopes().to_vec();
    scope_target: ScopeTarget =
        [ScopeTarget::Cis(kind::HOST), ScopeTarget::Relations(relation::RUNS_ON)];
    selector: Selector = [
        Selector::new(MetricName::literal("up")),
        Selector::new(MetricName::literal("up")).with(LabelName::literal("job"), MatchOp::NotEqual, "web"),
    ];
    severity: Severity = Severity::ALL;
    source_name: SourceName = [SourceName::literal("process@web-1")];
    statement: Statement = [
        Statement::new("web", key(), "asset register"),
        Statement::new("web", key(), "while the migration runs").until(at(3600)),
    ];
    strength: Strength =
        [Strength::Ambient, Strength::Administrative, Strength::Issued, Strength::Hardware];
    subject: Subject = [Subject::from("web"), Subject::from(key())];
    text: Text = [Text::literal("any text, \u{e9}")];
    ticket_id: TicketId = [TicketId::derive(&["a"])];
    timestamp: Timestamp = [Timestamp::EPOCH, at(0), Timestamp::from_micros(1), Timestamp::MIN, Timestamp::MAX];
    value: Value = values();
}
