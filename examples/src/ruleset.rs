//! Rule sets as files.

use std::error::Error;
use std::path::Path;

use itom::cmdb::ruleset::RuleSet;

/// A rule set from a file (JSON if it begins with a brace, else YAML); the default pack without one.
///
/// # Errors
/// When the file cannot be read or is no rule set: with its name, the place and the reason.
pub fn load(file: Option<&Path>) -> Result<RuleSet, Box<dyn Error>> {
    let Some(file) = file else { return Ok(RuleSet::default_pack()) };
    let name = file.display().to_string();
    let bytes = std::fs::read(file).map_err(|error| format!("{name}: {error}"))?;
    if bytes.trim_ascii_start().starts_with(b"{") {
        return Ok(RuleSet::from_json(&name, &bytes)?);
    }
    let text = String::from_utf8(bytes).map_err(|error| format!("{name}: {error}"))?;
    Ok(RuleSet::from_yaml(&name, &text)?)
}
