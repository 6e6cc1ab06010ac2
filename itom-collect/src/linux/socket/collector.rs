//! The collector of socket counts.

use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;
use itom_core::{Batch, Coverage, Key, LabelName, Labels, MetricName};

use super::{DestroyEvents, Namespaces, SocketSource, SocketTable, Transport};
use crate::linux::identity;
use crate::linux::process::{Faults, ProcessTable};
use crate::{CollectContext, CollectError, Collector, Descriptor};

/// How many sockets the machine has in each state (`node_tcp_connection_states`, as node_exporter's tcpstat collector),
/// and how many connections wait to be accepted (`itom_tcp_accept_queue`, by listening port).
///
/// It reads the namespace it runs in and needs no privileges. Who listens and who depends on whom is told by
/// [`ServiceCollector`](crate::linux::service::ServiceCollector).
#[derive(Debug)]
pub struct SocketCollector {
    source: SocketSource,
    host: Option<Key>,
}

impl Default for SocketCollector {
    fn default() -> Self {
        Self::new()
    }
}

impl SocketCollector {
    /// Reads the machine it runs on.
    #[must_use]
    pub fn new() -> Self {
        let source = SocketSource::new(Path::new("/"), Namespaces::Own, DestroyEvents::Ignore);
        Self { source, host: None }
    }

    /// Sets the key of the host, instead of the one found on the machine.
    #[must_use]
    pub fn with_host_key(self, key: Key) -> Self {
        Self { host: Some(key), ..self }
    }
}

#[async_trait]
impl Collector for SocketCollector {
    fn descriptor(&self) -> Descriptor {
        Descriptor::new("linux.socket")
    }

    async fn collect(&self, cx: &CollectContext, batch: &mut Batch) -> Result<Coverage, CollectError> {
        cx.checkpoint().await?;
        let (mut faults, mut table) = (Faults::default(), SocketTable::default());
        let own = ProcessTable::default();
        for (id, pid) in self.source.wanted(&own, &mut faults) {
            self.source.read(id, pid, &mut table, &mut faults);
        }
        cx.check()?;
        let host = identity::host_of(self.host.as_ref(), Path::new("/"))?;
        let mut states: BTreeMap<&'static str, u64> = BTreeMap::new();
        let mut queues: BTreeMap<u16, u64> = BTreeMap::new();
        for socket in table.sockets.iter().filter(|socket| socket.transport == Transport::Tcp) {
            *states.entry(socket.state.name()).or_default() += 1;
            if socket.listens() {
                *queues.entry(socket.local.port()).or_default() += u64::from(socket.receive_queue);
            }
        }
        let label =
            |name, value: String| Labels::empty().to_builder().set(LabelName::literal(name), value).build();
        for (state, count) in states {
            batch
                .gauge(MetricName::literal("node_tcp_connection_states"), count as f64)
                .labels(label("state", state.to_owned()))
                .on(host.clone());
        }
        for (port, waiting) in queues {
            batch
                .gauge(MetricName::literal("itom_tcp_accept_queue"), waiting as f64)
                .labels(label("port", port.to_string()))
                .on(host.clone());
        }
        faults.report(batch);
        if table.namespaces.values().all(|namespace| namespace.complete) {
            return Ok(Coverage::new());
        }
        Err(CollectError::Unavailable {
            what: "the socket tables of the kernel".into(),
            source: "neither sock_diag nor /proc/net could be read; mount /proc".into(),
        })
    }
}
