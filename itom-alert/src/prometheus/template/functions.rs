//! Prometheus's template functions.

use std::net::IpAddr;
use std::sync::Arc;

use gotmpl::{FuncMap, TemplateError, Value};

use super::format;
use super::tree::{FIELD, SHOW};

type Answer = Result<Value, TemplateError>;

pub(super) fn fail(reason: impl Into<String>) -> TemplateError {
    TemplateError::Exec(reason.into())
}

fn text(value: impl Into<Arc<str>>) -> Value {
    Value::String(value.into())
}

fn arg(args: &[Value], index: usize) -> Result<&Value, TemplateError> {
    args.get(index)
        .ok_or_else(|| fail(format!("wrong number of args: want at least {}, got {}", index + 1, args.len())))
}

fn string(args: &[Value], index: usize) -> Result<&str, TemplateError> {
    match arg(args, index)? {
        Value::String(text) => Ok(text),
        other => Err(fail(format!("wrong type for value; expected string; got {}", other.type_name()))),
    }
}

fn number(value: &Value) -> Result<f64, TemplateError> {
    match value {
        Value::Float(value) => Ok(*value),
        Value::Int(value) => Ok(*value as f64),
        Value::Uint(value) => Ok(*value as f64),
        Value::String(text) => parse_number(text)
            .ok_or_else(|| fail(format!("strconv.ParseFloat: parsing {text:?}: invalid syntax"))),
        other => Err(fail(format!("can't convert {} to float", other.type_name()))),
    }
}

fn parse_number(text: &str) -> Option<f64> {
    text.parse().ok()
}

fn regex(pattern: &str) -> Result<regex::Regex, TemplateError> {
    regex::RegexBuilder::new(pattern)
        .size_limit(1 << 20)
        .build()
        .map_err(|error| fail(format!("error parsing regexp: {error}")))
}

/// Reads fields as Go does with `missingkey=zero`: what a map of texts does not have is the empty text.
fn field(args: &[Value]) -> Answer {
    let mut value = arg(args, 0)?.clone();
    for name in &args[1..] {
        let Value::String(name) = name else { return Err(fail("a field has a name")) };
        value = match &value {
            Value::Map(map) => match map.get(name.as_ref()) {
                Some(found) => found.clone(),
                None if matches!(map.get("Labels"), Some(Value::Map(_))) => {
                    return Err(fail(format!("can't evaluate field {name}")));
                }
                None if map.values().all(|value| matches!(value, Value::String(_))) => text(""),
                None => Value::Nil,
            },
            Value::Nil => return Err(fail(format!("nil pointer evaluating interface {{}}.{name}"))),
            other => return Err(fail(format!("can't evaluate field {name} in type {}", other.type_name()))),
        };
    }
    Ok(value)
}

fn index(args: &[Value]) -> Answer {
    let mut value = arg(args, 0)?.clone();
    for by in &args[1..] {
        value = match (&value, by) {
            (Value::Map(map), Value::String(name)) if !map.contains_key(name.as_ref()) => {
                if map.values().all(|value| matches!(value, Value::String(_))) {
                    text("")
                } else {
                    Value::Nil
                }
            }
            _ => value.index(by)?,
        };
    }
    Ok(value)
}

/// A value as Go's `%v` writes it.
fn show(value: &Value) -> String {
    match value {
        Value::Float(value) => format::shortest(*value),
        Value::List(list) => format!("[{}]", list.iter().map(show).collect::<Vec<_>>().join(" ")),
        Value::Map(map) => {
            let pairs: Vec<String> =
                map.iter().map(|(name, value)| format!("{name}:{}", show(value))).collect();
            format!("map[{}]", pairs.join(" "))
        }
        other => other.to_string(),
    }
}

/// Go's `print`: spaces between operands when neither is a text; `println`: between all of them.
fn print(args: &[Value], line: bool) -> String {
    let mut out = String::new();
    for (index, value) in args.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|before| args.get(before));
        let is_text = |value: &Value| matches!(value, Value::String(_));
        if before.is_some_and(|before| line || !(is_text(before) || is_text(value))) {
            out.push(' ');
        }
        out.push_str(&show(value));
    }
    if line {
        out.push('\n');
    }
    out
}

/// A sample as templates see it.
fn sample<'a>(value: &'a Value, name: &str) -> Result<&'a Value, TemplateError> {
    value
        .field(name)
        .ok_or_else(|| fail(format!("wrong type for value; expected a sample; got {}", value.type_name())))
}

fn label(args: &[Value], name: &str, at: usize) -> Answer {
    let labels = sample(arg(args, at)?, "Labels")?;
    Ok(labels.field(name).cloned().unwrap_or_else(|| text("")))
}

/// Host and port, where the text has both (`a:1`, `[::1]:1`).
fn split_port(address: &str) -> Option<(&str, &str)> {
    let (host, port) = address.rsplit_once(':')?;
    match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').map(|host| (host, port)),
        None if host.contains([':', '[', ']']) => None,
        None => Some((host, port)),
    }
}

