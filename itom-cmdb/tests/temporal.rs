//! Views of the past at speed equal their definition, the replay.

#[path = "laws/estate.rs"]
mod estate;

use std::time::Duration;

use estate::{Run, STEP, runs};
use itom_cmdb::fact::{Fact, facts_of};
use itom_cmdb::history::diff;
use itom_cmdb::temporal::Point;
use itom_cmdb::{Cmdb, CmdbConfig, Precedence};
use itom_core::{Batch, Coverage, Scope, SourceName, Timestamp, attr, kind};
use proptest::prelude::*;

fn config() -> CmdbConfig {
    let fresh =
        Precedence::new(SourceName::literal("beta"), 3).fresh_for(Duration::from_secs(20 * STEP as u64));
    CmdbConfig::default().mass_retirement(50, 3).precedence(fresh)
}

const SEC: Duration = Duration::from_secs(1);

/// The times at which anything may become different, and their neighbours.
fn times(facts: &[Fact], pick: impl Fn(&Fact) -> Timestamp) -> Vec<Timestamp> {
    let day = Duration::from_secs(86_400);
    let mut times = vec![Timestamp::MIN, Timestamp::MAX, Timestamp::EPOCH];
    for at in facts.iter().map(pick) {
        times.extend([at - SEC, at, at + SEC, at + day - SEC, at + day]);
    }
    times.sort();
    times.dedup();
    times
}

fn assert_equal(cmdb: &Cmdb, point: Point) -> Result<(), TestCaseError> {
    let expected = cmdb.at(point.valid, point.recorded).view();
    let got = cmdb.past().view(point);
    prop_assert_eq!(got.state_hash(), expected.state_hash(), "view at {:?}", point);
    prop_assert_eq!(got.len(), expected.len());
    for ci in expected.cis() {
        prop_assert_eq!(cmdb.past().ci(ci.id(), point), Some(ci.clone()), "item at {:?}", point);
        prop_assert_eq!(got.by_kind(ci.kind()), expected.by_kind(ci.kind()));
        prop_assert_eq!(
            got.relations_of(ci.id()).collect::<Vec<_>>(),
            expected.relations_of(ci.id()).collect::<Vec<_>>()
        );
    }
    Ok(())
}

