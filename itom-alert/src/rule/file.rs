//! Rules as JSON: `{"rules": [..]}` or a bare list.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Rule, RuleError};

/// Longer texts are refused.
pub const MAX_RULES_BYTES: usize = 4 * 1024 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rules: Vec<Rule>,
}

#[derive(Serialize)]
struct FileRef<'a> {
    rules: &'a [Rule],
}

/// Reads rules: `{"rules": [..]}` or a bare list of rules. Names must be unique. The rules are not compiled yet.
///
/// # Errors
/// [`RuleError::Json`] with line and column, [`RuleError::Duplicate`], [`RuleError::TooLarge`].
pub fn parse_rules(json: &str) -> Result<Vec<Rule>, RuleError> {
    if json.len() > MAX_RULES_BYTES {
        return Err(RuleError::TooLarge { len: json.len(), max: MAX_RULES_BYTES });
    }
    let refuse = |error: serde_json::Error| {
        let (line, column) = (error.line(), error.column());
        let reason = error.to_string();
        let place = format!(" at line {line} column {column}");
        let reason = reason.strip_suffix(&place).unwrap_or(&reason).chars().take(400).collect();
        RuleError::Json { line, column, reason }
    };
    let rules = if json.trim_start().starts_with('[') {
        serde_json::from_str::<Vec<Rule>>(json).map_err(refuse)?
    } else {
        serde_json::from_str::<File>(json).map_err(refuse)?.rules
    };
    let mut names = BTreeSet::new();
    for rule in &rules {
        if !names.insert(rule.name.clone()) {
            return Err(RuleError::Duplicate { rule: rule.name.chars().take(200).collect() });
        }
    }
    Ok(rules)
}

/// Writes rules in the form [`parse_rules`] reads.
///
/// # Errors
/// [`RuleError::Json`] when a rule holds what JSON cannot say (infinite limits).
pub fn rules_to_json(rules: &[Rule]) -> Result<String, RuleError> {
    let refuse = |reason: String| RuleError::Json { line: 0, column: 0, reason };
    let text = serde_json::to_string_pretty(&FileRef { rules }).map_err(|error| refuse(error.to_string()))?;
    // serde_json writes non-finite numbers as null, silently: say so instead of losing a limit.
    match parse_rules(&text) {
        Ok(again) if again == rules => Ok(text),
        Ok(_) | Err(_) => Err(refuse("a rule does not survive JSON: are all limits finite?".into())),
    }
}
