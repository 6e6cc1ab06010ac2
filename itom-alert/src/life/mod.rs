//! The life of alerts: four axes that do not depend on each other.
//!
//! [`AlertMachine`] takes the outcomes of rule evaluations, operator actions, silences and windows; it gives
//! [`Transition`]s (history), changed [`Alert`]s (to be stored) and [`Notice`](crate::notify::Notice)s (to be told).

mod alert;
mod contract;
mod flap;
mod machine;
mod step;
mod tell;
#[cfg(test)]
mod tests;

pub use alert::{
    Alert, ConditionState, Ending, Episode, OperatorAction, OperatorState, Transition, TransitionKind,
};
pub use contract::{LifeConfig, LifeInput, LifeOutput, Refusal};
pub use flap::Flap;
pub use machine::AlertMachine;
