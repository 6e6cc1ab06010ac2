//! The queue on disk: what is acknowledged to whoever pushes is there after a crash.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use itom_core::{Classify, ErrorKind};

use super::{WriteSample, record};

/// What every file begins with.
const MAGIC: &[u8; 8] = b"itomrwq1";
/// Where the files of the queue are read up to.
const CURSOR: &str = "cursor";

/// Why the queue does not take samples, or cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// A file cannot be read or written.
    #[error("trying to {what} {file} of the remote write queue")]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        file: String,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The receiver takes less than is pushed.
    #[error(
        "the remote write queue holds {limit} bytes and may not hold more; the receiver takes too little"
    )]
    Full {
        /// How much it may hold.
        limit: u64,
    },
    /// Another process has it open.
    #[error("the remote write queue {folder} is open already")]
    Locked {
        /// Where it is.
        folder: String,
    },
}

impl Classify for QueueError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { .. } => ErrorKind::Unavailable,
            Self::Full { .. } => ErrorKind::Exhausted,
            Self::Locked { .. } => ErrorKind::Conflict,
        }
    }
}

fn doing(what: &'static str, file: &Path) -> impl FnOnce(std::io::Error) -> QueueError {
    let file = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    move |source| QueueError::Io { what, file, source }
}

/// How large the queue may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueConfig {
    /// Most bytes; more is refused. Default: 1 GiB.
    pub max_bytes: u64,
    /// When a new file is begun. Default: 8 MiB.
    pub file_bytes: u64,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self { max_bytes: 1 << 30, file_bytes: 8 << 20 }
    }
}

impl QueueConfig {
    /// Sets the most bytes.
    #[must_use]
    pub const fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Sets when a new file is begun.
    #[must_use]
    pub const fn file_bytes(mut self, bytes: u64) -> Self {
        self.file_bytes = bytes;
        self
    }
}

/// A place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    file: u64,
    offset: u64,
}

/// One file.
#[derive(Debug, Clone, Copy)]
struct Segment {
    number: u64,
    /// Up to here it is good.
    bytes: u64,
}

/// Samples on disk, first in first out. A push returns when its samples are on the disk; a batch stays until it is
/// taken out, and may come again after a crash.
///
/// ```
/// use itom_metrics::LabelSet;
/// use itom_metrics::remote_write::{Queue, QueueConfig, WriteSample};
/// # let folder = std::env::temp_dir().join(format!("itom-queue-example-{}", std::process::id()));
/// let up = LabelSet::from_pairs([("__name__", "up")]);
/// let mut queue = Queue::open(&folder, QueueConfig::default())?;
/// queue.push(&[WriteSample::float(up, 1_700_000_000_000, 1.0)])?;
/// drop(queue);
/// let mut queue = Queue::open(&folder, QueueConfig::default())?;
/// let (batch, end) = queue.peek(1_000)?.expect("it is still there");
/// assert_eq!(batch.len(), 1);
/// queue.advance(end)?;
/// assert!(queue.peek(1_000)?.is_none());
/// # drop(queue);
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Queue {
    folder: PathBuf,
    config: QueueConfig,
    /// In order; the last one is written to.
    segments: Vec<Segment>,
    /// The last one, opened.
    writer: Option<File>,
    cursor: Position,
    samples: u64,
    damaged: u64,
    _lock: File,
}

fn name(number: u64) -> String {
    format!("queue-{number:016}.itom")
}

fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix("queue-")?.strip_suffix(".itom")?.parse().ok()
}

