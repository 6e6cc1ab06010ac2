//! `test`.

use std::error::Error;
use std::path::PathBuf;

use itom::ruletest::{RuleTestOptions, RuleTests};

use crate::Reading;

/// The exit code: 1 when a test failed or a file could not be read.
pub(crate) fn run(files: &[PathBuf], reading: &Reading, only: &[String]) -> Result<i32, Box<dyn Error>> {
    let mut options = RuleTestOptions::default();
    (options.files, options.parse) = (reading.file_options(), reading.parse_options());
    let mut all_good = true;
    for path in files {
        let name = path.display();
        println!("Unit Testing: {name}");
        let tests = match RuleTests::open(path, options.clone()) {
            Ok(tests) => tests,
            Err(errors) => {
                all_good = false;
                println!("  FAILED:");
                for error in errors {
                    println!("{error}");
                }
                println!();
                continue;
            }
        };
        for pattern in tests.unmatched() {
            println!("  WARNING: no rule file is {pattern}");
        }
        let reports = tests.run_those(|name| only.is_empty() || only.iter().any(|part| name.contains(part)));
        let failed = reports.iter().filter(|report| !report.failures.is_empty()).count();
        let cases: usize = reports.iter().map(|report| report.cases).sum();
        if failed == 0 {
            println!("  SUCCESS: {} tests, {cases} cases\n", reports.len());
            continue;
        }
        all_good = false;
        println!("  FAILED: {failed} of {} tests", reports.len());
        for report in reports {
            for failure in &report.failures {
                let place = failure.place;
                println!(
                    "{name}:{}:{}: test {:?}: {failure}",
                    place.line,
                    place.column,
                    report.name.as_str()
                );
            }
        }
        println!();
    }
    Ok(i32::from(!all_good))
}
