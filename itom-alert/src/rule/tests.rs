//! Conditions, files, and the rules that come with the SDK.

use std::collections::BTreeMap;

use itom_core::{
    AttrName, ChangeKind, CiChange, EvaluateError, Evaluator, Expression, Finding, Labels, MetricName,
    Reading, Selector, Severity, Value, attr,
};
use proptest::prelude::*;

use super::*;
use crate::testkit::{World, at, ci, secs};

fn run(rule: &Rule, world: &World, second: i64) -> Vec<Outcome> {
    rule.compile(None).unwrap().evaluate(at(second), &world.ports(), &BTreeMap::new())
}

fn worst(rule: &Rule, world: &World, second: i64) -> Option<Severity> {
    run(rule, world, second)
        .into_iter()
        .filter_map(|outcome| match outcome.verdict {
            Verdict::Holds(severity) => Some(severity),
            _ => None,
        })
        .max()
}

fn metric(name: &'static str, reduce: Reduce) -> Query {
    Query::new(Selector::new(MetricName::literal(name)), reduce, secs(300))
}

#[test]
fn levels_have_their_own_hysteresis() {
    // Kapacitor's published vector: 60/70/80, resets 50/60/70.
    let levels = [
        Level::new(Severity::Info, Compare::Above, 60.0).clear_at(50.0),
        Level::new(Severity::Warning, Compare::Above, 70.0).clear_at(60.0),
        Level::new(Severity::Critical, Compare::Above, 80.0).clear_at(70.0),
    ];
    let rule = Rule::new("t", Condition::threshold(metric("m", Reduce::Last), levels)).compile(None).unwrap();
    let mut world = World::default();
    let mut known = BTreeMap::new();
    let mut seen = Vec::new();
    for (step, value) in [61.0, 73.0, 64.0, 85.0, 62.0, 56.0, 47.0].into_iter().enumerate() {
        world.sample("m", &[], None, step as i64 * 60, value);
        let outcome = rule.evaluate(at(step as i64 * 60), &world.ports(), &known).remove(0);
        let held = if let Verdict::Holds(severity) = outcome.verdict { Some(severity) } else { None };
        known = BTreeMap::from([(outcome.instance, held)]);
        seen.push(held);
    }
    let (info, warning, critical) = (Some(Severity::Info), Some(Severity::Warning), Some(Severity::Critical));
    // At 62 a critical alert is below its reset of 70 and above the reset of 60 of the warning.
    assert_eq!(seen, [info, warning, warning, critical, warning, info, None]);
}

#[test]
fn what_is_no_longer_found_has_no_data_unless_its_item_is_retired() {
    let rule = Rule::new(
        "t",
        Condition::threshold(metric("m", Reduce::Last), [Level::new(Severity::Major, Compare::Above, 1.0)]),
    )
    .compile(None)
    .unwrap();
    let mut world = World::default();
    let host = world.item("web-1", "host");
    let known = BTreeMap::from([(Instance::new(Labels::empty(), Some(host)), Some(Severity::Major))]);
    assert_eq!(rule.evaluate(at(0), &world.ports(), &known)[0].verdict, Verdict::NoData);
    world.cis.get_mut(&host).unwrap().retired = true;
    assert_eq!(rule.evaluate(at(0), &world.ports(), &known)[0].verdict, Verdict::Clear);
    world.broken = true;
    assert!(matches!(rule.evaluate(at(0), &world.ports(), &known)[0].verdict, Verdict::Error(_)));
}

