//! sops' ini store: how does the library behind it read and write sections, keys, quotes and comments?
//!
//! Its rules, as measured: a comment belongs to the section or key below it (a trailing one to its own line) and is
//! one comment however many lines it has; `=` and `:` both end a key; three double quotes and backticks quote over
//! several lines; a trailing backslash joins lines; written files align `=` within a section.

use zeroize::Zeroizing;

use super::{
    super::{Format, Kind, SecretError},
    buffer::Buffer,
    tree::{Comment, Entry, Secret, Tree, Value},
};

const DEFAULT: &str = "DEFAULT";

struct Section {
    name: String,
    comment: Secret,
    keys: Vec<Key>,
}

struct Key {
    name: String,
    value: Secret,
    comment: Secret,
}

pub(super) fn parse(text: &str) -> Result<Tree, SecretError> {
    let mut reader =
        Reader { rest: text, line: 0, comment: Secret::default(), counter: 1, sections: Vec::new() };
    reader.sections.push(Section { name: DEFAULT.to_owned(), comment: Secret::default(), keys: Vec::new() });
    reader.read().map_err(|what| SecretError::malformed(Kind::Sops(Format::Ini), Some(reader.line), what))?;
    let entries = reader.sections.into_iter().map(|section| {
        let mut entries = Vec::new();
        entries.extend(comment_entry(&section.comment));
        for key in section.keys {
            let comment = comment_entry(&key.comment);
            entries.push(Entry::Pair(key.name, Value::Text(key.value)));
            entries.extend(comment);
        }
        Entry::Pair(section.name, Value::Map(entries))
    });
    Ok(Tree { documents: vec![entries.collect()] })
}

/// The comment without its first comment character.
fn comment_entry(comment: &str) -> Option<Entry> {
    let text = match comment.chars().next()? {
        ';' => comment.trim_start_matches([';', ' ']),
        '#' => comment.trim_start_matches(['#', ' ']),
        _ => comment,
    };
    Some(Entry::Comment(Comment::new(text)))
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
    /// Comment lines that still look for what they stand above.
    comment: Secret,
    counter: usize,
    sections: Vec<Section>,
}

impl<'a> Reader<'a> {
    /// The next line with its line break.
    fn next_line(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        self.line += 1;
        let end = self.rest.find('\n').map_or(self.rest.len(), |at| at + 1);
        let (line, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(line)
    }

    fn take_comment(&mut self) -> Secret {
        let comment = Zeroizing::new(self.comment.trim().to_owned());
        self.comment = Secret::default();
        comment
    }

    fn read(&mut self) -> Result<(), &'static str> {
        while let Some(line) = self.next_line() {
            let line = line.trim_start();
            match line.chars().next() {
                None => {}
                Some('#' | ';') => self.comment.push_str(line),
                Some('[') => self.section(line)?,
                Some(_) => self.key(line)?,
            }
        }
        Ok(())
    }

