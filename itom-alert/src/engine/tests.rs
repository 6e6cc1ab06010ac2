//! The whole engine, crashed at every effect.

use std::collections::{BTreeMap, BTreeSet};

use itom_core::{Severity, Text};
use proptest::prelude::*;

use super::*;
use crate::life::TransitionKind;
use crate::outbox::Receiver;
use crate::rule::{Absent, AbsentOf, Compare, Condition, Effect, Level, Query, Reduce, Rule};
use crate::testkit::{World, at, ci, secs};
use itom_core::{MetricName, Selector};

fn load_rule() -> CompiledRule {
    let query = Query::new(Selector::new(MetricName::literal("node_load1")), Reduce::Last, secs(90));
    let level = Level::new(Severity::Warning, Compare::Above, 1.0);
    Rule::new("load", Condition::threshold(query, [level]))
        .summary("{{ci.name}} load {{value}}")
        .effect(Effect::None)
        .compile(None)
        .unwrap()
}

fn config() -> AlertConfig {
    let mut config = AlertConfig::default();
    config.outbox.receivers = vec![Receiver::new("pager")];
    config
}

/// A driver with a durable store, a receiver that knows keys, and a crash after a chosen number of effects.
struct Driver {
    engine: AlertEngine,
    durable: BTreeMap<Text, Text>,
    keys: BTreeSet<Text>,
    told: Vec<(Text, NoticeKind)>,
    effects: usize,
    crash_at: BTreeSet<usize>,
}

struct Crashed;

impl Driver {
    fn new(crash_at: BTreeSet<usize>) -> Self {
        let mut engine = AlertEngine::new(config());
        engine.handle(at(0), AlertInput::Rule(load_rule()));
        let (durable, keys, told) = Default::default();
        Self { engine, durable, keys, told, effects: 0, crash_at }
    }

    fn restart(&mut self, second: i64) {
        self.engine = AlertEngine::new(config());
        self.engine.handle(at(second), AlertInput::Rule(load_rule()));
        let records = self
            .durable
            .iter()
            .map(|(key, body)| Record { key: key.clone(), body: Some(body.clone()) })
            .collect();
        self.engine.handle(at(second), AlertInput::Restore(records));
    }

    fn perform(&mut self, second: i64) -> Result<(), Crashed> {
        while let Some(output) = self.engine.poll_output() {
            match output {
                AlertOutput::Persist(Record { key, body: Some(body) }) => {
                    self.durable.insert(key, body);
                }
                AlertOutput::Persist(Record { key, body: None }) => {
                    self.durable.remove(&key);
                }
                AlertOutput::Send(send) => {
                    if self.keys.insert(send.notice.key.clone()) {
                        self.told.push((send.notice.episode.clone(), send.notice.kind));
                    }
                    self.boundary()?;
                    let (key, attempt) = (send.notice.key.clone(), send.attempt);
                    self.engine.handle(at(second), AlertInput::Sent { key, attempt, result: Ok(()) });
                }
                AlertOutput::Transition(_) => continue,
                AlertOutput::GaveUp { .. } | AlertOutput::Refused(_) => panic!("{output:?}"),
            }
            self.boundary()?;
        }
        Ok(())
    }

    fn boundary(&mut self) -> Result<(), Crashed> {
        self.effects += 1;
        if self.crash_at.remove(&self.effects) { Err(Crashed) } else { Ok(()) }
    }

    fn tick(&mut self, second: i64, world: &World) {
        loop {
            self.engine.tick(at(second), &world.ports());
            match self.perform(second) {
                Ok(()) => return,
                Err(Crashed) => loop {
                    self.restart(second);
                    // Restoring has effects too, and may crash again.
                    if self.perform(second).is_ok() {
                        break;
                    }
                },
            }
        }
    }

    fn open_episodes(&self) -> usize {
        let opens = self.told.iter().filter(|(_, kind)| *kind == NoticeKind::Open).count();
        let closes = self.told.iter().filter(|(_, kind)| *kind == NoticeKind::Close).count();
        opens - closes
    }
}

proptest! {
    #[test]
    fn l9_crash_at_every_effect_loses_and_doubles_nothing(
        bad in prop::collection::vec(any::<bool>(), 1..25), crashes in prop::collection::btree_set(1..80_usize, 0..4),
    ) {
        let mut world = World::default();
        let host = world.item("web-1", "host");
        let mut driver = Driver::new(crashes);
        // Long quiet stretches keep flapping out of it: that is another test's.
        for (step, bad) in bad.iter().enumerate() {
            for quiet in 0..12 {
                let second = (step * 12 + quiet) as i64 * 60;
                world.sample("node_load1", &[], Some(host), second, if *bad { 9.0 } else { 0.1 });
                driver.tick(second, &world);
                prop_assert_eq!(driver.open_episodes(), usize::from(*bad), "{:?}", driver.told);
            }
        }
        let mut sequences: BTreeMap<&Text, Vec<NoticeKind>> = BTreeMap::new();
        for (episode, kind) in &driver.told {
            sequences.entry(episode).or_default().push(*kind);
        }
        for (episode, kinds) in sequences {
            prop_assert_eq!(kinds[0], NoticeKind::Open, "{}: {:?}", episode, kinds);
            let count = |wanted| kinds.iter().filter(|kind| **kind == wanted).count();
            prop_assert_eq!(count(NoticeKind::Open), 1);
            prop_assert!(count(NoticeKind::Close) <= 1);
        }
    }
}

