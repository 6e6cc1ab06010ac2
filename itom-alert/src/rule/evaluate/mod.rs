//! Evaluating a compiled rule: a pure function of what the ports show at a time.

mod items;

use std::collections::BTreeMap;
use std::sync::Arc;

use itom_core::{
    ChangeSource, CiId, ErrorChain, EvaluateError, Expression, Interval, Inventory, LabelName, Labels,
    Reading, SampleSource, Selector, SeriesData, Severity, Text, Timestamp, Topology,
};
use serde::{Deserialize, Serialize};

use super::CompiledRule;
use super::condition::{Combination, Condition, Level, Query, Ratio, Signal};
use super::reduce;
use super::template::short;

/// Where rules read. What is not wired gives an error that says so. (Expressions read through what compiled them.)
#[derive(Debug, Clone, Copy, Default)]
pub struct Ports<'a> {
    pub(crate) samples: Option<&'a dyn SampleSource>,
    pub(crate) inventory: Option<&'a dyn Inventory>,
    pub(crate) changes: Option<&'a dyn ChangeSource>,
    pub(crate) topology: Option<&'a dyn Topology>,
}

impl<'a> Ports<'a> {
    /// Nothing wired.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Where samples are read.
    #[must_use]
    pub const fn samples(mut self, port: &'a dyn SampleSource) -> Self {
        self.samples = Some(port);
        self
    }

    /// Which items there are.
    #[must_use]
    pub const fn inventory(mut self, port: &'a dyn Inventory) -> Self {
        self.inventory = Some(port);
        self
    }

    /// What changed.
    #[must_use]
    pub const fn changes(mut self, port: &'a dyn ChangeSource) -> Self {
        self.changes = Some(port);
        self
    }

    /// What depends on what.
    #[must_use]
    pub const fn topology(mut self, port: &'a dyn Topology) -> Self {
        self.topology = Some(port);
        self
    }
}

/// What an alert is about: labels and, as far as known, an item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Instance {
    /// The labels that tell instances apart.
    pub labels: Labels,
    /// The item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ci: Option<CiId>,
}

impl Instance {
    /// An instance.
    #[must_use]
    pub const fn new(labels: Labels, ci: Option<CiId>) -> Self {
        Self { labels, ci }
    }
}

/// What a condition says of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It holds, this badly.
    Holds(Severity),
    /// It holds, this badly, and whoever judged says that it does not for long enough yet.
    Pending(Severity),
    /// It does not hold.
    Clear,
    /// It cannot be said: there is no data.
    NoData,
    /// It cannot be said: evaluation failed.
    Error(Text),
}

impl Verdict {
    fn rank(&self) -> u8 {
        match self {
            Self::Clear | Self::Pending(_) => 0,
            Self::NoData => 1,
            Self::Error(_) => 2,
            Self::Holds(_) => 3,
        }
    }

    /// Kleene "and": clear wins, then what is unknown, then the mildest.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Clear, _) | (_, Self::Clear) => Self::Clear,
            (Self::Holds(a), Self::Holds(b)) => Self::Holds(a.min(b)),
            (Self::Holds(_), unknown) | (unknown, Self::Holds(_)) => unknown,
            (a, b) => {
                if b.rank() > a.rank() {
                    b
                } else {
                    a
                }
            }
        }
    }

    /// Kleene "or": the worst that holds wins, then what is unknown.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Holds(a), Self::Holds(b)) => Self::Holds(a.max(b)),
            (a, b) => {
                if b.rank() > a.rank() {
                    b
                } else {
                    a
                }
            }
        }
    }
}

/// What was read and how it compares: kept with the alert, so that it can say why.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Evidence {
    /// The number compared, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// The condition in words: `node_load5 > 8`.
    pub condition: Text,
    /// What was read, one line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub readings: Vec<Text>,
}

/// What was found for one instance.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Outcome {
    /// The instance.
    pub instance: Instance,
    /// What the condition says.
    pub verdict: Verdict,
    /// What was read.
    pub evidence: Evidence,
    /// The item's name, as far as known.
    pub ci_name: Option<Text>,
    /// The item's kind, as far as known.
    pub ci_kind: Option<Text>,
    /// What people are told, where it does not come from the rule's own templates.
    pub told: Option<Told>,
}

/// What people are told about an alert.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// One line.
    pub summary: Text,
    /// More lines.
    pub description: Text,
    /// Where it says what to do.
    pub runbook_url: Text,
}