#[test]
fn state_is_three_valued() {
    let check = |test| {
        Rule::new(
            "t",
            Condition::State(StateCheck { kind: itom_core::kind::UNIT, attribute: attr::STATE, test }),
        )
    };
    let mut world = World::default();
    let unit = world.item("nginx.service", "unit");
    let verdict = |world: &World, test: Test| run(&check(test), world, 0).remove(0).verdict;
    assert_eq!(verdict(&world, Test::Equals("failed".into())), Verdict::NoData);
    assert_eq!(verdict(&world, Test::Unknown), Verdict::Holds(Severity::Warning));
    let mut set = |value: Value| {
        let item = world.cis.get_mut(&unit).unwrap();
        item.attributes.insert(AttrName::literal("state"), value);
        world.clone()
    };
    let failed = set("failed".into());
    assert_eq!(verdict(&failed, Test::Equals("failed".into())), Verdict::Holds(Severity::Warning));
    assert_eq!(verdict(&failed, Test::NotEquals("failed".into())), Verdict::Clear);
    assert_eq!(verdict(&failed, Test::Less(3.0)), Verdict::NoData, "a text is not a number");
    let inapplicable = set(Value::NotApplicable);
    assert_eq!(verdict(&inapplicable, Test::NotEquals("x".into())), Verdict::Clear);
    let number = set(Value::Int(2));
    assert_eq!(verdict(&number, Test::Less(3.0)), Verdict::Holds(Severity::Warning));
    assert_eq!(verdict(&number, Test::OneOf(vec![Value::Float(2.0)])), Verdict::Holds(Severity::Warning));
}

#[test]
fn combinations_follow_kleene() {
    let above = |name: &'static str| {
        Condition::threshold(metric(name, Reduce::Last), [Level::new(Severity::Major, Compare::Above, 1.0)])
    };
    let join = |all: bool| {
        let parts = Combination { of: vec![above("a"), above("b")], on: vec![] };
        Rule::new("t", if all { Condition::All(parts) } else { Condition::Any(parts) })
    };
    let mut world = World::default();
    world.sample("a", &[("x", "1")], None, 0, 5.0);
    assert_eq!(run(&join(true), &world, 0)[0].verdict, Verdict::NoData, "true and unknown");
    assert_eq!(run(&join(false), &world, 0)[0].verdict, Verdict::Holds(Severity::Major), "true or unknown");
    world.sample("a", &[("x", "1")], None, 1, 0.0);
    assert_eq!(run(&join(true), &world, 1)[0].verdict, Verdict::Clear, "false and unknown");
    assert_eq!(run(&join(false), &world, 1)[0].verdict, Verdict::NoData, "false or unknown");
    world.sample("b", &[("y", "2")], None, 1, 5.0);
    assert_eq!(run(&join(false), &world, 1)[0].verdict, Verdict::Holds(Severity::Major));
    let not = Rule::new("n", Condition::Not(Box::new(above("a"))));
    assert_eq!(run(&not, &world, 1)[0].verdict, Verdict::Holds(Severity::Warning));
}

#[derive(Debug)]
struct Fixed;
impl Evaluator for Fixed {
    fn compile(&self, expression: &str) -> Result<std::sync::Arc<dyn Expression>, EvaluateError> {
        if expression == "up == 0" {
            return Ok(std::sync::Arc::new(Self));
        }
        Err(EvaluateError::Invalid {
            expression: expression.into(),
            at: 0,
            reason: "expected `up == 0`".into(),
        })
    }
}
impl Expression for Fixed {
    fn source(&self) -> &str {
        "up == 0"
    }
    fn evaluate(&self, at: itom_core::Timestamp) -> Result<Vec<Finding>, EvaluateError> {
        let down = at == crate::testkit::at(0);
        let finding = Finding { labels: Labels::empty(), subject: None, reading: Reading::Value(0.0) };
        Ok(if down { vec![finding] } else { vec![] })
    }
}

#[test]
fn expressions_come_through_the_evaluator() {
    let rule = |text: &str| {
        let check = ExpressionCheck { expression: text.into(), levels: vec![] };
        Rule::new("up", Condition::Expression(check))
    };
    assert!(rule("up == 0").compile(None).unwrap_err().to_string().contains("no evaluator"));
    assert!(matches!(rule("up").compile(Some(&Fixed)), Err(RuleError::Expression { .. })));
    let compiled = rule("up == 0").compile(Some(&Fixed)).unwrap();
    let found = compiled.evaluate(at(0), &Ports::new(), &BTreeMap::new());
    assert_eq!(found[0].verdict, Verdict::Holds(Severity::Warning));
    let known = BTreeMap::from([(found[0].instance.clone(), Some(Severity::Warning))]);
    let later = compiled.evaluate(at(1), &Ports::new(), &known);
    assert_eq!(
        later[0].verdict,
        Verdict::Clear,
        "what an expression no longer returns is clear, as in Prometheus"
    );
}

