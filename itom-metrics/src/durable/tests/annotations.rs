//! Start times, metadata and exemplars: through the log, segments, merges, crashes and copies.

use proptest::prelude::*;

use super::*;
use crate::{Exemplar, LabelMatcher, LabelSet, MetricMetadata, NewStart, Queryable, SelectHints, TimeRange};

#[derive(Debug, Clone)]
enum Step {
    /// Samples of series, each with when its counter began: so long before, or not said.
    Append(Vec<(u8, i64, Option<i64>)>),
    Exemplar(u8, i64),
    Metadata(usize, u8),
    Delete(Vec<Matcher>, i64, i64),
    Compact(i64),
    Flush,
    Reopen,
    PowerLoss(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let start = prop_oneof![Just(None), (1..5_i64).prop_map(|n| Some(n * 1_000))];
    prop_oneof![
        5 => prop::collection::vec((0..6_u8, 8_000..20_000_i64, start), 1..30).prop_map(Step::Append),
        2 => (0..6_u8, 0..20_000_i64).prop_map(|(series, at)| Step::Exemplar(series, at)),
        2 => (0..2_usize, 0..3_u8).prop_map(|(metric, n)| Step::Metadata(metric, n)),
        1 => (matchers(), 0..20_000_i64, 0..20_000_i64).prop_map(|(m, from, to)| Step::Delete(m, from, to)),
        2 => (0..20_000_i64).prop_map(Step::Compact),
        1 => Just(Step::Flush),
        1 => Just(Step::Reopen),
        1 => (0..5_usize).prop_map(Step::PowerLoss),
    ]
}

/// By series and time: since when it counts, 0 when that was not said.
type Known = BTreeMap<LabelSet, BTreeMap<i64, i64>>;

fn labels_of(series: u8) -> LabelSet {
    let NewSample { metric, labels, .. } = sample(series, 0);
    LabelSet::of_metric(&metric, &labels)
}

fn said(series: u8, at: i64, start: Option<i64>) -> NewStart {
    let NewSample { metric, labels, at, .. } = sample(series, at);
    NewStart { metric, labels, at, start: start.map(Timestamp::from_millis) }
}

fn starts(store: &DurableStore) -> Known {
    let range = TimeRange { from: i64::MIN, to: i64::MAX };
    let found = Queryable::select(store, &[], range, &SelectHints::default()).unwrap();
    let start = |starts: &[i64], index: usize| starts.get(index).copied().unwrap_or(0);
    let series = found.into_iter().map(|one| {
        let points = one.samples;
        let floats = (0..).zip(&points.floats).map(|(n, point)| (point.t, start(&points.float_starts, n)));
        let mut all: BTreeMap<i64, i64> = floats.collect();
        let histograms = (0..).zip(&points.histograms);
        all.extend(histograms.map(|(n, point)| (point.t, start(&points.histogram_starts, n))));
        (one.labels, all)
    });
    series.collect()
}

fn exemplar(series: u8, at: i64) -> (MetricName, Labels, Exemplar) {
    let NewSample { metric, labels, at, .. } = sample(series, at);
    let trace = Labels::from_pairs([("trace_id", format!("{at:?}"))]).unwrap();
    (metric, labels, Exemplar { labels: trace, value: f64::from(series) / 3.0, at })
}

fn about(n: u8) -> MetricMetadata {
    MetricMetadata::new("counter", format!("help \"{n}\"\nof more than a line"), "bytes")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(64), ..ProptestConfig::default() })]

    #[test]
    fn l2_annotations_are_those_of_the_naive_model(steps in prop::collection::vec(step(), 1..25)) {
        let mut folder = TestFolder::new();
        let mut store = open(&folder).0;
        let mut known = Known::new();
        let mut exemplars: BTreeMap<(MetricName, Labels), Vec<Exemplar>> = BTreeMap::new();
        let mut metadata: BTreeMap<MetricName, MetricMetadata> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Append(samples) => {
                    let mut told = Vec::new();
                    for (series, at, before) in samples {
                        // Once said, it is not said otherwise for the same sample.
                        let series_known = known.entry(labels_of(series)).or_default();
                        if series_known.contains_key(&at) {
                            continue;
                        }
                        let start = before.map(|before| at / 1_000 * 1_000 - before).filter(|start| *start > 0);
                        series_known.insert(at, start.unwrap_or(0));
                        told.push((series, at, start));
                    }
                    let named: Vec<_> = told.iter().map(|(series, at, _)| (*series, *at)).collect();
                    for (one, (series, at, start)) in named.iter().zip(&told) {
                        append(&store, Timestamp::from_millis(10_000), std::slice::from_ref(one)).unwrap();
                        store.set_starts(&[said(*series, *at, *start)]).unwrap();
                        prop_assert_eq!(store.set_starts(&[said(*series, *at, *start)]).unwrap(), 0);
                    }
                }
                Step::Exemplar(series, at) => {
                    let one = exemplar(series, at);
                    let last = exemplars.entry((one.0.clone(), one.1.clone())).or_default();
                    let new = last.last() != Some(&one.2);
                    if new {
                        last.push(one.2.clone());
                    }
                    prop_assert_eq!(store.append_exemplars(&[one]).unwrap(), u64::from(new));
                }
                Step::Metadata(metric, n) => {
                    let one = (MetricName::literal(METRICS[metric]), about(n));
                    prop_assert_eq!(store.set_metadata(std::slice::from_ref(&one)).unwrap(), 1);
                    metadata.insert(one.0, one.1);
                }
                Step::Delete(matchers, from, to) => {
                    store.delete(&matchers, range(from, to)).unwrap();
                    for series in 0..6 {
                        let NewSample { metric, labels, .. } = sample(series, 0);
                        if fits(&matchers, metric.as_str(), &labels)
                            && let Some(samples) = known.get_mut(&labels_of(series))
                        {
                            samples.retain(|at, _| *at < from || *at >= to);
                        }
                    }
                }
                Step::Compact(now) => drop(store.compact(Timestamp::from_millis(now)).unwrap()),
                Step::Flush => drop(store.flush().unwrap()),
                Step::Reopen => {
                    drop(store);
                    store = open(&folder).0;
                }
                Step::PowerLoss(keep) => {
                    drop(store);
                    folder = folder.after_power_loss(keep);
                    store = open(&folder).0;
                }
            }
            known.retain(|_, samples| !samples.is_empty());
            prop_assert_eq!(starts(&store), known.clone());
            let found = store.metadata(None);
            prop_assert_eq!(found, metadata.clone().into_iter().collect::<Vec<_>>());
            let found = store.exemplars(&[], Interval::ALWAYS).unwrap();
            prop_assert_eq!(found.len(), exemplars.len());
            for (one, ((metric, labels), all)) in found.iter().zip(&exemplars) {
                let mut all = all.clone();
                all.sort_by_key(|exemplar| exemplar.at);
                prop_assert_eq!((&one.metric, &one.labels, &one.exemplars), (metric, labels, &all));
            }
        }
    }

    #[cfg(feature = "api")]
    #[test]
    fn l2_listing_series_is_reading_them(
        batches in prop::collection::vec((prop::collection::vec((0..6_u8, 0..20_000_i64), 1..20), 0..3_u8), 1..6),
        delete in (matchers(), 0..20_000_i64, 0..20_000_i64), asked in (0..20_000_i64, 0..20_000_i64),
    ) {
        use crate::api::Browsable as _;
        let store = open(&TestFolder::new()).0;
        for (samples, then) in batches {
            append(&store, Timestamp::from_millis(10_000), &samples).unwrap();
            match then {
                0 => drop(store.flush().unwrap()),
                1 => drop(store.compact(Timestamp::from_millis(15_000)).unwrap()),
                _ => {}
            }
        }
        store.delete(&delete.0, range(delete.1, delete.2)).unwrap();
        let range = TimeRange { from: asked.0, to: asked.1 };
        for matchers in [vec![], vec![LabelMatcher::equal("n", "1")], vec![LabelMatcher::equal("bad name", "x")]] {
            let read = Queryable::select(&store, &matchers, range, &SelectHints::default()).unwrap();
            let read: Vec<LabelSet> = read.into_iter().map(|series| series.labels).collect();
            let mut listed = store.labels(&matchers, range).unwrap();
            listed.sort();
            prop_assert_eq!(&listed, &read);
        }
    }
}

