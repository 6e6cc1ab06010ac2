//! Texts from outside made safe for each syntax.

use std::fmt::Write;

/// Text for XML and HTML, inside elements and quoted attributes. Characters that XML 1.0 cannot hold are replaced.
pub(super) fn xml(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for found in text.chars() {
        match found {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\t' | '\n' | '\r' => safe.push(' '),
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            _ => safe.push(found),
        }
    }
    safe
}

/// A quoted string of DOT.
pub(super) fn dot(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 2);
    safe.push('"');
    for found in text.chars() {
        match found {
            '"' => safe.push_str("\\\""),
            '\\' => safe.push_str("\\\\"),
            _ if found.is_control() => safe.push(' '),
            _ => safe.push(found),
        }
    }
    safe.push('"');
    safe
}

/// Text inside a quoted label of Mermaid: what is not plainly harmless becomes a numeric code.
pub(super) fn mermaid(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for found in text.chars() {
        match found {
            _ if found.is_control() => safe.push(' '),
            _ if found.is_alphanumeric() || " .-_:/,()@+=".contains(found) => safe.push(found),
            _ => {
                let _ = write!(safe, "#{};", u32::from(found));
            }
        }
    }
    safe
}

/// JSON that may stand inside a script element.
pub(super) fn json_in_script(json: &str) -> String {
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

/// At most `most` characters, with an ellipsis where some are missing.
pub(super) fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}
