//! Reading rule sets: what is wrong is refused with its place.

use itom_core::{Classify, ErrorKind, Text};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::RuleSet;

/// Most bytes of a file.
const MAX_FILE: usize = 16 << 20;

/// Why a rule set is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {path}: {reason}")]
#[non_exhaustive]
pub struct RuleSetError {
    /// The file, as the caller named it.
    pub file: Text,
    /// The place in it, as a path of names (`kinds.host.attributes.os.type`); `line L column C` when it cannot even be
    /// read as data.
    pub path: String,
    /// What is wrong there.
    pub reason: String,
}

impl Classify for RuleSetError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

impl RuleSetError {
    pub(super) fn new(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { file: Text::literal("rule set"), path: path.into(), reason: reason.into() }
    }

    fn named(self, file: &str) -> Self {
        Self { file: file.into(), ..self }
    }
}

impl RuleSet {
    /// Reads and [checks](Self::check) a rule set from JSON. `file` is named in errors.
    ///
    /// # Errors
    /// [`RuleSetError`] with the place and the reason.
    pub fn from_json(file: &str, text: &[u8]) -> Result<Self, RuleSetError> {
        let read = || {
            if text.len() > MAX_FILE {
                return Err(RuleSetError::new("(whole file)", too_long(text.len())));
            }
            let value: Value = serde_json::from_slice(text).map_err(|error| {
                RuleSetError::new(
                    format!("line {} column {}", error.line(), error.column()),
                    error.to_string(),
                )
            })?;
            from_value(value)
        };
        read().map_err(|error| error.named(file))
    }

    /// Reads and [checks](Self::check) a rule set from YAML. `file` is named in errors.
    ///
    /// # Errors
    /// [`RuleSetError`] with the place and the reason.
    #[cfg(feature = "policy")]
    pub fn from_yaml(file: &str, text: &str) -> Result<Self, RuleSetError> {
        let read = || {
            if text.len() > MAX_FILE {
                return Err(RuleSetError::new("(whole file)", too_long(text.len())));
            }
            let value: Value = serde_saphyr::from_str(text).map_err(|error| {
                let place = error
                    .location()
                    .map(|at| format!("line {} column {}", at.line(), at.column()))
                    .unwrap_or_else(|| "(whole file)".to_owned());
                RuleSetError::new(place, error.to_string())
            })?;
            from_value(value)
        };
        read().map_err(|error| error.named(file))
    }

    /// The set as JSON, in its canonical form.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Maps with names as keys cannot fail to serialize.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

fn too_long(len: usize) -> String {
    format!("{len} bytes are more than a rule set may have ({MAX_FILE})")
}

fn read<T: DeserializeOwned>(path: &str, value: Value) -> Result<T, RuleSetError> {
    serde_json::from_value(value).map_err(|error| RuleSetError::new(path, error.to_string()))
}

fn object(path: &str, value: Value) -> Result<Map<String, Value>, RuleSetError> {
    match value {
        Value::Object(map) => Ok(map),
        other => Err(RuleSetError::new(path, format!("expected named fields, found {}", shape(&other)))),
    }
}

const fn shape(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "named fields",
    }
}

/// Reads entry by entry, so that an error names its entry.
fn from_value(value: Value) -> Result<RuleSet, RuleSetError> {
    let mut fields = object("(whole file)", value)?;
    let mut rules = RuleSet::new("", "");
    for (field, maps) in [("kinds", true), ("relations", false)] {
        for (name, value) in object(field, fields.remove(field).unwrap_or_else(|| Map::new().into()))? {
            let path = format!("{field}.{name}");
            if maps {
                let kind = read(&path, Value::String(name))?;
                let mut entry = object(&path, value)?;
                let attributes = entry.remove("attributes").unwrap_or_else(|| Map::new().into());
                let mut rule: super::KindRule = read(&path, entry.into())?;
                for (name, value) in object(&format!("{path}.attributes"), attributes)? {
                    let path = format!("{path}.attributes.{name}");
                    rule.attributes.insert(read(&path, Value::String(name))?, read(&path, value)?);
                }
                rules.kinds.insert(kind, rule);
            } else {
                rules.relations.insert(read(&path, Value::String(name))?, read(&path, value)?);
            }
        }
    }
    if let Some(identity) = fields.remove("identity") {
        let mut entry = object("identity", identity)?;
        for field in ["keys", "kinds"] {
            let names = entry.get(field).and_then(Value::as_object).into_iter().flatten();
            for (name, value) in names {
                let path = format!("identity.{field}.{name}");
                if field == "keys" {
                    read::<crate::identity::KeyRule>(&path, value.clone())?;
                } else {
                    read::<crate::identity::KindIdentity>(&path, value.clone())?;
                }
            }
        }
        let entry = std::mem::take(&mut entry);
        rules.identity = read("identity", entry.into())?;
    }
    if let Some(precedence) = fields.remove("precedence") {
        let list: Vec<Value> = read("precedence", precedence)?;
        for (at, value) in list.into_iter().enumerate() {
            rules.precedence.push(read(&format!("precedence.{at}"), value)?);
        }
    }
    for (field, value) in fields {
        match field.as_str() {
            "name" => rules.name = read(&field, value)?,
            "version" => rules.version = read(&field, value)?,
            "default_lease" => rules.default_lease = read(&field, value)?,
            "source_leases" => {
                for (name, value) in object(&field, value)? {
                    let path = format!("{field}.{name}");
                    rules.source_leases.insert(read(&path, Value::String(name))?, read(&path, value)?);
                }
            }
            "relation_lease" => rules.relation_lease = read(&field, value)?,
            "mass_percent" => rules.mass_percent = read(&field, value)?,
            "mass_floor" => rules.mass_floor = read(&field, value)?,
            _ => return Err(RuleSetError::new(field, "there is no such field in a rule set")),
        }
    }
    rules.check()?;
    Ok(rules)
}
