use std::time::Duration;

use itom_core::{Labels, SampleValue, Timestamp, is_stale_nan};
use proptest::prelude::*;

use super::*;
use crate::{
    LabelMatcher, Queryable as _, Samples as _, SelectHints, SelectedSeries, SeriesStore, StoreConfig,
    TimeRange,
};

const TOOK: Duration = Duration::from_millis(5);

fn target() -> Labels {
    Labels::from_pairs([("job", "j"), ("instance", "i")]).unwrap()
}

pub(crate) fn second(second: i64) -> Timestamp {
    Timestamp::from_secs(1_700_000_000 + second)
}

fn all(store: &SeriesStore, name: &str) -> Vec<SelectedSeries> {
    let matcher = LabelMatcher::equal("__name__", name);
    let range = TimeRange { from: i64::MIN, to: i64::MAX };
    store.select(&[matcher], range, &SelectHints::default()).unwrap()
}

/// Labels and values of all samples of a metric; a staleness marker is `None`.
fn values(store: &SeriesStore, name: &str) -> Vec<(String, Vec<Option<f64>>)> {
    let value = |point: &crate::FloatPoint| (!is_stale_nan(point.v)).then_some(point.v);
    all(store, name)
        .iter()
        .map(|series| (series.labels.to_string(), series.samples.floats.iter().map(value).collect()))
        .collect()
}

fn text(format: Format, text: &str) -> Result<Vec<Family>, String> {
    families(text.as_bytes(), format, &Limits::default()).map_err(|error| error.to_string())
}

