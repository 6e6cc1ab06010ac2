//! Putting an engine together: `build` checks everything and starts nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use itom_alert::notify::Notifier;
use itom_alert::outbox::Receiver;
use itom_alert::rule::Rule;
use itom_cmdb::CmdbConfig;
use itom_cmdb::ruleset::RuleSet;
use itom_cmdb::store::{MemoryStore, Retention, Store};
use itom_collect::{Collector, Descriptor, Listener, Schedule, SchedulerConfig};
use itom_core::{Clock, Evaluator, SourceName, SystemClock, Text};
use itom_metrics::{SeriesStore, StoreConfig};

#[cfg(doc)]
use super::EngineHandle;
use super::{Engine, EngineLimits};
use crate::BuildError;
use crate::journal::{Journal, MemoryJournal};

/// Collects the parts of an [`Engine`].
#[must_use = "a builder does nothing until `build`"]
pub struct EngineBuilder {
    clock: Arc<dyn Clock>,
    instance: Text,
    collectors: Vec<(Arc<dyn Collector>, Descriptor)>,
    listeners: Vec<Arc<dyn Listener>>,
    rules: Vec<Rule>,
    notifiers: Vec<(Receiver, Arc<dyn Notifier>)>,
    evaluator: Option<Arc<dyn Evaluator>>,
    store: Arc<dyn Store>,
    retention: Option<Retention>,
    journal: Arc<dyn Journal>,
    scheduler: SchedulerConfig,
    cmdb: CmdbConfig,
    rule_set: Option<Arc<RuleSet>>,
    samples: StoreConfig,
    limits: EngineLimits,
    #[cfg(feature = "prometheus")]
    groups: super::groups::GroupParts,
}

impl Default for EngineBuilder {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock::new()),
            instance: Text::literal("local"),
            collectors: Vec::new(),
            listeners: Vec::new(),
            rules: Vec::new(),
            notifiers: Vec::new(),
            evaluator: None,
            store: Arc::new(MemoryStore::new()),
            retention: None,
            journal: Arc::new(MemoryJournal::new()),
            scheduler: SchedulerConfig::default(),
            cmdb: CmdbConfig::default(),
            rule_set: None,
            samples: StoreConfig::default(),
            limits: EngineLimits::default(),
            #[cfg(feature = "prometheus")]
            groups: super::groups::GroupParts::default(),
        }
    }
}

impl fmt::Debug for EngineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineBuilder")
            .field("instance", &self.instance)
            .field("collectors", &self.collectors.len())
            .field("listeners", &self.listeners.len())
            .field("rules", &self.rules.len())
            .field("notifiers", &self.notifiers.len())
            .finish_non_exhaustive()
    }
}

impl EngineBuilder {
    /// Uses another clock than the system's: a [`VirtualClock`](itom_core::VirtualClock) for tests and replays.
    pub fn clock(self, clock: impl Clock) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    /// The name of the machine the engine runs on: the `instance` of metrics and the part after `@` in the source names
    /// of collectors that have no target of their own. `local` if not set.
    pub fn instance(self, name: impl Into<Text>) -> Self {
        Self { instance: name.into(), ..self }
    }

    /// Adds a collector, run as its [`Descriptor`] says.
    pub fn collector(self, collector: impl Collector) -> Self {
        let descriptor = collector.descriptor();
        self.collector_as(collector, descriptor)
    }

    /// Adds a collector with another name, target, interval or timeout than it asks for.
    pub fn collector_as(mut self, collector: impl Collector, descriptor: Descriptor) -> Self {
        self.collectors.push((Arc::new(collector), descriptor));
        self
    }

    /// Adds a listener.
    pub fn listener(mut self, listener: impl Listener) -> Self {
        self.listeners.push(Arc::new(listener));
        self
    }

    /// Adds a rule.
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Adds rules.
    pub fn rules(mut self, rules: impl IntoIterator<Item = Rule>) -> Self {
        self.rules.extend(rules);
        self
    }

