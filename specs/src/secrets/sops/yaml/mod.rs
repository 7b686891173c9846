//! What do YAML documents hold, to sops, and how does it write them? Comments become entries of the mapping or list that
//! they stand in, as sops itself makes them; the rest is `scan` (characters to tokens), `compose` (tokens to nodes) and
//! `emit` (nodes to characters).
//!
//! Not the loader's parser: that one drops comments, and this one must give each to the node that sops gives it to, since
//! an encrypted comment is bound to the path of its collection.

mod comments;
mod compose;
mod emit;
mod resolve;
mod scalars;
mod scan;
mod style;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use zeroize::Zeroizing;

use self::{
    compose::{Node, Notes, Shape},
    scan::{Failure, Style},
};
use super::{
    super::{Format, Kind, ProgramCall, SecretError},
    number,
    tree::{Comment, Entry, Item, Tree, Value},
};

/// Reads all documents of a text.
pub(super) fn parse(text: &str) -> Result<Tree, SecretError> {
    let chars = Zeroizing::new(text.chars().collect::<Vec<char>>());
    if let Some(at) = chars.iter().position(|char| !is_allowed(*char)) {
        let line = chars.iter().take(at).filter(|char| **char == '\n').count() + 1;
        return Err(malformed(line, "it holds a control character"));
    }
    let documents = compose::documents(&chars).map_err(|failure| refusal(&failure))?;
    let mut tree = Tree { documents: Vec::with_capacity(documents.len()) };
    for document in &documents {
        let mut entries = Vec::new();
        add_lines(&mut entries, &document.notes.head, false);
        add_root(&mut entries, &document.content)?;
        add_lines(&mut entries, &document.notes.foot, false);
        tree.documents.push(entries);
    }
    let metadata = tree.documents.first().into_iter().flatten();
    let sections = metadata.filter(|entry| matches!(entry, Entry::Pair(key, _) if key == "sops")).count();
    if sections > 1 { Err(malformed(1, "it has two `sops` sections")) } else { Ok(tree) }
}

/// Writes all documents as sops does; from 3.13 on it leaves a comment behind its value where it was.
pub(super) fn emit(tree: &Tree, keeps_inline: bool) -> Zeroizing<Vec<u8>> {
    let roots: Vec<Node> = tree.documents.iter().map(|entries| map_node(entries, keeps_inline)).collect();
    emit::documents(&roots)
}

/// Whether the sops that wrote a file keeps comments behind their values.
pub(super) fn keeps_inline(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= (3, 13)
}

