//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// Discovers the machine it runs on, maps it, watches it, and shows it.
///
/// Without options: runs until Ctrl-C, keeps its history in the user's data directory and serves a live console on
/// http://127.0.0.1:8642.
#[derive(Debug, Parser)]
#[command(name = "console", version)]
pub(crate) struct Args {
    /// Discover once, print readable tables (or JSON with --json) and exit.
    #[arg(long)]
    pub(crate) once: bool,

    /// With --once: print one JSON document instead of tables.
    #[arg(long, requires = "once")]
    pub(crate) json: bool,

    /// Discover once, write the map to FILE (.html, .svg, .dot, .mmd, .graphml or .json) and exit.
    #[arg(long, value_name = "FILE")]
    pub(crate) map: Option<PathBuf>,

    /// How much the map shows.
    #[arg(long, value_enum, default_value_t = Detail::Services)]
    pub(crate) detail: Detail,

    /// Keep history in DIR instead of the user's data directory.
    #[arg(long, value_name = "DIR", conflicts_with = "memory")]
    pub(crate) data: Option<PathBuf>,

    /// Keep nothing: history ends with the process.
    #[arg(long)]
    pub(crate) memory: bool,

    /// Address and port of the console. Anything but loopback needs a token.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8642")]
    pub(crate) listen: SocketAddr,

    /// File whose first line is the token that readers must present (also: environment ITOM_CONSOLE_TOKEN).
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,

    /// Host name, besides the address, under which browsers may reach the console. May be given several times.
    #[arg(long = "allow-host", value_name = "NAME")]
    pub(crate) allow_hosts: Vec<String>,

    /// How often metrics are read, such as 15s.
    #[arg(long, value_name = "SPAN", default_value = "15s", value_parser = span)]
    pub(crate) every: Duration,

    /// Rules to use instead of the built-in ones: a JSON file, as printed by --print-rules.
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: Option<PathBuf>,

    /// Rule groups in Prometheus's format to evaluate beside the rules. May be given several times.
    #[arg(long = "rule-file", value_name = "FILE")]
    pub(crate) rule_files: Vec<PathBuf>,

    /// Evaluate the rule packs that come with the SDK too: host, network, process, service, collector health.
    #[arg(long)]
    pub(crate) rule_packs: bool,

    /// Derive items, how they age and how failure travels by the rule set of this file (JSON or YAML, as `cmdb rules`
    /// prints it), not by the default pack.
    #[arg(long, value_name = "FILE")]
    pub(crate) rule_set: Option<PathBuf>,

    /// Print the built-in rules as JSON and exit.
    #[arg(long)]
    pub(crate) print_rules: bool,

    /// Post notices to this URL (JSON, one attempt each, retried by the outbox). May be given several times.
    #[arg(long = "webhook", value_name = "URL")]
    pub(crate) webhooks: Vec<String>,
}

/// How much the map shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Detail {
    /// Services, what they depend on, and the host.
    Services,
    /// Services and the processes behind them.
    Processes,
    /// Everything that was found.
    All,
}

fn span(text: &str) -> Result<Duration, String> {
    let span = itom::core::time::parse_duration(text).map_err(|error| error.to_string())?;
    if span < Duration::from_secs(1) {
        return Err("at least 1s".into());
    }
    Ok(span)
}
