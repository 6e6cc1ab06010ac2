//! From text to words.
//!
//! Three places have rules of their own: within braces every word is a name, within brackets there are only lengths
//! of time, elsewhere words may be keywords.

use super::ast::BinaryOp;
use super::token::{Kind, Token, word};
use super::{ParseError, Span};

pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    parens: usize,
    braces: bool,
    brackets: bool,
}

/// All words, the last one being the end.
pub(super) fn tokens(text: &str, most: usize) -> Result<Vec<Token>, ParseError> {
    let mut lexer = Lexer { text, at: 0, parens: 0, braces: false, brackets: false };
    let mut tokens = Vec::with_capacity((text.len() / 4).min(most) + 1);
    loop {
        let token = lexer.next()?;
        if tokens.len() >= most && token.kind != Kind::End {
            let message = format!("the expression has more than {most} words; split it into recording rules");
            return Err(lexer.error(token.span.start, message));
        }
        tokens.push(token);
        if token.kind == Kind::End {
            return Ok(tokens);
        }
    }
}

impl<'a> Lexer<'a> {
    fn peek(&self) -> Option<u8> {
        self.byte(0)
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn char(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    fn error(&self, from: usize, message: impl Into<String>) -> ParseError {
        ParseError::new(self.text, Span::new(from, self.text.len()), message)
    }

    fn token(&mut self, kind: Kind, length: usize) -> Token {
        let start = self.at;
        self.at += length;
        Token { kind, span: Span::new(start, self.at) }
    }

    fn skip_blank(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                b'#' => {
                    while self.peek().is_some_and(|byte| byte != b'\n' && byte != b'\r') {
                        self.at += 1;
                    }
                }
                _ => return,
            }
        }
    }

    fn next(&mut self) -> Result<Token, ParseError> {
        self.skip_blank();
        if self.braces {
            return self.within_braces();
        }
        let Some(byte) = self.peek() else { return self.end() };
        let digit =
            byte.is_ascii_digit() || (byte == b'.' && self.byte(1).is_some_and(|b| b.is_ascii_digit()));
        if digit {
            return self.number();
        }
        if self.brackets
            && !matches!(byte, b'+' | b'-' | b'*' | b'/' | b'%' | b'^' | b',' | b'(' | b')' | b']')
        {
            return self.within_brackets(byte);
        }
        let follows = |wanted: u8| self.byte(1) == Some(wanted);
        let (kind, length) = match byte {
            b',' => (Kind::Comma, 1),
            b'*' => (Kind::Op(BinaryOp::Mul), 1),
            b'/' => (Kind::Op(BinaryOp::Div), 1),
            b'%' => (Kind::Op(BinaryOp::Mod), 1),
            b'+' => (Kind::Op(BinaryOp::Add), 1),
            b'-' => (Kind::Op(BinaryOp::Sub), 1),
            b'^' => (Kind::Op(BinaryOp::Pow), 1),
            b'=' if follows(b'=') => (Kind::Op(BinaryOp::Equal), 2),
            b'=' if follows(b'~') => return Err(self.error(self.at, "unexpected character after '=': '~'")),
            b'=' => (Kind::Equal, 1),
            b'!' if follows(b'=') => (Kind::Op(BinaryOp::NotEqual), 2),
            b'!' => {
                self.at += 1;
                return Err(self
                    .error(self.at - 1, format!("unexpected character after '!': {}", shown(self.char()))));
            }
            b'<' if follows(b'=') => (Kind::Op(BinaryOp::LessEqual), 2),
            b'<' if follows(b'/') => (Kind::Op(BinaryOp::TrimUpper), 2),
            b'<' => (Kind::Op(BinaryOp::Less), 1),
            b'>' if follows(b'=') => (Kind::Op(BinaryOp::GreaterEqual), 2),
            b'>' if follows(b'/') => (Kind::Op(BinaryOp::TrimLower), 2),
            b'>' => (Kind::Op(BinaryOp::Greater), 1),
            b'@' => (Kind::At, 1),
            b'(' => {
                self.parens += 1;
                (Kind::LeftParen, 1)
            }
            b')' => match self.parens.checked_sub(1) {
                Some(left) => {
                    self.parens = left;
                    (Kind::RightParen, 1)
                }
                None => return Err(self.error(self.at, "unexpected right parenthesis ')'")),
            },
            b'{' => {
                self.braces = true;
                (Kind::LeftBrace, 1)
            }
            b'[' => {
                self.brackets = true;
                (Kind::LeftBracket, 1)
            }
            b']' if !self.brackets => return Err(self.error(self.at, "unexpected right bracket ']'")),
            b']' => {
                self.brackets = false;
                (Kind::RightBracket, 1)
            }
            b'"' | b'\'' | b'`' => return self.string(byte),
            _ if is_letter(byte) || byte == b':' => {
                let length = self.run(|byte| is_letter(byte) || byte.is_ascii_digit() || byte == b':');
                (word(self.text.get(self.at..self.at + length).unwrap_or("")), length)
            }
            _ => return Err(self.error(self.at, format!("unexpected character: {}", shown(self.char())))),
        };
        Ok(self.token(kind, length))
    }

    fn end(&mut self) -> Result<Token, ParseError> {
        if self.parens != 0 {
            return Err(self.error(self.at, "unclosed left parenthesis"));
        }
        if self.brackets {
            return Err(self.error(self.at, "unexpected end of input in duration expression"));
        }
        Ok(self.token(Kind::End, 0))
    }

