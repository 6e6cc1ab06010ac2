//! The real engine loop on a virtual clock: hours in milliseconds, stopped or crashed at any moment.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::channel::oneshot;
use futures::executor::LocalPool;
use futures::task::LocalSpawnExt as _;
use itom_core::{Clock as _, Timestamp, VirtualClock};

use crate::{Engine, EngineHandle, EngineSummary, RunError};

/// Drives an engine that was built with this clock. Everything the engine awaits must make progress without real time:
/// memory stores, notifiers and collectors that finish or wait on the clock.
///
/// ```
/// use std::time::Duration;
/// use itom::{Engine, Simulation};
/// use itom::core::{Timestamp, VirtualClock};
///
/// let clock = VirtualClock::new(Timestamp::from_secs(1_700_000_000));
/// let engine = Engine::builder().clock(clock.clone()).build()?;
/// let mut simulation = Simulation::new(clock, engine);
/// simulation.advance(Duration::from_secs(3600));
/// simulation.stop().expect("an engine without collectors stops cleanly");
/// # Ok::<(), itom::BuildError>(())
/// ```
#[derive(Debug)]
pub struct Simulation {
    clock: VirtualClock,
    pool: LocalPool,
    handle: EngineHandle,
    same: usize,
    stop: Option<oneshot::Sender<()>>,
    ended: Rc<RefCell<Option<Result<EngineSummary, RunError>>>>,
}

/// How often the same moment may come up before the simulation says that something spins.
const SPIN: usize = 100_000;

impl Simulation {
    /// Starts the engine at the clock's time.
    ///
    /// # Panics
    /// When the executor refuses the engine's task, which it does only after its own end.
    #[must_use]
    pub fn new(clock: VirtualClock, engine: Engine) -> Self {
        let mut pool = LocalPool::new();
        let handle = engine.handle();
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = Rc::new(RefCell::new(None));
        let result = Rc::clone(&ended);
        let task = async move {
            let outcome = engine
                .run(async {
                    // A dropped sender stops it too.
                    let _ = stopped.await;
                })
                .await;
            *result.borrow_mut() = Some(outcome);
        };
        pool.spawner().spawn_local(task).expect("a new executor takes tasks");
        pool.run_until_stalled();
        Self { clock, pool, handle, same: 0, stop: Some(stop), ended }
    }

    /// The engine's handle.
    #[must_use]
    pub const fn handle(&self) -> &EngineHandle {
        &self.handle
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Lets time pass, from wake-up to wake-up.
    ///
    /// # Panics
    /// When the engine asks to be woken at the same moment again and again.
    pub fn advance(&mut self, span: Duration) {
        let until = self.clock.now() + span;
        self.pool.run_until_stalled();
        while self.step(until) {}
        self.clock.advance_to(until);
        self.pool.run_until_stalled();
    }

    /// Goes to the next wake-up that is not later than `until`; whether there was one.
    ///
    /// # Panics
    /// When the engine asks to be woken at the same moment again and again.
    pub fn step(&mut self, until: Timestamp) -> bool {
        let Some(next) = self.clock.next_deadline().filter(|next| *next <= until) else { return false };
        let now = self.clock.now();
        self.same = if next <= now { self.same + 1 } else { 0 };
        assert!(self.same < SPIN, "the engine spins at {now}");
        self.clock.advance_to(next.max(now));
        self.pool.run_until_stalled();
        true
    }

    /// Asks the engine something, at this very moment: waits for an answer that needs no time.
    ///
    /// # Panics
    /// When the answer needs time to pass.
    pub fn ask<F: Future>(&mut self, question: F) -> F::Output {
        let mut question = std::pin::pin!(question.fuse());
        for _ in 0..8 {
            if let Some(answer) = question.as_mut().now_or_never() {
                return answer;
            }
            self.pool.run_until_stalled();
        }
        panic!("the answer needs time to pass");
    }

    /// Whether the engine has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.borrow().is_some()
    }

    /// Shuts the engine down in order and returns how it ended.
    ///
    /// # Errors
    /// Those of [`Engine::run`].
    ///
    /// # Panics
    /// When the engine does not end within a virtual hour.
    pub fn stop(mut self) -> Result<EngineSummary, RunError> {
        drop(self.stop.take());
        let until = self.clock.now() + Duration::from_secs(3600);
        self.pool.run_until_stalled();
        while !self.has_ended() && self.step(until) {}
        let outcome = self.ended.borrow_mut().take();
        outcome.expect("shutdown is bounded by its grace, which is shorter than an hour")
    }

    /// Drops the engine where it stands, as a crash would: nothing is flushed.
    pub fn crash(self) {
        drop(self);
    }
}
