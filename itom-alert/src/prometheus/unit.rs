//! Unit tests of rules in promtool's format: what a file says. (Running them needs series as well as rules, so that is
//! the work of whoever has both.)

use std::collections::BTreeMap;
use std::time::Duration;

use itom_core::{Text, Timestamp};

use super::document::{At, Fields, FieldsOf, Place, Texts, fields, nearest, read_first};
use super::duration::model_duration;
use super::file::{FileError, MAX_FILE_BYTES};

/// A file of unit tests.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct UnitFile {
    /// The file, as it was named.
    pub file: Text,
    /// The rule files, relative to this one; `*`, `?` and `[…]` match within a name.
    pub rule_files: Vec<String>,
    /// How often the groups are evaluated, whatever they say.
    pub evaluation_interval: Duration,
    /// The order of groups by name; those not named come with the first.
    pub group_eval_order: Vec<String>,
    /// Whether floats that are next to each other count as equal.
    pub fuzzy_compare: bool,
    /// The tests.
    pub tests: Vec<UnitTest>,
}

/// One test.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct UnitTest {
    /// Its name; `unnamed#0` and so on where the file gives none.
    pub name: Text,
    /// Where it stands.
    pub place: Place,
    /// How far the samples of input series are apart.
    pub interval: Duration,
    /// What is there when it begins and comes as it goes on.
    pub input_series: Vec<InputSeries>,
    /// When it begins.
    pub start: Timestamp,
    /// Which alerts fire.
    pub alert_cases: Vec<AlertCase>,
    /// What expressions give.
    pub expr_cases: Vec<ExprCase>,
    /// What templates see as `$externalLabels`.
    pub external_labels: BTreeMap<String, String>,
    /// What templates see as `$externalURL`.
    pub external_url: Text,
}

/// A series and its samples, both as written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InputSeries {
    /// The series: `up{job="a"}`.
    pub series: String,
    /// Its samples in expanding notation: `0+1x5 _ stale`.
    pub values: String,
    /// Where it stands.
    pub place: Place,
}

/// Which alerts of a name fire at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AlertCase {
    /// When, after the beginning.
    pub eval_time: Duration,
    /// The alert.
    pub alertname: String,
    /// Those that fire.
    pub expected: Vec<ExpectedAlert>,
    /// Where it stands.
    pub place: Place,
}

/// An alert as it is to be: all its labels but `alertname`, and all its annotations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ExpectedAlert {
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// The annotations.
    pub annotations: BTreeMap<String, String>,
}

/// What an expression gives at a time.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ExprCase {
    /// The expression.
    pub expr: String,
    /// When, after the beginning.
    pub eval_time: Duration,
    /// What it gives, in any order.
    pub expected: Vec<ExpectedSample>,
    /// Where it stands.
    pub place: Place,
}

/// A sample as it is to be.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ExpectedSample {
    /// The series: `up{job="a"}`, or nothing for no labels.
    pub labels: String,
    /// The number.
    pub value: f64,
    /// A histogram in the notation of input series, instead of the number.
    pub histogram: Option<String>,
}

fields!(RawFile, "a file of unit tests" {
    rule_files "rule_files": Vec<String>,
    evaluation_interval "evaluation_interval": At<String>,
    group_eval_order "group_eval_order": Vec<At<String>>,
    fuzzy_compare "fuzzy_compare": bool,
    tests "tests": Vec<At<FieldsOf<RawTest>>>,
});
fields!(RawTest, "a test" {
    name "name": String,
    interval "interval": At<String>,
    input_series "input_series": Vec<At<FieldsOf<RawSeries>>>,
    alerts "alert_rule_test": Vec<At<FieldsOf<RawAlertCase>>>,
    exprs "promql_expr_test": Vec<At<FieldsOf<RawExprCase>>>,
    external_labels "external_labels": Texts,
    external_url "external_url": String,
    start "start_timestamp": At<String>,
});
fields!(RawSeries, "an input series" { series "series": String, values "values": String });
fields!(RawAlertCase, "an item of alert_rule_test" {
    eval_time "eval_time": At<String>,
    alertname "alertname": String,
    exp_alerts "exp_alerts": Vec<FieldsOf<RawAlert>>,
});
fields!(RawAlert, "an expected alert" { labels "exp_labels": Texts, annotations "exp_annotations": Texts });
fields!(RawExprCase, "an item of promql_expr_test" {
    expr "expr": String,
    eval_time "eval_time": At<String>,
    exp_samples "exp_samples": Vec<FieldsOf<RawSample>>,
});
fields!(RawSample, "an expected sample" {
    labels "labels": String,
    value "value": At<String>,
    histogram "histogram": String,
});

