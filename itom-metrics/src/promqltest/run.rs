//! A script run.

use std::time::Duration;

use super::compare::{almost, matrix, vector};
use super::notation::SequenceValue;
use super::script::{Case, Command, Expected, Load, Message, Script, When};
use super::{classic, pin};
use crate::eval::{Answer, Engine, EngineOptions, MatrixSeries, QueryValue, VectorSample};
use crate::promql::{self, Expr, ParseOptions};
use crate::{MemorySeries, Points};
use itom_core::SampleValue;

/// How one case went.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CaseReport {
    /// What the script is called.
    pub file: String,
    /// The line of the `eval`, from 1.
    pub line: usize,
    /// The expression.
    pub query: String,
    /// What is wrong; `None` when all is well.
    pub failure: Option<String>,
}

/// The store and what has gone wrong with it.
struct State {
    series: MemorySeries,
    engine: Engine,
    /// A block that could not be loaded: every case until the next `clear` fails of it.
    broken: Option<String>,
}

impl Script {
    /// Runs it with the options of Prometheus's own runner: everything experimental is on.
    #[must_use]
    pub fn run(&self) -> Vec<CaseReport> {
        let options = EngineOptions::default()
            .lookback(Duration::from_secs(300))
            .max_samples(10_000)
            .delayed_name_removal(true)
            .start_timestamps(true);
        let mut state = State { series: MemorySeries::new(), engine: Engine::new(options), broken: None };
        let mut reports = Vec::with_capacity(self.cases());
        for command in &self.commands {
            match command {
                Command::Clear => {
                    state.series.clear();
                    state.broken = None;
                }
                Command::Load(load) => {
                    if let Err(reason) = state.load(load) {
                        state.broken =
                            Some(format!("the block of line {} cannot be loaded: {reason}", load.line));
                    }
                }
                Command::Eval(case) => reports.push(CaseReport {
                    file: self.file.clone(),
                    line: case.line,
                    query: case.query.clone(),
                    failure: state.broken.clone().or_else(|| state.check(case)),
                }),
            }
        }
        reports
    }
}

impl State {
    fn load(&mut self, load: &Load) -> Result<(), String> {
        let mut floats = Vec::new();
        for (line, starts) in &load.series {
            let mut own = Vec::new();
            for (index, value) in line.values.iter().enumerate() {
                let t = i64::try_from(index).unwrap_or(i64::MAX).saturating_mul(load.step);
                let start = starts.get(index).copied().flatten().map_or(0, |offset| t.saturating_add(offset));
                match value {
                    SequenceValue::Omitted => {}
                    SequenceValue::Float(value) => {
                        own.push((t, *value));
                        let stored = self.series.append_float(&line.labels, t, *value, start);
                        stored.map_err(|error| error.to_string())?;
                    }
                    SequenceValue::Histogram { histogram, .. } => {
                        let stored =
                            self.series.append_histogram(&line.labels, t, (**histogram).clone(), start);
                        stored.map_err(|error| error.to_string())?;
                    }
                }
            }
            floats.push((&line.labels, own));
        }
        if load.native {
            let native = classic::native(floats.iter().map(|(labels, own)| (*labels, own.as_slice())))?;
            for (labels, histograms) in native {
                for (t, histogram) in histograms {
                    let stored = self.series.append_histogram(&labels, t, histogram, 0);
                    stored.map_err(|error| error.to_string())?;
                }
            }
        }
        Ok(())
    }

    /// What is wrong with a case.
    fn check(&self, case: &Case) -> Option<String> {
        let expected = &case.expected;
        let (expr, answer) = match promql::parse_with(&case.query, &ParseOptions::EXPERIMENTAL) {
            Err(error) => return failed(expected, &error.to_string()),
            Ok(expr) => match self.ask(&expr, case.when) {
                Err(error) => return failed(expected, &error),
                Ok(answer) => (expr, answer),
            },
        };
        if !expected.fail.is_empty() {
            return Some("it was expected to fail and did not".to_owned());
        }
        remarks("warning", &expected.warn, expected.no_warn, &answer.annotations.warnings(&case.query))
            .or_else(|| {
                remarks("info", &expected.info, expected.no_info, &answer.annotations.infos(&case.query))
            })
            .or_else(|| compared(expected, case.when, &answer.value))
            .or_else(|| match case.when {
                When::Instant(at) => self.again(&expr, at, case, &answer.value),
                When::Range(..) => None,
            })
    }

    fn ask(&self, expr: &Expr, when: When) -> Result<Answer, String> {
        let answer = match when {
            When::Instant(at) => self.engine.instant(expr, &self.series, at),
            When::Range(start, end, step) => self.engine.range(expr, &self.series, start, end, step),
        };
        answer.map_err(|error| error.to_string())
    }

