//! Expositions of real exporters and the parser suite of OpenMetrics.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use itom_core::{Labels, SampleValue, Timestamp};
use itom_metrics::exposition::{
    Family, FamilyKind, Format, Limits, ScrapeOptions, Scraper, families, families_strict,
};
use itom_metrics::{Samples as _, SeriesStore, StoreConfig};

fn data() -> Option<PathBuf> {
    let data = std::env::var_os("ITOM_CONFORMANCE_DATA").map(PathBuf::from);
    let folder = data
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"))
        .join("expositions");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: {} is not there", folder.display());
    None
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

fn named(folder: &Path, extension: &str) -> Vec<PathBuf> {
    files(folder).into_iter().filter(|file| file.extension().is_some_and(|have| have == extension)).collect()
}

fn read(file: &Path, format: Format) -> Vec<Family> {
    let bytes = std::fs::read(file).unwrap();
    families(&bytes, format, &Limits::default()).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[test]
fn conformance_expositions_openmetrics_verdicts() {
    let Some(data) = data() else { return };
    let mut wrong = Vec::new();
    let mut count = 0;
    for case in files(&data.join("openmetrics/parsers")) {
        let about: serde_json::Value =
            serde_json::from_slice(&std::fs::read(case.join("test.json")).unwrap()).unwrap();
        let bytes = std::fs::read(case.join(about["file"].as_str().unwrap())).unwrap();
        let expected = about["shouldParse"].as_bool().unwrap();
        let found = families_strict(&bytes, Format::OpenMetrics, &Limits::default());
        count += 1;
        if found.is_ok() != expected {
            wrong.push(format!("{}: {:?}", case.display(), found.err()));
        }
    }
    println!("{count} cases");
    assert!(
        count > 100 && wrong.is_empty(),
        "{} of {count} verdicts differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn conformance_expositions_of_real_exporters_are_read() {
    let Some(data) = data() else { return };
    let all = named(&data.join("exporters"), "prom");
    assert!(all.len() >= 20);
    for file in all {
        let found = read(&file, Format::Text);
        let samples: usize = found.iter().map(|family| family.samples.len()).sum();
        let text = std::fs::read_to_string(&file).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()).count();
        assert_eq!(samples, lines, "{}", file.display());
        println!("{}: {} families, {samples} samples", file.display(), found.len());
    }
}

#[test]
fn conformance_expositions_of_client_python() {
    let Some(data) = data() else { return };
    let open = std::fs::read(data.join("client_python/all.om")).unwrap();
    let open = families_strict(&open, Format::OpenMetrics, &Limits::default()).unwrap();
    let kinds: Vec<_> =
        open.iter().map(|family| (family.name.as_str(), family.kind, family.unit.as_str())).collect();
    assert_eq!(
        kinds,
        [
            ("http_requests", FamilyKind::Counter, ""),
            ("temp_celsius", FamilyKind::Gauge, "celsius"),
            ("inf_g", FamilyKind::Gauge, ""),
            ("req_seconds", FamilyKind::Histogram, "seconds"),
            ("sz_bytes", FamilyKind::Summary, "bytes"),
            ("build", FamilyKind::Info, ""),
            ("state", FamilyKind::StateSet, ""),
        ]
    );
    assert_eq!(open[0].help.as_str(), "Requests\nmulti \"line\" \\ help");
    assert_eq!(open[0].samples[0].labels.get("path"), Some("/a\"b\\c\nd"));
    let exemplar = &open[3].samples[0].exemplars[0];
    assert_eq!(exemplar.labels.to_string(), r#"{span_id="é",trace_id="abc"}"#);
    assert_eq!((exemplar.value, exemplar.at), (0.05, Some(1_795_333_066_721)));
    // The older format says the same, but for exemplars.
    let samples = |families: &[Family]| -> Vec<(String, Labels, u64)> {
        let samples = families.iter().flat_map(|family| &family.samples);
        let bits = |value: &SampleValue| value.as_float().unwrap().to_bits();
        let mut all: Vec<_> =
            samples.map(|one| (one.name.to_string(), one.labels.clone(), bits(&one.value))).collect();
        all.sort();
        all
    };
    assert_eq!(samples(&open), samples(&read(&data.join("client_python/all.prom"), Format::Text)));
}

#[test]
fn conformance_expositions_created_lines_of_client_python_are_starts() {
    use itom_metrics::{LabelMatcher, Queryable as _, SelectHints, TimeRange};
    let Some(data) = data() else { return };
    let body = std::fs::read(data.join("client_python/all.om")).unwrap();
    let at = Timestamp::from_secs(1_795_333_100);
    let series = |options: ScrapeOptions| {
        let store = SeriesStore::new(StoreConfig::default());
        let mut scraper = Scraper::new(Labels::empty(), options);
        let report = scraper.store(&store, at, Duration::from_millis(3), Format::OpenMetrics, &body);
        assert!(report.is_up() && report.bad_starts == 0, "{report:?}");
        let of_itself = LabelMatcher::new("__name__", itom_core::MatchOp::NotRegex, "up|scrape_.*").unwrap();
        let range = TimeRange { from: i64::MIN, to: i64::MAX };
        let found = store.select(&[of_itself], range, &SelectHints::default()).unwrap();
        let start = |points: &itom_metrics::Points| points.float_starts.first().copied().unwrap_or(0);
        let named = found.iter().map(|one| (one.labels.metric().to_owned(), start(&one.samples)));
        named.collect::<Vec<(String, i64)>>()
    };
    let (with, without) =
        (series(ScrapeOptions::default().created_timestamps(true)), series(ScrapeOptions::default()));
    assert_eq!(with.len() + 3, without.len(), "one counter, one histogram and one summary say it");
    assert!(without.iter().all(|one| one.1 == 0));
    for (name, start) in with {
        let said = match name.split('_').next() {
            // All within a millisecond.
            Some("http" | "req" | "sz") => 1_795_333_066_721,
            _ => 0,
        };
        assert_eq!(start, said, "{name}");
    }
}

/// Everything that both formats say, with bounds in one spelling.
fn content(families: &[Family]) -> BTreeMap<(String, String), Vec<Labels>> {
    let mut all: BTreeMap<(String, String), Vec<Labels>> = BTreeMap::new();
    for family in families {
        let word = family.kind.as_str();
        for sample in &family.samples {
            let mut labels = sample.labels.to_builder();
            for bound in ["le", "quantile"] {
                if let Some(value) = sample.labels.get(bound).and_then(|text| text.parse::<f64>().ok()) {
                    labels = labels.set(itom_core::LabelName::new(bound).unwrap(), value.to_string());
                }
            }
            let name = (sample.name.to_string(), word.to_owned());
            all.entry(name).or_default().push(labels.build());
        }
    }
    all.values_mut().for_each(|labels| labels.sort());
    all
}

#[test]
fn conformance_expositions_text_and_messages_agree() {
    let Some(data) = data() else { return };
    let mut compared = 0;
    for file in named(&data.join("exporters"), "pb") {
        let text = file.with_extension("prom");
        if !text.exists() {
            continue;
        }
        let (messages, text) = (read(&file, Format::Protobuf), read(&text, Format::Text));
        let (messages, text) = (content(&messages), content(&text));
        // Two recordings, a moment apart: their values differ, and a few series come or go with what was done between.
        let (mut both, mut one) = (0, Vec::new());
        for (name, labels) in &text {
            match messages.get(name) {
                Some(other) => both += labels.iter().filter(|label| other.contains(label)).count(),
                None => one.push(name),
            }
        }
        let (in_text, in_messages): (usize, usize) =
            (text.values().map(Vec::len).sum(), messages.values().map(Vec::len).sum());
        println!("{}: {both} series in both, {in_text} in text, {in_messages} in messages", file.display());
        let least = in_text.min(in_messages);
        assert!(
            both * 100 >= least * 98,
            "{}: only {both} of {least}; only in text: {one:?}",
            file.display()
        );
        compared += 1;
    }
    assert!(compared >= 15, "{compared}");
}

/// The same exposition scraped twice through each format: everything is stored, nothing is refused.
#[test]
fn conformance_expositions_are_stored_whole() {
    let Some(data) = data() else { return };
    let folder = data.join("exporters");
    let texts = named(&folder, "prom").into_iter().map(|file| (file, Format::Text));
    for (file, format) in texts.chain(named(&folder, "pb").into_iter().map(|file| (file, Format::Protobuf))) {
        let store = SeriesStore::new(StoreConfig::default());
        let target = Labels::from_pairs([("job", "test"), ("instance", "test:1")]).unwrap();
        let options = ScrapeOptions::default().honor_timestamps(false);
        let mut scraper = Scraper::new(target, options);
        let bytes = std::fs::read(&file).unwrap();
        let mut series = 0;
        for number in 0..3_i64 {
            let at = Timestamp::from_secs(1_700_000_000 + 15 * number);
            let report = scraper.store(&store, at, Duration::from_millis(3), format, &bytes);
            assert!(report.is_up(), "{}: {:?}", file.display(), report.failure);
            assert_eq!(report.appended.refused_total(), 0, "{}: {:?}", file.display(), report.appended);
            assert_eq!(report.series_ended, 0);
            assert_eq!(
                report.series_added,
                if number == 0 { report.scraped } else { 0 },
                "{}",
                file.display()
            );
            series = report.scraped as u64 + 5;
        }
        assert_eq!((store.stats().series, store.stats().samples), (series, 3 * series), "{}", file.display());
    }
}
