//! Checking a rule completely, so that nothing structural can go wrong later.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use itom_core::{
    Classify, ErrorKind, EvaluateError, Evaluator, Expression, MatchOp, Selector, Severity, Text,
};

use super::Rule;
use super::condition::{
    Absent, AbsentOf, Combination, Compare, Condition, Level, Query, Reduce, Signal, Test,
};
use super::template::Template;

/// Why a rule was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// A field of a rule is wrong.
    #[error("rule `{rule}`, field `{field}`: {reason}")]
    Field {
        /// The rule's name, cut to 200 characters.
        rule: String,
        /// The path of the field.
        field: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The evaluator refused the expression of a rule.
    #[error("rule `{rule}`, field `{field}`: the expression was refused")]
    Expression {
        /// The rule's name.
        rule: String,
        /// The path of the field.
        field: String,
        /// What the evaluator said.
        #[source]
        source: EvaluateError,
    },
    /// Two rules have the same name.
    #[error("rule `{rule}` is there twice; names identify rules, rename one")]
    Duplicate {
        /// The name.
        rule: String,
    },
    /// A text is not a rule file.
    #[error("line {line}, column {column}: {reason}")]
    Json {
        /// Line, from 1.
        line: usize,
        /// Column, from 1; 0 when the end of the text was reached.
        column: usize,
        /// What is wrong.
        reason: String,
    },
    /// A text is longer than a rule file may be.
    #[error("the rules have {len} bytes, at most {max} are read; split them")]
    TooLarge {
        /// What was given.
        len: usize,
        /// The limit.
        max: usize,
    },
}

impl Classify for RuleError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Field { .. } | Self::Json { .. } => ErrorKind::Invalid,
            Self::Expression { source, .. } => source.kind(),
            Self::Duplicate { .. } => ErrorKind::Conflict,
            Self::TooLarge { .. } => ErrorKind::Exhausted,
        }
    }
}

/// A checked rule. Cheap to clone.
#[derive(Clone)]
pub struct CompiledRule(Arc<Compiled>);

struct Compiled {
    rule: Rule,
    /// Summary and description; `None` where outcomes bring what people are told and all labels.
    texts: Option<(Template, Template)>,
    /// One per expression, in the order in which the condition's tree is walked.
    expressions: Vec<Arc<dyn Expression>>,
}

impl fmt::Debug for CompiledRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CompiledRule").field(&self.0.rule).finish()
    }
}
impl PartialEq for CompiledRule {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.rule == other.0.rule
    }
}

/// Deeper conditions are refused: nobody can read them, and recursion stays bounded.
const MAX_DEPTH: usize = 8;
/// More parts in all are refused.
const MAX_PARTS: usize = 64;
const MAX_TEXT: usize = 8 * 1024;

impl CompiledRule {
    /// The rule it was made from.
    #[must_use]
    pub fn rule(&self) -> &Rule {
        &self.0.rule
    }

    /// A rule that somebody else evaluates and whose waiting times he keeps: only its alerts live here.
    #[cfg(feature = "prometheus")]
    pub(crate) fn judged_elsewhere(name: Text, expression: &str, missing: super::MissingPolicy) -> Self {
        let check = super::ExpressionCheck { expression: expression.into(), levels: Vec::new() };
        let rule = Rule::new(name, Condition::Expression(check)).no_data(missing);
        Self(Arc::new(Compiled { rule, texts: None, expressions: Vec::new() }))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Text {
        &self.0.rule.name
    }

    pub(crate) fn texts(&self) -> Option<&(Template, Template)> {
        self.0.texts.as_ref()
    }

    pub(crate) fn expressions(&self) -> &[Arc<dyn Expression>] {
        &self.0.expressions
    }
}

struct Check<'a> {
    rule: &'a Rule,
    evaluator: Option<&'a dyn Evaluator>,
    expressions: Vec<Arc<dyn Expression>>,
    parts: usize,
}

