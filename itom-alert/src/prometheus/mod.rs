//! Rule groups in Prometheus's format, over any expression language and any place for their results.
//!
//! [`RuleFile::parse`] reads a rule file; [`Template`] is the language of its labels and annotations.

mod carry;
pub(crate) mod document;
pub(crate) mod duration;
mod file;
mod groups;
mod life;
mod made;
pub mod packs;
pub(crate) mod template;
#[cfg(test)]
mod testing;
mod unit;

pub use carry::{GroupPorts, Subjects, carry_out, evaluate};
pub use document::Place;
pub use file::{Alerting, FileError, FileOptions, GroupRule, MAX_FILE_BYTES, RuleFile, RuleGroup, RuleKind};
pub use groups::{
    AlertState, Evaluate, Evaluated, Found, GroupAlert, GroupConfig, GroupInput, GroupKey, GroupOutput,
    GroupStatus, Health, RuleGroups, RuleStatus, StoredState,
};
pub use life::GroupAlerts;
pub use template::{Expansion, Template};
pub use unit::{AlertCase, ExpectedAlert, ExpectedSample, ExprCase, InputSeries, UnitFile, UnitTest};
