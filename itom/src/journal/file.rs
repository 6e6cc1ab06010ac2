//! A journal in one file: JSON lines, synced to disk, rewritten when mostly dead.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind as Io, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Journal, JournalError, apply_to};

/// A journal in one file. A line is appended and synced for each change; a line that was cut by a crash is dropped when
/// the file is opened, any other damage is refused.
#[derive(Debug)]
pub struct FileJournal {
    path: PathBuf,
    state: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    file: File,
    live: BTreeMap<String, String>,
    lines: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<String>,
}

/// Dead lines that are tolerated before the file is rewritten.
const SLACK: usize = 1_000;

impl FileJournal {
    /// A journal at `path`; nothing is opened or created before it is used.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), state: Mutex::new(None) }
    }

    fn error(&self, doing: &'static str) -> impl FnOnce(std::io::Error) -> JournalError {
        let path = self.path.display().to_string();
        move |source| JournalError::Io { path, doing, source }
    }

    fn open(&self) -> Result<Open, JournalError> {
        let (live, lines, whole) = self.read()?;
        let file =
            OpenOptions::new().create(true).append(true).open(&self.path).map_err(self.error("opened"))?;
        let length = file.metadata().map_err(self.error("opened"))?.len();
        if whole < length {
            // The tail that a crash cut off was never acknowledged.
            file.set_len(whole).map_err(self.error("mended"))?;
            file.sync_all().map_err(self.error("mended"))?;
        }
        Ok(Open { file, live, lines })
    }

    /// What the file says, how many lines it has, and how many of its bytes are whole lines.
    fn read(&self) -> Result<(BTreeMap<String, String>, usize, u64), JournalError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == Io::NotFound => return Ok((BTreeMap::new(), 0, 0)),
            Err(error) => return Err(self.error("read")(error)),
        };
        let mut reader = BufReader::new(file);
        let (mut live, mut lines, mut whole) = (BTreeMap::new(), 0, 0);
        let mut raw = Vec::new();
        loop {
            raw.clear();
            let read = reader.read_until(b'\n', &mut raw).map_err(self.error("read"))?;
            if read == 0 || raw.last() != Some(&b'\n') {
                return Ok((live, lines, whole));
            }
            let line: Line = serde_json::from_slice(&raw).map_err(|source| JournalError::Corrupt {
                path: self.path.display().to_string(),
                line: lines + 1,
                source,
            })?;
            apply_to(&mut live, vec![(line.key, line.value)]);
            lines += 1;
            whole += read as u64;
        }
    }

    fn with<T>(
        &self,
        act: impl FnOnce(&Self, &mut Open) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let open = match state.as_mut() {
            Some(open) => open,
            None => state.insert(self.open()?),
        };
        let done = act(self, open);
        if done.is_err() {
            // What the file holds is not certain any more: look again before the next change.
            *state = None;
        }
        done
    }

    fn rewrite(&self, open: &mut Open) -> Result<(), JournalError> {
        let fresh = self.path.with_extension("new");
        let mut file = File::create(&fresh).map_err(self.error("rewritten"))?;
        let mut text = Vec::new();
        for (key, value) in &open.live {
            encode(&mut text, key, Some(value));
        }
        file.write_all(&text).map_err(self.error("rewritten"))?;
        file.sync_all().map_err(self.error("rewritten"))?;
        std::fs::rename(&fresh, &self.path).map_err(self.error("rewritten"))?;
        if let Some(folder) = self.path.parent().filter(|folder| *folder != Path::new("")) {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(self.error("rewritten"))?;
        }
        open.file = OpenOptions::new().append(true).open(&self.path).map_err(self.error("opened"))?;
        open.lines = open.live.len();
        Ok(())
    }
}

fn encode(text: &mut Vec<u8>, key: &str, value: Option<&String>) {
    let line = Line { key: key.to_owned(), value: value.cloned() };
    // Two strings always have a JSON form.
    if serde_json::to_writer(&mut *text, &line).is_ok() {
        text.push(b'\n');
    }
}

#[async_trait]
impl Journal for FileJournal {
    async fn load(&self) -> Result<BTreeMap<String, String>, JournalError> {
        self.with(|_, open| Ok(open.live.clone()))
    }

    async fn apply(&self, changes: Vec<(String, Option<String>)>) -> Result<(), JournalError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.with(|journal, open| {
            let mut text = Vec::new();
            for (key, value) in &changes {
                encode(&mut text, key, value.as_ref());
            }
            open.file.write_all(&text).map_err(journal.error("written"))?;
            open.file.sync_data().map_err(journal.error("synced"))?;
            open.lines += changes.len();
            apply_to(&mut open.live, changes);
            if open.lines > open.live.len() + SLACK {
                journal.rewrite(open)?;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("itom-journal-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a temporary folder");
        path
    }

    fn put(key: &str, value: &str) -> (String, Option<String>) {
        (key.into(), Some(value.into()))
    }

    #[test]
    fn what_was_put_is_there_after_opening_again() {
        let path = folder("again").join("outbox.jsonl");
        block_on(FileJournal::new(&path).apply(vec![
            put("a", "1"),
            put("b", "2\n\"x\""),
            ("a".into(), None),
        ]))
        .expect("written");
        let live = block_on(FileJournal::new(&path).load()).expect("read");
        assert_eq!(live.into_iter().collect::<Vec<_>>(), [("b".to_owned(), "2\n\"x\"".to_owned())]);
    }

    #[test]
    fn a_cut_tail_is_dropped_at_every_length_and_the_rest_kept() {
        let path = folder("cut").join("outbox.jsonl");
        block_on(FileJournal::new(&path).apply(vec![put("a", "1"), put("b", "2")])).expect("written");
        let whole = std::fs::read(&path).expect("read");
        let first = whole.iter().position(|byte| *byte == b'\n').expect("two lines") + 1;
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).expect("cut");
            let journal = FileJournal::new(&path);
            let live = block_on(journal.load()).expect("a cut tail is no damage");
            assert_eq!(live.len(), usize::from(length >= first), "cut at {length}");
            block_on(journal.apply(vec![put("c", "3")])).expect("written after mending");
            let live = block_on(FileJournal::new(&path).load()).expect("read");
            assert_eq!(live.get("c").map(String::as_str), Some("3"), "cut at {length}");
        }
    }

    #[test]
    fn damage_in_the_middle_is_refused_and_left_alone() {
        let path = folder("damage").join("outbox.jsonl");
        let text = "{\"key\":\"a\",\"value\":\"1\"}\nnonsense\n{\"key\":\"b\"}\n";
        std::fs::write(&path, text).expect("written");
        let refused = block_on(FileJournal::new(&path).apply(vec![put("c", "3")]));
        assert!(matches!(refused, Err(JournalError::Corrupt { line: 2, .. })), "{refused:?}");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), text);
    }

    #[test]
    fn a_mostly_dead_file_is_rewritten() {
        let path = folder("rewrite").join("outbox.jsonl");
        let journal = FileJournal::new(&path);
        for round in 0..SLACK {
            let key = round.to_string();
            block_on(journal.apply(vec![put(&key, "x"), (key.clone(), None)])).expect("written");
        }
        block_on(journal.apply(vec![put("kept", "1")])).expect("written");
        let lines = std::fs::read_to_string(&path).expect("read").lines().count();
        assert!(lines <= SLACK + 1, "{lines} lines");
        assert_eq!(block_on(FileJournal::new(&path).load()).expect("read").len(), 1);
    }
}
