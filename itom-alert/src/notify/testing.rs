//! The conformance suite of notifiers.

use std::collections::BTreeSet;
use std::task::{Context, Poll, Waker};

use itom_core::{Classify, ErrorChain, Timestamp};

use super::{Idempotence, Notice, NoticeKind, Notifier};
use crate::life::Alert;
use crate::rule::{Condition, Instance, Level, Query, Reduce, Rule};

/// A complete sequence of one episode: open, update, close, with keys as the outbox gives them.
#[must_use]
pub fn sample_notices() -> Vec<Notice> {
    use itom_core::{Labels, MetricName, Selector, Severity};
    let at = Timestamp::from_secs(1_700_000_000);
    let labels = Labels::from_pairs([("device", "sda1")]).unwrap_or_default();
    let instance = Instance::new(labels.clone(), None);
    let query = Query::new(
        Selector::new(MetricName::literal("node_load1")),
        Reduce::Last,
        std::time::Duration::from_secs(60),
    );
    let rule = Rule::new(
        "conformance",
        Condition::threshold(query, [Level::new(Severity::Warning, crate::rule::Compare::Above, 1.0)]),
    );
    let id = Alert::id_of(rule.name(), &instance);
    [NoticeKind::Open, NoticeKind::Update, NoticeKind::Close]
        .into_iter()
        .enumerate()
        .map(|(index, kind)| Notice {
            version: Notice::VERSION,
            key: format!("conformance/{index}").into(),
            episode: Notice::episode_key(id, at),
            kind,
            at,
            alert: id,
            rule: rule.name().clone(),
            severity: Severity::Warning,
            condition: crate::life::ConditionState::Firing,
            summary: "a text with \"quotes\",\nlines and ünïcödé".into(),
            description: "".into(),
            labels: labels.clone(),
            ci: None,
            ci_name: Some("web-1".into()),
            started_at: at,
            ended_at: (kind == NoticeKind::Close).then_some(at),
            ending: (kind == NoticeKind::Close).then_some(crate::life::Ending::Recovered),
            value: Some(2.5),
            reasons: vec!["node_load1 > 1".into()],
            operator: crate::life::OperatorState::Unacknowledged,
            runbook_url: "".into(),
        })
        .collect()
}

/// Checks a notifier whose receiver works: every notice of a sequence is taken; dropping an attempt at its first await
/// leaves it usable; a receiver that declares [`Idempotence::ByKey`] takes repeats. `arrived` tells the keys that had
/// an effect, in order, if that can be known.
///
/// # Errors
/// What was broken, in words.
pub async fn check_notifier(
    notifier: &dyn Notifier,
    arrived: Option<&(dyn Fn() -> Vec<String> + Send + Sync)>,
) -> Result<(), String> {
    let notices = sample_notices();
    {
        let mut abandoned = notifier.notify(&notices[0]);
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(Err(error)) = abandoned.as_mut().poll(&mut context) {
            return Err(format!("a first attempt failed: {}", ErrorChain(&error)));
        }
    }
    for notice in &notices {
        // The first may have arrived in the abandoned attempt: repeats must not be errors.
        notifier.notify(notice).await.map_err(|error| {
            format!("{:?} failed ({}): {}", notice.kind, error.kind(), ErrorChain(&error))
        })?;
    }
    if notifier.idempotence() == Idempotence::ByKey {
        for notice in &notices {
            notifier
                .notify(notice)
                .await
                .map_err(|error| format!("a repeated {:?} failed: {}", notice.kind, ErrorChain(&error)))?;
        }
        if let Some(arrived) = arrived {
            let keys = arrived();
            let distinct: BTreeSet<&String> = keys.iter().collect();
            if distinct.len() != keys.len() {
                return Err(format!("declared idempotent, but a repeated notice had an effect: {keys:?}"));
            }
        }
    }
    if let Some(arrived) = arrived {
        let keys = arrived();
        for notice in &notices {
            if !keys.iter().any(|key| key == notice.key.as_str()) {
                return Err(format!("{:?} was said to be told but did not arrive", notice.kind));
            }
        }
    }
    Ok(())
}
