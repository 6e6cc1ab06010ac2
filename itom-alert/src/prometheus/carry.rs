//! Carrying out what the groups want: the part between the machine and the ports.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use itom_core::{
    Annotations, CiId, ErrorChain, Interval, LabelName, Labels, Machine as _, MatchOp, MetricName,
    RuleLanguage, RuleSink, SampleSource, Selector, Text, Timestamp,
};

use super::file::{GroupRule, overlay};
use super::groups::{Evaluate, Evaluated, Found, GroupInput, GroupOutput, RuleGroups, StoredState};
use super::template::Expansion;

/// Tells from the labels of a sample which item it is about.
pub trait Subjects: Send + Sync + fmt::Debug {
    /// The item, if the labels are those of one and no other. `__name__` is among them where the expression keeps it.
    fn subject_of(&self, labels: &Labels) -> Option<CiId>;
}

/// Where groups read and write.
#[derive(Debug, Clone)]
pub struct GroupPorts<'a> {
    /// What their expressions are written in.
    pub language: Arc<dyn RuleLanguage>,
    /// Where results go.
    pub sink: &'a dyn RuleSink,
    /// Where pending times are read after a restart; nothing is restored without it.
    pub stored: Option<&'a dyn SampleSource>,
    /// What tells which item an alert is about where its expression does not say.
    pub subjects: Option<&'a dyn Subjects>,
    /// The labels of this installation: templates see them, alerts do not carry them.
    pub external_labels: Labels,
    /// Where this installation is seen from outside.
    pub external_url: Text,
}

impl<'a> GroupPorts<'a> {
    /// Ports without external labels, and nothing to restore from.
    #[must_use]
    pub fn new(language: Arc<dyn RuleLanguage>, sink: &'a dyn RuleSink) -> Self {
        let (external_labels, external_url) = (Labels::empty(), Text::default());
        Self { language, sink, stored: None, subjects: None, external_labels, external_url }
    }
}

/// Evaluates rules that were asked for: a pure function of what the language shows at the time.
#[must_use]
pub fn evaluate(ask: &Evaluate, ports: &GroupPorts<'_>) -> Vec<Evaluated> {
    let expressions: Vec<_> = ask.rules.iter().map(|(_, rule)| Arc::clone(&rule.expression)).collect();
    let results = ports.language.evaluate(&expressions, ask.at);
    let expansion = Expansion {
        language: Arc::clone(&ports.language),
        at: ask.slot,
        query_at: ask.at,
        external_labels: ports.external_labels.clone(),
        external_url: ports.external_url.clone(),
    };
    let one = |((index, rule), result): (&(usize, GroupRule), _)| {
        let evaluation: itom_core::RuleEvaluation = match result {
            Ok(evaluation) => evaluation,
            Err(error) => {
                let found = Err(Text::from(ErrorChain(&error).to_string()));
                return Evaluated {
                    rule: *index,
                    found,
                    annotations: Annotations::default(),
                    samples_read: 0,
                };
            }
        };
        let samples = evaluation.samples.into_iter();
        let found: Vec<Found> =
            samples.map(|sample| find(rule, sample, &expansion, ports.subjects)).collect();
        let distinct: BTreeSet<&Labels> = found.iter().map(|found| &found.labels).collect();
        let found = if distinct.len() == found.len() {
            Ok(found)
        } else {
            let what = if rule.alerting().is_some() { "alert" } else { "rule" };
            Err(format!("vector contains metrics with the same labelset after applying {what} labels").into())
        };
        let (annotations, samples_read) = (evaluation.annotations, evaluation.samples_read);
        Evaluated { rule: *index, found, annotations, samples_read }
    };
    ask.rules.iter().zip(results).map(one).collect()
}

fn find(
    rule: &GroupRule,
    sample: itom_core::RuleSample,
    expansion: &Expansion,
    subjects: Option<&dyn Subjects>,
) -> Found {
    const ALERTNAME: LabelName = LabelName::literal("alertname");
    let Some(alerting) = rule.alerting() else {
        let own = rule.labels.iter().map(|(name, value)| (name, value.clone()));
        let labels = overlay(&sample.labels, Some(&rule.name), own);
        return Found { labels, subject: sample.subject, value: sample.value, annotations: BTreeMap::new() };
    };
    let expand = |template: &super::Template| template.expand(expansion, &sample.labels, &sample.value);
    let own = alerting.labels.iter().map(|(name, template)| (name, expand(template)));
    let labels = overlay(&sample.labels, None, own);
    let labels = labels.to_builder().set(ALERTNAME, rule.name.clone()).build();
    let annotations =
        alerting.annotations.iter().map(|(name, template)| (name.clone(), expand(template))).collect();
    let subject = sample.subject.or_else(|| subjects?.subject_of(&sample.labels));
    Found { labels, subject, value: sample.value, annotations }
}

/// Reads what was stored about alerts before a restart.
fn read_state(
    from: Timestamp,
    now: Timestamp,
    rules: &[(usize, GroupRule)],
    stored: Option<&dyn SampleSource>,
) -> Vec<StoredState> {
    let Some(stored) = stored else { return Vec::new() };
    let mut states = Vec::new();
    for (index, rule) in rules {
        let mut selector = Selector::new(MetricName::literal("ALERTS_FOR_STATE")).with(
            LabelName::literal("alertname"),
            MatchOp::Equal,
            rule.name.clone(),
        );
        // What a template makes of a label is not known here.
        for (name, value) in
            rule.labels.iter().filter(|(_, value)| !value.contains("{{") && !value.is_empty())
        {
            selector = selector.with(name.clone(), MatchOp::Equal, value.clone());
        }
        let range = Interval::new(from, now + std::time::Duration::from_micros(1));
        // A store that cannot be read restores nothing: the alerts are pending from now on.
        for series in stored.select(&selector, range).unwrap_or_default() {
            if let Some((at, value)) = series.samples.last() {
                let labels = series.labels.to_builder().remove("__name__").build();
                states.push(StoredState { rule: *index, labels, at: *at, value: *value });
            }
        }
    }
    states
}

/// Does what the groups want, until they want nothing more at this time. What remains for the caller is handed back in
/// order: alerts, what is to be sent, what was removed and finished.
pub fn carry_out(groups: &mut RuleGroups, now: Timestamp, ports: &GroupPorts<'_>) -> Vec<GroupOutput> {
    let mut news = Vec::new();
    while let Some(output) = groups.poll_output() {
        match output {
            GroupOutput::Evaluate(ask) => {
                let results = evaluate(&ask, ports);
                groups.handle(now, GroupInput::Evaluated { group: ask.group, slot: ask.slot, results });
            }
            GroupOutput::Write { group, rule, samples } => {
                let refused = ports.sink.write(now, &samples);
                groups.handle(now, GroupInput::Written { group, rule, refused });
            }
            GroupOutput::ReadState { group, from, rules } => {
                let states = read_state(from, now, &rules, ports.stored);
                groups.handle(now, GroupInput::Restored { group, states });
            }
            other => news.push(other),
        }
    }
    news
}