impl Rule {
    /// Checks everything. Rules with an expression need the evaluator that understands it.
    ///
    /// # Errors
    /// [`RuleError`] names the rule, the field and the reason.
    pub fn compile(&self, evaluator: Option<&dyn Evaluator>) -> Result<CompiledRule, RuleError> {
        let mut check = Check { rule: self, evaluator, expressions: Vec::new(), parts: 0 };
        if self.name.is_empty() || self.name.len() > 200 || self.name.chars().any(char::is_control) {
            return Err(check.field("name", "give 1 to 200 bytes without control characters"));
        }
        if self.severity == Severity::Cleared {
            return Err(check.field("severity", "`cleared` says that it is over; choose info to critical"));
        }
        if self.interval < Duration::from_secs(1) || self.interval > Duration::from_secs(86_400) {
            return Err(check.field("interval", "give 1s to 1d"));
        }
        for (field, span) in [("for", self.hold), ("keep_firing_for", self.keep_firing_for)] {
            if span > Duration::from_secs(400 * 86_400) {
                return Err(check.field(field, "give at most 400d"));
            }
        }
        let web = ["https://", "http://"].iter().any(|scheme| self.runbook_url.starts_with(scheme));
        if !self.runbook_url.is_empty() && !web {
            return Err(check.field("runbook_url", "give an http or https address"));
        }
        let summary = check.template("summary", &self.summary)?;
        let description = check.template("description", &self.description)?;
        check.condition("condition", &self.condition, 0)?;
        let expressions = check.expressions;
        Ok(CompiledRule(Arc::new(Compiled {
            rule: self.clone(),
            texts: Some((summary, description)),
            expressions,
        })))
    }
}

