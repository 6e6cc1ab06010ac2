//! PromQL: the language of Prometheus 3, as typed syntax trees.
//!
//! [`parse`] makes a tree of a text, [`ast`] says what a tree is, printing one gives a text that parses back to an
//! equal tree, and [`Function`] says which functions there are. Nothing here reads samples or a clock.
//!
//! ```
//! use itom_metrics::promql;
//! let expr = promql::parse(r#"sum by (job) (rate(http_requests_total{code=~"5.."}[5m])) > 10"#)?;
//! assert_eq!(expr.to_string(), r#"sum by (job) (rate(http_requests_total{code=~"5.."}[5m])) > 10"#);
//!
//! let error = promql::parse("rat(http_requests_total[5m])").unwrap_err();
//! assert_eq!(error.to_string(), r#"1:1: parse error: unknown function with name "rat"; did you mean `rate`?"#);
//! # Ok::<(), promql::ParseError>(())
//! ```

pub mod ast;
pub mod build;
mod duration;
mod error;
mod function;
mod lexer;
pub(crate) mod literal;
mod options;
mod parser;
mod print;
mod raw;
mod span;
mod token;

pub use ast::Expr;
pub use duration::{Evaluated, LengthError};
pub use error::ParseError;
pub use function::{Arity, Function, Signature};
pub use options::{ParseOptions, parse, parse_selector, parse_with};
pub use raw::RawText;
pub use span::{At, Span};

#[cfg(test)]
mod tests;
