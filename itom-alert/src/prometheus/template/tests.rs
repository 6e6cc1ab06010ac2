use std::any::Any;

use itom_core::{EvaluateError, ExpressionError, RuleEvaluation, RuleExpression};
use proptest::prelude::*;

use super::*;

/// Answers every query with two samples.
#[derive(Debug)]
struct Two;

#[derive(Debug)]
struct Any1(String);

impl RuleExpression for Any1 {
    fn source(&self) -> &str {
        &self.0
    }
    fn normal_form(&self) -> String {
        self.0.clone()
    }
    fn may_read(&self, _: &str, _: Option<&str>) -> bool {
        true
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl RuleLanguage for Two {
    fn compile(&self, expression: &str) -> Result<Arc<dyn RuleExpression>, ExpressionError> {
        Ok(Arc::new(Any1(expression.into())))
    }
    fn evaluate(
        &self,
        expressions: &[Arc<dyn RuleExpression>],
        _: Timestamp,
    ) -> Vec<Result<RuleEvaluation, EvaluateError>> {
        let one = |expression: &Arc<dyn RuleExpression>| {
            if expression.source() == "none" {
                return Ok(RuleEvaluation::new(Vec::new()));
            }
            let sample = |instance: &str, value| {
                let labels = Labels::from_pairs([("__name__", "metric"), ("instance", instance)]).unwrap();
                RuleSample::new(labels, SampleValue::Float(value))
            };
            Ok(RuleEvaluation::new(vec![sample("b", 21.0), sample("a", 11.0)]))
        };
        expressions.iter().map(one).collect()
    }
}

fn expand(text: &str, value: f64) -> String {
    let template = match Template::parse("A", text) {
        Ok(template) => template,
        Err(reason) => return format!("refused: {reason}"),
    };
    let mut expansion = Expansion::new(Arc::new(Two), Timestamp::from_millis(1_434_000_000_500));
    expansion.external_url = "http://testhost:9090/path/prefix".into();
    expansion.external_labels = Labels::from_pairs([("cluster", "eu")]).unwrap();
    let labels =
        Labels::from_pairs([("__name__", "up"), ("instance", "web-1:9100"), ("job", "node")]).unwrap();
    template.expand(&expansion, &labels, &SampleValue::Float(value)).to_string()
}

#[test]
fn templates_give_what_prometheus_gives() {
    for (text, value, wanted) in [
        ("plain { text", 1.0, "plain { text"),
        ("{{ $labels.instance }} {{ $value }}", 0.5, "web-1:9100 0.5"),
        ("{{ $labels }}", 1.0, "map[__name__:up instance:web-1:9100 job:node]"),
        ("{{ .Labels.job }}{{ $labels.missing }}|", 1.0, "node|"),
        ("{{ if eq $labels.missing \"\" }}none{{ end }}", 1.0, "none"),
        ("{{ index $labels \"job\" }}{{ index $labels \"x\" }}|", 1.0, "node|"),
        ("{{ $externalLabels.cluster }} {{ $externalURL }}", 1.0, "eu http://testhost:9090/path/prefix"),
        ("{{ pathPrefix }} {{ externalURL }}", 1.0, "/path/prefix http://testhost:9090/path/prefix"),
        ("{{ $value }}", 1e21, "1e+21"),
        ("{{ $value }}", 123456789.0, "1.23456789e+08"),
        ("{{ $value }}", 1_000_000.0, "1e+06"),
        ("{{ $value }} {{ printf \"%v|%5.1f\" $value $value }}", 100_000.0, "100000 100000|100000.0"),
        ("{{ $value | printf \"%s %v\" \"a\" }}", 2e6, "a 2e+06"),
        ("{{ print 1 2.5 \"a\" $value }}", 2e6, "1 2.5a2e+06"),
        ("{{ $value }}", 0.00001, "1e-05"),
        ("{{ $value }}", f64::INFINITY, "+Inf"),
        ("{{ $value | humanize }}", 1234567.0, "1.235M"),
        ("{{ $value | humanize }}", 0.0125, "12.5m"),
        ("{{ humanize 0.0 }}", 1.0, "0"),
        ("{{ $value | humanize1024 }}", 1048576.0, "1Mi"),
        ("{{ $value | humanizeDuration }}", 0.0, "0s"),
        ("{{ $value | humanizeDuration }}", 899.99, "14m 59s"),
        ("{{ $value | humanizeDuration }}", -86400.0, "-1d 0h 0m 0s"),
        ("{{ $value | humanizeDuration }}", 0.1, "100ms"),
        ("{{ $value | humanizeDuration }}", 59.4, "59.4s"),
        ("{{ $value | humanizePercentage }}", 0.1234567, "12.35%"),
        ("{{ $value | humanizeTimestamp }}", 1435065584.128, "2015-06-23 13:19:44.128 +0000 UTC"),
        ("{{ $value | toTime }}", 0.0, "1970-01-01 00:00:00 +0000 UTC"),
        ("{{ $value | toDuration }}", 3723.5, "1h2m3.5s"),
        ("{{ parseDuration \"1h2m10ms\" }}", 1.0, "3720.01"),
        ("{{ now }}", 1.0, "1.4340000005e+09"),
        ("{{ \"0.5\" | humanizePercentage }}", 1.0, "50%"),
        ("{{ query \"metric\" | first | value }}", 1.0, "21"),
        ("{{ query \"metric\" | sortByLabel \"instance\" | first | label \"instance\" }}", 1.0, "a"),
        ("{{ range query \"metric\" }}{{ .Labels.instance }}={{ .Value }};{{ end }}", 1.0, "b=21;a=11;"),
        ("{{ with query \"none\" }}some{{ else }}none{{ end }}", 1.0, "none"),
        ("{{ reReplaceAll \"(.*):(.*)\" \"$2/${1}\" $labels.instance }}", 1.0, "9100/web-1"),
        ("{{ if match \"^web\" $labels.instance }}yes{{ end }}", 1.0, "yes"),
        ("{{ \"host.example.com:80\" | stripDomain }} {{ \"[::1]:80\" | stripPort }}", 1.0, "host:80 ::1"),
        ("{{ \"10.0.0.1:80\" | stripDomain }}", 1.0, "10.0.0.1:80"),
        ("{{ title \"aa bB\" }} {{ toUpper \"ab\" }} {{ toLower \"AB\" }}", 1.0, "Aa BB AB ab"),
        ("{{ tableLink \"up == 0\" }}", 1.0, "/graph?g0.expr=up+%3D%3D+0&g0.tab=1"),
        ("{{ graphLink \"up\" }}", 1.0, "/graph?g0.expr=up&g0.tab=0"),
        ("{{ urlQueryEscape \"a b\" }}{{ safeHtml \"<b>\" }}", 1.0, "a+b<b>"),
        ("{{ printf \"%.2f\" $value }}", 1.005, "1.00"),
        ("{{ define \"x\" }}[{{ .arg0 }}]{{ end }}{{ template \"x\" (args \"a\" 1) }}", 1.0, "[a]"),
        ("{{ range $i, $x := query \"m\" }}{{ $i }}{{ end }}", 1.0, "01"),
        ("a {{- /* c */ -}} b", 1.0, "ab"),
    ] {
        assert_eq!(expand(text, value), wanted, "{text}");
    }
}

#[test]
fn what_go_refuses_when_parsing_is_refused() {
    for (text, wanted) in [
        ("{{ $label.foo }}", "undefined variable \"$label\""),
        ("{{ nofunction 1 }}", "function \"nofunction\" not defined"),
        ("{{ $labels.foo", "unclosed"),
        ("{{ if true }}x", "EOF"),
        ("x{{ end }}y", "unexpected {{end}}"),
        ("{{ if true }}a{{ else }}b{{ else }}c{{ end }}", "unexpected {{else}}"),
        ("{{ break }}", "outside {{range}}"),
        ("{{ define \"x\" }}{{ $labels }}{{ end }}", "undefined variable \"$labels\""),
        ("{{ if true }}{{ $x := 1 }}{{ end }}{{ $x }}", "undefined variable \"$x\""),
    ] {
        let reason = Template::parse("A", text).expect_err(text);
        assert!(reason.contains(wanted), "{text}: {reason}");
        assert!(reason.starts_with("template: __alert_A"), "{reason}");
    }
}

#[test]
fn an_error_becomes_the_text() {
    for text in
        ["{{ query \"none\" | first }}", "{{ $value.nothing }}", "{{ .Nothing }}", "{{ humanize \"x\" }}"]
    {
        let out = expand(text, 1.0);
        assert!(
            out.starts_with("<error expanding template: error executing template __alert_A: "),
            "{text}: {out}"
        );
        assert!(out.ends_with('>'), "{out}");
    }
}

proptest! {
    #[test]
    fn l10_any_text_is_a_template_or_refused(text in "[{}()$.|a-z \"0-9-]{0,60}") {
        let _ = expand(&text, 1.0);
    }

    #[test]
    fn l10_any_actions_expand(parts in prop::collection::vec(prop::sample::select(vec![
        "{{", "}}", "if ", "end", "else", "range ", "with ", "$x", ":=", "query \"m\"", "| first", "$labels.a", ".", "-",
        "define \"a\"", "template \"a\" .", "(", ")", "humanize ", "1e308", "break", "continue", "block \"b\" .", " ",
    ]), 0..24)) {
        let _ = expand(&parts.concat(), 1.0);
    }
}