/// Facts with the time at which each batch is learned: mostly in order, some late, some from a clock that is ahead.
fn learned(runs: &[Run], delays: &[i64]) -> Vec<(Timestamp, Vec<Fact>)> {
    let mut now = Timestamp::from_secs(1_000_000);
    let mut learned = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        let delay = delays[index % delays.len()];
        // On time in the order of learning, but for what waits in a backlog or carries a time of the future.
        now = now + Duration::from_secs(delay.unsigned_abs() % 40 * STEP as u64 / 4);
        let at = if delay % 3 == 0 { now } else { now.max(run.at() + SEC) };
        now = at;
        learned.push((at, facts_of(&run.batch(), at)));
    }
    learned
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 4_000, ..ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(64)
    ) })]

    #[test]
    fn l5_views_at_speed_are_replays(
        runs in runs(),
        delays in proptest::collection::vec(0_i64..200, 1..8),
        planned in any::<bool>(),
        picks in proptest::collection::vec((any::<proptest::sample::Index>(), any::<proptest::sample::Index>()), 12),
        forget in proptest::option::of(any::<proptest::sample::Index>()),
        feeding in any::<proptest::sample::Index>(),
        (steps, asks) in any::<(bool, bool)>(),
    ) {
        let mut cmdb = Cmdb::new(config());
        let mut facts = Vec::new();
        let mut ask = Vec::new();
        // Views of the past that nobody looks at until much more has come.
        let mut held = Vec::new();
        for (index, (at, own)) in learned(&runs, &delays).into_iter().enumerate() {
            let own = if planned { cmdb.plan(&runs[index].batch(), at) } else { own };
            facts.extend(own.iter().cloned());
            if index == feeding.index(runs.len()) {
                cmdb.past().prepare();
            }
            cmdb.ingest(own);
            if steps {
                // As a driver does: each thing that runs out before the next run does so at a time of its own.
                while let Some(due) = cmdb.next_deadline().filter(|due| due.at < at + SEC) {
                    cmdb.expire(due.at);
                }
            }
            if index % 3 == 1 && asks {
                // Lines that exist while more comes in.
                ask.push(Point::new(runs[index / 2].at(), at));
                assert_equal(&cmdb, *ask.last().unwrap())?;
                assert_equal(&cmdb, Point::was(runs[index].at()))?;
                for point in [*ask.last().unwrap(), Point::was(runs[index].at()), Point::believed(runs[index / 2].at())] {
                    held.push((cmdb.past().view(point), cmdb.at(point.valid, point.recorded).view()));
                }
            }
        }
        let (valid, recorded) = (times(&facts, Fact::observed), times(&facts, Fact::recorded));
        if let Some(forget) = forget {
            cmdb.past().forget(*forget.get(&recorded));
        }
        for (v, r) in picks {
            let point = Point::new(*v.get(&valid), *r.get(&recorded));
            assert_equal(&cmdb, point)?;
            let other = Point::new(Timestamp::MAX, point.recorded - SEC);
            for (a, b) in [(other, Point::believed(point.recorded)), (Point::was(point.valid), point)] {
                let replayed = |p: Point| cmdb.at(p.valid, p.recorded).view();
                let at = b.recorded.min(cmdb.view().as_of().unwrap());
                let mut expected = diff(&replayed(a), &replayed(b), at);
                let mut got = cmdb.past().diff(a, b);
                for change in expected.iter_mut().chain(&mut got) {
                    change.at = at;
                }
                prop_assert_eq!(got, expected, "{:?} {:?}", a, b);
            }
        }
        for point in ask {
            assert_equal(&cmdb, point)?;
        }
        for (got, expected) in held {
            prop_assert_eq!(got.len(), expected.len());
            for ci in expected.cis() {
                prop_assert_eq!(got.by_kind(ci.kind()), expected.by_kind(ci.kind()));
                prop_assert!(got.relations_of(ci.id()).eq(expected.relations_of(ci.id())));
            }
            prop_assert_eq!(got.state_hash(), expected.state_hash());
        }
        // A past view is one like any other: it has the same answers about its kinds and the same differences.
        let now = cmdb.view();
        for (a, b) in recorded.iter().zip(recorded.iter().skip(1)).step_by(7) {
            let (a, b) = (Point::believed(*a), Point::believed(*b));
            let (one, other) = (cmdb.past().view(a), cmdb.past().view(b));
            prop_assert_eq!(one.differences(&other).is_empty(), one.state_hash() == other.state_hash());
            prop_assert_eq!(now.differences(&other).is_empty(), now.state_hash() == other.state_hash());
        }
    }

    /// Facts that arrive later than they were recorded (another engine's), in any order.
    #[test]
    fn l5_holds_for_facts_of_another_log(
        runs in runs(),
        delays in proptest::collection::vec(0_i64..200, 1..8),
        seed in any::<u64>(),
        feeding in any::<proptest::sample::Index>(),
    ) {
        let mut rounds = learned(&runs, &delays);
        let mut seed = seed;
        for index in (1..rounds.len()).rev() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            rounds.swap(index, (seed >> 33) as usize % (index + 1));
        }
        let facts: Vec<Fact> = rounds.iter().flat_map(|(_, facts)| facts.clone()).collect();
        let mut cmdb = Cmdb::new(config());
        let feeding = feeding.index(rounds.len());
        for (index, (_, own)) in rounds.into_iter().enumerate() {
            if index == feeding {
                cmdb.past().prepare();
            }
            cmdb.ingest(own);
        }
        let (valid, recorded) = (times(&facts, Fact::observed), times(&facts, Fact::recorded));
        for (index, v) in valid.iter().enumerate().step_by(5) {
            let r = recorded[(index * 7) % recorded.len()];
            assert_equal(&cmdb, Point::new(*v, r))?;
            assert_equal(&cmdb, Point::believed(r))?;
        }
        // All at once, as after a restart, gives the same past as step by step.
        let mut again = Cmdb::new(config());
        again.past().prepare();
        again.ingest(facts);
        for r in recorded.iter().step_by(4) {
            assert_equal(&again, Point::believed(*r))?;
        }
        prop_assert_eq!(again.state_hash(), cmdb.state_hash());
        // An engine that was replayed for a time has a past of its own.
        let middle = recorded[recorded.len() / 2];
        let past = cmdb.at(valid[valid.len() / 2], middle);
        for r in recorded.iter().step_by(6) {
            assert_equal(&past, Point::believed(*r))?;
            assert_equal(&past, Point::was(*r))?;
        }
    }
}

fn host_run(tick: i64, hosts: usize, changed: usize) -> Batch {
    let mut batch = Batch::new(SourceName::literal("inventory"), Timestamp::from_secs(tick * 60));
    for host in 0..hosts {
        let release = if host < changed { tick } else { 0 };
        batch
            .ci(format!("host-{host}"), kind::HOST)
            .attr(attr::HOST_NAME, format!("h{host}"))
            .attr(attr::OS_KERNEL_RELEASE, format!("6.1.{release}"));
    }
    batch.finish(Coverage::new().complete(Scope::cis(kind::HOST)));
    batch
}

