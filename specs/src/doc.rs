//! What is a document between two stages of the load pipeline?
//!
//! A tree of [`Node`]s: YAML's scalars, sequences and mappings, where each node knows where it was written. Every
//! stage before the typed model is a function from such trees to such trees.

use std::{
    borrow::Borrow,
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    ops::Deref,
    sync::Arc,
};

use indexmap::IndexMap;

use crate::{MASK, Text};

/// Which of the files that a load has read; an index into [`crate::Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FileId(pub u32);

/// Where something was written. Lines and columns count from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// The line, from 1; 0 where the value was written nowhere (a default).
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
    /// How many characters of that line it covers, for the caret; at least 1.
    pub width: u32,
}

impl Span {
    /// Whether anybody wrote the value: defaults have no place.
    pub fn is_written(self) -> bool {
        self.line > 0
    }
}

/// The merge directives that a value can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Directive {
    /// `!reset`: the value below is taken away.
    Reset,
    /// `!override`: the value below is replaced, not merged.
    Override,
}

/// One value with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where the value was written.
    pub span: Span,
    /// `!reset` or `!override`, where it stood before the value.
    pub directive: Option<Directive>,
    /// The value.
    pub value: Value,
}

/// A YAML value as the Go loader resolves it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `~`, `null`, or nothing at all.
    Null,
    /// `true`, `false` and their capitalised spellings, unquoted.
    Bool(bool),
    /// A whole number, with YAML 1.1's octal, hexadecimal, binary and underscores resolved.
    Int(i64),
    /// A whole number beyond [`i64`].
    BigInt(u64),
    /// A number with a fraction or an exponent, or one too large for an integer.
    Float(f64),
    /// Any other scalar.
    Str(Text),
    /// A sequence.
    Seq(Vec<Node>),
    /// A mapping, in the order of writing.
    Map(Map),
}

/// A mapping's entries in the order of writing.
pub type Map = IndexMap<Key, Entry, foldhash::fast::RandomState>;

/// A mapping's key. Where it was an item of a list it may hold a part of a secret; printing it masks it then.
///
/// Equality, order and hash look at the name alone, so that a mapping is asked with a `&str`.
#[derive(Clone)]
pub struct Key {
    name: Name,
    secret: bool,
}

#[derive(Clone)]
enum Name {
    Known(&'static str),
    Shared(Arc<str>),
}

impl Key {
    /// A name that stands in the program.
    pub const fn known(name: &'static str) -> Self {
        Self { name: Name::Known(name), secret: false }
    }

    /// `name`, as secret as `secret` says.
    pub fn with_secrecy(name: &str, secret: bool) -> Self {
        Self { name: Name::Shared(name.into()), secret }
    }

    /// The name, for looking up and for the Engine; never for a message.
    pub fn expose(&self) -> &str {
        match &self.name {
            Name::Known(name) => name,
            Name::Shared(name) => name,
        }
    }

    /// Whether any part came from a secret.
    pub fn is_secret(&self) -> bool {
        self.secret
    }

    /// `KEY=VALUE` apart.
    pub fn pair(written: &Text) -> (Self, Option<Text>) {
        match written.split_once('=') {
            Some((name, value)) => (Self::from(&name), Some(value)),
            None => (Self::from(written), None),
        }
    }

    /// The same as a value.
    pub fn text(&self) -> Text {
        Text::with_secrecy(self.expose(), self.secret)
    }
}

impl From<&str> for Key {
    fn from(name: &str) -> Self {
        Self::with_secrecy(name, false)
    }
}

impl From<&Self> for Key {
    fn from(key: &Self) -> Self {
        key.clone()
    }
}

impl From<String> for Key {
    fn from(name: String) -> Self {
        name.as_str().into()
    }
}

impl From<&String> for Key {
    fn from(name: &String) -> Self {
        name.as_str().into()
    }
}

impl From<&Text> for Key {
    fn from(text: &Text) -> Self {
        Self::with_secrecy(text.expose(), text.is_secret())
    }
}

impl Deref for Key {
    type Target = str;

