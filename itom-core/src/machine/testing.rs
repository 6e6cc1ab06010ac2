//! The laws of [`Machine`], checked for any machine.
//!
//! [`assert_laws`] drives a machine through a script the way a driver would: inputs at their times, deadlines when
//! they come, outputs answered by `react` (a `Start` gets its `Finished`). It runs on after the last entry for as long
//! as the script itself took, and for an hour at least. Then it drives the same machine in the ways the laws allow and
//! says which law broke, and at which step.
//!
//! ```
//! use std::time::Duration;
//! use itom_core::machine::testing::assert_laws;
//! use itom_core::{Deadline, Machine, Timestamp};
//!
//! /// Says `true` a minute after the last input.
//! #[derive(Clone, Default)]
//! struct Quiet { due: Option<Timestamp>, said: bool }
//!
//! impl Machine for Quiet {
//!     type Input = ();
//!     type Output = bool;
//!     fn handle(&mut self, now: Timestamp, _: ()) {
//!         self.due = Some(now + Duration::from_secs(60));
//!     }
//!     fn handle_deadline(&mut self, now: Timestamp) {
//!         if self.due.is_some_and(|due| due <= now) {
//!             self.due = None;
//!             self.said = true;
//!         }
//!     }
//!     fn poll_deadline(&self) -> Option<Deadline> {
//!         self.due.map(|at| Deadline::new(at, "a minute of quiet"))
//!     }
//!     fn poll_output(&mut self) -> Option<bool> {
//!         std::mem::take(&mut self.said).then_some(true)
//!     }
//! }
//!
//! let script = [(Timestamp::from_secs(0), ()), (Timestamp::from_secs(30), ())];
//! assert_laws(Quiet::default, &script, |_| Vec::new());
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::{Deadline, Machine};
use crate::Timestamp;

#[cfg(test)]
mod tests;

/// The laws, in the order of the documentation of [`Machine`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Law {
    /// Two machines driven through the same script do and want the same at every step.
    Deterministic,
    /// Polling, and `handle_deadline` before the deadline (or without one), neither give outputs, nor move the
    /// deadline, nor change anything later.
    IdleCallsAreFree,
    /// After `handle_deadline(now)` the next deadline is after `now`, even when the call came late; outputs end.
    NoSpinning,
    /// Outputs left in the machine while other calls of the same instant are made come out the same, in the same order.
    /// (Drivers take all of them before time moves on; more is not promised.)
    DrainWhenYouLike,
    /// A deadline handled late, but before anything else would have become due, does as much as on time: the same
    /// number of outputs. (Their contents may differ, since they may tell the time.)
    LateIsNotLost,
    /// A clone, outputs not yet taken included, continues as the original would; neither disturbs the other.
    CloneContinues,
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Deterministic => "deterministic",
            Self::IdleCallsAreFree => "idle calls are free",
            Self::NoSpinning => "no spinning",
            Self::DrainWhenYouLike => "drain when you like",
            Self::LateIsNotLost => "late is late, not lost",
            Self::CloneContinues => "a clone continues as the original would",
        })
    }
}

/// A law that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the law \"{law}\" is broken at step {step}: {detail}")]
pub struct LawBroken {
    /// Which law.
    pub law: Law,
    /// At which call of the run (inputs, reactions and deadlines, counted from 0).
    pub step: usize,
    /// What was expected and what was seen.
    pub detail: String,
}

/// Checks every law on a script; panics with what broke.
///
/// # Panics
/// When a law does not hold.
#[track_caller]
pub fn assert_laws<M>(
    make: impl Fn() -> M,
    script: &[(Timestamp, M::Input)],
    react: impl Fn(&M::Output) -> Vec<(Duration, M::Input)>,
) where
    M: Machine + Clone,
    M::Input: Clone,
    M::Output: PartialEq + fmt::Debug,
{
    if let Err(broken) = check_laws(make, script, react) {
        panic!("{broken}");
    }
}

