//! Tables for people, JSON for machines.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write as _;

use comfy_table::{ContentArrangement, Table, presets};

/// How answers are printed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Prints one of the two.
    pub(crate) fn print(
        self,
        text: impl FnOnce() -> String,
        json: impl FnOnce() -> serde_json::Value,
    ) -> Result<(), Box<dyn Error>> {
        let text = if self.json { format!("{}\n", serde_json::to_string_pretty(&json())?) } else { text() };
        match std::io::stdout().lock().write_all(text.as_bytes()) {
            // A reader that has seen enough is no error.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            other => Ok(other?),
        }
    }
}

/// A table without lines.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if table.width().is_none() {
        // Not a terminal: a width that logs and mails can bear.
        table.set_width(160);
    }
    table.set_header(header.iter().map(|title| title.to_uppercase()));
    table
}

/// The table, or a sentence when it has no rows.
pub(crate) fn rows(table: &Table, none: &str) -> String {
    if table.is_empty() { format!("{none}\n") } else { format!("{table}\n") }
}

/// Rows of a group in a table for people; further ones are counted.
const OF_A_GROUP: usize = 10;

/// What is printed of one row, where there are many alike.
pub(crate) enum Shown<T> {
    /// The row.
    Row(T),
    /// That so many more like those before are not shown.
    More(T, usize),
}

/// The rows in their order, but of each group only the first ten unless `all` are wanted; a count stands after the last
/// shown of a group.
pub(crate) fn folded<T: Clone, G: Ord>(all: bool, rows: Vec<T>, group: impl Fn(&T) -> G) -> Vec<Shown<T>> {
    let mut sizes: BTreeMap<G, usize> = BTreeMap::new();
    for row in &rows {
        *sizes.entry(group(row)).or_default() += 1;
    }
    let mut seen: BTreeMap<G, usize> = BTreeMap::new();
    let mut shown = Vec::new();
    for row in rows {
        let own = group(&row);
        let size = sizes.get(&own).copied().unwrap_or_default();
        let seen = seen.entry(own).or_default();
        *seen += 1;
        // A line that says "one more" is as long as the one more.
        if all || *seen <= OF_A_GROUP || size == OF_A_GROUP + 1 {
            shown.push(Shown::Row(row));
        } else if *seen == OF_A_GROUP + 1 {
            shown.push(Shown::More(row, size - OF_A_GROUP));
        }
    }
    shown
}

/// A text cut for a table.
pub(crate) fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let cut: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{cut}…")
}