#[test]
fn wrong_rules_are_refused_with_name_field_and_reason() {
    let wrong = Condition::threshold(metric("m", Reduce::Last), []);
    let error = Rule::new("empty", wrong).compile(None).unwrap_err().to_string();
    assert_eq!(error, "rule `empty`, field `condition.threshold.levels`: give at least one level");
    let level = Level::new(Severity::Major, Compare::Above, 1.0).clear_at(2.0);
    let wrong = Rule::new("h", Condition::threshold(metric("m", Reduce::Last), [level]));
    assert!(wrong.compile(None).unwrap_err().to_string().contains("levels[0].clear"));
    let fine =
        Condition::threshold(metric("m", Reduce::Last), [Level::new(Severity::Major, Compare::Above, 1.0)]);
    let wrong = Rule::new("s", fine.clone()).summary("{{nope}}");
    assert!(wrong.compile(None).unwrap_err().to_string().contains("field `summary`"));
    let mut deep = fine;
    for _ in 0..20 {
        deep = Condition::Not(Box::new(deep));
    }
    assert!(Rule::new("deep", deep).compile(None).is_err());
    let error = parse_rules("{\"rules\": [\n{\"name\": 3}]}").unwrap_err();
    assert!(matches!(error, RuleError::Json { line: 2, .. }), "{error}");
    let twice = r#"{"name":"a","condition":{"absent":{"of":{"sightings":{"kind":"host"}},"after":"1m"}}}"#;
    let error = parse_rules(&format!("[{twice},{twice}]")).unwrap_err();
    assert!(matches!(error, RuleError::Duplicate { .. }), "{error}");
}

#[test]
fn the_golden_file_is_the_wire_format() {
    let golden = include_str!("../../tests/golden/rules.json");
    let rules = parse_rules(golden).unwrap();
    if std::env::var_os("ITOM_BLESS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/rules.json");
        std::fs::write(path, rules_to_json(&rules).unwrap() + "\n").unwrap();
        return;
    }
    assert_eq!(rules_to_json(&rules).unwrap().trim(), golden.trim());
}

proptest! {
    #[test]
    fn l10_any_text_is_parsed_or_refused(text in ".{0,200}") {
        let _ = parse_rules(&text);
    }

    #[test]
    fn l10_damaged_rules_never_panic(cut in 0..20_000_usize, byte in any::<u8>()) {
        let mut bytes = include_bytes!("default_rules.json").to_vec();
        let place = cut % bytes.len();
        bytes[place] = byte;
        if let Ok(rules) = parse_rules(&String::from_utf8_lossy(&bytes)) {
            for rule in rules {
                let _ = rule.compile(None);
            }
        }
    }
}

// ---- the rules that come with the SDK --------------------------------------------------------------------------

fn pack(name: &str) -> Rule {
    default_rules()
        .into_iter()
        .find(|rule| rule.name.as_str() == name)
        .unwrap_or_else(|| panic!("no rule {name}"))
}

const HOUR: (i64, i64, usize) = (0, 3600, 60);

