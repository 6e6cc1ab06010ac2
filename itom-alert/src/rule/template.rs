//! Texts with placeholders: substitution only, no logic. What is unknown is refused when the rule is compiled.

use std::fmt::Write as _;

use itom_core::time::format_duration;
use itom_core::{Labels, Severity, Text};

/// A text with placeholders, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    CiName,
    CiKind,
    CiId,
    Rule,
    Severity,
    Value(Format),
    Label(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Plain,
    Percent,
    Bytes,
    Duration,
}

/// What placeholders stand for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) rule: &'a str,
    pub(crate) severity: Severity,
    pub(crate) value: Option<f64>,
    pub(crate) labels: &'a Labels,
    pub(crate) ci_name: Option<&'a str>,
    pub(crate) ci_kind: Option<&'a str>,
    pub(crate) ci_id: Option<itom_core::CiId>,
}

const KNOWN: &str = "ci.name, ci.kind, ci.id, rule, severity, value, value.percent, value.bytes, value.duration, \
                     labels.NAME";

impl Template {
    /// Parses a text, or says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("{{") {
            let (before, tail) = rest.split_at(start);
            if !before.is_empty() {
                parts.push(Part::Literal(before.to_owned()));
            }
            let tail = &tail[2..];
            let end = tail.find("}}").ok_or("`{{` without `}}`")?;
            let name = tail[..end].trim();
            parts.push(match name {
                "ci.name" => Part::CiName,
                "ci.kind" => Part::CiKind,
                "ci.id" => Part::CiId,
                "rule" => Part::Rule,
                "severity" => Part::Severity,
                "value" => Part::Value(Format::Plain),
                "value.percent" => Part::Value(Format::Percent),
                "value.bytes" => Part::Value(Format::Bytes),
                "value.duration" => Part::Value(Format::Duration),
                _ => match name.strip_prefix("labels.") {
                    Some(label) => {
                        itom_core::LabelName::new(label).map_err(|error| error.to_string())?;
                        Part::Label(label.to_owned())
                    }
                    None => return Err(format!("`{name}` is not a placeholder; known are {KNOWN}")),
                },
            });
            rest = &tail[end + 2..];
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// Fills the placeholders; a label or item that is not there gives an empty text, a value `?`.
    pub(crate) fn render(&self, context: &Context<'_>) -> Text {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::CiName => text.push_str(context.ci_name.unwrap_or_default()),
                Part::CiKind => text.push_str(context.ci_kind.unwrap_or_default()),
                Part::CiId => {
                    if let Some(id) = context.ci_id {
                        // Writing to a String cannot fail.
                        let _ = write!(text, "{id}");
                    }
                }
                Part::Rule => text.push_str(context.rule),
                Part::Severity => text.push_str(context.severity.as_str()),
                Part::Value(format) => match context.value {
                    Some(value) => text.push_str(&format_value(value, *format)),
                    None => text.push('?'),
                },
                Part::Label(name) => text.push_str(context.labels.get(name).unwrap_or_default()),
            }
        }
        text.into()
    }
}

fn format_value(value: f64, format: Format) -> String {
    match format {
        Format::Plain => short(value),
        Format::Percent => format!("{}%", short(value * 100.0)),
        Format::Bytes => {
            let (mut scaled, mut unit) = (value, "B");
            for next in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
                if scaled.abs() < 1024.0 {
                    break;
                }
                scaled /= 1024.0;
                unit = next;
            }
            format!("{} {unit}", short(scaled))
        }
        Format::Duration => match std::time::Duration::try_from_secs_f64(value.abs().round()) {
            Ok(span) => format!("{}{}", if value < 0.0 { "-" } else { "" }, format_duration(span)),
            Err(_) => short(value),
        },
    }
}

/// About four significant digits, without a tail of zeros.
pub(crate) fn short(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-4..1e15).contains(&magnitude) {
        return format!("{value:.3e}");
    }
    let digits = if magnitude >= 1000.0 {
        0
    } else if magnitude >= 10.0 {
        1
    } else if magnitude >= 1.0 {
        2
    } else {
        4
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str, value: f64) -> String {
        let labels = Labels::from_pairs([("device", "sda1")]).unwrap();
        let context = Context {
            rule: "disk",
            severity: Severity::Warning,
            value: Some(value),
            labels: &labels,
            ci_name: Some("web-1"),
            ci_kind: Some("host"),
            ci_id: None,
        };
        Template::parse(text).unwrap().render(&context).to_string()
    }

    #[test]
    fn placeholders_are_filled() {
        assert_eq!(
            render("{{ci.name}}: {{ labels.device }} {{value.percent}} {{severity}}", 0.9312),
            "web-1: sda1 93.1% warning"
        );
        assert_eq!(render("{{value.bytes}}|{{labels.none}}|", 3.0 * 1024.0 * 1024.0), "3 MiB||");
        assert_eq!(render("{{value.duration}}", 150.0), "2m30s");
        assert_eq!(render("{{value}}", 12345.678), "12346");
    }

    #[test]
    fn unknown_placeholders_are_refused() {
        assert!(Template::parse("{{value").unwrap_err().contains("without"));
        assert!(Template::parse("{{if x}}").unwrap_err().contains("not a placeholder"));
        assert!(Template::parse("{{labels.}}").is_err());
    }

    proptest::proptest! {
        #[test]
        fn l10_any_text_parses_or_is_refused(text in ".{0,80}") {
            let _ = Template::parse(&text);
        }
    }
}