impl Queue {
    /// Opens the queue in a folder, which is made if need be. What a crash left half-written is cut off.
    ///
    /// # Errors
    /// [`QueueError::Locked`] when it is open already; [`QueueError::Io`].
    pub fn open(folder: &Path, config: QueueConfig) -> Result<Self, QueueError> {
        std::fs::create_dir_all(folder).map_err(doing("make the folder", folder))?;
        let path = folder.join("lock");
        let lock = File::create(&path).map_err(doing("create", &path))?;
        if lock.try_lock().is_err() {
            return Err(QueueError::Locked { folder: folder.display().to_string() });
        }
        let entries = std::fs::read_dir(folder).map_err(doing("list", folder))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut numbers: Vec<u64> = names.filter_map(|name| number_of(&name)).collect();
        numbers.sort_unstable();
        let begin = |file| Position { file, offset: MAGIC.len() as u64 };
        let first = numbers.first().copied();
        let cursor = match read_cursor(&folder.join(CURSOR)) {
            Some(cursor) if numbers.contains(&cursor.file) => cursor,
            // The file was read to its end and removed: the next one has another number, so that the place in the old
            // one cannot be taken for one in it.
            Some(cursor) => begin(first.unwrap_or(cursor.file + 1)),
            None => begin(first.unwrap_or(0)),
        };
        let mut queue = Self {
            folder: folder.to_owned(),
            config,
            segments: Vec::new(),
            writer: None,
            cursor,
            samples: 0,
            damaged: 0,
            _lock: lock,
        };
        for number in numbers {
            queue.read_segment(number)?;
        }
        queue.remove_consumed()?;
        // Whether the last file was written by a version that went on after its end is not known: a new one is begun.
        Ok(queue)
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(name(number))
    }

    /// Looks at a file that was there: how far it is good, how many samples are not yet taken out.
    fn read_segment(&mut self, number: u64) -> Result<(), QueueError> {
        let path = self.path(number);
        let bytes = std::fs::read(&path).map_err(doing("read", &path))?;
        let mut good = MAGIC.len();
        if bytes.starts_with(MAGIC) {
            while let Some((content, length)) = record::first(bytes.get(good..).unwrap_or_default()) {
                if (Position { file: number, offset: good as u64 }) >= self.cursor {
                    self.samples += record::count(content);
                }
                good += length;
            }
        }
        if good < bytes.len() {
            self.damaged += 1;
        }
        self.segments.push(Segment { number, bytes: good as u64 });
        Ok(())
    }

    /// How many samples wait.
    #[must_use]
    pub const fn samples(&self) -> u64 {
        self.samples
    }

    /// How many bytes the files have.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// How many files had an end that was cut off or damaged when the queue was opened.
    #[must_use]
    pub const fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Adds samples, and returns when they are on the disk. All of them are, or none.
    ///
    /// # Errors
    /// [`QueueError::Full`], [`QueueError::Io`].
    pub fn push(&mut self, samples: &[WriteSample]) -> Result<(), QueueError> {
        if samples.is_empty() {
            return Ok(());
        }
        let record = record::encode(samples);
        if self.bytes() + record.len() as u64 > self.config.max_bytes {
            return Err(QueueError::Full { limit: self.config.max_bytes });
        }
        let full = self.segments.last().is_none_or(|last| last.bytes >= self.config.file_bytes);
        if self.writer.is_none() || full {
            self.begin_file()?;
        }
        let Some(last) = self.segments.last_mut() else { return Ok(()) };
        let path = self.folder.join(name(last.number));
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let written = writer.write_all(&record).and_then(|()| writer.sync_data());
        if let Err(error) = written {
            // What the file holds now is not known: it is believed up to here, and a new one is begun.
            let _ = writer.set_len(last.bytes);
            self.writer = None;
            return Err(doing("write", &path)(error));
        }
        last.bytes += record.len() as u64;
        self.samples += samples.len() as u64;
        Ok(())
    }

    fn begin_file(&mut self) -> Result<(), QueueError> {
        let number = self.segments.last().map_or(self.cursor.file, |last| last.number + 1);
        let path = self.path(number);
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .map_err(doing("create", &path))?;
        file.write_all(MAGIC).and_then(|()| file.sync_data()).map_err(doing("write", &path))?;
        // The name must survive too.
        let folder = File::open(&self.folder).and_then(|folder| folder.sync_all());
        folder.map_err(doing("sync the folder of", &path))?;
        self.segments.push(Segment { number, bytes: MAGIC.len() as u64 });
        self.writer = Some(file);
        Ok(())
    }