#[test]
fn a_store_of_the_first_format_is_read_and_goes_on() {
    let folder = TestFolder::new();
    {
        let store = open(&folder).0;
        append(&store, Timestamp::from_millis(10_000), &[(0, 1), (4, 2)]).unwrap();
        store.flush().unwrap();
        append(&store, Timestamp::from_millis(10_000), &[(0, 11), (1, 12)]).unwrap();
    }
    // Nothing of what is new is in these files: they are those of the first format but for its number.
    for (name, file) in folder.files.lock().unwrap().iter() {
        if name.ends_with(".itom") {
            file.all.lock().unwrap()[7] = 1;
        }
    }
    let (store, report) = open(&folder);
    assert_eq!((report.segments, report.replayed_samples, report.cut_bytes), (1, 2, 0));
    assert!(report.quarantined.is_empty(), "{report:?}");
    assert_eq!(contents(&store, &[], Interval::ALWAYS).values().map(BTreeMap::len).sum::<usize>(), 4);
    store.set_starts(&[said(0, 11, Some(5))]).unwrap();
    store.flush().unwrap();
    drop(store);
    assert_eq!(starts(&open(&folder).0)[&labels_of(0)], BTreeMap::from([(1, 0), (11, 5)]));
}

#[test]
fn what_a_scrape_says_beside_samples_is_there_after_a_restart() {
    use crate::exposition::tests::{counter_message, second};
    use crate::exposition::{Format, ScrapeOptions, Scraper};
    let folder = TestFolder::new();
    let store = open(&folder).0;
    let mut scraper = Scraper::new(Labels::empty(), ScrapeOptions::default());
    let body = counter_message(second(-100));
    assert!(scraper.store(&store, second(0), Duration::ZERO, Format::Protobuf, &body).is_up());
    drop(store);
    let store = open(&folder).0;
    let metric = MetricName::literal("jobs_total");
    let said = MetricMetadata::new("counter", "What was done.", "");
    assert_eq!(store.metadata(Some(&metric)), [(metric, said)]);
    let exemplars = store.exemplars(&[], Interval::ALWAYS).unwrap();
    let labels = Labels::from_pairs([("id", "x")]).unwrap();
    assert_eq!(exemplars[0].exemplars, [Exemplar { labels, value: 1.0, at: second(0) }]);
    let counted = starts(&store).into_iter().find(|(labels, _)| labels.metric() == "jobs_total");
    let since = second(-100).as_millis();
    assert_eq!(counted.map(|(_, starts)| starts), Some(BTreeMap::from([(second(0).as_millis(), since)])));
}

