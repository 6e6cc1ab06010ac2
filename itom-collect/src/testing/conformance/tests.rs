//! The suite is proved with good collectors and with one bad collector for each rule.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use itom_core::{Scope, attr, kind, relation};

use super::*;
use crate::{CollectFuture, collector_fn};

/// What the suite says about a collector made of `run`.
fn verdict<F>(descriptor: &Descriptor, run: F) -> Result<(), &'static str>
where
    F: for<'a> Fn(&'a CollectContext, &'a mut Batch) -> CollectFuture<'a> + Send + Sync + Clone + 'static,
{
    let make = || collector_fn(descriptor.clone(), run.clone());
    CollectorCheck::new().patience(Duration::from_millis(300)).run(make).map_err(|broken| broken.rule)
}

fn racks() -> Descriptor {
    Descriptor::new("racks").emits(kind::HOST)
}

fn complete() -> Result<Coverage, CollectError> {
    Ok(Coverage::new().complete(Scope::cis(kind::HOST)))
}

/// A verdict on a collector whose body is `$body`, run after one item and a checkpoint.
macro_rules! verdict {
    (|$cx:ident, $batch:ident| $body:expr) => {
        verdict(&racks(), |$cx, $batch| {
            Box::pin(async move {
                $cx.checkpoint().await?;
                $batch.ci("web", kind::HOST);
                $body
            })
        })
    };
}

#[test]
fn good_collectors_pass() {
    let good = verdict!(|cx, batch| {
        for index in 0..50 {
            cx.checkpoint().await?;
            batch.ci(format!("web-{index}"), kind::HOST_LINUX).attr(attr::HOST_NAME, "web");
            batch.relation(relation::DEPENDS_ON, format!("web-{index}"), "web");
            batch.relation(relation::DEPENDS_ON, "web", Key::fqdn("db.example.com"));
        }
        complete()
    });
    assert_eq!(good, Ok(()));
    let absent = verdict!(|_cx, _batch| Err(CollectError::Unsupported { what: "the source".into() }));
    assert_eq!(absent, Ok(()), "a source that does not exist here says so");
}

#[test]
fn a_silent_run_is_caught() {
    let silent = verdict(&racks(), |_, _| Box::pin(async { Ok(Coverage::new()) }));
    assert_eq!(silent, Err("a run says something"));
}

#[test]
fn unusable_and_changing_descriptors_are_caught() {
    let verdict = |descriptor: Descriptor| verdict(&descriptor, |_, _| Box::pin(async { complete() }));
    assert_eq!(verdict(Descriptor::new("no spaces please")), Err("the descriptor is usable"));
    assert_eq!(verdict(racks().every(Duration::ZERO)), Err("the descriptor is usable"));

    static CALLS: AtomicU64 = AtomicU64::new(0);
    let changing = CollectorCheck::new().run(|| {
        let call = CALLS.fetch_add(1, Ordering::Relaxed);
        collector_fn(Descriptor::new(format!("racks-{call}")), |_, _| Box::pin(async { complete() }))
    });
    assert_eq!(changing.map_err(|broken| broken.rule), Err("the descriptor is the same each time"));
}

#[test]
fn malformed_observations_are_caught() {
    let twice = verdict!(|_cx, batch| {
        batch.ci("web", kind::HOST);
        complete()
    });
    assert_eq!(twice, Err("a native id stands for one item"));

    let dangling = verdict!(|_cx, batch| {
        batch.relation(relation::DEPENDS_ON, "web", "db");
        complete()
    });
    assert_eq!(dangling, Err("what is spoken of exists"));

    let undeclared = verdict!(|_cx, batch| {
        batch.ci("disk", kind::DISK);
        complete()
    });
    assert_eq!(undeclared, Err("kinds are those of the descriptor"));

    let bad_name = verdict!(|_cx, batch| {
        batch.ci("b", kind::HOST).attr(AttrName::literal("Not An Attribute"), 1_i64);
        complete()
    });
    assert_eq!(bad_name, Err("names are valid"));

    let bad_key = verdict!(|_cx, batch| {
        batch.ci("b", kind::HOST).key(Key::fqdn(""));
        complete()
    });
    assert_eq!(bad_key, Err("keys are canonical"));

    let series_twice = verdict!(|_cx, batch| {
        batch.gauge(MetricName::literal("up"), 1.0);
        batch.gauge(MetricName::literal("up"), 0.0);
        complete()
    });
    assert_eq!(series_twice, Err("a series has one value at a time"));

    let wordless = verdict!(|_cx, batch| {
        batch.fault("", ErrorKind::Denied, "");
        complete()
    });
    assert_eq!(wordless, Err("faults have words"));

    let finished = verdict!(|_cx, batch| {
        batch.finish(Coverage::new().complete(Scope::cis(kind::HOST)));
        complete()
    });
    assert_eq!(finished, Err("the coverage is returned"));
}

#[test]
fn unstable_ids_are_caught() {
    static RUN: AtomicU64 = AtomicU64::new(0);
    let unstable = verdict(&racks(), |cx, batch| {
        Box::pin(async move {
            cx.checkpoint().await?;
            let run = RUN.fetch_add(1, Ordering::Relaxed);
            batch.ci(format!("row-{run}"), kind::HOST);
            complete()
        })
    });
    assert_eq!(unstable, Err("native ids are stable"));
}

#[test]
fn a_still_source_must_not_lose_an_item() {
    static RUN: AtomicU64 = AtomicU64::new(0);
    let make = || {
        collector_fn(racks(), |_, batch| {
            Box::pin(async move {
                let hidden = RUN.fetch_add(1, Ordering::Relaxed) % 10;
                for index in (0..10).filter(|index| *index != hidden) {
                    batch.ci(index.to_string(), kind::HOST);
                }
                complete()
            })
        })
    };
    assert_eq!(CollectorCheck::new().run(make), Ok(()), "a real source may change");
    let still = CollectorCheck::new().still().run(make).map_err(|broken| broken.rule);
    assert_eq!(still, Err("native ids are stable"));
}

#[test]
fn l11_a_run_that_breaks_when_dropped_is_caught() {
    static BUSY: AtomicBool = AtomicBool::new(false);
    let locked = verdict(&racks(), |cx, batch| {
        Box::pin(async move {
            // A lock that a dropped run does not give back.
            if BUSY.swap(true, Ordering::AcqRel) {
                return Err(CollectError::Unavailable { what: "the source".into(), source: "busy".into() });
            }
            batch.ci("web", kind::HOST);
            let checked = cx.checkpoint().await;
            BUSY.store(false, Ordering::Release);
            checked?;
            complete()
        })
    });
    assert_eq!(locked, Err("a dropped run does not keep the next from going well"));
}

#[test]
fn runs_that_do_not_stop_are_caught() {
    let deaf = verdict(&racks(), |_, batch| {
        Box::pin(async move {
            for index in 0..=SHORT {
                batch.ci(index.to_string(), kind::HOST);
            }
            complete()
        })
    });
    assert_eq!(deaf, Err("a cancelled run stops"));

    let late = verdict(&racks(), |cx, batch| {
        Box::pin(async move {
            for index in 0..=SHORT {
                if matches!(cx.check(), Err(CollectError::Cancelled)) {
                    return Err(CollectError::Cancelled);
                }
                batch.ci(index.to_string(), kind::HOST);
            }
            complete()
        })
    });
    assert_eq!(late, Err("a run past its deadline stops"));

    let hung = verdict!(|_cx, _batch| std::future::pending().await);
    assert_eq!(hung, Err("a run ends"));
}
