//! sops' JSON store (and the binary store, which wraps any bytes in JSON): how is JSON read and written?
//!
//! An own reader, since the common ones drop the second of two equal keys, keep no order, or round numbers: sops
//! keeps all of it, and its MAC covers it.

use zeroize::Zeroizing;

use super::{
    super::{Format, Kind, MAX_DEPTH, SecretError},
    buffer::Buffer,
    number,
    tree::{Entry, Item, Secret, Tree, Value},
};

/// How whole numbers are read: sops before 3.13.2 made every number a float, which rounds beyond 2^53.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbers {
    Exact,
    Rounded,
}

/// What `read` found wrong, and on which line.
pub(crate) struct Wrong {
    line: usize,
    what: &'static str,
}

pub(super) fn parse(format: Format, text: &str, numbers: Numbers) -> Result<Tree, SecretError> {
    let entries = read(text, numbers)
        .map_err(|wrong| SecretError::malformed(Kind::Sops(format), Some(wrong.line), wrong.what))?;
    Ok(Tree { documents: vec![entries] })
}

/// Whether the two ways to read numbers differ for this tree.
pub(super) fn has_large_integers(tree: &Tree) -> bool {
    fn large(value: &Value) -> bool {
        match value {
            Value::Int(number) => *number == 0 || number.unsigned_abs() > 1 << 53,
            Value::Map(entries) => {
                entries.iter().any(|entry| matches!(entry, Entry::Pair(_, value) if large(value)))
            }
            Value::List(items) => items.iter().any(|item| matches!(item, Item::Value(value) if large(value))),
            _ => false,
        }
    }
    tree.documents.iter().flatten().any(|entry| matches!(entry, Entry::Pair(_, value) if large(value)))
}

/// The keys of the outermost object; its last one is lost where the text is cut off.
pub(crate) fn top_level_keys(text: &[u8]) -> Result<Vec<String>, Wrong> {
    let text = str::from_utf8(text).map_err(|_| Wrong { line: 1, what: "it is not UTF-8 text" })?;
    let keys = read(text, Numbers::Exact)?.into_iter().filter_map(|entry| match entry {
        Entry::Pair(key, _) => Some(key),
        Entry::Comment(_) => None,
    });
    Ok(keys.collect())
}

fn read(text: &str, numbers: Numbers) -> Result<Vec<Entry>, Wrong> {
    let mut reader = Reader { text, at: 0, depth: 0, numbers };
    reader.skip_space();
    let entries =
        if reader.eat("{") { reader.object() } else { reader.wrong("a JSON object must start here") }?;
    reader.skip_space();
    if reader.at == text.len() { Ok(entries) } else { reader.wrong("nothing may follow the JSON object") }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    numbers: Numbers,
}

