//! What does a YAML text say, read as Docker Compose reads it?
//!
//! Parser events become [`Node`]s with their places. Scalars resolve as the Go loader's do (YAML 1.1 octal and
//! underscores, no sexagesimal, `yes` and `on` are strings); aliases and `<<` are expanded within a budget; a key that
//! stands twice is refused with both places.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle};
use indexmap::map;

use crate::{
    Message, Problem, Text,
    doc::{Directive, Entry, FileId, Key, Map, Node, Path, Span, Value},
    message,
    values::scalar_text,
};

mod scalar;

use scalar::{decode_binary, resolve, timestamp};

/// How many nodes a file may hold once every alias is expanded.
const MAX_NODES: usize = 150_000;
/// How deep collections may nest.
const MAX_DEPTH: usize = 200;

/// All documents of a text, `---` apart.
///
/// # Errors
/// One problem with the place where the text stops being YAML, or every repeated and non-string key.
pub fn parse(text: &str, file: FileId, secret: bool) -> Result<Vec<Node>, Vec<Problem>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let options =
        granit_parser::options! { emit_comments: false, block_nesting_limit: 255, flow_nesting_limit: 255 };
    let mut composer = Composer {
        text,
        file,
        secret,
        anchors: HashMap::new(),
        stack: Vec::new(),
        documents: Vec::new(),
        nodes: 0,
        quoted: false,
        problems: Vec::new(),
    };
    if let Some(line) = text
        .lines()
        .take_while(|line| *line != "---")
        .position(|line| line.starts_with("%YAML") && line.trim_end() != "%YAML 1.1")
    {
        let line = u32::try_from(line + 1).unwrap_or(u32::MAX);
        let at = Span { file, line, column: 1, width: 5 };
        let problem = Problem::error(
            "yaml",
            at,
            Path::default(),
            "not YAML 1.1, the version that Docker Compose reads",
        );
        return Err(vec![problem.hint("leave the %YAML line out")]);
    }
    for event in Parser::new_from_str_with_options(text, options) {
        match event {
            Ok((event, span)) => composer.take(event, span)?,
            Err(error) => {
                let at = composer.at(*error.marker(), 1);
                let message: Message = match error.info() {
                    info if info.contains("recursion limit") => "nests too deep".into(),
                    info => message!("not YAML: {}", Text::with_secrecy(info, secret)),
                };
                composer.problems.push(Problem::error("yaml", at, Path::default(), message));
                return Err(composer.problems);
            }
        }
    }
    if composer.problems.is_empty() { Ok(composer.documents) } else { Err(composer.problems) }
}

/// Whether a plain scalar of this text would be no string.
pub(crate) fn is_resolved(text: &str) -> bool {
    resolve(text).is_some() || timestamp(text).is_some()
}

struct Composer<'t> {
    text: &'t str,
    file: FileId,
    secret: bool,
    anchors: HashMap<usize, (Node, usize)>,
    stack: Vec<Open>,
    documents: Vec<Node>,
    nodes: usize,
    /// Whether the scalar that is being added stood in quotes: `"<<"` merges nothing.
    quoted: bool,
    problems: Vec<Problem>,
}

/// A collection whose end has not come yet.
struct Open {
    span: Span,
    directive: Option<Directive>,
    anchor: usize,
    started: usize,
    content: Content,
}

enum Content {
    Seq(Vec<Node>),
    Map { entries: Map, key: Option<(Key, Span)>, merges: Vec<Node> },
}

