//! The rule packs that come with the SDK, tested by their own unit tests: with our runner, and with promtool's where it is
//! installed.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;

use itom::alert::prometheus::{FileOptions, RuleFile, packs};
use itom::metrics::MemorySeries;
use itom::prelude::*;
use itom::promql::PromQl;
use itom::ruletest::{RuleTestOptions, RuleTests};

fn rules(pack: packs::Pack) -> RuleFile {
    let language = PromQl::over(Arc::new(MemorySeries::new()));
    let mut options = FileOptions::default();
    options.legacy_names = true;
    RuleFile::parse(pack.rules(), pack.file(), &language, options)
        .unwrap_or_else(|errors| panic!("{errors:?}"))
}

#[test]
fn every_pack_passes_its_unit_tests() {
    for pack in packs::ALL {
        let file = format!("{}.yml", pack.name());
        let tests = RuleTests::parse(
            format!("{}.test.yml", pack.name()),
            pack.tests(),
            [(file.as_str(), pack.rules())],
            RuleTestOptions::default(),
        )
        .unwrap_or_else(|errors| panic!("{errors:?}"));
        assert!(tests.unmatched().is_empty());
        for report in tests.run() {
            let failures: Vec<String> = report
                .failures
                .iter()
                .map(|failure| format!("{}:{}: {}: {failure}", pack.name(), failure.place.line, report.name))
                .collect();
            assert!(failures.is_empty(), "{}", failures.join("\n"));
        }
    }
}

#[test]
fn every_rule_of_a_pack_is_tested_in_both_directions_and_says_what_to_do() {
    let mut names = BTreeSet::new();
    for pack in packs::ALL {
        let file = rules(pack);
        assert!(RuleFile::duplicates([&file]).is_empty());
        for rule in file.groups.iter().flat_map(|group| &group.rules) {
            assert!(names.insert(rule.name.clone()), "{} is there twice", rule.name);
            let Some(alerting) = rule.alerting() else {
                assert!(pack.tests().contains(&format!("'{}'", rule.name)), "{} is not tested", rule.name);
                continue;
            };
            for what in ["fires", "stays silent"] {
                let test = format!("name: {} {what}\n", rule.name);
                assert!(pack.tests().contains(&test), "no test that {} {what}", rule.name);
            }
            let severity = rule.labels.iter().find(|(name, _)| name.as_str() == "severity");
            let severity = severity.map(|(_, severity)| severity.as_str());
            assert!(matches!(severity, Some("critical" | "warning" | "info")), "{}: {severity:?}", rule.name);
            for annotation in ["summary", "description"] {
                let said = alerting.annotations.iter().find(|(name, _)| name.as_str() == annotation);
                assert!(said.is_some_and(|(_, text)| text.text().len() > 20), "{}: {annotation}", rule.name);
            }
        }
    }
    assert!(names.len() > 35, "{} rules", names.len());
}

#[test]
fn conformance_rule_packs_pass_in_promtool() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../itom-alert/src/prometheus/packs");
    for pack in packs::ALL {
        for (command, file) in
            [("check", format!("{}.yml", pack.name())), ("test", format!("{}.test.yml", pack.name()))]
        {
            let mut promtool = Command::new("promtool");
            promtool.current_dir(&folder).args([command, "rules", file.as_str()]);
            let Ok(output) = promtool.output() else {
                println!("skipped: promtool is not installed");
                return;
            };
            let said = String::from_utf8_lossy(&output.stdout);
            let complained = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{command} {file}: {said}{complained}");
        }
    }
}

#[test]
fn an_engine_takes_all_packs_with_one_call() {
    let engine = Engine::builder().rule_packs(packs::ALL).build().expect("every pack is good");
    let handle = engine.handle();
    futures::executor::block_on(engine.run_once()).expect("one look");
    let groups = handle.rule_groups();
    assert_eq!(groups.len(), 6);
    assert!(groups.iter().all(|group| group.evaluations == 1), "{groups:?}");
}
