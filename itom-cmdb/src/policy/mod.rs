//! Policies: what should be true of items, judged as pass, fail or **unknown**, with evidence.
//!
//! A [`Policy`] names the items it applies to and what must hold, as an [`Expression`]. A [`PolicySet`] is a file of them
//! ([`PolicySet::from_yaml`]; [`PolicySet::starter`] is one to begin with). [`Compliance`] judges a set on a view and
//! keeps the results current at the cost of what changed: what it says is always what judging everything anew would say.
//!
//! Not knowing is not failing: where an attribute was not read, or nobody collects the relations or kinds that a policy
//! needs, the result is [`Verdict::Unknown`] and says what is missing. A failure that somebody accepted stays a failure
//! and names who did ([`WaivedBy`]).
//!
//! ```
//! use itom_cmdb::graph::RelationModel;
//! use itom_cmdb::policy::{Compliance, Policy, PolicySet, Verdict};
//! use itom_cmdb::{Cmdb, CmdbConfig};
//! use itom_core::{Batch, SourceName, Timestamp, attr, kind};
//!
//! let now = Timestamp::from_secs(1_700_000_000);
//! let mut batch = Batch::new(SourceName::literal("demo"), now);
//! batch.ci("web-1", kind::HOST).attr(attr::OS_VERSION, "10");
//! batch.ci("web-2", kind::HOST);
//! let mut cmdb = Cmdb::new(CmdbConfig::default());
//! let facts = cmdb.plan(&batch, now);
//! cmdb.ingest(facts);
//!
//! let policy = Policy::new("os-supported", kind::HOST, r#"int(attr["os.version"]) >= 11"#)?;
//! let mut compliance = Compliance::new(PolicySet::new([policy])?);
//! let view = cmdb.view();
//! compliance.update(&view, &view.graph(RelationModel::default())?, now);
//! let verdicts: Vec<Verdict> = compliance.results().map(|result| result.verdict).collect();
//! assert!(verdicts.contains(&Verdict::Fail) && verdicts.contains(&Verdict::Unknown));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod compliance;
mod file;
mod judge;
mod known;
mod result;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use itom_core::{CiKind, Classify, ErrorKind, RelationKind, Severity, Text, Timestamp};

use crate::expr::{Expression, ExpressionError};

pub use compliance::{Compliance, Score};
pub use known::Known;
pub use result::{PolicyChange, PolicyResult, Verdict, WaivedBy};

/// What a failing verdict rests on: without it, nothing is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Kinds of relations that some source must report at all.
    pub(crate) relations: BTreeSet<RelationKind>,
    /// Kinds of items that some source must report at all.
    pub(crate) kinds: BTreeSet<CiKind>,
}

/// Somebody accepts a failure, until a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiver {
    pub(crate) items: Expression,
    pub(crate) owner: Text,
    pub(crate) reason: Text,
    pub(crate) until: Option<Timestamp>,
}

/// What should be true of the items of a kind. Made with [`Policy::new`] and its setters, or read from YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub(crate) name: Text,
    pub(crate) title: Text,
    pub(crate) kind: CiKind,
    pub(crate) when: Option<Expression>,
    pub(crate) check: Expression,
    pub(crate) severity: Severity,
    pub(crate) fix: Text,
    pub(crate) reference: Text,
    pub(crate) every: Duration,
    pub(crate) needs: Needs,
    pub(crate) waivers: Vec<Waiver>,
}

/// How often time is looked at, unless a policy says otherwise.
const HOURLY: Duration = Duration::from_secs(3600);

impl Policy {
    /// A policy over the items of a kind and its refinements: `check` must hold for each active one.
    ///
    /// # Errors
    /// [`PolicyError::Expression`] when the expression is wrong.
    pub fn new(name: impl Into<Text>, kind: CiKind, check: &str) -> Result<Self, PolicyError> {
        let name = name.into();
        let check = Expression::compile(check).map_err(|source| PolicyError::Expression {
            policy: name.clone(),
            field: "check",
            source,
        })?;
        Ok(Self {
            title: name.clone(),
            name,
            kind,
            when: None,
            check,
            severity: Severity::Warning,
            fix: Text::literal(""),
            reference: Text::literal(""),
            every: HOURLY,
            needs: Needs::default(),
            waivers: Vec::new(),
        })
    }

    /// Only for items of which this holds; where it is not known, the verdict is unknown.
    ///
    /// # Errors
    /// [`PolicyError::Expression`] when the expression is wrong.
    pub fn when(mut self, condition: &str) -> Result<Self, PolicyError> {
        self.when = Some(Expression::compile(condition).map_err(|source| PolicyError::Expression {
            policy: self.name.clone(),
            field: "when",
            source,
        })?);
        Ok(self)
    }

