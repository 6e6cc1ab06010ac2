//! Label matchers, compiled.

use itom_core::{Labels, MatchOp, Matcher};
use regex::Regex;

use super::SuppressError;

/// Matchers that must all fit; a label that is absent has the empty value.
#[derive(Debug, Clone)]
pub(crate) struct Matchers(Vec<(Matcher, Option<Regex>)>);

impl PartialEq for Matchers {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().map(|(matcher, _)| matcher).eq(other.0.iter().map(|(matcher, _)| matcher))
    }
}

/// A regular expression anchored at both ends. The syntax is that of crate `regex`: as good as RE2's, but `\d`, `\w`
/// and `\s` know all of Unicode.
pub(crate) fn compile_regex(text: &str) -> Result<Regex, String> {
    regex::RegexBuilder::new(&format!("^(?:{text})$"))
        .dot_matches_new_line(true)
        .size_limit(1 << 20)
        .build()
        .map_err(|error| error.to_string())
}

impl Matchers {
    /// No conditions: everything fits.
    pub(crate) const fn none() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn compile(what: &str, matchers: &[Matcher]) -> Result<Self, SuppressError> {
        let mut compiled = Vec::with_capacity(matchers.len());
        for matcher in matchers {
            let regex = match matcher.op {
                MatchOp::Equal | MatchOp::NotEqual => None,
                MatchOp::Regex | MatchOp::NotRegex => {
                    Some(compile_regex(&matcher.value).map_err(|reason| SuppressError::Matcher {
                        what: what.chars().take(200).collect(),
                        label: matcher.name.to_string(),
                        reason,
                    })?)
                }
            };
            compiled.push((matcher.clone(), regex));
        }
        Ok(Self(compiled))
    }

    pub(crate) fn fit(&self, labels: &Labels) -> bool {
        self.0.iter().all(|(matcher, regex)| {
            let value = labels.get(matcher.name.as_str()).unwrap_or_default();
            match (matcher.op, regex) {
                (MatchOp::Equal, _) => value == matcher.value.as_str(),
                (MatchOp::NotEqual, _) => value != matcher.value.as_str(),
                (MatchOp::Regex, Some(regex)) => regex.is_match(value),
                (MatchOp::NotRegex, Some(regex)) => !regex.is_match(value),
                // Compiled together with the operator: there is always one.
                (MatchOp::Regex | MatchOp::NotRegex, None) => false,
            }
        })
    }
}