#[test]
fn prometheus_text_is_read_with_all_its_liberties() {
    let found = text(
        Format::Text,
        "\n# a comment\n#\n# HELP  a  with\\nlines and \\\\ too\n#TYPE a counter\n  a { b = \"c\\\"d\\\\\" , } \t 3 \t 17 \n\
         a{b=\"é\"} +Inf\n{\"my.metric\",\"a b\"=\"c\"} 1e3\n# TYPE s untyped\ns NaN\nlast 1",
    )
    .unwrap();
    let names: Vec<_> =
        found.iter().map(|family| (family.name.as_str(), family.kind, family.samples.len())).collect();
    assert_eq!(
        names,
        [
            ("a", FamilyKind::Counter, 2),
            ("my.metric", FamilyKind::Unknown, 1),
            ("s", FamilyKind::Unknown, 1),
            ("last", FamilyKind::Unknown, 1)
        ]
    );
    assert_eq!(found[0].help.as_str(), "with\nlines and \\ too");
    assert_eq!(found[0].samples[0].labels.get("b"), Some("c\"d\\"));
    assert_eq!(found[0].samples[0].at, Some(17));
    assert_eq!(found[1].samples[0].labels.to_string(), r#"{"a b"="c"}"#);
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (format, bad, expected) in [
        (Format::Text, "a 1\nb{x=\"1\" y=\"2\"} 1\n", "line 2, column 9"),
        (Format::Text, "a{x=\"1\",x=\"2\"} 1\n", "the label `x` is there twice"),
        (Format::Text, "a 1 1.5\n", "line 1, column 5"),
        (Format::Text, "a x\n", "expected a number, found `x`"),
        (Format::Text, "a{x=\"1\n\"} 1\n", "is never closed"),
        (Format::Text, "# TYPE a meh\n", "`meh` is no type of metric"),
        (Format::Text, "{x=\"1\"} 1\n", "the labels have no metric"),
        (Format::Text, "é 1\n", "line 1, column 1"),
        (Format::OpenMetrics, "a 1\n", "`# EOF`"),
        (Format::OpenMetrics, "a 1\n# EOF\nb 1\n", "line 3, column 1"),
        (Format::OpenMetrics, "a  1\n# EOF\n", "line 1, column 3"),
    ] {
        let error = text(format, bad).unwrap_err();
        assert!(error.contains(expected), "{bad:?}: {error}");
    }
    let error = families(b"a 1\nb{x=\"\xff\"} 1\n", Format::Text, &Limits::default()).unwrap_err();
    assert_eq!(error.to_string(), "line 2, column 6 of the exposition: this is not UTF-8");
}

#[test]
fn limits_are_kept() {
    let long = format!("a{{x=\"{}\"}} 1\n", "y".repeat(100));
    for limits in [
        Limits::default().bytes(10),
        Limits::default().line_bytes(50),
        Limits::default().label_value_bytes(99),
        Limits::default().labels(0),
    ] {
        let error = families(long.as_bytes(), Format::Text, &limits).unwrap_err();
        assert!(matches!(error, ExpositionError::Limit { .. }), "{limits:?}: {error}");
    }
    let a_megabyte = format!("a{{x=\"{}\"}} 1\n", "y".repeat(1 << 20));
    assert!(families(a_megabyte.as_bytes(), Format::Text, &Limits::default()).is_ok());
}

#[test]
fn a_small_message_does_not_become_a_large_one() {
    let label = [field(1, b"x"), field(2, &[b'y'; 10_000])].concat();
    // A cumulative count and a bound: sixteen bytes for which the label is said again.
    let bucket = |n: u8| field(3, &[&[0x08, n, 0x11][..], &f64::from(n).to_le_bytes()].concat());
    let buckets: Vec<u8> = (0..100).flat_map(bucket).collect();
    let metric = [field(1, &label), field(7, &buckets)].concat();
    let family = [field(1, b"a"), vec![0x18, 4], field(4, &metric)].concat();
    // Its length goes before a message: a field without its tag.
    let body = &field(1, &family)[1..];
    let limits = Limits::default();
    assert_eq!(families(body, Format::Protobuf, &limits).expect("it is sound")[0].samples.len(), 103);
    let tight = limits.bytes(200_000);
    let error = families(body, Format::Protobuf, &tight).expect_err("a megabyte written out");
    assert!(matches!(error, ExpositionError::Limit { limit: 200_000, .. }), "{error}");
    let store = SeriesStore::new(StoreConfig::default());
    let mut scraper = Scraper::new(target(), ScrapeOptions::default().limits(tight));
    let report = scraper.store(&store, second(0), TOOK, Format::Protobuf, body);
    assert!(report.failure.is_some(), "{report:?}");
    assert!(store.metrics().iter().all(|metric| metric.name.as_str() != "a_sum"));
}

#[test]
fn a_series_that_vanishes_is_marked_and_one_that_returns_goes_on() {
    let store = SeriesStore::new(StoreConfig::default());
    let mut scraper = Scraper::new(target(), ScrapeOptions::default());
    let mut scrape = |at, body: &str| scraper.store(&store, second(at), TOOK, Format::Text, body.as_bytes());
    let report = scrape(0, "# TYPE a counter\na{x=\"1\"} 1\na{x=\"2\"} 2\nb 5\n");
    assert_eq!((report.scraped, report.series_added, report.series_ended), (3, 3, 0));
    let report = scrape(15, "# TYPE a counter\na{x=\"2\"} 3\nb 6\n");
    assert_eq!((report.scraped, report.series_added, report.series_ended), (2, 0, 1));
    let report = scrape(30, "# TYPE a counter\na{x=\"2\"} 4\na{x=\"1\"} 7\nb 6\n");
    assert_eq!((report.scraped, report.series_added, report.series_ended), (3, 1, 0));
    assert_eq!(
        values(&store, "a"),
        [
            (r#"{__name__="a", instance="i", job="j", x="1"}"#.to_owned(), vec![Some(1.0), None, Some(7.0)]),
            (
                r#"{__name__="a", instance="i", job="j", x="2"}"#.to_owned(),
                vec![Some(2.0), Some(3.0), Some(4.0)]
            ),
        ]
    );
    assert_eq!(values(&store, "scrape_samples_scraped")[0].1, [Some(3.0), Some(2.0), Some(3.0)]);
    assert_eq!(values(&store, "scrape_duration_seconds")[0].1, [Some(0.005); 3]);
    let kinds: Vec<_> = store.metrics().into_iter().map(|info| (info.name.to_string(), info.kind)).collect();
    assert_eq!(kinds[0], ("a".to_owned(), itom_core::SampleKind::Counter));
}

#[test]
fn a_bad_exposition_stores_nothing_and_ends_what_was_there() {
    let store = SeriesStore::new(StoreConfig::default());
    let mut scraper = Scraper::new(target(), ScrapeOptions::default());
    assert!(scraper.store(&store, second(0), TOOK, Format::Text, b"a 1\nb 1\n").is_up());
    let report = scraper.store(&store, second(15), TOOK, Format::Text, b"a 2\nc 2\nb oops\n");
    assert!(!report.is_up());
    let report_third = scraper.store(&store, second(30), TOOK, Format::Text, b"a 3\nb 3\n");
    assert!(report_third.is_up());
    assert_eq!(values(&store, "a")[0].1, [Some(1.0), None, Some(3.0)]);
    assert_eq!(values(&store, "b")[0].1, [Some(1.0), None, Some(3.0)]);
    assert!(values(&store, "c").is_empty());
    assert_eq!(values(&store, "up")[0].1, [Some(1.0), Some(0.0), Some(1.0)]);
    scraper.fail(&store, second(45), TOOK, "connection refused");
    assert_eq!(values(&store, "a")[0].1, [Some(1.0), None, Some(3.0), None]);
    let report = scraper.stop(&store, second(60));
    assert_eq!(report.series_ended, 0, "they have ended before");
    assert_eq!(values(&store, "up")[0].1, [Some(1.0), Some(0.0), Some(1.0), Some(0.0), None]);
}

#[test]
fn labels_of_target_and_exposition_meet_as_in_prometheus() {
    let body = b"a{job=\"own\",exported_job=\"x\",instance=\"\"} 1\n";
    let labels = |options| {
        let store = SeriesStore::new(StoreConfig::default());
        Scraper::new(target(), options).store(&store, second(0), TOOK, Format::Text, body);
        values(&store, "a").remove(0).0
    };
    assert_eq!(
        labels(ScrapeOptions::default()),
        r#"{__name__="a", exported_exported_job="own", exported_job="x", instance="i", job="j"}"#
    );
    assert_eq!(
        labels(ScrapeOptions::default().honor_labels(true)),
        r#"{__name__="a", exported_job="x", job="own"}"#
    );
}

#[test]
fn limits_of_a_target_fail_its_scrape() {
    let body = b"a{x=\"1\"} 1\na{x=\"2\"} 1\n";
    for (options, what) in [
        (ScrapeOptions::default().sample_limit(Some(1)), "samples"),
        (ScrapeOptions::default().label_limit(Some(3)), "labels of a series"),
        (ScrapeOptions::default().label_name_length_limit(Some(2)), "bytes in a label name"),
        (ScrapeOptions::default().label_value_length_limit(Some(0)), "bytes in a label value"),
    ] {
        let store = SeriesStore::new(StoreConfig::default());
        let report = Scraper::new(target(), options).store(&store, second(0), TOOK, Format::Text, body);
        assert!(matches!(report.failure, Some(ScrapeFailure::Limit { what: found, .. }) if found == what));
        assert!(values(&store, "a").is_empty());
        assert_eq!(values(&store, "up")[0].1, [Some(0.0)]);
    }
}

#[test]
fn own_times_are_kept_and_leave_no_marker() {
    let store = SeriesStore::new(StoreConfig::default());
    let mut scraper = Scraper::new(target(), ScrapeOptions::default());
    let at = second(-5).as_millis();
    scraper.store(&store, second(0), TOOK, Format::Text, format!("a 1 {at}\nb 1\n").as_bytes());
    scraper.store(&store, second(15), TOOK, Format::Text, b"");
    assert_eq!(all(&store, "a")[0].samples.floats.iter().map(|point| point.t).collect::<Vec<_>>(), [at]);
    assert_eq!(values(&store, "b")[0].1, [Some(1.0), None]);
    let mut ignoring = Scraper::new(target(), ScrapeOptions::default().honor_timestamps(false));
    ignoring.store(&store, second(30), TOOK, Format::Text, format!("c 1 {at}\n").as_bytes());
    assert_eq!(all(&store, "c")[0].samples.floats[0].t, second(30).as_millis());
}

#[test]
fn exemplars_and_descriptions_reach_the_store() {
    let store = SeriesStore::new(StoreConfig::default());
    let mut scraper = Scraper::new(target(), ScrapeOptions::default());
    let body = b"# TYPE h histogram\n# UNIT h seconds\n# HELP h How long\nh_bucket{le=\"1\"} 1 # {trace_id=\"t\"} 0.5 1700000000.5\nh_bucket{le=\"+Inf\"} 2\n# EOF\n";
    assert!(scraper.store(&store, second(0), TOOK, Format::OpenMetrics, body).is_up());
    assert!(scraper.store(&store, second(15), TOOK, Format::OpenMetrics, body).is_up());
    let found = store.exemplars(&[], itom_core::Interval::ALWAYS).unwrap();
    assert_eq!((found.len(), found[0].exemplars.len()), (1, 1));
    assert_eq!(found[0].labels.get("le"), Some("1.0"), "bounds have one spelling");
    assert_eq!(found[0].exemplars[0].at.as_millis(), 1_700_000_000_500);
    let (_, said) = store.metadata(None).remove(0);
    assert_eq!(
        (said.kind.as_str(), said.help.as_str(), said.unit.as_str()),
        ("histogram", "How long", "seconds")
    );
}

/// The bytes of a field with a length.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let key = u16::from(number) << 3 | 2;
    let mut out = if key < 0x80 { vec![key as u8] } else { vec![key as u8 | 0x80, (key >> 7) as u8] };
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend(bytes);
    out
}

fn double(number: u8, value: f64) -> Vec<u8> {
    let mut out = vec![number << 3 | 1];
    out.extend(value.to_le_bytes());
    out
}

#[test]
fn native_histograms_are_read_from_spans_and_deltas() {
    // Schema 1; buckets 0, 1 and 4 with 2, 5 and 4 values; two in the zero bucket.
    let histogram = [
        vec![0x08, 13],
        double(2, 30.5),
        vec![0x28, 2],
        double(6, 0.001),
        vec![0x38, 2],
        field(12, &[0x08, 0, 0x10, 2]),
        field(12, &[0x08, 4, 0x10, 1]),
        field(13, &[4, 6, 1]),
        field(3, &[vec![0x08, 7], double(2, 1.0)].concat()),
        field(16, &[field(1, &[field(1, b"id"), field(2, b"x")].concat()), double(2, 0.7)].concat()),
    ]
    .concat();
    let metric = [field(1, &[field(1, b"code"), field(2, b"200")].concat()), field(7, &histogram)].concat();
    let family = [field(1, b"latency_seconds"), vec![0x18, 4], field(4, &metric)].concat();
    let body = [vec![family.len() as u8], family].concat();

    let found = families(&body, Format::Protobuf, &Limits::default()).unwrap();
    let SampleValue::Histogram(native) = &found[0].samples[0].value else { panic!("a histogram") };
    assert_eq!(native.positive.iter().collect::<Vec<_>>(), [(0, 2.0), (1, 5.0), (4, 4.0)]);
    assert_eq!((native.schema(), native.count, native.sum, native.zero_count), (1, 13.0, 30.5, 2.0));
    assert_eq!(found[0].samples[0].exemplars[0].value, 0.7);

    let store = SeriesStore::new(StoreConfig::default());
    let mut scraper = Scraper::new(target(), ScrapeOptions::default());
    for at in [0, 15] {
        let report = scraper.store(&store, second(at), TOOK, Format::Protobuf, &body);
        assert!(report.is_up(), "{report:?}");
        assert_eq!(report.scraped, 1, "the classic buckets are hidden");
    }
    assert_eq!(all(&store, "latency_seconds")[0].samples.histograms.len(), 2);
    let mut both = Scraper::new(target(), ScrapeOptions::default().always_scrape_classic_histograms(true));
    let report = both.store(&store, second(30), TOOK, Format::Protobuf, &body);
    assert_eq!(report.scraped, 5, "the bucket, +Inf, sum and count");
}

/// One counter in protobuf: seven, with an exemplar, help, and since when it counts.
pub(crate) fn counter_message(created: Timestamp) -> Vec<u8> {
    let mut seconds = vec![0x08];
    let mut left = created.as_millis() / 1_000;
    while left >= 0x80 {
        seconds.push(left as u8 | 0x80);
        left >>= 7;
    }
    seconds.push(left as u8);
    let exemplar = [field(1, &[field(1, b"id"), field(2, b"x")].concat()), double(2, 1.0)].concat();
    let counter = [double(1, 7.0), field(2, &exemplar), field(3, &seconds)].concat();
    let metric = [field(1, &[field(1, b"code"), field(2, b"200")].concat()), field(3, &counter)].concat();
    let family = [field(1, b"jobs_total"), field(2, b"What was done."), field(4, &metric)].concat();
    [vec![family.len() as u8], family].concat()
}

#[test]
fn counters_of_protobuf_tell_since_when_they_count() {
    let store = SeriesStore::new(StoreConfig::default());
    let mut scraper = Scraper::new(target(), ScrapeOptions::default());
    // Started anew between the second scrape and the third.
    for (at, created) in [(0, -100), (15, -100), (30, 20)] {
        let body = counter_message(second(created));
        let report = scraper.store(&store, second(at), TOOK, Format::Protobuf, &body);
        assert!(report.is_up(), "{report:?}");
    }
    let found = &all(&store, "jobs_total")[0].samples;
    let starts = [-100, -100, 20].map(|at| second(at).as_millis());
    assert_eq!(found.float_starts, starts);
}

/// What a scraper without memory would store: each exposition by itself.
fn naively(store: &SeriesStore, bodies: &[String]) {
    let mut last: std::collections::BTreeSet<String> = std::collections::BTreeSet::new();
    for (number, body) in bodies.iter().enumerate() {
        let at = second(15 * number as i64);
        let mut lines: Vec<String> = body.lines().map(|line| format!("{line}\n")).collect();
        let series = |line: &String| line.rsplit_once(' ').map(|(series, _)| series.to_owned());
        let now: std::collections::BTreeSet<String> = lines.iter().filter_map(series).collect();
        lines.extend(last.difference(&now).map(|series| format!("{series} stale\n")));
        for line in lines {
            let (series, value) = line.trim_end().rsplit_once(' ').unwrap();
            let value = match value {
                "stale" => f64::from_bits(itom_core::STALE_NAN_BITS),
                number => number.parse().unwrap(),
            };
            let found = text(Format::Text, &format!("{series} 0\n")).unwrap();
            let labels = target()
                .iter()
                .chain(found[0].samples[0].labels.iter())
                .fold(itom_core::LabelsBuilder::default(), |builder, (name, value)| {
                    builder.set(name.clone(), value.clone())
                });
            let sample = crate::NewSample {
                metric: itom_core::MetricName::new(found[0].name.clone()).unwrap(),
                labels: labels.build(),
                kind: itom_core::SampleKind::Gauge,
                subject: None,
                at,
                value,
            };
            store.append(at, &[sample]);
        }
        last = now;
    }
}

proptest! {
    #[test]
    fn l2_a_scraper_that_remembers_stores_what_one_without_memory_stores(
        scrapes in prop::collection::vec(prop::collection::vec((0..3_u8, 0..6_u8, 0..9_u32), 0..12), 1..7),
    ) {
        let bodies: Vec<String> = scrapes
            .iter()
            .map(|lines| {
                let mut seen = std::collections::BTreeSet::new();
                lines
                    .iter()
                    .filter(|(metric, label, _)| seen.insert((*metric, *label)))
                    .map(|(metric, label, value)| match label {
                        0 => format!("m{metric} {value}\n"),
                        label => format!("m{metric}{{l=\"{label}\"}} {value}\n"),
                    })
                    .collect()
            })
            .collect();
        let (one, other) = (SeriesStore::new(StoreConfig::default()), SeriesStore::new(StoreConfig::default()));
        let mut scraper = Scraper::new(target(), ScrapeOptions::default());
        for (number, body) in bodies.iter().enumerate() {
            let at = second(15 * number as i64);
            prop_assert!(scraper.store(&one, at, TOOK, Format::Text, body.as_bytes()).is_up());
        }
        naively(&other, &bodies);
        for name in ["m0", "m1", "m2"] {
            prop_assert_eq!(values(&one, name), values(&other, name));
        }
    }

    #[test]
    fn l10_any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for format in [Format::Text, Format::OpenMetrics, Format::Protobuf] {
            let _ = families_strict(&bytes, format, &Limits::default());
        }
    }

    #[test]
    fn l10_any_pieces_are_read_or_refused(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "# TYPE a counter\n", "# TYPE a histogram\n", "# HELP a b\\n\n", "# UNIT a s\n", "# EOF\n", "a", "a_total",
                "a_bucket", "{", "}", "le=\"1\"", "x=\"\\", "\"", ",", " ", "1", "NaN", "\n", "\t", "é", "# {", "1e9", "\\",
            ]),
            0..40,
        ),
        format in prop::sample::select(vec![Format::Text, Format::OpenMetrics]),
    ) {
        let body = pieces.concat();
        let read = families(body.as_bytes(), format, &Limits::default());
        let store = SeriesStore::new(StoreConfig::default());
        let mut scraper = Scraper::new(target(), ScrapeOptions::default());
        for at in [0, 15] {
            let report = scraper.store(&store, second(at), TOOK, format, body.as_bytes());
            prop_assert_eq!(report.is_up(), read.is_ok());
        }
        if format == Format::OpenMetrics && families_strict(body.as_bytes(), format, &Limits::default()).is_ok() {
            prop_assert!(read.is_ok());
        }
    }

    #[test]
    fn l10_damaged_messages_are_read_or_refused(at in 0..400_usize, byte in any::<u8>(), length in 0..400_usize) {
        let metric = [field(1, &[field(1, b"a"), field(2, b"b")].concat()), field(3, &double(1, 2.0))].concat();
        let family = [field(1, b"name_total"), field(2, b"help"), field(4, &metric), field(4, &metric)].concat();
        let mut body = [vec![family.len() as u8], family].concat();
        let places = body.len();
        if let Some(place) = body.get_mut(at % places) {
            *place = byte;
        }
        body.truncate(length);
        let _ = families(&body, Format::Protobuf, &Limits::default());
    }
}
