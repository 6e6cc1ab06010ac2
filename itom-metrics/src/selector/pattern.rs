//! Regular expressions in RE2's syntax on top of crate `regex`.
//!
//! Both run in linear time, but the syntax differs in places that matter to rules written for Prometheus. The
//! translation below gives an expression RE2's meaning, or refuses it as RE2 would:
//!
//! | text | crate `regex` | RE2, and here |
//! |---|---|---|
//! | `\d`, `\w`, `\s`, `\b` | Unicode | ASCII; `\s` without vertical tab |
//! | `a{`, `a{,5}` | error, or 0 to 5 | the literal characters |
//! | `\Q..\E` | error | literal text |
//! | `[a&&b]`, `[[a]`, `[a~~b]` | set operations | the literal characters |
//! | `a**`, `a{2}{3}` | accepted | error |
//! | `\<`, `\>` | word boundaries | the literal characters |
//! | `\123` | error | octal |
//! | flags `x`, `u`, `R` | accepted | error |
//!
//! Not offered: `\B` between ASCII word characters cannot be said in crate `regex` over text; it is refused.

use itom_core::EvaluateError;
use regex::{Regex, RegexBuilder};

/// A compiled expression, anchored at both ends.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(Regex);

/// Most memory one compiled expression may take, in bytes.
const COMPILED_LIMIT: usize = 1 << 20;
/// Most repetitions that `{n,m}` may ask for, as in Go.
const REPEAT_LIMIT: u32 = 1_000;

impl Pattern {
    pub(crate) fn compile(text: &str) -> Result<Self, EvaluateError> {
        let translated = Translator::new(text).run()?;
        if let Err(error) = regex_syntax::Parser::new().parse(&translated.out) {
            let (at, reason) = match &error {
                regex_syntax::Error::Parse(error) => (error.span().start.offset, error.kind().to_string()),
                regex_syntax::Error::Translate(error) => {
                    (error.span().start.offset, error.kind().to_string())
                }
                other => (0, other.to_string()),
            };
            return Err(invalid(text, translated.source_of(at), reason));
        }
        // The whole is parsed alone first: `a)|(b` must not be able to close the group around it.
        RegexBuilder::new(&format!(r"\A(?s:{})\z", translated.out))
            .size_limit(COMPILED_LIMIT)
            .build()
            .map(Self)
            .map_err(|_| invalid(text, 0, format!("it needs more than {COMPILED_LIMIT} bytes when compiled")))
    }

    pub(crate) fn matches(&self, value: &str) -> bool {
        self.0.is_match(value)
    }

    /// A replacement with the groups `$1`, `${name}` filled in, when the value matches.
    pub(crate) fn expanded(&self, value: &str, replacement: &str) -> Option<String> {
        let groups = self.0.captures(value)?;
        let mut out = String::new();
        groups.expand(replacement, &mut out);
        Some(out)
    }
}

/// The alternatives, when the expression is nothing but literals joined by `|`: they are looked up, not searched.
pub(crate) fn literals(text: &str) -> Option<Vec<String>> {
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/' | ':' | '|' | ' ' | ',' | '@');
    text.chars().all(plain).then(|| text.split('|').map(str::to_owned).collect())
}

fn invalid(text: &str, at: usize, reason: impl Into<String>) -> EvaluateError {
    EvaluateError::Invalid { expression: text.chars().take(200).collect(), at, reason: reason.into() }
}

struct Translated {
    out: String,
    /// Where pieces of the translation come from: offsets in it and in the source, ascending.
    origins: Vec<(usize, usize)>,
}

impl Translated {
    fn source_of(&self, at: usize) -> usize {
        let index = self.origins.partition_point(|(out, _)| *out <= at);
        index.checked_sub(1).and_then(|before| self.origins.get(before)).map_or(0, |(_, source)| *source)
    }
}

struct Translator<'a> {
    text: &'a str,
    at: usize,
    done: Translated,
}

impl<'a> Translator<'a> {
    const fn new(text: &'a str) -> Self {
        Self { text, at: 0, done: Translated { out: String::new(), origins: Vec::new() } }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let found = self.peek()?;
        self.at += found.len_utf8();
        Some(found)
    }

    fn emit(&mut self, from: usize, piece: &str) {
        self.done.origins.push((self.done.out.len(), from));
        self.done.out.push_str(piece);
    }

    /// A character that stands for itself, inside and outside of classes.
    fn literal(&mut self, from: usize, c: char) {
        if c.is_alphanumeric() {
            self.emit(from, c.encode_utf8(&mut [0; 4]));
        } else {
            self.emit(from, &format!(r"\x{{{:X}}}", u32::from(c)));
        }
    }

