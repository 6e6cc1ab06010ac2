//! The collector.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use itom_core::{
    AttrName, Batch, Coverage, ErrorKind, Key, LabelName, Labels, MetricName, SampleKind, SampleObservation,
    Scope, Text, attr, kind, relation,
};

use super::process::Processes;
use super::unit::{Garbage, PROPERTIES, Unit, units};
use crate::linux::{command, identity};
use crate::{CollectContext, CollectError, Collector, Descriptor};

/// Reads the services, sockets, timers and mounts of systemd: one [`kind::UNIT`] item for each that the manager has
/// loaded (native id `unit:ssh.service`), that it runs on the host, and which process is its main one (that process
/// `managed_by` the unit).
///
/// Attributes: `systemd.unit`, `systemd.load_state`, `systemd.active_state`, `systemd.sub_state`, `systemd.restarts`
/// (services), `systemd.description`, `systemd.fragment_path`, `systemd.unit_file_state`, `systemd.type` (services),
/// `systemd.result`, and `system.filesystem.mountpoint` (mounts).
///
/// Samples are named as node_exporter's systemd collector names them, for loaded units other than mounts:
/// `node_systemd_unit_state{name,state,type}`, `node_systemd_service_restart_total`,
/// `node_systemd_unit_tasks_current`, `node_systemd_unit_tasks_max`, `node_systemd_socket_current_connections`,
/// `node_systemd_socket_accepted_connections_total`, `node_systemd_socket_refused_connections_total`.
///
/// Units that others name but that do not exist (`not-found`) are no items. A machine that systemd does not run is
/// [`CollectError::Unsupported`].
///
/// ```no_run
/// let collector = itom_collect::linux::systemd::SystemdCollector::new();
/// ```
#[derive(Debug, Clone)]
pub struct SystemdCollector {
    root: PathBuf,
    host: Option<Key>,
    target: Option<Text>,
    systemctl: OsString,
}

const DESCRIPTION: AttrName = AttrName::literal("systemd.description");
const FRAGMENT_PATH: AttrName = AttrName::literal("systemd.fragment_path");
const UNIT_FILE_STATE: AttrName = AttrName::literal("systemd.unit_file_state");
const TYPE: AttrName = AttrName::literal("systemd.type");
const RESULT: AttrName = AttrName::literal("systemd.result");

const NAME: LabelName = LabelName::literal("name");
const STATE: LabelName = LabelName::literal("state");
const UNIT_TYPE: LabelName = LabelName::literal("type");

/// Most that `systemctl show` may print: about 600 bytes for each of some 50,000 units.
const MAX_OUTPUT: usize = 32 * 1024 * 1024;
/// After how many units the run looks whether it should stop.
const UNITS_AT_A_TIME: usize = 256;
const ACTIVE_STATES: [&str; 5] = ["active", "activating", "deactivating", "failed", "inactive"];

impl SystemdCollector {
    /// For the machine it runs on.
    #[must_use]
    pub fn new() -> Self {
        Self { root: PathBuf::from("/"), host: None, target: None, systemctl: OsString::from("systemctl") }
    }

    /// Looks for `/run/systemd/system`, `/proc` and the machine-id below another root. `systemctl` still asks the
    /// manager of the machine it runs on.
    #[must_use]
    pub fn with_root(self, root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), ..self }
    }

    /// Sets the key of the host the units run on, instead of the one found on the machine.
    #[must_use]
    pub fn with_host_key(self, key: Key) -> Self {
        Self { host: Some(key), ..self }
    }

    /// Names the machine in the collector's source name (`linux.systemd@web-1`): needed when batches of several
    /// machines come together.
    #[must_use]
    pub fn with_target(self, target: impl Into<Text>) -> Self {
        Self { target: Some(target.into()), ..self }
    }

    /// The `systemctl` program to run, if it is not the one on the path.
    #[must_use]
    pub fn with_systemctl(self, program: impl Into<OsString>) -> Self {
        Self { systemctl: program.into(), ..self }
    }
}

impl Default for SystemdCollector {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Collector for SystemdCollector {
    fn descriptor(&self) -> Descriptor {
        let descriptor = Descriptor::new("linux.systemd").emits(kind::UNIT).timeout(Duration::from_secs(20));
        Descriptor { target: self.target.clone(), ..descriptor }
    }