impl Outcome {
    /// An outcome without evidence.
    #[must_use]
    pub fn new(instance: Instance, verdict: Verdict) -> Self {
        Self { instance, verdict, evidence: Evidence::default(), ci_name: None, ci_kind: None, told: None }
    }
}

type Leaves = BTreeMap<Instance, (Verdict, Evidence)>;

struct Evaluation<'a> {
    now: Timestamp,
    ports: &'a Ports<'a>,
    severity: Severity,
    held: &'a BTreeMap<Instance, Option<Severity>>,
    expressions: std::slice::Iter<'a, Arc<dyn Expression>>,
}

/// Why a whole leaf could not be evaluated.
struct Failed(Text);

impl From<EvaluateError> for Failed {
    fn from(error: EvaluateError) -> Self {
        Self(ErrorChain(&error).to_string().into())
    }
}

fn unwired<T>(port: Option<T>, what: &str) -> Result<T, Failed> {
    port.ok_or_else(|| Failed(format!("no {what} is wired to the alert engine").into()))
}

impl CompiledRule {
    /// Evaluates the rule at `now`. `known` are the instances the rule had before, each with the severity it holds at,
    /// if it does: hysteresis needs the severity, and an instance that is no longer found is reported without data
    /// (clear if its item is retired) rather than left out. The answer is complete, sorted by instance.
    #[must_use]
    pub fn evaluate(
        &self,
        now: Timestamp,
        ports: &Ports<'_>,
        known: &BTreeMap<Instance, Option<Severity>>,
    ) -> Vec<Outcome> {
        let mut evaluation = Evaluation {
            now,
            ports,
            severity: self.rule().severity,
            held: known,
            expressions: self.expressions().iter(),
        };
        let found = evaluation.condition(&self.rule().condition);
        let missing_is_clear = self.rule().condition.absence_is_clear();
        let mut leaves = match found {
            Ok(leaves) => leaves,
            Err(Failed(reason)) => {
                // Nothing could be evaluated: every known instance says so, and one for the rule itself when none is.
                let mut leaves: Leaves = known
                    .keys()
                    .map(|instance| (instance.clone(), (Verdict::Error(reason.clone()), Evidence::default())))
                    .collect();
                if leaves.is_empty() {
                    let instance = Instance::new(Labels::empty(), None);
                    leaves.insert(instance, (Verdict::Error(reason), Evidence::default()));
                }
                return self.name_items(leaves, ports);
            }
        };
        for instance in known.keys() {
            if leaves.contains_key(instance) {
                continue;
            }
            let gone = instance
                .ci
                .zip(ports.inventory)
                .and_then(|(ci, inventory)| inventory.ci(ci))
                .is_some_and(|ci| ci.retired);
            // The instance that stood for a failed evaluation of the whole rule ends with the failure.
            let stand_in = instance.labels.is_empty() && instance.ci.is_none();
            let (verdict, reading) = if gone {
                (Verdict::Clear, "the item is retired")
            } else if missing_is_clear || stand_in {
                (Verdict::Clear, "no longer returned")
            } else {
                (Verdict::NoData, "no data")
            };
            let evidence = Evidence { readings: vec![reading.into()], ..Evidence::default() };
            leaves.insert(instance.clone(), (verdict, evidence));
        }
        self.name_items(leaves, ports)
    }

    fn name_items(&self, leaves: Leaves, ports: &Ports<'_>) -> Vec<Outcome> {
        leaves
            .into_iter()
            .map(|(instance, (verdict, evidence))| {
                // Names are looked up only where somebody may be told.
                let ci = match verdict {
                    Verdict::Clear => None,
                    _ => instance.ci.zip(ports.inventory).and_then(|(ci, inventory)| inventory.ci(ci)),
                };
                let (ci_name, ci_kind) = ci.map(|ci| (ci.name, ci.kind.text().clone())).unzip();
                Outcome { instance, verdict, evidence, ci_name, ci_kind, told: None }
            })
            .collect()
    }
}

