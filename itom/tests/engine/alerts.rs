//! From a gauge to a receiver: `for`, exactly one open and one close, suppression by topology, a journal that refuses.

use crate::support::{START, TROUBLE, TestJournal, TestNotifier, above_zero, builder, host, secs, trouble};
use itom::alert::notify::NoticeKind;
use itom::alert::suppress::Cause;
use itom::core::{Subject, VirtualClock};
use itom::prelude::*;
use itom::{Delivery, EngineEvent, RunError, Simulation};

#[test]
fn an_alert_fires_after_for_is_told_once_and_resolves_once() {
    let clock = VirtualClock::new(START);
    let (notifier, journal) = (TestNotifier::new(), TestJournal::new());
    let engine = builder(&clock)
        .collector(host("db-1", 15, |second| f64::from(u8::from((120..600).contains(&second)))))
        .rule(trouble().hold_for(secs(60)))
        .notifier("pager", notifier.clone())
        .journal(journal.clone())
        .build()
        .unwrap();
    let mut simulation = Simulation::new(clock, engine);
    simulation.advance(secs(170));
    assert!(notifier.inner.notices().is_empty(), "`for` is not over");
    simulation.advance(secs(60));
    let notices = notifier.inner.notices();
    assert_eq!(notices.len(), 1);
    assert_eq!((notices[0].kind, notices[0].ci_name.as_deref()), (NoticeKind::Open, Some("db-1")));
    let held = notices[0].at.since(START + secs(120));
    assert!((secs(60)..=secs(95)).contains(&held), "{held:?}: `for`, plus one round and one evaluation");
    simulation.advance(secs(3600));
    assert_eq!(notifier.kinds(), [NoticeKind::Open, NoticeKind::Close]);
    assert_eq!(notifier.attempts.load(std::sync::atomic::Ordering::SeqCst), 2);
    assert!(simulation.handle().alerts().is_empty());
    assert!(!journal.records().keys().any(|key| key.starts_with("notice/")), "nothing is left to tell");
    assert_eq!(simulation.stop().unwrap().undelivered, 0);
}

#[test]
fn what_was_told_and_waits_for_its_close_is_not_undelivered() {
    let clock = VirtualClock::new(START);
    let notifier = TestNotifier::new();
    let make = |journal: &TestJournal| {
        builder(&clock)
            .collector(host("db-1", 15, |_| 1.0))
            .rule(trouble())
            .notifier("pager", notifier.clone())
            .journal(journal.clone())
            .build()
            .unwrap()
    };
    let journal = TestJournal::new();
    let mut simulation = Simulation::new(clock.clone(), make(&journal));
    simulation.advance(secs(60));
    assert_eq!(notifier.kinds(), [NoticeKind::Open]);
    assert_eq!(simulation.stop().unwrap().undelivered, 0);

    notifier.gate.shut();
    let mut simulation = Simulation::new(clock.clone(), make(&TestJournal::new()));
    simulation.advance(secs(60));
    assert_eq!(simulation.stop().unwrap().undelivered, 1, "the notifier hangs");
}

/// `shop` depends on `postgres`, which runs on `db-1`. The host and the shop are in trouble; the host recovers first.
fn estate() -> impl Collector {
    collector_fn(Descriptor::new("estate").every(secs(15)), |cx, batch| {
        Box::pin(async move {
            let second = cx.now().since(START).as_secs();
            batch.ci("db-1", kind::HOST).key(Key::fqdn("db-1.example.com")).attr(attr::HOST_NAME, "db-1");
            batch.ci("postgres", kind::SERVICE).attr(attr::SERVICE_NAME, "postgres");
            batch.ci("shop", kind::SERVICE).attr(attr::SERVICE_NAME, "shop");
            batch.relation(relation::RUNS_ON, "postgres", "db-1");
            batch.relation(relation::DEPENDS_ON, "shop", "postgres");
            let down = |until: u64| f64::from(u8::from((300..until).contains(&second)));
            batch.gauge(TROUBLE, down(1200)).on("db-1");
            batch.gauge(MetricName::literal("test_errors"), down(1800)).on(Subject::from("shop"));
            Ok(Coverage::new().complete(Scope::cis(kind::SERVICE)))
        })
    })
}

