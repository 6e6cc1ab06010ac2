//! Order, coalescing, retries and bounds.

use itom_core::{Machine, Retry, Severity};
use proptest::prelude::*;

use super::*;
use crate::notify::{Notice, NoticeKind};
use crate::testkit::{at, secs};

fn notice(episode: &str, kind: NoticeKind, severity: Severity, second: i64) -> Notice {
    serde_json::from_value(serde_json::json!({
        "version": 1, "episode": episode, "kind": kind, "at": at(second),
        "alert": itom_core::AlertId::derive(&[episode]), "rule": "r", "severity": severity, "condition": "firing",
        "summary": "s", "labels": {}, "started_at": at(0),
    }))
    .unwrap()
}

fn outbox() -> Outbox {
    Outbox::new(OutboxConfig { receivers: vec![Receiver::new("pager")], ..OutboxConfig::default() })
}

fn put(outbox: &mut Outbox, second: i64, kind: NoticeKind, severity: Severity) {
    outbox.handle(at(second), OutboxInput::Enqueue(Box::new(notice("e", kind, severity, second))));
}

fn sends(outbox: &mut Outbox) -> Vec<Send> {
    std::iter::from_fn(|| outbox.poll_output())
        .filter_map(|output| if let OutboxOutput::Send(send) = output { Some(*send) } else { None })
        .collect()
}

fn answer(outbox: &mut Outbox, second: i64, send: &Send, result: Result<(), SendFailure>) {
    let (key, attempt) = (send.notice.key.clone(), send.attempt);
    outbox.handle(at(second), OutboxInput::Sent { key, attempt, result });
}

fn failure(retry: Retry) -> Result<(), SendFailure> {
    Err(SendFailure { retry, reason: "no".into() })
}

#[test]
fn written_down_before_it_is_sent() {
    let mut outbox = outbox();
    put(&mut outbox, 0, NoticeKind::Open, Severity::Major);
    let outputs: Vec<OutboxOutput> = std::iter::from_fn(|| outbox.poll_output()).collect();
    let send = outputs.iter().position(|output| matches!(output, OutboxOutput::Send(_))).unwrap();
    let last = outputs[..send].iter().rev().find_map(|output| match output {
        OutboxOutput::Persist(intent) => Some(intent.clone()),
        _ => None,
    });
    assert!(last.unwrap().attempted, "that it may have arrived is known before it can have");
}

#[test]
fn order_is_kept_and_updates_are_joined() {
    let mut outbox = outbox();
    put(&mut outbox, 0, NoticeKind::Open, Severity::Warning);
    let open = sends(&mut outbox).remove(0);
    put(&mut outbox, 1, NoticeKind::Update, Severity::Minor);
    put(&mut outbox, 2, NoticeKind::Update, Severity::Critical);
    assert!(sends(&mut outbox).is_empty(), "one at a time in a sequence");
    answer(&mut outbox, 3, &open, Ok(()));
    let update = sends(&mut outbox).remove(0);
    assert_eq!((update.notice.kind, update.notice.severity), (NoticeKind::Update, Severity::Critical));
    put(&mut outbox, 4, NoticeKind::Close, Severity::Critical);
    put(&mut outbox, 4, NoticeKind::Close, Severity::Critical);
    answer(&mut outbox, 5, &update, Ok(()));
    let close = sends(&mut outbox);
    assert_eq!(close.len(), 1);
    answer(&mut outbox, 6, &close[0], Ok(()));
    assert!(sends(&mut outbox).is_empty());
    assert_eq!(outbox.intents().count(), 0);
    assert_eq!(outbox.counts().coalesced, 1);
}

#[test]
fn retries_wait_and_listen() {
    let mut outbox = outbox();
    put(&mut outbox, 0, NoticeKind::Open, Severity::Major);
    let first = sends(&mut outbox).remove(0);
    answer(&mut outbox, 0, &first, failure(Retry::After(secs(40))));
    outbox.handle_deadline(at(39));
    assert!(sends(&mut outbox).is_empty());
    assert_eq!(outbox.poll_deadline().unwrap().at, at(40));
    outbox.handle_deadline(at(40));
    let second = sends(&mut outbox).remove(0);
    assert_eq!((second.attempt, &second.notice.key), (2, &first.notice.key), "the same key");
    answer(&mut outbox, 40, &second, failure(Retry::Backoff));
    let pause = outbox.poll_deadline().unwrap().at.since(at(40));
    assert!(pause >= secs(5) && pause <= secs(10), "{pause:?}");
    // An answer to an older attempt changes nothing.
    answer(&mut outbox, 41, &first, Ok(()));
    assert_eq!(outbox.counts().sent, 0);
}

#[test]
fn a_lost_result_counts_as_failed() {
    let mut outbox = outbox();
    put(&mut outbox, 0, NoticeKind::Open, Severity::Major);
    assert_eq!(sends(&mut outbox).len(), 1);
    outbox.handle_deadline(at(120));
    outbox.handle_deadline(at(200));
    assert_eq!(sends(&mut outbox)[0].attempt, 2);
}

#[test]
fn a_refused_open_needs_no_close() {
    let mut outbox = outbox();
    put(&mut outbox, 0, NoticeKind::Open, Severity::Major);
    let open = sends(&mut outbox).remove(0);
    answer(&mut outbox, 0, &open, failure(Retry::Never));
    put(&mut outbox, 1, NoticeKind::Update, Severity::Critical);
    put(&mut outbox, 2, NoticeKind::Close, Severity::Critical);
    assert!(sends(&mut outbox).is_empty());
    assert_eq!((outbox.intents().count(), outbox.counts().given_up), (0, 1));
}