impl Evaluation<'_> {
    fn condition(&mut self, condition: &Condition) -> Result<Leaves, Failed> {
        match condition {
            Condition::Threshold(threshold) => self.threshold(&threshold.signal, &threshold.levels),
            Condition::Absent(absent) => self.absent(absent),
            Condition::State(check) => self.state(check),
            Condition::Change(check) => self.change(check),
            Condition::Expression(check) => self.expression(&check.expression, &check.levels),
            Condition::All(parts) => self.combine(parts, Verdict::and),
            Condition::Any(parts) => self.combine(parts, Verdict::or),
            Condition::Not(part) => {
                let mut leaves = self.condition(part)?;
                for (verdict, evidence) in leaves.values_mut() {
                    *verdict = match std::mem::replace(verdict, Verdict::NoData) {
                        Verdict::Holds(_) => Verdict::Clear,
                        Verdict::Clear => Verdict::Holds(self.severity),
                        unknown => unknown,
                    };
                    evidence.condition = format!("not ({})", evidence.condition).into();
                }
                Ok(leaves)
            }
        }
    }

    fn held(&self, instance: &Instance) -> Option<Severity> {
        self.held.get(instance).copied().flatten()
    }

    /// The worst level that holds. A level that was held (or one milder than what was held) is judged by its clear
    /// limit.
    fn judge(&self, instance: &Instance, value: f64, what: &str, levels: &[Level]) -> (Verdict, Text) {
        let held = self.held(instance);
        let mut worst: Option<&Level> = None;
        for level in levels {
            let limit = match (held, level.clear) {
                (Some(held), Some(clear)) if held >= level.severity => clear,
                _ => level.value,
            };
            // A clear limit is inclusive on the firing side only as far as the comparison says so.
            if level.op.holds(value, limit) && worst.is_none_or(|worst| level.severity > worst.severity) {
                worst = Some(level);
            }
        }
        match worst {
            Some(level) => {
                let cleared = level.clear.map(|clear| format!(" (clears at {})", short(clear)));
                let text = format!("{what} {level}{}", cleared.unwrap_or_default());
                (Verdict::Holds(level.severity), text.into())
            }
            None => {
                let mildest = levels.iter().min_by_key(|level| level.severity);
                let text = mildest.map_or_else(|| what.to_owned(), |level| format!("{what} {level}"));
                (Verdict::Clear, text.into())
            }
        }
    }

    fn threshold(&self, signal: &Signal, levels: &[Level]) -> Result<Leaves, Failed> {
        let what = signal.to_string();
        let numbers = match signal {
            Signal::Series(query) => self
                .numbers(query)?
                .into_iter()
                .map(|(instance, value)| {
                    let readings = value.map(|value| Text::from(format!("{query} = {}", short(value))));
                    (instance, (value, readings.into_iter().collect()))
                })
                .collect(),
            Signal::Ratio(ratio) => self.ratio(ratio)?,
        };
        let mut leaves = Leaves::new();
        for (instance, (value, readings)) in numbers {
            let leaf = match value {
                Some(value) => {
                    let (verdict, condition) = self.judge(&instance, value, &what, levels);
                    (verdict, Evidence { value: Some(value), condition, readings })
                }
                None => {
                    let condition = what.as_str().into();
                    (Verdict::NoData, Evidence { value: None, condition, readings })
                }
            };
            leaves.insert(instance, leaf);
        }
        Ok(leaves)
    }

    fn select(&self, selector: &Selector, span: std::time::Duration) -> Result<Vec<SeriesData>, Failed> {
        let samples = unwired(self.ports.samples, "sample source")?;
        // The interval is half open and a sample taken now counts.
        let end = self.now + std::time::Duration::from_micros(1);
        Ok(samples.select(selector, Interval::new(self.now - span, end))?)
    }

    fn numbers(&self, query: &Query) -> Result<BTreeMap<Instance, Option<f64>>, Failed> {
        let series = self.select(&query.selector, query.window)?;
        let mut groups: BTreeMap<Instance, Vec<Option<f64>>> = BTreeMap::new();
        for one in series {
            let value = reduce::reduce(query.reduce, &one.samples, self.now, query.window);
            let labels = match &query.across {
                Some(across) => across
                    .without
                    .iter()
                    .fold(one.labels.to_builder(), |labels, name| labels.remove(name.as_str()))
                    .build(),
                None => one.labels,
            };
            groups.entry(Instance::new(labels, one.subject)).or_default().push(value);
        }
        Ok(groups
            .into_iter()
            .map(|(instance, values)| {
                let known: Vec<f64> = values.into_iter().flatten().collect();
                let value = match &query.across {
                    _ if known.is_empty() => None,
                    Some(across) => Some(reduce::across(across.op, &known)),
                    // Two series of one source with equal labels and subject: the last in order speaks.
                    None => known.last().copied(),
                };
                (instance, value.filter(|value| !value.is_nan()))
            })
            .collect())
    }

    #[expect(clippy::type_complexity, reason = "used once; a name would not say more")]
    fn ratio(&self, ratio: &Ratio) -> Result<BTreeMap<Instance, (Option<f64>, Vec<Text>)>, Failed> {
        let key = |instance: &Instance| {
            if ratio.on.is_empty() { instance.clone() } else { project(instance, &ratio.on) }
        };
        let divisors: BTreeMap<Instance, Option<f64>> =
            self.numbers(&ratio.to)?.into_iter().map(|(instance, value)| (key(&instance), value)).collect();
        let mut quotients = BTreeMap::new();
        for (instance, dividend) in self.numbers(&ratio.of)? {
            let divisor = divisors.get(&key(&instance)).copied().flatten();
            let readings = [(&ratio.of, dividend), (&ratio.to, divisor)]
                .into_iter()
                .filter_map(|(query, value)| Some(format!("{query} = {}", short(value?)).into()))
                .collect();
            let value = dividend
                .zip(divisor)
                .map(|(dividend, divisor)| dividend / divisor)
                .filter(|quotient| quotient.is_finite());
            quotients.insert(instance, (value, readings));
        }
        Ok(quotients)
    }

    fn expression(&mut self, source: &str, levels: &[Level]) -> Result<Leaves, Failed> {
        let expression = unwired(self.expressions.next(), "compiled expression")?;
        let mut leaves = Leaves::new();
        for finding in expression.evaluate(self.now)? {
            let instance = Instance::new(finding.labels, finding.subject);
            let leaf = match finding.reading {
                Reading::Value(value) if value.is_nan() && !levels.is_empty() => {
                    (Verdict::NoData, Evidence::default())
                }
                Reading::Value(value) => {
                    let (verdict, condition) = if levels.is_empty() {
                        (Verdict::Holds(self.severity), source.into())
                    } else {
                        self.judge(&instance, value, source, levels)
                    };
                    let readings = vec![format!("value = {}", short(value)).into()];
                    (verdict, Evidence { value: Some(value), condition, readings })
                }
                Reading::NoData => (Verdict::NoData, Evidence::default()),
                Reading::Error(reason) => (Verdict::Error(reason), Evidence::default()),
                _ => (Verdict::Error("a reading of a kind not known here".into()), Evidence::default()),
            };
            leaves.insert(instance, leaf);
        }
        Ok(leaves)
    }

    fn combine(
        &mut self,
        combination: &Combination,
        join: fn(Verdict, Verdict) -> Verdict,
    ) -> Result<Leaves, Failed> {
        let mut parts: Vec<(Leaves, bool)> = Vec::with_capacity(combination.of.len());
        for part in &combination.of {
            let mut projected = Leaves::new();
            for (instance, (verdict, evidence)) in self.condition(part)? {
                let key = project(&instance, &combination.on);
                match projected.remove(&key) {
                    None => {
                        projected.insert(key, (verdict, evidence));
                    }
                    Some((other, kept)) => {
                        let evidence = if verdict.rank() > other.rank() { evidence } else { kept };
                        projected.insert(key, (other.or(verdict), evidence));
                    }
                }
            }
            parts.push((projected, part.absence_is_clear()));
        }
        let keys: std::collections::BTreeSet<Instance> =
            parts.iter().flat_map(|(leaves, _)| leaves.keys().cloned()).collect();
        let mut joined = Leaves::new();
        for key in keys {
            let mut result: Option<Verdict> = None;
            let mut evidence = Evidence::default();
            let mut conditions: Vec<String> = Vec::new();
            for (leaves, absence_is_clear) in &parts {
                let absent = if *absence_is_clear { Verdict::Clear } else { Verdict::NoData };
                let verdict = match leaves.get(&key) {
                    Some((verdict, part)) => {
                        evidence.value = evidence.value.or(part.value);
                        evidence.readings.extend(part.readings.iter().cloned());
                        conditions.push(part.condition.to_string());
                        verdict.clone()
                    }
                    None => absent,
                };
                result = Some(match result {
                    Some(result) => join(result, verdict),
                    None => verdict,
                });
            }
            let all = matches!(join(Verdict::Clear, Verdict::Holds(self.severity)), Verdict::Clear);
            evidence.condition = conditions.join(if all { " and " } else { " or " }).into();
            joined.insert(key, (result.unwrap_or(Verdict::NoData), evidence));
        }
        Ok(joined)
    }
}

/// The instance with only these labels; the item always belongs to it.
fn project(instance: &Instance, on: &[LabelName]) -> Instance {
    let mut labels = Labels::empty().to_builder();
    for name in on {
        if let Some(value) = instance.labels.get(name.as_str()) {
            labels = labels.set(name.clone(), value);
        }
    }
    Instance::new(labels.build(), instance.ci)
}