    /// Adds a notifier that is told everything, under a name of its own.
    pub fn notifier(self, name: impl Into<Text>, notifier: impl Notifier) -> Self {
        self.receiver(Receiver::new(name), notifier)
    }

    /// Adds a notifier that is told what the receiver wants to know.
    pub fn receiver(mut self, receiver: Receiver, notifier: impl Notifier) -> Self {
        self.notifiers.push((receiver, Arc::new(notifier)));
        self
    }

    /// Sets the language of rules that are expressions; without one such rules are refused.
    pub fn evaluator(self, evaluator: impl Evaluator + 'static) -> Self {
        Self { evaluator: Some(Arc::new(evaluator)), ..self }
    }

    /// Adds a rule file in Prometheus's format; `name` says in messages which one it is. Its groups are evaluated over
    /// the engine's samples, what they record is stored there, and their alerts live like those of all other rules.
    #[cfg(feature = "prometheus")]
    pub fn rule_groups(mut self, name: impl Into<Text>, text: impl Into<Text>) -> Self {
        self.groups.files.push((name.into(), text.into()));
        self
    }

    /// Adds a rule group that was made in Rust; see [`promql::compiled`](crate::promql::compiled) for its expressions.
    #[cfg(feature = "prometheus")]
    pub fn rule_group(mut self, group: itom_alert::prometheus::RuleGroup) -> Self {
        self.groups.made.push(group);
        self
    }

    /// Adds rule packs that come with the SDK: `.rule_packs(itom::alert::prometheus::packs::ALL)` for all of them.
    #[cfg(feature = "prometheus")]
    pub fn rule_packs(self, packs: impl IntoIterator<Item = itom_alert::prometheus::packs::Pack>) -> Self {
        packs.into_iter().fold(self, |builder, pack| builder.rule_groups(pack.file(), pack.rules()))
    }

    /// Sets the language of rule groups, made for the store that they read; PromQL if not set.
    #[cfg(feature = "prometheus")]
    pub fn rule_language(
        mut self,
        make: impl FnOnce(Arc<SeriesStore>) -> Arc<dyn itom_core::RuleLanguage> + Send + 'static,
    ) -> Self {
        self.groups.language = Some(Box::new(make));
        self
    }

    /// Sets how rule groups behave where their files do not say.
    #[cfg(feature = "prometheus")]
    pub fn group_config(mut self, config: itom_alert::prometheus::GroupConfig) -> Self {
        self.groups.config = config;
        self
    }

    /// Sets the labels of this installation and where it is seen from outside, for templates of rule groups.
    #[cfg(feature = "prometheus")]
    pub fn external(mut self, labels: itom_core::Labels, url: impl Into<Text>) -> Self {
        (self.groups.external_labels, self.groups.external_url) = (labels, url.into());
        self
    }

    /// Keeps facts in this store; in memory if not set.
    pub fn store(self, store: impl Store) -> Self {
        Self { store: Arc::new(store), ..self }
    }

    /// Keeps so much of the past: older facts are summed up in the store, at 02:00 UTC once nothing else goes on (see
    /// [`EngineLimits::compact_every`]). Everything is kept for good if not set, or if the store cannot compact.
    ///
    /// ```
    /// use std::time::Duration;
    /// use itom::cmdb::store::Retention;
    /// const DAY: Duration = Duration::from_secs(86_400);
    /// let engine = itom::Engine::builder().retention(Retention::new().sightings(7 * DAY).history(400 * DAY)).build()?;
    /// # Ok::<(), itom::BuildError>(())
    /// ```
    pub fn retention(self, retention: Retention) -> Self {
        Self { retention: Some(retention), ..self }
    }

    /// Keeps undelivered notices in this journal; in memory if not set.
    pub fn journal(self, journal: impl Journal) -> Self {
        Self { journal: Arc::new(journal), ..self }
    }

    /// Sets concurrency, backoff and circuit breaker of collectors.
    pub fn scheduler(self, scheduler: SchedulerConfig) -> Self {
        Self { scheduler, ..self }
    }

