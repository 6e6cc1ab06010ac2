//! Rule files and unit tests that nobody here wrote, judged as promtool judges them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use itom::alert::prometheus::{Expansion, FileOptions, RuleFile};
use itom::core::{Labels, SampleValue, Timestamp};
use itom::metrics::MemorySeries;
use itom::metrics::eval::EngineOptions;
use itom::metrics::promql::ParseOptions;
use itom::promql::PromQl;
use itom::ruletest::{RuleTestOptions, RuleTests};

/// Where the rule files are, if they are.
fn data() -> Option<PathBuf> {
    let data = std::env::var_os("ITOM_CONFORMANCE_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let folder = data.join("rules");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: there are no rule files in {}", folder.display());
    None
}

/// The YAML files of a folder and those below it, sorted.
fn yaml(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml") {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no files in {}", folder.display());
    found
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn language(parse: ParseOptions) -> PromQl {
    PromQl::with(Arc::new(MemorySeries::new()), EngineOptions::default(), parse)
}

/// Why `check` refuses a file.
fn checked(path: &Path, parse: ParseOptions, options: FileOptions) -> Result<RuleFile, String> {
    let text = std::fs::read_to_string(path).expect("a readable file");
    RuleFile::parse(&text, name(path), &language(parse), options)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

/// Why `test` refuses a file or what fails in it.
fn tested(path: &Path, options: RuleTestOptions) -> Result<(), String> {
    let lines = |errors: Vec<itom::alert::prometheus::FileError>| {
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let tests = RuleTests::open(path, options).map_err(lines)?;
    let reports = tests.run();
    let failures: Vec<String> = reports
        .iter()
        .flat_map(|report| report.failures.iter().map(|failure| format!("{}: {failure}", report.name)))
        .collect();
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

/// What promtool says: whether `promtool COMMAND rules FILE` succeeds. `None` where it is not installed.
fn promtool(command: &str, path: &Path) -> Option<bool> {
    let output = Command::new("promtool").args([command, "rules"]).arg(path).output().ok()?;
    Some(output.status.success())
}

/// Judgements of promtool 2.42 that later versions do not share, with the reason.
fn changed_since() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("check utf-8_annotation.good.yaml", "names are any UTF-8 since 3.0"),
        ("check utf-8_lname.good.yaml", "names are any UTF-8 since 3.0"),
        (
            "check legacy_validation_annotation.bad.yaml",
            "names are any UTF-8 since 3.0, unless asked otherwise",
        ),
        (
            "test no-test-group-interval.yml",
            "a test without an interval has the evaluation interval since 2.46",
        ),
        ("test unittest.yml", "histograms in tests came with 2.45"),
        ("test start-time-test.yml", "start_timestamp came with 3.9"),
    ])
}

/// Compares a verdict with that of an installed promtool, as far as that one is not too old for the file.
fn agrees(command: &str, path: &Path, good: bool) {
    let Some(theirs) = promtool(command, path) else { return };
    let case = format!("{command} {}", name(path));
    match changed_since().get(case.as_str()) {
        Some(reason) => println!("{case}: promtool says {theirs}, we say {good}: {reason}"),
        None => assert_eq!(good, theirs, "{}: promtool disagrees", case),
    }
}

#[test]
fn conformance_rule_files_published_load_and_their_templates_render() {
    let Some(data) = data() else { return };
    let language = Arc::new(language(ParseOptions::STABLE));
    let expansion = Expansion::new(language, Timestamp::from_secs(1_700_000_000));
    let labels = [
        ("instance", "web-1:9100"),
        ("job", "node"),
        ("device", "sda"),
        ("mountpoint", "/"),
        ("name", "thing"),
        ("namespace", "shop"),
        ("pod", "cart-0"),
        ("state", "failed"),
        ("severity", "warning"),
    ];
    let labels = Labels::from_pairs(labels).expect("good labels");
    let (mut files, mut rules, mut templates) = (0, 0, 0);
    for path in yaml(&data.join("published")) {
        let file = checked(&path, ParseOptions::STABLE, FileOptions::default())
            .unwrap_or_else(|errors| panic!("{}:\n{errors}", path.display()));
        agrees("check", &path, true);
        (files, rules) = (files + 1, rules + file.rule_count());
        for rule in file.groups.iter().flat_map(|group| &group.rules) {
            let Some(alerting) = rule.alerting() else { continue };
            for template in alerting.labels.values().chain(alerting.annotations.values()) {
                for value in [0.0, 97.53, -1.0, 1_700_000_000.0] {
                    let text = template.expand(&expansion, &labels, &SampleValue::Float(value));
                    let wrong =
                        ["error expanding", "<no value>", "{{"].iter().any(|sign| text.contains(sign));
                    assert!(!wrong, "{}: {}: {text}", path.display(), rule.name);
                }
                templates += 1;
            }
        }
    }
    println!("{files} files, {rules} rules, {templates} templates");
    assert!(files >= 64 && rules > 500, "{files} files with {rules} rules");
}

