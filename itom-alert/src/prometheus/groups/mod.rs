//! Rule groups over time, as a machine: when what is evaluated, in which order, and what follows from the results.

mod alerts;
mod contract;
mod cycle;
mod machine;
mod order;
mod restore;
#[cfg(test)]
mod tests;

pub use alerts::{AlertState, GroupAlert};
pub use contract::{
    Evaluate, Evaluated, Found, GroupConfig, GroupInput, GroupKey, GroupOutput, GroupStatus, Health,
    RuleStatus, StoredState,
};
pub use machine::RuleGroups;
