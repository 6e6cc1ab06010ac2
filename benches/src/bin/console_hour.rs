//! What the console's engine holds after an hour: every collector on this machine at its usual pace, on a virtual clock.
//!
//! `cargo run --release -p itom-benches --bin console_hour [HOURS]`

use std::collections::BTreeSet;
use std::error::Error;
use std::time::Duration;

use itom::collect::Descriptor;
use itom::collect::linux::{HostCollector, PackageCollector, ServiceCollector};
use itom::core::{Clock as _, SystemClock, VirtualClock};
use itom::metrics::Samples as _;
use itom::{Engine, Simulation};

/// Resident memory of this process in MiB.
fn resident() -> Result<f64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}

fn main() -> Result<(), Box<dyn Error>> {
    let hours: u64 = std::env::args().nth(1).map_or(Ok(1), |text| text.parse())?;
    let start = SystemClock::new().now();
    let clock = VirtualClock::new(start);
    let every = |name: &'static str, secs| Descriptor::new(name).every(Duration::from_secs(secs));
    let engine = Engine::builder()
        .clock(clock.clone())
        .collector_as(HostCollector::metrics_only(), every("metrics", 15))
        .collector_as(HostCollector::inventory_only(), every("host", 60))
        .collector_as(ServiceCollector::new(), every("service", 15))
        .collector_as(PackageCollector::new(), every("package", 600))
        .rules(itom::alert::rule::default_rules())
        .build()?;
    let handle = engine.handle();
    println!("before: {:.1} MiB", resident()?);
    let mut simulation = Simulation::new(clock, engine);
    let mut seen = BTreeSet::new();
    for minute in 0..60 * hours {
        simulation.advance(Duration::from_secs(60));
        if minute == 1 || minute % 15 == 14 {
            let (status, stats) = (handle.status(), handle.samples().stats());
            println!(
                "minute {:3}: {:.1} MiB; {} rounds, {} items, {} facts, {} series, {} samples ({:.1} MiB)",
                minute + 1,
                resident()?,
                status.rounds,
                handle.view().len(),
                status.facts,
                stats.series,
                stats.samples,
                stats.memory_bytes as f64 / 1_048_576.0,
            );
        }
        seen.extend(handle.alerts().iter().filter(|alert| alert.open).map(|alert| alert.alert.rule.clone()));
    }
    println!("alerts that opened: {seen:?}");
    simulation.stop()?;
    Ok(())
}