    /// An instant case in other ways that must give the same: within a range, and pinned.
    fn again(&self, expr: &Expr, at: i64, case: &Case, value: &QueryValue) -> Option<String> {
        let expected = &case.expected;
        let plain = matches!(value, QueryValue::Vector(_) | QueryValue::Scalar(..));
        if !plain || expected.ordered || expected.matrix.is_some() {
            return None;
        }
        let own_times =
            ["start()", "end()", "range()", "step()"].iter().any(|text| case.query.contains(text));
        if !own_times {
            const MINUTE: i64 = 60_000;
            let wrong = |reason: String| Some(format!("as the middle of a range: {reason}"));
            let middle = match self.ask(expr, When::Range(at - MINUTE, at + MINUTE, MINUTE)) {
                Err(error) => return wrong(error),
                Ok(answer) => middle(answer.value, at, matches!(value, QueryValue::Scalar(..))),
            };
            if let Some(reason) = compared(expected, case.when, &middle) {
                return wrong(reason);
            }
        }
        let pinned = pin::pinned(expr, at)?;
        for other in [0, at / 2, at + 60_000, at.saturating_mul(2) + 1, at + 86_400_000] {
            let wrong = |reason: String| Some(format!("pinned by `@` and evaluated at {other} ms: {reason}"));
            match self.ask(&pinned, When::Instant(other)) {
                Err(error) => return wrong(error),
                Ok(answer) => {
                    if let Some(reason) = compared(expected, case.when, &answer.value) {
                        return wrong(reason);
                    }
                }
            }
        }
        None
    }
}

/// What a range query says of one moment, as an instant answer.
fn middle(value: QueryValue, at: i64, scalar: bool) -> QueryValue {
    let QueryValue::Matrix(series) = value else { return value };
    let at_moment = |series: MatrixSeries| {
        let MatrixSeries { labels, points: Points { floats, histograms, .. } } = series;
        let float = floats.iter().find(|point| point.t == at).map(|point| SampleValue::Float(point.v));
        let histogram =
            histograms.into_iter().find(|point| point.t == at).map(|point| SampleValue::Histogram(point.h));
        float.or(histogram).map(|value| VectorSample { labels, t: at, value })
    };
    let samples: Vec<VectorSample> = series.into_iter().filter_map(at_moment).collect();
    match (scalar, samples.first().map(|sample| &sample.value)) {
        (true, Some(SampleValue::Float(value))) => QueryValue::Scalar(at, *value),
        (true, _) => QueryValue::Scalar(at, f64::NAN),
        (false, _) => QueryValue::Vector(samples),
    }
}

fn failed(expected: &Expected, error: &str) -> Option<String> {
    if expected.fail.is_empty() {
        return Some(format!("it failed: {error}"));
    }
    let fits = expected.fail.iter().all(|message| message.fits(error));
    (!fits).then(|| format!("it failed with another message than expected: {error}"))
}

fn remarks(kind: &str, wanted: &[Message], none: bool, found: &[String]) -> Option<String> {
    if none && let Some(first) = found.first() {
        return Some(format!("no {kind} was expected: {first}"));
    }
    if wanted.is_empty() {
        return None;
    }
    if let Some(extra) = found.iter().find(|text| !wanted.iter().any(|message| message.fits(text))) {
        return Some(format!("this {kind} was not expected: {extra}"));
    }
    let missing = wanted.iter().find(|message| !found.iter().any(|text| message.fits(text)));
    missing.map(|message| format!("the {kind} {message:?} is missing"))
}

fn compared(expected: &Expected, when: When, value: &QueryValue) -> Option<String> {
    match value {
        QueryValue::Scalar(_, value) => match expected.scalar {
            Some(wanted) => (!almost(wanted, *value)).then(|| format!("it is {value} and not {wanted}")),
            None => Some(format!("it is the number {value}, which was not expected")),
        },
        QueryValue::String(text) => {
            let text = String::from_utf8_lossy(text.as_bytes());
            // A script that says nothing expects the empty text.
            let wanted = expected.string.as_deref().unwrap_or("");
            (wanted != text).then(|| format!("it is {text:?} and not {wanted:?}"))
        }
        QueryValue::Vector(found) => match (expected.scalar, &expected.string) {
            (None, None) => vector(&expected.rows, found, expected.ordered),
            _ => Some("it is a vector, which was not expected".to_owned()),
        },
        QueryValue::Matrix(found) => {
            let (start, step) = match (expected.matrix, when) {
                (Some((start, _, step)), _) | (None, When::Range(start, _, step)) => (start, step),
                (None, When::Instant(_)) => return Some("it is a matrix, which was not expected".to_owned()),
            };
            if expected.ordered {
                return Some("`expect ordered` means nothing over a range".to_owned());
            }
            matrix(&expected.rows, found, start, step)
        }
    }
}
