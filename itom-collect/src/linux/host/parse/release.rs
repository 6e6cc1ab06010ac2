//! `os-release`.

use std::collections::BTreeMap;

use super::super::scan::{Garbled, lines, text};

/// What `/etc/os-release` says (os-release(5)): variable names and values, unquoted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct OsRelease(BTreeMap<String, String>);

impl OsRelease {
    /// The value of a variable, if it is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The leading number of `VERSION_ID`: `22.04` of `22.04.1`.
    pub(crate) fn version_number(&self) -> Option<f64> {
        let text = self.get("VERSION_ID")?;
        let mut dots = 0;
        let end = text
            .bytes()
            .position(|byte| {
                dots += u32::from(byte == b'.');
                !(byte.is_ascii_digit() || byte == b'.' && dots == 1)
            })
            .unwrap_or(text.len());
        text[..end].trim_end_matches('.').parse().ok()
    }
}

/// Reads it by the shell's rules that os-release(5) allows: single quotes keep everything, double quotes know
/// backslashes before `"`, `$`, `` ` `` and `\`. The last assignment wins.
pub(crate) fn parse_os_release(bytes: &[u8]) -> (OsRelease, Result<(), Garbled>) {
    let mut release = OsRelease::default();
    let mut result = Ok(());
    for line in lines(bytes) {
        let line = text(line.trim_ascii());
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match assignment(&line) {
            Some((name, value)) => {
                release.0.insert(name.to_owned(), value);
            }
            None => result = Err(Garbled),
        }
    }
    (release, result)
}

fn assignment(line: &str) -> Option<(&str, String)> {
    let (name, raw) = line.split_once('=')?;
    let valid = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with(|first: char| first.is_ascii_digit());
    if !valid {
        return None;
    }
    let mut value = String::with_capacity(raw.len());
    let mut rest = raw.chars();
    let mut quote = None;
    while let Some(c) = rest.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (Some('"'), '\\') => match rest.next()? {
                escaped @ ('"' | '$' | '`' | '\\') => value.push(escaped),
                other => value.extend(['\\', other]),
            },
            (None, '\\') => value.push(rest.next()?),
            // Unquoted blanks end the value; what follows is not an assignment.
            (None, c) if c.is_whitespace() => return None,
            (_, c) => value.push(c),
        }
    }
    quote.is_none().then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: Option<&str>) {
        let (release, result) = parse_os_release(format!("{line}\n").as_bytes());
        assert_eq!(release.get("A"), expected);
        assert_eq!(result.is_ok(), expected.is_some());
    }

    #[test]
    fn quoting_follows_the_shell() {
        check("A=plain", Some("plain"));
        check("A=\"two words\"", Some("two words"));
        check("A='it \"is\" \\n'", Some("it \"is\" \\n"));
        check(r#"A="a \"b\" \$c \\ \n""#, Some(r#"a "b" $c \ \n"#));
        check(r"A=a\ b", Some("a b"));
        check("A=\"open", None);
        check("A=a b", None);
        check("=x", None);
        check("no assignment", None);
    }

    #[test]
    fn versions_and_comments() {
        let (release, result) =
            parse_os_release(b"# comment\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"22.04.1\"\nVARIANT=\n");
        assert_eq!(result, Ok(()));
        assert_eq!(release.get("NAME"), Some("Debian GNU/Linux"));
        assert_eq!(release.get("VARIANT"), None);
        assert_eq!(release.version_number(), Some(22.04));
        assert_eq!(parse_os_release(b"VERSION_ID=12").0.version_number(), Some(12.0));
        assert_eq!(parse_os_release(b"VERSION_ID=rolling").0.version_number(), None);
    }
}
