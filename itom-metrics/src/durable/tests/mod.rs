//! The store over a folder in memory that fails, fills up and crashes when told to.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use itom_core::{
    Buckets, Histogram, Interval, LabelName, Labels, MatchOp, Matcher, MetricName, SampleKind, Schema,
    Timestamp,
};
use proptest::prelude::*;

use super::folder::{Folder, Sink, Source};
use super::{DurableConfig, DurableError, DurableStore, OpenReport};
use crate::{NewHistogram, NewSample};

mod annotations;
mod followed;
mod tier_histograms;
mod tiers;

#[derive(Debug, Default)]
struct Bytes {
    all: Mutex<Vec<u8>>,
    synced: AtomicU64,
}

/// Files in memory. The effect with number `fails_at` fails, half done, and so do all later ones until healed.
#[derive(Debug, Default, Clone)]
struct TestFolder {
    files: Arc<Mutex<BTreeMap<String, Arc<Bytes>>>>,
    effects: Arc<AtomicU64>,
    fails_at: Arc<AtomicU64>,
}

impl TestFolder {
    fn new() -> Self {
        let folder = Self::default();
        folder.heal();
        folder
    }

    fn heal(&self) {
        self.fails_at.store(u64::MAX, Ordering::Relaxed);
    }

    fn effect(&self) -> io::Result<()> {
        if self.effects.fetch_add(1, Ordering::Relaxed) >= self.fails_at.load(Ordering::Relaxed) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "no space left"));
        }
        Ok(())
    }

    /// What a machine finds after losing power: of what was not synced only the first `keep` of four quarters.
    fn after_power_loss(&self, keep: usize) -> Self {
        let left = Self::new();
        for (name, file) in self.files.lock().unwrap().iter() {
            let all = file.all.lock().unwrap();
            let synced = file.synced.load(Ordering::Relaxed) as usize;
            let kept = synced + (all.len() - synced) * keep / 4;
            let bytes = Bytes { all: Mutex::new(all[..kept].to_vec()), synced: AtomicU64::new(kept as u64) };
            left.files.lock().unwrap().insert(name.clone(), Arc::new(bytes));
        }
        left
    }

    fn damage(&self, name: &str, at: usize) {
        let files = self.files.lock().unwrap();
        let mut all = files[name].all.lock().unwrap();
        let at = at % all.len();
        all[at] ^= 0x40;
    }

    fn names(&self) -> Vec<String> {
        self.files.lock().unwrap().keys().cloned().collect()
    }
}

#[derive(Debug)]
struct TestSink(TestFolder, Arc<Bytes>);

impl Sink for TestSink {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let failed = self.0.effect();
        let mut all = self.1.all.lock().unwrap();
        all.extend_from_slice(if failed.is_err() { &bytes[..bytes.len() / 2] } else { bytes });
        failed
    }

    fn sync(&self) -> io::Result<()> {
        self.0.effect()?;
        self.1.synced.store(self.1.all.lock().unwrap().len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

#[derive(Debug)]
struct TestSource(Arc<Bytes>);

impl Source for TestSource {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.all.lock().unwrap().len() as u64)
    }

    fn read_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let all = self.0.all.lock().unwrap();
        let end = (offset as usize).checked_add(length).filter(|end| *end <= all.len());
        end.map(|end| all[offset as usize..end].to_vec()).ok_or(io::ErrorKind::UnexpectedEof.into())
    }
}

