//! Prometheus rule groups in the loop: evaluated over the series store, their results written back, their alerts handed
//! to the alert engine.

use std::fmt;
use std::sync::Arc;

use itom_alert::prometheus::{
    FileOptions, GroupAlerts, GroupConfig, GroupInput, GroupKey, GroupPorts, GroupStatus, RuleFile,
    RuleGroup, RuleGroups, Subjects, carry_out,
};
use itom_alert::{AlertInput, Record};
use itom_core::{
    CiId, Deadline, LabelName, Labels, Machine as _, MetricName, RefusedSample, RuleLanguage, RuleSink,
    SampleKind, SampleValue, Text, Timestamp, WrittenSample,
};
use itom_metrics::{NewHistogram, NewSample, Queryable, Samples as _, SeriesStore};

use super::BuildError;
use super::remember::{Memory, Stored};
use super::run::Loop;
use crate::promql::PromQl;

/// Makes the language of rule groups, once the store it reads is there.
pub(super) type MakeLanguage = Box<dyn FnOnce(Arc<SeriesStore>) -> Arc<dyn RuleLanguage> + Send>;

/// Rule files and what they are written in, as a builder collects them.
#[derive(Default)]
pub(super) struct GroupParts {
    /// Name and text of each file.
    pub(super) files: Vec<(Text, Text)>,
    /// Groups that were made in Rust.
    pub(super) made: Vec<RuleGroup>,
    pub(super) language: Option<MakeLanguage>,
    pub(super) config: GroupConfig,
    pub(super) external_labels: Labels,
    pub(super) external_url: Text,
}

impl fmt::Debug for GroupParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupParts").field("files", &self.files.len()).finish_non_exhaustive()
    }
}

/// The groups of an engine.
pub(super) struct Grouping {
    groups: RuleGroups,
    /// The groups until they are looked at first: a slot that passed before collectors were heard would find nothing.
    unloaded: Option<Vec<RuleGroup>>,
    handed: GroupAlerts,
    language: Arc<dyn RuleLanguage>,
    sink: StoreSink,
    external_labels: Labels,
    external_url: Text,
    pub(super) memory: Memory,
}

impl GroupParts {
    /// Reads the files; `None` when there are no groups.
    pub(super) fn assemble(self, samples: &Arc<SeriesStore>) -> Result<Option<Grouping>, BuildError> {
        if self.files.is_empty() && self.made.is_empty() {
            return Ok(None);
        }
        let language = match self.language {
            Some(make) => make(Arc::clone(samples)),
            None => Arc::new(PromQl::over(Arc::clone(samples) as Arc<dyn Queryable>)),
        };
        let mut loaded = self.made;
        let mut errors = Vec::new();
        for (file, text) in self.files {
            match RuleFile::parse(&text, file, language.as_ref(), FileOptions::default()) {
                Ok(file) => loaded.extend(file.groups),
                Err(wrong) => errors.extend(wrong),
            }
        }
        if !errors.is_empty() {
            return Err(BuildError::RuleFiles(errors));
        }
        let groups = RuleGroups::new(self.config);
        let sink = StoreSink(Arc::clone(samples));
        Ok(Some(Grouping {
            groups,
            unloaded: Some(loaded),
            handed: GroupAlerts::new(),
            language,
            sink,
            external_labels: self.external_labels,
            external_url: self.external_url,
            memory: Memory::default(),
        }))
    }
}

impl Grouping {
    pub(super) fn poll_deadline(&self) -> Option<Deadline> {
        self.groups.poll_deadline()
    }

    pub(super) fn status(&self) -> Vec<GroupStatus> {
        self.groups.status()
    }