    fn section(&mut self, line: &str) -> Result<(), &'static str> {
        let (name, tail) =
            line.trim_start_matches('[').rsplit_once(']').ok_or("a section is not closed by `]`")?;
        // Only the one bracket belongs to the line's own syntax.
        let name = line.get(1..line.len() - tail.len() - 1).unwrap_or(name);
        if name.is_empty() {
            return Err("a section has no name");
        }
        if let Some(at) = tail.find(['#', ';']) {
            self.comment.push_str(tail.get(at..).unwrap_or_default());
        }
        let comment = self.take_comment();
        self.counter = 1;
        self.sections.push(Section { name: name.to_owned(), comment, keys: Vec::new() });
        Ok(())
    }

    fn key(&mut self, line: &'a str) -> Result<(), &'static str> {
        let (name, rest) = key_name(line)?;
        let name = if name == "-" {
            self.counter += 1;
            format!("#{}", self.counter - 1)
        } else {
            name.to_owned()
        };
        if name.is_empty() {
            return Err("a key has no name");
        }
        let value = self.value(rest)?;
        let comment = self.take_comment();
        let Some(section) = self.sections.last_mut() else { return Err("a key stands in no section") };
        match section.keys.iter_mut().find(|key| key.name == name) {
            // The last one counts, at the first one's place.
            Some(key) => (key.value, key.comment) = (value, comment),
            None => section.keys.push(Key { name, value, comment }),
        }
        Ok(())
    }

    fn value(&mut self, text: &'a str) -> Result<Secret, &'static str> {
        let line = text.trim_start();
        if line.is_empty() {
            return Ok(Secret::default());
        }
        let quote = if line.len() > 3 && line.starts_with("\"\"\"") {
            "\"\"\""
        } else if line.starts_with('`') {
            "`"
        } else {
            return self.bare_value(line.trim());
        };
        let inner = line.strip_prefix(quote).unwrap_or(line);
        match inner.rfind(quote) {
            Some(end) => Ok(Zeroizing::new(inner.get(..end).unwrap_or_default().to_owned())),
            None => self.quoted_lines(inner, quote),
        }
    }

    fn quoted_lines(&mut self, first: &str, quote: &str) -> Result<Secret, &'static str> {
        let mut value = Zeroizing::new(first.to_owned());
        while let Some(next) = self.next_line() {
            if let Some(end) = next.rfind(quote) {
                let (inside, tail) = next.split_at(end);
                value.push_str(inside);
                if let Some(at) = tail.find(['#', ';']) {
                    self.comment.push_str(tail.get(at..).unwrap_or_default().trim());
                }
                return Ok(value);
            }
            value.push_str(next);
        }
        Err("a quoted value is not closed")
    }

    fn bare_value(&mut self, line: &str) -> Result<Secret, &'static str> {
        if let Some(first) = line.strip_suffix('\\') {
            return Ok(self.continued_lines(first));
        }
        let mut line = line;
        if let Some(at) = line.find(['#', ';']) {
            let (value, comment) = line.split_at(at);
            self.comment.push_str(comment);
            line = value.trim();
        }
        for quote in ['\'', '"'] {
            let inner = line.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
            if let Some(inner) = inner.filter(|inner| !inner.contains(quote)) {
                line = inner;
                break;
            }
        }
        Ok(Zeroizing::new(line.to_owned()))
    }

    fn continued_lines(&mut self, first: &str) -> Secret {
        let mut value = Zeroizing::new(first.to_owned());
        while let Some(next) = self.next_line().map(str::trim).filter(|next| !next.is_empty()) {
            match next.strip_suffix('\\') {
                Some(more) => value.push_str(more),
                None => {
                    value.push_str(next);
                    break;
                }
            }
        }
        value
    }
}

/// The key of a line, and what follows its `=` or `:`.
fn key_name(line: &str) -> Result<(&str, &str), &'static str> {
    const NO_DELIMITER: &str = "a line has no `=`";
    let quote = if line.len() > 6 && line.starts_with("\"\"\"") {
        "\"\"\""
    } else if line.starts_with('"') {
        "\""
    } else if line.starts_with('`') {
        "`"
    } else {
        let at = line.find(['=', ':']).ok_or(NO_DELIMITER)?;
        let (name, rest) = line.split_at(at);
        return if at == 0 {
            Err("a key has no name")
        } else {
            Ok((name.trim(), rest.get(1..).unwrap_or_default()))
        };
    };
    let inner = line.strip_prefix(quote).unwrap_or(line);
    let (name, rest) = inner.split_once(quote).ok_or("a quoted key is not closed")?;
    let at = rest.find(['=', ':']).ok_or(NO_DELIMITER)?;
    Ok((name.trim(), rest.get(at + 1..).unwrap_or_default()))
}

