//! JSON (RFC 8259) into a tree with lines: `serde_json` reads values and forgets where they stood, and an export of a
//! hundred thousand items with one bad field is mended only by somebody who is told which.

use super::tree::{Data, Node};
use super::{Limits, Problem};

/// Why a text is not such JSON, and where.
pub(super) struct Refusal {
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) problem: Problem,
}

pub(super) fn read(text: &str, limits: &Limits) -> Result<Node, Refusal> {
    let mut reader = Reader { text, at: 0, line: 1, line_start: 0, nodes: 0, limits };
    reader.space();
    let mut node = reader.value(0)?;
    reader.space();
    if reader.at < text.len() {
        return Err(reader.syntax("something follows the end of the document"));
    }
    node.count();
    Ok(node)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    line: u32,
    line_start: usize,
    nodes: usize,
    limits: &'a Limits,
}

impl Reader<'_> {
    fn refuse(&self, problem: Problem) -> Refusal {
        let before = self.text.get(self.line_start..self.at).unwrap_or_default();
        Refusal { line: self.line, column: before.chars().count() as u32 + 1, problem }
    }

    fn syntax(&self, reason: &str) -> Refusal {
        self.refuse(Problem::Syntax(reason.to_owned()))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b'\n' => {
                    self.line = self.line.saturating_add(1);
                    self.line_start = self.at + 1;
                }
                b' ' | b'\t' | b'\r' => {}
                _ => break,
            }
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8, what: &str) -> Result<(), Refusal> {
        if self.peek() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        Err(self.syntax(&format!("expected {what}, found {}", self.found())))
    }

    fn found(&self) -> String {
        let next = self.text.get(self.at..).and_then(|rest| rest.chars().next());
        next.map_or_else(|| "the end".to_owned(), |found| format!("`{}`", found.escape_debug()))
    }

    fn value(&mut self, depth: usize) -> Result<Node, Refusal> {
        if depth > self.limits.depth {
            return Err(
                self.refuse(Problem::TooLarge { what: "levels within each other", limit: self.limits.depth })
            );
        }
        self.nodes += 1;
        if self.nodes > self.limits.values {
            return Err(self.refuse(Problem::TooLarge { what: "values", limit: self.limits.values }));
        }
        let line = self.line;
        let data = match self.peek() {
            Some(b'{') => self.map(depth)?,
            Some(b'[') => self.list(depth)?,
            Some(b'"') => Data::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word("true", Data::Bool(true))?,
            Some(b'f') => self.word("false", Data::Bool(false))?,
            Some(b'n') => self.word("null", Data::Null)?,
            _ => return Err(self.syntax(&format!("expected a value, found {}", self.found()))),
        };
        Ok(Node::new(line, data))
    }

    fn word(&mut self, word: &str, data: Data) -> Result<Data, Refusal> {
        if !self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            return Err(self.syntax(&format!("expected `{word}`")));
        }
        self.at += word.len();
        Ok(data)
    }

    fn list(&mut self, depth: usize) -> Result<Data, Refusal> {
        self.at += 1;
        let mut list = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Data::List(list));
        }
        loop {
            self.space();
            list.push(self.value(depth + 1)?);
            self.space();
            if self.peek() == Some(b']') {
                self.at += 1;
                return Ok(Data::List(list));
            }
            self.expect(b',', "`,` or `]`")?;
        }
    }

    fn map(&mut self, depth: usize) -> Result<Data, Refusal> {
        self.at += 1;
        let mut fields: Vec<(String, Node)> = Vec::new();
        let mut known = std::collections::BTreeSet::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Data::Map(fields));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.syntax(&format!("expected a name in quotes, found {}", self.found())));
            }
            let name = self.string()?;
            // Few fields are looked through, many are kept in order: a map with a million names is read in time.
            let twice = if fields.len() < 16 {
                fields.iter().any(|(own, _)| *own == name)
            } else {
                if known.is_empty() {
                    known.extend(fields.iter().map(|(own, _)| own.clone()));
                }
                !known.insert(name.clone())
            };
            if twice {
                let name: String = name.chars().take(80).collect();
                return Err(self.syntax(&format!("the name `{name}` stands here twice")));
            }
            self.space();
            self.expect(b':', "`:`")?;
            self.space();
            let value = self.value(depth + 1)?;
            fields.push((name, value));
            self.space();
            if self.peek() == Some(b'}') {
                self.at += 1;
                return Ok(Data::Map(fields));
            }
            self.expect(b',', "`,` or `}`")?;
        }
    }

    fn number(&mut self) -> Result<Data, Refusal> {
        let start = self.at;
        while let Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        let digits = text.strip_prefix('-').unwrap_or(text);
        let whole = digits.split(['.', 'e', 'E']).next().unwrap_or_default();
        let (body, exponent) = digits.split_once(['e', 'E']).map_or((digits, None), |(a, b)| (a, Some(b)));
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let fine = is_digits(whole)
            && (whole == "0" || !whole.starts_with('0'))
            && body.split_once('.').map_or(body == whole, |(_, part)| is_digits(part))
            && exponent.is_none_or(|text| is_digits(text.strip_prefix(['+', '-']).unwrap_or(text)));
        if !fine {
            self.at = start;
            return Err(self.syntax("this is not a number"));
        }
        if let Ok(value) = text.parse::<i64>() {
            return Ok(Data::Int(value));
        }
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Data::Float(value)),
            _ => {
                self.at = start;
                Err(self.syntax("the number is too large"))
            }
        }
    }

    fn string(&mut self) -> Result<String, Refusal> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let start = self.at;
            while self.peek().is_some_and(|byte| byte != b'"' && byte != b'\\' && byte >= 0x20) {
                self.at += 1;
            }
            out.push_str(self.text.get(start..self.at).unwrap_or_default());
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(_) => return Err(self.syntax("a control character in a text; write it as an escape")),
                None => return Err(self.syntax("the text has no end")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Refusal> {
        self.at += 1;
        let escape = self.peek();
        self.at += usize::from(escape.is_some_and(|byte| byte.is_ascii()));
        Ok(match escape {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let high = self.hex()?;
                let mut code = u32::from(high);
                if (0xd800..0xdc00).contains(&high)
                    && self.text.get(self.at..).is_some_and(|rest| rest.starts_with("\\u"))
                {
                    self.at += 2;
                    let low = self.hex()?;
                    if (0xdc00..0xe000).contains(&low) {
                        code = 0x1_0000 + ((u32::from(high) - 0xd800) << 10) + (u32::from(low) - 0xdc00);
                    }
                }
                char::from_u32(code).ok_or_else(|| self.syntax("half of a surrogate pair is no character"))?
            }
            _ => return Err(self.syntax("there is no such escape")),
        })
    }

    fn hex(&mut self) -> Result<u16, Refusal> {
        let digits =
            self.text.get(self.at..self.at + 4).filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
        let Some(value) = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok()) else {
            return Err(self.syntax("expected four hexadecimal digits"));
        };
        self.at += 4;
        Ok(value)
    }
}
