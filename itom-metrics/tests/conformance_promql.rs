//! Prometheus's own corpus of PromQL, as far as it is here.

use std::path::PathBuf;

use itom_metrics::promqltest::Script;

#[test]
fn conformance_promql() {
    let data = std::env::var_os("ITOM_CONFORMANCE_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let folder = data.join("promql/testdata");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped: there is no corpus in {}", folder.display());
        return;
    };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "test"));
    files.sort();
    assert!(!files.is_empty(), "no scripts in {}", folder.display());
    let mut failures = Vec::new();
    for path in files {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let script = Script::parse(&name, &text).unwrap_or_else(|error| panic!("{error}"));
        let reports = script.run();
        let failed: Vec<_> = reports.iter().filter(|report| report.failure.is_some()).collect();
        println!("{name}: {} of {} pass", reports.len() - failed.len(), reports.len());
        for report in failed {
            let why = report.failure.as_deref().unwrap_or_default();
            failures.push(format!("{}:{}: {}: {why}", report.file, report.line, report.query));
        }
    }
    for failure in &failures {
        println!("{failure}");
    }
    assert!(failures.is_empty(), "{} cases fail", failures.len());
}