/// Checks every law on a script. Times in the script may step backwards, as clocks do. `react` answers an output with
/// inputs after a delay.
///
/// # Errors
/// [`LawBroken`] for the first law that does not hold.
pub fn check_laws<M>(
    make: impl Fn() -> M,
    script: &[(Timestamp, M::Input)],
    react: impl Fn(&M::Output) -> Vec<(Duration, M::Input)>,
) -> Result<(), LawBroken>
where
    M: Machine + Clone,
    M::Input: Clone,
    M::Output: PartialEq + fmt::Debug,
{
    let run = drive(make(), script, &react, Duration::ZERO, true)?;
    let again = drive(make(), script, &react, Duration::ZERO, false)?;
    same(Law::Deterministic, 0, &run.steps, &again.steps)?;
    idle(make(), &run)?;
    drain(make(), &run, Take::BeforeTimeMoves)?;
    drain(make(), &run, Take::OneAfterEachCall)?;
    for late in [Duration::from_micros(1), Duration::from_secs(1), Duration::from_secs(600)] {
        drive(make(), script, &react, late, true)?;
    }
    clones(&make, &run)
}

/// More than any honest script needs.
const MOST_STEPS: usize = 1_000_000;
const MOST_OUTPUTS: usize = 1_000_000;
/// At how many steps of a run the clone law is tried.
const CLONES: usize = 32;

/// One call made on a machine; no input means `handle_deadline`.
struct Call<I> {
    now: Timestamp,
    input: Option<I>,
}

/// What one call led to.
#[derive(PartialEq, Debug)]
struct Step<O> {
    now: Timestamp,
    outputs: Vec<O>,
    deadline: Option<Deadline>,
}

struct Run<I, O> {
    calls: Vec<Call<I>>,
    steps: Vec<Step<O>>,
}

fn broken(law: Law, step: usize, detail: impl Into<String>) -> LawBroken {
    LawBroken { law, step, detail: detail.into() }
}

fn take<M: Machine>(machine: &mut M, step: usize) -> Result<Vec<M::Output>, LawBroken> {
    let mut outputs = Vec::new();
    while let Some(output) = machine.poll_output() {
        outputs.push(output);
        if outputs.len() > MOST_OUTPUTS {
            return Err(broken(Law::NoSpinning, step, "one call gave more than a million outputs"));
        }
    }
    Ok(outputs)
}

fn make_call<M: Machine>(machine: &mut M, call: &Call<M::Input>)
where
    M::Input: Clone,
{
    match &call.input {
        Some(input) => machine.handle(call.now, input.clone()),
        None => machine.handle_deadline(call.now),
    }
}

/// Which event comes next: ties are settled in this order.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    Script,
    Reaction,
    Deadline,
}

/// Drives a machine as a driver would, every wake-up `late`; checks the laws that need no second run.
fn drive<M>(
    mut machine: M,
    script: &[(Timestamp, M::Input)],
    react: &impl Fn(&M::Output) -> Vec<(Duration, M::Input)>,
    late: Duration,
    check: bool,
) -> Result<Run<M::Input, M::Output>, LawBroken>
where
    M: Machine + Clone,
    M::Input: Clone,
    M::Output: PartialEq + fmt::Debug,
{
    let mut run = Run { calls: Vec::new(), steps: Vec::new() };
    let (Some(first), Some(last)) =
        (script.iter().map(|(at, _)| *at).min(), script.iter().map(|(at, _)| *at).max())
    else {
        return Ok(run);
    };
    let horizon = last + last.since(first).max(Duration::from_secs(3600)) + late;
    let mut now = first;
    let mut entries = script.iter().peekable();
    let mut reactions: BTreeMap<(Timestamp, usize), M::Input> = BTreeMap::new();
    let mut reacted = 0;
    loop {
        let step = run.steps.len();
        if step > MOST_STEPS {
            return Err(broken(Law::NoSpinning, step, "the run does not end: more than a million steps"));
        }
        let due = machine.poll_deadline().map(|deadline| deadline.at);
        let candidates = [
            entries.peek().map(|(at, _)| (*at, Next::Script)),
            reactions.keys().next().map(|(at, _)| ((*at).max(now), Next::Reaction)),
            due.map(|at| ((at + late).max(now), Next::Deadline)),
        ];
        let Some((at, next)) = candidates.into_iter().flatten().min() else { break };
        if at > horizon {
            break;
        }
        let input = match next {
            Next::Script => entries.next().map(|(_, input)| input.clone()),
            Next::Reaction => reactions.pop_first().map(|(_, input)| input),
            Next::Deadline => None,
        };
        if let (true, None, Some(due)) = (check, &input, due) {
            late_is_not_lost(&machine, due.max(now), step)?;
        }
        now = at;
        let call = Call { now, input };
        make_call(&mut machine, &call);
        let outputs = take(&mut machine, step)?;
        let deadline = machine.poll_deadline();
        if call.input.is_none() {
            no_spinning(now, deadline.as_ref(), step)?;
        }
        for (delay, input) in outputs.iter().flat_map(react) {
            reactions.insert((now + delay, reacted), input);
            reacted += 1;
        }
        run.calls.push(call);
        run.steps.push(Step { now, outputs, deadline });
    }
    Ok(run)
}

