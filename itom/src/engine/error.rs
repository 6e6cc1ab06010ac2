//! Why an engine cannot be built, opened or asked.

use itom_cmdb::store::StoreError;
use itom_core::{Classify, ErrorKind, Text};

/// Why [`EngineBuilder::build`](crate::EngineBuilder::build) refuses.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Two collectors would write under one source name.
    #[error("two collectors are called `{name}`; give one of them another name or target")]
    DuplicateCollector {
        /// The name.
        name: Text,
    },
    /// A collector's description is not usable.
    #[error("collector `{name}`: {reason}")]
    Collector {
        /// The collector.
        name: Text,
        /// What is wrong and what to do.
        reason: Text,
    },
    /// Two notifiers have the same name.
    #[error("two notifiers are called `{name}`; give one of them another name")]
    DuplicateNotifier {
        /// The name.
        name: Text,
    },
    /// Two rules have the same name.
    #[error("two rules are called `{name}`; give one of them another name")]
    DuplicateRule {
        /// The name.
        name: Text,
    },
    /// A rule is not usable.
    #[error("a rule is not usable")]
    Rule(#[from] itom_alert::rule::RuleError),
    /// The rule set makes no sense as a whole.
    #[error("the rule set is not usable")]
    RuleSet(#[from] itom_cmdb::ruleset::RuleSetError),
    /// Rule files are not usable.
    #[cfg(feature = "prometheus")]
    #[error("the rule files are not usable: {}", join(.0))]
    RuleFiles(Vec<itom_alert::prometheus::FileError>),
    /// A limit is zero.
    #[error("the limit `{0}` is zero; every queue needs room for one, and every interval some time")]
    Limit(&'static str),
}

#[cfg(feature = "prometheus")]
fn join(errors: &[itom_alert::prometheus::FileError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Classify for BuildError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::DuplicateCollector { .. } | Self::DuplicateNotifier { .. } | Self::DuplicateRule { .. } => {
                ErrorKind::Conflict
            }
            Self::Collector { .. } | Self::Rule(_) | Self::RuleSet(_) | Self::Limit(_) => ErrorKind::Invalid,
            #[cfg(feature = "prometheus")]
            Self::RuleFiles(_) => ErrorKind::Invalid,
        }
    }
}

/// Why an engine stops by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// What was stored cannot be read back.
    #[error("the stored facts cannot be read; nothing was changed")]
    Load(#[source] StoreError),
    /// The notices that were not delivered when the last run ended cannot be read back.
    #[error("the journal of undelivered notices cannot be read; nothing was changed")]
    Journal(#[source] crate::JournalError),
    /// On shutdown some observations could not be stored.
    #[error("{facts} facts could not be stored before shutdown")]
    Unsaved {
        /// How many.
        facts: usize,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// On shutdown some records of alerts and notices could not be written to the journal. After the next start somebody
    /// may be told twice.
    #[error("{records} records of alerts and notices could not be written to the journal before shutdown")]
    Unremembered {
        /// How many.
        records: usize,
        /// Why; nothing when the journal did not answer in time.
        #[source]
        source: Option<crate::JournalError>,
    },
}

impl Classify for RunError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Load(source) | Self::Unsaved { source, .. } => source.kind(),
            Self::Journal(source) => source.kind(),
            Self::Unremembered { source, .. } => source.as_ref().map_or(ErrorKind::Timeout, Classify::kind),
        }
    }
}

/// Why a handle's request was not carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandleError {
    /// The engine has ended.
    #[error("the engine has ended")]
    Ended,
    /// Too many requests wait.
    #[error("the engine's queue is full; try again later")]
    Busy,
    /// There is no such thing.
    #[error("there is no {what} `{name}`")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// Its name or id.
        name: Text,
    },
}

impl Classify for HandleError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Ended => ErrorKind::Unavailable,
            Self::Busy => ErrorKind::Exhausted,
            Self::NotFound { .. } => ErrorKind::NotFound,
        }
    }
}