pub(super) fn emit(tree: &Tree) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let mut out = Buffer::new();
    let sections: Vec<(&String, &Vec<Entry>)> = tree
        .documents
        .iter()
        .flatten()
        .filter_map(|entry| match entry {
            Entry::Pair(name, Value::Map(entries)) => Some((name, entries)),
            _ => None,
        })
        .collect();
    let last = sections.len().saturating_sub(1);
    for (index, (name, entries)) in sections.into_iter().enumerate() {
        emit_section(&mut out, index == 0, name, entries)?;
        let has_keys = entries.iter().any(|entry| matches!(entry, Entry::Pair(..)));
        if index != last && (index > 0 || !name.eq_ignore_ascii_case(DEFAULT) || has_keys) {
            out.push("\n");
        }
    }
    Ok(out.into_bytes())
}

fn emit_section(out: &mut Buffer, first: bool, name: &str, entries: &[Entry]) -> Result<(), SecretError> {
    let mut entries = entries;
    if let [Entry::Comment(comment), rest @ ..] = entries {
        emit_comment(out, &comment.text, false);
        entries = rest;
    }
    if !first || !name.eq_ignore_ascii_case(DEFAULT) {
        out.push("[");
        out.push(name);
        out.push("]\n");
    }
    // The name as it will be written decides the width, but a quoted one is measured a little differently.
    let width = entries
        .iter()
        .filter_map(|entry| if let Entry::Pair(key, _) = entry { Some(quoted(key).len()) } else { None });
    let width = width.max().unwrap_or(0);
    for (index, entry) in entries.iter().enumerate() {
        let Entry::Pair(key, value) = entry else { continue };
        if let Some(Entry::Comment(comment)) = entries.get(index + 1) {
            emit_comment(out, &comment.text, true);
        }
        let key = quoted(key);
        out.push(&key);
        out.push(&" ".repeat(width - key.len()));
        out.push(" = ");
        emit_value(out, value)?;
        out.push("\n");
    }
    Ok(())
}

fn quoted(key: &str) -> String {
    if key.contains(['"', '=', ':']) {
        format!("`{key}`")
    } else if key.contains('`') {
        format!("\"\"\"{key}\"\"\"")
    } else {
        key.to_owned()
    }
}

fn emit_comment(out: &mut Buffer, comment: &str, of_key: bool) {
    if comment.is_empty() {
        return;
    }
    for line in comment.split('\n') {
        match line.chars().next() {
            Some(mark @ ('#' | ';')) => {
                out.push(if mark == '#' { "# " } else { "; " });
                out.push(line.get(1..).unwrap_or_default().trim());
            }
            _ => {
                out.push("; ");
                out.push(if of_key { line.trim() } else { line });
            }
        }
        out.push("\n");
    }
}

fn emit_value(out: &mut Buffer, value: &Value) -> Result<(), SecretError> {
    let text = value.as_text().ok_or_else(|| {
        SecretError::malformed(Kind::Sops(Format::Ini), None, "a key holds a collection, which ini has not")
    })?;
    let quote = if text.contains(['\n', '`']) {
        "\"\"\""
    } else if text.contains(['#', ';']) {
        "`"
    } else if text.trim().len() != text.len() {
        "\""
    } else {
        ""
    };
    out.push(quote);
    match value {
        Value::Bytes(bytes) => out.push_bytes(bytes),
        _ => out.push(&text),
    }
    out.push(quote);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(text: &str) -> String {
        let tree = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        String::from_utf8_lossy(&emit(&tree).unwrap_or_else(|error| panic!("{error}"))).into_owned()
    }

    #[test]
    fn reads_and_writes_as_the_library_does() {
        assert_eq!(through("[s]\n"), "[s]\n");
        assert_eq!(
            through(
                "a:1\n#x\n [s] ; y\nlong = \"q\"\nk=`a;b`  \n\"k=2\" = \"\"\"x\ny\"\"\" # z\n- = c \\\n  d\n"
            ),
            "a = 1\n\n; x\n; y\n[s]\nlong  = q\nk     = `a;b`\n; z\n`k=2` = \"\"\"x\ny\"\"\"\n#1    = c d\n"
        );
    }

    #[test]
    fn refuses_what_the_library_refuses() {
        for bad in ["[s\n", "word\n", "= 1\n", "a = \"\"\"x\n", "[]\n"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
