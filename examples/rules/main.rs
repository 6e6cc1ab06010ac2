//! Prometheus's languages at the command line: rule files checked and tested, scripts of PromQL, an engine behind pipes.
//!
//! ```sh
//! cargo run --release --example rules -- check RULES.yml…
//! cargo run --release --example rules -- test TESTS.yml…
//! cargo run --release --example rules -- promql-test FILE.test…
//! ```

mod check;
mod engine;
mod promql_test;
mod unit;

use std::path::PathBuf;

use clap::{Args as Arguments, Parser, Subcommand, ValueEnum};
use itom::alert::prometheus::FileOptions;
use itom::core::ErrorChain;
use itom::metrics::promql::ParseOptions;

/// Tests and evaluates Prometheus expressions and rules with this library.
#[derive(Debug, Parser)]
#[command(name = "rules", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

/// How rule files are read.
#[derive(Debug, Arguments)]
pub(crate) struct Reading {
    /// Take what Prometheus hides behind feature flags, too.
    #[arg(long)]
    experimental: bool,
    /// Ignore fields that the format does not have.
    #[arg(long)]
    ignore_unknown_fields: bool,
    /// Names must have the form they had before Prometheus 3.
    #[arg(long)]
    legacy_names: bool,
}

impl Reading {
    pub(crate) fn file_options(&self) -> FileOptions {
        let mut options = FileOptions::default();
        options.ignore_unknown_fields = self.ignore_unknown_fields;
        options.legacy_names = self.legacy_names;
        options
    }

    pub(crate) const fn parse_options(&self) -> ParseOptions {
        if self.experimental { ParseOptions::EXPERIMENTAL } else { ParseOptions::STABLE }
    }
}

/// What is complained about beside mistakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Lint {
    /// Rules of the same name and labels.
    DuplicateRules,
    /// The same.
    All,
    /// Nothing.
    None,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check rule files: each mistake with its line, then exit 1 if there was one.
    Check {
        /// The rule files; standard input if none is given.
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
        /// What else to complain about.
        #[arg(long, value_enum, default_value = "duplicate-rules")]
        lint: Lint,
        /// Exit 3 when there is something to complain about.
        #[arg(long)]
        lint_fatal: bool,
        #[command(flatten)]
        reading: Reading,
    },
    /// Run promtool's unit tests of rules: each case that fails with its line, then exit 1 if there was one.
    Test {
        /// The files of tests.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Run only tests whose name has this text in it. May be given several times.
        #[arg(long, value_name = "TEXT")]
        run: Vec<String>,
        #[command(flatten)]
        reading: Reading,
    },
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
        Command::Check { files, lint, lint_fatal, reading } => {
            check::run(&files, &reading, lint != Lint::None, lint_fatal)
        }
        Command::Test { files, run, reading } => unit::run(&files, &reading, &run),
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
