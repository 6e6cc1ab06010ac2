use std::path::PathBuf;

use itom_core::{Buckets, Schema};
use proptest::prelude::*;

use super::*;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("itom-queue-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    fn newest(&self) -> PathBuf {
        let mut files: Vec<_> = std::fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|have| have == "itom"))
            .collect();
        files.sort();
        files.pop().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn sample(number: i64) -> WriteSample {
    let series = (number % 3).to_string();
    let labels = LabelSet::from_pairs([("__name__", "m"), ("series", &series), ("é", "ü\n")]);
    if number % 7 == 6 {
        let mut histogram = Histogram::exponential(Schema::MIN);
        histogram.count = number as f64;
        histogram.positive = Buckets::dense(-2, &[1.0, 2.5]).unwrap();
        return WriteSample::histogram(labels, number, Arc::new(histogram));
    }
    WriteSample::float(labels, number, number as f64 / 4.0)
}

fn drain(queue: &mut Queue, most: usize) -> Vec<WriteSample> {
    let mut all = Vec::new();
    while let Some((batch, end)) = queue.peek(most).unwrap() {
        all.extend(batch);
        queue.advance(end).unwrap();
    }
    all
}

#[test]
fn a_queue_that_is_full_says_so_and_keeps_what_it_has() {
    let folder = Folder::new("full");
    let config = QueueConfig::default().max_bytes(500).file_bytes(100);
    let mut queue = Queue::open(&folder.0, config).unwrap();
    let mut pushed = 0;
    while queue.push(&[sample(pushed)]).is_ok() {
        pushed += 1;
    }
    assert!(matches!(queue.push(&[sample(pushed)]), Err(QueueError::Full { limit: 500 })));
    assert!(matches!(Queue::open(&folder.0, config), Err(QueueError::Locked { .. })));
    assert_eq!(queue.samples(), pushed as u64);
    assert_eq!(drain(&mut queue, 2), (0..pushed).map(sample).collect::<Vec<_>>());
    assert_eq!(queue.samples(), 0);
    queue.push(&[sample(pushed)]).unwrap();
    assert!(queue.bytes() < 500, "files that are read are removed");
}

#[test]
fn l9_a_file_cut_anywhere_loses_nothing_acknowledged_before_the_cut() {
    let folder = Folder::new("cut");
    let mut ends = Vec::new();
    {
        let mut queue = Queue::open(&folder.0, QueueConfig::default()).unwrap();
        for number in 0..8 {
            queue.push(&[sample(number)]).unwrap();
            ends.push(std::fs::metadata(folder.newest()).unwrap().len());
        }
    }
    let file = folder.newest();
    let whole = std::fs::read(&file).unwrap();
    for cut in 0..=whole.len() {
        std::fs::write(&file, &whole[..cut]).unwrap();
        let mut queue = Queue::open(&folder.0, QueueConfig::default()).unwrap();
        let acknowledged = ends.iter().filter(|end| **end <= cut as u64).count() as i64;
        queue.push(&[sample(100)]).unwrap();
        let mut expected: Vec<_> = (0..acknowledged).map(sample).collect();
        expected.push(sample(100));
        assert_eq!(drain(&mut queue, 3), expected, "cut at {cut}");
        drop(queue);
        for entry in std::fs::read_dir(&folder.0).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
    }
}

proptest! {
    #[test]
    fn l2_the_queue_is_a_list_whatever_is_reopened_in_between(
        steps in prop::collection::vec((0..4_u8, 1..6_i64), 1..60),
        file_bytes in prop::sample::select(vec![1_u64, 60, 300, 1 << 20]),
    ) {
        let folder = Folder::new("list");
        let config = QueueConfig::default().file_bytes(file_bytes);
        let mut queue = Queue::open(&folder.0, config).unwrap();
        let mut model: std::collections::VecDeque<WriteSample> = std::collections::VecDeque::new();
        let mut next = 0;
        for (what, size) in steps {
            match what {
                0 | 1 => {
                    let samples: Vec<_> = (next..next + size).map(sample).collect();
                    next += size;
                    queue.push(&samples).unwrap();
                    model.extend(samples);
                }
                2 => {
                    let peeked = queue.peek(size as usize).unwrap();
                    prop_assert_eq!(peeked.is_none(), model.is_empty());
                    if let Some((batch, end)) = peeked {
                        queue.advance(end).unwrap();
                        for sample in batch {
                            prop_assert_eq!(Some(sample), model.pop_front());
                        }
                    }
                }
                _ => {
                    drop(queue);
                    queue = Queue::open(&folder.0, config).unwrap();
                }
            }
            prop_assert_eq!(queue.samples(), model.len() as u64);
        }
        prop_assert_eq!(drain(&mut queue, 4), Vec::from(model));
    }

    #[test]
    fn l10_any_file_is_read_or_cut(bytes in prop::collection::vec(any::<u8>(), 0..300), begins in any::<bool>()) {
        let folder = Folder::new("any");
        std::fs::create_dir_all(&folder.0).unwrap();
        let bytes = if begins { [b"itomrwq1".as_slice(), &bytes].concat() } else { bytes };
        std::fs::write(folder.0.join("queue-0000000000000003.itom"), &bytes).unwrap();
        std::fs::write(folder.0.join("cursor"), &bytes).unwrap();
        let mut queue = Queue::open(&folder.0, QueueConfig::default()).unwrap();
        queue.push(&[sample(1)]).unwrap();
        prop_assert_eq!(drain(&mut queue, 5), [sample(1)]);
    }
}
