//! What is wrong with an expression, and where.

use std::fmt;

use itom_core::EvaluateError;

use super::Span;

/// Why a text is no expression: where, what, and perhaps what was meant.
///
/// It prints as Prometheus prints it, `1:5: parse error: …`, with the suggestion behind.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseError {
    /// The part of the text that is wrong.
    pub span: Span,
    /// The line of its start, from 1.
    pub line: usize,
    /// The column of its start in bytes, from 1.
    pub column: usize,
    /// What is wrong and what was expected.
    pub message: String,
    /// What may have been meant.
    pub suggestion: Option<String>,
}

impl ParseError {
    pub(super) fn new(text: &str, span: Span, message: impl Into<String>) -> Self {
        let (line, column) = span.line_column(text);
        Self { span, line, column, message: message.into(), suggestion: None }
    }

    pub(super) fn meaning(mut self, suggestion: Option<&str>) -> Self {
        self.suggestion = suggestion.map(str::to_owned);
        self
    }

    /// As the error of an evaluator, which names the expression too.
    #[must_use]
    pub fn into_evaluate_error(self, text: &str) -> EvaluateError {
        let reason = match &self.suggestion {
            Some(suggestion) => format!("{}; did you mean `{suggestion}`?", self.message),
            None => self.message,
        };
        EvaluateError::Invalid { expression: text.chars().take(200).collect(), at: self.span.start, reason }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: parse error: {}", self.line, self.column, self.message)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; did you mean `{suggestion}`?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ParseError {}

/// The candidate that is few edits away, if there is one.
pub(super) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Longer words cannot be names of ours, and comparing costs the product of the lengths.
    if word.len() > 48 {
        return None;
    }
    let most = (word.len() / 4).clamp(1, 3);
    let lower = word.to_ascii_lowercase();
    candidates
        .map(|candidate| {
            let distance = edits(lower.as_bytes(), candidate.as_bytes());
            // Of equally near ones, what was begun and not finished.
            (distance, !candidate.starts_with(&lower), candidate)
        })
        .filter(|(distance, ..)| *distance <= most)
        .min()
        .map(|(.., candidate)| candidate)
}

/// Levenshtein's distance, a swap of neighbours counted as one edit.
fn edits(a: &[u8], b: &[u8]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(previous.len());
        row.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
            let mut best = at(&previous, j) + usize::from(x != y);
            best = best.min(at(&previous, j + 1) + 1).min(at(&row, j) + 1);
            if i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x) {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut previous, row);
    }
    previous.last().copied().unwrap_or(0)
}