impl Check<'_> {
    fn field(&self, field: impl Into<String>, reason: impl Into<String>) -> RuleError {
        RuleError::Field {
            rule: self.rule.name.chars().take(200).collect(),
            field: field.into(),
            reason: reason.into(),
        }
    }

    fn template(&self, field: &str, text: &str) -> Result<Template, RuleError> {
        if text.len() > MAX_TEXT {
            return Err(self.field(field, format!("give at most {MAX_TEXT} bytes")));
        }
        Template::parse(text).map_err(|reason| self.field(field, reason))
    }

    fn condition(&mut self, path: &str, condition: &Condition, depth: usize) -> Result<(), RuleError> {
        self.parts += 1;
        if depth > MAX_DEPTH || self.parts > MAX_PARTS {
            let reason = format!("nest at most {MAX_DEPTH} deep and use at most {MAX_PARTS} parts");
            return Err(self.field(path, reason));
        }
        match condition {
            Condition::Threshold(threshold) => {
                let path = format!("{path}.threshold");
                match &threshold.signal {
                    Signal::Series(query) => self.query(&format!("{path}.signal.series"), query)?,
                    Signal::Ratio(ratio) => {
                        self.query(&format!("{path}.signal.ratio.of"), &ratio.of)?;
                        self.query(&format!("{path}.signal.ratio.to"), &ratio.to)?;
                    }
                }
                if threshold.levels.is_empty() {
                    return Err(self.field(format!("{path}.levels"), "give at least one level"));
                }
                self.levels(&format!("{path}.levels"), &threshold.levels)
            }
            Condition::Absent(absent) => self.absent(&format!("{path}.absent"), absent),
            Condition::State(state) => {
                let path = format!("{path}.state.test");
                match &state.test {
                    Test::Less(limit) | Test::Greater(limit) if limit.is_nan() => {
                        Err(self.field(path, "give a number"))
                    }
                    Test::OneOf(values) if values.is_empty() => {
                        Err(self.field(path, "give at least one value"))
                    }
                    _ => Ok(()),
                }
            }
            Condition::Change(change) => self.span(&format!("{path}.change.within"), change.within),
            Condition::Expression(check) => {
                let field = format!("{path}.expression.expression");
                let evaluator = self.evaluator.ok_or_else(|| {
                    self.field(&*field, "no evaluator is wired that could compile expressions; wire one")
                })?;
                let compiled = evaluator.compile(&check.expression).map_err(|source| {
                    RuleError::Expression { rule: self.rule.name.to_string(), field: field.clone(), source }
                })?;
                self.expressions.push(compiled);
                self.levels(&format!("{path}.expression.levels"), &check.levels)
            }
            Condition::All(parts) => self.combination(&format!("{path}.all"), parts, depth),
            Condition::Any(parts) => self.combination(&format!("{path}.any"), parts, depth),
            Condition::Not(part) => {
                let path = format!("{path}.not");
                if part.absence_is_clear() {
                    return Err(self.field(
                        path,
                        "what the part does not return cannot be told from what it never saw; give the expression \
                         levels",
                    ));
                }
                self.condition(&path, part, depth + 1)
            }
        }
    }

    fn combination(&mut self, path: &str, parts: &Combination, depth: usize) -> Result<(), RuleError> {
        if parts.of.is_empty() {
            return Err(self.field(format!("{path}.of"), "give at least one part"));
        }
        for (index, part) in parts.of.iter().enumerate() {
            self.condition(&format!("{path}.of[{index}]"), part, depth + 1)?;
        }
        Ok(())
    }

    fn absent(&self, path: &str, absent: &Absent) -> Result<(), RuleError> {
        self.span(&format!("{path}.after"), absent.after)?;
        match &absent.of {
            AbsentOf::Series { selector, remember } => {
                if *remember <= absent.after {
                    return Err(self.field(
                        format!("{path}.of.series.remember"),
                        "give more than `after`, or no series can ever be both remembered and silent",
                    ));
                }
                self.selector(&format!("{path}.of.series.selector"), selector)
            }
            AbsentOf::Samples { selector, .. } => {
                self.selector(&format!("{path}.of.samples.selector"), selector)
            }
            AbsentOf::Sightings { .. } => Ok(()),
        }
    }

    fn query(&self, path: &str, query: &Query) -> Result<(), RuleError> {
        self.span(&format!("{path}.window"), query.window)?;
        if let Reduce::Forecast { ahead } = query.reduce {
            self.span(&format!("{path}.reduce.forecast.ahead"), ahead)?;
        }
        self.selector(&format!("{path}.selector"), &query.selector)
    }

    fn selector(&self, path: &str, selector: &Selector) -> Result<(), RuleError> {
        for matcher in selector.matchers() {
            if matches!(matcher.op, MatchOp::Regex | MatchOp::NotRegex)
                && let Err(reason) = crate::suppress::compile_regex(&matcher.value)
            {
                return Err(self.field(format!("{path}.matchers.{}", matcher.name), reason));
            }
        }
        Ok(())
    }

    fn span(&self, path: &str, span: Duration) -> Result<(), RuleError> {
        if span.is_zero() || span > Duration::from_secs(400 * 86_400) {
            return Err(self.field(path, "give more than 0 and at most 400d"));
        }
        Ok(())
    }

    fn levels(&self, path: &str, levels: &[Level]) -> Result<(), RuleError> {
        for (index, level) in levels.iter().enumerate() {
            let path = format!("{path}[{index}]");
            if level.severity == Severity::Cleared {
                return Err(self.field(path, "a level cannot be `cleared`"));
            }
            if levels[..index].iter().any(|other| other.severity == level.severity) {
                return Err(self.field(path, format!("severity {} is there twice", level.severity)));
            }
            if level.value.is_nan() {
                return Err(self.field(path, "give a number"));
            }
            if let Some(clear) = level.clear {
                let sound = match level.op {
                    Compare::Above | Compare::AtLeast => clear <= level.value,
                    Compare::Below | Compare::AtMost => clear >= level.value,
                    Compare::Equal | Compare::NotEqual => false,
                };
                if !sound {
                    return Err(self.field(
                        format!("{path}.clear"),
                        "give a limit on the clear side of `value` (not above it for >, not below it for <; none for \
                         == and !=)",
                    ));
                }
            }
        }
        Ok(())
    }
}