    /// The oldest samples, in the order they were pushed, until there are `most`, and where they end. What was pushed
    /// together stays together.
    ///
    /// # Errors
    /// [`QueueError::Io`].
    pub fn peek(&mut self, most: usize) -> Result<Option<(Vec<WriteSample>, Position)>, QueueError> {
        let mut found: Vec<WriteSample> = Vec::new();
        let mut end = self.cursor;
        let segments = self.segments.clone();
        for segment in segments.iter().filter(|segment| segment.number >= self.cursor.file) {
            let start =
                if segment.number == self.cursor.file { self.cursor.offset } else { MAGIC.len() as u64 };
            if start >= segment.bytes {
                continue;
            }
            let path = self.path(segment.number);
            let mut file = File::open(&path).map_err(doing("open", &path))?;
            file.seek(SeekFrom::Start(start)).map_err(doing("read", &path))?;
            let mut reader = std::io::BufReader::with_capacity(1 << 16, file.take(segment.bytes - start));
            let mut offset = start;
            while offset < segment.bytes {
                let mut bytes = vec![0; record::HEAD];
                reader.read_exact(&mut bytes).map_err(doing("read", &path))?;
                let length = bytes.first_chunk::<4>().map_or(0, |length| u32::from_le_bytes(*length));
                // The file was found good up to its end: no length leads beyond it.
                let length = u64::from(length).min(segment.bytes - offset);
                reader.by_ref().take(length).read_to_end(&mut bytes).map_err(doing("read", &path))?;
                let samples = record::first(&bytes).and_then(|(content, _)| record::decode(content));
                let Some(samples) = samples else {
                    let damaged = std::io::Error::other("a record was good and is damaged now");
                    return Err(doing("read", &path)(damaged));
                };
                if !found.is_empty() && found.len() + samples.len() > most {
                    return Ok(Some((found, end)));
                }
                offset += bytes.len() as u64;
                end = Position { file: segment.number, offset };
                found.extend(samples);
            }
        }
        Ok((!found.is_empty()).then_some((found, end)))
    }

    /// Takes everything before a place out.
    ///
    /// # Errors
    /// [`QueueError::Io`]: then it may come again after a restart.
    pub fn advance(&mut self, to: Position) -> Result<(), QueueError> {
        if to <= self.cursor {
            return Ok(());
        }
        let taken = self.count_between(self.cursor, to)?;
        self.samples = self.samples.saturating_sub(taken);
        self.cursor = to;
        let path = self.folder.join(CURSOR);
        let unfinished = self.folder.join("cursor.new");
        std::fs::write(&unfinished, cursor_bytes(to)).map_err(doing("write", &unfinished))?;
        std::fs::rename(&unfinished, &path).map_err(doing("rename", &path))?;
        self.remove_consumed()
    }

    fn count_between(&self, from: Position, to: Position) -> Result<u64, QueueError> {
        let mut count = 0;
        for segment in self.segments.iter().filter(|one| (from.file..=to.file).contains(&one.number)) {
            let start = if segment.number == from.file { from.offset } else { MAGIC.len() as u64 };
            let end = if segment.number == to.file { to.offset } else { segment.bytes };
            let path = self.path(segment.number);
            let bytes = std::fs::read(&path).map_err(doing("read", &path))?;
            let mut rest = bytes.get(start as usize..end as usize).unwrap_or_default();
            while let Some((content, length)) = record::first(rest) {
                count += record::count(content);
                rest = rest.get(length..).unwrap_or_default();
            }
        }
        Ok(count)
    }

    /// Removes the files before the cursor.
    fn remove_consumed(&mut self) -> Result<(), QueueError> {
        while let Some(first) = self.segments.first().copied() {
            let consumed = first.number < self.cursor.file
                || (first.number == self.cursor.file
                    && self.cursor.offset >= first.bytes
                    && self.writer.is_none());
            if !consumed || (self.writer.is_some() && self.segments.len() == 1) {
                break;
            }
            let path = self.path(first.number);
            std::fs::remove_file(&path).map_err(doing("remove", &path))?;
            self.segments.remove(0);
            if first.number >= self.cursor.file {
                self.cursor = Position { file: first.number + 1, offset: MAGIC.len() as u64 };
            }
        }
        Ok(())
    }
}

fn cursor_bytes(position: Position) -> Vec<u8> {
    let mut out = Vec::with_capacity(20);
    out.extend_from_slice(&position.file.to_le_bytes());
    out.extend_from_slice(&position.offset.to_le_bytes());
    let sum = crc32fast::hash(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

/// `None` when it is not there or half-written: then everything comes again.
fn read_cursor(path: &Path) -> Option<Position> {
    let bytes = std::fs::read(path).ok()?;
    let mut take = crate::code::Take(&bytes);
    let position = Position { file: take.fixed64()?, offset: take.fixed64()? };
    (cursor_bytes(position) == bytes).then_some(position)
}
