//! PromQL: the language of Prometheus 3, as typed syntax trees.
//!
//! [`ast`] says what an expression is, [`Function`] which functions there are. Nothing here reads samples or a clock.

pub mod ast;
mod duration;
mod function;
mod raw;
mod span;

pub use duration::{Evaluated, LengthError};
pub use function::{Arity, Function, Signature};
pub use raw::RawText;
pub use span::{At, Span};
