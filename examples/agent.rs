//! Reads the machine it runs on and writes what it sees as JSON lines, one batch a line: the sending half of an estate
//! in which one engine takes in the batches of many machines.
//!
//! `cargo run --release --example agent -- --for 30s > web-1.jsonl`

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use itom::collect::linux::{HostCollector, PackageCollector, ServiceCollector, SystemdCollector};
use itom::collect::{Collector, RunSpec, run_collector};
use itom::core::{Clock, ErrorChain, SourceName, SystemClock, Timestamp};

/// Reads this machine again and again and writes each batch as one line of JSON.
#[derive(Debug, Parser)]
#[command(name = "agent", version)]
struct Args {
    /// How often.
    #[arg(long, value_name = "SPAN", default_value = "5s", value_parser = itom::core::time::parse_duration)]
    every: Duration,
    /// How long; once if not given.
    #[arg(long = "for", value_name = "SPAN", value_parser = itom::core::time::parse_duration)]
    span: Option<Duration>,
    /// Name of this machine in the batches' source names; the host name if not given.
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
    /// Also read the installed packages and the units of the service manager.
    #[arg(long)]
    inventory: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    match run(Args::parse()).await {
        // A reader that has seen enough is no error.
        Err(error) if error.downcast_ref().is_some_and(gone) => {}
        Err(error) => {
            eprintln!("agent: {}", ErrorChain(error.as_ref()));
            std::process::exit(1);
        }
        Ok(()) => {}
    }
}

fn gone(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::BrokenPipe
}

async fn run(args: Args) -> Result<(), Box<dyn std::error::Error>> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let instance = args.instance.clone().unwrap_or_else(itom::collect::linux::host_name);
    let mut collectors: Vec<Box<dyn Collector>> =
        vec![Box::new(HostCollector::new()), Box::new(ServiceCollector::new())];
    if args.inventory {
        collectors.push(Box::new(PackageCollector::new()));
        collectors.push(Box::new(SystemdCollector::new()));
    }
    let end = clock.now() + args.span.unwrap_or_default();
    loop {
        let round = clock.now();
        for collector in &collectors {
            let descriptor = collector.descriptor();
            let source = SourceName::new(format!("{}@{instance}", descriptor.name))?;
            let deadline: Timestamp = clock.now() + descriptor.timeout;
            let report =
                run_collector(collector.as_ref(), RunSpec::new(source, Arc::clone(&clock), deadline)).await;
            let mut line = serde_json::to_vec(&report.batch)?;
            line.push(b'\n');
            std::io::stdout().lock().write_all(&line)?;
        }
        let next = round + args.every;
        if next >= end {
            return Ok(());
        }
        clock.sleep_until(next).await;
    }
}