struct Check {
    file: Text,
    ignore_unknown: bool,
    errors: Vec<FileError>,
}

impl UnitFile {
    /// Reads a file of unit tests (its first document). `file` names it in messages.
    ///
    /// # Errors
    /// Everything that is wrong, with its place.
    pub fn parse(
        text: &str,
        file: impl Into<Text>,
        ignore_unknown_fields: bool,
    ) -> Result<Self, Vec<FileError>> {
        let mut check =
            Check { file: file.into(), ignore_unknown: ignore_unknown_fields, errors: Vec::new() };
        if text.len() > MAX_FILE_BYTES {
            check.error(Place::default(), format!("it has more than {MAX_FILE_BYTES} bytes; split it"));
            return Err(check.errors);
        }
        let mut raw = match read_first::<RawFile>(text) {
            Ok(raw) => raw.unwrap_or_default(),
            Err(unreadable) => {
                check.error(unreadable.place, unreadable.reason);
                return Err(check.errors);
            }
        };
        check.unknown(&mut raw);
        let every = check.duration(raw.evaluation_interval).filter(|every| !every.is_zero());
        let evaluation_interval = every.unwrap_or(Duration::from_secs(60));
        let mut group_eval_order: Vec<String> = Vec::new();
        for At { value, place } in raw.group_eval_order.unwrap_or_default() {
            if group_eval_order.contains(&value) {
                check.error(place, format!("group name repeated in evaluation order: {value}"));
            }
            group_eval_order.push(value);
        }
        let tests = raw.tests.unwrap_or_default().into_iter().enumerate();
        let tests =
            tests.map(|(index, test)| check.test(index, test.place, test.value.0, evaluation_interval));
        let tests = tests.collect();
        if !check.errors.is_empty() {
            return Err(check.errors);
        }
        Ok(Self {
            file: check.file,
            rule_files: raw.rule_files.unwrap_or_default(),
            evaluation_interval,
            group_eval_order,
            fuzzy_compare: raw.fuzzy_compare.unwrap_or_default(),
            tests,
        })
    }
}

impl UnitTest {
    /// The last time that is looked at, after the beginning.
    #[must_use]
    pub fn longest(&self) -> Duration {
        let alerts = self.alert_cases.iter().map(|case| case.eval_time);
        alerts.chain(self.expr_cases.iter().map(|case| case.eval_time)).max().unwrap_or_default()
    }
}

impl Check {
    fn error(&mut self, place: Place, reason: impl Into<String>) {
        let (file, reason) = (self.file.clone(), reason.into());
        self.errors.push(FileError { file, place, group: None, rule: None, reason });
    }

    fn unknown<T: Fields>(&mut self, fields: &mut T) {
        for At { value, place } in std::mem::take(fields.unknown()) {
            if !self.ignore_unknown {
                let name: String = value.chars().take(80).collect();
                let hint = nearest(&name, T::NAMES).map(|other| format!("; did you mean `{other}`?"));
                self.error(place, format!("{} has no field `{name}`{}", T::WHAT, hint.unwrap_or_default()));
            }
        }
    }

    fn duration(&mut self, text: Option<At<String>>) -> Option<Duration> {
        let At { value, place } = text?;
        model_duration(&value).map_err(|reason| self.error(place, reason)).ok()
    }

    fn test(&mut self, index: usize, place: Place, mut raw: RawTest, every: Duration) -> UnitTest {
        self.unknown(&mut raw);
        let interval = self.duration(raw.interval).filter(|interval| !interval.is_zero()).unwrap_or(every);
        let begin = raw.start.map(|at| {
            let time = start(&at.value);
            if time.is_none() {
                let reason = format!("{:?} is no time: write RFC 3339 or seconds since 1970", at.value);
                self.error(at.place, reason);
            }
            time.unwrap_or_default()
        });
        let mut input_series = Vec::new();
        for At { value: FieldsOf(mut input), place } in raw.input_series.unwrap_or_default() {
            self.unknown(&mut input);
            let (series, values) = (input.series.unwrap_or_default(), input.values.unwrap_or_default());
            input_series.push(InputSeries { series, values, place });
        }
        let alerts = raw.alerts.unwrap_or_default().into_iter();
        let alert_cases = alerts.map(|case| self.alert_case(case.place, case.value.0)).collect();
        let exprs = raw.exprs.unwrap_or_default().into_iter();
        let expr_cases = exprs.map(|case| self.expr_case(case.place, case.value.0)).collect();
        let name = raw.name.filter(|name| !name.is_empty()).unwrap_or_else(|| format!("unnamed#{index}"));
        UnitTest {
            name: name.into(),
            place,
            interval,
            input_series,
            start: begin.unwrap_or(Timestamp::EPOCH),
            alert_cases,
            expr_cases,
            external_labels: plain(raw.external_labels),
            external_url: raw.external_url.unwrap_or_default().into(),
        }
    }