#[test]
fn a_receiver_of_bad_things_is_told_when_it_gets_bad() {
    let receivers = vec![Receiver::new("pager").min_severity(Severity::Critical)];
    let mut outbox = Outbox::new(OutboxConfig { receivers, ..OutboxConfig::default() });
    put(&mut outbox, 0, NoticeKind::Open, Severity::Warning);
    assert!(sends(&mut outbox).is_empty());
    put(&mut outbox, 1, NoticeKind::Update, Severity::Critical);
    let open = sends(&mut outbox).remove(0);
    assert_eq!(open.notice.kind, NoticeKind::Open);
    answer(&mut outbox, 1, &open, Ok(()));
    put(&mut outbox, 2, NoticeKind::Close, Severity::Warning);
    assert_eq!(
        sends(&mut outbox)[0].notice.kind,
        NoticeKind::Close,
        "whoever was told the open is told the close"
    );
}

#[test]
fn a_full_outbox_drops_opens_and_never_a_close() {
    let receivers = vec![Receiver::new("pager")];
    let mut outbox = Outbox::new(OutboxConfig { receivers, max_intents: 1, ..OutboxConfig::default() });
    put(&mut outbox, 0, NoticeKind::Open, Severity::Major);
    let open = sends(&mut outbox).remove(0);
    outbox.handle(at(1), OutboxInput::Enqueue(Box::new(notice("f", NoticeKind::Open, Severity::Major, 1))));
    assert_eq!(outbox.counts().dropped, 1);
    put(&mut outbox, 2, NoticeKind::Close, Severity::Major);
    answer(&mut outbox, 3, &open, Ok(()));
    assert_eq!(sends(&mut outbox)[0].notice.kind, NoticeKind::Close);
}

proptest! {
    #[test]
    fn l9_a_failing_receiver_still_gets_open_before_close_once(
        script in prop::collection::vec((0..3_u8, 0..4_u8), 1..40), crash in prop::collection::btree_set(0..40_usize, 0..4),
    ) {
        let mut outbox = outbox();
        let mut durable = std::collections::BTreeMap::new();
        let (mut arrived, mut keys) = (Vec::new(), std::collections::BTreeSet::new());
        let mut step = |outbox: &mut Outbox, second: i64, mode: u8, crash: bool| {
            while let Some(output) = outbox.poll_output() {
                match output {
                    OutboxOutput::Persist(intent) => { durable.insert(intent.key.clone(), *intent); }
                    OutboxOutput::Forget(key) => { durable.remove(&key); }
                    OutboxOutput::Send(send) => {
                        // 0: arrives; 1: arrives, the answer is lost; 2 and 3: does not arrive.
                        if mode < 2 && keys.insert(send.notice.key.clone()) {
                            arrived.push(send.notice.kind);
                        }
                        if crash {
                            *outbox = self::outbox();
                            outbox.handle(at(second), OutboxInput::Restore(durable.values().cloned().collect()));
                            return;
                        }
                        let result = if mode == 0 { Ok(()) } else { failure(Retry::Backoff) };
                        answer(outbox, second, &send, result);
                    }
                    OutboxOutput::GaveUp { .. } => unreachable!("nothing expires here"),
                }
            }
        };
        let mut now = 0;
        put(&mut outbox, now, NoticeKind::Open, Severity::Major);
        for (index, (what, mode)) in script.iter().enumerate() {
            now += 20;
            if *what == 0 {
                put(&mut outbox, now, NoticeKind::Update, Severity::Critical);
            }
            outbox.handle_deadline(at(now));
            step(&mut outbox, now, *mode, crash.contains(&index));
        }
        put(&mut outbox, now, NoticeKind::Close, Severity::Major);
        for _ in 0..8 {
            now += 1000;
            outbox.handle_deadline(at(now));
            step(&mut outbox, now, 0, false);
        }
        prop_assert_eq!(arrived.first(), Some(&NoticeKind::Open));
        prop_assert_eq!(arrived.last(), Some(&NoticeKind::Close));
        prop_assert_eq!(arrived.iter().filter(|kind| **kind == NoticeKind::Open).count(), 1);
        prop_assert_eq!(arrived.iter().filter(|kind| **kind == NoticeKind::Close).count(), 1);
        prop_assert_eq!(outbox.intents().count(), 0);
        prop_assert!(outbox.poll_deadline().is_none());
    }
}

/// Each case plays its script dozens of times on clones: fewer cases than elsewhere, `PROPTEST_CASES` raises them.
fn few() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(24);
    ProptestConfig { cases, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn outbox_obeys_the_machine_laws(
        steps in prop::collection::vec((0..3_u8, 0..600_i64, any::<bool>()), 1..12), fails in 0..5_u32, silent: bool,
    ) {
        let mut second = 0;
        let mut script = Vec::new();
        for (episode, pause, bad) in &steps {
            let severity = if *bad { Severity::Critical } else { Severity::Warning };
            for (kind, after) in [(NoticeKind::Open, 0), (NoticeKind::Update, 7), (NoticeKind::Close, 90)] {
                let notice = notice(&format!("e{episode}"), kind, severity, second + after);
                script.push((at(second + after), OutboxInput::Enqueue(Box::new(notice))));
            }
            second += 90 + pause;
        }
        let react = |output: &OutboxOutput| match output {
            // A receiver that never answers, or one that fails a few times first.
            OutboxOutput::Send(send) if !silent => {
                let result = if send.attempt <= fails { failure(Retry::Backoff) } else { Ok(()) };
                let (key, attempt) = (send.notice.key.clone(), send.attempt);
                vec![(secs(1), OutboxInput::Sent { key, attempt, result })]
            }
            _ => Vec::new(),
        };
        prop_assert_eq!(itom_core::machine::testing::check_laws(outbox, &script, react), Ok(()));
    }
}
