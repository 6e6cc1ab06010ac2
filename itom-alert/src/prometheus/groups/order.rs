//! Which rules of a group can be evaluated together without anybody telling the difference.

use std::ops::Range;

use crate::prometheus::GroupRule;

/// Cuts a group into steps. All rules of a step are evaluated before any of their results is stored, so a step ends
/// before a rule that may read what a rule of the step writes. The outcome is that of one rule after the other.
pub(super) fn steps(rules: &[GroupRule]) -> Vec<Range<usize>> {
    let mut steps = Vec::new();
    let mut start = 0;
    for (index, rule) in rules.iter().enumerate() {
        if rules[start..index].iter().any(|earlier| reads(rule, earlier)) {
            steps.push(start..index);
            start = index;
        }
    }
    if start < rules.len() {
        steps.push(start..rules.len());
    }
    steps
}

/// Whether a rule may read what another writes. Queries in templates are not looked into.
pub(super) fn reads(rule: &GroupRule, other: &GroupRule) -> bool {
    let templates_query = rule.alerting().is_some_and(|alerting| {
        alerting.labels.values().chain(alerting.annotations.values()).any(|template| template.makes_queries())
    });
    if templates_query {
        return true;
    }
    let name = other.name.as_str();
    match other.alerting() {
        None => rule.expression.may_read(name, None),
        Some(_) => {
            ["ALERTS", "ALERTS_FOR_STATE"].iter().any(|metric| rule.expression.may_read(metric, Some(name)))
        }
    }
}
