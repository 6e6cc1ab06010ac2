//! `promql-test`.

use std::error::Error;
use std::path::PathBuf;

use itom::metrics::promqltest::Script;

/// The exit code: 1 when a case failed or a file could not be read.
pub(crate) fn run(files: &[PathBuf]) -> Result<i32, Box<dyn Error>> {
    let (mut passed, mut failed) = (0_usize, 0_usize);
    for path in files {
        let name = path.display().to_string();
        let script = std::fs::read_to_string(path)
            .map_err(|error| format!("{name}: {error}"))
            .and_then(|text| Script::parse(&name, &text).map_err(|error| error.to_string()));
        match script {
            Ok(script) => {
                for case in script.run() {
                    match case.failure {
                        None => passed += 1,
                        Some(why) => {
                            failed += 1;
                            let why = why.replace('\n', " ");
                            println!("{}:{}: {}: {why}", case.file, case.line, case.query);
                        }
                    }
                }
            }
            Err(error) => {
                failed += 1;
                println!("{error}");
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    Ok(i32::from(failed > 0))
}