    fn alert_case(&mut self, place: Place, mut raw: RawAlertCase) -> AlertCase {
        self.unknown(&mut raw);
        let mut expected = Vec::new();
        for FieldsOf(mut alert) in raw.exp_alerts.unwrap_or_default() {
            self.unknown(&mut alert);
            let (labels, annotations) = (plain(alert.labels), plain(alert.annotations));
            expected.push(ExpectedAlert { labels, annotations });
        }
        let alertname = raw.alertname.unwrap_or_default();
        if alertname.is_empty() {
            self.error(place, "an item under alert_rule_test misses required attribute alertname");
        }
        let eval_time = self.duration(raw.eval_time).unwrap_or_default();
        AlertCase { eval_time, alertname, expected, place }
    }

    fn expr_case(&mut self, place: Place, mut raw: RawExprCase) -> ExprCase {
        self.unknown(&mut raw);
        let mut expected = Vec::new();
        for FieldsOf(mut sample) in raw.exp_samples.unwrap_or_default() {
            self.unknown(&mut sample);
            let value = sample.value.map_or(Some(0.0), |at| {
                let value = number(&at.value);
                if value.is_none() {
                    let reason =
                        format!("{:?} is no number (not a number is `.nan`, infinity `.inf`)", at.value);
                    self.error(at.place, reason);
                }
                value
            });
            let histogram = sample.histogram.filter(|text| !text.is_empty());
            let (labels, value) = (sample.labels.unwrap_or_default(), value.unwrap_or_default());
            expected.push(ExpectedSample { labels, value, histogram });
        }
        let eval_time = self.duration(raw.eval_time).unwrap_or_default();
        ExprCase { expr: raw.expr.unwrap_or_default(), eval_time, expected, place }
    }
}

fn plain(texts: Option<Texts>) -> BTreeMap<String, String> {
    texts.unwrap_or_default().0.into_iter().map(|(name, at)| (name, at.value)).collect()
}

/// A number as YAML 1.1 writes it: whole ones in any base, `.inf`, `.nan`, `_` between digits.
fn number(text: &str) -> Option<f64> {
    match text {
        ".nan" | ".NaN" | ".NAN" => return Some(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Some(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Some(f64::NEG_INFINITY),
        _ => {}
    }
    let bare = text.replace('_', "");
    let (negative, digits) = match bare.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, bare.strip_prefix('+').unwrap_or(&bare)),
    };
    let in_base = |digits: &str, radix| u64::from_str_radix(digits, radix).ok().map(|whole| whole as f64);
    let based = if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(in_base(hex, 16)?)
    } else if let Some(binary) = digits.strip_prefix("0b").or_else(|| digits.strip_prefix("0B")) {
        Some(in_base(binary, 2)?)
    } else if let Some(octal) = digits.strip_prefix("0o").or_else(|| digits.strip_prefix("0O")) {
        Some(in_base(octal, 8)?)
    } else {
        // Octal as C writes it; what is none, such as `08`, is decimal.
        digits.strip_prefix('0').filter(|rest| !rest.is_empty()).and_then(|octal| in_base(octal, 8))
    };
    let decimal = |digits: &str| {
        let numeric = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
            && digits.contains(|c: char| c.is_ascii_digit());
        digits.parse::<f64>().ok().filter(|_| numeric)
    };
    let value = based.or_else(|| decimal(digits))?;
    Some(if negative { -value } else { value })
}