    fn deref(&self) -> &str {
        self.expose()
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        self.expose()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.secret { MASK } else { self.expose() })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.secret { f.write_str(MASK) } else { fmt::Debug::fmt(self.expose(), f) }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Key {}

impl PartialEq<str> for Key {
    fn eq(&self, other: &str) -> bool {
        self.expose() == other
    }
}

impl PartialEq<&str> for Key {
    fn eq(&self, other: &&str) -> bool {
        self.expose() == *other
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.expose().cmp(other.expose())
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.expose().hash(state);
    }
}

/// One entry of a mapping: the place of its key, and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Where the key was written.
    pub key: Span,
    /// The value.
    pub node: Node,
}

impl Node {
    /// A value that stands at `span`.
    pub fn new(span: Span, value: Value) -> Self {
        Self { span, directive: None, value }
    }

    /// The entries, where this is a mapping.
    pub fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The items, where this is a sequence.
    pub fn as_seq(&self) -> Option<&[Node]> {
        match &self.value {
            Value::Seq(items) => Some(items),
            _ => None,
        }
    }

    /// The text, where this is a string.
    pub fn as_text(&self) -> Option<&Text> {
        match &self.value {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The value of `key`, where this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?.get(key).map(|entry| &entry.node)
    }

    /// The value at the end of a path.
    pub fn at(&self, path: &Path) -> Option<&Node> {
        path.0.iter().try_fold(self, |node, part| match part {
            Part::Key(key) => node.get(key),
            Part::Index(index) => node.as_seq()?.get(*index),
        })
    }

    /// What the value is, in the words of an error message.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Int(_) | Value::BigInt(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::Str(_) => "a string",
            Value::Seq(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

/// The way from a document's root to a value, printed as `services.web.ports[0]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Path(pub Vec<Part>);

/// One step of a [`Path`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Into a mapping.
    Key(Key),
    /// Into a sequence, from 0.
    Index(usize),
}

impl Path {
    /// The path with one more mapping key.
    #[must_use]
    pub fn key(&self, key: impl Into<Key>) -> Self {
        self.clone().then(Part::Key(key.into()))
    }

    /// The path with one more sequence index.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.clone().then(Part::Index(index))
    }

    fn then(mut self, part: Part) -> Self {
        self.0.push(part);
        self
    }

    /// Reads the dotted form of a path of plain keys, such as `services.web`.
    pub fn of(dotted: &str) -> Self {
        Self(dotted.split('.').filter(|part| !part.is_empty()).map(|part| Part::Key(part.into())).collect())
    }
}

/// Where a walk through a document stands. It lives on the stack, and is made a [`Path`] only where a problem needs one.
#[derive(Debug, Clone, Copy)]
pub enum Trail<'a> {
    /// At the root.
    Root,
    /// At the end of a path that is known already.
    At(&'a Path),
    /// Below a mapping's key.
    Key(&'a Trail<'a>, &'a Key),
    /// Below a key that Compose knows.
    Known(&'a Trail<'a>, &'static str),
    /// Below an item of a sequence.
    Index(&'a Trail<'a>, usize),
}

impl<'a> Trail<'a> {
    /// One mapping key further.
    pub fn key(&'a self, key: &'a Key) -> Self {
        Self::Key(self, key)
    }

    /// One key further that Compose knows.
    pub fn known(&'a self, key: &'static str) -> Self {
        Self::Known(self, key)
    }

    /// One sequence index further.
    pub fn index(&'a self, index: usize) -> Self {
        Self::Index(self, index)
    }

    /// How many steps it is from the root.
    pub fn depth(&self) -> usize {
        match self {
            Self::Root => 0,
            Self::At(path) => path.0.len(),
            Self::Key(above, _) | Self::Known(above, _) | Self::Index(above, _) => above.depth() + 1,
        }
    }

    /// The same, to be kept.
    pub fn path(&self) -> Path {
        match self {
            Self::Root => Path::default(),
            Self::At(path) => (*path).clone(),
            Self::Key(above, key) => above.path().then(Part::Key((*key).clone())),
            Self::Known(above, key) => above.path().then(Part::Key(Key::known(key))),
            Self::Index(above, index) => above.path().then(Part::Index(*index)),
        }
    }
}

impl From<&Trail<'_>> for Path {
    fn from(trail: &Trail<'_>) -> Self {
        trail.path()
    }
}

impl From<&Self> for Path {
    fn from(path: &Self) -> Self {
        path.clone()
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, part) in self.0.iter().enumerate() {
            match part {
                Part::Key(key) if nth == 0 => write!(f, "{key}")?,
                Part::Key(key) => write!(f, ".{key}")?,
                Part::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}