    fn within_brackets(&mut self, byte: u8) -> Result<Token, ParseError> {
        if byte == b':' {
            return Ok(self.token(Kind::Colon, 1));
        }
        if is_letter(byte) {
            let length = self.run(|byte| is_letter(byte) || byte.is_ascii_digit());
            use super::token::Keyword;
            let kind = word(self.text.get(self.at..self.at + length).unwrap_or(""));
            if let Kind::Keyword(Keyword::Step | Keyword::Range | Keyword::MinOf | Keyword::MaxOf) = kind {
                return Ok(self.token(kind, length));
            }
        }
        let message = match byte {
            b'[' => "unexpected left bracket '['".to_owned(),
            _ => format!("unexpected character in duration expression: {}", shown(self.char())),
        };
        Err(self.error(self.at, message))
    }

    fn within_braces(&mut self) -> Result<Token, ParseError> {
        let Some(byte) = self.peek() else {
            return Err(self.error(self.at, "unexpected end of input inside braces"));
        };
        let follows = |wanted: u8| self.byte(1) == Some(wanted);
        let (kind, length) = match byte {
            b',' => (Kind::Comma, 1),
            b'"' | b'\'' | b'`' => return self.string(byte),
            b'=' if follows(b'~') => (Kind::EqualRegex, 2),
            b'=' => (Kind::Equal, 1),
            b'!' if follows(b'~') => (Kind::NotEqualRegex, 2),
            b'!' if follows(b'=') => (Kind::Op(BinaryOp::NotEqual), 2),
            b'!' => {
                self.at += 1;
                let message = format!("unexpected character after '!' inside braces: {}", shown(self.char()));
                return Err(self.error(self.at - 1, message));
            }
            b'{' => return Err(self.error(self.at, "unexpected left brace '{'")),
            b'}' => {
                self.braces = false;
                (Kind::RightBrace, 1)
            }
            _ if is_letter(byte) => {
                (Kind::Identifier, self.run(|byte| is_letter(byte) || byte.is_ascii_digit()))
            }
            _ => {
                let message = format!("unexpected character inside braces: {}", shown(self.char()));
                return Err(self.error(self.at, message));
            }
        };
        Ok(self.token(kind, length))
    }

    fn run(&self, belongs: impl Fn(u8) -> bool) -> usize {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or(&[]);
        rest.iter().take_while(|byte| belongs(**byte)).count()
    }

    fn string(&mut self, quote: u8) -> Result<Token, ParseError> {
        let start = self.at;
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'\\' if quote != b'`' => self.at += 1,
                b'\n' if quote != b'`' => break,
                _ if byte == quote => {
                    return Ok(Token { kind: Kind::String, span: Span::new(start, self.at) });
                }
                _ => {}
            }
        }
        let what = if quote == b'`' { "unterminated raw string" } else { "unterminated quoted string" };
        Err(self.error(start, what))
    }

    /// A number or duration; whether it is a well-formed one is decided when its value is taken.
    fn number(&mut self) -> Result<Token, ParseError> {
        let start = self.at;
        if self.scan_number() && !self.peek().is_some_and(is_alphanumeric) {
            return Ok(Token { kind: Kind::Number, span: Span::new(start, self.at) });
        }
        if self.scan_duration() {
            return Ok(Token { kind: Kind::Duration, span: Span::new(start, self.at) });
        }
        let written: String =
            self.text.get(start..).unwrap_or("").chars().take(self.at - start + 1).collect();
        let written = written.trim_end();
        Err(self.error(start, format!("bad number or duration syntax: {written:?}")))
    }

    fn accept(&mut self, allowed: &[u8]) -> bool {
        let found = self.peek().is_some_and(|byte| allowed.contains(&byte));
        self.at += usize::from(found);
        found
    }

    /// `[.][d][d._eE]*`, or hexadecimal digits after `0x`. Underscores and exponents need a digit behind them.
    fn scan_number(&mut self) -> bool {
        let hex = self.peek() == Some(b'0') && matches!(self.byte(1), Some(b'x' | b'X'));
        if hex {
            self.at += 2;
            self.accept(b"_");
        }
        let is_digit = |byte: u8| if hex { byte.is_ascii_hexdigit() } else { byte.is_ascii_digit() };
        let mut dot = self.accept(b".");
        let mut exponent = false;
        while let Some(byte) = self.peek() {
            if is_digit(byte) {
                self.at += self.run(is_digit);
                continue;
            }
            match byte {
                // Neither `1.2.3` nor `0x1.8` is a number.
                b'.' if dot || hex => {
                    self.at += 1;
                    return false;
                }
                b'.' => {
                    self.at += 1;
                    dot = true;
                    if matches!(self.peek(), Some(b'_' | b'.')) {
                        return false;
                    }
                }
                b'e' | b'E' => {
                    self.at += 1;
                    if exponent {
                        return false;
                    }
                    exponent = true;
                    self.accept(b"+-");
                    if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
                        return false;
                    }
                }
                b'_' => {
                    self.at += 1;
                    if !self.peek().is_some_and(is_digit) {
                        return false;
                    }
                }
                _ => break,
            }
        }
        true
    }

    /// The unit behind a number, and any further numbers with units.
    fn scan_duration(&mut self) -> bool {
        loop {
            if !self.accept(b"smhdwy") {
                return false;
            }
            self.accept(b"s");
            let digits = self.run(|byte| byte.is_ascii_digit());
            if digits == 0 {
                return !self.peek().is_some_and(is_alphanumeric);
            }
            self.at += digits;
        }
    }
}

fn shown(found: Option<char>) -> String {
    found.map_or_else(|| "end of input".to_owned(), |c| format!("{c:?}"))
}

const fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

const fn is_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