    fn run(mut self) -> Result<Translated, EvaluateError> {
        let mut repeated = false;
        while let Some(c) = self.peek() {
            let from = self.at;
            let repetition = match c {
                '*' | '+' | '?' => Some(1),
                '{' => self.counted()?,
                _ => None,
            };
            if let Some(length) = repetition {
                if repeated {
                    return Err(invalid(self.text, from, "a repetition is repeated; put a group around it"));
                }
                let lazy = usize::from(self.rest().as_bytes().get(length) == Some(&b'?'));
                let end = self.at + length + lazy;
                let piece = self.text.get(from..end).unwrap_or("");
                self.emit(from, piece);
                self.at = end;
                repeated = true;
                continue;
            }
            repeated = false;
            self.next();
            match c {
                '{' | '}' | ']' => self.literal(from, c),
                '[' => self.class(from)?,
                '(' => self.group(from)?,
                '\\' => self.escape(from)?,
                _ => self.emit(from, c.encode_utf8(&mut [0; 4])),
            }
        }
        Ok(self.done)
    }

    /// The length of `{n}`, `{n,}` or `{n,m}` at the current place; anything else is literal text.
    fn counted(&self) -> Result<Option<usize>, EvaluateError> {
        let Some(end) = self.rest().find('}') else { return Ok(None) };
        let inner = self.rest().get(1..end).unwrap_or("");
        let (least, most) = match inner.split_once(',') {
            Some((least, most)) => (least, (!most.is_empty()).then_some(most)),
            None => (inner, Some(inner)),
        };
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(least) || !most.is_none_or(digits) {
            return Ok(None);
        }
        for count in [Some(least), most].into_iter().flatten() {
            if count.parse::<u32>().map_or(true, |count| count > REPEAT_LIMIT) {
                let reason = format!("`{count}` repetitions are more than {REPEAT_LIMIT}");
                return Err(invalid(self.text, self.at, reason));
            }
        }
        Ok(Some(end + 1))
    }

    /// After `(`: groups are the same in both, flags are checked.
    fn group(&mut self, from: usize) -> Result<(), EvaluateError> {
        self.emit(from, "(");
        if self.peek() != Some('?') {
            return Ok(());
        }
        let rest = self.rest();
        if rest.starts_with("?P<") || rest.starts_with("?<") {
            let end = rest.find('>').map_or(rest.len(), |end| end + 1);
            let start = self.at;
            self.emit(start, rest.get(..end).unwrap_or(rest));
            self.at += end;
            return Ok(());
        }
        let start = self.at;
        self.next();
        while let Some(c) = self.next() {
            match c {
                'i' | 'm' | 's' | 'U' | '-' => {}
                ':' | ')' => {
                    let piece = self.text.get(start..self.at).unwrap_or("");
                    self.emit(start, piece);
                    return Ok(());
                }
                other => {
                    let reason = format!("`{other}` is not a flag; there are i, m, s and U");
                    return Err(invalid(self.text, self.at - other.len_utf8(), reason));
                }
            }
        }
        Err(invalid(self.text, from, "the group is not closed; a `)` is missing"))
    }

    /// After `\`, outside of a class.
    fn escape(&mut self, from: usize) -> Result<(), EvaluateError> {
        match self.peek() {
            Some('Q') => {
                self.next();
                let quoted = self.rest();
                let end = quoted.find(r"\E");
                for (offset, c) in quoted.get(..end.unwrap_or(quoted.len())).unwrap_or("").char_indices() {
                    self.literal(self.at + offset, c);
                }
                self.at += end.map_or(quoted.len(), |end| end + 2);
            }
            // Go takes a stray end of a quotation for an error.
            Some('A' | 'z') => {
                let piece = self.text.get(from..from + 2).unwrap_or("");
                self.emit(from, piece);
                self.next();
            }
            Some('b') => {
                self.next();
                self.emit(from, r"(?-u:\b)");
            }
            Some('B') => {
                return Err(invalid(self.text, from, r"\B is not offered; say what the neighbours are"));
            }
            _ => match self.class_escape()? {
                Some(class) => self.emit(from, &format!("[{class}]")),
                None => self.character_escape(from)?,
            },
        }
        Ok(())
    }