#[test]
fn the_bytes_of_the_log_and_of_a_segment_stay_what_they_are() {
    let folder = TestFolder::new();
    let store = open(&folder).0;
    append(&store, Timestamp::from_millis(10_000), &[(0, 3)]).unwrap();
    store.set_starts(&[said(0, 3, Some(1))]).unwrap();
    let one = (MetricName::literal("a_total"), MetricMetadata::new("counter", "h", "u"));
    store.set_metadata(&[one]).unwrap();
    let (metric, labels, at) = (MetricName::literal("a_total"), Labels::empty(), Timestamp::from_millis(3));
    let trace = Labels::from_pairs([("t", "1")]).unwrap();
    store.append_exemplars(&[(metric, labels, Exemplar { labels: trace, value: 0.5, at })]).unwrap();
    let bytes = |prefix: &str| {
        let files = folder.files.lock().unwrap();
        let (_, file) = files.iter().find(|(name, _)| name.starts_with(prefix)).unwrap();
        file.all.lock().unwrap().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    assert_eq!(bytes("log-"), LOG);
    store.flush().unwrap();
    assert_eq!(bytes("segment-"), SEGMENT);
}

const LOG: &str = "69746f6d6c6f67022500000040d23cec0180dac409010107615f746f74616c02036a6f620178016e0130999c01b81e85eb51b89e3f040000006a467bbc0600060215000000caa63d230407615f746f74616c07636f756e746572016801751900000089816c2d0507615f746f74616c000101740131f02e000000000000e03f";
const SEGMENT: &str = "69746f6d7365670270636f21030040040104000000001000180000000000000004000000b81e85eb51b89e3f060605013007615f746f74616c036a6f62016e01780101081b17fc2fc20105010202040300010023094c00da24000106042c000000000000003100000000000000201f7793baeaa3f7";
