//! Tests and rules from the disk.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use itom_alert::prometheus::{FileError, MAX_FILE_BYTES, UnitFile};
use itom_core::Text;

use super::glob::glob;
use super::{RuleTestOptions, RuleTests, read_rules};

impl RuleTests {
    /// Reads a file of tests and the rule files it names, which are relative to it.
    ///
    /// # Errors
    /// Everything that is wrong in any of the files, with its place.
    pub fn open(path: impl AsRef<Path>, options: RuleTestOptions) -> Result<Self, Vec<FileError>> {
        let path = path.as_ref();
        let name = Text::from(path.display().to_string());
        let text = read(path)?;
        let unit = UnitFile::parse(&text, name.clone(), options.files.ignore_unknown_fields)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let (mut rules, mut errors, mut unmatched) = (Vec::new(), Vec::new(), Vec::new());
        // Without tests no rules are loaded, good or bad: that is promtool's verdict.
        let patterns = if unit.tests.is_empty() { &[] } else { unit.rule_files.as_slice() };
        for pattern in patterns.iter().filter(|pattern| !pattern.is_empty()) {
            let Ok(files) = glob(&folder.join(pattern)) else {
                errors
                    .push(FileError::of_file(name.clone(), format!("rule_files: {pattern:?} is no pattern")));
                continue;
            };
            if files.is_empty() {
                unmatched.push(Text::from(pattern.as_str()));
            }
            for file in files {
                let read =
                    read(&file).and_then(|text| read_rules(&text, &file.display().to_string(), &options));
                match read {
                    Ok(file) => rules.push(file),
                    Err(wrong) => errors.extend(wrong),
                }
            }
        }
        if errors.is_empty() { Ok(Self { unit, rules, options, unmatched }) } else { Err(errors) }
    }
}

/// Reads a text, no more of it than files may have.
fn read(path: &Path) -> Result<String, Vec<FileError>> {
    let wrong = |error: std::io::Error| {
        vec![FileError::of_file(path.display().to_string(), format!("it cannot be read: {error}"))]
    };
    let file = fs::File::open(path).map_err(wrong)?;
    let mut text = String::new();
    // One more, so that a longer one is seen to be longer.
    file.take(MAX_FILE_BYTES as u64 + 1).read_to_string(&mut text).map_err(wrong)?;
    Ok(text)
}