    /// `\d` and the like and `\pN`, as members of a class.
    fn class_escape(&mut self) -> Result<Option<String>, EvaluateError> {
        let members = match self.peek() {
            Some('d') => "0-9",
            Some('D') => "[^0-9]",
            Some('w') => "0-9A-Za-z_",
            Some('W') => "[^0-9A-Za-z_]",
            Some('s') => r"\t\n\x0C\r\x20",
            Some('S') => r"[^\t\n\x0C\r\x20]",
            Some('p' | 'P') => {
                let rest = self.rest();
                let end = if rest.get(1..2) == Some("{") {
                    rest.find('}').map(|end| end + 1)
                } else {
                    rest.chars().nth(1).map(|c| 1 + c.len_utf8())
                };
                let Some(piece) = end.and_then(|end| rest.get(..end)) else {
                    return Err(invalid(self.text, self.at, "the name of a Unicode class is missing"));
                };
                self.at += piece.len();
                return Ok(Some(format!(r"\{piece}")));
            }
            _ => return Ok(None),
        };
        self.next();
        Ok(Some(members.to_owned()))
    }

    /// An escape for one character.
    fn character_escape(&mut self, from: usize) -> Result<(), EvaluateError> {
        let c = self.escaped_character(from)?;
        self.literal(from, c);
        Ok(())
    }

    fn escaped_character(&mut self, from: usize) -> Result<char, EvaluateError> {
        let Some(c) = self.next() else {
            return Err(invalid(self.text, from, r"a character is missing after `\`"));
        };
        Ok(match c {
            'a' => '\x07',
            'f' => '\x0C',
            't' => '\t',
            'n' => '\n',
            'r' => '\r',
            'v' => '\x0B',
            'x' => return self.hexadecimal(from),
            '0' | '1'..='7' => {
                let mut code = u32::from(c) - 48;
                let mut digits = 1;
                while let Some(digit) = self.peek().and_then(|c| c.to_digit(8)).filter(|_| digits < 3) {
                    code = code * 8 + digit;
                    digits += 1;
                    self.next();
                }
                if digits == 1 && c != '0' {
                    return Err(invalid(self.text, from, "references to groups are not offered"));
                }
                char::from_u32(code).unwrap_or('\u{FFFD}')
            }
            _ if c.is_ascii() && !c.is_ascii_alphanumeric() => c,
            _ => return Err(invalid(self.text, from, format!(r"there is no escape `\{c}`"))),
        })
    }