#[test]
fn a_host_that_is_down_hides_what_depends_on_it_and_releases_it_later() {
    let clock = VirtualClock::new(START);
    let notifier = TestNotifier::new();
    let engine = builder(&clock)
        .collector(estate())
        .rule(trouble())
        .rule(
            Rule::new("errors", above_zero(MetricName::literal("test_errors")))
                .every(secs(15))
                .hold_for(secs(30)),
        )
        .notifier("pager", notifier.clone())
        .build()
        .unwrap();
    let mut simulation = Simulation::new(clock, engine);
    simulation.advance(secs(900));
    let alerts = simulation.handle().alerts();
    let of = |rule: &str| alerts.iter().find(|view| view.alert.rule.as_ref() == rule).unwrap();
    let host = of("trouble").alert.instance.ci.unwrap();
    assert!(of("errors").open && of("errors").hidden);
    assert!(
        of("errors").alert.causes.contains(&Cause::Unreachable { by: host }),
        "{:?}",
        of("errors").hidden_by
    );
    assert!(of("errors").hidden_by[0].text.contains("db-1"), "{:?}", of("errors").hidden_by);
    let rules = |notifier: &TestNotifier| -> Vec<(String, NoticeKind)> {
        let notices = notifier.inner.notices();
        let told = notices.iter().filter(|notice| notice.kind != NoticeKind::Update);
        told.map(|notice| (notice.rule.to_string(), notice.kind)).collect()
    };
    assert_eq!(rules(&notifier), [("trouble".into(), NoticeKind::Open)], "one page, not two");
    let hidden = of("errors").alert.id;
    let handle = simulation.handle().clone();
    let why = simulation.ask(handle.explain(hidden)).unwrap();
    assert_eq!((why.told.len(), why.would_tell.len()), (0, 1));

    simulation.advance(secs(3600));
    assert_eq!(
        rules(&notifier),
        [
            ("trouble".into(), NoticeKind::Open),
            ("trouble".into(), NoticeKind::Close),
            ("errors".into(), NoticeKind::Open),
            ("errors".into(), NoticeKind::Close),
        ],
    );
}

#[test]
fn while_the_journal_refuses_alerts_go_on_and_are_told_once_after_half_a_minute() {
    let clock = VirtualClock::new(START);
    let (notifier, journal) = (TestNotifier::new(), TestJournal::new());
    journal.refuse(true);
    let engine = builder(&clock)
        .collector(host("db-1", 15, |second| f64::from(u8::from((300..7200).contains(&second)))))
        .rule(trouble())
        .notifier("pager", notifier.clone())
        .journal(journal.clone())
        .build()
        .unwrap();
    let mut simulation = Simulation::new(clock, engine);
    let mut events = simulation.handle().subscribe(1000);
    simulation.advance(secs(3600));
    assert_eq!(notifier.kinds(), [NoticeKind::Open], "a disk that stays full silences nobody");
    assert_eq!(simulation.handle().alerts().len(), 1);
    let mut opened = 0;
    while let Some(Some(event)) = futures::FutureExt::now_or_never(futures::StreamExt::next(&mut events)) {
        opened += usize::from(matches!(event, Delivery::Event(EngineEvent::Alert { .. })));
    }
    assert!(opened > 0, "those who watch hear of it");
    journal.refuse(false);
    simulation.advance(secs(60));
    assert_eq!(notifier.kinds(), [NoticeKind::Open]);
    let attempts = notifier.attempts.load(std::sync::atomic::Ordering::SeqCst);
    assert_eq!(attempts, 1, "neither an hour of refusals nor their end tells it again");
    simulation.advance(secs(7200));
    assert_eq!(notifier.told().into_values().next().unwrap(), [NoticeKind::Open, NoticeKind::Close]);
    assert!(simulation.stop().is_ok());
}

#[test]
fn a_journal_that_refuses_for_a_moment_holds_notices_back() {
    let start = || {
        let clock = VirtualClock::new(START);
        let (notifier, journal) = (TestNotifier::new(), TestJournal::new());
        let engine = builder(&clock)
            .collector(host("db-1", 15, |second| f64::from(u8::from(second > 300))))
            .rule(trouble())
            .notifier("pager", notifier.clone())
            .journal(journal.clone())
            .build()
            .unwrap();
        (Simulation::new(clock, engine), notifier, journal)
    };
    // The same script opens at the same second each time.
    let (mut simulation, notifier, _) = start();
    let mut opens_at = 0;
    while notifier.inner.notices().is_empty() {
        simulation.advance(secs(1));
        opens_at += 1;
    }
    let (mut simulation, notifier, journal) = start();
    simulation.advance(secs(opens_at - 1));
    journal.refuse(true);
    simulation.advance(secs(20));
    assert!(simulation.handle().alerts().iter().any(|view| view.open));
    assert!(notifier.inner.notices().is_empty(), "nothing is told that could be forgotten");
    journal.refuse(false);
    simulation.advance(secs(20));
    assert_eq!(notifier.kinds(), [NoticeKind::Open]);
}