fn strip_domain(address: &str) -> String {
    let (host, port) = split_port(address).unwrap_or((address, ""));
    if host.parse::<IpAddr>().is_ok() {
        return address.to_owned();
    }
    let host = host.split('.').next().unwrap_or(host);
    if port.is_empty() { host.to_owned() } else { format!("{host}:{port}") }
}

fn title(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    let mut before = ' ';
    for found in words.chars() {
        if before.is_alphanumeric() || before == '_' || before == '\'' {
            out.push(found);
        } else {
            out.extend(found.to_uppercase());
        }
        before = found;
    }
    out
}

pub(super) fn query_escape(plain: &str) -> String {
    gotmpl::url_encode(plain).to_string()
}

/// The functions that need nothing but their arguments.
pub(super) fn plain() -> FuncMap {
    let mut map = FuncMap::new();
    let mut add = |name: &str, function: fn(&[Value]) -> Answer| {
        map.insert(name.into(), Arc::new(function));
    };
    add(FIELD, field);
    add(SHOW, |args| {
        Ok(match arg(args, 0)? {
            // The engine writes `<no value>` for it, as Go does.
            Value::Nil => Value::Nil,
            other => text(show(other)),
        })
    });
    add("print", |args| Ok(text(print(args, false))));
    add("println", |args| Ok(text(print(args, true))));
    add("index", index);
    add("first", |args| match arg(args, 0)? {
        Value::List(list) => {
            list.first().cloned().ok_or_else(|| fail("first() called on vector with no elements"))
        }
        other => Err(fail(format!("wrong type for value; expected a vector; got {}", other.type_name()))),
    });
    add("label", |args| label(args, string(args, 0)?, 1));
    add("value", |args| sample(arg(args, 0)?, "Value").cloned());
    add("strvalue", |args| label(args, "__value__", 0));
    add("args", |args| {
        let named =
            args.iter().enumerate().map(|(index, arg)| (Arc::from(format!("arg{index}")), arg.clone()));
        Ok(Value::Map(Arc::new(named.collect())))
    });
    add("sortByLabel", |args| {
        let name = string(args, 0)?;
        let Value::List(list) = arg(args, 1)? else { return Err(fail("sortByLabel() sorts a vector")) };
        let mut sorted = list.to_vec();
        let key = |sample: &Value| {
            let labels = sample.field("Labels");
            labels.and_then(|labels| labels.field(name)).map(ToString::to_string).unwrap_or_default()
        };
        sorted.sort_by_cached_key(key);
        Ok(Value::List(sorted.into()))
    });
    add("reReplaceAll", |args| {
        let pattern = regex(string(args, 0)?)?;
        Ok(text(&*pattern.replace_all(string(args, 2)?, string(args, 1)?)))
    });
    add("match", |args| Ok(Value::Bool(regex(string(args, 0)?)?.is_match(string(args, 1)?))));
    add("title", |args| Ok(text(title(string(args, 0)?))));
    add("toUpper", |args| Ok(text(string(args, 0)?.to_uppercase())));
    add("toLower", |args| Ok(text(string(args, 0)?.to_lowercase())));
    add("stripPort", |args| {
        let address = string(args, 0)?;
        Ok(text(split_port(address).map_or(address, |(host, _)| host)))
    });
    add("stripDomain", |args| Ok(text(strip_domain(string(args, 0)?))));
    add("humanize", |args| Ok(text(format::humanize(number(arg(args, 0)?)?))));
    add("humanize1024", |args| Ok(text(format::humanize1024(number(arg(args, 0)?)?))));
    add("humanizeDuration", |args| Ok(text(format::humanize_duration(number(arg(args, 0)?)?))));
    add("humanizePercentage", |args| {
        Ok(text(format!("{}%", format::four_digits(number(arg(args, 0)?)? * 100.0))))
    });
    add("humanizeTimestamp", |args| {
        let seconds = number(arg(args, 0)?)?;
        let finite = seconds.is_finite();
        Ok(text(if finite { format::time(seconds).map_err(fail)? } else { format::four_digits(seconds) }))
    });
    add("toTime", |args| Ok(text(format::time(number(arg(args, 0)?)?).map_err(fail)?)));
    add("toDuration", |args| Ok(text(format::go_duration(number(arg(args, 0)?)?).map_err(fail)?)));
    add("parseDuration", |args| {
        let span = super::super::duration::model_duration(string(args, 0)?).map_err(fail)?;
        Ok(Value::Float(span.as_secs_f64()))
    });
    add("graphLink", |args| Ok(text(format!("/graph?g0.expr={}&g0.tab=0", query_escape(string(args, 0)?)))));
    add("tableLink", |args| Ok(text(format!("/graph?g0.expr={}&g0.tab=1", query_escape(string(args, 0)?)))));
    add("urlQueryEscape", |args| Ok(text(query_escape(string(args, 0)?))));
    add("safeHtml", |args| Ok(text(string(args, 0)?)));
    map
}