impl<'a> Reader<'a> {
    fn wrong<T>(&self, what: &'static str) -> Result<T, Wrong> {
        let before = self.text.get(..self.at).unwrap_or(self.text);
        Err(Wrong { line: before.bytes().filter(|&byte| byte == b'\n').count() + 1, what })
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn eat(&mut self, word: &str) -> bool {
        let found = self.rest().starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    fn object(&mut self) -> Result<Vec<Entry>, Wrong> {
        self.enter()?;
        let mut entries = Vec::new();
        self.skip_space();
        while !self.eat("}") {
            if !entries.is_empty() && !self.eat(",") {
                return self.wrong("`,` or `}` is missing");
            }
            self.skip_space();
            if !self.eat("\"") {
                return self.wrong("a key is missing");
            }
            let key = self.string()?.to_string();
            self.skip_space();
            if !self.eat(":") {
                return self.wrong("`:` is missing");
            }
            entries.push(Entry::Pair(key, self.value()?));
            self.skip_space();
        }
        self.depth -= 1;
        Ok(entries)
    }

    fn array(&mut self) -> Result<Vec<Item>, Wrong> {
        self.enter()?;
        let mut items = Vec::new();
        self.skip_space();
        while !self.eat("]") {
            if !items.is_empty() && !self.eat(",") {
                return self.wrong("`,` or `]` is missing");
            }
            items.push(Item::Value(self.value()?));
            self.skip_space();
        }
        self.depth -= 1;
        Ok(items)
    }

    fn enter(&mut self) -> Result<(), Wrong> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { self.wrong("it is nested too deep") } else { Ok(()) }
    }

    fn value(&mut self) -> Result<Value, Wrong> {
        self.skip_space();
        if self.eat("{") {
            self.object().map(Value::Map)
        } else if self.eat("[") {
            self.array().map(Value::List)
        } else if self.eat("\"") {
            self.string().map(Value::Text)
        } else if self.eat("true") {
            Ok(Value::Bool(true))
        } else if self.eat("false") {
            Ok(Value::Bool(false))
        } else if self.eat("null") {
            Ok(Value::Null)
        } else {
            self.number()
        }
    }

    fn number(&mut self) -> Result<Value, Wrong> {
        let rest = self.rest();
        let end = rest
            .find(|char: char| !matches!(char, '0'..='9' | '-' | '+' | '.' | 'e' | 'E'))
            .unwrap_or(rest.len());
        let digits = rest.get(..end).unwrap_or_default();
        if !is_number(digits) {
            return self.wrong("a value is missing");
        }
        self.at += end;
        if self.numbers == Numbers::Exact
            && let Ok(number) = digits.parse()
        {
            return Ok(Value::Int(number));
        }
        match digits.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Value::Float(number)),
            _ => self.wrong("a number is out of range"),
        }
    }

    /// The rest of a string whose opening quote was read.
    fn string(&mut self) -> Result<Secret, Wrong> {
        let rest = self.rest();
        // Never longer than it is written: the buffer never moves, so that no copy stays behind.
        let end = closing_quote(rest).map_or_else(|| self.wrong("a string is cut off"), Ok)?;
        let mut out = Zeroizing::new(String::with_capacity(end));
        let stop = self.at + end;
        while self.at < stop {
            let rest = self.text.get(self.at..stop).unwrap_or_default();
            let plain = rest.find(|char: char| char == '\\' || char < ' ').unwrap_or(rest.len());
            out.push_str(rest.get(..plain).unwrap_or_default());
            self.at += plain;
            if plain < rest.len() {
                out.push(self.escape()?);
            }
        }
        self.at = stop + 1;
        Ok(out)
    }

    fn escape(&mut self) -> Result<char, Wrong> {
        if !self.eat("\\") {
            return self.wrong("a control character stands in a string");
        }
        let Some(char) = self.rest().chars().next() else { return self.wrong("a string is cut off") };
        self.at += char.len_utf8();
        Ok(match char {
            '"' | '\\' | '/' => char,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => return self.unicode(),
            _ => return self.wrong("an unknown escape stands in a string"),
        })
    }

    /// Half a surrogate pair becomes the replacement character, as in Go.
    fn unicode(&mut self) -> Result<char, Wrong> {
        let Some(high) = self.hex() else { return self.wrong("`\\u` needs four hex digits") };
        if !(0xd800..0xdc00).contains(&high) {
            return Ok(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let back = self.at;
        if self.eat("\\u")
            && let Some(low) = self.hex().filter(|low| (0xdc00..0xe000).contains(low))
        {
            let joined = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            return Ok(char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        self.at = back;
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.rest().get(..4).filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }
}

/// Where the string ends: the first quote that no backslash escapes.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

/// JSON's grammar of numbers: no leading zeros, no bare dots, no plus.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) =
        unsigned.split_once(['e', 'E']).map_or((unsigned, None), |(left, right)| (left, Some(right)));
    let (whole, fraction) =
        mantissa.split_once('.').map_or((mantissa, None), |(left, right)| (left, Some(right)));
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|text| digits(text.strip_prefix(['+', '-']).unwrap_or(text)))
}

/// Writes the tree with a tab a level, as Go's `json.Indent` does; comments cannot be written.
pub(super) fn emit(tree: &Tree) -> Zeroizing<Vec<u8>> {
    let mut out = Buffer::new();
    emit_map(&mut out, tree.documents.first().map_or(&[], Vec::as_slice), 0);
    out.push("\n");
    out.into_bytes()
}

fn new_line(out: &mut Buffer, depth: usize) {
    out.push("\n");
    for _ in 0..depth {
        out.push("\t");
    }
}

fn emit_map(out: &mut Buffer, entries: &[Entry], depth: usize) {
    out.push("{");
    let mut first = true;
    for entry in entries {
        let Entry::Pair(key, value) = entry else { continue };
        out.push(if first { "" } else { "," });
        first = false;
        new_line(out, depth + 1);
        emit_string(out, key);
        out.push(": ");
        emit_value(out, value, depth + 1);
    }
    if !first {
        new_line(out, depth);
    }
    out.push("}");
}

fn emit_list(out: &mut Buffer, items: &[Item], depth: usize) {
    out.push("[");
    let mut first = true;
    for item in items {
        let Item::Value(value) = item else { continue };
        out.push(if first { "" } else { "," });
        first = false;
        new_line(out, depth + 1);
        emit_value(out, value, depth + 1);
    }
    if !first {
        new_line(out, depth);
    }
    out.push("]");
}

fn emit_value(out: &mut Buffer, value: &Value, depth: usize) {
    match value {
        Value::Null => out.push("null"),
        Value::Bool(value) => out.push(if *value { "true" } else { "false" }),
        Value::Int(number) => out.push(&Zeroizing::new(number.to_string())),
        Value::Float(number) => out.push(&Zeroizing::new(float(*number))),
        Value::Text(text) | Value::Time(text) => emit_string(out, text),
        Value::Bytes(bytes) => emit_string(out, &Zeroizing::new(String::from_utf8_lossy(bytes).into_owned())),
        Value::List(items) => emit_list(out, items, depth),
        Value::Map(entries) => emit_map(out, entries, depth),
    }
}

/// An exponent below 1e-6 and from 1e21 on, without a leading zero.
fn float(number: f64) -> String {
    let size = number.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = number::general(number, i32::MIN);
        text.replace("e-0", "e-")
    } else {
        number::plain(number)
    }
}

