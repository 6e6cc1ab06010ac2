//! Where something stands in the text of an expression.

use std::fmt;
use std::hash::{Hash, Hasher};

/// A range of bytes in the text of an expression.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
}

impl Span {
    /// From the first byte to the one after the last.
    #[must_use]
    pub const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// From the start of one to the end of another that follows it.
    #[must_use]
    pub const fn to(self, end: Self) -> Self {
        Self { start: self.start, end: end.end }
    }

    /// The line and the column of the start in the text, both counted from 1; columns are bytes, as in Prometheus.
    /// A start beyond the text is the place after its end.
    #[must_use]
    pub fn line_column(self, source: &str) -> (usize, usize) {
        let before = source.as_bytes().get(..self.start).unwrap_or(source.as_bytes());
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        (line, column)
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

/// The span of a node. Two of them are always equal and hash alike, so that nodes compare by what they say and not by
/// where they stand: equal expressions can share their evaluation.
#[derive(Clone, Copy, Default)]
pub struct At(pub Span);

impl PartialEq for At {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl Eq for At {}
impl Hash for At {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}
impl fmt::Debug for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl From<Span> for At {
    fn from(span: Span) -> Self {
        Self(span)
    }
}
