//! The few things that are done with files: small enough to be replaced by ones that fail in tests.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A file that is written at its end.
pub(super) trait Sink: Send + Sync + Debug {
    fn write(&self, bytes: &[u8]) -> io::Result<()>;
    /// Returns when all that was written is on the disk.
    fn sync(&self) -> io::Result<()>;
}

/// A file that is read anywhere.
pub(super) trait Source: Send + Sync + Debug {
    fn len(&self) -> io::Result<u64>;
    fn read_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>>;
}

/// A folder without folders in it.
pub(super) trait Folder: Send + Sync + Debug {
    /// A new, empty file; one of that name is emptied.
    fn create(&self, name: &str) -> io::Result<Arc<dyn Sink>>;
    fn open(&self, name: &str) -> io::Result<Arc<dyn Source>>;
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Names, sorted.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Returns when names made, changed and removed are on the disk.
    fn sync(&self) -> io::Result<()>;

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let source = self.open(name)?;
        let length = usize::try_from(source.len()?).map_err(io::Error::other)?;
        source.read_at(0, length)
    }

    /// Puts a whole file in place: it is there with all its content, or not at all.
    fn place(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let unfinished = format!("{name}{UNFINISHED}");
        let sink = self.create(&unfinished)?;
        sink.write(content)?;
        sink.sync()?;
        self.rename(&unfinished, name)?;
        self.sync()
    }
}

/// The end of the name of a file that is being written.
pub(super) const UNFINISHED: &str = ".unfinished";

/// A folder of the operating system.
#[derive(Debug)]
pub(super) struct OsFolder {
    path: PathBuf,
}

impl OsFolder {
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        Ok(Self { path: path.to_owned() })
    }
}

#[derive(Debug)]
struct OsSink(Mutex<File>, File);

impl Sink for OsSink {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        // A second handle of the same file: writers do not wait for the disk.
        self.1.sync_data()
    }
}

#[derive(Debug)]
struct OsSource(Mutex<File>);

impl Source for OsSource {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).metadata()?.len())
    }

    fn read_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if offset.saturating_add(length as u64) > file.metadata()?.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; length];
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

impl Folder for OsFolder {
    fn create(&self, name: &str) -> io::Result<Arc<dyn Sink>> {
        let file = OpenOptions::new().create(true).write(true).truncate(true).open(self.path.join(name))?;
        let second = file.try_clone()?;
        Ok(Arc::new(OsSink(Mutex::new(file), second)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn Source>> {
        Ok(Arc::new(OsSource(Mutex::new(File::open(self.path.join(name))?))))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            // Files that are not ours may be called anything.
            if entry.file_type()?.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn sync(&self) -> io::Result<()> {
        // Windows cannot open a folder as a file and needs no such thing.
        if cfg!(unix) { File::open(&self.path)?.sync_all() } else { Ok(()) }
    }
}
