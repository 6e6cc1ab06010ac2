//! What the engine tells those who watch it: bounded, and a loss is counted and delivered.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures::Stream;
use futures::channel::mpsc;
use itom_alert::life::Transition;
use itom_core::{CiChange, CiId, ErrorKind, EventObservation, SourceName, Text, Timestamp};

/// One thing that happened in the engine.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum EngineEvent {
    /// A run of a collector was taken in.
    Ingested {
        /// When.
        at: Timestamp,
        /// Which source.
        source: SourceName,
        /// How many observations it had.
        observations: usize,
        /// What changed; empty for a round that only confirmed what was known.
        changes: Arc<[CiChange]>,
    },
    /// A source reported that something happened. Rules do not see it yet; those who watch do.
    Reported {
        /// When it was taken in.
        at: Timestamp,
        /// Which source.
        source: SourceName,
        /// The item it happened to, as far as known.
        ci: Option<CiId>,
        /// What happened.
        event: Arc<EventObservation>,
    },
    /// An alert changed.
    Alert {
        /// When.
        at: Timestamp,
        /// From what to what.
        transition: Arc<Transition>,
    },
    /// The store does not accept facts (or does again, when `error` is `None`). Nothing acknowledged is lost; what
    /// waits is tried again.
    Store {
        /// When.
        at: Timestamp,
        /// What is wrong.
        error: Option<(ErrorKind, Text)>,
    },
    /// Facts that other engines appended to the store were taken in.
    Learned {
        /// When.
        at: Timestamp,
        /// How many were new here.
        facts: usize,
        /// What changed.
        changes: Arc<[CiChange]>,
    },
    /// Old facts were summed up.
    Compacted {
        /// When.
        at: Timestamp,
        /// How many went.
        dropped: u64,
        /// How many came in their place.
        checkpoints: u64,
    },
    /// The engine stopped taking in runs and will end.
    ShuttingDown {
        /// When.
        at: Timestamp,
    },
}

/// What a subscriber gets: events, and how many it was too slow for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Delivery {
    /// An event.
    Event(EngineEvent),
    /// So many events were dropped before the next one because the subscriber's queue was full.
    Lagged(u64),
}

/// The events, from the moment of subscribing on. Ends with the engine.
#[derive(Debug)]
pub struct Subscription {
    receiver: mpsc::Receiver<Delivery>,
}

impl Stream for Subscription {
    type Item = Delivery;
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        Pin::new(&mut self.receiver).poll_next(cx)
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Broadcast(Arc<Mutex<Subscribers>>);

#[derive(Debug, Default)]
struct Subscribers {
    list: Vec<Subscriber>,
    closed: bool,
}

#[derive(Debug)]
struct Subscriber {
    sender: mpsc::Sender<Delivery>,
    lagged: u64,
}

/// Ends every subscription when dropped.
#[derive(Debug)]
pub(crate) struct EndOfEvents(Broadcast);

impl EndOfEvents {
    pub(crate) fn new(events: &Broadcast) -> Self {
        Self(events.clone())
    }
}

impl Drop for EndOfEvents {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Broadcast {
    fn subscribers(&self) -> MutexGuard<'_, Subscribers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn subscribe(&self, capacity: usize) -> Subscription {
        // `channel` adds one place for each sender to the capacity asked for.
        let (sender, receiver) = mpsc::channel(capacity);
        let mut subscribers = self.subscribers();
        if !subscribers.closed {
            subscribers.list.push(Subscriber { sender, lagged: 0 });
        }
        Subscription { receiver }
    }

    pub(crate) fn send(&self, event: &EngineEvent) {
        self.subscribers().list.retain_mut(|subscriber| {
            if subscriber.sender.is_closed() {
                return false;
            }
            if subscriber.lagged > 0 {
                match subscriber.sender.try_send(Delivery::Lagged(subscriber.lagged)) {
                    Ok(()) => subscriber.lagged = 0,
                    Err(_) => {
                        subscriber.lagged += 1;
                        return true;
                    }
                }
            }
            if subscriber.sender.try_send(Delivery::Event(event.clone())).is_err() {
                subscriber.lagged += 1;
            }
            true
        });
    }

    /// Ends every subscription, and those to come.
    pub(crate) fn close(&self) {
        let mut subscribers = self.subscribers();
        subscribers.closed = true;
        for Subscriber { sender, lagged } in &mut subscribers.list {
            if *lagged > 0 {
                // A full queue cannot be told; the end of the stream still comes.
                let _ = sender.try_send(Delivery::Lagged(*lagged));
            }
        }
        subscribers.list.clear();
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};

    use super::*;

    fn event(micros: i64) -> EngineEvent {
        EngineEvent::ShuttingDown { at: Timestamp::from_micros(micros) }
    }

    #[test]
    fn a_slow_subscriber_is_told_how_much_it_missed() {
        let broadcast = Broadcast::default();
        let mut slow = broadcast.subscribe(1);
        for micros in 0..10 {
            broadcast.send(&event(micros));
        }
        let mut kept = 0;
        while let Some(Some(Delivery::Event(_))) = slow.next().now_or_never() {
            kept += 1;
        }
        assert!((1..10).contains(&kept));
        broadcast.send(&event(10));
        assert!(
            matches!(slow.next().now_or_never(), Some(Some(Delivery::Lagged(missed))) if missed == 10 - kept)
        );
        assert!(matches!(
            slow.next().now_or_never(),
            Some(Some(Delivery::Event(EngineEvent::ShuttingDown { at }))) if at.as_micros() == 10
        ));
    }

    #[test]
    fn closing_ends_subscriptions_and_dropped_ones_are_forgotten() {
        let broadcast = Broadcast::default();
        drop(broadcast.subscribe(1));
        broadcast.send(&event(0));
        assert_eq!(broadcast.subscribers().list.len(), 0);
        let mut open = broadcast.subscribe(1);
        broadcast.close();
        assert!(matches!(open.next().now_or_never(), Some(None)));
        assert!(matches!(broadcast.subscribe(1).next().now_or_never(), Some(None)), "too late to subscribe");
    }
}
