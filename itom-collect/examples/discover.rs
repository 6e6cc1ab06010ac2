//! Prints what serves on this machine and what it depends on, as JSON: one batch a line.
//!
//! `discover [--host-key NAME] [--rounds N] [--every SECONDS]`

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use itom_collect::linux::service::ServiceCollector;
use itom_collect::{Cancel, CollectContext, Collector};
use itom_core::{Batch, Clock, Key, SourceName, SystemClock};

fn main() -> Result<(), Box<dyn Error>> {
    let mut collector = ServiceCollector::new();
    let (mut rounds, mut every) = (1_u32, 5_u64);
    let mut arguments = std::env::args().skip(1);
    while let Some(option) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{option} needs a value"))?;
        match option.as_str() {
            "--host-key" => collector = collector.with_host_key(Key::host_name(&value)),
            "--rounds" => rounds = value.parse()?,
            "--every" => every = value.parse()?,
            other => return Err(format!("unknown option {other}").into()),
        }
    }
    let clock = Arc::new(SystemClock::new());
    for round in 0..rounds {
        let now = clock.now();
        let cx = CollectContext::new(clock.clone(), now + Duration::from_secs(30), Cancel::new());
        let mut batch = Batch::new(SourceName::new("discover")?, now);
        let coverage = futures::executor::block_on(collector.collect(&cx, &mut batch))?;
        batch.finish(coverage);
        eprintln!("round {round}: {} observations in {:?}", batch.items().len(), clock.now().since(now));
        println!("{}", serde_json::to_string(&batch)?);
        if round + 1 < rounds {
            futures::executor::block_on(clock.sleep_until(now + Duration::from_secs(every)));
        }
    }
    Ok(())
}
