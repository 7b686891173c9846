//! What does a dotenv file say (`.env`, `--env-file`, `env_file`, `label_file`)?
//!
//! The grammar is the one of Docker Compose's own reader: `export`, `=` and `:`, single and double quotes that span lines,
//! comments after a space, expansion in unquoted and double-quoted values.

use crate::{
    Message, Text,
    interpolate::{self, Lookup},
    message,
};

/// One line that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DotenvError {
    /// The line, from 1.
    pub line: u32,
    /// What is wrong; holds no value.
    pub message: Message,
}

/// Reads a file. A key without a value is inherited through `lookup`, or left out. Later keys win.
///
/// # Errors
/// The first statement that cannot be read.
pub fn parse(text: &str, secret: bool, lookup: &dyn Lookup) -> Result<Vec<(String, Text)>, DotenvError> {
    parse_after(text, secret, lookup, &|_: &str| None)
}

/// Reads a file after others: `known` has their variables, for expansion where neither `lookup` nor the file has one.
///
/// # Errors
/// The first statement that cannot be read.
pub fn parse_after(
    text: &str,
    secret: bool,
    lookup: &dyn Lookup,
    known: &dyn Lookup,
) -> Result<Vec<(String, Text)>, DotenvError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let mut reader = Reader { rest: &text, whole: &text, secret, lookup, known, pairs: Vec::new() };
    while reader.statement()? {}
    Ok(reader.pairs)
}

/// Reads a file of `format: raw`: `KEY=VALUE` lines, the value untouched.
///
/// # Errors
/// A key with white space in it.
pub fn parse_raw(text: &str, secret: bool, lookup: &dyn Lookup) -> Result<Vec<(String, Text)>, DotenvError> {
    let mut pairs = Vec::new();
    for (nth, line) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once('=').map_or((line, None), |(key, value)| (key, Some(value)));
        if key.is_empty() || key.contains(char::is_whitespace) {
            let line = u32::try_from(nth + 1).unwrap_or(u32::MAX);
            return Err(DotenvError {
                line,
                message: message!("'{}' is no variable name", Text::with_secrecy(key, secret)),
            });
        }
        match value {
            Some(value) => pairs.push((key.to_owned(), Text::with_secrecy(value, secret))),
            None => pairs.extend(lookup.get(key).map(|value| (key.to_owned(), value))),
        }
    }
    Ok(pairs)
}

struct Reader<'t> {
    rest: &'t str,
    whole: &'t str,
    secret: bool,
    lookup: &'t dyn Lookup,
    known: &'t dyn Lookup,
    pairs: Vec<(String, Text)>,
}

impl<'t> Reader<'t> {
    fn fail(&self, message: impl Into<Message>) -> DotenvError {
        let read = self.whole.len() - self.rest.len();
        let line = u32::try_from(self.whole[..read].matches('\n').count() + 1).unwrap_or(u32::MAX);
        DotenvError { line, message: message.into() }
    }

    /// One statement; `false` at the end of the file.
    fn statement(&mut self) -> Result<bool, DotenvError> {
        loop {
            self.rest = self.rest.trim_start();
            if !self.rest.starts_with('#') {
                break;
            }
            self.rest = self.rest.find('\n').map_or("", |end| &self.rest[end..]);
        }
        if self.rest.is_empty() {
            return Ok(false);
        }
        if let Some(after) = self.rest.strip_prefix("export")
            && after.starts_with([' ', '\t'])
        {
            self.rest = after.trim_start_matches([' ', '\t']);
        }
        let Some(key) = self.key()? else { return Ok(true) };
        let value = self.value()?;
        self.pairs.push((key, value));
        Ok(true)
    }

    /// The key, its separator consumed; `None` where the key stood alone (and was inherited or passed over).
    fn key(&mut self) -> Result<Option<String>, DotenvError> {
        let end = self.rest.find(['=', ':', '\n']).unwrap_or(self.rest.len());
        let written = self.rest[..end].trim_end();
        if let Some(odd) =
            written.chars().find(|c| !c.is_alphanumeric() && !"_.-[]".contains(*c) && !c.is_whitespace())
        {
            let odd = Text::with_secrecy(odd.to_string(), self.secret);
            return Err(self.fail(message!("unexpected character '{}' in variable name", odd)));
        }
        if written.contains(char::is_whitespace) {
            return Err(self.fail("a variable name cannot contain a space"));
        }
        let separator = self.rest[end..].chars().next();
        let key = written.to_owned();
        self.rest = &self.rest[end..];
        if matches!(separator, Some('=' | ':')) {
            self.rest = self.rest[1..].trim_start_matches([' ', '\t']);
            return Ok(Some(key));
        }
        if let Some(value) = self.lookup.get(&key) {
            self.pairs.push((key, value));
        }
        Ok(None)
    }

