//! Tables for people, JSON for machines.

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

/// A text cut for a table.
pub(crate) fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let cut: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{cut}…")
}
