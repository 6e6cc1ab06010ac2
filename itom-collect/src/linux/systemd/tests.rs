use std::sync::Arc;

use futures::executor::block_on;
use itom_core::{
    Batch, Clock as _, ErrorKind, Key, Observation, SourceName, Subject, SystemClock, Value, attr, kind,
    relation,
};
use proptest::prelude::*;

use super::unit::{Unit, units};
use super::*;
use crate::linux::command::tests::TestRoot;
use crate::testing::CollectorCheck;
use crate::{Outcome, RunReport, RunSpec, run_collector};

const OUTPUT: &str = "\
Type=notify
Result=success
NRestarts=3
MainPID=4242
Id=ssh.service
Description=OpenBSD Secure Shell server
LoadState=loaded
ActiveState=active
SubState=running
FragmentPath=/lib/systemd/system/ssh.service
UnitFileState=enabled
TasksCurrent=1
TasksMax=18446744073709551615

Id=auditd.service
LoadState=not-found
ActiveState=inactive
SubState=dead

NConnections=0
NAccepted=12
NRefused=0
Id=systemd-coredump.socket
LoadState=loaded
ActiveState=active
SubState=listening

Id=-.mount
Type=ext4
Where=/
LoadState=loaded
ActiveState=active
SubState=mounted
Description=Root Mount
";

const BOOT_ID: &str = "11111111-2222-3333-4444-555555555555";
const MACHINE_ID: &str = "0123456789abcdef0123456789abcdef";

/// A machine where `systemctl show` prints `output`.
fn machine(output: &str) -> (TestRoot, SystemdCollector) {
    let root = TestRoot::new("systemd");
    root.file("run/systemd/system/.keep", "");
    root.file("etc/machine-id", MACHINE_ID);
    root.file("proc/sys/kernel/random/boot_id", format!("{BOOT_ID}\n"));
    root.file("proc/4242/stat", "4242 (sshd) S 1 42 42 0 -1 1 1 2 3 4 5 6 7 8 20 0 1 0 98765 1000");
    root.file("output", output);
    let body = format!("[ \"$1\" = show ] || exit 9\ncat {}", root.path().join("output").display());
    let systemctl = root.program("systemctl", &body);
    let collector = SystemdCollector::new().with_root(root.path()).with_systemctl(systemctl);
    (root, collector)
}

fn run(collector: &SystemdCollector) -> RunReport {
    let clock = SystemClock::new();
    let deadline = clock.now() + std::time::Duration::from_secs(60);
    block_on(run_collector(collector, RunSpec::new(SourceName::literal("s"), Arc::new(clock), deadline)))
}

fn attribute(batch: &Batch, id: &str, name: &str) -> Option<Value> {
    batch.items().iter().find_map(|item| match item {
        Observation::Ci(ci) if ci.subject.as_str() == id => ci.attributes.get(name).cloned(),
        _ => None,
    })
}

fn value(batch: &Batch, metric: &str, labels: &str) -> Option<f64> {
    batch.items().iter().find_map(|item| match item {
        Observation::Sample(sample)
            if sample.metric.as_str() == metric && sample.labels.to_string() == labels =>
        {
            Some(sample.value)
        }
        _ => None,
    })
}