impl Folder for TestFolder {
    fn create(&self, name: &str) -> io::Result<Arc<dyn Sink>> {
        self.effect()?;
        let bytes = Arc::new(Bytes::default());
        self.files.lock().unwrap().insert(name.to_owned(), Arc::clone(&bytes));
        Ok(Arc::new(TestSink(self.clone(), bytes)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn Source>> {
        let file = self.files.lock().unwrap().get(name).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(TestSource(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.effect()?;
        let mut files = self.files.lock().unwrap();
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.effect()?;
        self.files.lock().unwrap().remove(name).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.names())
    }

    fn sync(&self) -> io::Result<()> {
        self.effect()
    }
}

fn config() -> DurableConfig {
    let mut config = DurableConfig::default();
    config.memory.out_of_order = Duration::from_secs(1_000_000);
    config.memory.ahead = Duration::from_secs(1_000_000);
    config.keep_in_memory = Duration::from_secs(1);
    config.segment_after = Duration::from_secs(2);
    config
}

fn open(folder: &TestFolder) -> (DurableStore, OpenReport) {
    DurableStore::open_in(Arc::new(folder.clone()), config(), None).unwrap()
}

const METRICS: [&str; 2] = ["a_total", "b"];

/// The value follows from series and time, so that sending again is a duplicate.
fn value(series: u8, at: i64) -> f64 {
    match at % 5 {
        0 => f64::from_bits(0x7ff0_0000_0000_0002 + u64::from(series)),
        1 => (at as f64 / 7.0).sin(),
        _ => (at * i64::from(series + 1)) as f64 / 100.0,
    }
}

fn sample(series: u8, at: i64) -> NewSample {
    NewSample {
        metric: MetricName::literal(METRICS[usize::from(series % 2)]),
        labels: Labels::from_pairs([("n", (series / 2).to_string()), ("job", "x".to_owned())]).unwrap(),
        kind: if series.is_multiple_of(2) { SampleKind::Counter } else { SampleKind::Gauge },
        subject: None,
        at: Timestamp::from_millis(at),
        value: value(series, at),
    }
}

/// Series 4 and 5 are histograms at even times: the sum is what the others have as value.
fn is_histogram(series: u8, at: i64) -> bool {
    series >= 4 && at % 2 == 0
}

fn histogram(series: u8, at: i64) -> NewHistogram {
    let NewSample { metric, labels, kind, subject, at, value } = sample(series, at);
    let mut histogram = Histogram::exponential(Schema::MAX);
    histogram.sum = value;
    histogram.count = 7.5;
    histogram.positive = Buckets::dense(at.as_millis() as i32 % 100, &[1.0, 0.5, 6.0]).unwrap();
    NewHistogram { metric, labels, kind, subject, at, histogram: Arc::new(histogram) }
}

/// Appends each as what it is; how many were stored or there.
fn append(store: &DurableStore, now: Timestamp, samples: &[(u8, i64)]) -> Result<u64, DurableError> {
    let (histograms, floats): (Vec<_>, Vec<_>) = samples.iter().partition(|(n, at)| is_histogram(*n, *at));
    let floats: Vec<NewSample> = floats.into_iter().map(|(n, at)| sample(n, at)).collect();
    let histograms: Vec<NewHistogram> = histograms.into_iter().map(|(n, at)| histogram(n, at)).collect();
    let reports = [store.append(now, &floats)?, store.append_histograms(now, &histograms)?];
    Ok(reports.iter().map(|report| report.stored + report.duplicates).sum())
}

type Model = BTreeMap<(String, Labels), BTreeMap<i64, u64>>;

fn remember(model: &mut Model, sample: &NewSample) {
    let series = model.entry((sample.metric.as_str().to_owned(), sample.labels.clone())).or_default();
    series.insert(sample.at.as_millis(), sample.value.to_bits());
}

fn contents(store: &DurableStore, matchers: &[Matcher], range: Interval) -> Model {
    let found = store.select_matching(matchers, range).unwrap();
    let sample = |(at, value): &(Timestamp, f64)| (at.as_millis(), value.to_bits());
    let series = found.iter().map(|(metric, data)| {
        ((metric.as_str().to_owned(), data.labels.clone()), data.samples.iter().map(sample).collect())
    });
    let mut all: Model = series.collect();
    for one in store.select_histograms(matchers, range).unwrap() {
        let series = all.entry((one.metric.as_str().to_owned(), one.labels.clone())).or_default();
        for (at, histogram) in one.histograms {
            assert_eq!(histogram.positive.get(at.as_millis() as i32 % 100 + 2), Some(6.0));
            assert!(series.insert(at.as_millis(), histogram.sum.to_bits()).is_none());
        }
    }
    all
}

fn matcher(name: &'static str, op: MatchOp, value: &str) -> Matcher {
    Matcher { name: LabelName::literal(name), op, value: value.into() }
}

fn matchers() -> impl Strategy<Value = Vec<Matcher>> {
    let one = prop_oneof![
        Just(matcher("n", MatchOp::Equal, "1")),
        Just(matcher("n", MatchOp::Regex, "[02]|9")),
        Just(matcher("n", MatchOp::NotRegex, "1|2")),
        Just(matcher("job", MatchOp::NotEqual, "")),
        Just(matcher("absent", MatchOp::Equal, "")),
        Just(matcher("__name__", MatchOp::Regex, "a.*")),
        Just(matcher("__name__", MatchOp::NotEqual, "b")),
    ];
    prop::collection::vec(one, 0..3)
}

fn fits(matchers: &[Matcher], metric: &str, labels: &Labels) -> bool {
    matchers.iter().all(|matcher| {
        let condition = crate::selector::Condition::new(matcher).unwrap();
        let value =
            if condition.is_on_metric() { metric } else { labels.get(matcher.name.as_str()).unwrap_or("") };
        condition.holds(value)
    })
}

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<(u8, i64)>),
    Delete(Vec<Matcher>, i64, i64),
    Read(Vec<Matcher>, i64, i64),
    Compact(i64),
    Flush,
    Reopen,
    PowerLoss(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => prop::collection::vec((0..6_u8, 0..20_000_i64), 1..60).prop_map(Step::Append),
        1 => (matchers(), 0..20_000_i64, 0..20_000_i64).prop_map(|(m, from, to)| Step::Delete(m, from, to)),
        2 => (matchers(), 0..20_000_i64, 0..20_000_i64).prop_map(|(m, from, to)| Step::Read(m, from, to)),
        2 => (0..20_000_i64).prop_map(Step::Compact),
        1 => Just(Step::Flush),
        1 => Just(Step::Reopen),
        1 => (0..5_usize).prop_map(Step::PowerLoss),
    ]
}

fn range(from: i64, to: i64) -> Interval {
    Interval::new(Timestamp::from_millis(from), Timestamp::from_millis(to))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(64), ..ProptestConfig::default() })]

    #[test]
    fn l2_the_durable_store_is_the_naive_model(steps in prop::collection::vec(step(), 1..25)) {
        let mut folder = TestFolder::new();
        let mut store = open(&folder).0;
        let mut model = Model::new();
        for step in steps {
            match step {
                Step::Append(samples) => {
                    let taken = append(&store, Timestamp::from_millis(10_000), &samples).unwrap();
                    prop_assert_eq!(taken, samples.len() as u64);
                    samples.iter().for_each(|(n, at)| remember(&mut model, &sample(*n, *at)));
                }
                Step::Delete(matchers, from, to) => {
                    store.delete(&matchers, range(from, to)).unwrap();
                    for ((metric, labels), samples) in &mut model {
                        if fits(&matchers, metric, labels) {
                            samples.retain(|at, _| *at < from || *at >= to);
                        }
                    }
                    model.retain(|_, samples| !samples.is_empty());
                }
                Step::Read(matchers, from, to) => {
                    let mut expected = model.clone();
                    expected.retain(|(metric, labels), samples| {
                        samples.retain(|at, _| *at >= from && *at < to);
                        fits(&matchers, metric, labels) && !samples.is_empty()
                    });
                    prop_assert_eq!(contents(&store, &matchers, range(from, to)), expected);
                }
                Step::Compact(now) => drop(store.compact(Timestamp::from_millis(now)).unwrap()),
                Step::Flush => drop(store.flush().unwrap()),
                Step::Reopen => {
                    drop(store);
                    let (opened, report) = open(&folder);
                    prop_assert_eq!((report.cut_bytes, report.quarantined.len()), (0, 0));
                    store = opened;
                }
                Step::PowerLoss(keep) => {
                    drop(store);
                    folder = folder.after_power_loss(keep);
                    store = open(&folder).0;
                }
            }
            prop_assert_eq!(contents(&store, &[], Interval::ALWAYS), model.clone());
        }
        let names = store.label_values(&[], Some("__name__")).unwrap();
        let expected: std::collections::BTreeSet<_> = model.keys().map(|key| key.0.clone()).collect();
        prop_assert!(expected.iter().all(|name| names.contains(name)));
    }

    #[test]
    fn l10_any_bytes_as_a_segment(bytes in prop::collection::vec(any::<u8>(), 0..400), at in any::<usize>(), whole in any::<bool>()) {
        let folder = TestFolder::new();
        {
            let store = open(&folder).0;
            let samples: Vec<NewSample> = (0..40).map(|n| sample((n % 4) as u8, n * 10)).collect();
            store.append(Timestamp::from_secs(1), &samples).unwrap();
            store.flush().unwrap();
        }
        let name = folder.names().into_iter().find(|name| name.starts_with("segment-")).unwrap();
        if whole {
            let mut all = super::segment::MAGIC.to_vec();
            all.extend(&bytes);
            *folder.files.lock().unwrap()[&name].all.lock().unwrap() = all;
        } else {
            folder.damage(&name, at);
        }
        // A flipped bit may only lie where nothing is checked: in the version, which is refused then.
        match DurableStore::open_in(Arc::new(folder.clone()), config(), None) {
            Ok((store, report)) => {
                let found = contents(&store, &[], Interval::ALWAYS);
                prop_assert_eq!(found.len(), 0);
                prop_assert_eq!(store.stats().quarantined, 1);
                prop_assert!(report.quarantined.len() <= 1);
                let set_aside = folder.names().contains(&format!("{name}.quarantined"));
                prop_assert!(set_aside);
            }
            Err(error) => prop_assert!(matches!(error, DurableError::Newer { .. }), "{error}"),
        }
    }
}

