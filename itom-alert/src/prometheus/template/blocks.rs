//! Whether blocks begin and end as Go wants it: the template engine forgives what Go refuses.

struct Open {
    keyword: String,
    has_else: bool,
}

/// Checks that every block has its end, and nothing else.
pub(super) fn check(text: &str) -> Result<(), String> {
    let mut open: Vec<Open> = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let line = 1 + text[..text.len() - rest.len() + start].matches('\n').count();
        let wrong = |reason: String| Err(format!("line {line}: {reason}"));
        rest = &rest[start + 2..];
        let inner = rest.strip_prefix("- ").unwrap_or(rest).trim_start();
        if let Some(comment) = inner.strip_prefix("/*") {
            let Some(end) = comment.find("*/") else { return wrong("unclosed comment".into()) };
            rest = &comment[end + 2..];
            continue;
        }
        let Some(action) = action(rest) else { return wrong("unclosed action".into()) };
        rest = &rest[action.len() + 2..];
        let first = action.trim_start_matches('-').trim_start();
        let keyword: String = first.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        match keyword.as_str() {
            "define" if !open.is_empty() => return wrong("unexpected {{define}}".into()),
            "if" | "range" | "with" | "define" | "block" => open.push(Open { keyword, has_else: false }),
            "end" if open.pop().is_none() => return wrong("unexpected {{end}}".into()),
            "else" => match open.last_mut() {
                Some(block)
                    if !block.has_else && matches!(block.keyword.as_str(), "if" | "range" | "with") =>
                {
                    let more = first["else".len()..].trim_start();
                    block.has_else = !(more.starts_with("if") || more.starts_with("with"));
                }
                _ => return wrong("unexpected {{else}}".into()),
            },
            "break" | "continue" if !open.iter().any(|block| block.keyword == "range") => {
                return wrong(format!("{{{{{keyword}}}}} outside {{{{range}}}}"));
            }
            _ => {}
        }
    }
    if open.is_empty() { Ok(()) } else { Err("unexpected EOF: a block has no {{end}}".into()) }
}

/// The text up to `}}`, which may stand in quotes.
fn action(text: &str) -> Option<&str> {
    let mut quote = None;
    let mut escaped = false;
    for (at, found) in text.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some('"' | '\'') if found == '\\' => escaped = true,
            Some(open) if found == open => quote = None,
            Some('"' | '\'') if found == '\n' => return None,
            Some(_) => {}
            None if matches!(found, '"' | '\'' | '`') => quote = Some(found),
            None if text[at..].starts_with("}}") => return Some(&text[..at]),
            None => {}
        }
    }
    None
}
