//! What may be parsed.

use super::ast::{Expr, VectorSelector};
use super::{ParseError, parser};

/// Which experimental parts of the language are taken, and how large an expression may be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseOptions {
    /// Functions and aggregations that Prometheus hides behind `promql-experimental-functions`.
    pub experimental_functions: bool,
    /// Arithmetic on durations: `[2 * 5m]`.
    pub duration_expressions: bool,
    /// `anchored` and `smoothed`.
    pub extended_range_selectors: bool,
    /// `fill`, `fill_left` and `fill_right`.
    pub fill_modifiers: bool,
    /// Most bytes of an expression.
    pub max_bytes: usize,
    /// Most words of an expression.
    pub max_tokens: usize,
    /// How deep an expression may be nested. Whoever walks the tree recurses so deep.
    pub max_depth: usize,
}

impl ParseOptions {
    /// What Prometheus takes without feature flags; 1 MiB, 100,000 words, 256 levels.
    pub const STABLE: Self = Self {
        experimental_functions: false,
        duration_expressions: false,
        extended_range_selectors: false,
        fill_modifiers: false,
        max_bytes: 1 << 20,
        max_tokens: 100_000,
        max_depth: 256,
    };

    /// Everything, with the same limits.
    pub const EXPERIMENTAL: Self = Self {
        experimental_functions: true,
        duration_expressions: true,
        extended_range_selectors: true,
        fill_modifiers: true,
        ..Self::STABLE
    };
}

impl Default for ParseOptions {
    fn default() -> Self {
        Self::STABLE
    }
}

/// Parses an expression of the stable language.
///
/// # Errors
/// [`ParseError`] with the place of the first mistake.
pub fn parse(text: &str) -> Result<Expr, ParseError> {
    parse_with(text, &ParseOptions::STABLE)
}

/// Parses an expression.
///
/// # Errors
/// [`ParseError`] with the place of the first mistake.
pub fn parse_with(text: &str, options: &ParseOptions) -> Result<Expr, ParseError> {
    parser::expression(text, options)
}

/// Parses a selector alone, as in `match[]` of Prometheus's HTTP API: `up{job="web"}`.
///
/// # Errors
/// [`ParseError`] with the place of the first mistake.
pub fn parse_selector(text: &str) -> Result<VectorSelector, ParseError> {
    parser::selector(text, &ParseOptions::STABLE)
}