    /// Goes by this rule set: how items are derived and age, how failure travels along relations in the graph, what
    /// [health](EngineHandle::health) and [misfits](EngineHandle::misfits) are measured by. Takes the place of what
    /// [`cmdb`](Self::cmdb) was given before.
    pub fn rule_set(self, rules: RuleSet) -> Self {
        Self { cmdb: CmdbConfig::from(&rules), rule_set: Some(Arc::new(rules)), ..self }
    }

    /// Sets the rules of identity, precedence and ageing alone. After [`rule_set`](Self::rule_set) it replaces those of
    /// the set; how failure travels and what is expected of items stay the set's.
    pub fn cmdb(self, cmdb: CmdbConfig) -> Self {
        Self { cmdb, ..self }
    }

    /// Sets retention and limits of the series store.
    pub fn samples(self, samples: StoreConfig) -> Self {
        Self { samples, ..self }
    }

    /// Sets the bounds of the engine's queues.
    pub fn limits(self, limits: EngineLimits) -> Self {
        Self { limits, ..self }
    }

    /// Checks that everything fits together. Starts nothing and opens nothing.
    ///
    /// # Errors
    /// [`BuildError`] says which part does not fit and what to do.
    pub fn build(self) -> Result<Engine, BuildError> {
        let limits = self.limits;
        if let Some(rules) = &self.rule_set {
            rules.check()?;
        }
        for (what, bound) in
            [("batches", limits.batches), ("submitted", limits.submitted), ("commands", limits.commands)]
        {
            if bound == 0 {
                return Err(BuildError::Limit(what));
            }
        }
        if limits.compact_every.is_zero() {
            return Err(BuildError::Limit("compact_every"));
        }
        let mut collectors = BTreeMap::new();
        for (collector, descriptor) in self.collectors {
            let name = source_name(&descriptor, &self.instance)?;
            if descriptor.every.is_zero() || descriptor.timeout.is_zero() {
                let reason = Text::literal("its interval and its timeout must be longer than zero");
                return Err(BuildError::Collector { name: name.text().clone(), reason });
            }
            let schedule = Schedule::of(&descriptor);
            if collectors.insert(name.clone(), (collector, schedule)).is_some() {
                return Err(BuildError::DuplicateCollector { name: name.text().clone() });
            }
        }
        let mut listeners = BTreeMap::new();
        for listener in self.listeners {
            let name = source_name(&listener.descriptor(), &self.instance)?;
            if collectors.contains_key(&name) || listeners.insert(name.clone(), listener).is_some() {
                return Err(BuildError::DuplicateCollector { name: name.text().clone() });
            }
        }
        let (mut notifiers, mut receivers) = (BTreeMap::new(), Vec::new());
        for (receiver, notifier) in self.notifiers {
            let name = receiver.name().clone();
            if notifiers.insert(name.clone(), notifier).is_some() {
                return Err(BuildError::DuplicateNotifier { name });
            }
            receivers.push(receiver);
        }
        Engine::assemble(super::Parts {
            clock: self.clock,
            instance: self.instance,
            collectors,
            listeners,
            rules: self.rules,
            notifiers,
            receivers,
            evaluator: self.evaluator,
            store: self.store,
            retention: self.retention,
            journal: self.journal,
            scheduler: self.scheduler,
            cmdb: self.cmdb,
            rule_set: self.rule_set,
            samples: Arc::new(SeriesStore::new(self.samples)),
            limits,
            #[cfg(feature = "prometheus")]
            groups: self.groups,
        })
    }
}

fn source_name(descriptor: &Descriptor, instance: &Text) -> Result<SourceName, BuildError> {
    let target = descriptor.target.as_ref().unwrap_or(instance);
    SourceName::new(format!("{}@{target}", descriptor.name)).map_err(|error| BuildError::Collector {
        name: descriptor.name.clone(),
        reason: Text::from(error.to_string()),
    })
}
