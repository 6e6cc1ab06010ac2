//! Rules, the life of alerts, who is told, and telling them.
//!
//! **What lives here**: [rules](rule) as data and their evaluation over the ports of `itom-core`; the [`life`] of
//! alerts on four independent axes; [suppression](suppress) as a pure function; [notifiers](notify) and the
//! [`outbox`] that loses and doubles nothing; [why](Explanation), as data; and [`AlertEngine`], which puts them
//! together for an engine's loop.
//!
//! **Deliberately absent**: clocks, threads and sockets (except in notifiers), storage (records are handed out and taken
//! back), a metric store and a graph (they come through ports), an expression language (it comes through
//! [`Evaluator`](itom_core::Evaluator)).
//!
//! Missing data is not recovery; suppression hides and never stops evaluation or a close; an alert is its rule, labels
//! and item, never a text.
//!
//! ```
//! use itom_alert::rule::{Ports, default_rules};
//! use itom_alert::{AlertConfig, AlertEngine, AlertInput};
//! use itom_core::Timestamp;
//!
//! let mut engine = AlertEngine::new(AlertConfig::default());
//! let now = Timestamp::from_secs(1_700_000_000);
//! for rule in default_rules() {
//!     engine.handle(now, AlertInput::Rule(rule.compile(None)?));
//! }
//! engine.tick(now, &Ports::new());
//! assert!(engine.alerts().iter().all(|view| !view.open));
//! # Ok::<(), itom_alert::rule::RuleError>(())
//! ```

mod engine;
mod explain;
pub mod life;
pub mod notify;
pub mod outbox;
#[cfg(feature = "prometheus")]
pub mod prometheus;
pub mod rule;
pub mod suppress;
#[cfg(test)]
mod testkit;

pub use engine::{
    AlertConfig, AlertEngine, AlertInput, AlertOutput, AlertView, Evaluated, Record, RuleEngine,
};
pub use explain::{CauseText, Explanation};
