//! Prometheus's `.test` scripts: series in expanding notation, expressions, and what they must give.
//!
//! [`Script::parse`] reads a file, [`Script::run`] evaluates it with this crate's [`Engine`](crate::eval::Engine) and
//! gives a [`CaseReport`] for each `eval`. Each instant case is checked again as the middle step of a range, and with
//! its selectors pinned by `@` and evaluated at other times. [`series`](parse_series) is the notation alone, which the
//! unit tests of rules use too.
//!
//! ```
//! use itom_metrics::promqltest::Script;
//! let script = Script::parse("demo.test", "
//! load 1m
//!   up{job=\"web\"} 0+1x10
//!
//! eval instant at 5m sum(up)
//!   {} 5
//! ")?;
//! assert!(script.run().iter().all(|case| case.failure.is_none()));
//! # Ok::<(), itom_metrics::promqltest::ScriptError>(())
//! ```

mod classic;
mod compare;
mod notation;
mod pin;
mod run;
mod script;
#[cfg(test)]
mod tests;

pub use notation::{NotationError, SequenceValue, SeriesLine, histogram_notation, parse_series};
pub use run::CaseReport;
pub use script::{Script, ScriptError};