impl Composer<'_> {
    fn at(&self, marker: granit_parser::Marker, width: usize) -> Span {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Span {
            file: self.file,
            line: number(marker.line()),
            column: number(marker.col() + 1),
            width: number(width.max(1)),
        }
    }

    fn span(&self, span: &granit_parser::Span) -> Span {
        let width = if span.start.line() == span.end.line() {
            span.end.col().saturating_sub(span.start.col())
        } else {
            1
        };
        self.at(span.start, width)
    }

    fn fail(&self, at: Span, message: impl Into<Message>) -> Vec<Problem> {
        vec![Problem::error("yaml", at, self.path(), message)]
    }

    fn take(&mut self, event: Event<'_>, span: granit_parser::Span) -> Result<(), Vec<Problem>> {
        let at = self.span(&span);
        let tag = span.tag_span().and_then(|tag| tag.slice(self.text)).unwrap_or("");
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let node = self.scalar(&text, style, tag, at);
                self.keep(anchor, &node, 1);
                self.quoted = style != ScalarStyle::Plain;
                self.add(node)?;
                self.quoted = false;
            }
            Event::SequenceStart(_, anchor, _) => self.open(at, tag, anchor, Content::Seq(Vec::new()))?,
            Event::MappingStart(_, anchor, _) => {
                self.open(
                    at,
                    tag,
                    anchor,
                    Content::Map { entries: Map::default(), key: None, merges: Vec::new() },
                )?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close()?,
            Event::Alias(id) => self.alias(id, at)?,
            Event::DocumentStart(..) => self.anchors.clear(),
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, span: Span, tag: &str, anchor: usize, content: Content) -> Result<(), Vec<Problem>> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(self.fail(span, message!("nested deeper than {} levels", MAX_DEPTH)));
        }
        self.stack.push(Open { span, directive: directive(tag), anchor, started: self.nodes, content });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Vec<Problem>> {
        let Some(open) = self.stack.pop() else { return Ok(()) };
        let value = match open.content {
            Content::Seq(items) => Value::Seq(items),
            Content::Map { mut entries, merges, .. } => {
                for source in merges {
                    self.merge(&mut entries, source, 0)?;
                }
                Value::Map(entries)
            }
        };
        let node = Node { span: open.span, directive: open.directive, value };
        self.keep(open.anchor, &node, self.nodes - open.started + 1);
        self.add(node)
    }

    fn keep(&mut self, anchor: usize, node: &Node, size: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
    }

    fn alias(&mut self, id: usize, at: Span) -> Result<(), Vec<Problem>> {
        let Some((node, size)) = self.anchors.get(&id) else {
            return Err(self.fail(at, "cycle detected: the alias stands inside of what it names"));
        };
        self.nodes += size;
        if self.nodes > MAX_NODES {
            return Err(self.fail(at, message!("aliases expand to more than {} values", MAX_NODES)));
        }
        let node = node.clone();
        self.add(node)
    }

    fn merge(&mut self, entries: &mut Map, source: Node, depth: usize) -> Result<(), Vec<Problem>> {
        match source.value {
            Value::Map(map) => {
                for (key, entry) in map {
                    entries.entry(key).or_insert(entry);
                }
                Ok(())
            }
            Value::Seq(items) if depth == 0 => {
                items.into_iter().try_for_each(|item| self.merge(entries, item, 1))
            }
            _ => Err(self.fail(
                source.span,
                "map merge requires a mapping or a list of mappings as the value of '<<'",
            )),
        }
    }

    fn add(&mut self, node: Node) -> Result<(), Vec<Problem>> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(self.fail(node.span, message!("more than {} values", MAX_NODES)));
        }
        let Some(open) = self.stack.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        match &mut open.content {
            Content::Seq(items) => items.push(node),
            Content::Map { key: slot @ None, .. } => {
                let Value::Str(text) = &node.value else {
                    let message = message!("keys must be strings, found {}", node.kind());
                    *slot = Some((format!("\u{0}{}", self.nodes).into(), node.span));
                    let path = self.path_above();
                    let problem = Problem::error("non-string-key", node.span, &path, message);
                    self.problems.push(problem.hint("put quotes around it"));
                    return Ok(());
                };
                let name = text.expose();
                let name = if self.quoted && name == "<<" { "\u{0}<<" } else { name };
                *slot = Some((name.into(), node.span));
            }
            Content::Map { entries, key, merges } => {
                let (key, at) = key.take().unwrap_or_else(|| ("".into(), Span::default()));
                let (key, is_merge) = match &*key {
                    "<<" => (key, true),
                    "\u{0}<<" => ("<<".into(), false),
                    _ => (key, false),
                };
                if is_merge {
                    merges.push(node);
                    if merges.len() > 1 {
                        let message = "mapping key \"<<\" is already defined";
                        self.problems.push(Problem::error("duplicate-key", at, self.path(), message));
                    }
                    return Ok(());
                }
                match entries.entry(key) {
                    map::Entry::Vacant(place) => {
                        place.insert(Entry { key: at, node });
                    }
                    map::Entry::Occupied(first) => {
                        let (key, first) = (first.key().clone(), first.get().key);
                        self.repeated(&key, at, first);
                    }
                }
            }
        }
        Ok(())
    }

    fn repeated(&mut self, key: &Key, at: Span, first: Span) {
        let message = message!("mapping key \"{}\" is already defined at line {}", key, first.line);
        self.problems.push(
            Problem::error("duplicate-key", at, self.path().key(key), message)
                .hint("keep one of the two")
                .related(first, "first defined here"),
        );
    }

    /// Whether what comes next belongs to a top-level `x-…`.
    fn in_extension(&self) -> bool {
        matches!(self.stack.first().map(|open| &open.content),
            Some(Content::Map { key: Some((key, _)), .. }) if key.starts_with("x-"))
    }

    /// The path of the mapping that stands open.
    fn path_above(&self) -> Path {
        let mut path = self.path();
        path.0.pop();
        path
    }

    fn path(&self) -> Path {
        self.stack.iter().fold(Path::default(), |path, open| match &open.content {
            Content::Seq(items) => path.index(items.len()),
            Content::Map { key: Some((key, _)), .. } => path.key(key),
            Content::Map { .. } => path,
        })
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: &str, at: Span) -> Node {
        let string = |text: &str| Value::Str(Text::with_secrecy(text, self.secret));
        let value = match tag {
            "!!str" | "!" => string(text),
            "!!binary" => string(&decode_binary(text)),
            _ if tag.starts_with('!') && !tag.starts_with("!!") => string(text),
            "!!null" => Value::Null,
            _ if style != ScalarStyle::Plain => string(text),
            "!!float" => resolve(text).map_or_else(
                || string(text),
                |value| match value {
                    #[expect(clippy::cast_precision_loss, reason = "asked for by the tag")]
                    Value::Int(number) => Value::Float(number as f64),
                    other => other,
                },
            ),
            _ => resolve(text).unwrap_or_else(|| string(text)),
        };
        let is_plain = style == ScalarStyle::Plain && tag.is_empty();
        let value = match timestamp(text).filter(|_| is_plain || tag == "!!timestamp") {
            Some(time) if self.in_extension() => string(&time),
            Some(_) => {
                let shown = Text::with_secrecy(text, self.secret);
                let message = message!("'{}' is a date to YAML, expected a string", shown);
                let problem = Problem::error("timestamp", at, self.path(), message);
                self.problems.push(problem.hint("put quotes around it"));
                value
            }
            None => value,
        };
        // A number has no secrecy of its own; where it is only a text to Compose, it becomes one that has.
        let value = match value {
            Value::Bool(_) | Value::Int(_) | Value::BigInt(_) | Value::Float(_)
                if self.secret && self.is_text_to_compose() =>
            {
                string(scalar_text(&value).expose())
            }
            other => other,
        };
        Node { span: at, directive: directive(tag), value }
    }

    /// Whether the value that comes next stands in a mapping whose values Compose makes into strings.
    fn is_text_to_compose(&self) -> bool {
        const TEXTS: [&str; 7] =
            ["environment", "labels", "annotations", "args", "driver_opts", "options", "sysctls"];
        let key = |open: &Open| match &open.content {
            Content::Map { key: Some((key, _)), .. } => Some(key.clone()),
            _ => None,
        };
        match self.stack.as_slice() {
            [.., above, last] => key(last).is_some() && key(above).is_some_and(|key| TEXTS.contains(&&*key)),
            _ => false,
        }
    }
}

