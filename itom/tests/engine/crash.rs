//! Crashes at every wake-up and at every effect: nothing is lost, nothing is told twice.

use std::time::Duration;

use crate::support::{Cut, Fuse, START, TestJournal, TestNotifier, TestStore, builder, host, secs, trouble};
use itom::alert::notify::NoticeKind;
use itom::core::{Clock as _, VirtualClock};
use itom::prelude::*;
use itom::{EngineLimits, Simulation};

/// How long the story is.
const END: Duration = Duration::from_secs(900);

fn within(second: u64, from: u64, to: u64) -> f64 {
    f64::from(u8::from((from..to).contains(&second)))
}

/// What outlives a crash, and who is told.
#[derive(Clone)]
struct World {
    clock: VirtualClock,
    store: TestStore,
    journal: TestJournal,
    notifier: TestNotifier,
}

impl World {
    fn new() -> Self {
        let (store, journal) = (TestStore::new(), TestJournal::new());
        Self { clock: VirtualClock::new(START), store, journal, notifier: TestNotifier::new() }
    }

    /// The same world, in which everybody shares a fuse.
    fn with(&self, fuse: &Fuse) -> Self {
        let mut world = self.clone();
        world.store.fuse = fuse.clone();
        world.journal.fuse = fuse.clone();
        world.notifier.fuse = fuse.clone();
        world
    }

    fn start(&self) -> Simulation {
        let mut limits = EngineLimits::default();
        limits.self_every = secs(300);
        let engine = builder(&self.clock)
            .limits(limits)
            .collector(host("a", 20, |second| within(second, 60, 400)))
            .collector(host("b", 20, |second| within(second, 100, 500)))
            .rule(trouble().every(secs(20)).hold_for(secs(20)))
            .notifier("pager", self.notifier.clone())
            .notifier("log", self.notifier.clone())
            .store(self.store.clone())
            .journal(self.journal.clone())
            .build()
            .unwrap();
        Simulation::new(self.clock.clone(), engine)
    }

    /// Starts again after a crash and runs to the end of the story.
    fn finish(&self) {
        let mut simulation = self.start();
        simulation.advance((START + END).since(self.clock.now()));
        simulation.stop().unwrap();
    }

    /// Every alert was opened once and closed once at each of the two receivers, whatever happened.
    fn check(&self, crashed: &str) {
        let notices = self.notifier.inner.notices();
        for receiver in ["pager", "log"] {
            for name in ["a", "b"] {
                let own = notices.iter().filter(|notice| {
                    notice.key.starts_with(receiver)
                        && notice.ci_name.as_deref() == Some(name)
                        && notice.kind != NoticeKind::Update
                });
                let told: Vec<NoticeKind> = own.map(|notice| notice.kind).collect();
                assert_eq!(
                    told,
                    [NoticeKind::Open, NoticeKind::Close],
                    "{receiver} about {name}, crashed {crashed}"
                );
            }
        }
        assert!(!self.journal.records().keys().any(|key| key.starts_with("notice/")), "crashed {crashed}");
    }
}

#[test]
fn l9_a_crash_at_any_wake_up_loses_and_doubles_nothing() {
    let whole = World::new();
    let mut simulation = whole.start();
    let mut steps = 0;
    while simulation.step(START + END) {
        steps += 1;
    }
    simulation.stop().unwrap();
    whole.check("never");
    assert!(steps > 100, "{steps} wake-ups");

    for crash in 0..steps {
        let world = World::new();
        let mut simulation = world.start();
        for _ in 0..crash {
            simulation.step(START + END);
        }
        simulation.crash();
        world.finish();
        world.check(&format!("after wake-up {crash}"));
    }
}

#[test]
fn l9_a_crash_at_any_effect_loses_and_doubles_nothing() {
    let fuse = Fuse::never();
    let whole = World::new();
    whole.with(&fuse).finish();
    whole.check("never");
    let effects = fuse.count();
    assert!(effects > 100, "{effects} effects");

    for cut in [Cut::Before, Cut::After, Cut::Torn, Cut::Hang] {
        for crash in 0..effects {
            let world = World::new();
            let fuse = Fuse::new(crash, cut);
            let mut simulation = world.with(&fuse).start();
            while !fuse.blown() && simulation.step(START + END) {}
            if cut == Cut::Hang {
                // What does not depend on the effect goes on; what does must not.
                simulation.advance(secs(30).min((START + END).since(world.clock.now())));
            }
            simulation.crash();
            world.finish();
            world.check(&format!("at effect {crash}, cut {cut:?}"));
        }
    }
}

/// Rounds of an inventory in which things come, change and go.
fn rounds() -> Vec<Batch> {
    let source = SourceName::literal("inventory");
    let round = |minute: i64| {
        let at = START + secs(60) * u32::try_from(minute).unwrap();
        let mut batch = Batch::new(source.clone(), at);
        for index in 0..6 {
            if (index + minute) % 4 != 0 {
                let name = format!("web-{index}");
                let version = (minute / 3).to_string();
                batch
                    .ci(name.as_str(), kind::SERVICE)
                    .attr(attr::SERVICE_NAME, name.as_str())
                    .attr(attr::SERVICE_VERSION, version.as_str());
            }
        }
        batch.ci("db", kind::SERVICE).attr(attr::SERVICE_NAME, "db");
        batch.relation(relation::DEPENDS_ON, "web-1", "db");
        batch.finish(Coverage::new().complete(Scope::cis(kind::SERVICE)));
        batch
    };
    (0..10).map(round).collect()
}

#[test]
fn l1_a_crash_and_the_same_observations_again_give_the_same_state() {
    let end = START + END;
    let play = |fuse: &Fuse| {
        let (clock, mut store) = (VirtualClock::new(START), TestStore::new());
        let plain = store.clone();
        store.fuse = fuse.clone();
        let mut engine = Simulation::new(clock.clone(), builder(&clock).store(store).build().unwrap());
        let mut crashed = false;
        let rounds = rounds();
        for (index, round) in rounds.iter().enumerate() {
            engine.advance(round.taken_at().since(clock.now()));
            engine.handle().submit(round.clone()).unwrap();
            engine.advance(secs(1));
            if fuse.blown() && !crashed {
                crashed = true;
                engine.crash();
                engine =
                    Simulation::new(clock.clone(), builder(&clock).store(plain.clone()).build().unwrap());
                // Whoever submits says again what was not confirmed; to be sure, all of it.
                for again in &rounds[..=index] {
                    engine.handle().submit(again.clone()).unwrap();
                }
                engine.advance(secs(1));
            }
        }
        engine.advance(end.since(clock.now()));
        let seen: Vec<String> =
            engine.handle().view().cis().map(|ci| format!("{} {}", ci.name(), ci.id())).collect();
        let hash = engine.handle().view().state_hash();
        engine.stop().unwrap();
        (seen, hash, plain.state_hash(end))
    };
    let whole = Fuse::never();
    let expected = play(&whole);
    assert!(expected.0.len() > 4, "{:?}", expected.0);
    for cut in [Cut::Before, Cut::After] {
        for crash in 0..whole.count() {
            assert_eq!(play(&Fuse::new(crash, cut)), expected, "crashed at append {crash}, cut {cut:?}");
        }
    }
}
