//! The durable store on the real disk: kills, locks, copies.
#![cfg(feature = "durable")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use itom_core::{Interval, Labels, MetricName, SampleKind, SampleSource, Selector, Timestamp};
use itom_metrics::durable::{DurableConfig, DurableError, DurableStore, restore};
use itom_metrics::{Exemplar, MetricMetadata, NewSample, NewStart, SelectHints, TimeRange};

/// A folder of this test run, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("itom-durable-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a folder for the test");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const METRIC: MetricName = MetricName::literal("kept_total");
const SERIES: i64 = 20;

fn batch(number: i64) -> Vec<NewSample> {
    (0..SERIES)
        .map(|series| NewSample {
            metric: METRIC,
            labels: Labels::from_pairs([("n", series.to_string())]).expect("a label name"),
            kind: SampleKind::Counter,
            subject: None,
            at: at(number),
            value: (number * 100 + series) as f64,
        })
        .collect()
}

fn at(number: i64) -> Timestamp {
    Timestamp::from_secs(1_700_000_000 + number * 15)
}

/// How many batches are there; every one must be whole.
fn whole_batches(store: &DurableStore) -> i64 {
    let series = store.select(&Selector::new(METRIC), Interval::ALWAYS).expect("readable");
    let Some(first) = series.first() else { return 0 };
    assert_eq!(series.len() as i64, SERIES);
    for one in &series {
        let n: i64 = one.labels.get("n").and_then(|n| n.parse().ok()).expect("a number");
        assert_eq!(one.samples.len(), first.samples.len(), "a batch is there in part");
        for (number, (when, value)) in (0..).zip(&one.samples) {
            assert_eq!((*when, *value), (at(number), (number * 100 + n) as f64));
        }
    }
    first.samples.len() as i64
}

/// Since when the counters count at a batch.
fn start(number: i64) -> Timestamp {
    at(number - number % 10) - std::time::Duration::from_secs(1)
}

/// What comes with a batch and is no sample.
fn annotate(store: &DurableStore, number: i64) -> Result<(), DurableError> {
    let of = |one: NewSample| NewStart {
        metric: one.metric,
        labels: one.labels,
        at: one.at,
        start: Some(start(number)),
    };
    store.set_starts(&batch(number).into_iter().map(of).collect::<Vec<_>>())?;
    store.set_metadata(&[(METRIC, MetricMetadata::new("counter", number.to_string(), ""))])?;
    let labels = Labels::from_pairs([("trace_id", number.to_string())]).expect("a label name");
    let exemplar = Exemplar { labels, value: number as f64, at: at(number) };
    let series = Labels::from_pairs([("n", "0")]).expect("a label name");
    store.append_exemplars(&[(METRIC, series, exemplar)]).map(drop)
}

/// That all that came with the batches before one is there.
fn check_annotations(store: &DurableStore, before: i64) {
    let told: i64 = store.metadata(Some(&METRIC))[0].1.help.parse().expect("a number");
    assert!(told + 1 >= before, "metadata of {told}, {before} batches are acknowledged");
    let exemplars = store.exemplars(&[], Interval::ALWAYS).expect("no regular expression");
    let there: Vec<i64> = exemplars[0].exemplars.iter().map(|one| one.value as i64).collect();
    assert!((0..before).all(|number| there.contains(&number)), "{there:?} of {before}");
    let range = TimeRange { from: i64::MIN, to: at(before - 1).as_millis() };
    for one in itom_metrics::Queryable::select(store, &[], range, &SelectHints::default()).expect("readable")
    {
        let starts: Vec<i64> = (0..before).map(|number| start(number).as_millis()).collect();
        assert_eq!(one.samples.float_starts, starts);
    }
}

const CHILD: &str = "ITOM_DURABLE_CHILD";

/// Not a test of its own: the process that is killed. It says each batch that was acknowledged.
#[test]
fn child_that_appends() {
    let Some(folder) = std::env::var_os(CHILD) else {
        println!("only l9_a_kill_at_any_moment_loses_nothing_acknowledged starts this, with {CHILD} set");
        return;
    };
    let (store, _) = DurableStore::open(Path::new(&folder), DurableConfig::default()).expect("opens");
    let mut number = whole_batches(&store);
    // The one that was being written when the process before was killed may lack what comes with it.
    if number > 0 {
        annotate(&store, number - 1).expect("appends");
    }
    let mut out = std::io::stdout();
    loop {
        store.append(at(number), &batch(number)).expect("appends");
        annotate(&store, number).expect("appends");
        writeln!(out, "acknowledged {number}").and_then(|()| out.flush()).expect("the parent listens");
        if number % 16 == 7 {
            store.flush().expect("flushes");
        }
        store.compact(at(number)).expect("compacts");
        number += 1;
    }
}

