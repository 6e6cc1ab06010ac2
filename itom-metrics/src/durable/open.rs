//! Opening a folder: what is there is checked, the log is replayed.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use itom_core::Timestamp;

use super::folder::{Folder, OsFolder, UNFINISHED};
use super::log::{Encoder, MAGIC, Record, replay};
use super::segment::{Segment, SegmentError};
use super::store::{DurableStore, Writer, lock, log_name, segment_name, tombstone_name};
use super::tier::{State, Tiers, deleted_name, key_of};
use super::tombstone::Tombstones;
use super::{DurableConfig, DurableError, doing, of_segment};
use crate::SeriesStore;

/// What opening found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenReport {
    /// Segments in service.
    pub segments: u64,
    /// Samples read back from the log.
    pub replayed_samples: u64,
    /// Samples of the log that the limits no longer let in.
    pub refused_samples: u64,
    /// Bytes at the end of the log that were no whole record: nothing in them was acknowledged, unless the disk is
    /// damaged.
    pub cut_bytes: u64,
    /// Damaged files that were given another name, by the name they had.
    pub quarantined: Vec<String>,
}

/// The number in `prefix-NUMBER.suffix`.
fn number_of(name: &str, prefix: &str, suffix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
    digits.parse().ok().filter(|_| digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

impl DurableStore {
    /// Opens a folder, which is made if it is not there.
    ///
    /// # Errors
    /// [`DurableError::InUse`], [`DurableError::Newer`], or [`DurableError::Io`]. Damaged files are no error: the
    /// report names them.
    pub fn open(path: &Path, config: DurableConfig) -> Result<(Self, OpenReport), DurableError> {
        let name = path.display().to_string();
        let folder = OsFolder::new(path).map_err(doing("make the folder", &name))?;
        let lock = File::create(path.join("lock")).map_err(doing("create", "lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DurableError::InUse { name }),
            Err(TryLockError::Error(error)) => return Err(doing("lock", "lock")(error)),
        }
        Self::open_in(Arc::new(folder), config, Some(lock))
    }

    pub(super) fn open_in(
        folder: Arc<dyn Folder>,
        config: DurableConfig,
        file_lock: Option<File>,
    ) -> Result<(Self, OpenReport), DurableError> {
        let mut report = OpenReport::default();
        let mut segments = BTreeMap::new();
        let mut tiers = Tiers::default();
        match State::read(folder.as_ref())? {
            Some(state) => tiers.state = state,
            // Of all samples that are there the buckets are made again.
            None => set_aside(folder.as_ref(), State::name(), &mut report)?,
        }
        let mut logs = Vec::new();
        let mut highest = 0;
        for name in folder.list().map_err(doing("list", "the folder"))? {
            if name.ends_with(UNFINISHED) {
                folder.remove(&name).map_err(doing("remove", &name))?;
            } else if let Some(number) = number_of(&name, "log-", ".itom") {
                logs.push(number);
                highest = highest.max(number);
            } else if let Some(number) = number_of(&name, "segment-", ".itom") {
                highest = highest.max(number);
                match open_segment(folder.as_ref(), number, &mut report)? {
                    Some(segment) => drop(segments.insert(number, Arc::new(segment))),
                    None => {
                        set_aside(folder.as_ref(), &name, &mut report)?;
                    }
                }
            } else if let Some(key) = key_of(&name) {
                highest = highest.max(key.2);
                match open_named(folder.as_ref(), &name, &deleted_name(key), &mut report)? {
                    Some(segment) => drop(tiers.files.insert(key, Arc::new(segment))),
                    None => set_aside(folder.as_ref(), &name, &mut report)?,
                }
            }
        }
        report.segments = segments.len() as u64;
        let mut memory_config = config.memory.clone();
        memory_config.retention = config.retention;
        let memory = SeriesStore::new(memory_config);
        if let Some(newest) = segments.values().map(|segment: &Arc<Segment>| segment.range().1).max() {
            memory.moving(newest);
        }
        let mut replayer = Replayer { memory: &memory, report: &mut report, now: i64::MIN, oldest: i64::MAX };
        let mut torn = false;
        let last = logs.last().copied();
        for number in &logs {
            torn |= replayer.log(folder.as_ref(), *number, Some(*number) == last)?;
        }
        let (now, oldest) = (replayer.now, replayer.oldest);

        let number = highest + 1;
        let name = log_name(number);
        let sink = folder.create(&name).map_err(doing("create", &name))?;
        sink.write(MAGIC).and_then(|()| sink.sync()).map_err(doing("write", &name))?;
        folder.sync().map_err(doing("sync the folder of", &name))?;
        let bytes = MAGIC.len() as u64;
        let writer = Writer { sink, encoder: Encoder::default(), number, written: 0, unsure: false, bytes };
        let store = Self {
            folder,
            config,
            memory,
            writer: Mutex::new(writer),
            synced: AtomicU64::new(0),
            sync_gate: Mutex::default(),
            segments: RwLock::new(segments),
            exclusive: Mutex::default(),
            next_number: AtomicU64::new(number + 1),
            oldest: AtomicI64::new(oldest),
            now: AtomicI64::new(now),
            quarantined: AtomicU64::new(report.quarantined.len() as u64),
            past: AtomicU64::new(0),
            tiers: RwLock::new(tiers),
            _lock: file_lock,
        };
        if torn {
            // What is cut must not stand before later files.
            let mut writer = lock(&store.writer);
            store.checkpoint(&mut writer)?;
        }
        Ok((store, report))
    }

    /// The latest time that the store was told, also before it was closed.
    #[must_use]
    pub fn last_told(&self) -> Option<Timestamp> {
        let now = self.now.load(Ordering::Relaxed);
        (now != i64::MIN).then(|| Timestamp::from_micros(now))
    }
}

fn set_aside(folder: &dyn Folder, name: &str, report: &mut OpenReport) -> Result<(), DurableError> {
    folder.rename(name, &format!("{name}.quarantined")).map_err(doing("rename", name))?;
    report.quarantined.push(name.to_owned());
    Ok(())
}

/// `None` when the segment is damaged.
fn open_segment(
    folder: &dyn Folder,
    number: u64,
    report: &mut OpenReport,
) -> Result<Option<Segment>, DurableError> {
    open_named(folder, &segment_name(number), &tombstone_name(number), report)
}

/// The file of that name, with what is deleted of it.
fn open_named(
    folder: &dyn Folder,
    name: &str,
    tombstones: &str,
    report: &mut OpenReport,
) -> Result<Option<Segment>, DurableError> {
    let segment = match Segment::open(folder, name) {
        Ok(segment) => segment,
        Err(SegmentError::Corrupt(_)) => return Ok(None),
        Err(error) => return Err(of_segment("read", name, error)),
    };
    match folder.read(tombstones) {
        Ok(bytes) => match Tombstones::from_bytes(&bytes) {
            Some(deleted) => segment.set_tombstones(deleted),
            None => set_aside(folder, tombstones, report)?,
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(doing("read", tombstones)(error)),
    }
    Ok(Some(segment))
}

struct Replayer<'a> {
    memory: &'a SeriesStore,
    report: &'a mut OpenReport,
    now: i64,
    oldest: i64,
}

impl Replayer<'_> {
    /// Whether the file's end was cut.
    fn log(&mut self, folder: &dyn Folder, number: u64, last: bool) -> Result<bool, DurableError> {
        let name = log_name(number);
        let bytes = folder.read(&name).map_err(doing("read", &name))?;
        let replayed = replay(&bytes, |record| self.record(record));
        if replayed.newer {
            return Err(DurableError::Newer { name });
        }
        self.report.cut_bytes += replayed.cut;
        if replayed.cut > 0 && !last {
            // An interrupted write is at the very end only: this is damage, and worth a look.
            set_aside(folder, &name, self.report)?;
        }
        Ok(replayed.cut > 0)
    }

    fn record(&mut self, record: Record) {
        match record {
            Record::Samples { now, samples } => {
                self.now = self.now.max(now.as_micros());
                let oldest = samples.iter().map(|sample| sample.at.as_millis()).min();
                self.oldest = self.oldest.min(oldest.unwrap_or(i64::MAX));
                let report = self.memory.append_noting(now, &samples, |_| {});
                self.report.replayed_samples += report.stored;
                self.report.refused_samples += report.refused_total();
            }
            Record::Histograms { now, histograms } => {
                self.now = self.now.max(now.as_micros());
                let oldest = histograms.iter().map(|one| one.at.as_millis()).min();
                self.oldest = self.oldest.min(oldest.unwrap_or(i64::MAX));
                let report = self.memory.append_histograms(now, &histograms);
                self.report.replayed_samples += report.stored;
                self.report.refused_samples += report.refused_total();
            }
            Record::Metadata(all) => {
                for (metric, about) in all {
                    self.memory.set_metadata(&metric, about);
                }
            }
            Record::Exemplars(all) => {
                for (metric, labels, exemplar) in all {
                    self.memory.append_exemplar(&metric, &labels, exemplar);
                }
            }
            // What is said of a sample that moved to a segment is there.
            Record::Starts(reach, all) => self.memory.set_starts_noting(&all, reach, |_, _| {}),
            Record::Delete { matchers, from, to } => {
                // The expressions compiled when they were written.
                let _ = self.memory.delete_millis(&matchers, from, to);
            }
        }
    }
}
