//! Listeners: started with the engine, started again when they fail and that can help.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use itom_collect::{Cancel, CollectContext, Listener};
use itom_core::{Classify as _, Deadline, ErrorChain, Retry, SourceName, Text, Timestamp};
use tracing::{error, info, warn};

use super::run::Loop;
use super::shared::backoff;

/// The first pause after a failure; it doubles up to 32 times of it.
const PAUSE: Duration = Duration::from_secs(1);
/// A listener that worked for so long has overcome its earlier failures.
const PROVEN: Duration = Duration::from_secs(60);

/// A listener that ended.
pub(super) struct ListenerEnd {
    name: SourceName,
    /// Why it failed and whether starting it again can help; `None` when its source said that it is done.
    failure: Option<(Text, Retry)>,
}

/// When which listener was started, and when those that failed are started again.
#[derive(Debug, Default)]
pub(super) struct Listening {
    started: BTreeMap<SourceName, Timestamp>,
    failures: BTreeMap<SourceName, u32>,
    due: BTreeMap<SourceName, Timestamp>,
}

impl Listening {
    pub(super) fn deadline(&self) -> Option<Deadline> {
        self.due.values().min().map(|at| Deadline::new(*at, "a listener is started again"))
    }

    /// The clock was set back.
    pub(super) fn step_back(&mut self, by: Duration) {
        for at in self.started.values_mut().chain(self.due.values_mut()) {
            *at = *at - by;
        }
    }

    fn take_due(&mut self, now: Timestamp) -> Vec<SourceName> {
        let due = self.due.iter().filter(|(_, at)| **at <= now).map(|(name, _)| name.clone()).collect();
        self.due.retain(|_, at| *at > now);
        due
    }
}

impl Loop {
    /// Starts every listener.
    pub(super) fn start_listeners(&mut self, now: Timestamp) {
        for name in self.parts.listeners.keys().cloned().collect::<Vec<_>>() {
            self.listen(now, name);
        }
    }

    /// Starts those again whose pause is over.
    pub(super) fn restart_listeners(&mut self, now: Timestamp) {
        for name in self.listening.take_due(now) {
            info!(listener = %name, "listener is started again");
            self.listen(now, name);
        }
    }

    /// No more of them: the engine ends.
    pub(super) fn stop_listeners(&mut self) {
        self.waits.listeners.clear();
        self.listening.due.clear();
    }

    fn listen(&mut self, now: Timestamp, name: SourceName) {
        let Some(listener) = self.parts.listeners.get(&name) else { return };
        let (listener, sink): (Arc<dyn Listener>, _) = (Arc::clone(listener), self.shared.submitted.clone());
        let cx = CollectContext::new(Arc::clone(&self.parts.clock), Timestamp::MAX, Cancel::new());
        self.listening.started.insert(name.clone(), now);
        self.waits.listeners.push(Box::pin(async move {
            // A panic ends the listener and nothing else: it shares only the queue, which is written in one go.
            let ended = AssertUnwindSafe(listener.listen(&cx, &sink)).catch_unwind().await;
            let failure = match ended {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some((Text::from(ErrorChain(&error).to_string()), error.retry())),
                Err(_) => {
                    Some((Text::literal("it panicked; this is a defect in the listener"), Retry::Backoff))
                }
            };
            ListenerEnd { name, failure }
        }));
    }

    pub(super) fn listener_ended(&mut self, now: Timestamp, end: ListenerEnd) {
        let ListenerEnd { name, failure } = end;
        let Some((reason, retry)) = failure else {
            info!(listener = %name, "listener ended: its source is done");
            return;
        };
        let started = self.listening.started.get(&name).copied().unwrap_or(now);
        let failures = self.listening.failures.entry(name.clone()).or_default();
        if now.since(started) >= PROVEN {
            *failures = 0;
        }
        let pause = match retry {
            Retry::Never => {
                error!(listener = %name, %reason, "listener failed for good; it is not started again");
                return;
            }
            Retry::Backoff => backoff(PAUSE, *failures),
            // Never at once, whatever it asks for: it must not spin.
            Retry::After(span) => span.max(PAUSE),
        };
        *failures = failures.saturating_add(1);
        warn!(listener = %name, %reason, ?pause, "listener failed; it is started again after a pause");
        self.listening.due.insert(name, now + pause);
    }
}
