//! Unit tests of rules, in promtool's format: series come in, groups are evaluated, alerts and expressions are looked at.
//!
//! [`RuleTests::open`] reads a file of tests and the rule files it names; [`RuleTests::run`] gives a [`TestReport`] for
//! each test. The verdict is promtool's. So are its limits: 10,000 samples an expression, samples after the last
//! evaluation are not there, and NaN equals nothing.
//!
//! This is where it lives because it needs both rooms that do not know each other: rule groups, and series with PromQL.
//!
//! ```
//! use itom::ruletest::{RuleTestOptions, RuleTests};
//!
//! let rules = "groups: [{name: g, rules: [{alert: Down, expr: 'up == 0', for: 2m}]}]";
//! let tests = "
//! rule_files: [rules.yml]
//! tests:
//! - input_series: [{series: 'up{job=\"web\"}', values: '0x10'}]
//!   alert_rule_test:
//!   - {eval_time: 1m, alertname: Down}
//!   - {eval_time: 2m, alertname: Down, exp_alerts: [{exp_labels: {job: web}}]}
//! ";
//! let tests = RuleTests::parse("tests.yml", tests, [("rules.yml", rules)], RuleTestOptions::default())
//!     .map_err(|errors| format!("{errors:?}"))?;
//! assert!(tests.run().iter().all(|test| test.failures.is_empty()));
//! # Ok::<(), String>(())
//! ```

mod compare;
mod files;
mod glob;
mod run;
mod series;
#[cfg(test)]
mod tests;

use itom_alert::prometheus::{FileError, FileOptions, Place, RuleFile, UnitFile};
use itom_core::Text;
use itom_metrics::eval::EngineOptions;
use itom_metrics::promql::ParseOptions;

use crate::promql::PromQl;

/// How rules are read and evaluated.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RuleTestOptions {
    /// How strictly files are read.
    pub files: FileOptions,
    /// What of the language is taken.
    pub parse: ParseOptions,
}

/// A file of tests with its rules.
#[derive(Debug, Clone)]
pub struct RuleTests {
    unit: UnitFile,
    rules: Vec<RuleFile>,
    options: RuleTestOptions,
    /// Patterns of rule files that no file fits.
    unmatched: Vec<Text>,
}

/// How one test went.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TestReport {
    /// Its name.
    pub name: Text,
    /// Where it stands.
    pub place: Place,
    /// How many cases it has.
    pub cases: usize,
    /// What is wrong; nothing when all is well.
    pub failures: Vec<TestFailure>,
}

/// What is wrong with a case, or with the whole test.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TestFailure {
    /// Where the case stands.
    pub place: Place,
    /// What was looked at, and when.
    pub what: String,
    /// What was wrong, where there is nothing to compare.
    pub reason: Option<String>,
    /// What should have been there, one line each.
    pub expected: Vec<String>,
    /// What was there, one line each.
    pub got: Vec<String>,
}

impl TestFailure {
    fn of(place: Place, what: impl Into<String>, reason: impl Into<String>) -> Self {
        let (what, reason) = (what.into(), Some(reason.into()));
        Self { place, what, reason, expected: Vec::new(), got: Vec::new() }
    }
}

impl std::fmt::Display for TestFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)?;
        if let Some(reason) = &self.reason {
            return write!(f, ": {reason}");
        }
        for (title, lines) in [("expected", &self.expected), ("got", &self.got)] {
            write!(f, "\n  {title}:")?;
            if lines.is_empty() {
                f.write_str(" nothing")?;
            }
            for line in lines {
                write!(f, "\n    {}", line.replace('\n', "\n      "))?;
            }
        }
        Ok(())
    }
}

impl RuleTests {
    /// Reads tests from a text, with rule files by the names that the tests give them. (Patterns match nothing here.)
    ///
    /// # Errors
    /// Everything that is wrong in any of the files, with its place.
    pub fn parse<N: AsRef<str>, T: AsRef<str>>(
        name: impl Into<Text>,
        text: &str,
        rule_files: impl IntoIterator<Item = (N, T)>,
        options: RuleTestOptions,
    ) -> Result<Self, Vec<FileError>> {
        let unit = UnitFile::parse(text, name, options.files.ignore_unknown_fields)?;
        let given: Vec<_> = rule_files.into_iter().collect();
        let (mut rules, mut errors, mut unmatched) = (Vec::new(), Vec::new(), Vec::new());
        for wanted in &unit.rule_files {
            match given.iter().find(|(name, _)| name.as_ref() == wanted.as_str()) {
                Some((name, text)) => match read_rules(text.as_ref(), name.as_ref(), &options) {
                    Ok(file) => rules.push(file),
                    Err(wrong) => errors.extend(wrong),
                },
                None => unmatched.push(Text::from(wanted.as_str())),
            }
        }
        if errors.is_empty() { Ok(Self { unit, rules, options, unmatched }) } else { Err(errors) }
    }

    /// The tests as they are written.
    #[must_use]
    pub const fn file(&self) -> &UnitFile {
        &self.unit
    }

    /// The rule files that are tested.
    #[must_use]
    pub fn rules(&self) -> &[RuleFile] {
        &self.rules
    }

    /// Names and patterns of rule files that no file fits: tests go on without them, as in promtool.
    #[must_use]
    pub fn unmatched(&self) -> &[Text] {
        &self.unmatched
    }

    /// Runs all tests.
    #[must_use]
    pub fn run(&self) -> Vec<TestReport> {
        self.run_those(|_| true)
    }

    /// Runs the tests whose name `wanted` says.
    #[must_use]
    pub fn run_those(&self, wanted: impl Fn(&str) -> bool) -> Vec<TestReport> {
        let tests = self.unit.tests.iter().filter(|test| wanted(test.name.as_str()));
        tests.map(|test| run::run(self, test)).collect()
    }
}

fn read_rules(text: &str, name: &str, options: &RuleTestOptions) -> Result<RuleFile, Vec<FileError>> {
    // A file's expressions are compiled once for all tests; no series are needed for that.
    let nothing = std::sync::Arc::new(itom_metrics::MemorySeries::new());
    let language = PromQl::with(nothing, EngineOptions::default(), options.parse.clone());
    RuleFile::parse(text, name, &language, options.files)
}
