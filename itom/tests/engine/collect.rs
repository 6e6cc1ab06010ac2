//! Collectors and listeners that fail, hang or panic; the engine's own metrics; shutdown; the clock set back; many.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::support::{START, builder, host, secs, series};
use itom::collect::{BatchSink, Listener};
use itom::core::{Clock as _, ErrorKind, VirtualClock};
use itom::prelude::*;
use itom::{EngineLimits, Simulation};

fn hanging(timeout: u64) -> impl Collector {
    collector_fn(Descriptor::new("hangs").every(secs(60)).timeout(secs(timeout)), |_, batch| {
        Box::pin(async move {
            batch.ci("half", kind::SERVICE).attr(attr::SERVICE_NAME, "half");
            std::future::pending().await
        })
    })
}

fn failing() -> impl Collector {
    collector_fn(Descriptor::new("fails").every(secs(60)), |_, _| {
        Box::pin(async { Err(CollectError::Unsupported { what: "the moon".into() }) })
    })
}

fn panicking() -> impl Collector {
    collector_fn(Descriptor::new("panics").every(secs(60)), |_, _| Box::pin(async { panic!("a defect") }))
}

#[test]
fn collectors_in_trouble_do_not_disturb_others() {
    let clock = VirtualClock::new(START);
    let engine = builder(&clock)
        .collector(host("good", 10, |_| 1.0))
        .collector(hanging(7))
        .collector(failing())
        .collector(panicking())
        .build()
        .unwrap();
    let mut simulation = Simulation::new(clock, engine);
    simulation.advance(secs(600));
    let status = simulation.handle().status();
    let of = |name: &str| status.collectors.iter().find(|own| own.name.starts_with(name)).unwrap();
    assert!((59..=61).contains(&of("host@good").runs), "{:?}", of("host@good"));
    assert_eq!(of("host@good").outcome, Some(Ok(())));
    let kind = |name| of(name).outcome.clone().unwrap().unwrap_err().0;
    assert_eq!(
        (kind("hangs"), of("hangs").duration),
        (ErrorKind::Timeout, secs(7)),
        "cut off at its own time"
    );
    assert_eq!(of("hangs").observations, 1, "what it saw before counts");
    assert_eq!((kind("fails"), kind("panics")), (ErrorKind::Unsupported, ErrorKind::Bug));
    assert_eq!(simulation.handle().view().cis().count(), 2);

    let runs = series(&simulation.handle().samples(), "itom_collect_runs_total");
    let count = |collector: &str, outcome: &str| {
        let found = runs.iter().find(|(labels, _)| {
            let has = |name: &str, value: &str| labels.contains(&format!("{name}=\"{value}\""));
            has("collector", collector)
                && has("outcome", outcome)
                && has("job", "itom")
                && has("instance", "test")
        });
        found
            .and_then(|(_, values)| values.last().copied())
            .unwrap_or_else(|| panic!("{collector} {outcome}: {runs:?}"))
    };
    assert!(count("host", "ok") >= 58.0);
    assert!(
        count("hangs", "timeout") >= 8.0 && count("fails", "error") >= 8.0 && count("panics", "error") >= 8.0
    );
}

#[test]
fn shutdown_cuts_a_hanging_collector_off_within_the_grace() {
    let clock = VirtualClock::new(START);
    let engine =
        builder(&clock).collector(hanging(3000)).collector(host("good", 10, |_| 1.0)).build().unwrap();
    let mut simulation = Simulation::new(clock.clone(), engine);
    simulation.advance(secs(100));
    let summary = simulation.stop().unwrap();
    assert!(clock.now() <= START + secs(110), "{}", clock.now());
    assert_eq!(
        summary.rounds,
        11 + u64::from(summary.rounds > 11),
        "what the hanging one saw is taken in too"
    );
}

/// Fails at first, then panics, then says something and is done.
#[derive(Debug)]
struct Shaky(Arc<AtomicU64>);

#[async_trait]
impl Listener for Shaky {
    fn descriptor(&self) -> Descriptor {
        Descriptor::new("shaky")
    }
    async fn listen(&self, cx: &CollectContext, sink: &dyn BatchSink) -> Result<(), CollectError> {
        match self.0.fetch_add(1, Ordering::SeqCst) {
            0..3 => Err(CollectError::Unavailable { what: "port".into(), source: "in use".into() }),
            3 => panic!("a defect"),
            _ => {
                let mut batch = Batch::new(SourceName::literal("shaky@test"), cx.now());
                batch.ci("heard", kind::SERVICE).attr(attr::SERVICE_NAME, "heard");
                sink.offer(batch);
                Ok(())
            }
        }
    }
}

