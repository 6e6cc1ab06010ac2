//! Rule groups in Prometheus's format, over any expression language and any place for their results.
//!
//! [`RuleFile::parse`] reads a rule file; [`Template`] is the language of its labels and annotations.

pub(crate) mod document;
pub(crate) mod duration;
mod file;
pub(crate) mod template;

pub use document::Place;
pub use file::{Alerting, FileError, FileOptions, GroupRule, MAX_FILE_BYTES, RuleFile, RuleGroup, RuleKind};
pub use template::{Expansion, Template};
