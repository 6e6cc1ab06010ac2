//! The clock port, and a clock that only moves when told.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures::future::BoxFuture;

use super::Timestamp;

/// What a driver asks for the time. Engines never hold one.
///
/// ```
/// use itom_core::{Clock, Timestamp, VirtualClock};
/// let clock = VirtualClock::new(Timestamp::from_secs(100));
/// let mut sleep = clock.sleep_until(Timestamp::from_secs(110));
/// clock.advance_to(Timestamp::from_secs(110));
/// futures::executor::block_on(sleep);
/// assert_eq!(clock.now(), Timestamp::from_secs(110));
/// ```
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// The time now. Real clocks can step backwards; drivers hand on what they get and machines must cope.
    fn now(&self) -> Timestamp;

    /// Completes once `now() >= deadline`. Dropping it cancels it.
    fn sleep_until(&self, deadline: Timestamp) -> BoxFuture<'static, ()>;
}

const _: Option<&dyn Clock> = None;

/// A clock that stands still until [`advance_to`](Self::advance_to) is called: for tests, replays and simulations.
/// Clones share the time.
///
/// ```
/// use itom_core::{Clock, Timestamp, VirtualClock};
/// let clock = VirtualClock::new(Timestamp::EPOCH);
/// let sleep = clock.sleep_until(Timestamp::from_secs(90));
/// // A simulation jumps to whatever is due next.
/// while let Some(next) = clock.next_deadline() {
///     clock.advance_to(next);
///     if next == Timestamp::from_secs(90) { break }
/// }
/// futures::executor::block_on(sleep);
/// assert_eq!(clock.sleepers(), 0);
/// ```
#[derive(Clone)]
pub struct VirtualClock(Arc<Mutex<State>>);

struct State {
    now: Timestamp,
    next_sleeper: u64,
    sleepers: BTreeMap<(Timestamp, u64), Option<Waker>>,
}

impl VirtualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(State { now, next_sleeper: 0, sleepers: BTreeMap::new() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere cannot leave the state half-changed: every method writes it in one go.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the time, forwards or (as real clocks do) backwards, and wakes whoever was waiting for it.
    pub fn advance_to(&self, now: Timestamp) {
        let due: Vec<Waker> = {
            let mut state = self.state();
            state.now = now;
            state.sleepers.range_mut(..=(now, u64::MAX)).filter_map(|(_, waker)| waker.take()).collect()
        };
        due.into_iter().for_each(Waker::wake);
    }

    /// When the next sleeper is due; a simulation advances to it.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.state().sleepers.keys().next().map(|(at, _)| *at)
    }

    /// How many sleeps are pending.
    #[must_use]
    pub fn sleepers(&self) -> usize {
        self.state().sleepers.len()
    }
}

impl fmt::Debug for VirtualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("VirtualClock")
            .field("now", &state.now)
            .field("sleepers", &state.sleepers.len())
            .finish()
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.state().now
    }

    fn sleep_until(&self, deadline: Timestamp) -> BoxFuture<'static, ()> {
        let id = {
            let mut state = self.state();
            let id = state.next_sleeper;
            state.next_sleeper += 1;
            state.sleepers.insert((deadline, id), None);
            id
        };
        Box::pin(Sleep { clock: self.clone(), key: (deadline, id) })
    }
}

struct Sleep {
    clock: VirtualClock,
    key: (Timestamp, u64),
}

impl Future for Sleep {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.clock.state();
        if state.now >= self.key.0 {
            state.sleepers.remove(&self.key);
            return Poll::Ready(());
        }
        state.sleepers.insert(self.key, Some(cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.clock.state().sleepers.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use futures::executor::LocalPool;
    use futures::task::LocalSpawnExt as _;
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn sleepers_wake_by_deadline_then_by_age() {
        let clock = VirtualClock::new(at(0));
        let woken = Rc::new(RefCell::new(Vec::new()));
        let mut pool = LocalPool::new();
        for (name, deadline) in [("c", 3), ("a", 1), ("b1", 2), ("b2", 2)] {
            let (sleep, woken) = (clock.sleep_until(at(deadline)), Rc::clone(&woken));
            let task = sleep.map(move |()| woken.borrow_mut().push(name));
            pool.spawner().spawn_local(task).expect("the pool runs");
        }
        pool.run_until_stalled();
        assert_eq!((clock.sleepers(), clock.next_deadline()), (4, Some(at(1))));
        clock.advance_to(at(2));
        pool.run_until_stalled();
        assert_eq!(*woken.borrow(), ["a", "b1", "b2"]);
        clock.advance_to(at(9));
        pool.run_until_stalled();
        assert_eq!(*woken.borrow(), ["a", "b1", "b2", "c"]);
        assert_eq!((clock.sleepers(), clock.next_deadline()), (0, None));
    }

    #[test]
    fn dropping_a_sleep_cancels_it() {
        let clock = VirtualClock::new(at(0));
        let mut sleep = clock.sleep_until(at(5));
        assert_eq!((&mut sleep).now_or_never(), None);
        assert_eq!(clock.sleepers(), 1);
        drop(sleep);
        assert_eq!((clock.sleepers(), clock.next_deadline()), (0, None));
    }

    #[test]
    fn a_step_backwards_makes_sleepers_wait_for_their_time() {
        let clock = VirtualClock::new(at(10));
        let mut sleep = clock.sleep_until(at(12));
        assert_eq!((&mut sleep).now_or_never(), None);
        clock.advance_to(at(12));
        clock.advance_to(at(3));
        assert_eq!((&mut sleep).now_or_never(), None);
        assert_eq!((clock.now(), clock.next_deadline()), (at(3), Some(at(12))));
        clock.advance_to(at(12));
        assert_eq!(sleep.now_or_never(), Some(()));
    }
}