fn emit_string(out: &mut Buffer, text: &str) {
    out.push("\"");
    let mut rest = text;
    while let Some(at) = rest.find(|char: char| char < ' ' || "\"\\<>&\u{2028}\u{2029}".contains(char)) {
        let (plain, special) = rest.split_at(at);
        out.push(plain);
        let mut chars = special.chars();
        match chars.next() {
            Some('"') => out.push("\\\""),
            Some('\\') => out.push("\\\\"),
            Some('\n') => out.push("\\n"),
            Some('\r') => out.push("\\r"),
            Some('\t') => out.push("\\t"),
            Some('\u{8}') => out.push("\\b"),
            Some('\u{c}') => out.push("\\f"),
            Some(other) => out.push(&format!("\\u{:04x}", u32::from(other))),
            None => {}
        }
        rest = chars.as_str();
    }
    out.push(rest);
    out.push("\"");
}

/// The one value of a binary file.
pub(super) fn emit_binary(tree: &Tree) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let data = tree.documents.iter().flatten().find_map(|entry| match entry {
        Entry::Pair(key, Value::Text(text)) if key == "data" => {
            Some(Zeroizing::new(text.as_bytes().to_vec()))
        }
        Entry::Pair(key, Value::Bytes(bytes)) if key == "data" => Some(bytes.clone()),
        _ => None,
    });
    data.ok_or_else(|| {
        SecretError::malformed(Kind::Sops(Format::Binary), None, "it has no text under `data`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(text: &str) -> String {
        let tree =
            parse(Format::Json, text, Numbers::Rounded).unwrap_or_else(|error| panic!("{text}: {error}"));
        String::from_utf8_lossy(&emit(&tree)).into_owned()
    }

    #[test]
    fn reads_and_writes_as_go_does() {
        assert_eq!(through("{}"), "{}\n");
        assert_eq!(
            through(r#" {"a":[1e21,1E-7,-0,1.50,[],{}],"a":"\u00e9\ud83d\ude00\ud800x<\/\u2028\b"} "#),
            "{\n\t\"a\": [\n\t\t1e+21,\n\t\t1e-7,\n\t\t-0,\n\t\t1.5,\n\t\t[],\n\t\t{}\n\t],\n\t\"a\": \"é😀\u{fffd}x\\u003c/\\u2028\\b\"\n}\n"
        );
    }

    #[test]
    fn refuses_what_is_not_json() {
        for bad in [
            "",
            "[]",
            "{",
            "{\"a\"",
            "{\"a\":}",
            "{\"a\":01}",
            "{\"a\":1,}",
            "{} x",
            "{\"a\":\"\n\"}",
            "{\"a\":\"\\x\"}",
            "{\"a\":1e999}",
            "{\"a\":\"",
        ] {
            assert!(parse(Format::Json, bad, Numbers::Exact).is_err(), "{bad}");
        }
        let deep = format!("{}{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
        assert!(parse(Format::Json, &deep, Numbers::Exact).is_err());
    }
}
