//! The laws of suppression, and a naive model beside the real one.

use std::collections::{BTreeMap, BTreeSet};

use itom_core::{AlertId, CiId, Interval, LabelName, Labels, MatchOp, Matcher, Severity, Text, Timestamp};
use proptest::prelude::*;

use super::visibility::edges;
use super::*;
use crate::testkit::at;

fn node(index: usize) -> CiId {
    CiId::derive(&[&index.to_string()])
}

fn matcher(name: &'static str, op: MatchOp, value: &str) -> Matcher {
    Matcher { name: LabelName::literal(name), op, value: value.into() }
}

#[derive(Debug, Clone)]
struct Case {
    alerts: Vec<AlertFacts>,
    sight: Sight,
    silences: Vec<Silence>,
    windows: Vec<Window>,
    inhibit: Vec<InhibitRule>,
}

impl Case {
    fn view(&self) -> View<'_> {
        View {
            alerts: &self.alerts,
            sight: &self.sight,
            silences: &self.silences,
            windows: &self.windows,
            inhibit: &self.inhibit,
            now: at(100),
        }
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let alerts = prop::collection::vec((0..6_usize, 0..3_u8, 0..2_u8, any::<bool>(), 0..90_i64), 0..9);
    let links = prop::collection::btree_set((0..6_usize, 0..6_usize), 0..14);
    let mutes = (prop::collection::vec(0..3_u8, 0..2), prop::collection::vec(0..6_usize, 0..2));
    (alerts, links, mutes, 0..3_usize).prop_map(|(alerts, links, (silenced, windowed), rules)| {
        let alerts: Vec<AlertFacts> = alerts
            .into_iter()
            .enumerate()
            .map(|(index, (ci, level, zone, down, since))| {
                let labels =
                    Labels::from_pairs([("level", level.to_string()), ("zone", zone.to_string())]).unwrap();
                let id = AlertId::derive(&[&index.to_string()]);
                let mut alert = AlertFacts::open(id, labels, Some(node(ci)), at(since));
                alert.takes_down = down;
                alert.severity = Severity::Major;
                alert
            })
            .collect();
        let failed: BTreeSet<CiId> =
            alerts.iter().filter(|alert| alert.takes_down).filter_map(|alert| alert.ci).collect();
        let mut sight = Sight::default();
        for (from, to) in links {
            if from != to && failed.contains(&node(to)) {
                sight.brought_down_by.entry(node(from)).or_default().insert(node(to));
            }
        }
        let silences = silenced
            .into_iter()
            .map(|level| {
                let fit = vec![matcher("level", MatchOp::Equal, &level.to_string())];
                Silence::new(format!("s{level}"), "ann", Interval::ALWAYS, fit, BTreeSet::new()).unwrap()
            })
            .collect();
        let windows = windowed
            .into_iter()
            .map(|ci| {
                Window::new(
                    format!("w{ci}"),
                    "bob",
                    Interval::ALWAYS,
                    BTreeSet::from([node(ci)]),
                    Reach::Items,
                )
            })
            .collect();
        let all = [
            InhibitRule::new(
                "worse",
                vec![matcher("level", MatchOp::Equal, "2")],
                vec![matcher("level", MatchOp::Regex, "0|1")],
                vec![LabelName::literal("zone")],
            )
            .unwrap(),
            // The other way round too, so that rules inhibit each other.
            InhibitRule::new(
                "better",
                vec![matcher("level", MatchOp::NotEqual, "2")],
                vec![matcher("level", MatchOp::Equal, "2")],
                vec![],
            )
            .unwrap(),
        ];
        Case { alerts, sight, silences, windows, inhibit: all.into_iter().take(rules).collect() }
    })
}

