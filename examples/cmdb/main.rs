//! A configuration database in one file: discover, import, ask, compare, check, export.
//!
//! ```sh
//! cargo run --release --example cmdb -- discover          # this machine, into cmdb.db
//! cargo run --release --example cmdb -- list --kind service
//! cargo run --release --example cmdb -- impact postgresql
//! ```

mod ask;
mod check;
mod estate;
mod export;
mod failure;
mod import;
mod past;
mod print;
mod risk;
mod rules;
mod service;
mod take;

use std::error::Error;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use itom::collect::tls::TlsEndpoint;
use itom::core::{ErrorChain, Timestamp};

use estate::Estate;
use print::Output;

/// A configuration database in one file.
#[derive(Debug, Parser)]
#[command(name = "cmdb", version)]
struct Args {
    /// The file that holds the facts; it is made when something is taken in.
    #[arg(long, value_name = "FILE", default_value = "cmdb.db", global = true)]
    db: PathBuf,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    /// Look at the estate as it was at a time: RFC 3339, or a span ago such as `2h`.
    #[arg(long, value_name = "TIME", global = true, value_parser = past::parse_time)]
    at: Option<past::Moment>,
    /// As it was known at this time; as it is known now if not given.
    #[arg(long, value_name = "TIME", global = true, value_parser = past::parse_time)]
    known_at: Option<past::Moment>,
    /// Derive by the rules of this file (JSON or YAML), not by the default pack.
    #[arg(long, value_name = "FILE", global = true)]
    rules: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look at this machine and keep what was found.
    Discover {
        /// Also read the certificate that a server presents here. May be given several times.
        #[arg(long, value_name = "HOST:PORT")]
        tls: Vec<TlsEndpoint>,
    },
    /// Take in files that other tools wrote.
    Import(import::Import),
    /// List items.
    List(ask::List),
    /// Everything about one item: attributes with who says so and who says otherwise, relations, policies.
    Show {
        /// Name or id.
        item: String,
        /// Every relation, however many alike there are.
        #[arg(long)]
        all: bool,
    },
    /// Why an item is one item, or whether and why two are the same.
    Explain {
        /// Name or id.
        item: String,
        /// Another one.
        other: Option<String>,
    },
    /// What breaks when items fail together.
    Impact {
        /// Names or ids.
        #[arg(required = true)]
        items: Vec<String>,
        /// Every item, however many of a kind there are.
        #[arg(long)]
        all: bool,
    },
    /// What brings an item down alone; without an item, every service that has such points.
    Spof {
        /// Name or id.
        item: Option<String>,
    },
    /// Try a change before it is made: what it would break, and which single points of failure it adds or removes.
    Simulate(failure::Simulate),
    /// How risky changes are, highest first, and why.
    Risk(risk::Risk),
    /// What a service consists of, from an entry, from tags, from traffic, and from what people decided.
    ServiceMap(service::Service),
    /// What changed between two times.
    Diff(past::Diff),
    /// Everything any source said about an attribute of an item.
    History {
        /// Name or id.
        item: String,
        /// The attribute, such as `os.version`.
        attribute: String,
    },
    /// Name the present state, to compare with later.
    Baseline {
        /// What to call it; without a name, the baselines there are.
        name: Option<String>,
        /// Who sets it.
        #[arg(long, default_value = "unknown")]
        owner: String,
    },
    /// What is no longer as a baseline, with owners and causes.
    Drift(past::DriftArgs),
    /// Judge policies.
    Check(check::Check),
    /// How good the data is, with what would mend it.
    Health {
        /// How many items each measure lists.
        #[arg(long, default_value_t = 5)]
        list: usize,
    },
    /// Write a map or a table of it all.
    Export(export::Export),
    /// Print the rules that everything is derived by, to copy and change; apply others with --rules.
    Rules(rules::Rules),
    /// Try other rules on the recorded facts: what would be joined, parted, believed otherwise.
    Trial(rules::TrialArgs),
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let args = Args::parse();
    match run(args).await {
        Ok(code) => std::process::exit(code),
        Err(error) => {
            eprintln!("cmdb: {}", ErrorChain(error.as_ref()));
            std::process::exit(2);
        }
    }
}

/// The exit code: 0 when all is well, 1 when what was asked found something wrong.
async fn run(args: Args) -> Result<i32, Box<dyn Error>> {
    let out = Output::new(args.json);
    let now = estate::now();
    let set = itom_examples::ruleset::load(args.rules.as_deref())?;
    match &args.command {
        Command::Discover { tls } => return take::discover(&args.db, &set, tls, out).await,
        Command::Import(import) => return import::run(&args.db, &set, import, out).await,
        Command::Rules(own) => return rules::rules(&set, own, out),
        _ => {}
    }
    let estate = Estate::open(&args.db, set, now).await?;
    let known: Timestamp = args.known_at.map_or(now, |moment| moment.at(now));
    let shown = match args.at {
        Some(moment) => estate.at(moment.at(now), known)?,
        None if args.known_at.is_some() => estate.at(known, known)?,
        None => estate,
    };
    match &args.command {
        Command::Discover { .. } | Command::Import(_) | Command::Rules(_) => Ok(0),
        Command::List(list) => ask::list(&shown, list, out),
        Command::Show { item, all } => ask::show(&shown, item, *all, out),
        Command::Explain { item, other } => ask::explain(&shown, item, other.as_deref(), out),
        Command::Impact { items, all } => failure::impact(&shown, items, *all, out),
        Command::Spof { item } => failure::spof(&shown, item.as_deref(), out),
        Command::Simulate(change) => failure::simulate(&shown, change, out),
        Command::Risk(asked) => risk::risk(&shown, asked, out),
        Command::ServiceMap(asked) => service::map(&shown, asked, out),
        Command::Diff(diff) => past::diff(&shown, diff, out),
        Command::History { item, attribute } => past::history(&shown, item, attribute, out),
        Command::Baseline { name, owner } => past::baseline(&shown, &args.db, name.as_deref(), owner, out),
        Command::Drift(drift) => past::drift(&shown, &args.db, drift, out),
        Command::Check(check) => check::check(&shown, check, out),
        Command::Health { list } => check::health(&shown, *list, out),
        Command::Export(own) => export::export(&shown, own),
        Command::Trial(own) => rules::trial(&shown, own, out),
    }
}
