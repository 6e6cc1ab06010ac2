//! Asking a running engine; and that the same script gives the same events.

use crate::support::{START, TestNotifier, builder, host, secs, trouble};
use futures::{FutureExt as _, StreamExt as _};
use itom::core::{AlertId, VirtualClock};
use itom::prelude::*;
use itom::{Delivery, EngineLimits, HandleError, Simulation, Subscription};

fn drain(events: &mut Subscription) -> Vec<Delivery> {
    std::iter::from_fn(|| events.next().now_or_never().flatten()).collect()
}

fn runs(simulation: &Simulation) -> u64 {
    simulation.handle().status().collectors[0].runs
}

#[test]
fn an_alert_can_be_acknowledged_and_explained() {
    let (clock, notifier) = (VirtualClock::new(START), TestNotifier::new());
    let engine = builder(&clock)
        .collector(host("db-1", 15, |_| 1.0))
        .rule(trouble())
        .notifier("pager", notifier)
        .build()
        .unwrap();
    let mut simulation = Simulation::new(clock, engine);
    simulation.advance(secs(60));
    let handle = simulation.handle().clone();
    let alert = handle.alerts()[0].alert.id;
    simulation.ask(handle.acknowledge(alert, "ada")).unwrap();
    let operator = format!("{:?}", handle.alerts()[0].alert.operator);
    assert!(operator.contains("ada"), "{operator}");
    let why = simulation.ask(handle.explain(alert)).unwrap();
    assert_eq!((why.value, why.told.len()), (Some(1.0), 1));
    let unknown = AlertId::derive(&["nothing"]);
    assert!(matches!(simulation.ask(handle.acknowledge(unknown, "ada")), Err(HandleError::NotFound { .. })));
    assert!(matches!(simulation.ask(handle.explain(unknown)), Err(HandleError::NotFound { .. })));
    simulation.stop().unwrap();
    assert!(matches!(handle.explain(alert).now_or_never(), Some(Err(HandleError::Ended))));
    assert_eq!(handle.alerts().len(), 1, "what was known can still be read");
}

#[test]
fn collectors_can_be_paused_resumed_and_run_now() {
    let clock = VirtualClock::new(START);
    let engine = builder(&clock).collector(host("db-1", 600, |_| 1.0)).build().unwrap();
    let mut simulation = Simulation::new(clock, engine);
    let handle = simulation.handle().clone();
    let name = SourceName::literal("host@db-1");
    simulation.advance(secs(1));
    assert_eq!(runs(&simulation), 1);
    handle.run_now(&name).unwrap();
    simulation.advance(secs(1));
    assert_eq!(runs(&simulation), 2);
    handle.pause(&name).unwrap();
    simulation.advance(secs(3600));
    assert_eq!(runs(&simulation), 2);
    handle.resume(&name).unwrap();
    simulation.advance(secs(3600));
    assert!((7..=9).contains(&runs(&simulation)), "{}", runs(&simulation));
    let unknown = SourceName::literal("host@nowhere");
    assert!(matches!(handle.run_now(&unknown), Err(HandleError::NotFound { .. })));
}

#[test]
fn commands_that_wait_are_bounded() {
    let clock = VirtualClock::new(START);
    let mut limits = EngineLimits::default();
    limits.commands = 4;
    let engine = builder(&clock).collector(host("db-1", 600, |_| 1.0)).limits(limits).build().unwrap();
    let (handle, name) = (engine.handle(), SourceName::literal("host@db-1"));
    let accepted = (0..100).take_while(|_| handle.clone().run_now(&name).is_ok()).count();
    assert!((4..=6).contains(&accepted), "{accepted} commands for an engine that does not run");
    assert!(matches!(handle.run_now(&name), Err(HandleError::Busy)));
    drop(engine);
    assert!(matches!(handle.run_now(&name), Err(HandleError::Ended)));
}

#[test]
fn a_slow_subscriber_is_told_what_it_missed_and_the_stream_ends_with_the_engine() {
    let clock = VirtualClock::new(START);
    let engine = builder(&clock).collector(host("db-1", 10, |_| 1.0)).build().unwrap();
    let mut simulation = Simulation::new(clock.clone(), engine);
    let (mut slow, mut quick) = (simulation.handle().subscribe(2), simulation.handle().subscribe(1000));
    simulation.advance(secs(300));
    let all = drain(&mut quick).len() as u64;
    let kept = drain(&mut slow).len() as u64;
    simulation.advance(secs(10));
    let told = drain(&mut slow);
    assert!(matches!(told[0], Delivery::Lagged(missed) if missed == all - kept), "{all} {kept} {told:?}");
    let handle = simulation.handle().clone();
    simulation.crash();
    drain(&mut quick);
    assert!(matches!(quick.next().now_or_never(), Some(None)), "a crash ends it too");
    assert!(
        matches!(handle.subscribe(1).next().now_or_never(), Some(None)),
        "and it is too late to subscribe"
    );
}