fn no_spinning(now: Timestamp, deadline: Option<&Deadline>, step: usize) -> Result<(), LawBroken> {
    match deadline {
        Some(next) if next.at <= now => {
            let detail = format!("handle_deadline({now}) left a deadline at {} ({})", next.at, next.reason);
            Err(broken(Law::NoSpinning, step, detail))
        }
        _ => Ok(()),
    }
}

/// Handles a due deadline on clones, on time and late, with nothing else becoming due between.
fn late_is_not_lost<M>(machine: &M, due: Timestamp, step: usize) -> Result<(), LawBroken>
where
    M: Machine + Clone,
    M::Output: fmt::Debug,
{
    let at = |now: Timestamp| {
        let mut copy = machine.clone();
        copy.handle_deadline(now);
        take(&mut copy, step).map(|outputs| (outputs, copy.poll_deadline()))
    };
    let (on_time, next) = at(due)?;
    let room = next.map_or(Duration::from_secs(3600), |next| next.at.since(due));
    let longest = room.saturating_sub(Duration::from_micros(1));
    for late in [Duration::from_micros(1).min(longest), longest / 2, longest] {
        let (outputs, _) = at(due + late)?;
        if outputs.len() != on_time.len() {
            let detail = format!(
                "the deadline at {due} gave {on_time:?} on time and {outputs:?} when handled {late:?} late"
            );
            return Err(broken(Law::LateIsNotLost, step, detail));
        }
    }
    Ok(())
}

fn same<O: PartialEq + fmt::Debug>(
    law: Law,
    from: usize,
    expected: &[Step<O>],
    seen: &[Step<O>],
) -> Result<(), LawBroken> {
    for (index, (want, have)) in expected.iter().zip(seen).enumerate() {
        if want != have {
            return Err(broken(law, from + index, format!("expected {want:?}, saw {have:?}")));
        }
    }
    if expected.len() == seen.len() {
        Ok(())
    } else {
        let detail = format!("expected {} steps, saw {}", expected.len(), seen.len());
        Err(broken(law, from + expected.len().min(seen.len()), detail))
    }
}

