//! The machine itself: what it is, what it consists of, how it does.

mod facts;
mod inventory;
mod links;
mod metrics;
mod netlink;
mod output;
mod parse;
mod scan;
mod storage;
#[cfg(test)]
pub(crate) mod tests;
mod virtualization;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use itom_core::{Batch, Coverage, Realm, kind};

use self::facts::Facts;
use self::output::{Output, Series};
use super::identity::host_of;
use super::read::Reader;
use crate::{CollectContext, CollectError, Collector, Descriptor};

/// Reads the Linux machine it runs on, without privileges as far as that goes: `/proc`, `/sys` and rtnetlink.
///
/// Items: the host (`host`, with machine-id, SMBIOS and MAC keys), its interfaces (`if:eth0`), disks (`disk:sda`), file
/// systems (`fs:/var`) and the subnets it is attached to (`net:192.0.2.0/24`), with `contains`, `stored_on`,
/// `attached_to`, `routes_via` and `neighbor_of` relations. Samples have node_exporter's metric names, labels and units,
/// so that published rules and dashboards apply.
///
/// What cannot be read is a [fault](Batch::fault), one line each, and keeps its scope from being complete; what the
/// machine does not have (no sensors, no pressure accounting) is not a fault. Network and user-space file systems are
/// listed but never asked for their size, because a dead server would hang the run; see
/// [`with_remote_file_systems`](Self::with_remote_file_systems).
///
/// Metrics change each second and inventory seldom: add one collector of each
/// [`metrics_only`](Self::metrics_only) and [`inventory_only`](Self::inventory_only) to run them at their own pace.
///
/// ```
/// use std::sync::Arc;
/// use itom_collect::linux::HostCollector;
/// use itom_collect::{Cancel, CollectContext, Collector};
/// use itom_core::{Batch, SourceName, Timestamp, VirtualClock, kind};
///
/// let clock = Arc::new(VirtualClock::new(Timestamp::from_secs(1_700_000_000)));
/// let context = CollectContext::new(clock, Timestamp::MAX, Cancel::new());
/// let mut batch = Batch::new(SourceName::literal("host"), context.now());
/// let coverage = futures::executor::block_on(HostCollector::new().collect(&context, &mut batch))?;
/// assert!(coverage.covers_ci(&kind::HOST_LINUX, None));
/// # Ok::<(), itom_collect::CollectError>(())
/// ```
#[derive(Debug)]
pub struct HostCollector {
    root: PathBuf,
    part: Part,
    realm: Realm,
    remote: Remote,
    /// Taken out for a run and put back after it: a dropped run leaves it empty, and the next one fills it again.
    state: Mutex<Option<State>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Both,
    Metrics,
    Inventory,
}

/// What to do about file systems that another machine or a user's program serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remote {
    Skip,
    Ask,
}

/// What is kept between runs: buffers, label sets, and what cannot change within a boot.
#[derive(Debug)]
struct State {
    boot_id: String,
    reader: Reader,
    series: Series,
    facts: Option<Facts>,
}

impl HostCollector {
    /// Of this machine: metrics and inventory.
    #[must_use]
    pub fn new() -> Self {
        Self {
            root: PathBuf::from("/"),
            part: Part::Both,
            realm: Realm::GLOBAL,
            remote: Remote::Skip,
            state: Mutex::new(None),
        }
    }

    /// Of this machine: samples only, cheap enough for every few seconds. The subjects of the samples are keys that the
    /// items of [`inventory_only`](Self::inventory_only) carry, since native ids mean something in one source only.
    #[must_use]
    pub fn metrics_only() -> Self {
        Self { part: Part::Metrics, ..Self::new() }
    }

    /// Of this machine: items and relations only, for every few minutes.
    #[must_use]
    pub fn inventory_only() -> Self {
        Self { part: Part::Inventory, ..Self::new() }
    }

