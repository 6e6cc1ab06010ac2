//! The shape dpkg's and apk's lists share: stanzas of `Key: value` lines, parted by empty lines.

use super::record::Garbage;

/// How the lines of a stanza look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Format {
    /// The fields that are kept; all others are skipped.
    pub(super) wanted: &'static [&'static str],
    /// Whether a line that begins with a blank continues the one before.
    pub(super) continued: Continued,
}

/// Whether a line that begins with a blank continues the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Continued {
    Yes,
    No,
}

/// The wanted fields of one stanza.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stanza {
    /// Line where it begins, counted from 1.
    pub(super) line: u64,
    fields: Vec<(&'static str, String)>,
}

impl Stanza {
    /// The value of a field, if it is there and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(have, _)| *have == name).map(|(_, value)| value.as_str())
    }
}

/// Longest line looked at; the rest of a longer one is skipped. Only fields that are not kept are longer.
pub(super) const MAX_LINE: usize = 4 * 1024;

/// Parts bytes, given in pieces of any size, into stanzas. Memory is bounded by one line and the wanted fields.
#[derive(Debug)]
pub(super) struct Stanzas {
    format: Format,
    line: Vec<u8>,
    /// Whether the line was longer than what is kept of it.
    cut: Cut,
    number: u64,
    current: Option<Result<Stanza, Garbage>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Yes,
    No,
}

impl Stanzas {
    pub(super) const fn new(format: Format) -> Self {
        Self { format, line: Vec::new(), cut: Cut::No, number: 0, current: None }
    }

    /// Takes bytes; `found` gets each stanza that ends in them.
    pub(super) fn feed(&mut self, bytes: &[u8], mut found: impl FnMut(Result<Stanza, Garbage>)) {
        let mut lines = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = lines.next() {
            let room = MAX_LINE - self.line.len();
            if part.len() > room {
                self.cut = Cut::Yes;
            }
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            if lines.peek().is_some() {
                self.end_line(&mut found);
            }
        }
    }

    /// The bytes have ended: gives the last stanza.
    pub(super) fn finish(mut self, mut found: impl FnMut(Result<Stanza, Garbage>)) {
        if !self.line.is_empty() {
            self.end_line(&mut found);
        }
        if let Some(last) = self.current.take() {
            found(last);
        }
    }

    fn end_line(&mut self, found: &mut impl FnMut(Result<Stanza, Garbage>)) {
        self.number += 1;
        let number = self.number;
        let mut line = std::mem::take(&mut self.line);
        let cut = std::mem::replace(&mut self.cut, Cut::No);
        if line.trim_ascii().is_empty() && cut == Cut::No {
            if let Some(stanza) = self.current.take() {
                found(stanza);
            }
        } else {
            let current = self.current.get_or_insert_with(|| Ok(Stanza { line: number, fields: Vec::new() }));
            if let Ok(stanza) = current
                && let Err(reason) = add_line(self.format, stanza, &line, cut)
            {
                *current = Err(Garbage { line: number, reason });
            }
        }
        line.clear();
        self.line = line;
    }
}

fn add_line(format: Format, stanza: &mut Stanza, line: &[u8], cut: Cut) -> Result<(), &'static str> {
    if format.continued == Continued::Yes && line.first().is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
        // No field that is kept spans lines.
        return Ok(());
    }
    let Some(colon) = line.iter().position(|byte| *byte == b':').filter(|at| *at > 0) else {
        return Err("a line is not `field: value`");
    };
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let Some(name) = format.wanted.iter().find(|wanted| wanted.as_bytes() == name) else { return Ok(()) };
    if cut == Cut::Yes {
        return Err("a field is too long");
    }
    if stanza.get(name).is_some() {
        return Err("a field stands twice");
    }
    let Ok(value) = std::str::from_utf8(value.trim_ascii()) else { return Err("a field is not UTF-8") };
    if value.contains(|c: char| c.is_control()) {
        return Err("a field has control characters");
    }
    if !value.is_empty() {
        stanza.fields.push((name, value.to_owned()));
    }
    Ok(())
}