fn directive(tag: &str) -> Option<Directive> {
    match tag {
        "!reset" => Some(Directive::Reset),
        "!override" => Some(Directive::Override),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        parse(&format!("a: {text}"), FileId(0), false).unwrap()[0].get("a").unwrap().value.clone()
    }

    #[test]
    fn scalars_resolve_as_in_go() {
        for (text, resolved) in [
            ("yes", Value::Str("yes".into())),
            ("TRUE", Value::Bool(true)),
            ("010", Value::Int(8)),
            ("0o10", Value::Int(8)),
            ("0x1F", Value::Int(31)),
            ("0b11", Value::Int(3)),
            ("1_000", Value::Int(1000)),
            ("089", Value::Float(89.0)),
            ("1.10", Value::Float(1.1)),
            ("12:30:45", Value::Str("12:30:45".into())),
            ("-5", Value::Int(-5)),
            ("~", Value::Null),
            ("", Value::Null),
            ("'1'", Value::Str("1".into())),
            ("18446744073709551615", Value::BigInt(u64::MAX)),
            ("1.2.3", Value::Str("1.2.3".into())),
            ("1e3", Value::Float(1000.0)),
            ("!!str 5", Value::Str("5".into())),
        ] {
            assert_eq!(value(text), resolved, "{text}");
        }
    }

    #[test]
    fn a_number_of_an_encrypted_file_keeps_its_secrecy_where_it_is_a_text() {
        let text =
            "services:\n  web:\n    environment: {PIN: 0x1F, RATE: 1e3, ON: true, NONE: }\n    scale: 2\n";
        let document = &parse(text, FileId(0), true).unwrap()[0];
        let web = document.get("services").unwrap().get("web").unwrap();
        let value = |key: &str| web.get("environment").unwrap().get(key).unwrap();
        for (key, want) in [("PIN", "31"), ("RATE", "1000"), ("ON", "true")] {
            let text = value(key).as_text().unwrap();
            assert_eq!((text.expose(), text.is_secret()), (want, true), "{key}");
            assert!(!format!("{:?}", value(key)).contains(want));
        }
        assert_eq!(value("NONE").value, Value::Null);
        assert_eq!(web.get("scale").unwrap().value, Value::Int(2));
    }

    #[test]
    fn a_repeated_key_names_both_places() {
        let problems = parse("a: 1\nb:\n  c: 1\n  c: 2\n", FileId(0), false).unwrap_err();
        assert_eq!(problems[0].message, "mapping key \"c\" is already defined at line 3");
        assert_eq!((problems[0].at.unwrap().line, problems[0].related[0].0.line), (4, 3));
    }

    #[test]
    fn merge_keys_lose_against_explicit_ones() {
        let text = "x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz:\n  <<: [*x, *y]\n  a: 0\n";
        let document = &parse(text, FileId(0), false).unwrap()[0];
        let get = |key: &str| document.get("z").unwrap().get(key).unwrap().value.clone();
        assert_eq!((get("a"), get("b"), get("c")), (Value::Int(0), Value::Int(1), Value::Int(2)));
    }

    #[test]
    fn hostile_documents_end_in_an_error() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..10 {
            let names = vec![format!("*a{}", level - 1); 9].join(", ");
            bomb += &format!("a{level}: &a{level} [{names}]\n");
        }
        for text in [bomb, "[".repeat(20_000), "a: &a [*a]".to_owned(), "- ".repeat(3_000)] {
            assert!(parse(&text, FileId(0), false).is_err());
        }
    }

    #[test]
    fn dates_are_refused() {
        assert!(parse("a: 2024-01-02", FileId(0), false).is_err());
        assert!(parse("a: 1.2.3-4", FileId(0), false).is_ok());
        let extension = &parse("x-a: {b: 2024-01-02}", FileId(0), false).unwrap()[0];
        let date = extension.get("x-a").unwrap().get("b").unwrap();
        assert_eq!(date.value, Value::Str("2024-01-02T00:00:00Z".into()));
    }
}