    async fn collect(&self, cx: &CollectContext, batch: &mut Batch) -> Result<Coverage, CollectError> {
        cx.checkpoint().await?;
        // As sd_booted(3) finds out.
        let marker = self.root.join("run/systemd/system");
        if !marker.is_dir() {
            return Err(CollectError::Unsupported { what: format!("systemd ({})", marker.display()).into() });
        }
        let properties = format!("--property={}", PROPERTIES.join(","));
        let args =
            ["show", "--all", "--no-pager", &properties, "--", "*.service", "*.socket", "*.timer", "*.mount"];
        let what = format!("`{} show`", self.systemctl.display());
        let finished = cx
            .bounded(command::run(OsStr::new(&self.systemctl), args, MAX_OUTPUT))
            .await?
            .map_err(|error| CollectError::io(what.clone(), error))?;

        let mut run = Run::new(self, batch)?;
        if finished.cut {
            run.fault(&what, ErrorKind::Exhausted, format!("it printed more than {MAX_OUTPUT} bytes"));
        } else if !finished.status.success() {
            if finished.stdout.trim_ascii().is_empty() {
                let source = format!("it ended with {}: {}", finished.status, finished.stderr).into();
                return Err(CollectError::Unavailable { what: what.into(), source });
            }
            let message = format!("it ended with {}: {}", finished.status, finished.stderr);
            run.fault(&what, ErrorKind::Unavailable, message);
        }
        let end = if finished.cut { last_whole_block(&finished.stdout) } else { finished.stdout.len() };
        for (index, unit) in units(&finished.stdout[..end]).enumerate() {
            if index % UNITS_AT_A_TIME == 0 {
                cx.checkpoint().await?;
            }
            match unit {
                Ok(unit) => run.push(&unit),
                Err(Garbage { line, reason }) => {
                    let message = format!("the unit at this line is skipped: {reason}");
                    run.fault(&format!("{what}:{line}"), ErrorKind::Invalid, message);
                }
            }
        }
        Ok(run.end())
    }
}

/// Where the last block that is not cut ends.
fn last_whole_block(output: &[u8]) -> usize {
    output.windows(2).rposition(|pair| pair == b"\n\n").unwrap_or(0)
}

/// What one run knows.
struct Run<'a> {
    batch: &'a mut Batch,
    host: Key,
    processes: Option<Processes<'a>>,
    /// Some unit's process is there and could not be read.
    untied: bool,
    seen: BTreeSet<Text>,
    partial: Option<(ErrorKind, String)>,
}

impl<'a> Run<'a> {
    fn new(collector: &'a SystemdCollector, batch: &'a mut Batch) -> Result<Self, CollectError> {
        let host = identity::host_of(collector.host.as_ref(), &collector.root)?;
        let processes = Processes::new(&collector.root);
        if processes.is_none() {
            let path = collector.root.join("proc/sys/kernel/random/boot_id").display().to_string();
            batch.fault(
                path,
                ErrorKind::Unavailable,
                "it cannot be read: units are not tied to their processes",
            );
        }
        Ok(Self { batch, host, processes, untied: false, seen: BTreeSet::new(), partial: None })
    }

    fn fault(&mut self, what: &str, kind: ErrorKind, message: String) {
        if self.partial.is_none() {
            self.partial = Some((kind, format!("{what}: {message}")));
        }
        self.batch.fault(what, kind, message);
    }

