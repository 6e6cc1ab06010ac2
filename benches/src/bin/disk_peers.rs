//! What a sample costs on disk beside Prometheus and VictoriaMetrics, on the same samples in one run.
//!
//! `cargo run --release -p itom-benches --bin disk_peers [INSTANCES]` makes 100 series for each instance (default 200:
//! 20,000 series) with an hour at 15 s, gives them to all, has each write them compactly, and counts the bytes of its
//! files, indexes among them. Peers that are not installed are left out.

#![expect(
    clippy::disallowed_methods,
    reason = "peers take samples of the last hour only, so the hour ends now"
)]

use std::error::Error;

use itom::core::{MetricName, Timestamp};
use itom::metrics::NewSample;
use itom::metrics::durable::{DurableConfig, DurableStore};
use itom_benches::fleet::Fleet;
use itom_benches::peer::{Peer, Sort};
use itom_benches::process::own_cpu;

type Outcome<T> = Result<T, Box<dyn Error>>;

const STEP: i64 = 15_000;
const SAMPLES: i64 = 240;

fn ours(fleet: &Fleet, start: i64) -> Outcome<f64> {
    let folder = std::env::temp_dir().join(format!("itom-disk-peers-{}", std::process::id()));
    let mut config = DurableConfig::default();
    config.memory.max_memory_bytes = 4 << 30;
    config.memory.max_series = 4_000_000;
    config.memory.max_series_per_metric = 2_000_000;
    let (store, _) = DurableStore::open(&folder, config)?;
    let mut batch = Vec::with_capacity(fleet.len());
    for (metric, labels, kind) in fleet.series() {
        let (metric, at) = (MetricName::new(metric)?, Timestamp::from_millis(start));
        batch.push(NewSample { metric, labels, kind, subject: None, at, value: 0.0 });
    }
    for tick in 0..SAMPLES {
        let at = Timestamp::from_millis(start + tick * STEP);
        for (number, sample) in batch.iter_mut().enumerate() {
            (sample.at, sample.value) = (at, fleet.value(number, tick));
        }
        store.append(at, &batch)?;
    }
    let used = own_cpu().as_secs_f64();
    store.flush()?;
    let used = own_cpu().as_secs_f64() - used;
    let stats = store.stats();
    let bytes = stats.segment_bytes as f64 / stats.segment_samples as f64;
    println!(
        "itom: {bytes:.3} B a sample, {:.3} CPU s a million to write",
        used * 1e6 / stats.segment_samples as f64
    );
    drop(store);
    std::fs::remove_dir_all(&folder)?;
    Ok(bytes)
}

fn main() -> Outcome<()> {
    let instances: usize = std::env::args().nth(1).map_or(Ok(200), |text| text.parse())?;
    // Peers take samples of the last hour only, so the hour ends now.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis();
    let start = i64::try_from(now)? / STEP * STEP - 60_000 - (SAMPLES - 1) * STEP;
    let fleet = Fleet::new(instances);
    println!("{} series, {SAMPLES} samples each", fleet.len());
    let ours = ours(&fleet, start)?;
    for sort in [Sort::Prometheus, Sort::VictoriaMetrics] {
        let Some(mut peer) = Peer::start(sort)? else {
            println!("{sort:?}: not installed, left out");
            continue;
        };
        peer.load(&fleet, start, STEP, SAMPLES)?;
        let theirs = peer.disk_bytes()? as f64 / (fleet.len() as f64 * SAMPLES as f64);
        println!("{}: {theirs:.3} B a sample; itom takes {:.2} of it", peer.name(), ours / theirs);
    }
    Ok(())
}
