//! One good machine, and one planted defect for each law, caught by that law.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use super::*;

/// What is wrong with a [`Ticker`].
#[derive(Debug, Clone, Copy, PartialEq)]
enum Defect {
    None,
    /// Every second instance ticks at another pace.
    OtherPace,
    /// An early `handle_deadline` counts.
    CountsIdle,
    /// An early `handle_deadline` puts the deadline off.
    PutsOff,
    /// Late, it catches up one tick at a call.
    Piles,
    /// It stays due.
    Stuck,
    /// A new output replaces one that was not taken.
    KeepsOne,
    /// A late tick is not done.
    OnTimeOnly,
    /// Clones share their queue.
    SharesQueue,
    /// A clone forgets outputs not yet taken.
    ForgetsQueue,
}

#[derive(Debug, Clone, PartialEq)]
enum In {
    Say(u32),
    Finished(u64),
}

#[derive(Debug, Clone, PartialEq)]
enum Out {
    Said(u32),
    Start(u64),
    Done(u64),
}

/// Ticks every ten seconds from the first input on; each tick starts a job that reports back.
#[derive(Debug)]
struct Ticker {
    defect: Defect,
    every: Duration,
    due: Option<Timestamp>,
    ticks: u64,
    queue: Rc<RefCell<VecDeque<Out>>>,
}

impl Clone for Ticker {
    fn clone(&self) -> Self {
        let queue = match self.defect {
            Defect::SharesQueue => Rc::clone(&self.queue),
            Defect::ForgetsQueue => Rc::default(),
            _ => Rc::new(RefCell::new(self.queue.borrow().clone())),
        };
        Self { queue, ..*self }
    }
}

impl Ticker {
    fn new(defect: Defect) -> Self {
        Self { defect, every: Duration::from_secs(10), due: None, ticks: 0, queue: Rc::default() }
    }

    fn say(&self, out: Out) {
        let mut queue = self.queue.borrow_mut();
        if self.defect == Defect::KeepsOne {
            queue.clear();
        }
        queue.push_back(out);
    }
}

impl Machine for Ticker {
    type Input = In;
    type Output = Out;

    fn handle(&mut self, now: Timestamp, input: In) {
        self.due.get_or_insert(now + self.every);
        self.say(match input {
            In::Say(what) => Out::Said(what),
            In::Finished(tick) => Out::Done(tick),
        });
    }

    fn handle_deadline(&mut self, now: Timestamp) {
        let Some(due) = self.due else { return };
        if now < due {
            match self.defect {
                Defect::CountsIdle => self.say(Out::Said(0)),
                Defect::PutsOff => self.due = Some(now + self.every),
                _ => {}
            }
            return;
        }
        if self.defect == Defect::Stuck {
            return;
        }
        if self.defect != Defect::OnTimeOnly || now == due {
            self.ticks += 1;
            self.say(Out::Start(self.ticks));
        }
        let mut next = due + self.every;
        while next <= now && self.defect != Defect::Piles {
            next = next + self.every;
        }
        self.due = Some(next);
    }

    fn poll_deadline(&self) -> Option<Deadline> {
        self.due.map(|at| Deadline::new(at, "the next tick"))
    }

    fn poll_output(&mut self) -> Option<Out> {
        self.queue.borrow_mut().pop_front()
    }
}

fn script() -> Vec<(Timestamp, In)> {
    // Two inputs at one instant, one on a tick, and the clock set back at the end.
    [(0, 1), (5, 2), (5, 3), (20, 4), (18, 5)]
        .map(|(at, what)| (Timestamp::from_secs(at), In::Say(what)))
        .to_vec()
}

fn react(out: &Out) -> Vec<(Duration, In)> {
    match out {
        Out::Start(tick) => vec![(Duration::from_secs(3), In::Finished(*tick))],
        _ => Vec::new(),
    }
}

#[test]
fn a_good_machine_passes() {
    assert_laws(|| Ticker::new(Defect::None), &script(), react);
}

#[test]
fn each_planted_defect_is_caught_by_its_law() {
    let cases = [
        (Defect::CountsIdle, Law::IdleCallsAreFree),
        (Defect::PutsOff, Law::IdleCallsAreFree),
        (Defect::Piles, Law::NoSpinning),
        (Defect::Stuck, Law::NoSpinning),
        (Defect::KeepsOne, Law::DrainWhenYouLike),
        (Defect::OnTimeOnly, Law::LateIsNotLost),
        (Defect::ForgetsQueue, Law::CloneContinues),
    ];
    for (defect, law) in cases {
        let broken = check_laws(|| Ticker::new(defect), &script(), react).expect_err("the defect is seen");
        assert_eq!(broken.law, law, "{defect:?}: {broken}");
    }
}

#[test]
fn instances_that_differ_are_not_deterministic() {
    let made = Cell::new(0);
    let make = || {
        made.set(made.get() + 1);
        let mut ticker = Ticker::new(Defect::OtherPace);
        ticker.every += Duration::from_secs(made.get() % 2);
        ticker
    };
    let broken = check_laws(make, &script(), react).expect_err("the defect is seen");
    assert_eq!(broken.law, Law::Deterministic, "{broken}");
}

#[test]
fn clones_that_share_state_are_seen() {
    // Without deadlines, so that only the clone law makes clones.
    #[derive(Clone, Default)]
    struct Counter(Rc<Cell<u32>>, Option<u32>);
    impl Machine for Counter {
        type Input = ();
        type Output = u32;
        fn handle(&mut self, _: Timestamp, (): ()) {
            self.0.set(self.0.get() + 1);
            self.1 = Some(self.0.get());
        }
        fn handle_deadline(&mut self, _: Timestamp) {}
        fn poll_deadline(&self) -> Option<Deadline> {
            None
        }
        fn poll_output(&mut self) -> Option<u32> {
            self.1.take()
        }
    }
    let script = [0, 1, 2].map(|at| (Timestamp::from_secs(at), ()));
    let broken = check_laws(Counter::default, &script, |_| Vec::new()).expect_err("the defect is seen");
    assert_eq!(broken.law, Law::CloneContinues, "{broken}");
    assert!(check_laws(|| Ticker::new(Defect::SharesQueue), &self::script(), react).is_err());
}

#[test]
fn an_endless_queue_is_spinning() {
    #[derive(Clone)]
    struct Chatter;
    impl Machine for Chatter {
        type Input = ();
        type Output = ();
        fn handle(&mut self, _: Timestamp, (): ()) {}
        fn handle_deadline(&mut self, _: Timestamp) {}
        fn poll_deadline(&self) -> Option<Deadline> {
            None
        }
        fn poll_output(&mut self) -> Option<()> {
            Some(())
        }
    }
    let broken = check_laws(|| Chatter, &[(Timestamp::EPOCH, ())], |()| Vec::new()).expect_err("it is seen");
    assert_eq!((broken.law, broken.step), (Law::NoSpinning, 0));
}

#[test]
fn an_empty_script_checks_nothing() {
    assert_eq!(check_laws(|| Ticker::new(Defect::Stuck), &[], react), Ok(()));
}