    fn push(&mut self, unit: &Unit) {
        let (Some(name), Some(suffix)) = (unit.id(), unit.suffix()) else { return };
        if unit.get("LoadState") == Some("not-found") {
            return;
        }
        let id = Text::from(format!("unit:{name}"));
        // Patterns may overlap: the same unit is listed once for each.
        if !self.seen.insert(id.clone()) {
            return;
        }
        let item = self.batch.ci(id.clone(), kind::UNIT);
        item.attr(attr::NAME, name)
            .attr(attr::SYSTEMD_UNIT, name)
            .attr_opt(attr::SYSTEMD_LOAD_STATE, unit.get("LoadState"))
            .attr_opt(attr::SYSTEMD_ACTIVE_STATE, unit.get("ActiveState"))
            .attr_opt(attr::SYSTEMD_SUB_STATE, unit.get("SubState"))
            .attr_opt(attr::SYSTEMD_RESTARTS, unit.count("NRestarts"))
            .attr_opt(DESCRIPTION, unit.get("Description"))
            .attr_opt(FRAGMENT_PATH, unit.get("FragmentPath"))
            .attr_opt(UNIT_FILE_STATE, unit.get("UnitFileState"))
            .attr_opt(RESULT, unit.get("Result"));
        match suffix {
            "service" => _ = item.attr_opt(TYPE, unit.get("Type")),
            "mount" => _ = item.attr_opt(attr::SYSTEM_FILESYSTEM_MOUNTPOINT, unit.get("Where")),
            _ => {}
        }
        self.batch.relation(relation::RUNS_ON, id.clone(), self.host.clone());
        let main = unit.count("MainPID").filter(|pid| *pid > 0);
        if let (Some(processes), Some(pid)) = (&self.processes, main) {
            match processes.key(pid) {
                Ok(Some(process)) => _ = self.batch.relation(relation::MANAGED_BY, process, id.clone()),
                Ok(None) => {}
                Err(error) => {
                    self.untied = true;
                    let what = "the process of a unit";
                    let message = format!("it cannot be read ({error}): the unit is not tied to it");
                    self.batch.fault(what, ErrorKind::of_io(&error), message);
                }
            }
        }
        if suffix != "mount" && unit.get("LoadState") == Some("loaded") {
            self.samples(unit, name, suffix, &id);
        }
    }

    fn samples(&mut self, unit: &Unit, name: &str, suffix: &str, id: &Text) {
        let own = Labels::empty().to_builder().set(NAME, name).build();
        let service_type = if suffix == "service" { unit.get("Type").unwrap_or("") } else { "" };
        if let Some(active) = unit.get("ActiveState") {
            for state in ACTIVE_STATES {
                let labels =
                    own.to_builder().set(STATE, Text::literal(state)).set(UNIT_TYPE, service_type).build();
                let value = if state == active { 1.0 } else { 0.0 };
                self.sample("node_systemd_unit_state", SampleKind::Gauge, labels, value, id);
            }
        }
        let gauge = SampleKind::Gauge;
        let counter = SampleKind::Counter;
        let metrics: &[(&str, &'static str, SampleKind)] = match suffix {
            "service" => &[
                ("NRestarts", "node_systemd_service_restart_total", counter),
                ("TasksCurrent", "node_systemd_unit_tasks_current", gauge),
                ("TasksMax", "node_systemd_unit_tasks_max", gauge),
            ],
            "socket" => &[
                ("NAccepted", "node_systemd_socket_accepted_connections_total", counter),
                ("NConnections", "node_systemd_socket_current_connections", gauge),
                ("NRefused", "node_systemd_socket_refused_connections_total", counter),
            ],
            _ => &[],
        };
        for (property, metric, kind) in metrics {
            if let Some(value) = unit.count(property) {
                self.sample(metric, *kind, own.clone(), value as f64, id);
            }
        }
    }

    fn sample(&mut self, metric: &'static str, kind: SampleKind, labels: Labels, value: f64, id: &Text) {
        let mut sample = SampleObservation::new(MetricName::literal(metric), kind, value);
        sample.labels(labels).on(id.clone());
        self.batch.sample(sample);
    }

    fn end(self) -> Coverage {
        let mut coverage = Coverage::new();
        let managed = Scope::relations(relation::MANAGED_BY);
        let scopes = [Scope::cis(kind::UNIT), Scope::relations(relation::RUNS_ON), managed.clone()];
        for scope in scopes {
            match &self.partial {
                Some((kind, reason)) => coverage.add_partial(scope, *kind, reason.as_str()),
                None if scope == managed && self.processes.is_none() => {
                    coverage.add_partial(scope, ErrorKind::Unavailable, "the boot id cannot be read");
                }
                None if scope == managed && self.untied => {
                    let reason = "the processes of some units could not be read";
                    coverage.add_partial(scope, ErrorKind::Unavailable, reason);
                }
                None => coverage.add_complete(scope),
            }
        }
        coverage
    }
}
