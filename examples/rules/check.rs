//! `check`.

use std::error::Error;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use itom::alert::prometheus::{FileError, FileOptions, RuleFile};
use itom::metrics::MemorySeries;
use itom::metrics::eval::EngineOptions;
use itom::promql::PromQl;

use crate::Reading;

/// The exit code: 1 when a file is not a good rule file, 3 when files are good and not clean and that is to be fatal.
pub(crate) fn run(
    files: &[PathBuf],
    reading: &Reading,
    lint: bool,
    fatal: bool,
) -> Result<i32, Box<dyn Error>> {
    let language =
        PromQl::with(Arc::new(MemorySeries::new()), EngineOptions::default(), reading.parse_options());
    let (mut bad, mut unclean) = (false, false);
    let stdin = [PathBuf::from("-")];
    for path in if files.is_empty() { &stdin } else { files } {
        let name =
            if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
        println!("Checking {name}");
        match check(path, &name, &language, reading.file_options()) {
            Err(errors) => {
                bad = true;
                println!("  FAILED:");
                for error in errors {
                    println!("{error}");
                }
            }
            Ok(file) => {
                let duplicates = if lint { RuleFile::duplicates([&file]) } else { Vec::new() };
                if duplicates.is_empty() {
                    println!("  SUCCESS: {} rules found", file.rule_count());
                } else {
                    unclean = true;
                    println!("  FAILED:\n{} duplicate rule(s) found.", duplicates.len());
                    for (name, labels) in duplicates {
                        let labels: Vec<String> =
                            labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
                        println!("rule: {name}{{{}}}", labels.join(", "));
                    }
                    println!("They may give the same series, or the same alert, twice.");
                }
            }
        }
        println!();
    }
    Ok(if bad {
        1
    } else if unclean && fatal {
        3
    } else {
        0
    })
}

fn check(
    path: &Path,
    name: &str,
    language: &PromQl,
    options: FileOptions,
) -> Result<RuleFile, Vec<FileError>> {
    let read = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    let text = read.map_err(|error| vec![FileError::of_file(name, format!("it cannot be read: {error}"))])?;
    RuleFile::parse(&text, name, language, options)
}