fn start(text: &str) -> Option<Timestamp> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    let seconds = number(text).filter(|seconds| seconds.abs() < 9e12)?;
    Some(Timestamp::from_millis((seconds * 1000.0).round() as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<UnitFile, Vec<String>> {
        UnitFile::parse(text, "t.yml", false)
            .map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn everything_is_read_with_its_place() {
        let file = parse(
            "rule_files: [a.yml, 'b/*.yml']\nevaluation_interval: 30s\ngroup_eval_order: [x]\nfuzzy_compare: true\n\
             tests:\n- name: one\n  interval: 15s\n  start_timestamp: 2024-01-01T00:00:00Z\n  external_labels: {site: ber}\n  \
             external_url: http://a\n  input_series:\n  - {series: up, values: 0x10}\n  alert_rule_test:\n  - eval_time: 5m\n    \
             alertname: Down\n    exp_alerts:\n    - {exp_labels: {a: b}, exp_annotations: {c: }}\n    - {}\n  promql_expr_test:\n  \
             - {expr: up, eval_time: 0, exp_samples: [{labels: up, value: 0x1F}, {histogram: '{{count:1}}'}]}\n- {}\n",
        )
        .expect("it is good");
        assert_eq!(file.evaluation_interval, Duration::from_secs(30));
        assert!(file.fuzzy_compare);
        let test = &file.tests[0];
        assert_eq!((test.name.as_str(), test.interval), ("one", Duration::from_secs(15)));
        assert_eq!(test.start, Timestamp::from_secs(1_704_067_200));
        assert_eq!(test.input_series[0].values, "0x10", "as it is written");
        assert_eq!(test.alert_cases[0].place.line, 14);
        assert_eq!(test.alert_cases[0].expected[0].annotations["c"], "");
        assert_eq!(test.alert_cases[0].expected[1], ExpectedAlert::default());
        assert_eq!(test.expr_cases[0].expected[0].value, 31.0);
        assert_eq!(test.expr_cases[0].expected[1].histogram.as_deref(), Some("{{count:1}}"));
        assert_eq!(test.longest(), Duration::from_secs(300));
        assert_eq!(file.tests[1].name.as_str(), "unnamed#1");
        assert_eq!(file.tests[1].interval, file.evaluation_interval);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, wanted) in [
            ("test: []", "t.yml:1:1: a file of unit tests has no field `test`; did you mean `tests`?"),
            (
                "tests: [{intervall: 1m}]",
                "t.yml:1:10: a test has no field `intervall`; did you mean `interval`?",
            ),
            ("tests: [{interval: 1}]", "t.yml:1:20: "),
            ("group_eval_order: [a, a]", "t.yml:1:23: group name repeated in evaluation order: a"),
            ("tests: [{alert_rule_test: [{eval_time: 1m}]}]", "misses required attribute alertname"),
            ("tests: [{promql_expr_test: [{exp_samples: [{value: nan}]}]}]", "\"nan\" is no number"),
            ("tests: [{start_timestamp: noon}]", "t.yml:1:27: \"noon\" is no time"),
            ("tests: [{name: a, name: b}]", "t.yml:1:"),
            ("tests: {", "t.yml:1:"),
        ] {
            let errors = parse(text).expect_err(text);
            assert!(errors[0].contains(wanted), "{text}: {errors:?}");
        }
        assert!(UnitFile::parse("tests: [{owner: me}]", "t.yml", true).is_ok());
    }

    #[test]
    fn numbers_are_those_of_yaml() {
        for (text, wanted) in [
            ("1", 1.0),
            ("-1.5e3", -1500.0),
            ("0x1F", 31.0),
            ("010", 8.0),
            ("08", 8.0),
            ("1_000", 1000.0),
            ("+3", 3.0),
            (".5", 0.5),
            ("0b11", 3.0),
            ("-.inf", f64::NEG_INFINITY),
            ("0", 0.0),
        ] {
            assert_eq!(number(text), Some(wanted), "{text}");
        }
        for text in ["", "nan", "inf", "Infinity", "one", ".", "0x", "1 2", "--1"] {
            assert_eq!(number(text), None, "{text}");
        }
        assert!(number(".nan").is_some_and(f64::is_nan));
    }

    proptest::proptest! {
        #[test]
        fn l10_any_text_is_read_or_refused(text in "\\PC{0,200}", lines in "([a-z_]{1,12}: [\\[{a-z0-9 ]{0,6}\n[ -]{0,4}){0,8}") {
            let _ = parse(&text);
            let _ = parse(&lines);
            let _ = parse(&format!("tests:\n- {lines}"));
        }
    }
}
