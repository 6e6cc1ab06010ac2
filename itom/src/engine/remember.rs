//! Since when alerts of rule groups are active, in the journal: the series that say so are gone after a restart.

use std::collections::{BTreeMap, BTreeSet};

use itom_alert::Record;
use itom_alert::prometheus::{AlertState, GroupKey, GroupOutput, RuleGroups};
use itom_core::{
    EvaluateError, Interval, Labels, MatchOp, SampleKind, SampleSource, Selector, SeriesData, Timestamp,
};
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::groups::Grouping;

/// What all keys begin with.
const PREFIX: &str = "group/";

/// The active alerts of one rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Kept {
    /// When they were last seen so.
    at: Timestamp,
    alerts: Vec<KeptAlert>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct KeptAlert {
    labels: Labels,
    active_at: Timestamp,
}

/// What the journal says of an earlier start, and which keys it has.
#[derive(Debug, Default)]
pub(super) struct Memory {
    recalled: Vec<Kept>,
    keys: BTreeSet<String>,
}

/// Takes the records of rule groups out of what the journal kept.
pub(super) fn recall(
    grouping: Option<&mut Grouping>,
    mut kept: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let others = kept.split_off(PREFIX);
    let (own, rest): (BTreeMap<_, _>, BTreeMap<_, _>) =
        others.into_iter().partition(|(key, _)| key.starts_with(PREFIX));
    kept.extend(rest);
    if let Some(grouping) = grouping {
        for (key, body) in own {
            match serde_json::from_str(&body) {
                Ok(alerts) => grouping.memory.recalled.push(alerts),
                // Then its alerts are pending from now on.
                Err(error) => warn!(%key, %error, "a record of a rule group cannot be read and is left out"),
            }
            grouping.memory.keys.insert(key);
        }
    }
    kept
}

/// Rules of one name in a group are told apart by their place.
fn key(group: &GroupKey, rule: usize, name: &str) -> String {
    format!("{PREFIX}{}/{}/{rule}/{name}", group.file, group.name)
}

impl Memory {
    /// What is to be remembered of what groups said.
    pub(super) fn follow(&mut self, groups: &RuleGroups, news: &[GroupOutput]) -> Vec<Record> {
        let mut records = Vec::new();
        for news in news {
            let (group, rule, name) = match news {
                GroupOutput::Alerts { group, rule, name, .. }
                | GroupOutput::Removed { group, rule, name } => (group, *rule, name),
                _ => continue,
            };
            let key = key(group, rule, name);
            let body = match news {
                GroupOutput::Alerts { error: Some(_), .. } => continue,
                GroupOutput::Alerts { alerts, .. } => {
                    let Some(at) = groups.to_remember(group, rule) else { continue };
                    let active = alerts.iter().filter(|alert| alert.state != AlertState::Inactive);
                    let alerts: Vec<_> = active
                        .map(|alert| KeptAlert { labels: alert.labels.clone(), active_at: alert.active_at })
                        .collect();
                    let kept = Kept { at, alerts };
                    // Labels and times: writing them as JSON does not fail.
                    (!kept.alerts.is_empty()).then(|| serde_json::to_string(&kept).ok()).flatten()
                }
                _ => None,
            };
            let was_there =
                if body.is_some() { self.keys.insert(key.clone()) } else { self.keys.remove(&key) };
            if body.is_some() || was_there {
                records.push(Record { key: key.into(), body: body.map(Into::into) });
            }
        }
        records
    }

    /// Removes what is remembered of rules that are not there any more.
    pub(super) fn forget_others(&mut self, groups: &RuleGroups) -> Vec<Record> {
        let mut here = BTreeSet::new();
        for group in groups.status() {
            for (index, rule) in group.rules.iter().enumerate().filter(|(_, rule)| rule.is_alerting) {
                here.insert(key(&group.key, index, &rule.name));
            }
        }
        let gone: Vec<String> = self.keys.difference(&here).cloned().collect();
        for key in &gone {
            self.keys.remove(key);
        }
        gone.into_iter().map(|key| Record { key: key.into(), body: None }).collect()
    }
}

/// What says since when alerts are active: the series, or the journal where they are gone.
#[derive(Debug)]
pub(super) struct Stored<'a> {
    pub(super) memory: &'a Memory,
    pub(super) series: &'a dyn SampleSource,
}

impl SampleSource for Stored<'_> {
    fn select(&self, selector: &Selector, range: Interval) -> Result<Vec<SeriesData>, EvaluateError> {
        let mut found = self.series.select(selector, range)?;
        let fits = |labels: &Labels| {
            // The groups ask for labels by their values.
            selector.matchers().iter().all(|matcher| {
                matcher.op == MatchOp::Equal
                    && labels.get(matcher.name.as_str()).unwrap_or_default() == matcher.value.as_str()
            })
        };
        for kept in self.memory.recalled.iter().filter(|kept| range.contains(kept.at)) {
            for alert in kept.alerts.iter().filter(|alert| fits(&alert.labels)) {
                let have = found.iter().any(|series| series.labels == alert.labels);
                if !have {
                    let sample = (kept.at, alert.active_at.as_secs() as f64);
                    found.push(SeriesData::new(alert.labels.clone(), SampleKind::Gauge, None, vec![sample]));
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an earlier version wrote is read by a later one.
    #[test]
    fn the_record_is_written_as_ever() {
        let kept = Kept {
            at: Timestamp::from_secs(1_700_000_060),
            alerts: vec![KeptAlert {
                labels: Labels::from_pairs([("alertname", "Down"), ("job", "web")]).expect("good labels"),
                active_at: Timestamp::from_secs(1_700_000_000),
            }],
        };
        let text = r#"{"at":"2023-11-14T22:14:20Z","alerts":[{"labels":{"alertname":"Down","job":"web"},"active_at":"2023-11-14T22:13:20Z"}]}"#;
        assert_eq!(serde_json::to_string(&kept).expect("JSON"), text);
        assert_eq!(serde_json::from_str::<Kept>(text).expect("a record"), kept);
    }

    #[test]
    fn only_records_of_groups_are_taken_out() {
        let kept = ["alert/1", "group/f/g/0/a", "groups", "notice/2"];
        let kept = kept.into_iter().map(|key| (key.to_owned(), String::new())).collect();
        assert_eq!(recall(None, kept).into_keys().collect::<Vec<_>>(), ["alert/1", "groups", "notice/2"]);
    }
}