/// The same answer, worked out the slow and obvious way: closure by repetition, no components, no queue.
fn naive(case: &Case) -> BTreeMap<AlertId, BTreeSet<Cause>> {
    let alerts = &case.alerts;
    let n = alerts.len();
    let mut direct: Vec<Vec<BTreeSet<Cause>>> = vec![vec![BTreeSet::new(); n]; n];
    for a in 0..n {
        for b in 0..n {
            let (Some(from), Some(to)) = (alerts[a].ci, alerts[b].ci) else { continue };
            let down = case.sight.brought_down_by.get(&from).is_some_and(|by| by.contains(&to));
            if from != to && alerts[b].takes_down && down {
                direct[a][b].insert(Cause::Unreachable { by: to });
            }
            for rule in &case.inhibit {
                let target = rule.target.fit(&alerts[a].labels) && rule.source.fit(&alerts[b].labels);
                let both = rule.source.fit(&alerts[a].labels) && rule.target.fit(&alerts[b].labels);
                let equal = rule.wire.equal.iter().all(|name| {
                    alerts[a].labels.get(name.as_str()).unwrap_or_default()
                        == alerts[b].labels.get(name.as_str()).unwrap_or_default()
                });
                if a != b && target && !both && equal {
                    let cause = Cause::Inhibited { by: alerts[b].id, rule: rule.name().clone() };
                    direct[a][b].insert(cause);
                }
            }
        }
    }
    let mut reach: Vec<Vec<bool>> =
        (0..n).map(|a| (0..n).map(|b| !direct[a][b].is_empty()).collect()).collect();
    for via in 0..n {
        for a in 0..n {
            for b in 0..n {
                reach[a][b] |= reach[a][via] && reach[via][b];
            }
        }
    }
    let same = |a: usize, b: usize| a == b || (reach[a][b] && reach[b][a]);
    let root = |a: usize| {
        (0..n).all(|b| !reach[a][b] || same(a, b))
            && (0..n)
                .filter(|b| same(a, *b))
                .all(|b| (alerts[a].since, alerts[a].id) <= (alerts[b].since, alerts[b].id))
    };
    let mut far: Vec<usize> = (0..n).map(|a| if root(a) { 0 } else { usize::MAX }).collect();
    for _ in 0..n {
        for a in 0..n {
            for b in 0..n {
                if !direct[a][b].is_empty() && far[b] != usize::MAX {
                    far[a] = far[a].min(far[b] + 1);
                }
            }
        }
    }
    let mut answer = BTreeMap::new();
    for (a, alert) in alerts.iter().enumerate() {
        let mut set = BTreeSet::new();
        for b in 0..n {
            if !same(a, b) || far[b] < far[a] {
                set.extend(direct[a][b].iter().cloned());
            }
        }
        for silence in &case.silences {
            if silence.fits(&alert.labels, alert.ci, at(100)) {
                set.insert(Cause::Silenced { silence: silence.id().clone(), by: silence.by().clone() });
            }
        }
        for window in &case.windows {
            if alert.ci.is_some_and(|ci| window.cis.contains(&ci)) {
                set.insert(Cause::InWindow { window: window.id.clone() });
            }
        }
        if !set.is_empty() {
            answer.insert(alert.id, set);
        }
    }
    answer
}

/// Which alerts a cause points at.
fn pointed(case: &Case, cause: &Cause) -> Vec<AlertId> {
    match cause {
        Cause::Unreachable { by } => case
            .alerts
            .iter()
            .filter(|alert| alert.ci == Some(*by) && alert.takes_down)
            .map(|alert| alert.id)
            .collect(),
        Cause::Inhibited { by, .. } => vec![*by],
        _ => Vec::new(),
    }
}

fn answered(case: &Case, id: AlertId, causes: &BTreeMap<AlertId, BTreeSet<Cause>>, depth: usize) -> bool {
    let Some(set) = causes.get(&id) else { return true };
    set.iter().any(Cause::is_mute)
        || (depth < 20
            && set
                .iter()
                .flat_map(|cause| pointed(case, cause))
                .any(|other| answered(case, other, causes, depth + 1)))
}

