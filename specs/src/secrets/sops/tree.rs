//! What is a document, to sops? One ordered tree for all five formats; a leaf knows its type, comments are leaves.

use zeroize::Zeroizing;

use super::super::SecretError;

/// Text that may be a secret: wiped when dropped.
pub(crate) type Secret = Zeroizing<String>;

/// All documents of a file; every format but YAML has exactly one.
pub(crate) struct Tree {
    pub(crate) documents: Vec<Vec<Entry>>,
}

/// One line of a mapping: a comment is an entry of its own, as in sops.
pub(crate) enum Entry {
    Comment(Comment),
    Pair(String, Value),
}

/// One line of a list.
pub(crate) enum Item {
    Comment(Comment),
    Value(Value),
}

pub(crate) struct Comment {
    /// Without the comment character.
    pub(crate) text: Secret,
    /// Written behind a value rather than above it.
    pub(crate) inline: bool,
}

impl Comment {
    pub(crate) fn new(text: &str) -> Self {
        Self { text: Zeroizing::new(text.to_owned()), inline: false }
    }
}

pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Secret),
    /// Text that is not UTF-8: sops takes any bytes for text.
    Bytes(Zeroizing<Vec<u8>>),
    /// In the canonical form: RFC 3339 with as many digits of the second as are needed.
    Time(Secret),
    List(Vec<Item>),
    Map(Vec<Entry>),
}

impl Value {
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(Zeroizing::new(text.to_owned()))
    }

    /// The leaf as text, as `sops --extract` writes it; `None` for a collection.
    pub(crate) fn as_text(&self) -> Option<Secret> {
        Some(Zeroizing::new(match self {
            Self::Null => String::new(),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Float(value) => super::number::general(*value, 21),
            Self::Text(text) | Self::Time(text) => return Some(text.clone()),
            Self::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Self::List(_) | Self::Map(_) => return None,
        }))
    }
}

impl Tree {
    /// The paths of all leaves, `/` between the levels, comments left out.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for document in &self.documents {
            name_entries(document, "", &mut names);
        }
        names
    }

    /// The value at `path`; see [`super::super::Plaintext::get`].
    pub(crate) fn get(&self, path: &str) -> Result<Secret, SecretError> {
        let absent = |names| SecretError::KeyAbsent { path: path.to_owned(), names };
        let document = self.documents.first().ok_or_else(|| absent(Vec::new()))?;
        let value = find_in_map(document, path).map_err(absent)?;
        match value.as_text() {
            None => Err(SecretError::KeyNotValue { path: path.to_owned() }),
            Some(text) if text.is_empty() => Err(SecretError::KeyEmpty { path: path.to_owned() }),
            Some(text) => Ok(text),
        }
    }
}

fn name_entries(entries: &[Entry], prefix: &str, names: &mut Vec<String>) {
    for entry in entries {
        if let Entry::Pair(key, value) = entry {
            name_value(value, format!("{prefix}{key}"), names);
        }
    }
}

fn name_value(value: &Value, path: String, names: &mut Vec<String>) {
    match value {
        Value::Map(entries) => name_entries(entries, &format!("{path}/"), names),
        Value::List(items) => {
            let values = items.iter().filter_map(|item| match item {
                Item::Value(value) if !is_encrypted_comment(value) => Some(value),
                _ => None,
            });
            for (index, value) in values.enumerate() {
                name_value(value, format!("{path}/{index}"), names);
            }
        }
        _ => names.push(path),
    }
}

/// In a list sops writes an encrypted comment as if it were an item.
fn is_encrypted_comment(value: &Value) -> bool {
    matches!(value, Value::Text(text) if text.starts_with("ENC[") && text.ends_with(",type:comment]"))
}

/// `Err` holds the names at the deepest level that was reached.
fn find_in_map<'a>(entries: &'a [Entry], path: &str) -> Result<&'a Value, Vec<String>> {
    let mut deepest = None;
    for entry in entries {
        let Entry::Pair(key, value) = entry else { continue };
        match path.strip_prefix(key.as_str()) {
            Some("") => return Ok(value),
            // A key may hold a `/` itself, so that a shorter key that leads nowhere is not the end.
            Some(rest) => match rest.strip_prefix('/').map(|rest| find_below(value, rest)) {
                Some(Ok(value)) => return Ok(value),
                Some(Err(names)) => deepest = Some(names),
                None => {}
            },
            None => {}
        }
    }
    let names = entries.iter().filter_map(|entry| match entry {
        Entry::Pair(key, _) => Some(key.clone()),
        Entry::Comment(_) => None,
    });
    Err(deepest.unwrap_or_else(|| names.collect()))
}

fn find_below<'a>(value: &'a Value, path: &str) -> Result<&'a Value, Vec<String>> {
    match value {
        Value::Map(entries) => find_in_map(entries, path),
        Value::List(items) => {
            let values: Vec<&Value> = items
                .iter()
                .filter_map(|item| match item {
                    Item::Value(value) => Some(value),
                    Item::Comment(_) => None,
                })
                .collect();
            let (index, rest) =
                path.split_once('/').map_or((path, None), |(index, rest)| (index, Some(rest)));
            let found = index.parse::<usize>().ok().and_then(|index| values.get(index).copied());
            match (found, rest) {
                (Some(value), None) => Ok(value),
                (Some(value), Some(rest)) => find_below(value, rest),
                (None, _) => Err((0..values.len()).map(|index| index.to_string()).collect()),
            }
        }
        _ => Err(Vec::new()),
    }
}