#[test]
fn units_become_items_relations_and_samples() {
    let (_root, collector) = machine(OUTPUT);
    let report = run(&collector);
    assert_eq!(report.outcome, Outcome::Ok, "{:?}", report.error);
    let batch = &report.batch;
    let ids: Vec<&str> = batch
        .items()
        .iter()
        .filter_map(|item| if let Observation::Ci(ci) = item { Some(ci.subject.as_str()) } else { None })
        .collect();
    assert_eq!(ids, ["unit:ssh.service", "unit:systemd-coredump.socket", "unit:-.mount"]);
    let ssh = |name: &str| attribute(batch, "unit:ssh.service", name);
    assert_eq!(ssh(attr::SYSTEMD_SUB_STATE.as_str()), Some("running".into()));
    assert_eq!(ssh(attr::SYSTEMD_RESTARTS.as_str()), Some(Value::Int(3)));
    assert_eq!(ssh("systemd.type"), Some("notify".into()));
    assert_eq!(attribute(batch, "unit:-.mount", "system.filesystem.mountpoint"), Some("/".into()));

    let host = Subject::Key(Key::machine_id(MACHINE_ID).expect("a machine-id"));
    let on_host = batch.items().iter().filter(
        |item| matches!(item, Observation::Relation(on) if on.kind == relation::RUNS_ON && on.to == host),
    );
    assert_eq!(on_host.count(), 3);
    let managed: Vec<String> = batch
        .items()
        .iter()
        .filter_map(|item| match item {
            Observation::Relation(by) if by.kind == relation::MANAGED_BY => {
                Some(format!("{} by {}", by.from, by.to))
            }
            _ => None,
        })
        .collect();
    // The test's own /proc has no namespaces to see.
    assert_eq!(managed, [format!("process={BOOT_ID}:0:4242:98765 by unit:ssh.service")]);

    let state = "node_systemd_unit_state";
    assert_eq!(value(batch, state, r#"{name="ssh.service",state="active",type="notify"}"#), Some(1.0));
    assert_eq!(value(batch, state, r#"{name="ssh.service",state="failed",type="notify"}"#), Some(0.0));
    assert_eq!(value(batch, state, r#"{name="-.mount",state="active"}"#), None);
    assert_eq!(value(batch, "node_systemd_service_restart_total", r#"{name="ssh.service"}"#), Some(3.0));
    assert_eq!(value(batch, "node_systemd_unit_tasks_max", r#"{name="ssh.service"}"#), None, "no limit");
    let accepted = "node_systemd_socket_accepted_connections_total";
    assert_eq!(value(batch, accepted, r#"{name="systemd-coredump.socket"}"#), Some(12.0));
    assert!(batch.coverage().covers_ci(&kind::UNIT, None));
    assert!(batch.coverage().covers_relation(&relation::MANAGED_BY, None));
}

#[test]
fn garbage_is_a_fault_and_the_rest_is_read() {
    let (_root, collector) = machine(&format!("what is this\n\n{OUTPUT}"));
    let report = run(&collector);
    assert!(attribute(&report.batch, "unit:ssh.service", "name").is_some());
    assert_eq!(report.batch.faults().len(), 1, "{:?}", report.batch.faults());
    assert!(report.batch.faults()[0].what.ends_with(":1"), "{:?}", report.batch.faults());
    assert!(!report.batch.coverage().covers_ci(&kind::UNIT, None));
}

#[test]
fn a_machine_without_systemd_is_unsupported_and_a_failing_systemctl_unavailable() {
    let root = TestRoot::new("systemd");
    let report = run(&SystemdCollector::new().with_root(root.path()));
    assert!(matches!(report.outcome, Outcome::Failed { kind: ErrorKind::Unsupported, .. }), "{report:?}");

    let (root, collector) = machine("");
    let failing = root.program("failing", "echo Failed to connect to bus >&2; exit 1");
    let report = run(&collector.with_systemctl(failing));
    assert!(matches!(report.outcome, Outcome::Failed { kind: ErrorKind::Unavailable, .. }), "{report:?}");
    assert!(report.batch.faults()[0].message.contains("Failed to connect"), "{:?}", report.batch.faults());
}

#[test]
fn a_systemctl_that_hangs_is_cut_off_and_killed() {
    let (root, collector) = machine(OUTPUT);
    let pid_file = root.path().join("pid");
    let hanging = root.program(
        "hanging",
        &format!("echo $$ > {0}.new\nmv {0}.new {0}\nexec sleep 600", pid_file.display()),
    );
    let clock = SystemClock::new();
    let deadline = clock.now() + std::time::Duration::from_secs(2);
    let spec = RunSpec::new(SourceName::literal("s"), Arc::new(clock), deadline);
    let report = block_on(run_collector(&collector.with_systemctl(hanging), spec));
    assert_eq!(report.outcome, Outcome::TimedOut, "{:?}", report.error);
    let pid = std::fs::read_to_string(&pid_file).expect("it ran");
    while std::path::Path::new(&format!("/proc/{}", pid.trim())).exists() {
        std::thread::yield_now();
    }
}

#[test]
fn l11_the_collector_keeps_its_contract() {
    let (_root, collector) = machine(OUTPUT);
    assert_eq!(CollectorCheck::new().still().drops(6).run(|| collector.clone()), Ok(()));
}

fn like_output() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        Just(b"Id=a.service".to_vec()),
        Just(b"MainPID=1".to_vec()),
        Just(b"LoadState=loaded".to_vec()),
        Just(Vec::new()),
        Just(b"no property".to_vec()),
        prop::collection::vec(any::<u8>(), 0..30),
    ];
    prop::collection::vec(line, 0..40).prop_map(|lines| lines.join(&b'\n'))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn l10_any_bytes_into_units(
        bytes in prop_oneof![like_output(), prop::collection::vec(any::<u8>(), 0..2_000)],
    ) {
        let all: Vec<_> = units(&bytes).collect();
        // Each block is a unit or one piece of garbage: nothing vanishes.
        let lines: Vec<bool> = bytes.split(|byte| *byte == b'\n').map(|line| line.trim_ascii().is_empty()).collect();
        let blocks = lines.iter().enumerate().filter(|(index, empty)| !**empty && (*index == 0 || lines[index - 1]));
        prop_assert_eq!(all.len(), blocks.count());
        for unit in all.iter().flatten() {
            prop_assert!(unit.id().is_some());
        }
    }

    #[test]
    fn l10_what_was_printed_is_read_back(names in prop::collection::vec("[a-z@:-]{1,20}", 0..20)) {
        let text: String = names
            .iter()
            .map(|name| format!("Id={name}.service\nDescription=a=b\nUnknown=x\n"))
            .collect::<Vec<_>>()
            .join("\n");
        let read: Vec<Unit> = units(text.as_bytes()).collect::<Result<_, _>>().expect("all good");
        prop_assert_eq!(read.len(), names.len());
        for (unit, name) in read.iter().zip(&names) {
            prop_assert_eq!(unit.id().map(str::to_owned), Some(format!("{name}.service")));
            prop_assert_eq!(unit.get("Description"), Some("a=b"));
        }
    }
}
