//! The machine's clock: the one file of the workspace that reads the wall clock.
#![expect(clippy::disallowed_methods, reason = "this is the clock that every driver is given")]

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::future::BoxFuture;

use super::{Clock, Timestamp};

/// The operating system's clock, on any executor: sleeps are served by one timer thread per clock, started with
/// the first sleep and ended when the last handle is dropped.
///
/// A sleep is armed with the monotonic clock, so stepping the wall clock neither hangs nor floods a driver; once
/// it is over, `now()` may still be before the deadline if the wall clock went backwards, and the driver sleeps
/// again.
#[derive(Debug, Clone, Default)]
pub struct SystemClock {
    timer: Arc<OnceLock<Arc<Timer>>>,
    alive: Arc<()>,
}

#[derive(Debug, Default)]
struct Timer {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    next_sleeper: u64,
    sleepers: BTreeMap<(Instant, u64), Option<Waker>>,
}

/// A sleep longer than this is cut: it keeps `Instant` arithmetic in range, and drivers look again anyway.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// How often the timer thread checks that someone still holds the clock.
const IDLE: Duration = Duration::from_secs(2);

impl SystemClock {
    /// A clock; costs nothing until the first sleep.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn timer(&self) -> &Arc<Timer> {
        self.timer.get_or_init(|| {
            let timer = Arc::new(Timer::default());
            let (on_thread, alive) = (Arc::clone(&timer), Arc::downgrade(&self.alive));
            let spawned =
                std::thread::Builder::new().name("itom-clock".into()).spawn(move || on_thread.serve(&alive));
            if spawned.is_err() {
                // No thread to be had: sleeps then complete at once and drivers poll; slower, never stuck.
                timer.queue().next_sleeper = u64::MAX;
            }
            timer
        })
    }
}

impl Timer {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, alive: &Weak<()>) {
        let mut queue = self.queue();
        loop {
            let now = Instant::now();
            let due: Vec<Waker> =
                queue.sleepers.range_mut(..=(now, u64::MAX)).filter_map(|(_, waker)| waker.take()).collect();
            if !due.is_empty() {
                drop(queue);
                due.into_iter().for_each(Waker::wake);
                queue = self.queue();
                continue;
            }
            if queue.sleepers.is_empty() && alive.strong_count() == 0 {
                return;
            }
            let next = queue.sleepers.iter().find(|(_, waker)| waker.is_some()).map(|((at, _), _)| *at);
            let wait = next.map_or(IDLE, |at| at.saturating_duration_since(now)).min(IDLE);
            queue = self.changed.wait_timeout(queue, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => Timestamp::EPOCH + after,
            Err(before) => Timestamp::EPOCH - before.duration(),
        }
    }

    fn sleep_until(&self, deadline: Timestamp) -> BoxFuture<'static, ()> {
        let wait = deadline.since(self.now()).min(LONGEST);
        if wait.is_zero() {
            return Box::pin(std::future::ready(()));
        }
        let timer = Arc::clone(self.timer());
        let key = {
            let mut queue = timer.queue();
            if queue.next_sleeper == u64::MAX {
                return Box::pin(std::future::ready(()));
            }
            let key = (Instant::now() + wait, queue.next_sleeper);
            queue.next_sleeper += 1;
            queue.sleepers.insert(key, None);
            key
        };
        Box::pin(Sleep { timer, key })
    }
}

struct Sleep {
    timer: Arc<Timer>,
    key: (Instant, u64),
}

impl Future for Sleep {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut queue = self.timer.queue();
        if Instant::now() >= self.key.0 {
            queue.sleepers.remove(&self.key);
            return Poll::Ready(());
        }
        queue.sleepers.insert(self.key, Some(cx.waker().clone()));
        drop(queue);
        self.timer.changed.notify_one();
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.timer.queue().sleepers.remove(&self.key);
    }
}
