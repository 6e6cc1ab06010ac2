//! The four axes over time.

use std::time::Duration;

use itom_core::{Labels, Machine, Severity, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::notify::NoticeKind;
use crate::rule::{
    Absent, AbsentOf, CompiledRule, Condition, Instance, MissingPolicy, Outcome, Rule, Verdict,
};
use crate::suppress::Sight;
use crate::testkit::{at, ci, secs};

fn rule(shape: impl Fn(Rule) -> Rule) -> CompiledRule {
    let absent = Absent { of: AbsentOf::Sightings { kind: itom_core::kind::HOST }, after: secs(60) };
    shape(Rule::new("r", Condition::Absent(absent))).compile(None).unwrap()
}

fn instance() -> Instance {
    Instance::new(Labels::empty(), Some(ci("web-1")))
}

struct Bench {
    machine: AlertMachine,
    rule: CompiledRule,
    told: Vec<(NoticeKind, Severity)>,
}

impl Bench {
    fn new(shape: impl Fn(Rule) -> Rule) -> Self {
        Self { machine: AlertMachine::new(LifeConfig::default()), rule: rule(shape), told: Vec::new() }
    }

    fn drain(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            if let LifeOutput::Notice(notice) = output {
                self.told.push((notice.kind, notice.severity));
            }
        }
    }

    fn see(&mut self, second: i64, verdict: Verdict) -> ConditionState {
        let outcomes = vec![Outcome::new(instance(), verdict)];
        self.machine.handle(at(second), LifeInput::Outcomes { rule: self.rule.clone(), outcomes });
        self.machine.handle_deadline(at(second));
        self.drain();
        self.condition()
    }

    fn wait(&mut self, second: i64) -> ConditionState {
        self.machine.handle_deadline(at(second));
        self.drain();
        self.condition()
    }

    fn condition(&self) -> ConditionState {
        let id = Alert::id_of("r", &instance());
        self.machine.alert(id).map_or(ConditionState::Normal, |alert| alert.condition)
    }
}

const BAD: Verdict = Verdict::Holds(Severity::Warning);

#[test]
fn pending_then_firing_then_recovering() {
    let mut bench = Bench::new(|rule| rule.hold_for(secs(120)).keep_firing_for(secs(60)));
    assert_eq!(bench.see(0, BAD), ConditionState::Pending);
    assert_eq!(bench.see(60, BAD), ConditionState::Pending);
    assert_eq!(bench.wait(119), ConditionState::Pending);
    assert_eq!(bench.wait(120), ConditionState::Firing, "`for` ends at its deadline");
    assert_eq!(bench.see(180, Verdict::Clear), ConditionState::Recovering);
    assert_eq!(bench.see(200, BAD), ConditionState::Firing);
    assert_eq!(bench.see(210, Verdict::Clear), ConditionState::Recovering);
    assert_eq!(bench.wait(270), ConditionState::Normal);
    assert_eq!(bench.told, [(NoticeKind::Open, Severity::Warning), (NoticeKind::Close, Severity::Warning)]);
}

#[test]
fn a_short_trouble_is_not_told() {
    let mut bench = Bench::new(|rule| rule.hold_for(secs(120)));
    bench.see(0, BAD);
    bench.see(60, Verdict::Clear);
    bench.wait(500);
    assert!(bench.told.is_empty());
}

#[test]
fn missing_data_is_not_recovery() {
    let mut bench = Bench::new(|rule| rule);
    assert_eq!(bench.see(0, BAD), ConditionState::Firing);
    assert_eq!(bench.see(60, Verdict::NoData), ConditionState::NoData);
    // Vanished from a complete answer: the same.
    let outcomes = Vec::new();
    bench.machine.handle(at(120), LifeInput::Outcomes { rule: bench.rule.clone(), outcomes });
    bench.drain();
    assert_eq!(bench.condition(), ConditionState::NoData);
    assert!(bench.machine.alert(Alert::id_of("r", &instance())).unwrap().is_open());
    assert_eq!(bench.see(180, Verdict::Error("broken".into())), ConditionState::Error);
    assert_eq!(bench.see(240, BAD), ConditionState::Firing);
    let opens = bench.told.iter().filter(|(kind, _)| *kind == NoticeKind::Open).count();
    assert_eq!(opens, 1, "one episode: {:?}", bench.told);
    assert_eq!(bench.see(300, Verdict::Clear), ConditionState::Normal);
    assert_eq!(bench.told.last().unwrap().0, NoticeKind::Close);
}

