//! Prometheus's languages at the command line: scripts of PromQL, an engine behind pipes.
//!
//! ```sh
//! cargo run --release --example rules -- promql-test FILE.test…
//! ```

mod engine;
mod promql_test;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use itom::core::ErrorChain;

/// Tests and evaluates Prometheus expressions and rules with this library.
#[derive(Debug, Parser)]
#[command(name = "rules", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run Prometheus's `.test` scripts: a line for each case that fails, then `N passed, M failed`.
    PromqlTest {
        /// The scripts.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Answer requests to load and evaluate, one JSON object a line on standard input and output.
    PromqlEngine,
}

fn main() {
    let done = match Args::parse().command {
        Command::PromqlTest { files } => promql_test::run(&files),
        Command::PromqlEngine => engine::run(),
    };
    match done {
        Ok(code) => std::process::exit(code),
        Err(error) => {
            eprintln!("rules: {}", ErrorChain(error.as_ref()));
            std::process::exit(2);
        }
    }
}