/// Appends, compacts, deletes; returns what was acknowledged.
fn script(folder: &TestFolder) -> (Model, Model) {
    let (mut acknowledged, mut offered) = (Model::new(), Model::new());
    let Ok((store, _)) = DurableStore::open_in(Arc::new(folder.clone()), config(), None) else {
        return (acknowledged, offered);
    };
    for round in 0..8_i64 {
        let samples: Vec<(u8, i64)> = (0..6).map(|n| ((n % 3) as u8 * 2, round * 2_000 + n * 100)).collect();
        samples.iter().for_each(|(n, at)| remember(&mut offered, &sample(*n, *at)));
        if append(&store, Timestamp::from_millis(round * 2_000), &samples).is_ok() {
            samples.iter().for_each(|(n, at)| remember(&mut acknowledged, &sample(*n, *at)));
        }
        let _ = store.compact(Timestamp::from_millis(round * 2_000));
    }
    let _ = store.flush();
    (acknowledged, offered)
}

fn assert_between(found: &Model, acknowledged: &Model, offered: &Model, when: &str) {
    for (series, samples) in acknowledged {
        for at in samples.keys() {
            assert_eq!(
                found.get(series).and_then(|found| found.get(at)),
                samples.get(at),
                "{when}: {series:?} {at}"
            );
        }
    }
    for (series, samples) in found {
        assert!(samples.iter().all(|(at, bits)| offered[series].get(at) == Some(bits)), "{when}: invented");
    }
}