#[test]
fn policies_for_missing_data() {
    let mut fire = Bench::new(|rule| rule.no_data(MissingPolicy::Fire).severity(Severity::Major));
    assert_eq!(fire.see(0, Verdict::NoData), ConditionState::Firing);
    assert_eq!(fire.told, [(NoticeKind::Open, Severity::Major)]);
    let mut resolve = Bench::new(|rule| rule.no_data(MissingPolicy::Resolve));
    resolve.see(0, BAD);
    assert_eq!(resolve.see(60, Verdict::NoData), ConditionState::Normal);
    let mut keep = Bench::new(|rule| rule.no_data(MissingPolicy::Keep).hold_for(secs(60)));
    keep.see(0, BAD);
    assert_eq!(keep.see(30, Verdict::NoData), ConditionState::Pending);
    assert_eq!(keep.wait(500), ConditionState::Pending, "nothing fires while nothing is known");
    assert_eq!(keep.see(510, BAD), ConditionState::Firing);
}

#[test]
fn worse_is_told_as_an_update() {
    let mut bench = Bench::new(|rule| rule);
    bench.see(0, BAD);
    bench.see(60, Verdict::Holds(Severity::Critical));
    bench.see(120, Verdict::Clear);
    assert_eq!(
        bench.told,
        [
            (NoticeKind::Open, Severity::Warning),
            (NoticeKind::Update, Severity::Critical),
            (NoticeKind::Close, Severity::Critical)
        ]
    );
}

#[test]
fn flapping_stays_open_and_quiet() {
    let mut bench = Bench::new(|rule| rule);
    for step in 0..40 {
        bench.see(step * 60, if step % 2 == 0 { BAD } else { Verdict::Clear });
    }
    let told = bench.told.len();
    assert!(told <= 7, "{:?}", bench.told);
    assert!(bench.machine.alerts().all(Alert::is_open));
    for step in 40..70 {
        bench.see(step * 60, Verdict::Clear);
    }
    assert_eq!(bench.condition(), ConditionState::Normal);
    assert_eq!(bench.told.last().unwrap().0, NoticeKind::Close);
}

#[test]
fn a_snoozed_alert_is_closed_for_those_who_were_told() {
    let mut bench = Bench::new(|rule| rule);
    bench.see(0, BAD);
    let alert = Alert::id_of("r", &instance());
    let action = OperatorAction::Snooze { until: at(1000) };
    bench.machine.handle(at(10), LifeInput::Operator { alert, by: "ann".into(), action });
    bench.wait(11);
    assert!(bench.machine.alert(alert).unwrap().is_hidden());
    bench.see(60, Verdict::Holds(Severity::Critical));
    assert_eq!(bench.told.len(), 1, "changes are not told meanwhile");
    bench.see(120, Verdict::Clear);
    assert_eq!(bench.told.last().unwrap().0, NoticeKind::Close);
}

#[test]
fn a_snooze_ends_by_itself() {
    let mut bench = Bench::new(|rule| rule);
    bench.see(0, BAD);
    let alert = Alert::id_of("r", &instance());
    let action = OperatorAction::Snooze { until: at(100) };
    bench.machine.handle(at(10), LifeInput::Operator { alert, by: "ann".into(), action });
    bench.wait(11);
    bench.wait(100);
    assert!(!bench.machine.alert(alert).unwrap().is_hidden());
    assert_eq!(bench.machine.alert(alert).unwrap().operator, OperatorState::Unacknowledged);
}

#[test]
fn a_clock_set_back_delays_at_most_by_the_span() {
    let mut bench = Bench::new(|rule| rule.hold_for(secs(120)));
    bench.see(10_000, BAD);
    bench.see(0, BAD);
    assert_eq!(bench.wait(120), ConditionState::Firing);
}

#[test]
fn memory_is_bounded() {
    let config = LifeConfig { max_alerts: 10, ..LifeConfig::default() };
    let mut machine = AlertMachine::new(config);
    let rule = rule(|rule| rule);
    let outcomes = (0..50)
        .map(|index| {
            let labels = Labels::from_pairs([("n", index.to_string())]).unwrap();
            Outcome::new(Instance::new(labels, None), Verdict::Clear)
        })
        .collect();
    machine.handle(at(0), LifeInput::Outcomes { rule, outcomes });
    assert_eq!((machine.alerts().count(), machine.refused()), (10, 40));
    machine.handle_deadline(at(100_000));
    assert_eq!(machine.alerts().count(), 0, "what is normal and silent is forgotten");
}

fn verdicts() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        Just(BAD),
        Just(Verdict::Holds(Severity::Critical)),
        Just(Verdict::Clear),
        Just(Verdict::NoData),
        Just(Verdict::Error("e".into()))
    ]
}