#[test]
fn conformance_rule_files_of_rulefmt_get_promtools_verdict() {
    let Some(data) = data() else { return };
    let mut bad_ones = 0;
    for path in yaml(&data.join("rulefmt")) {
        let file = name(&path);
        let legacy = file.starts_with("legacy_validation");
        let mut options = FileOptions::default();
        options.legacy_names = legacy;
        let verdict = checked(&path, ParseOptions::STABLE, options);
        assert_eq!(verdict.is_err(), file.contains(".bad."), "{file}: {verdict:?}");
        if let Err(reason) = &verdict {
            assert!(reason.contains(&format!("{file}:")) && has_place(reason), "{file}: {reason}");
            bad_ones += 1;
        }
        agrees("check", &path, verdict.is_ok());
    }
    assert!(bad_ones >= 10, "{bad_ones} bad files");
}

/// `FILE:LINE:COLUMN:` stands in front.
fn has_place(reason: &str) -> bool {
    let mut parts = reason.split(':').skip(1);
    let mut number = || parts.next().is_some_and(|part| part.parse::<u64>().is_ok());
    number() && number()
}

#[test]
fn conformance_rule_files_of_promtool_get_its_verdict() {
    let Some(data) = data() else { return };
    // What later promtools say of the files that 2.42 knows nothing of, from the tests they belong to.
    let bad_checks = [
        "bad-rules-syntax.yml",
        "rules-bad.yml",
        "rules_extrafields.yml",
        // Its rules need feature flags.
        "features.yml",
    ];
    let bad_tests = [
        "bad-input-series.yml",
        "bad-promql.yml",
        "bad-rules-error-test.yml",
        "bad-rules-syntax-test.yml",
        "failing.yml",
        "rules_run.yml",
        "rules_run_extrafields.yml",
        "rules_run_fuzzy.yml",
        "rules_run_no_fuzzy.yml",
    ];
    let (mut checks, mut tests) = (0, 0);
    for path in yaml(&data.join("promtool")) {
        let file = name(&path);
        let text = std::fs::read_to_string(&path).expect("a readable file");
        let has_rules = text.lines().any(|line| line.starts_with("groups:"));
        let check = checked(&path, ParseOptions::STABLE, FileOptions::default());
        let test = tested(&path, RuleTestOptions::default());
        agrees("check", &path, check.is_ok());
        agrees("test", &path, test.is_ok());
        if has_rules {
            assert_eq!(check.is_err(), bad_checks.contains(&file.as_str()), "check {file}: {check:?}");
            assert!(test.is_err(), "{file} has no tests");
            checks += 1;
        } else {
            assert_eq!(test.is_err(), bad_tests.contains(&file.as_str()), "test {file}: {test:?}");
            assert!(check.is_err(), "{file} has no rules");
            tests += 1;
        }
        if let Err(reason) = check {
            assert!(has_place(&reason), "{file}: {reason}");
        }
    }
    let folder = data.join("promtool");
    let experimental =
        checked(&folder.join("features.yml"), ParseOptions::EXPERIMENTAL, FileOptions::default());
    assert!(experimental.is_ok(), "{experimental:?}");
    let mut lenient = RuleTestOptions::default();
    lenient.files.ignore_unknown_fields = true;
    let verdict = tested(&folder.join("rules_run_extrafields.yml"), lenient.clone());
    assert_eq!(verdict, Ok(()));
    let bad_series = tested(&folder.join("bad-input-series.yml"), lenient).expect_err("a brace is missing");
    assert!(bad_series.contains("input series"), "{bad_series}");
    println!("{checks} rule files, {tests} files of tests");
    assert!(checks >= 10 && tests >= 14, "{checks} rule files, {tests} files of tests");
}

/// Rules that are there twice are said, and are no mistake.
#[test]
fn conformance_rule_files_with_duplicates() {
    let Some(data) = data() else { return };
    for (file, wanted) in [
        ("promtool/rules_duplicates.yml", 1),
        ("promtool/prometheus-rules.lint.yml", 1),
        ("promtool/rules.yml", 0),
        ("rulefmt/test_aliases.yaml", 2),
    ] {
        let read =
            checked(&data.join(file), ParseOptions::STABLE, FileOptions::default()).expect("it is good");
        assert_eq!(RuleFile::duplicates([&read]).len(), wanted, "{file}");
    }
}
