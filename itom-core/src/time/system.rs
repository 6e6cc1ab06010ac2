//! The machine's clock: the one file of the workspace that reads the wall clock.
#![expect(clippy::disallowed_methods, reason = "this is the clock that every driver is given")]

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::future::BoxFuture;

use super::{Clock, Timestamp};

/// The operating system's clock, on any executor: sleeps are served by one timer thread per clock, started with
/// the first sleep and ended when the last handle and the last sleep are dropped.
///
/// A sleep ends when the wall clock reaches its deadline, or when as much time has passed as lay before the deadline
/// when it began: a wall clock that is set forwards is noticed within a minute, and one that is set backwards hangs
/// nobody. In the second case `now()` is still before the deadline, and the driver sleeps again.
#[derive(Debug, Clone, Default)]
pub struct SystemClock(Arc<Handle>);

#[derive(Debug, Default)]
struct Handle {
    /// `None` inside when no thread was to be had: sleeps then end at once and drivers poll; slower, never stuck.
    timer: OnceLock<Option<Arc<Timer>>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(Some(timer)) = self.timer.get() {
            timer.queue().closed = true;
            timer.changed.notify_one();
        }
    }
}

#[derive(Debug, Default)]
struct Timer {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    next_sleeper: u64,
    closed: bool,
    /// Only sleeps that wait: those due are taken out and woken.
    waiting: BTreeMap<(Instant, u64), Waker>,
}

/// How often a sleep looks at the wall clock, which may have been set.
const LOOK: Duration = Duration::from_secs(60);
/// A sleep longer than this ends early: it keeps `Instant` arithmetic in range.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

impl SystemClock {
    /// A clock; costs nothing until the first sleep.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn timer(&self) -> Option<&Arc<Timer>> {
        self.0
            .timer
            .get_or_init(|| {
                let timer = Arc::new(Timer::default());
                let served = Arc::clone(&timer);
                let spawned =
                    std::thread::Builder::new().name("itom-clock".into()).spawn(move || served.serve());
                spawned.is_ok().then_some(timer)
            })
            .as_ref()
    }
}

impl Timer {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // A panic elsewhere cannot leave the queue half-changed: every change is one call.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        let mut queue = self.queue();
        while !queue.closed {
            let now = Instant::now();
            let later = queue.waiting.split_off(&(now, u64::MAX));
            let due = std::mem::replace(&mut queue.waiting, later);
            if !due.is_empty() {
                drop(queue);
                due.into_values().for_each(Waker::wake);
                queue = self.queue();
                continue;
            }
            queue = match queue.waiting.keys().next() {
                Some((at, _)) => {
                    let wait = at.saturating_duration_since(now);
                    self.changed.wait_timeout(queue, wait).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
            };
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
        if wait.is_zero() || self.timer().is_none() {
            return Box::pin(std::future::ready(()));
        }
        Box::pin(Sleep { clock: self.clone(), deadline, end: Instant::now() + wait, waiting: None })
    }
}

struct Sleep {
    /// Keeps the timer thread.
    clock: SystemClock,
    deadline: Timestamp,
    end: Instant,
    waiting: Option<(Instant, u64)>,
}

impl Sleep {
    fn forget(&mut self, queue: &mut Queue) {
        if let Some(key) = self.waiting.take() {
            queue.waiting.remove(&key);
        }
    }
}

impl Future for Sleep {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        let over = now >= self.end || self.clock.now() >= self.deadline;
        let Some(timer) = self.clock.timer().cloned() else { return Poll::Ready(()) };
        let mut queue = timer.queue();
        self.forget(&mut queue);
        if over {
            return Poll::Ready(());
        }
        // A microsecond more: the wall clock is cut to microseconds and would else be one short.
        let key = (self.end.min(now + LOOK) + Duration::from_micros(1), queue.next_sleeper);
        queue.next_sleeper += 1;
        let first = queue.waiting.keys().next().is_none_or(|earliest| key < *earliest);
        queue.waiting.insert(key, cx.waker().clone());
        drop(queue);
        self.waiting = Some(key);
        if first {
            timer.changed.notify_one();
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if self.waiting.is_some()
            && let Some(timer) = self.clock.timer().cloned()
        {
            self.forget(&mut timer.queue());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;

    use futures::executor::block_on;
    use futures::future::{join, select};

    use super::*;

    #[test]
    fn a_sleep_ends_in_order_and_the_thread_with_the_last_handle() {
        let clock = SystemClock::new();
        let begun = clock.now();
        let early = clock.sleep_until(begun + Duration::from_millis(10));
        let late = clock.sleep_until(begun + Duration::from_millis(20));
        // A sleep that is dropped while waiting does not wake anybody.
        let never = clock.sleep_until(Timestamp::MAX);
        let both = async { join(late, early).await };
        drop(block_on(select(Box::pin(both), never)));
        assert!(
            clock.now() >= begun + Duration::from_millis(20) || clock.now() < begun,
            "it ended too early"
        );

        let timer: Weak<Timer> = Arc::downgrade(clock.timer().expect("a thread"));
        assert!(timer.upgrade().expect("it serves").queue().waiting.is_empty(), "a dropped sleep stays");
        let sleep = clock.sleep_until(begun + Duration::from_millis(25));
        drop(clock);
        // A sleep keeps the thread that serves it.
        block_on(sleep);
        while timer.strong_count() > 0 {
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_is_past_needs_no_thread() {
        let clock = SystemClock::new();
        block_on(clock.sleep_until(clock.now()));
        block_on(clock.sleep_until(Timestamp::MIN));
        assert!(clock.0.timer.get().is_none());
    }

    #[test]
    fn a_wall_clock_set_backwards_hangs_nobody() {
        let clock = SystemClock::new();
        // As after a step: the wall clock is far before the deadline, yet the time has passed.
        let sleep =
            Sleep { clock: clock.clone(), deadline: Timestamp::MAX, end: Instant::now(), waiting: None };
        block_on(sleep);
    }

    #[test]
    fn a_wall_clock_set_forwards_is_noticed() {
        let clock = SystemClock::new();
        let end = Instant::now() + LONGEST;
        block_on(Sleep { deadline: clock.now(), clock, end, waiting: None });
    }
}