/// A healthy, busy machine: a compile runs, memory is used for caches, disks are half full.
fn healthy() -> World {
    let mut world = World::default();
    let host = world.item("dev", "host");
    let unit = world.item("ssh.service", "unit");
    for id in [host, unit] {
        world.cis.get_mut(&id).unwrap().last_seen = at(3600);
    }
    let item = world.cis.get_mut(&unit).unwrap();
    item.attributes.insert(attr::SYSTEMD_ACTIVE_STATE, "active".into());
    let own = Some(host);
    for cpu in ["0", "1"] {
        world.samples("node_cpu_seconds_total", &[("cpu", cpu), ("mode", "idle")], own, HOUR, |s| {
            s as f64 * 0.02
        });
    }
    let root = [("device", "/dev/sda1"), ("fstype", "ext4"), ("mountpoint", "/")];
    let gib = f64::from(1 << 30);
    for (name, value) in [
        ("node_load5", 3.0),
        ("node_memory_MemAvailable_bytes", 3.0 * gib),
        ("node_memory_MemTotal_bytes", 16.0 * gib),
        ("node_filefd_allocated", 9_000.0),
        ("node_filefd_maximum", 1e6),
        ("node_timex_offset_seconds", 0.002),
    ] {
        world.samples(name, &[], own, HOUR, |_| value);
    }
    for (name, value) in [
        ("node_filesystem_size_bytes", 100.0 * gib),
        ("node_filesystem_files", 1e6),
        ("node_filesystem_files_free", 5e5),
        ("node_filesystem_readonly", 0.0),
    ] {
        world.samples(name, &root, own, HOUR, |_| value);
    }
    world.samples("node_filesystem_avail_bytes", &root, own, (-6 * 3600, 3600, 300), |s| {
        40.0 * gib - s as f64
    });
    for name in ["node_pressure_memory_stalled_seconds_total", "node_pressure_io_stalled_seconds_total"] {
        world.samples(name, &[], own, HOUR, |s| s as f64 * 0.02);
    }
    for way in ["receive", "transmit"] {
        let eth = [("device", "eth0")];
        world.samples(&format!("node_network_{way}_packets_total"), &eth, own, HOUR, |s| s as f64 * 100.0);
        world.samples(&format!("node_network_{way}_errs_total"), &eth, own, HOUR, |_| 3.0);
    }
    let unit = [("name", "ssh.service"), ("state", "failed"), ("type", "simple")];
    world.samples("node_systemd_unit_state", &unit, own, HOUR, |_| 0.0);
    world.samples("node_systemd_service_restart_total", &[("name", "a.service")], own, HOUR, |_| 1.0);
    for (outcome, each) in [("ok", 1.0), ("error", 0.0), ("timeout", 0.0)] {
        let labels = [("collector", "host"), ("outcome", outcome)];
        world.samples("itom_collect_runs_total", &labels, None, HOUR, |s| s as f64 / 60.0 * each);
    }
    world
}

#[test]
fn a_healthy_busy_machine_is_quiet() {
    let world = healthy();
    for rule in default_rules() {
        assert!(rule.compile(None).is_ok());
        assert_eq!(worst(&rule, &world, 3600), None, "{} cries wolf", rule.name);
    }
}