fn is_allowed(char: char) -> bool {
    matches!(char, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

fn malformed(line: usize, what: &str) -> SecretError {
    SecretError::malformed(Kind::Sops(Format::Yaml), Some(line), what)
}

fn refusal(failure: &Failure) -> SecretError {
    if failure.foreign {
        return SecretError::Unsupported {
            what: format!("the sops yaml file: {}, in line {}", failure.what, failure.line),
            call: Some(ProgramCall::new(Format::Yaml)),
        };
    }
    malformed(failure.line, &format!("not YAML: {}", failure.what))
}

/// One entry a line, without the `#`.
fn add_lines(entries: &mut Vec<Entry>, lines: &str, inline: bool) {
    entries.extend(lines_of(lines, inline).map(Entry::Comment));
}

fn lines_of(lines: &str, inline: bool) -> impl Iterator<Item = Comment> {
    let lines = lines.split('\n').filter(|line| !line.is_empty());
    lines.map(move |line| Comment { inline, ..Comment::new(line.strip_prefix('#').unwrap_or(line)) })
}

fn add_root(entries: &mut Vec<Entry>, root: &Node) -> Result<(), SecretError> {
    add_lines(entries, &root.notes.head, false);
    add_lines(entries, &root.notes.line, false);
    match &root.shape {
        Shape::Map(pairs) => add_pairs(entries, pairs)?,
        Shape::Scalar { text, style: Style::Plain, .. } if matches!(text.as_str(), "" | "~" | "null") => {}
        _ => return Err(malformed(root.line, "a document is not a mapping")),
    }
    add_lines(entries, &root.notes.foot, false);
    Ok(())
}

fn add_pairs(entries: &mut Vec<Entry>, pairs: &[(Node, Node)]) -> Result<(), SecretError> {
    for (key, value) in pairs {
        let own = matches!(value.shape, Shape::Scalar { .. });
        add_lines(entries, &key.notes.head, false);
        add_lines(entries, &key.notes.line, false);
        if own {
            add_lines(entries, &value.notes.head, false);
            add_lines(entries, &value.notes.line, true);
        }
        entries.push(Entry::Pair(key_of(key)?, value_of(value, own)?));
        if own {
            add_lines(entries, &value.notes.foot, false);
        }
        add_lines(entries, &key.notes.foot, false);
    }
    Ok(())
}

fn key_of(node: &Node) -> Result<String, SecretError> {
    if let Shape::Scalar { text, style, tag } = &node.shape
        && let Some(Value::Text(text)) = resolve::scalar(text, *style == Style::Plain, tag.as_deref())
    {
        return Ok(text.to_string());
    }
    Err(malformed(node.line, "a key is no string"))
}

/// `handled`: the node's comments stand in the collection around it already.
fn value_of(node: &Node, handled: bool) -> Result<Value, SecretError> {
    match &node.shape {
        Shape::Scalar { text, style, tag } => resolve::scalar(text, *style == Style::Plain, tag.as_deref())
            .ok_or_else(|| malformed(node.line, "a value does not fit its type, or is too large for any")),
        Shape::List(nodes) => {
            let mut items = Vec::new();
            let add = |items: &mut Vec<Item>, lines: &str, inline| {
                items.extend(lines_of(lines, inline).map(Item::Comment));
            };
            if !handled {
                add(&mut items, &node.notes.head, false);
                add(&mut items, &node.notes.line, false);
            }
            for item in nodes {
                add(&mut items, &item.notes.head, false);
                add(&mut items, &item.notes.line, true);
                items.push(Item::Value(value_of(item, true)?));
                add(&mut items, &item.notes.foot, false);
            }
            if !handled {
                add(&mut items, &node.notes.foot, false);
            }
            Ok(Value::List(items))
        }
        Shape::Map(pairs) => {
            let mut entries = Vec::new();
            if !handled {
                add_lines(&mut entries, &node.notes.head, false);
                add_lines(&mut entries, &node.notes.line, false);
            }
            add_pairs(&mut entries, pairs)?;
            if !handled {
                add_lines(&mut entries, &node.notes.foot, false);
            }
            Ok(Value::Map(entries))
        }
    }
}

/// Comments that wait for the node that they stand above.
#[derive(Default)]
struct Waiting {
    head: Vec<String>,
    inline: Vec<String>,
    begun: bool,
}

impl Waiting {
    fn comment(&mut self, comment: &Comment, keeps_inline: bool) {
        let lines = if comment.inline && keeps_inline { &mut self.inline } else { &mut self.head };
        lines.push(format!("#{}", comment.text.as_str()));
    }

    /// What stands above the first node belongs to the collection.
    fn begin(&mut self, collection: &mut Notes) {
        if !std::mem::replace(&mut self.begun, true) {
            collection.head = std::mem::take(&mut self.head).join("\n");
        }
    }

    fn head(&mut self, notes: &mut Notes) {
        if !self.head.is_empty() {
            let own = std::mem::take(&mut notes.head);
            self.head.extend((!own.is_empty()).then_some(own));
            notes.head = std::mem::take(&mut self.head).join("\n");
        }
    }

    fn inline(&mut self, notes: &mut Notes) {
        if !self.inline.is_empty() {
            notes.line = std::mem::take(&mut self.inline).join("\n");
        }
    }

    /// What is left when the collection ends.
    fn end(mut self, collection: &mut Notes, last: Option<&mut Notes>) {
        self.head.append(&mut self.inline);
        let lines = self.head.join("\n");
        match last {
            Some(last) => last.foot = lines,
            None => collection.head = lines,
        }
    }
}

fn map_node(entries: &[Entry], keeps_inline: bool) -> Node {
    let (mut notes, mut waiting) = (Notes::default(), Waiting::default());
    let mut pairs: Vec<(Node, Node)> = Vec::new();
    for entry in entries {
        match entry {
            Entry::Comment(comment) => waiting.comment(comment, keeps_inline),
            Entry::Pair(key, value) => {
                waiting.begin(&mut notes);
                let mut key = text_node(key);
                waiting.head(&mut key.notes);
                let mut value = node_of(value, keeps_inline);
                waiting.inline(&mut value.notes);
                pairs.push((key, value));
            }
        }
    }
    waiting.end(&mut notes, pairs.last_mut().map(|(key, _)| &mut key.notes));
    Node { shape: Shape::Map(pairs), notes, line: 0 }
}

fn list_node(items: &[Item], keeps_inline: bool) -> Node {
    let (mut notes, mut waiting) = (Notes::default(), Waiting::default());
    let mut nodes: Vec<Node> = Vec::new();
    for item in items {
        match item {
            Item::Comment(comment) => waiting.comment(comment, keeps_inline),
            Item::Value(value) => {
                waiting.begin(&mut notes);
                let mut node = node_of(value, keeps_inline);
                waiting.head(&mut node.notes);
                waiting.inline(&mut node.notes);
                nodes.push(node);
            }
        }
    }
    waiting.end(&mut notes, nodes.last_mut().map(|node| &mut node.notes));
    Node { shape: Shape::List(nodes), notes, line: 0 }
}

fn node_of(value: &Value, keeps_inline: bool) -> Node {
    let plain = |text: String| leaf(&text, Style::Plain, None);
    match value {
        Value::Null => plain("null".to_owned()),
        Value::Bool(value) => plain(value.to_string()),
        Value::Int(value) => plain(value.to_string()),
        Value::Float(value) => plain(match number::general(*value, 6) {
            text if text == "NaN" => ".nan".to_owned(),
            text if text == "+Inf" => ".inf".to_owned(),
            text if text == "-Inf" => "-.inf".to_owned(),
            text => text,
        }),
        Value::Time(time) => leaf(time, Style::Plain, None),
        Value::Text(text) => text_node(text),
        Value::Bytes(bytes) => binary_node(bytes),
        Value::List(items) => list_node(items, keeps_inline),
        Value::Map(entries) => map_node(entries, keeps_inline),
    }
}

fn leaf(text: &str, style: Style, tag: Option<&str>) -> Node {
    let text = Zeroizing::new(text.to_owned());
    let shape = Shape::Scalar { text, style, tag: tag.map(str::to_owned) };
    Node { shape, notes: Notes::default(), line: 0 }
}

fn text_node(text: &str) -> Node {
    // A merge key keeps its tag in that library even where it is a string like any other.
    if text == "<<" {
        return leaf(text, Style::Plain, Some("!!merge"));
    }
    let asked = if text.contains('\n') {
        Style::Literal
    } else if resolve::may_stand_plain(text) {
        Style::Plain
    } else {
        Style::Double
    };
    // sops writes each value once alone and reads it back before it stands in the document.
    if text.contains(scan::is_break) || text.contains('\u{feff}') {
        return reread(&emit::scalar(text, asked)).unwrap_or_else(|| leaf("null", Style::Plain, None));
    }
    let style = style::Facts::of(text).choose(asked, text, false);
    leaf(text, style, None)
}

fn reread(bytes: &[u8]) -> Option<Node> {
    let chars = Zeroizing::new(str::from_utf8(bytes).ok()?.chars().collect::<Vec<char>>());
    compose::documents(&chars).ok()?.pop().map(|document| document.content)
}

/// Base64 in lines of 70, under a tag.
fn binary_node(bytes: &[u8]) -> Node {
    let packed = Zeroizing::new(BASE64_STANDARD.encode(bytes));
    let mut text = Zeroizing::new(String::with_capacity(packed.len() + packed.len() / 70 + 1));
    for (index, char) in packed.chars().enumerate() {
        if index > 0 && index % 70 == 0 {
            text.push('\n');
        }
        text.push(char);
    }
    let long = packed.len() >= 70;
    if long {
        text.push('\n');
    }
    leaf(&text, if long { Style::Literal } else { Style::Plain }, Some("!!binary"))
}