#[test]
fn the_same_script_gives_the_same_events() {
    let play = || {
        let clock = VirtualClock::new(START);
        let engine = builder(&clock)
            .collector(host("a", 15, |second| f64::from(u8::from(second % 600 > 300))))
            .collector(host("b", 20, |second| f64::from(u8::from(second % 900 > 450))))
            .collector(host("c", 20, |_| 0.0))
            .rule(trouble().hold_for(secs(30)))
            .notifier("pager", TestNotifier::new())
            .build()
            .unwrap();
        let mut simulation = Simulation::new(clock, engine);
        let mut events = simulation.handle().subscribe(100_000);
        simulation.advance(secs(1000));
        simulation.handle().run_now(&SourceName::literal("host@c")).unwrap();
        simulation.advance(secs(2600));
        let handle = simulation.handle().clone();
        simulation.stop().unwrap();
        let mut trace: Vec<String> = drain(&mut events).iter().map(|event| format!("{event:?}")).collect();
        trace.push(format!("{:?}", handle.status()));
        trace.push(format!("{:?}", crate::support::series(&handle.samples(), "itom_collect_runs_total")));
        trace
    };
    let (first, second) = (play(), play());
    assert!(first.len() > 500, "{} events", first.len());
    assert!(first.iter().any(|event| event.contains("Opened")));
    for (index, (a, b)) in first.iter().zip(&second).enumerate() {
        assert_eq!(a, b, "event {index}");
    }
    assert_eq!(first.len(), second.len());
}

#[test]
fn what_a_source_reports_reaches_those_who_watch() {
    let clock = VirtualClock::new(START);
    let rebooted = collector_fn(Descriptor::new("boots").every(secs(60)), |_, batch| {
        Box::pin(async move {
            batch.ci("db-1", kind::HOST).attr(attr::HOST_NAME, "db-1");
            batch.event(itom::core::event::HOST_BOOTED, Severity::Warning, "db-1 came up").on("db-1");
            Ok(Coverage::new())
        })
    });
    let mut simulation = Simulation::new(clock.clone(), builder(&clock).collector(rebooted).build().unwrap());
    let mut events = simulation.handle().subscribe(100);
    simulation.advance(secs(60));
    let host = simulation.handle().view().by_kind(&kind::HOST)[0].id();
    let mut seen = Vec::new();
    while let Some(Some(event)) = futures::FutureExt::now_or_never(futures::StreamExt::next(&mut events)) {
        if let itom::Delivery::Event(itom::EngineEvent::Reported { ci, event, .. }) = event {
            seen.push((ci, event.message.to_string()));
        }
    }
    assert_eq!(seen, [(Some(host), "db-1 came up".to_owned())]);
}

/// The name of a host changes each minute; the past can be asked while the engine runs, on both axes.
#[test]
fn the_past_can_be_asked_while_the_engine_runs() {
    use itom::cmdb::temporal::Point;

    let clock = VirtualClock::new(START);
    let renamed = collector_fn(Descriptor::new("names").every(secs(60)), |cx, batch| {
        let minute = cx.now().since(START).as_secs() / 60;
        Box::pin(async move {
            batch.ci("h", kind::HOST).attr(attr::HOST_NAME, format!("name-{minute}"));
            Ok(Coverage::new())
        })
    });
    let engine = builder(&clock).collector(renamed).build().unwrap();
    let mut simulation = Simulation::new(clock, engine);
    let handle = simulation.handle().clone();
    simulation.advance(secs(150));
    let name = |view: &itom::cmdb::View| view.cis().next().map(|ci| ci.name().to_string());
    let then = simulation.ask(handle.view_at(Point::believed(START + secs(30)))).unwrap();
    assert_eq!(name(&then).as_deref(), Some("name-0"));
    assert_eq!(name(&simulation.ask(handle.view_at(Point::was(START - secs(1)))).unwrap()), None);
    // What comes in after the first question is part of the past, too.
    simulation.advance(secs(120));
    let then = simulation.ask(handle.view_at(Point::believed(START + secs(190)))).unwrap();
    let now = name(&handle.view());
    assert!(name(&then).is_some() && name(&then) != now, "{now:?}");
    let (a, b) = (Point::believed(START + secs(30)), Point::believed(START + secs(190)));
    let changes = simulation.ask(handle.changed(a, b)).unwrap();
    assert_eq!(changes.len(), 1, "{changes:?}");
    let id = handle.view().cis().next().map(|ci| ci.id()).unwrap();
    let said = simulation.ask(handle.field_history(id, attr::HOST_NAME)).unwrap();
    assert!(said.len() > 3, "{said:?}");
    assert_eq!(said.last().and_then(|own| own.value.as_ref()?.as_text().map(str::to_owned)), now);
    simulation.stop().unwrap();
    assert!(matches!(handle.view_at(a).now_or_never(), Some(Err(HandleError::Ended))));
}
