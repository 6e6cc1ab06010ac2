//! What a collector says about itself.

use std::time::Duration;

use itom_core::{CiKind, NameError, SourceName, Text};

/// What a collector is called, what it emits, how often it should run and how long it may take. The engine's user can
/// override the times for one deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Descriptor {
    /// Name of the collector: the source name of its batches, together with the target (`host@web-1`).
    pub name: Text,
    /// What it reads, for a collector that exists once for each target: a host name, an address.
    pub target: Option<Text>,
    /// The kinds of items it emits.
    pub kinds: Vec<CiKind>,
    /// How often.
    pub every: Duration,
    /// How long one run may take.
    pub timeout: Duration,
}

impl Descriptor {
    /// A collector that runs each minute and may take 30 seconds.
    #[must_use]
    pub fn new(name: impl Into<Text>) -> Self {
        Self {
            name: name.into(),
            target: None,
            kinds: Vec::new(),
            every: Duration::from_secs(60),
            timeout: Duration::from_secs(30),
        }
    }

    /// Sets what it reads.
    #[must_use]
    pub fn target(self, target: impl Into<Text>) -> Self {
        Self { target: Some(target.into()), ..self }
    }

    /// Adds a kind of item it emits.
    #[must_use]
    pub fn emits(mut self, kind: CiKind) -> Self {
        self.kinds.push(kind);
        self
    }

    /// Sets how often.
    #[must_use]
    pub fn every(self, every: Duration) -> Self {
        Self { every, ..self }
    }

    /// Sets how long one run may take.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The source name of its batches: the name, with the target if there is one.
    ///
    /// ```
    /// use itom_collect::Descriptor;
    /// assert_eq!(Descriptor::new("snmp").target("switch-7").source_name()?.as_str(), "snmp@switch-7");
    /// # Ok::<(), itom_core::NameError>(())
    /// ```
    ///
    /// # Errors
    /// [`NameError`] when name and target together are not a source name: empty, too long, or with spaces.
    pub fn source_name(&self) -> Result<SourceName, NameError> {
        match &self.target {
            Some(target) => SourceName::new(format!("{}@{target}", self.name)),
            None => SourceName::new(self.name.clone()),
        }
    }
}