#[test]
fn every_default_rule_fires_when_it_should() {
    let gib = f64::from(1 << 30);
    let own = Some(ci("dev"));
    let root = [("device", "/dev/sda1"), ("fstype", "ext4"), ("mountpoint", "/")];
    let eth = [("device", "eth0")];
    type Break<'a> = Box<dyn Fn(&mut World) + 'a>;
    let flat =
        |name: &'static str, labels: &'static [(&'static str, &'static str)], value: f64| -> Break<'_> {
            Box::new(move |world: &mut World| world.samples(name, labels, own, HOUR, |_| value))
        };
    let change = |id: &'static str,
                  kind: &'static str,
                  what: ChangeKind,
                  retired: bool,
                  state: &'static str|
     -> Break<'_> {
        Box::new(move |world: &mut World| {
            let item = world.item(id, kind);
            let summary = world.cis.get_mut(&item).unwrap();
            summary.retired = retired;
            summary.attributes.insert(attr::NETWORK_INTERFACE_STATE, state.into());
            let (before, after, source) = (None, None, None);
            world.changes.push(CiChange {
                at: at(3500),
                ci: item,
                change: what.clone(),
                before,
                after,
                source,
            });
        })
    };
    let cases: Vec<(&str, Severity, Break<'_>)> = vec![
        (
            "host_cpu_saturated",
            Severity::Warning,
            Box::new(|world| {
                for cpu in ["0", "1"] {
                    world.samples(
                        "node_cpu_seconds_total",
                        &[("cpu", cpu), ("mode", "idle")],
                        own,
                        HOUR,
                        |_| 5.0,
                    );
                }
                world.samples("node_load5", &[], own, HOUR, |_| 12.0);
            }),
        ),
        ("host_memory_low", Severity::Major, flat("node_memory_MemAvailable_bytes", &[], 0.2 * gib)),
        (
            "filesystem_space_low",
            Severity::Critical,
            Box::new(|world| {
                world.samples("node_filesystem_avail_bytes", &root, own, HOUR, |_| gib);
            }),
        ),
        (
            "filesystem_full_soon",
            Severity::Warning,
            Box::new(|world| {
                world.samples("node_filesystem_avail_bytes", &root, own, (-6 * 3600, 3600, 300), |s| {
                    20.0 * gib - (s + 21600) as f64 * 0.0005 * gib
                });
            }),
        ),
        (
            "filesystem_inodes_low",
            Severity::Major,
            Box::new(|world| {
                world.samples("node_filesystem_files_free", &root, own, HOUR, |_| 1e4);
            }),
        ),
        (
            "filesystem_read_only",
            Severity::Major,
            Box::new(|world| {
                world.samples("node_filesystem_readonly", &root, own, HOUR, |_| 1.0);
            }),
        ),
        (
            "host_memory_pressure",
            Severity::Major,
            Box::new(|world| {
                world.samples("node_pressure_memory_stalled_seconds_total", &[], own, HOUR, |s| {
                    s as f64 * 0.5
                });
            }),
        ),
        (
            "host_io_pressure",
            Severity::Warning,
            Box::new(|world| {
                world.samples("node_pressure_io_stalled_seconds_total", &[], own, HOUR, |s| s as f64 * 0.7);
            }),
        ),
        ("host_file_descriptors_low", Severity::Warning, flat("node_filefd_allocated", &[], 9e5)),
        ("host_clock_skew", Severity::Warning, flat("node_timex_offset_seconds", &[], -0.4)),
        (
            "network_receive_errors",
            Severity::Warning,
            Box::new(|world| {
                world.samples("node_network_receive_errs_total", &eth, own, HOUR, |s| s as f64 * 5.0);
            }),
        ),
        (
            "network_transmit_errors",
            Severity::Warning,
            Box::new(|world| {
                world.samples("node_network_transmit_errs_total", &eth, own, HOUR, |s| s as f64 * 5.0);
            }),
        ),
        (
            "network_interface_down",
            Severity::Major,
            change(
                "eth9",
                "network.interface",
                ChangeKind::Attribute(attr::NETWORK_INTERFACE_STATE),
                false,
                "down",
            ),
        ),
        (
            "service_disappeared",
            Severity::Warning,
            change("nginx", "service", ChangeKind::Retired, true, "down"),
        ),
        (
            "process_restarts",
            Severity::Major,
            Box::new(|world| {
                world.samples(
                    "node_systemd_service_restart_total",
                    &[("name", "a.service")],
                    own,
                    HOUR,
                    |s| s as f64 / 60.0,
                );
            }),
        ),
        (
            "systemd_unit_failed",
            Severity::Major,
            flat(
                "node_systemd_unit_state",
                &[("name", "ssh.service"), ("state", "failed"), ("type", "simple")],
                1.0,
            ),
        ),
        (
            "unit_failed",
            Severity::Major,
            Box::new(|world| {
                let item = world.cis.get_mut(&ci("ssh.service")).unwrap();
                item.attributes.insert(attr::SYSTEMD_ACTIVE_STATE, "failed".into());
            }),
        ),
        (
            "host_silent",
            Severity::Critical,
            Box::new(|world| {
                world.cis.get_mut(&ci("dev")).unwrap().last_seen = at(1000);
            }),
        ),
        (
            "collector_failing",
            Severity::Warning,
            Box::new(|world| {
                for (outcome, each) in [("ok", 0.0), ("error", 1.0)] {
                    let labels = [("collector", "host"), ("outcome", outcome)];
                    world.samples("itom_collect_runs_total", &labels, None, HOUR, |s| s as f64 / 60.0 * each);
                }
            }),
        ),
        (
            "collector_silent",
            Severity::Warning,
            Box::new(|world| {
                let labels = [("collector", "gone"), ("outcome", "ok")];
                world.samples("itom_collect_runs_total", &labels, None, (0, 1200, 60), |s| s as f64);
            }),
        ),
    ];
    let names: Vec<&str> = cases.iter().map(|(name, ..)| *name).collect();
    for rule in default_rules() {
        assert!(names.contains(&rule.name.as_str()), "rule {} has no test that it fires", rule.name);
    }
    for (name, severity, break_it) in cases {
        let mut world = healthy();
        break_it(&mut world);
        assert_eq!(worst(&pack(name), &world, 3600), Some(severity), "{name}");
    }
}
