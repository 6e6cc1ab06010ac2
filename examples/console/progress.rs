//! What people see while the first round runs. Silent when nobody watches.

use std::io::IsTerminal as _;
use std::time::Duration;

use futures::StreamExt as _;
use indicatif::{ProgressBar, ProgressStyle};
use itom::{Delivery, EngineEvent, EngineHandle};

/// Shows which collectors have been heard of, until all have.
pub(crate) async fn first_round(engine: EngineHandle) {
    let total = engine.status().collectors.len() as u64;
    let mut events = engine.subscribe(64);
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new(total) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{spinner} first round {bar:20} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    loop {
        let done = engine.status().collectors.iter().filter(|collector| collector.runs > 0).count() as u64;
        bar.set_position(done);
        if done >= total {
            break;
        }
        match events.next().await {
            Some(Delivery::Event(EngineEvent::Ingested { source, observations, .. })) => {
                bar.set_message(format!("{source}: {observations} observations"));
            }
            Some(_) => {}
            None => break,
        }
    }
    bar.finish_and_clear();
}
