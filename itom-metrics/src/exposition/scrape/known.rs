//! What the last exposition of a target looked like: the next one is mostly the same.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::created::Links;

/// What a line of the last exposition was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// `# TYPE`.
    Type,
    /// Another line that is no sample.
    Other,
    /// A `_created` line that is taken as a start and is no series.
    Created,
    /// A sample of the series in this place.
    Series(u32),
}

/// A line of an exposition: which text was read, and what it is. Of a sample it is the text of the series only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KnownLine {
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) what: What,
}

impl KnownLine {
    pub(super) fn of(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize).unwrap_or("")
    }
}

/// A series that is known by its text.
#[derive(Debug, Clone, Copy)]
struct Entry {
    start: u32,
    end: u32,
    /// Whether the text is in the exposition that is being read, and not in the last one.
    fresh: bool,
    /// Its line in the last exposition.
    line: u32,
    /// The scrape that had it last.
    seen: u64,
    /// Its last sample has the time of a scrape and no staleness marker after it.
    live: bool,
}

/// The texts of the last exposition and of the one that is being read.
pub(super) type Texts<'a> = (&'a str, &'a str);

fn text_of<'a>(entries: &[Entry], place: u32, (last, body): Texts<'a>) -> &'a str {
    let Some(entry) = entries.get(place as usize) else { return "" };
    let text = if entry.fresh { body } else { last };
    text.get(entry.start as usize..entry.end as usize).unwrap_or("")
}

/// Lines and series of the last good exposition.
#[derive(Debug)]
pub(super) struct Known<S> {
    pub(super) text: String,
    pub(super) lines: Vec<KnownLine>,
    entries: Vec<Entry>,
    /// Parallel to the entries.
    pub(super) series: Vec<S>,
    /// Places of entries by their text; looked up only, never iterated for an output.
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
    scrape: u64,
    /// Of the lines, made when first asked for.
    pub(super) links: Option<Links>,
}

impl<S> Default for Known<S> {
    fn default() -> Self {
        Self {
            text: String::new(),
            lines: Vec::new(),
            entries: Vec::new(),
            series: Vec::new(),
            table: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            scrape: 0,
            links: None,
        }
    }
}

impl<S: Clone> Known<S> {
    /// A scrape begins.
    pub(super) fn begin(&mut self) {
        self.scrape += 1;
    }

    /// The series with this text.
    pub(super) fn find(&self, text: &str, texts: Texts<'_>) -> Option<u32> {
        let equal = |place: &u32| text_of(&self.entries, *place, texts) == text;
        self.table.find(self.hasher.hash_one(text), equal).copied()
    }

    /// The line after that of a series in the last exposition.
    pub(super) fn line_after(&self, place: u32) -> Option<usize> {
        let entry = self.entries.get(place as usize)?;
        (!entry.fresh).then_some(entry.line as usize + 1)
    }

    /// A new series whose text stands in the exposition that is being read.
    pub(super) fn add(&mut self, line: KnownLine, texts: Texts<'_>, series: S) -> u32 {
        // Texts of one exposition: fewer than 2^32 bytes.
        let place = self.entries.len() as u32;
        let (start, end) = (line.start, line.end);
        self.entries.push(Entry { start, end, fresh: true, line: 0, seen: 0, live: false });
        self.series.push(series);
        let hash = self.hasher.hash_one(line.of(texts.1));
        let Self { table, hasher, entries, .. } = self;
        table.insert_unique(hash, place, |place| hasher.hash_one(text_of(entries, *place, texts)));
        place
    }

    /// The scrape has a sample of this series; `timed`: with a time of its own.
    pub(super) fn saw(&mut self, place: u32, timed: bool) {
        if let Some(entry) = self.entries.get_mut(place as usize) {
            entry.seen = self.scrape;
            entry.live = !timed;
        }
    }

    /// How many series are new.
    pub(super) fn added(&self) -> usize {
        self.entries.iter().rev().take_while(|entry| entry.fresh).count()
    }

    /// Places of the series that had a sample before and have none in this scrape.
    pub(super) fn vanished(&self) -> Vec<usize> {
        let gone = |entry: &Entry| entry.live && entry.seen != self.scrape;
        self.entries.iter().enumerate().filter(|(_, entry)| gone(entry)).map(|(place, _)| place).collect()
    }

    /// The exposition was good: the next one is expected to have these lines.
    pub(super) fn remember(&mut self, body: &str, lines: Vec<KnownLine>) {
        body.clone_into(&mut self.text);
        self.lines = lines;
        self.links = None;
        let entries = std::mem::take(&mut self.entries);
        let series = std::mem::take(&mut self.series);
        self.table.clear();
        let mut moved: Vec<Option<u32>> = vec![None; entries.len()];
        for (number, line) in self.lines.iter_mut().enumerate() {
            let What::Series(old) = line.what else { continue };
            let known = moved.get(old as usize).copied().flatten();
            let parts = entries.get(old as usize).zip(series.get(old as usize));
            let (None, Some((entry, one))) = (known, parts) else {
                line.what = known.map_or(What::Other, What::Series);
                continue;
            };
            let place = self.entries.len() as u32;
            let (start, end, number) = (line.start, line.end, number as u32);
            self.entries.push(Entry { start, end, fresh: false, line: number, ..*entry });
            self.series.push(one.clone());
            line.what = What::Series(place);
            if let Some(slot) = moved.get_mut(old as usize) {
                *slot = Some(place);
            }
        }
        self.lines.shrink_to_fit();
        let Self { table, hasher, entries, text, .. } = self;
        let hash = |place: &u32| hasher.hash_one(text_of(entries, *place, (text, "")));
        for place in 0..entries.len() as u32 {
            table.insert_unique(hash(&place), place, hash);
        }
    }

    /// The exposition was bad: what was new in it is forgotten. Gives the places of the series that had a sample before.
    pub(super) fn forget_new(&mut self) -> Vec<usize> {
        let keep = self.entries.len() - self.added();
        self.entries.truncate(keep);
        self.series.truncate(keep);
        self.table.retain(|place| (*place as usize) < keep);
        self.entries.iter().enumerate().filter(|(_, entry)| entry.live).map(|(place, _)| place).collect()
    }

    /// Their staleness markers are written.
    pub(super) fn ended(&mut self, places: &[usize]) {
        for place in places {
            if let Some(entry) = self.entries.get_mut(*place) {
                entry.live = false;
            }
        }
    }
}