fn outputs(machine: &mut AlertMachine) -> Vec<LifeOutput> {
    std::iter::from_fn(|| machine.poll_output()).collect()
}

proptest! {
    #[test]
    fn l8_told_is_a_sequence_of_open_updates_close(
        steps in prop::collection::vec((1..400_i64, verdicts(), 0..8_u8), 1..60), hold in 0..3_u64, keep in 0..3_u64,
    ) {
        let mut bench = Bench::new(|rule| rule.hold_for(secs(hold * 100)).keep_firing_for(secs(keep * 100)));
        let mut now = 0;
        for (pause, verdict, extra) in steps {
            now += pause;
            bench.see(now, verdict);
            let alert = Alert::id_of("r", &instance());
            let action = match extra {
                0 => Some(OperatorAction::Shelve),
                1 => Some(OperatorAction::Reset),
                2 => Some(OperatorAction::Close),
                3 => Some(OperatorAction::Snooze { until: at(now + 300) }),
                _ => None,
            };
            if let Some(action) = action {
                bench.machine.handle(at(now), LifeInput::Operator { alert, by: "ann".into(), action });
                bench.wait(now);
            }
        }
        let mut open = false;
        for (kind, _) in &bench.told {
            prop_assert_eq!(*kind == NoticeKind::Open, !open);
            open = *kind != NoticeKind::Close;
        }
        let alert = bench.machine.alerts().next();
        let announced = alert.and_then(|alert| alert.episode.as_ref()).is_some_and(|episode| episode.announced);
        prop_assert_eq!(open, announced, "whoever was told an open is told the close");
    }

    #[test]
    fn l1_the_same_script_gives_the_same_outputs_and_a_clone_goes_on_alike(
        steps in prop::collection::vec((0..200_i64, verdicts()), 1..40), cut in 0..40_usize,
    ) {
        let run = |clone_at: usize| {
            let mut machine = AlertMachine::new(LifeConfig::default());
            let rule = rule(|rule| rule.hold_for(secs(100)).keep_firing_for(secs(50)));
            let (mut now, mut all) = (0, Vec::new());
            for (index, (pause, verdict)) in steps.iter().enumerate() {
                if index == clone_at {
                    machine = machine.clone();
                }
                now += pause;
                let outcomes = vec![Outcome::new(instance(), verdict.clone())];
                machine.handle(at(now), LifeInput::Outcomes { rule: rule.clone(), outcomes });
                machine.handle(at(now), LifeInput::Look(Sight::default()));
                all.extend(outputs(&mut machine));
                // Handling what is due moves it later or removes it.
                for _ in 0..3 {
                    machine.handle_deadline(at(now));
                }
                assert!(machine.poll_deadline().is_none_or(|deadline| deadline.at > at(now)));
                all.extend(outputs(&mut machine));
            }
            all
        };
        prop_assert_eq!(run(usize::MAX), run(cut));
    }
}

#[test]
fn an_alert_survives_json() {
    let mut bench = Bench::new(|rule| rule.label("team", "db").unwrap());
    bench.see(0, BAD);
    let alert = bench.machine.alerts().next().unwrap().clone();
    let text = serde_json::to_string(&alert).unwrap();
    assert_eq!(serde_json::from_str::<Alert>(&text).unwrap(), alert);
    assert_eq!(alert.labels.to_string(), r#"{alertname="r",team="db"}"#);
    let _: (Duration, Timestamp) = (secs(1), alert.since);
}

/// Each case plays its script dozens of times on clones: fewer cases than elsewhere, `PROPTEST_CASES` raises them.
fn few() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(24);
    ProptestConfig { cases, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn alert_machine_obeys_the_machine_laws(
        steps in prop::collection::vec((verdicts(), 1..400_i64), 1..20), hold in 0..200_u64, keep in 0..200_u64,
    ) {
        let rule = rule(|rule| rule.hold_for(secs(hold)).keep_firing_for(secs(keep)));
        let mut second = 0;
        let mut script = Vec::new();
        for (verdict, pause) in &steps {
            let outcomes = vec![Outcome::new(instance(), verdict.clone())];
            script.push((at(second), LifeInput::Outcomes { rule: rule.clone(), outcomes }));
            script.push((at(second), LifeInput::Look(Sight::default())));
            second += pause;
        }
        let make = || AlertMachine::new(LifeConfig::default());
        prop_assert_eq!(itom_core::machine::testing::check_laws(make, &script, |_| Vec::new()), Ok(()));
    }
}