#[test]
fn l9_a_crash_at_any_effect_loses_nothing_acknowledged() {
    let whole = TestFolder::new();
    let (all, _) = script(&whole);
    let effects = whole.effects.load(Ordering::Relaxed);
    assert!(effects > 60 && all.len() == 3, "the script reaches the disk: {effects}");
    for fails_at in 0..effects {
        for keep in [0, 2, 4] {
            let folder = TestFolder::new();
            folder.fails_at.store(fails_at, Ordering::Relaxed);
            let (acknowledged, offered) = script(&folder);
            let left = folder.after_power_loss(keep);
            let found = contents(&open(&left).0, &[], Interval::ALWAYS);
            assert_between(&found, &acknowledged, &offered, &format!("effect {fails_at}, keep {keep}"));
        }
    }
}

#[test]
fn a_disk_that_was_full_is_used_again() {
    let folder = TestFolder::new();
    let store = open(&folder).0;
    let now = Timestamp::from_secs(1);
    store.append(now, &[sample(0, 100)]).unwrap();
    // Each effect of an append fails once, then the same samples are sent again.
    for (round, effect) in [(1, 0), (2, 1)] {
        folder.fails_at.store(folder.effects.load(Ordering::Relaxed) + effect, Ordering::Relaxed);
        let again = [sample(0, 100 + round), sample(1, 100 + round)];
        let error = store.append(now, &again).unwrap_err();
        assert_eq!(itom_core::Classify::kind(&error), itom_core::ErrorKind::Exhausted);
        assert!(store.append(now, &again).is_err() && store.compact(now).is_ok());
        folder.heal();
        let report = store.append(now, &again).unwrap();
        assert_eq!(report.stored + report.duplicates, 2);
        let found = contents(&open(&folder.after_power_loss(0)).0, &[], Interval::ALWAYS);
        assert_eq!(found.values().map(BTreeMap::len).sum::<usize>() as i64, 1 + 2 * round);
    }
}