#[test]
fn l9_a_kill_at_any_moment_loses_nothing_acknowledged() {
    let scratch = Scratch::new("kill");
    let mut acknowledged = 0;
    let rounds = std::env::var("ITOM_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(12_i64);
    for round in 0..rounds {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "child_that_appends", "--nocapture", "--test-threads=1"])
            .env(CHILD, &scratch.0)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the child starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let wanted = 1 + (round * 37) % 50;
        let mut seen = 0;
        for line in lines.map_while(Result::ok) {
            // The harness may print on the same line.
            if let Some((_, number)) = line.split_once("acknowledged ") {
                acknowledged = acknowledged.max(number.parse::<i64>().expect("a number") + 1);
                seen += 1;
                if seen >= wanted {
                    break;
                }
            }
        }
        child.kill().expect("kill -9");
        child.wait().expect("gone");
        assert!(seen >= wanted, "the child stopped by itself in round {round}");
        let (store, report) = DurableStore::open(&scratch.0, DurableConfig::default()).expect("opens again");
        let found = whole_batches(&store);
        assert!(found >= acknowledged, "round {round}: {found} of {acknowledged} batches are there");
        assert!(report.quarantined.is_empty(), "{report:?}");
        check_annotations(&store, acknowledged);
    }
    assert!(acknowledged > 8 * rounds);
}

#[test]
fn a_second_opener_is_refused() {
    let scratch = Scratch::new("second");
    let (store, _) = DurableStore::open(&scratch.0, DurableConfig::default()).expect("opens");
    let error = DurableStore::open(&scratch.0, DurableConfig::default()).expect_err("in use");
    assert!(matches!(error, DurableError::InUse { .. }), "{error}");
    drop(store);
    assert!(DurableStore::open(&scratch.0, DurableConfig::default()).is_ok());
}

#[test]
fn a_backup_opens_like_the_original_and_damage_in_it_is_found() {
    let scratch = Scratch::new("backup");
    let [original, copy, restored] = ["original", "copy", "restored"].map(|name| scratch.0.join(name));
    let (store, _) = DurableStore::open(&original, DurableConfig::default()).expect("opens");
    for number in 0..40 {
        store.append(at(number), &batch(number)).expect("appends");
        annotate(&store, number).expect("appends");
        if number == 25 {
            store.flush().expect("flushes");
        }
    }
    store.backup(&copy).expect("copies");
    assert!(matches!(store.backup(&copy), Err(DurableError::NotEmpty { .. })));
    restore(&copy, &restored).expect("restores");
    let (again, _) = DurableStore::open(&restored, DurableConfig::default()).expect("opens");
    assert_eq!(whole_batches(&again), 40);
    check_annotations(&again, 40);
    for entry in std::fs::read_dir(&copy).expect("listed") {
        let path = entry.expect("an entry").path();
        let good = std::fs::read(&path).expect("read");
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        std::fs::write(&path, &bad).expect("written");
        let refused = restore(&copy, &scratch.0.join("never"));
        assert!(
            good.len() <= 8 || matches!(refused, Err(DurableError::Damaged { .. })),
            "{path:?}: {refused:?}"
        );
        std::fs::write(&path, &good).expect("written");
    }
}

#[test]
fn appends_at_once_are_all_there() {
    let scratch = Scratch::new("threads");
    {
        let (store, _) = DurableStore::open(&scratch.0, DurableConfig::default()).expect("opens");
        let store = Arc::new(store);
        let threads: Vec<_> = (0..4_i64)
            .map(|thread| {
                let store = Arc::clone(&store);
                std::thread::spawn(move || {
                    for number in 0..30_i64 {
                        let labels =
                            Labels::from_pairs([("thread", thread.to_string())]).expect("a label name");
                        let sample = NewSample {
                            metric: METRIC,
                            labels,
                            kind: SampleKind::Counter,
                            subject: None,
                            at: at(number),
                            value: number as f64,
                        };
                        store.append(at(number), &[sample]).expect("appends");
                        if number == 10 * thread {
                            store.flush().expect("flushes");
                        }
                        let seen = store.select(&Selector::new(METRIC), Interval::ALWAYS).expect("reads");
                        let mine =
                            seen.iter().find(|one| one.labels.get("thread") == Some(&thread.to_string()));
                        assert_eq!(mine.map(|one| one.samples.len() as i64), Some(number + 1));
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    }
    let (store, _) = DurableStore::open(&scratch.0, DurableConfig::default()).expect("opens");
    let found = store.select(&Selector::new(METRIC), Interval::ALWAYS).expect("reads");
    assert_eq!(found.iter().map(|one| one.samples.len()).collect::<Vec<_>>(), [30; 4]);
}
