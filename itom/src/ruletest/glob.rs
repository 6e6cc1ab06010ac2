//! Patterns of file names, as Go's `filepath.Glob` knows them: `*`, `?`, `[a-z]` and `\` within one name.

use std::path::{Component, Path, PathBuf};

/// A pattern that cannot be one: a bracket that is not closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadPattern;

/// The files that fit a pattern, sorted. A folder that cannot be read fits nothing.
pub(super) fn glob(pattern: &Path) -> Result<Vec<PathBuf>, BadPattern> {
    let mut found = vec![PathBuf::new()];
    for component in pattern.components() {
        let Component::Normal(name) = component else {
            found.iter_mut().for_each(|path| path.push(component));
            continue;
        };
        let name = name.to_string_lossy();
        let mut next = Vec::new();
        if !name.contains(['*', '?', '[', '\\']) {
            next.extend(found.into_iter().map(|path| path.join(&*name)).filter(|path| path.exists()));
        } else {
            fits(&name, "")?;
            for folder in found {
                let folder_to_read = if folder.as_os_str().is_empty() { Path::new(".") } else { &folder };
                let Ok(entries) = std::fs::read_dir(folder_to_read) else { continue };
                for entry in entries.flatten() {
                    let entry = entry.file_name();
                    if fits(&name, &entry.to_string_lossy())? {
                        next.push(folder.join(&entry));
                    }
                }
            }
        }
        found = next;
    }
    found.sort();
    Ok(found)
}

/// Whether a name fits a pattern. Time grows with the product of both lengths at most.
fn fits(pattern: &str, name: &str) -> Result<bool, BadPattern> {
    let pattern = words(pattern)?;
    let name: Vec<char> = name.chars().collect();
    // Which beginnings of the name the pattern so far fits.
    let mut reached = vec![false; name.len() + 1];
    reached[0] = true;
    for word in &pattern {
        let mut next = vec![false; name.len() + 1];
        for at in 0..=name.len() {
            match word {
                Word::Any => next[at] = reached[at] || (at > 0 && next[at - 1]),
                Word::One(one) => next[at] = at > 0 && reached[at - 1] && one.fits(name[at - 1]),
            }
        }
        reached = next;
    }
    Ok(reached[name.len()])
}

enum Word {
    Any,
    One(One),
}

enum One {
    Any,
    Is(char),
    Among { not: bool, ranges: Vec<(char, char)> },
}

impl One {
    fn fits(&self, found: char) -> bool {
        match self {
            Self::Any => true,
            Self::Is(wanted) => *wanted == found,
            Self::Among { not, ranges } => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&found)) != *not
            }
        }
    }
}

fn words(pattern: &str) -> Result<Vec<Word>, BadPattern> {
    let mut words = Vec::new();
    let mut rest = pattern.chars().peekable();
    while let Some(next) = rest.next() {
        words.push(match next {
            '*' => Word::Any,
            '?' => Word::One(One::Any),
            '\\' => Word::One(One::Is(rest.next().ok_or(BadPattern)?)),
            '[' => {
                let not = rest.next_if_eq(&'^').is_some();
                let mut ranges = Vec::new();
                let one = |rest: &mut std::iter::Peekable<std::str::Chars<'_>>| match rest.next() {
                    Some('\\') => rest.next().ok_or(BadPattern),
                    Some(found) if found != '-' => Ok(found),
                    _ => Err(BadPattern),
                };
                while ranges.is_empty() || rest.peek() != Some(&']') {
                    let from = one(&mut rest)?;
                    let to = if rest.next_if_eq(&'-').is_some() { one(&mut rest)? } else { from };
                    ranges.push((from, to));
                }
                rest.next();
                Word::One(One::Among { not, ranges })
            }
            other => Word::One(One::Is(other)),
        });
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_in_go() {
        for (pattern, name, wanted) in [
            ("*.yml", "rules.yml", true),
            ("*.yml", "rules.yaml", false),
            ("a*b*c", "a-b-b-c", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[a\\-]x", "-x", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("*", "", true),
        ] {
            assert_eq!(fits(pattern, name), Ok(wanted), "{pattern} on {name}");
        }
        for pattern in ["[", "[a", "[]", "[a-", "\\"] {
            assert_eq!(fits(pattern, "a"), Err(BadPattern), "{pattern}");
        }
    }

    proptest::proptest! {
        #[test]
        fn l10_any_pattern_fits_or_is_refused(pattern in "[*?\\[\\]^ab\\-\\\\]{0,24}", name in "[ab\\-]{0,24}") {
            let _ = fits(&pattern, &name);
        }
    }
}
