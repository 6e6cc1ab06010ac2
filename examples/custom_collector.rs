//! Watches folders of backups: each folder is an item, its newest file's age and size are metrics, and a rule says when a
//! backup is overdue.
//!
//! `cargo run --release --example custom_collector -- /var/backups --overdue 1d`

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use itom::alert::notify::LogNotifier;
use itom::alert::rule::{Compare, Condition, Level, Query, Reduce};
use itom::core::{ErrorChain, ErrorKind, Selector};
use itom::prelude::*;

/// A user's own collector: everything between here and `main` is what one writes.
#[derive(Debug)]
struct Backups {
    folder: PathBuf,
    every: Duration,
}

#[async_trait]
impl Collector for Backups {
    fn descriptor(&self) -> Descriptor {
        Descriptor::new("backups").every(self.every)
    }

    async fn collect(&self, cx: &CollectContext, batch: &mut Batch) -> Result<Coverage, CollectError> {
        let what = self.folder.display().to_string();
        let entries =
            std::fs::read_dir(&self.folder).map_err(|error| CollectError::io(what.clone(), error))?;
        for entry in entries.flatten() {
            cx.checkpoint().await?;
            let (Ok(name), Ok(meta)) = (entry.file_name().into_string(), entry.metadata()) else {
                batch.fault(what.as_str(), ErrorKind::Invalid, "a file name or its facts cannot be read");
                continue;
            };
            let age = meta.modified().ok().and_then(|at| at.elapsed().ok()).unwrap_or_default();
            let labels = Labels::from_pairs([("backup", name.as_str())]).unwrap_or_default();
            batch.ci(name.as_str(), BACKUP).attr(attr::NAME, name.as_str()).attr(attr::SIZE, meta.len());
            batch.gauge(AGE, age.as_secs_f64()).labels(labels).on(name.as_str());
        }
        Ok(Coverage::new().complete(Scope::cis(BACKUP)))
    }
}

const BACKUP: CiKind = CiKind::literal("backup");
const AGE: MetricName = MetricName::literal("backup_age_seconds");

/// Watches a folder of backups and says which are overdue.
#[derive(Debug, Parser)]
struct Args {
    /// The folder: each entry is one backup.
    folder: PathBuf,
    /// How old a backup may be, such as 1d or 36h.
    #[arg(long, default_value = "1d", value_parser = itom::core::time::parse_duration)]
    overdue: Duration,
    /// How often the folder is read.
    #[arg(long, value_name = "SPAN", default_value = "60s", value_parser = itom::core::time::parse_duration)]
    every: Duration,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if let Err(error) = run(Args::parse()).await {
        eprintln!("custom_collector: {}", ErrorChain(error.as_ref()));
        std::process::exit(1);
    }
}

async fn run(args: Args) -> Result<(), Box<dyn std::error::Error>> {
    std::fs::read_dir(&args.folder)
        .map_err(|error| format!("cannot read the folder {}: {error}", args.folder.display()))?;
    let age = Query::new(Selector::new(AGE), Reduce::Last, Duration::from_secs(300));
    let level = Level::new(Severity::Major, Compare::Above, args.overdue.as_secs_f64());
    let overdue = Rule::new("backup-overdue", Condition::threshold(age, [level]))
        .every(args.every)
        .summary("the backup {{ci.name}} is {{value.duration}} old");
    let engine = Engine::builder()
        .collector(Backups { folder: args.folder, every: args.every })
        .rule(overdue)
        .notifier("terminal", LogNotifier::new("terminal", std::io::stdout()))
        .build()?;
    eprintln!("watching; Ctrl-C ends");
    engine
        .run(async {
            // An error here means that signals cannot be had: then there is nothing to wait for.
            let _ = tokio::signal::ctrl_c().await;
        })
        .await?;
    Ok(())
}
