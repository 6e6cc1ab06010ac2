//! Copies of a whole folder.

use std::path::Path;

use super::folder::{Folder, OsFolder, UNFINISHED};
use super::log::replay;
use super::segment::Segment;
use super::store::{DurableStore, lock};
use super::tier::{State, key_of};
use super::{DurableError, doing, of_segment};

/// Copied at once.
const PIECE: u64 = 1 << 20;

fn copy(from: &dyn Folder, to: &dyn Folder, name: &str) -> Result<(), DurableError> {
    let source = from.open(name).map_err(doing("read", name))?;
    let length = source.len().map_err(doing("read", name))?;
    let unfinished = format!("{name}{UNFINISHED}");
    let sink = to.create(&unfinished).map_err(doing("create the copy of", name))?;
    let mut offset = 0;
    while offset < length {
        let piece = PIECE.min(length - offset);
        let bytes = source.read_at(offset, piece as usize).map_err(doing("read", name))?;
        sink.write(&bytes).map_err(doing("write the copy of", name))?;
        offset += piece;
    }
    sink.sync().map_err(doing("sync the copy of", name))?;
    to.rename(&unfinished, name).map_err(doing("rename the copy of", name))
}

/// The files that make up a store.
fn belongs(name: &str) -> bool {
    name.ends_with(".itom") || name.ends_with(".deleted")
}

fn empty_folder(path: &Path) -> Result<OsFolder, DurableError> {
    let name = path.display().to_string();
    let folder = OsFolder::new(path).map_err(doing("make the folder", &name))?;
    if folder.list().map_err(doing("list", &name))?.is_empty() {
        Ok(folder)
    } else {
        Err(DurableError::NotEmpty { name })
    }
}

fn copy_all(from: &dyn Folder, to: &dyn Folder) -> Result<(), DurableError> {
    for name in from.list().map_err(doing("list", "the folder"))? {
        if belongs(&name) {
            copy(from, to, &name)?;
        }
    }
    to.sync().map_err(doing("sync", "the copy"))
}

impl DurableStore {
    /// Copies the store into an empty folder, which [`DurableStore::open`] opens like the original. Appends wait
    /// meanwhile; what was acknowledged before is in the copy.
    ///
    /// # Errors
    /// [`DurableError::NotEmpty`] or [`DurableError::Io`].
    pub fn backup(&self, target: &Path) -> Result<(), DurableError> {
        let target = empty_folder(target)?;
        let _exclusive = lock(&self.exclusive);
        let mut writer = lock(&self.writer);
        if writer.unsure {
            self.checkpoint(&mut writer)?;
        }
        copy_all(self.folder.as_ref(), &target)
    }
}

/// Checks every checksum of a backup and copies it into an empty folder.
///
/// # Errors
/// [`DurableError::Damaged`] names the first file that is not whole; nothing is copied then.
/// [`DurableError::NotEmpty`], [`DurableError::Newer`] or [`DurableError::Io`].
pub fn restore(backup: &Path, target: &Path) -> Result<(), DurableError> {
    let source = OsFolder::new(backup).map_err(doing("open", "the backup"))?;
    for name in source.list().map_err(doing("list", "the backup"))? {
        if name.starts_with("segment-") && name.ends_with(".itom") {
            let failed = |error| of_segment("read", &name, error);
            Segment::open(&source, &name).map_err(failed)?.verify().map_err(failed)?;
        } else if key_of(&name).is_some() {
            let failed = |error| of_segment("read", &name, error);
            Segment::open(&source, &name).map_err(failed)?.verify_rows().map_err(failed)?;
        } else if name == State::name() {
            let what = "what is remembered about the tiers";
            State::read(&source)?.ok_or(DurableError::Damaged { name, what })?;
        } else if name.starts_with("log-") && name.ends_with(".itom") {
            let replayed = replay(&source.read(&name).map_err(doing("read", &name))?, |_| {});
            if replayed.newer {
                return Err(DurableError::Newer { name });
            }
            if replayed.cut > 0 {
                return Err(DurableError::Damaged { name, what: "its end is no whole record" });
            }
        }
    }
    copy_all(&source, &empty_folder(target)?)
}