    /// One line for people.
    #[must_use]
    pub fn title(mut self, title: impl Into<Text>) -> Self {
        self.title = title.into();
        self
    }

    /// How bad a failure is.
    #[must_use]
    pub const fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// What to do about a failure.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<Text>) -> Self {
        self.fix = fix.into();
        self
    }

    /// How fine the time is that `now` shows: a policy that reads it is judged again once per span. An hour by default;
    /// a second at least.
    #[must_use]
    pub fn every(mut self, span: Duration) -> Self {
        self.every = span.max(Duration::from_secs(1));
        self
    }

    /// A failure is only believed where some source reports relations of this kind at all.
    #[must_use]
    pub fn needs_relation(mut self, kind: RelationKind) -> Self {
        self.needs.relations.insert(kind);
        self
    }

    /// A failure is only believed where some source reports items of this kind at all.
    #[must_use]
    pub fn needs_kind(mut self, kind: CiKind) -> Self {
        self.needs.kinds.insert(kind);
        self
    }

    /// Its name, unique in its set.
    #[must_use]
    pub const fn name(&self) -> &Text {
        &self.name
    }

    /// One line for people.
    #[must_use]
    pub const fn title_text(&self) -> &Text {
        &self.title
    }

    /// The items it applies to.
    #[must_use]
    pub const fn applies_to(&self) -> &CiKind {
        &self.kind
    }

    /// What must hold.
    #[must_use]
    pub const fn check(&self) -> &Expression {
        &self.check
    }

    /// How bad a failure is.
    #[must_use]
    pub const fn severity_of_failure(&self) -> Severity {
        self.severity
    }

    /// What to do about a failure.
    #[must_use]
    pub const fn fix_text(&self) -> &Text {
        &self.fix
    }

    /// Where the demand comes from: a standard, a page.
    #[must_use]
    pub const fn reference(&self) -> &Text {
        &self.reference
    }

    fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.when.iter().chain([&self.check]).chain(self.waivers.iter().map(|waiver| &waiver.items))
    }
}

/// Policies with different names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicySet {
    policies: Vec<Policy>,
}

impl PolicySet {
    /// A set, sorted by name.
    ///
    /// # Errors
    /// [`PolicyError::Duplicate`] when two have one name.
    pub fn new(policies: impl IntoIterator<Item = Policy>) -> Result<Self, PolicyError> {
        let mut policies: Vec<Policy> = policies.into_iter().collect();
        policies.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(pair) = policies.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(PolicyError::Duplicate { policy: pair[0].name.clone() });
        }
        Ok(Self { policies })
    }

    /// Reads a file of policies. `name` is what the file is called in errors.
    ///
    /// # Errors
    /// [`PolicyError::File`] with file, line and column; [`PolicyError::Expression`], [`PolicyError::Duplicate`].
    pub fn from_yaml(name: &str, text: &str) -> Result<Self, PolicyError> {
        file::read(name, text)
    }

    /// The set that comes with the crate: support of the operating system, patches, certificates, owners, declared
    /// services, single points of failure, and more.
    ///
    /// # Panics
    /// Never: a test reads the file that is compiled in.
    #[must_use]
    pub fn starter() -> Self {
        file::read("starter.yaml", Self::STARTER).unwrap_or_default()
    }

    /// The text of [`starter`](Self::starter), to copy and change.
    pub const STARTER: &'static str = include_str!("starter.yaml");

    /// The policies, by name.
    #[must_use]
    pub fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// One policy.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Policy> {
        self.policies.iter().find(|policy| policy.name.as_str() == name)
    }
}

/// Why policies cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A file cannot be read.
    #[error("policy file {file}, line {line}, column {column}: {reason}")]
    File {
        /// What the file is called.
        file: String,
        /// The line, from 1.
        line: u64,
        /// The column, from 1.
        column: u64,
        /// What is wrong.
        reason: String,
    },
    /// An expression is wrong.
    #[error("policy `{policy}`, field `{field}`")]
    Expression {
        /// The policy.
        policy: Text,
        /// The field.
        field: &'static str,
        /// What is wrong.
        source: ExpressionError,
    },
    /// Two policies have one name.
    #[error("two policies are called `{policy}`; give one of them another name")]
    Duplicate {
        /// The name.
        policy: Text,
    },
}

impl Classify for PolicyError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}
