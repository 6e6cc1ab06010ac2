//! Strings of the language, which are bytes.

use std::fmt::{self, Write as _};

/// The value of a string literal: bytes, because `"\xff"` is a string in PromQL. Nearly always UTF-8.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RawText(Box<[u8]>);

impl RawText {
    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The characters, unless the bytes are not UTF-8.
    #[must_use]
    pub fn to_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// As a literal in double quotes, escaped as Go's `%q` does: it reads back to the same bytes.
    #[must_use]
    pub fn quoted(&self) -> String {
        let mut out = String::with_capacity(self.0.len() + 2);
        out.push('"');
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                quote_char(&mut out, c);
            }
            for byte in chunk.invalid() {
                escape(&mut out, format_args!("\\x{byte:02x}"));
            }
        }
        out.push('"');
        out
    }
}

fn quote_char(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\u{b}' => out.push_str("\\v"),
        c if (c as u32) < 0x20 || c as u32 == 0x7f => escape(out, format_args!("\\x{:02x}", c as u32)),
        // What cannot be seen is written as a code: controls and the separators that are no plain space.
        c if c != ' '
            && (c.is_control() || c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}'..='\u{200f}')) =>
        {
            escape(out, format_args!("\\u{:04x}", c as u32));
        }
        c => out.push(c),
    }
}

fn escape(out: &mut String, code: fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = out.write_fmt(code);
}

impl From<Vec<u8>> for RawText {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into_boxed_slice())
    }
}
impl From<&str> for RawText {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().into())
    }
}
impl From<String> for RawText {
    fn from(text: String) -> Self {
        Self(text.into_bytes().into_boxed_slice())
    }
}
impl fmt::Debug for RawText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.quoted())
    }
}
/// The characters; bytes that are not UTF-8 are replaced.
impl fmt::Display for RawText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}