    /// Reads the tree at `root` instead of `/`: the host's file systems mounted into a container, or a recorded machine.
    /// Addresses and routes then come from its `/proc/net`, not from rtnetlink.
    #[must_use]
    pub fn with_root(self, root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), state: Mutex::new(None), ..self }
    }

    /// Says in which address space this machine's IP addresses and subnets are unique: a site or VRF, when several use
    /// the same private prefixes.
    #[must_use]
    pub fn in_realm(self, realm: Realm) -> Self {
        Self { realm, ..self }
    }

    /// Also asks network and user-space file systems (NFS, CIFS, FUSE) for their size. When a server is gone the kernel
    /// may hold the asking thread for as long as it is gone, beyond any timeout.
    #[must_use]
    pub fn with_remote_file_systems(self) -> Self {
        Self { remote: Remote::Ask, ..self }
    }

    /// Whether this is the machine we run on, so that system calls and netlink speak of the same one as the files.
    fn is_live(&self) -> bool {
        self.root == Path::new("/")
    }

    fn take_state(&self) -> Result<State, CollectError> {
        let kept = self.state.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut reader = Reader::new(&self.root);
        // Where there is no boot id (a fixture without one) caches live as long as the collector.
        let boot_id = reader.line("proc/sys/kernel/random/boot_id").unwrap_or_default();
        match kept {
            Some(state) if state.boot_id == boot_id => Ok(state),
            _ => {
                let series = match self.part {
                    Part::Metrics => Series::named_by_keys(&host_of(None, &self.root)?),
                    Part::Both | Part::Inventory => Series::named_natively(),
                };
                Ok(State { boot_id, reader, series, facts: None })
            }
        }
    }

    async fn collect_metrics(
        &self,
        cx: &CollectContext,
        state: &mut State,
        batch: &mut Batch,
    ) -> Result<(), CollectError> {
        let State { reader, series, .. } = state;
        metrics::machine::collect(reader, &mut Output { batch, series }, cx.now(), self.is_live());
        cx.checkpoint().await?;
        metrics::network::collect(reader, &mut Output { batch, series });
        cx.checkpoint().await?;
        metrics::storage::collect(reader, &mut Output { batch, series }, self.remote);
        metrics::sensors::collect(reader, &mut Output { batch, series });
        cx.checkpoint().await
    }

    async fn collect_inventory(
        &self,
        cx: &CollectContext,
        state: &mut State,
        batch: &mut Batch,
    ) -> Result<Coverage, CollectError> {
        let State { reader, facts, boot_id, .. } = state;
        let known = match facts.take() {
            Some(known) => known,
            None => Facts::read(reader, self.is_live(), host_of(None, &self.root)?),
        };
        cx.checkpoint().await?;
        let network = links::Network::read(reader, batch, self.is_live());
        cx.checkpoint().await?;
        let mut coverage = Coverage::new();
        let seen = inventory::Seen { facts: &known, boot_id, network: &network, realm: &self.realm };
        inventory::host(reader, batch, &seen, &mut coverage);
        links::report(batch, &seen, &mut coverage);
        cx.checkpoint().await?;
        storage::report(reader, batch, &seen, &mut coverage);
        *facts = Some(known).filter(Facts::is_settled);
        Ok(coverage)
    }
}

impl Default for HostCollector {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Collector for HostCollector {
    fn descriptor(&self) -> Descriptor {
        let (name, every) = match self.part {
            Part::Both => ("host", Duration::from_secs(60)),
            Part::Metrics => ("host-metrics", Duration::from_secs(15)),
            Part::Inventory => ("host-inventory", Duration::from_secs(300)),
        };
        let descriptor = Descriptor::new(name).every(every).timeout(Duration::from_secs(10));
        if self.part == Part::Metrics {
            return descriptor;
        }
        [kind::HOST_LINUX, kind::NETWORK_INTERFACE, kind::NETWORK_SUBNET, kind::DISK, kind::FILESYSTEM]
            .into_iter()
            .fold(descriptor, Descriptor::emits)
    }

    async fn collect(&self, cx: &CollectContext, batch: &mut Batch) -> Result<Coverage, CollectError> {
        cx.check()?;
        if let Err(error) = std::fs::metadata(self.root.join("proc")) {
            return Err(CollectError::io(self.root.join("proc").display().to_string(), error));
        }
        let mut state = self.take_state()?;
        let mut coverage = Coverage::new();
        if self.part != Part::Inventory {
            self.collect_metrics(cx, &mut state, batch).await?;
        }
        if self.part != Part::Metrics {
            coverage = self.collect_inventory(cx, &mut state, batch).await?;
        }
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
        Ok(coverage)
    }
}