#[test]
fn l9_every_single_boundary_of_one_episode() {
    let mut world = World::default();
    let host = world.item("web-1", "host");
    for crash in 1..40 {
        let mut driver = Driver::new(BTreeSet::from([crash]));
        for step in 0..6 {
            let value = if (1..4).contains(&step) { 9.0 } else { 0.1 };
            world.sample("node_load1", &[], Some(host), step * 60, value);
            driver.tick(step * 60, &world);
        }
        let kinds: Vec<NoticeKind> = driver.told.iter().map(|(_, kind)| *kind).collect();
        assert_eq!(kinds, [NoticeKind::Open, NoticeKind::Close], "crash after effect {crash}");
    }
}

fn silent_rule() -> CompiledRule {
    let absent = Absent { of: AbsentOf::Sightings { kind: itom_core::kind::HOST }, after: secs(300) };
    Rule::new("host_silent", Condition::Absent(absent))
        .severity(Severity::Critical)
        .hold_for(secs(60))
        .effect(Effect::Down)
        .compile(None)
        .unwrap()
}

fn sends(engine: &mut AlertEngine) -> Vec<Notice> {
    std::iter::from_fn(|| engine.poll_output())
        .filter_map(|output| match output {
            AlertOutput::Send(send) => Some(send.notice),
            _ => None,
        })
        .collect()
}

#[test]
fn a_child_waits_for_its_parent_and_is_then_explained() {
    let mut world = World::default();
    let (host, db) = (world.item("db-1", "host"), world.item("postgres", "service"));
    world.need(db, host);
    let mut engine = AlertEngine::new(config());
    engine.handle(at(0), AlertInput::Rule(load_rule()));
    engine.handle(at(0), AlertInput::Rule(silent_rule()));
    engine.tick(at(0), &world.ports());
    // The host falls silent; the service complains while the host's alert is still pending.
    world.sample("node_load1", &[], Some(db), 300, 9.0);
    engine.tick(at(310), &world.ports());
    let child =
        crate::life::Alert::id_of("load", &crate::rule::Instance::new(itom_core::Labels::empty(), Some(db)));
    assert!(sends(&mut engine).is_empty(), "the child waits");
    let why = engine.explain(child).unwrap();
    assert!(matches!(why.hidden_by[0].cause, Cause::Settling { .. }), "{why:?}");
    engine.tick(at(380), &world.ports());
    let told = sends(&mut engine);
    assert_eq!(told.len(), 1, "only the parent is told: {told:?}");
    assert_eq!(told[0].rule.as_str(), "host_silent");
    let why = engine.explain(child).unwrap();
    assert_eq!(why.hidden_by[0].cause, Cause::Unreachable { by: host });
    assert_eq!(why.hidden_by[0].text.as_str(), "db-1, which it depends on, is down");
    assert_eq!((why.would_tell.len(), why.told.len()), (1, 0));
    assert!(why.condition.contains("node_load1 > 1"), "{why:?}");
    // The host is back, the service still complains: now it is told.
    if let Some(ci) = world.cis.get_mut(&ci("db-1")) {
        ci.last_seen = at(430);
    }
    world.sample("node_load1", &[], Some(db), 430, 9.0);
    engine.tick(at(445), &world.ports());
    let told: Vec<(Text, NoticeKind)> =
        sends(&mut engine).into_iter().map(|notice| (notice.rule, notice.kind)).collect();
    assert!(told.contains(&("load".into(), NoticeKind::Open)), "{told:?}");
}

#[test]
fn settling_is_bounded() {
    let mut world = World::default();
    let (host, db) = (world.item("db-1", "host"), world.item("postgres", "service"));
    world.need(db, host);
    let mut engine = AlertEngine::new(config());
    let slow =
        Rule::new("slow", silent_rule().rule().condition().clone()).hold_for(secs(3600)).effect(Effect::Down);
    engine.handle(at(0), AlertInput::Rule(load_rule()));
    engine.handle(at(0), AlertInput::Rule(slow.compile(None).unwrap()));
    world.sample("node_load1", &[], Some(db), 310, 9.0);
    engine.tick(at(310), &world.ports());
    assert!(sends(&mut engine).is_empty());
    world.sample("node_load1", &[], Some(db), 390, 9.0);
    engine.tick(at(400), &world.ports());
    assert_eq!(sends(&mut engine).len(), 1, "90 s are over");
}