proptest! {
    #[test]
    fn l8_the_engine_equals_the_naive_model(case in cases()) {
        prop_assert_eq!(visibility(&case.view()), naive(&case));
    }

    #[test]
    fn l8_every_hidden_alert_is_answered_for(case in cases()) {
        let causes = visibility(&case.view());
        for id in causes.keys() {
            prop_assert!(answered(&case, *id, &causes, 0), "{:?}", causes);
        }
    }

    #[test]
    fn l8_no_two_alerts_hide_each_other(case in cases()) {
        let causes = visibility(&case.view());
        let open: Vec<&AlertFacts> = case.alerts.iter().collect();
        // Follow only the edges that were kept: whoever points must not be reached again.
        let kept: BTreeMap<AlertId, BTreeSet<AlertId>> = open
            .iter()
            .enumerate()
            .map(|(index, alert)| {
                let all = &edges(&case.view(), &open)[index];
                let targets = all
                    .iter()
                    .filter(|(_, cause)| {
                        matches!(cause, Cause::Inhibited { .. })
                            && causes.get(&alert.id).is_some_and(|set| set.contains(cause))
                    })
                    .map(|(to, _)| open[*to].id)
                    .collect();
                (alert.id, targets)
            })
            .collect();
        for (id, targets) in &kept {
            for target in targets {
                prop_assert!(!kept[target].contains(id));
            }
        }
    }

    #[test]
    fn l8_taking_a_mute_away_hides_nothing(case in cases()) {
        let before = visibility(&case.view());
        let mut lifted = case.clone();
        lifted.silences.pop();
        lifted.windows.pop();
        let after = visibility(&lifted.view());
        for id in after.keys() {
            prop_assert!(before.contains_key(id));
        }
    }

    #[test]
    fn l8_with_no_reason_nothing_is_hidden(case in cases()) {
        let bare = Case { sight: Sight::default(), silences: vec![], windows: vec![], inhibit: vec![], ..case };
        prop_assert!(visibility(&bare.view()).is_empty());
    }
}

#[test]
fn all_sources_of_an_inhibition_count() {
    // Where an index keeps one source only, the second takes the first one's place and its end loses the inhibition.
    let rule = InhibitRule::new(
        "down",
        vec![matcher("level", MatchOp::Equal, "critical")],
        vec![matcher("level", MatchOp::Equal, "warning")],
        vec![LabelName::literal("zone")],
    )
    .unwrap();
    let open = |id: &str, level: &str| {
        let labels = Labels::from_pairs([("level", level), ("zone", "a"), ("id", id)]).unwrap();
        AlertFacts::open(AlertId::derive(&[id]), labels, None, at(0))
    };
    let mut case = Case {
        alerts: vec![open("1", "critical"), open("2", "critical"), open("3", "warning")],
        sight: Sight::default(),
        silences: vec![],
        windows: vec![],
        inhibit: vec![rule],
    };
    assert_eq!(visibility(&case.view())[&AlertId::derive(&["3"])].len(), 2, "both are stored");
    case.alerts.remove(1);
    assert_eq!(visibility(&case.view())[&AlertId::derive(&["3"])].len(), 1, "one is enough");
    case.alerts.remove(0);
    assert!(visibility(&case.view()).is_empty());
}

#[test]
fn a_silence_over_everything_is_refused_and_survives_json() {
    assert!(Silence::new("s", "ann", Interval::ALWAYS, vec![], BTreeSet::new()).is_err());
    let wrong = vec![matcher("a", MatchOp::Regex, "(")];
    assert!(Silence::new("s", "ann", Interval::ALWAYS, wrong, BTreeSet::new()).is_err());
    let fit = vec![matcher("job", MatchOp::Regex, "web.*")];
    let during = Interval::new(Timestamp::from_secs(1), Timestamp::from_secs(2));
    let silence = Silence::new("s", "ann", during, fit, BTreeSet::new()).unwrap().comment("upgrade");
    let text = serde_json::to_string(&silence).unwrap();
    assert_eq!(
        text,
        r#"{"id":"s","matchers":[{"name":"job","op":"=~","value":"web.*"}],"from":"1970-01-01T00:00:01Z","to":"1970-01-01T00:00:02Z","by":"ann","comment":"upgrade"}"#
    );
    assert_eq!(serde_json::from_str::<Silence>(&text).unwrap(), silence);
    let _: Text = silence.id().clone();
}
