//! From an exposed series to a stored one.

use std::borrow::Cow;

use itom_core::{LabelName, Labels, LabelsBuilder, MetricName, SampleKind, Text};

use super::{ScrapeFailure, ScrapeOptions};
use crate::eval::format::open_metrics;
use crate::exposition::{FamilyKind, family, number};

/// A series under the name that it is stored with.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) metric: MetricName,
    pub(super) labels: Labels,
    pub(super) kind: SampleKind,
}

type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// The stored name of a series: labels of the target added, bounds in one spelling, limits kept.
pub(super) fn named<'a>(
    (target, options): (&Labels, &ScrapeOptions),
    (family, family_kind): (&str, FamilyKind),
    line: usize,
    name: &str,
    exposed: impl Iterator<Item = Pair<'a>>,
) -> Result<Named, ScrapeFailure> {
    let bad = |reason: String| ScrapeFailure::Name { line, reason };
    let metric = MetricName::new(name).map_err(|error| bad(error.to_string()))?;
    let kind_of_family =
        if family::belongs(family, family_kind, name) { family_kind } else { FamilyKind::Unknown };
    let suffix = name.strip_prefix(family).unwrap_or("");
    let bound = options
        .normalize_bounds
        .then_some(match kind_of_family {
            FamilyKind::Histogram | FamilyKind::GaugeHistogram if suffix == "_bucket" => Some("le"),
            FamilyKind::Summary if suffix.is_empty() => Some("quantile"),
            _ => None,
        })
        .flatten();
    if options.classic_names_only && !metric.is_classic() {
        return Err(bad(format!("the metric `{name}` is not of the classic form")));
    }
    let mut builder = LabelsBuilder::default();
    let mut exposed: Vec<(LabelName, Text)> = exposed
        .map(|(name, value)| {
            let value = match bound {
                Some(bound) if bound == name => {
                    number::value(&value).map_or(value, |value| open_metrics(value).into())
                }
                _ => value,
            };
            let label = LabelName::new(name.as_ref()).map_err(|error| bad(error.to_string()))?;
            if options.classic_names_only && !label.is_classic() {
                return Err(bad(format!("the label `{name}` is not of the classic form")));
            }
            Ok((label, Text::from(value.as_ref())))
        })
        .collect::<Result<_, ScrapeFailure>>()?;
    for (label, value) in target.iter() {
        let taken = exposed.iter().position(|(name, _)| name == label);
        match taken {
            // An exposed empty value says that the label of the target is not wanted.
            Some(_) if options.honor_labels => continue,
            Some(place) if exposed.get(place).is_some_and(|(_, value)| value.is_empty()) => {
                exposed.swap_remove(place);
            }
            Some(place) => rename(&mut exposed, place, target).map_err(bad)?,
            None => {}
        }
        builder = builder.set(label.clone(), value.clone());
    }
    for (label, value) in exposed {
        builder = builder.set(label, value);
    }
    let labels = builder.build();
    check(&labels, options)?;
    let counts = match kind_of_family {
        FamilyKind::Counter => !name.ends_with("_created"),
        // A native histogram has the family's name.
        FamilyKind::Histogram => suffix != "_created",
        FamilyKind::Summary => matches!(suffix, "_count" | "_sum"),
        _ => false,
    };
    let kind = if counts { SampleKind::Counter } else { SampleKind::Gauge };
    Ok(Named { metric, labels, kind })
}

/// Puts `exported_` before the name of an exposed label until nobody else has it.
fn rename(exposed: &mut [(LabelName, Text)], place: usize, target: &Labels) -> Result<(), String> {
    let Some((old, _)) = exposed.get(place) else { return Ok(()) };
    let mut name = format!("exported_{old}");
    while target.get(&name).is_some() || exposed.iter().any(|(have, _)| have.as_str() == name) {
        name = format!("exported_{name}");
    }
    let name = LabelName::new(name).map_err(|error| error.to_string())?;
    if let Some(pair) = exposed.get_mut(place) {
        pair.0 = name;
    }
    Ok(())
}

fn check(labels: &Labels, options: &ScrapeOptions) -> Result<(), ScrapeFailure> {
    let beyond = |what, limit: Option<usize>, have: usize| match limit {
        Some(limit) if have > limit => Err(ScrapeFailure::Limit { what, limit }),
        _ => Ok(()),
    };
    beyond("labels of a series", options.label_limit, labels.len() + 1)?;
    let names = labels.iter().map(|(name, _)| name.as_str().len()).max().unwrap_or(0);
    beyond("bytes in a label name", options.label_name_length_limit, names)?;
    let values = labels.iter().map(|(_, value)| value.len()).max().unwrap_or(0);
    beyond("bytes in a label value", options.label_value_length_limit, values)
}
