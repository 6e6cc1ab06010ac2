//! Taking in: this machine.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use itom::cmdb::ruleset::RuleSet;
use itom::cmdb::store::{SqliteStore, Store as _};
use itom::collect::linux::{HostCollector, PackageCollector, ServiceCollector, SystemdCollector};
use itom::collect::tls::{TlsCollector, TlsEndpoint};
use itom::collect::{Collector, RunSpec, run_collector};
use itom::core::{Clock, SourceName, SystemClock};
use serde_json::json;

use crate::estate::load;
use crate::print::{Output, rows, short, table};

/// One source that was looked at.
struct Taken {
    source: String,
    observations: usize,
    new_facts: usize,
    faults: Vec<String>,
}

pub(crate) async fn discover(
    db: &Path,
    rules: &RuleSet,
    tls: &[TlsEndpoint],
    out: Output,
) -> Result<i32, Box<dyn Error>> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store = SqliteStore::open(db)?;
    let mut cmdb = load(&store, rules, clock.now()).await?;
    let instance = itom::collect::linux::host_name();
    let mut collectors: Vec<Box<dyn Collector>> = vec![
        Box::new(HostCollector::new()),
        Box::new(ServiceCollector::new()),
        Box::new(PackageCollector::new()),
        Box::new(SystemdCollector::new()),
    ];
    if !tls.is_empty() {
        collectors.push(Box::new(TlsCollector::new(tls.iter().cloned())));
    }
    let mut taken = Vec::new();
    for collector in &collectors {
        let descriptor = collector.descriptor();
        let source = SourceName::new(format!("{}@{instance}", descriptor.name))?;
        let deadline = clock.now() + descriptor.timeout;
        let spec = RunSpec::new(source.clone(), Arc::clone(&clock), deadline);
        let report = run_collector(collector.as_ref(), spec).await;
        let told = |fault: &itom::core::Fault| format!("{}: {}", fault.what, fault.message);
        let faults: Vec<String> = report.batch.faults().iter().map(told).collect();
        let facts = cmdb.plan(&report.batch, clock.now());
        store.append(&facts).await?;
        taken.push(Taken {
            source: source.to_string(),
            observations: report.batch.items().len(),
            new_facts: cmdb.ingest(facts).new_facts,
            faults,
        });
    }
    tell(&taken, cmdb.view().len(), out)?;
    Ok(0)
}

fn tell(taken: &[Taken], items: usize, out: Output) -> Result<(), Box<dyn Error>> {
    let text = || {
        let mut shown = table(&["source", "observations", "new facts", "could not be read"]);
        for own in taken {
            let faults = own.faults.first().map_or_else(String::new, |first| match own.faults.len() {
                1 => short(first, 80),
                more => format!("{} (and {} more)", short(first, 70), more - 1),
            });
            shown.add_row([
                own.source.clone(),
                own.observations.to_string(),
                own.new_facts.to_string(),
                faults,
            ]);
        }
        format!("{}{items} items\n", rows(&shown, "nothing was taken in"))
    };
    let json = || {
        let taken: Vec<_> = taken
            .iter()
            .map(|own| {
                json!({
                    "source": own.source,
                    "observations": own.observations,
                    "new_facts": own.new_facts,
                    "faults": own.faults,
                })
            })
            .collect();
        json!({ "taken": taken, "items": items })
    };
    out.print(text, json)
}