/// Repeats a run with idle calls between the steps.
fn idle<M>(mut machine: M, run: &Run<M::Input, M::Output>) -> Result<(), LawBroken>
where
    M: Machine,
    M::Input: Clone,
    M::Output: PartialEq + fmt::Debug,
{
    let law = Law::IdleCallsAreFree;
    for (index, (call, want)) in run.calls.iter().zip(&run.steps).enumerate() {
        make_call(&mut machine, call);
        let outputs = take(&mut machine, index)?;
        let deadline = machine.poll_deadline();
        let seen = Step { now: call.now, outputs, deadline };
        same(law, index, std::slice::from_ref(want), std::slice::from_ref(&seen))?;
        // Now, in the middle of the pause, and just before the next call.
        let next = run.calls.get(index + 1).map_or(call.now + Duration::from_secs(1), |next| next.now);
        let pause = next.since(call.now);
        for wait in [Duration::ZERO, pause / 2, pause.saturating_sub(Duration::from_micros(1))] {
            let now = call.now + wait;
            if want.deadline.as_ref().is_some_and(|deadline| deadline.at <= now) {
                continue;
            }
            machine.handle_deadline(now);
            if let Some(output) = machine.poll_output() {
                let detail = format!("handle_deadline({now}) before anything was due gave {output:?}");
                return Err(broken(law, index, detail));
            }
            let (deadline, again) = (machine.poll_deadline(), machine.poll_deadline());
            if deadline != want.deadline || again != want.deadline {
                let detail = format!(
                    "handle_deadline({now}) before anything was due moved the deadline from {:?} to {deadline:?}, then {again:?}",
                    want.deadline
                );
                return Err(broken(law, index, detail));
            }
        }
    }
    Ok(())
}

/// When outputs are taken.
#[derive(Clone, Copy, PartialEq)]
enum Take {
    BeforeTimeMoves,
    OneAfterEachCall,
}

/// Repeats a run, taking outputs at other times.
fn drain<M>(mut machine: M, run: &Run<M::Input, M::Output>, when: Take) -> Result<(), LawBroken>
where
    M: Machine,
    M::Input: Clone,
    M::Output: PartialEq + fmt::Debug,
{
    let mut index = 0;
    while index < run.calls.len() {
        let start = index;
        let now = run.calls[start].now;
        let mut outputs = Vec::new();
        while index < run.calls.len() && run.calls[index].now == now {
            make_call(&mut machine, &run.calls[index]);
            if when == Take::OneAfterEachCall {
                outputs.extend(machine.poll_output());
            }
            index += 1;
        }
        outputs.extend(take(&mut machine, start)?);
        let expected: Vec<&M::Output> =
            run.steps[start..index].iter().flat_map(|step| &step.outputs).collect();
        if expected != outputs.iter().collect::<Vec<_>>() {
            let detail =
                format!("the calls at {now} gave {expected:?} taken at once and {outputs:?} taken later");
            return Err(broken(Law::DrainWhenYouLike, start, detail));
        }
        let (want, have) = (&run.steps[index - 1].deadline, machine.poll_deadline());
        if *want != have {
            let detail =
                format!("after {now} the deadline is {want:?}, and {have:?} when outputs are taken later");
            return Err(broken(Law::DrainWhenYouLike, index - 1, detail));
        }
    }
    Ok(())
}

/// Clones a machine in the middle of its run, outputs not yet taken, and lets both finish it.
fn clones<M>(make: &impl Fn() -> M, run: &Run<M::Input, M::Output>) -> Result<(), LawBroken>
where
    M: Machine + Clone,
    M::Input: Clone,
    M::Output: PartialEq + fmt::Debug,
{
    let stride = run.calls.len().div_ceil(CLONES).max(1);
    for split in (0..run.calls.len()).step_by(stride) {
        let mut original = make();
        for (step, call) in run.calls[..split].iter().enumerate() {
            make_call(&mut original, call);
            take(&mut original, step)?;
        }
        make_call(&mut original, &run.calls[split]);
        let mut copy = original.clone();
        // The copy goes first: whatever it shares with the original shows in one of the two.
        for machine in [&mut copy, &mut original] {
            let mut seen = Vec::new();
            for (step, call) in run.calls.iter().enumerate().skip(split) {
                if step > split {
                    make_call(machine, call);
                }
                let outputs = take(machine, step)?;
                seen.push(Step { now: call.now, outputs, deadline: machine.poll_deadline() });
            }
            same(Law::CloneContinues, split, &run.steps[split..], &seen)?;
        }
    }
    Ok(())
}