#[test]
fn damage_is_set_aside_and_the_rest_is_served() {
    let folder = TestFolder::new();
    let store = open(&folder).0;
    for at in [1_000, 50_000] {
        store.append(Timestamp::from_millis(at), &[sample(0, at), sample(1, at)]).unwrap();
        store.flush().unwrap();
    }
    let segments: Vec<String> =
        folder.names().into_iter().filter(|name| name.starts_with("segment-")).collect();
    assert_eq!((segments.len(), store.stats().segments), (2, 2));
    // Damage of a column is seen when it is read.
    folder.damage(&segments[0], 12);
    let found = contents(&store, &[], Interval::ALWAYS);
    assert!(found.values().all(|samples| samples.keys().eq([&50_000])) && found.len() == 2);
    assert_eq!((store.stats().segments, store.stats().quarantined), (1, 1));
    drop(store);
    // A damaged end is seen when the folder is opened.
    let length = folder.files.lock().unwrap()[&segments[1]].all.lock().unwrap().len();
    folder.damage(&segments[1], length - 9);
    let (store, report) = open(&folder);
    assert_eq!((report.segments, report.quarantined.len()), (0, 1));
    let of_self = store.stats().samples_of_self();
    let counted = of_self.iter().find(|one| one.0.as_str() == "itom_metrics_quarantined_total");
    assert_eq!(counted.map(|one| one.3), Some(1.0));
    drop(store);
    // A later format is refused and left alone.
    let name = folder.names().into_iter().find(|name| name.starts_with("log-")).unwrap();
    folder.files.lock().unwrap()[&name].all.lock().unwrap()[7] = 9;
    let error = DurableStore::open_in(Arc::new(folder.clone()), config(), None).unwrap_err();
    assert!(matches!(error, DurableError::Newer { .. }) && folder.names().contains(&name), "{error}");
}

#[test]
fn retention_goes_by_time_and_by_size() {
    let folder = TestFolder::new();
    let mut small = config();
    small.retention = Duration::from_secs(100);
    small.memory.out_of_order = Duration::from_secs(1);
    let store = DurableStore::open_in(Arc::new(folder.clone()), small.clone(), None).unwrap().0;
    for at in [10_000_i64, 60_000, 110_000] {
        store.append(Timestamp::from_millis(at), &[sample(0, at)]).unwrap();
        store.flush().unwrap();
    }
    let report = store.compact(Timestamp::from_secs(120)).unwrap();
    assert_eq!((report.expired, store.stats().segments), (1, 2));
    drop(store);
    small.max_bytes = Some(10);
    let store = DurableStore::open_in(Arc::new(folder.clone()), small, None).unwrap().0;
    assert_eq!(store.compact(Timestamp::from_secs(120)).unwrap().expired, 2);
    assert!(folder.names().iter().all(|name| name.starts_with("log-")), "{:?}", folder.names());
}

#[test]
fn promql_reads_memory_and_segments_as_one() {
    use crate::{LabelMatcher, Queryable, SelectHints, TimeRange};
    let folder = TestFolder::new();
    let store = open(&folder).0;
    for at in [1_000, 2_000, 3_001] {
        append(&store, Timestamp::from_millis(at), &[(0, at), (4, at)]).unwrap();
        if at < 3_000 {
            store.flush().unwrap();
        }
    }
    let matchers = [LabelMatcher::new("n", MatchOp::Regex, "0|2").unwrap(), LabelMatcher::equal("none", "")];
    let range = TimeRange { from: 1_001, to: 3_001 };
    let found = Queryable::select(&store, &matchers, range, &SelectHints::default()).unwrap();
    let shape: Vec<_> = found
        .iter()
        .map(|one| (one.labels.get("n").to_owned(), one.samples.floats.len(), one.samples.histograms.len()))
        .collect();
    assert_eq!(shape, [("0".to_owned(), 2, 0), ("2".to_owned(), 1, 1)]);
    let few = SelectHints { max_samples: Some(3), ..SelectHints::default() };
    assert!(Queryable::select(&store, &matchers, range, &few).is_err());
    let none = [LabelMatcher::equal("none", "x")];
    assert!(Queryable::select(&store, &none, range, &SelectHints::default()).unwrap().is_empty());
}