    /// Evaluates what is due (or everything, for one look) and says what the alert engine is to be told, and what is to
    /// be remembered.
    fn evaluate(&mut self, now: Timestamp, everything: bool) -> (Vec<AlertInput>, Vec<Record>) {
        let stored = Stored { memory: &self.memory, series: self.sink.0.as_ref() };
        let subjects = StoreSubjects(&self.sink.0);
        let mut ports = GroupPorts::new(Arc::clone(&self.language), &self.sink);
        ports.stored = Some(&stored);
        ports.subjects = Some(&subjects);
        ports.external_labels = self.external_labels.clone();
        ports.external_url = self.external_url.clone();
        let mut news = Vec::new();
        if everything {
            for key in self.groups.keys().cloned().collect::<Vec<GroupKey>>() {
                self.groups.evaluate_at(now, &key);
                news.extend(carry_out(&mut self.groups, now, &ports));
            }
        } else {
            self.groups.handle_deadline(now);
            news.extend(carry_out(&mut self.groups, now, &ports));
        }
        let records = self.memory.follow(&self.groups, &news);
        let inputs = news.into_iter().flat_map(|news| self.handed.inputs(&self.groups, news)).collect();
        (inputs, records)
    }
}

impl Loop {
    /// Evaluates the rule groups that are due.
    pub(super) fn judge_groups(&mut self, now: Timestamp) {
        let everything = self.once.is_some();
        let Some(grouping) = &mut self.grouping else { return };
        if let Some(groups) = grouping.unloaded.take() {
            grouping.groups.handle(now, GroupInput::Load(groups));
            self.alerts.external(now, GroupAlerts::rules(&grouping.groups));
            for record in grouping.memory.forget_others(&grouping.groups) {
                self.alerts.remember(record);
            }
        }
        if !everything && grouping.poll_deadline().is_none_or(|due| due.at > now) {
            return;
        }
        let (inputs, records) = grouping.evaluate(now, everything);
        for input in inputs {
            self.alerts.external(now, input);
        }
        for record in records {
            self.alerts.remember(record);
        }
        self.shared.publish_groups(grouping.status().into());
    }
}

/// Knows the items by the series that collectors stored.
#[derive(Debug)]
struct StoreSubjects<'a>(&'a SeriesStore);

impl Subjects for StoreSubjects<'_> {
    fn subject_of(&self, labels: &Labels) -> Option<CiId> {
        const INSTANCE: LabelName = LabelName::literal("instance");
        if labels.is_empty() {
            return None;
        }
        let mut found = self.0.subjects(labels);
        // No series has these labels: the expression made some of them. The instance is still what it was.
        if found.is_empty() {
            let instance = labels.get("instance").filter(|instance| !instance.is_empty())?;
            found = self.0.subjects(&Labels::empty().to_builder().set(INSTANCE, instance).build());
        }
        // Of a machine and its parts it is the machine, whose series have the fewest labels.
        let fewest = *found.values().min()?;
        let mut most_general =
            found.into_iter().filter(|(_, labels)| *labels == fewest).map(|(item, _)| item);
        most_general.next().filter(|_| most_general.next().is_none())
    }
}

/// Writes what rules give into the series store.
#[derive(Debug)]
struct StoreSink(Arc<SeriesStore>);

impl RuleSink for StoreSink {
    fn write(&self, now: Timestamp, samples: &[WrittenSample]) -> Vec<RefusedSample> {
        let mut refused = Vec::new();
        for (index, sample) in samples.iter().enumerate() {
            let metric = sample.labels.get("__name__").and_then(|name| MetricName::new(name).ok());
            let Some(metric) = metric else {
                refused.push(RefusedSample { index, reason: "it has no usable metric name".into() });
                continue;
            };
            let labels = sample.labels.to_builder().remove("__name__").build();
            let report = match &sample.value {
                SampleValue::Float(value) => {
                    let (kind, at, value) = (SampleKind::Gauge, sample.at, *value);
                    self.0.append(now, &[NewSample { metric, labels, kind, subject: None, at, value }])
                }
                SampleValue::Histogram(histogram) => {
                    let histogram = Arc::clone(histogram);
                    let (kind, at) = (SampleKind::Gauge, sample.at);
                    self.0.append_histograms(
                        now,
                        &[NewHistogram { metric, labels, kind, subject: None, at, histogram }],
                    )
                }
                _ => {
                    refused
                        .push(RefusedSample { index, reason: "a value of a kind that is not stored".into() });
                    continue;
                }
            };
            if let Some(reason) = report.refused.keys().next() {
                refused.push(RefusedSample { index, reason: Text::literal(reason.as_str()) });
            }
        }
        refused
    }
}