    fn value(&mut self) -> Result<Text, DotenvError> {
        match self.rest.chars().next() {
            Some('\'') => self.single_quoted(),
            Some('"') => self.double_quoted(),
            _ => self.unquoted(),
        }
    }

    fn unquoted(&mut self) -> Result<Text, DotenvError> {
        let end = self.rest.find('\n').unwrap_or(self.rest.len());
        let line = &self.rest[..end];
        let cut = line.find(" #").unwrap_or(line.len());
        let value = line[..cut].trim_end();
        let expanded = self.expand(value);
        self.rest = &self.rest[end..];
        expanded
    }

    fn single_quoted(&mut self) -> Result<Text, DotenvError> {
        let end = self.quote_end('\'')?;
        let value = self.rest[1..end].replace("\\'", "'");
        self.rest = &self.rest[end + 1..];
        Ok(Text::with_secrecy(value, self.secret))
    }

    fn double_quoted(&mut self) -> Result<Text, DotenvError> {
        let end = self.quote_end('"')?;
        let unescaped = unescape(&self.rest[1..end]);
        let expanded = self.expand(&unescaped);
        self.rest = &self.rest[end + 1..];
        expanded
    }

    fn quote_end(&self, quote: char) -> Result<usize, DotenvError> {
        let mut previous = None;
        for (at, c) in self.rest.char_indices().skip(1) {
            if c == quote && previous != Some('\\') {
                return Ok(at);
            }
            previous = if previous == Some('\\') && c == '\\' { None } else { Some(c) };
        }
        Err(self.fail("unterminated quoted value"))
    }

    fn expand(&self, value: &str) -> Result<Text, DotenvError> {
        let text = Text::with_secrecy(value, self.secret);
        let lookup = |name: &str| {
            self.lookup.get(name).or_else(|| {
                let own = self.pairs.iter().rev().find(|(key, _)| key == name);
                own.map(|(_, value)| value.clone()).or_else(|| self.known.get(name))
            })
        };
        interpolate::expand(&text, &lookup, &mut |_| {}).map_err(|failure| match failure {
            interpolate::Failure::Required { name, message } => {
                self.fail(message!("required variable {} is missing a value: {}", name, message))
            }
            _ => self.fail("invalid interpolation format"),
        })
    }
}

/// Escapes of a double-quoted value; `\$` becomes `$$`, which expansion turns into a dollar sign.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('a') => out.push('\u{7}'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('v') => out.push('\u{b}'),
            Some('\\') => out.push('\\'),
            Some('"') => out.push('"'),
            Some('$') => out.push_str("$$"),
            Some('0') => {
                let digits: String =
                    std::iter::from_fn(|| chars.next_if(char::is_ascii_digit)).take(3).collect();
                // `\0` and three octal digits, which Go reads as `\NNN`; anything else stays as it is.
                match u8::from_str_radix(&digits, 8) {
                    Ok(byte) if digits.len() == 3 => out.push(char::from(byte)),
                    _ => {
                        out.push_str("\\0");
                        out.push_str(&digits);
                    }
                }
            }
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
            None => out.push('\\'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value() {
        let text = "\u{feff}# c\nexport A=a#b # c\nB: yaml\nC='it\\'s $A'\nD=\"x\\n${A}\\$y\"\nE = spaced \nF=${Q:-d}\nHOME\nNONE\nG=\"two\nlines\"\nO.P=z\n";
        let lookup = |name: &str| (name == "HOME").then(|| Text::plain("/root"));
        let pairs = parse(text, false, &lookup).unwrap();
        let shown: Vec<String> =
            pairs.iter().map(|(key, value)| format!("{key}={}", value.expose())).collect();
        assert_eq!(
            shown,
            [
                "A=a#b",
                "B=yaml",
                "C=it's $A",
                "D=x\na#b$y",
                "E=spaced",
                "F=d",
                "HOME=/root",
                "G=two\nlines",
                "O.P=z"
            ]
        );
    }

    #[test]
    fn errors_name_the_line_and_no_value() {
        let none = |_: &str| None;
        let error = parse("A=1\nB='secret\n", true, &none).unwrap_err();
        assert_eq!((error.line, error.message.as_str()), (2, "unterminated quoted value"));
        assert!(parse("A B=1", false, &none).unwrap_err().message.contains("space"));
    }

    #[test]
    fn raw_files_are_taken_as_they_are() {
        let none = |_: &str| None;
        let pairs = parse_raw("# c\nA=\"x\" # $y\n", true, &none).unwrap();
        assert_eq!(pairs[0].1.expose(), "\"x\" # $y");
        assert!(pairs[0].1.is_secret());
    }
}