#[test]
fn a_silence_mutes_the_open_and_survives_a_restart() {
    let mut world = World::default();
    let host = world.item("web-1", "host");
    let mut driver = Driver::new(BTreeSet::new());
    let silence =
        Silence::new("s", "ann", itom_core::Interval::ALWAYS, vec![], BTreeSet::from([host])).unwrap();
    driver.engine.handle(at(0), AlertInput::Silence(silence));
    world.sample("node_load1", &[], Some(host), 0, 9.0);
    driver.tick(0, &world);
    driver.restart(30);
    driver.tick(30, &world);
    assert!(driver.told.is_empty());
    let views = driver.engine.alerts();
    assert!(views[0].open && views[0].hidden);
    assert_eq!(views[0].hidden_by[0].text.as_str(), "silence `s` by ann");
    assert!(serde_json::to_value(&views).unwrap()[0]["summary"].as_str().unwrap().contains("web-1 load 9"));
    driver.engine.handle(at(40), AlertInput::Unsilence("s".into()));
    driver.tick(40, &world);
    assert_eq!(driver.told.len(), 1);
}

#[test]
fn a_removed_rule_closes_what_it_opened() {
    let mut world = World::default();
    let host = world.item("web-1", "host");
    let mut driver = Driver::new(BTreeSet::new());
    world.sample("node_load1", &[], Some(host), 0, 9.0);
    driver.tick(0, &world);
    driver.engine.handle(at(10), AlertInput::RemoveRule("load".into()));
    driver.tick(10, &world);
    assert_eq!(driver.open_episodes(), 0);
    assert_eq!(driver.told.len(), 2);
    assert!(driver.durable.is_empty(), "{:?}", driver.durable);
}

#[test]
fn a_source_that_cannot_be_read_resolves_nothing() {
    let mut world = World::default();
    let host = world.item("web-1", "host");
    let mut driver = Driver::new(BTreeSet::new());
    world.sample("node_load1", &[], Some(host), 0, 9.0);
    driver.tick(0, &world);
    world.broken = true;
    driver.tick(60, &world);
    assert_eq!(driver.open_episodes(), 1);
    let views = driver.engine.alerts();
    assert_eq!(views[0].alert.condition, crate::life::ConditionState::Error);
    assert!(views[0].alert.trouble.as_ref().unwrap().contains("the disk is gone"));
    let _ = TransitionKind::Ended { ending: crate::life::Ending::Recovered };
}

#[test]
fn records_that_cannot_be_read_are_said_and_left_out() {
    let mut engine = AlertEngine::new(config());
    let junk = |key: &str, body: &str| Record { key: key.into(), body: Some(body.into()) };
    engine.handle(
        at(0),
        AlertInput::Restore(vec![junk("alert/x", "{"), junk("what", "{}"), junk("silence/s", "{}")]),
    );
    let refused = std::iter::from_fn(|| engine.poll_output())
        .filter(|output| matches!(output, AlertOutput::Refused(_)))
        .count();
    assert!(refused >= 3);
}

#[test]
fn l9_a_close_that_was_written_down_is_kept_when_trouble_returns_after_the_crash() {
    for crash in 1..10 {
        let mut world = World::default();
        let host = world.item("web-1", "host");
        let mut driver = Driver::new(BTreeSet::new());
        world.sample("node_load1", &[], Some(host), 0, 9.0);
        driver.tick(0, &world);
        driver.crash_at = BTreeSet::from([driver.effects + crash]);
        world.sample("node_load1", &[], Some(host), 120, 0.1);
        driver.engine.tick(at(120), &world.ports());
        let crashed = driver.perform(120).is_err();
        if crashed {
            driver.restart(121);
        }
        world.sample("node_load1", &[], Some(host), 240, 9.0);
        driver.tick(240, &world);
        assert_eq!(driver.open_episodes(), 1, "crash after effect {crash} ({crashed}): {:?}", driver.told);
        let mut open: Option<Text> = None;
        for (episode, kind) in &driver.told {
            match kind {
                NoticeKind::Open => open = Some(episode.clone()),
                NoticeKind::Update | NoticeKind::Close => assert_eq!(open.as_ref(), Some(episode)),
            }
        }
        let last = open.unwrap();
        let closed = driver.told.iter().any(|(episode, kind)| *episode == last && *kind == NoticeKind::Close);
        assert!(!closed, "the trouble that lasts is told by an episode that is open: {:?}", driver.told);
    }
}
