//! Taking in: this machine, or files.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use itom::cmdb::store::{SqliteStore, Store as _};
use itom::collect::linux::{HostCollector, PackageCollector, ServiceCollector, SystemdCollector};
use itom::collect::{Collector, RunSpec, run_collector};
use itom::core::{Batch, Clock, SourceName, SystemClock, Timestamp};
use serde_json::json;

use crate::estate::{self, load};
use crate::print::{Output, rows, short, table};

/// Files to take in.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// One thing that was taken in.
struct Taken {
    what: String,
    observations: usize,
    new_facts: usize,
    faults: Vec<String>,
}

pub(crate) async fn discover(db: &Path, out: Output) -> Result<i32, Box<dyn Error>> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store = SqliteStore::open(db)?;
    let mut cmdb = load(&store, clock.now()).await?;
    let instance = itom::collect::linux::host_name();
    let collectors: [Box<dyn Collector>; 4] = [
        Box::new(HostCollector::new()),
        Box::new(ServiceCollector::new()),
        Box::new(PackageCollector::new()),
        Box::new(SystemdCollector::new()),
    ];
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
            what: source.to_string(),
            observations: report.batch.items().len(),
            new_facts: cmdb.ingest(facts).new_facts,
            faults,
        });
    }
    tell(&taken, cmdb.view().len(), out)?;
    Ok(0)
}

pub(crate) async fn import(
    db: &Path,
    import: &Import,
    now: Timestamp,
    out: Output,
) -> Result<i32, Box<dyn Error>> {
    // Everything is read before anything is kept: a bad file changes nothing.
    let mut batches = Vec::new();
    for file in &import.files {
        batches.extend(read(file)?.into_iter().map(|(batch, faults)| (file, batch, faults)));
    }
    let store = SqliteStore::open(db)?;
    let mut cmdb = load(&store, now).await?;
    let mut taken = Vec::new();
    for (file, batch, faults) in batches {
        let facts = cmdb.plan(&batch, estate::now());
        store.append(&facts).await?;
        taken.push(Taken {
            what: format!("{} ({})", file.display(), batch.source()),
            observations: batch.items().len(),
            new_facts: cmdb.ingest(facts).new_facts,
            faults,
        });
    }
    tell(&taken, cmdb.view().len(), out)?;
    Ok(0)
}

/// A batch, with what in its file could not be used.
type Read = (Batch, Vec<String>);

/// The batches of a file.
fn read(file: &Path) -> Result<Vec<Read>, Box<dyn Error>> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut batches = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let batch: Batch = serde_json::from_str(line)
            .map_err(|error| format!("{}, line {}: {error}", file.display(), number + 1))?;
        batches.push((batch, Vec::new()));
    }
    Ok(batches)
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
                own.what.clone(),
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
                    "source": own.what,
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