#[test]
fn a_journal_that_refuses_or_hangs_to_the_end_is_said_and_ends_in_time() {
    for hangs in [false, true] {
        let clock = VirtualClock::new(START);
        let journal = TestJournal::new();
        if hangs {
            journal.gate.shut();
        } else {
            journal.refuse(true);
        }
        let notifier = TestNotifier::new();
        let engine = builder(&clock)
            .collector(host("db-1", 15, |_| 1.0))
            .rule(trouble())
            .notifier("pager", notifier.clone())
            .journal(journal)
            .build()
            .unwrap();
        let mut simulation = Simulation::new(clock.clone(), engine);
        simulation.advance(secs(300));
        assert!(simulation.handle().status().rounds > 10, "collecting goes on");
        let before = simulation.now();
        let outcome = simulation.stop();
        assert!(matches!(outcome, Err(RunError::Unremembered { records: 1.., .. })), "{outcome:?}");
        assert!(itom::core::Clock::now(&clock).since(before) <= secs(10));
    }
}

#[test]
fn a_notifier_that_panics_or_hangs_disturbs_nobody() {
    #[derive(Debug)]
    struct Broken(bool);
    #[async_trait]
    impl Notifier for Broken {
        async fn notify(
            &self,
            _: &itom::alert::notify::Notice,
        ) -> Result<(), itom::alert::notify::NotifyError> {
            assert!(!self.0, "a defect");
            std::future::pending().await
        }
        fn idempotence(&self) -> itom::alert::notify::Idempotence {
            itom::alert::notify::Idempotence::None
        }
    }
    let clock = VirtualClock::new(START);
    let notifier = TestNotifier::new();
    let engine = builder(&clock)
        .collector(host("db-1", 15, |second| f64::from(u8::from(second < 600))))
        .rule(trouble())
        .notifier("hangs", Broken(false))
        .notifier("pager", notifier.clone())
        .notifier("panics", Broken(true))
        .build()
        .unwrap();
    let mut simulation = Simulation::new(clock, engine);
    simulation.advance(secs(3600));
    assert_eq!(notifier.told().into_values().next().unwrap(), [NoticeKind::Open, NoticeKind::Close]);
    assert_eq!(simulation.stop().unwrap().undelivered, 2, "kept for the next start");
}

#[test]
fn a_receiver_that_is_gone_after_a_restart_is_given_up() {
    let (clock, journal) = (VirtualClock::new(START), TestJournal::new());
    let broken = TestNotifier::new();
    broken.gate.shut();
    let engine = builder(&clock)
        .collector(host("db-1", 15, |_| 1.0))
        .rule(trouble())
        .notifier("old", broken)
        .journal(journal.clone())
        .build()
        .unwrap();
    let mut simulation = Simulation::new(clock.clone(), engine);
    simulation.advance(secs(60));
    simulation.crash();
    assert!(journal.records().keys().any(|key| key.starts_with("notice/old")));

    let engine = builder(&clock)
        .collector(host("db-1", 15, |second| f64::from(u8::from(second < 600))))
        .rule(trouble())
        .journal(journal.clone())
        .build()
        .unwrap();
    let mut simulation = Simulation::new(clock, engine);
    simulation.advance(secs(7200));
    assert_eq!(
        simulation.handle().status().dropped.get("notices"),
        Some(&1),
        "said once, not tried for ever"
    );
    assert_eq!(simulation.stop().unwrap().undelivered, 0);
}

#[test]
fn a_restart_does_not_take_what_was_not_asked_yet_for_missing_data() {
    let clock = VirtualClock::new(START);
    let (notifier, journal) = (TestNotifier::new(), TestJournal::new());
    let engine = || {
        builder(&clock)
            .collector(host("db-1", 15, |_| 1.0))
            .rule(trouble())
            .notifier("pager", notifier.clone())
            .journal(journal.clone())
            .build()
            .unwrap()
    };
    let mut simulation = Simulation::new(clock.clone(), engine());
    simulation.advance(secs(600));
    assert_eq!(notifier.kinds(), [NoticeKind::Open]);
    simulation.crash();
    clock.advance_to(itom::core::Clock::now(&clock) + secs(600));
    let restarted = engine();
    let mut events = restarted.handle().subscribe(1000);
    let mut simulation = Simulation::new(clock.clone(), restarted);
    simulation.advance(secs(600));
    while let Some(Some(event)) = futures::FutureExt::now_or_never(futures::StreamExt::next(&mut events)) {
        let text = format!("{event:?}");
        assert!(!text.contains("NoData"), "{text}");
    }
    assert_eq!(notifier.kinds(), [NoticeKind::Open], "and nobody is told anything new");
    assert!(simulation.handle().alerts().iter().any(|view| view.open));
}