#[test]
fn a_listener_that_fails_is_started_again_with_growing_pauses() {
    let (clock, starts) = (VirtualClock::new(START), Arc::new(AtomicU64::new(0)));
    let engine = builder(&clock).listener(Shaky(Arc::clone(&starts))).build().unwrap();
    assert_eq!(starts.load(Ordering::SeqCst), 0);
    let mut simulation = Simulation::new(clock, engine);
    let mut at = Vec::new();
    for second in 0..60 {
        if starts.load(Ordering::SeqCst) as usize > at.len() {
            at.push(second);
        }
        simulation.advance(secs(1));
    }
    assert_eq!(at, [0, 1, 3, 7, 15], "pauses of 1, 2, 4 and 8 seconds; then its source is done");
    assert_eq!(simulation.handle().view().cis().count(), 1);
    simulation.stop().unwrap();
}

#[test]
fn a_clock_set_back_stops_nothing() {
    let clock = VirtualClock::new(START);
    let engine = builder(&clock).collector(host("good", 10, |_| 1.0)).build().unwrap();
    let mut simulation = Simulation::new(clock.clone(), engine);
    simulation.advance(secs(600));
    let before = simulation.handle().status().rounds;
    // The system's clock wakes sleepers after the span they asked for, whatever the time of day does meanwhile.
    let next = clock.next_deadline().unwrap();
    clock.advance_to(next);
    clock.advance_to(START - secs(3600));
    simulation.handle().run_now(&SourceName::literal("host@good")).unwrap();
    simulation.advance(secs(300));
    let rounds = simulation.handle().status().rounds - before;
    assert!((28..=33).contains(&rounds), "{rounds} rounds in five minutes");
    let own = series(&simulation.handle().samples(), "itom_engine_rounds_total");
    assert!(!own.is_empty());
    simulation.stop().unwrap();
    assert!(clock.now() < START - secs(3200), "the grace is not an hour longer");
}

#[test]
fn five_hundred_collectors_for_an_hour_miss_nothing_and_stay_bounded() {
    let clock = VirtualClock::new(START);
    let mut limits = EngineLimits::default();
    limits.self_every = secs(60);
    let mut engine = builder(&clock).limits(limits);
    for index in 0..500 {
        let name = format!("node-{index}");
        let descriptor = Descriptor::new("node").target(name.as_str()).every(secs(60));
        engine = engine.collector(collector_fn(descriptor, move |_, batch| {
            let name = name.clone();
            Box::pin(async move {
                batch.ci(name.as_str(), kind::HOST).attr(attr::HOST_NAME, name.as_str());
                batch.gauge(crate::support::TROUBLE, 0.0).on(name.as_str());
                Ok(Coverage::new().complete(Scope::cis(kind::HOST)))
            })
        }));
    }
    let mut simulation = Simulation::new(clock, engine.build().unwrap());
    simulation.advance(secs(3600));
    let status = simulation.handle().status();
    assert!((29_000..=30_500).contains(&status.rounds), "{} rounds", status.rounds);
    assert!(status.dropped.is_empty(), "{:?}", status.dropped);
    let stats = itom::metrics::Samples::stats(simulation.handle().samples().as_ref());
    assert!(stats.memory_bytes < 32 << 20, "{} bytes of samples", stats.memory_bytes);
}

/// An agent on a cloned machine is asked for what would tell which of two it is, reads it, and is one of them.
#[test]
fn an_open_question_reaches_the_collector_that_can_settle_it() {
    use itom::core::{Key, key_kind};

    let machine = || Key::machine_id("0123456789abcdef0123456789abcdef").unwrap();
    let manager = move |name: &'static str, serial: &'static str| {
        collector_fn(Descriptor::new(name).every(secs(600)), move |_, batch| {
            Box::pin(async move {
                batch.ci(name, kind::HOST).key(machine()).key(Key::serial(serial).unwrap());
                Ok(Coverage::new())
            })
        })
    };
    let asked = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&asked);
    let agent = collector_fn(Descriptor::new("agent").every(secs(60)), move |cx, batch| {
        let serial = cx.questions().iter().any(|question| question.wanted.contains(&key_kind::SERIAL));
        let known = counter.fetch_add(u64::from(serial), Ordering::SeqCst) > 0;
        Box::pin(async move {
            let ci = batch.ci("me", kind::HOST);
            ci.key(machine());
            if serial || known {
                ci.key(Key::serial("SERIAL-0002").unwrap());
            }
            Ok(Coverage::new())
        })
    });
    let clock = VirtualClock::new(START);
    let engine = builder(&clock)
        .collector(manager("one", "SERIAL-0001"))
        .collector(manager("two", "SERIAL-0002"))
        .collector(agent)
        .build()
        .unwrap();
    let mut simulation = Simulation::new(clock, engine);
    let mut counts = Vec::new();
    for _ in 0..1_800 {
        simulation.advance(secs(1));
        counts.push(simulation.handle().view().cis().count());
    }
    counts.dedup();
    assert!(counts.ends_with(&[3, 2]), "it may be either, then it is one of them: {counts:?}");
    assert_eq!(asked.load(Ordering::SeqCst), 1, "asked once, then it is settled");
    assert_eq!(simulation.handle().view().cis().count(), 2);
}