/// A round in which nothing changed costs no version, and few bytes however many items it saw.
#[test]
fn l5_unchanged_rounds_cost_nothing_per_item() {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    let round = |cmdb: &mut Cmdb, tick| {
        let batch = host_run(tick, 400, 0);
        cmdb.ingest(cmdb.plan(&batch, batch.taken_at()));
        cmdb.past().size()
    };
    let first = round(&mut cmdb, 1);
    let mut last = first;
    for tick in 2..60 {
        last = round(&mut cmdb, tick);
    }
    assert_eq!(last.versions, first.versions);
    assert!(last.bytes < first.bytes + 58 * 64, "{first:?} {last:?}");
    let seen = |at: i64| {
        let view = cmdb.past().view(Point::believed(Timestamp::from_secs(at)));
        let mut seen: Vec<_> = view.cis().map(|ci| ci.last_seen()).collect();
        seen.dedup();
        seen
    };
    assert_eq!(seen(30 * 60 + 59), [Timestamp::from_secs(30 * 60)]);
    assert_eq!(seen(59), []);
}

/// Items that two sources see, each in a round of its own, settle in groups: a round costs two times for each group.
#[test]
fn l5_items_of_several_sources_cost_nothing_per_round() {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    let mut sizes = Vec::new();
    for tick in 1..40 {
        for (index, source) in ["one", "two"].into_iter().enumerate() {
            let at = Timestamp::from_secs(tick * 60 + 7 * index as i64);
            let mut batch = Batch::new(SourceName::literal(source), at);
            for host in 50 * index..50 * index + 100 {
                batch
                    .ci(format!("host-{host}"), kind::HOST)
                    .key(itom_core::Key::serial(&format!("SN-{host:06}")).unwrap());
            }
            cmdb.ingest(cmdb.plan(&batch, at));
        }
        sizes.push(cmdb.past().size());
    }
    assert_eq!(cmdb.view().len(), 150);
    let (early, late) = (sizes[3], sizes[38]);
    assert_eq!(early.versions, late.versions, "nothing but renewals");
    assert!(late.bytes < early.bytes + 35 * 4 * 64, "{early:?} {late:?}");
    for tick in [2, 20, 39] {
        assert_equal(&cmdb, Point::believed(Timestamp::from_secs(tick * 60 + 3))).unwrap();
    }
}

/// Who never asks pays nothing, and a clone asks anew.
#[test]
fn the_past_is_free_until_somebody_asks() {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    let batch = host_run(1, 3, 0);
    cmdb.ingest(cmdb.plan(&batch, batch.taken_at()));
    assert!(format!("{cmdb:?}").contains("Memo { fed: false }"));
    cmdb.past().prepare();
    assert!(format!("{cmdb:?}").contains("Memo { fed: true }"));
    assert!(format!("{:?}", cmdb.clone()).contains("Memo { fed: false }"));
}

#[test]
fn an_attribute_has_a_past_on_both_axes() {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    for (tick, learned) in [(1, 1), (5, 5), (3, 9)] {
        let batch = host_run(tick, 1, 1);
        cmdb.ingest(cmdb.plan(&batch, Timestamp::from_secs(learned * 60)));
    }
    let id = cmdb.view().cis().next().unwrap().id();
    let minutes = |spans: Vec<(itom_core::Interval, itom_core::Value)>| -> Vec<(i64, i64, String)> {
        let text = |value: &itom_core::Value| value.as_text().unwrap_or("?").to_owned();
        let minute = |at: Timestamp| if at == Timestamp::MAX { -1 } else { at.as_secs() / 60 };
        spans.iter().map(|(span, value)| (minute(span.from()), minute(span.to()), text(value))).collect()
    };
    let believed = minutes(cmdb.past().believed(id, &attr::OS_KERNEL_RELEASE));
    assert_eq!(believed, [(1, 5, "6.1.1".to_owned()), (5, -1, "6.1.5".to_owned())], "half-open, no overlap");
    let was = minutes(cmdb.past().was(id, &attr::OS_KERNEL_RELEASE, Timestamp::MAX).unwrap());
    let expected = [(1, 3, "6.1.1".to_owned()), (3, 5, "6.1.3".to_owned()), (5, -1, "6.1.5".to_owned())];
    assert_eq!(was, expected, "the late fact changed the past");
    let before = cmdb.past().was(id, &attr::OS_KERNEL_RELEASE, Timestamp::from_secs(8 * 60)).unwrap();
    assert_eq!(minutes(before), believed, "and not what was known before it came");
    // The same facts alone.
    let mut alone = Cmdb::new(CmdbConfig::default());
    alone.ingest(cmdb.facts().iter().cloned().collect());
    assert_eq!(alone.view().state_hash(), cmdb.view().state_hash());
}
