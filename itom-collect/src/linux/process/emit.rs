//! Processes and containers as observations.

use std::collections::BTreeSet;

use itom_core::{
    AttrName, Batch, Key, LabelName, Labels, MetricName, Realm, Strength, Timestamp, Value, attr, key_kind,
    kind, relation,
};

use super::table::TICKS_PER_SECOND;
use super::{Arguments, Process, ProcessTable, redact};

const PROCESS_PID_NAMESPACE: AttrName = AttrName::literal("process.pid_namespace");
const K8S_POD_UID: AttrName = AttrName::literal("k8s.pod.uid");

impl ProcessTable {
    /// What stays the same process wherever it is looked at from: the boot, the process's own pid namespace, its pid in
    /// that, and its start. `None` when the kernel does not tell.
    pub(crate) fn key(&self, process: &Process) -> Option<Key> {
        let boot = self.boot_id.as_deref()?;
        let (namespace, pid) = match process.pid_namespace {
            Some(namespace) => (namespace, process.inner_pid),
            None => (self.own_pid_namespace.unwrap_or(0), process.pid),
        };
        let value = format!("{boot}:{namespace}:{pid}:{}", process.start_ticks);
        Key::new(key_kind::PROCESS, Realm::GLOBAL, &value, Strength::Issued).ok()
    }

    fn started(&self, process: &Process) -> Option<Timestamp> {
        let micros = i64::try_from(process.start_ticks.checked_mul(1_000_000 / TICKS_PER_SECOND)?).ok()?;
        Some(Timestamp::from_micros(self.boot_time?.checked_mul(1_000_000)?.checked_add(micros)?))
    }
}

/// Pushes processes with their relations, and the containers they are in.
pub(crate) fn processes(
    batch: &mut Batch,
    table: &ProcessTable,
    chosen: &BTreeSet<u32>,
    host: &Key,
    arguments: Arguments,
    partition: &'static str,
) {
    let mut containers = BTreeSet::new();
    for process in chosen.iter().filter_map(|pid| table.processes.get(pid)) {
        let id = process.native_id();
        let ci = batch.ci(id.as_str(), kind::PROCESS);
        if let Some(key) = table.key(process) {
            ci.key(key);
        }
        ci.within(partition)
            .attr(attr::PROCESS_PID, process.pid)
            .attr(attr::PROCESS_PARENT_PID, process.parent)
            .attr(attr::PROCESS_EXECUTABLE_NAME, process.executable_name())
            .attr(attr::PROCESS_EXECUTABLE_PATH, process.executable.clone())
            .attr(attr::PROCESS_COMMAND_LINE, redact::redact(&process.arguments, arguments))
            .attr(attr::PROCESS_OWNER, owner(table, process))
            .attr(attr::PROCESS_CREATION_TIME, table.started(process))
            .attr_opt(attr::PROCESS_LINUX_CGROUP, process.cgroup.path.clone())
            .attr_opt(attr::SYSTEMD_UNIT, process.cgroup.unit.clone())
            .attr_opt(K8S_POD_UID, process.cgroup.pod_uid.clone())
            .attr_opt(
                attr::CONTAINER_ID,
                process.cgroup.container.as_ref().map(|container| container.id.clone()),
            )
            .attr_opt(attr::NETWORK_NAMESPACE, process.net_namespace)
            .attr_opt(PROCESS_PID_NAMESPACE, process.pid_namespace);
        batch.relation(relation::RUNS_ON, id.as_str(), host.clone()).within(partition);
        if chosen.contains(&process.parent)
            && let Some(parent) = table.processes.get(&process.parent)
        {
            batch.relation(relation::CHILD_OF, id.as_str(), parent.native_id()).within(partition);
        }
        if let Some(container) = &process.cgroup.container {
            let subject = format!("container:{}", container.id);
            batch.relation(relation::RUNS_ON, id, subject.as_str()).within(partition);
            if containers.insert(container.id.clone()) {
                let ci = batch.ci(subject.as_str(), kind::CONTAINER);
                let realm = Realm::new(format!("host:{}", host.value())).unwrap_or_default();
                // LXC names are unique on their host only; ids are unique everywhere.
                let key =
                    Key::new(key_kind::CONTAINER_ID, Realm::GLOBAL, &container.id, Strength::Issued).ok();
                let named = container.runtime.as_deref() == Some("lxc");
                ci.within(partition)
                    .attr(attr::CONTAINER_ID, container.id.clone())
                    .attr(attr::CONTAINER_RUNTIME_NAME, container.runtime.clone())
                    .attr_opt(K8S_POD_UID, process.cgroup.pod_uid.clone());
                if let Some(key) = key {
                    ci.key(if named { key.in_realm(realm) } else { key });
                }
                batch.relation(relation::RUNS_ON, subject, host.clone()).within(partition);
            }
        }
    }
}

fn owner(table: &ProcessTable, process: &Process) -> Value {
    let Some(uid) = process.uid else { return Value::Unknown };
    // In a container the same number may be another user; the number is then all there is to say.
    let named = process.cgroup.container.is_none().then(|| table.users.get(&uid).cloned()).flatten();
    named.map_or_else(|| Value::from(uid.to_string()), Value::from)
}

/// Pushes the samples of processes, with the names of the Prometheus process collectors.
pub(crate) fn samples<'a>(
    batch: &mut Batch,
    table: &ProcessTable,
    chosen: impl IntoIterator<Item = &'a Process>,
) {
    for process in chosen {
        let labels = Labels::empty()
            .to_builder()
            .set(LabelName::literal("pid"), process.pid.to_string())
            .set(LabelName::literal("process_executable_name"), process.executable_name())
            .build();
        let id = process.native_id();
        let started = table.started(process).map(Timestamp::as_secs_f64);
        let cpu = process.cpu_ticks as f64 / TICKS_PER_SECOND as f64;
        batch
            .counter(MetricName::literal("process_cpu_seconds_total"), cpu)
            .labels(labels.clone())
            .on(id.as_str());
        let gauges = [
            ("process_resident_memory_bytes", process.resident_bytes.map(|bytes| bytes as f64)),
            ("process_virtual_memory_bytes", Some(process.virtual_bytes as f64)),
            ("process_open_fds", process.open_fds.map(|count| count as f64)),
            ("process_threads", Some(f64::from(process.threads))),
            ("process_start_time_seconds", started),
        ];
        for (name, value) in gauges {
            if let Some(value) = value {
                batch.gauge(MetricName::literal(name), value).labels(labels.clone()).on(id.as_str());
            }
        }
        if let Some((read, written)) = process.storage {
            let name = MetricName::literal("process_io_storage_read_bytes_total");
            batch.counter(name, read as f64).labels(labels.clone()).on(id.as_str());
            let name = MetricName::literal("process_io_storage_written_bytes_total");
            batch.counter(name, written as f64).labels(labels.clone()).on(id.as_str());
        }
    }
}