    fn hexadecimal(&mut self, from: usize) -> Result<char, EvaluateError> {
        let rest = self.rest();
        let (digits, length) = if rest.starts_with('{') {
            let end = rest.find('}').unwrap_or(rest.len());
            (rest.get(1..end).unwrap_or(""), (end + 1).min(rest.len()))
        } else {
            (rest.get(..2).unwrap_or(""), 2)
        };
        let code = (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .then(|| u32::from_str_radix(digits, 16).ok().and_then(char::from_u32))
            .flatten();
        match code {
            Some(c) => {
                self.at += length;
                Ok(c)
            }
            None => Err(invalid(self.text, from, r"two hexadecimal digits or `{..}` must follow `\x`")),
        }
    }

    /// After `[`.
    fn class(&mut self, from: usize) -> Result<(), EvaluateError> {
        self.emit(from, "[");
        if self.peek() == Some('^') {
            self.next();
            self.emit(from, "^");
        }
        let mut first = true;
        loop {
            let start = self.at;
            let Some(c) = self.peek() else {
                return Err(invalid(self.text, from, "the class is not closed; a `]` is missing"));
            };
            if c == ']' && !first {
                self.next();
                self.emit(start, "]");
                return Ok(());
            }
            first = false;
            if self.rest().starts_with("[:")
                && let Some(end) = self.rest().find(":]")
            {
                let piece = self.rest().get(..end + 2).unwrap_or("");
                self.emit(start, piece);
                self.at += piece.len();
                continue;
            }
            self.next();
            if c == '\\' {
                if let Some(members) = self.class_escape()? {
                    self.emit(start, &members);
                    continue;
                }
                self.character_escape(start)?;
            } else {
                self.literal(start, c);
            }
            self.range_end()?;
        }
    }

    /// `-x` after a member; a `-` before the closing bracket is a literal, which the next round of the loop sees.
    fn range_end(&mut self) -> Result<(), EvaluateError> {
        let mut ahead = self.rest().chars();
        if ahead.next() != Some('-') || matches!(ahead.next(), Some(']') | None) {
            return Ok(());
        }
        let dash = self.at;
        self.next();
        self.emit(dash, "-");
        let start = self.at;
        match self.next() {
            Some('\\') => self.character_escape(start),
            Some(c) => {
                self.literal(start, c);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, value: &str) -> bool {
        Pattern::compile(pattern).unwrap_or_else(|error| panic!("{error}")).matches(value)
    }

    fn mistake(pattern: &str) -> usize {
        match Pattern::compile(pattern) {
            Err(EvaluateError::Invalid { at, .. }) => at,
            other => panic!("{pattern}: {other:?}"),
        }
    }

    #[test]
    fn expressions_mean_what_re2_says() {
        for (pattern, value, expected) in [
            ("a|b", "ab", false),
            ("a|b", "b", true),
            ("web.*", "web\n1", true),
            (r"\d+", "12", true),
            (r"\d", "٣", false),
            (r"\w", "é", false),
            (r"\W", "é", true),
            (r"\s", "\u{0B}", false),
            (r"[\s]", " ", true),
            (r"[^\S]", "\t", true),
            (r"[\D]", "5", false),
            ("a{", "a{", true),
            ("a{,5}", "a{,5}", true),
            ("a{2}", "aa", true),
            ("a{2,}?", "aaaa", true),
            (r"\Qa.b\E+", "a.bb", true),
            (r"\Qa.b", "a.b", true),
            ("[a&&b]", "&", true),
            ("[a&&b]", "a", true),
            ("[[a]", "[", true),
            ("[[:alpha:]]", "x", true),
            ("[]a]", "]", true),
            ("[a-]", "-", true),
            ("[+--]", ",", true),
            (r"[\]-a]", "^", true),
            (r"\<b\>", "<b>", true),
            (r"\101", "A", true),
            (r"\x41\x{42}", "AB", true),
            ("(?i)web", "WEB", true),
            ("(?i:w)eb", "WEB", false),
            (r"a\.b", "axb", false),
            (r"\ba", "a", true),
            (r"\p{Greek}\pL", "αa", true),
            ("(?P<x>a)(?<y>b)", "ab", true),
            ("", "", true),
            ("", "a", false),
            ("^a$", "a", true),
            ("é+", "éé", true),
        ] {
            assert_eq!(matches(pattern, value), expected, "{pattern:?} on {value:?}");
        }
    }

    #[test]
    fn mistakes_are_found_with_their_place() {
        for (pattern, at) in [
            ("ab(c", 2),
            ("a)|(b", 1),
            ("ab[c", 2),
            ("a**", 2),
            ("a{2}{3}", 4),
            ("*a", 0),
            (r"ab\y", 2),
            (r"\d\1", 2),
            ("a{1001}", 1),
            ("é(?x)a", 4),
            (r"ab\", 2),
            ("[b-a]", 1),
            (r"\p{Nonsense}", 0),
        ] {
            assert_eq!(mistake(pattern), at, "{pattern}");
        }
    }

    #[test]
    fn a_bomb_is_refused() {
        assert_eq!(mistake("((a{1000}){1000}){1000}"), 0);
    }

    proptest! {
        #[test]
        fn l10_any_text_compiles_or_says_where_it_is_wrong(text in ".{0,40}", value in ".{0,20}") {
            match Pattern::compile(&text) {
                Ok(pattern) => { pattern.matches(&value); }
                Err(EvaluateError::Invalid { at, .. }) => prop_assert!(at <= text.len()),
                Err(other) => panic!("{other}"),
            }
        }

        #[test]
        fn l10_any_punctuation_compiles_or_says_where_it_is_wrong(text in r"[\\\[\](){}*+?|^$.,a0-9dQEx&~:<>-]{0,24}") {
            match Pattern::compile(&text) {
                Ok(pattern) => { pattern.matches("a"); }
                Err(EvaluateError::Invalid { at, .. }) => prop_assert!(at <= text.len()),
                Err(other) => panic!("{other}"),
            }
        }

        #[test]
        fn quoted_text_matches_itself_only(text in "[^\\\\]{0,20}", other in ".{0,20}") {
            let pattern = Pattern::compile(&format!(r"\Q{text}\E")).expect("a quotation is never wrong");
            prop_assert!(pattern.matches(&text));
            prop_assert_eq!(pattern.matches(&other), other == text);
        }

        #[test]
        fn alternations_of_literals_are_what_the_engine_says(text in "[ab|]{0,8}", value in "[ab|]{0,4}") {
            let literals = literals(&text).expect("plain");
            prop_assert_eq!(literals.contains(&value), Pattern::compile(&text).expect("plain").matches(&value));
        }
    }
}
