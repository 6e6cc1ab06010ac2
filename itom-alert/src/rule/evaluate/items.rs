//! Conditions about configuration items and about silence.

use std::collections::BTreeMap;
use std::time::Duration;

use itom_core::{ChangeKind, CiId, CiSummary, Interval, Labels, Timestamp, Value};

use super::super::condition::{Absent, AbsentOf, ChangeCheck, ChangeOf, StateCheck, Test};
use super::{Evaluation, Evidence, Failed, Instance, Leaves, Verdict, unwired};

impl Evaluation<'_> {
    fn silent(&self, since: Option<Timestamp>, after: Duration, what: &str) -> (Verdict, Evidence) {
        let age = since.map(|since| self.now.since(since));
        let silent = age.is_none_or(|age| age >= after);
        let verdict = if silent { Verdict::Holds(self.severity) } else { Verdict::Clear };
        let span = itom_core::time::format_duration(after);
        let reading = match since {
            Some(since) => format!("{what} last at {since}"),
            None => format!("{what} never, as far back as was looked"),
        };
        let evidence = Evidence {
            value: age.map(|age| age.as_secs_f64()),
            condition: format!("no {what} for {span}").into(),
            readings: vec![reading.into()],
        };
        (verdict, evidence)
    }

    pub(super) fn absent(&self, absent: &Absent) -> Result<Leaves, Failed> {
        let mut leaves = Leaves::new();
        match &absent.of {
            AbsentOf::Series { selector, remember } => {
                for series in self.select(selector, *remember)? {
                    let last = series.samples.last().map(|(at, _)| *at);
                    let leaf = self.silent(last, absent.after, &selector.to_string());
                    leaves.insert(Instance::new(series.labels, series.subject), leaf);
                }
            }
            AbsentOf::Samples { kind, selector } => {
                let mut last: BTreeMap<CiId, Timestamp> = BTreeMap::new();
                for series in self.select(selector, absent.after)? {
                    if let (Some(ci), Some((at, _))) = (series.subject, series.samples.last()) {
                        let entry = last.entry(ci).or_insert(*at);
                        *entry = (*entry).max(*at);
                    }
                }
                for ci in unwired(self.ports.inventory, "inventory")?.cis(kind) {
                    // An item that has only just appeared gets the time to speak.
                    let leaf = match last.get(&ci.id) {
                        _ if ci.retired => retired(),
                        Some(at) => self.silent(Some(*at), absent.after, &selector.to_string()),
                        None if self.now.since(ci.first_seen) < absent.after => {
                            (Verdict::Clear, Evidence::default())
                        }
                        None => self.silent(None, absent.after, &selector.to_string()),
                    };
                    leaves.insert(Instance::new(Labels::empty(), Some(ci.id)), leaf);
                }
            }
            AbsentOf::Sightings { kind } => {
                for ci in unwired(self.ports.inventory, "inventory")?.cis(kind) {
                    let leaf = if ci.retired {
                        retired()
                    } else {
                        self.silent(Some(ci.last_seen), absent.after, &format!("sighting of the {kind}"))
                    };
                    leaves.insert(Instance::new(Labels::empty(), Some(ci.id)), leaf);
                }
            }
        }
        Ok(leaves)
    }

    pub(super) fn state(&self, check: &StateCheck) -> Result<Leaves, Failed> {
        let mut leaves = Leaves::new();
        for ci in unwired(self.ports.inventory, "inventory")?.cis(&check.kind) {
            let leaf = if ci.retired { retired() } else { self.test(check, &ci) };
            leaves.insert(Instance::new(Labels::empty(), Some(ci.id)), leaf);
        }
        Ok(leaves)
    }

    fn test(&self, check: &StateCheck, ci: &CiSummary) -> (Verdict, Evidence) {
        let value = ci.attributes.get(&check.attribute);
        let number = |value: &Value| match value {
            Value::Time(at) => Some(at.as_secs_f64()),
            other => other.as_float(),
        };
        let equal = |a: &Value, b: &Value| match (a.as_float(), b.as_float()) {
            // 1 and 1.0 are the same number whichever way a source wrote it.
            (Some(a), Some(b)) => a == b,
            _ => a == b,
        };
        let decided = match (value, &check.test) {
            (Some(Value::NotApplicable), _) => Some(false),
            (Some(value), Test::Known) if value.is_known() => Some(true),
            (_, Test::Known) => Some(false),
            (Some(value), Test::Unknown) => Some(!value.is_known()),
            (None, Test::Unknown) => Some(true),
            (None | Some(Value::Unknown | Value::Withheld), _) => None,
            (Some(value), Test::Equals(wanted)) => Some(equal(value, wanted)),
            (Some(value), Test::NotEquals(wanted)) => Some(!equal(value, wanted)),
            (Some(value), Test::OneOf(wanted)) => Some(wanted.iter().any(|one| equal(value, one))),
            (Some(value), Test::Less(limit)) => number(value).map(|value| value < *limit),
            (Some(value), Test::Greater(limit)) => number(value).map(|value| value > *limit),
        };
        let verdict = match decided {
            Some(true) => Verdict::Holds(self.severity),
            Some(false) => Verdict::Clear,
            None => Verdict::NoData,
        };
        let said = value.map_or_else(|| "not known".to_owned(), ToString::to_string);
        let evidence = Evidence {
            value: value.and_then(number).filter(|value| !value.is_nan()),
            condition: format!("{} {}", check.attribute, check.test).into(),
            readings: vec![format!("{} = {said}", check.attribute).into()],
        };
        (verdict, evidence)
    }

    pub(super) fn change(&self, check: &ChangeCheck) -> Result<Leaves, Failed> {
        let inventory = unwired(self.ports.inventory, "inventory")?;
        let changes = unwired(self.ports.changes, "change source")?;
        let end = self.now + Duration::from_micros(1);
        let mut leaves = Leaves::new();
        for change in changes.changes(Interval::new(self.now - check.within, end)) {
            let wanted = match (&check.change, &change.change) {
                (ChangeOf::Appeared, ChangeKind::Appeared) | (ChangeOf::Retired, ChangeKind::Retired) => true,
                (ChangeOf::Attribute(wanted), ChangeKind::Attribute(changed)) => wanted == changed,
                _ => false,
            };
            if !wanted {
                continue;
            }
            let Some(ci) = inventory.ci(change.ci) else { continue };
            if !ci.kind.is_a(&check.kind) {
                continue;
            }
            let undone = match check.change {
                ChangeOf::Retired => !ci.retired,
                ChangeOf::Appeared | ChangeOf::Attribute(_) => ci.retired,
            };
            let verdict = if undone { Verdict::Clear } else { Verdict::Holds(self.severity) };
            let mut reading = match &check.change {
                ChangeOf::Appeared => format!("appeared at {}", change.at),
                ChangeOf::Retired => format!("retired at {}", change.at),
                ChangeOf::Attribute(name) => {
                    let show = |value: &Option<Value>| {
                        value.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string)
                    };
                    format!(
                        "{name} went from {} to {} at {}",
                        show(&change.before),
                        show(&change.after),
                        change.at
                    )
                }
            };
            if let Some(source) = &change.source {
                reading.push_str(&format!(" (says {source})"));
            }
            let evidence = Evidence {
                value: Some(self.now.since(change.at).as_secs_f64()),
                condition: format!("changed within {}", itom_core::time::format_duration(check.within))
                    .into(),
                readings: vec![reading.into()],
            };
            // Oldest first, so that the latest change of an item is the one kept.
            leaves.insert(Instance::new(Labels::empty(), Some(ci.id)), (verdict, evidence));
        }
        Ok(leaves)
    }
}

fn retired() -> (Verdict, Evidence) {
    (Verdict::Clear, Evidence { readings: vec!["the item is retired".into()], ..Evidence::default() })
}
