//! Discovers the machine it runs on, maps it, watches it, explains it: the SDK's main job as one program.
//!
//! `cargo run --release --example console`, then open http://127.0.0.1:8642.

mod api;
mod args;
mod assets;
mod once;
mod progress;
mod quality;
mod rules;
mod server;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use itom::alert::notify::WebhookNotifier;
use itom::alert::rule::{Rule, default_rules, parse_rules, rules_to_json};
use itom::cmdb::store::SqliteStore;
use itom::collect::Descriptor;
use itom::collect::linux::{HostCollector, PackageCollector, ServiceCollector, SystemdCollector, host_name};
use itom::core::{ErrorChain, Secret, SourceName};
use itom::{Engine, EngineBuilder, FileJournal};

use args::Args;
use itom_examples::guard::Guard;
use itom_examples::ruleset;

#[tokio::main]
async fn main() {
    let args = Args::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn")),
        )
        .init();
    if let Err(error) = run(args).await {
        eprintln!("console: {}", ErrorChain(error.as_ref()));
        std::process::exit(1);
    }
}

async fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let rules = rules(&args)?;
    if args.print_rules {
        println!("{}", rules_to_json(&rules)?);
        return Ok(());
    }
    if args.once || args.map.is_some() {
        args.map.as_deref().map_or(Ok(()), once::check_map)?;
        let engine = collectors(Engine::builder(), &args)?.rules(rules).build()?;
        return once::run(engine, &args).await;
    }
    serve(&args, rules).await
}

fn rules(args: &Args) -> Result<Vec<Rule>, Box<dyn Error>> {
    let Some(path) = &args.rules else { return Ok(default_rules()) };
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read the rules {}: {error}", path.display()))?;
    let rules = parse_rules(&text).map_err(|error| format!("{}: {}", path.display(), ErrorChain(&error)))?;
    Ok(rules)
}

/// Everything this machine can be asked. Numbers are read often, inventories seldom.
fn collectors(builder: EngineBuilder, args: &Args) -> Result<EngineBuilder, Box<dyn Error>> {
    let every = |name: &'static str, every: Duration| Descriptor::new(name).every(every);
    let minutes = |count: u32| args.every * (4 * count);
    Ok(builder
        .instance(host_name())
        .rule_set(ruleset::load(args.rule_set.as_deref())?)
        .collector_as(HostCollector::metrics_only(), every("metrics", args.every))
        .collector_as(HostCollector::inventory_only(), every("host", minutes(1)))
        .collector_as(ServiceCollector::new(), every("service", args.every))
        .collector_as(SystemdCollector::new(), every("systemd", minutes(1)))
        .collector_as(PackageCollector::new(), every("package", minutes(10))))
}

fn data_folder(args: &Args) -> Result<PathBuf, String> {
    let folder = match &args.data {
        Some(folder) => folder.clone(),
        None => {
            let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
            let base = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).or_else(home);
            base.ok_or("neither XDG_DATA_HOME nor HOME is set: give --data DIR or --memory")?.join("itom")
        }
    };
    std::fs::create_dir_all(&folder).map_err(|error| {
        format!("cannot keep history in {}: {error}; give --data DIR or --memory", folder.display())
    })?;
    Ok(folder)
}

fn token(args: &Args) -> Result<Option<Secret>, String> {
    if let Some(path) = &args.token_file {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read the token file {}: {error}", path.display()))?;
        let first = text.lines().next().unwrap_or_default().trim().to_owned();
        return Ok(Some(Secret::new(first)));
    }
    Ok(std::env::var("ITOM_CONSOLE_TOKEN").ok().map(Secret::new))
}

async fn serve(args: &Args, rules: Vec<Rule>) -> Result<(), Box<dyn Error>> {
    let guard = Guard::new(args.listen, &args.allow_hosts, token(args)?)?;
    let mut shown: serde_json::Value = serde_json::from_str(&rules_to_json(&rules)?)?;
    let shown = shown["rules"].take();
    let mut builder = collectors(Engine::builder(), args)?.rules(rules);
    for path in &args.rule_files {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read the rule file {}: {error}", path.display()))?;
        builder = builder.rule_groups(path.display().to_string(), text);
    }
    if args.rule_packs {
        builder = builder.rule_packs(itom::alert::prometheus::packs::ALL.iter().copied());
    }
    for (index, url) in args.webhooks.iter().enumerate() {
        let name = format!("webhook-{}", index + 1);
        let webhook = WebhookNotifier::builder(name.as_str(), url).build();
        let webhook = webhook.map_err(|error| format!("--webhook {url}: {}", ErrorChain(&error)))?;
        builder = builder.notifier(name.as_str(), webhook);
    }
    let mut kept = "memory only".to_owned();
    if !args.memory {
        let folder = data_folder(args)?;
        let file = folder.join("console.db");
        builder =
            builder.store(SqliteStore::open(&file)?).journal(FileJournal::new(folder.join("outbox.jsonl")));
        kept = file.display().to_string();
    }
    let engine = builder.build()?;
    let handle = engine.handle();
    // People look at once: nothing waits for its place in the schedule the first time.
    for collector in handle.status().collectors {
        handle.run_now(&SourceName::new(collector.name)?)?;
    }
    // Bound before the engine starts: an address in use is said at once.
    let listener = tokio::net::TcpListener::bind(args.listen).await.map_err(|error| {
        format!("cannot listen on {}: {error}; choose another with --listen", args.listen)
    })?;
    eprintln!("console: http://{}  (history: {kept}; Ctrl-C ends)", listener.local_addr()?);

    let (stop, stopped) = tokio::sync::watch::channel(false);
    let ended = |mut stopped: tokio::sync::watch::Receiver<bool>| async move {
        // A dropped sender means the end too.
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    let running = tokio::spawn(engine.run(ended(stopped.clone())));
    let progress = tokio::spawn(progress::first_round(handle.clone()));
    let site = server::site(&handle, shown, guard);
    let serving = axum::serve(listener, site).with_graceful_shutdown(ended(stopped));
    let serving = tokio::spawn(async move { serving.await });

    tokio::pin!(running);
    let result = tokio::select! {
        () = interrupted() => None,
        result = &mut running => Some(result),
    };
    progress.abort();
    // Nobody listening any more is as good as told.
    let _ = stop.send(true);
    let summary = match result {
        Some(result) => result??,
        None => {
            eprintln!("console: ending");
            running.await??
        }
    };
    serving.abort();
    eprintln!("console: {} rounds, {} facts", summary.rounds, summary.facts);
    Ok(())
}

/// Completes on Ctrl-C or when the service manager says so.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}
