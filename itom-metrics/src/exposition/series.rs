//! The text that names a series: its metric and its labels.

use std::borrow::Cow;

/// The text that names a series, as it stands in the exposition, found well formed.
///
/// ```
/// use itom_metrics::exposition::{Format, Line, TextReader};
/// let mut reader = TextReader::new("up{job=\"a\\nb\"} 1\n", Format::Text, Default::default())?;
/// let Some(Line::Sample { series, value, .. }) = reader.next_line()? else { panic!("a sample") };
/// assert_eq!(series.name(), "up");
/// assert_eq!(series.labels().collect::<Vec<_>>(), [("job".into(), "a\nb".into())]);
/// assert_eq!(value.value, 1.0);
/// # Ok::<(), itom_metrics::exposition::ExpositionError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeriesText<'a>(pub(super) &'a str);

impl<'a> SeriesText<'a> {
    /// The text itself.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// The metric's name.
    #[must_use]
    pub fn name(self) -> Cow<'a, str> {
        let plain = self.0.split(['{', ' ', '\t']).next().unwrap_or("");
        if !plain.is_empty() {
            return Cow::Borrowed(plain);
        }
        let found = self.parts().find(|(_, value)| value.is_none());
        found.map_or(Cow::Borrowed(""), |(name, _)| name)
    }

    /// Names and values of the labels, in their order.
    pub fn labels(self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> {
        self.parts().filter_map(|(name, value)| Some((name, value?)))
    }

    /// What stands between the braces: `name="value"`, or a quoted name alone.
    fn parts(self) -> impl Iterator<Item = (Cow<'a, str>, Option<Cow<'a, str>>)> {
        let mut rest = self.0.split_once('{').map_or("", |(_, inside)| inside);
        std::iter::from_fn(move || {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            let name = if rest.starts_with('"') {
                quoted(&mut rest)?
            } else {
                let end = rest.find(['=', ' ', '\t', '}'])?;
                let (name, after) = rest.split_at_checked(end)?;
                rest = after;
                if name.is_empty() {
                    return None;
                }
                Cow::Borrowed(name)
            };
            rest = rest.trim_start_matches([' ', '\t']);
            let Some(after) = rest.strip_prefix('=') else { return Some((name, None)) };
            rest = after.trim_start_matches([' ', '\t']);
            Some((name, Some(quoted(&mut rest)?)))
        })
    }
}

/// Takes a quoted text off the front.
fn quoted<'a>(rest: &mut &'a str) -> Option<Cow<'a, str>> {
    let end = closing_quote(rest.as_bytes(), 1)?;
    let inside = rest.get(1..end)?;
    *rest = rest.get(end + 1..)?;
    Some(unescape(inside))
}

/// The quote that ends a text whose first byte inside the quotes is at `from`.
pub(super) fn closing_quote(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += bytes.get(at..)?.iter().position(|byte| matches!(byte, b'"' | b'\\' | b'\n'))?;
        match bytes.get(at) {
            Some(b'"') => return Some(at),
            Some(b'\\') if bytes.get(at + 1).is_some_and(|next| *next != b'\n') => at += 2,
            _ => return None,
        }
    }
}

/// `\\`, `\"` and `\n`; a backslash before anything else stands for itself.
pub(super) fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(found) = rest.next() {
        if found != '\\' {
            out.push(found);
            continue;
        }
        match rest.clone().next() {
            Some('n') => out.push('\n'),
            Some(other @ ('\\' | '"')) => out.push(other),
            _ => {
                out.push('\\');
                continue;
            }
        }
        rest.next();
    }
    Cow::Owned(out)
}
