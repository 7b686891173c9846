//! What does one generation declare that another does not, field by field and file by file?
//!
//! Both are loaded under one name, so that a path that only moved with its generation is no change.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use serde::Serialize;
use serde_json::Value;
use specs::{
    LoadRequest,
    canonical::{self, Secrets},
    load,
};

use crate::{
    cli::{
        check::Keyless,
        table::{BAD, BOLD, FAINT, GOOD},
    },
    exit::Failure,
    gather::declared::{COMPOSE_FILES, Declared},
    gather::rooted::Rooted,
};

/// Under which name both generations are loaded.
const NAME: &str = "/run/current-system";
/// So many files of a stack's folder are compared, of at most so many bytes, so deep.
const MOST_FILES: usize = 2000;
const MOST_BYTES: u64 = 8 << 20;
const DEPTH: usize = 6;

/// One field or file that differs; `None`: it is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Change {
    /// `services.web.image`, or `file ./Caddyfile`.
    what: String,
    before: Option<String>,
    after: Option<String>,
    /// Where the generation after it has it.
    place: Option<String>,
}

/// The changes of each stack that has some.
pub(super) type Changes = BTreeMap<String, Vec<Change>>;

/// What a stack declares: its fields, their places, and its files.
#[derive(Default)]
struct Spec {
    fields: BTreeMap<String, String>,
    places: BTreeMap<String, String>,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

/// Compares two profiles.
pub(super) fn changes(before: &Path, after: &Path) -> Result<Changes, Failure> {
    let (before, after) = (Declared::of(before)?, Declared::of(after)?);
    let stacks: BTreeSet<_> = before.stacks.keys().chain(after.stacks.keys()).collect();
    let mut changes = Changes::new();
    for stack in stacks {
        let spec = |declared: &Declared| declared.stacks.get(stack).map(|folder| spec(declared, folder));
        let found = match (spec(&before), spec(&after)) {
            (Some(before), Some(after)) => compare(&before, &after),
            (before, after) => vec![Change {
                what: "the stack".to_owned(),
                before: before.map(|_| "declared".to_owned()),
                after: after.map(|_| "declared".to_owned()),
                place: None,
            }],
        };
        if !found.is_empty() {
            changes.insert(stack.to_string(), found);
        }
    }
    Ok(changes)
}

fn spec(declared: &Declared, folder: &Path) -> Spec {
    let root = PathBuf::from(declared.generation.as_str());
    let known_as =
        folder.strip_prefix(&root).map_or_else(|_| folder.to_owned(), |below| Path::new(NAME).join(below));
    let keyless = Keyless::default();
    let reader = Rooted { inner: &keyless, profile: NAME.into(), root };
    let mut spec = Spec::default();
    match load(&LoadRequest { working_directory: known_as, ..LoadRequest::default() }, &reader) {
        Ok(loaded) => {
            let text = canonical::json(&loaded.project, Secrets::Mask);
            flatten("", &serde_json::from_str(&text).unwrap_or(Value::Null), &mut spec.fields);
            spec.places = crate::gather::places_of(&loaded);
        }
        Err(found) => {
            let errors: Vec<String> = found.list.iter().map(|problem| problem.message.to_string()).collect();
            spec.fields.insert("does not load".to_owned(), errors.join("; "));
        }
    }
    files(folder, folder, DEPTH, &mut spec.files);
    spec
}

/// Every leaf by its path.
fn flatten(path: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| flatten(&below(key), value, into)),
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            items.iter().enumerate().for_each(|(nth, item)| flatten(&below(&nth.to_string()), item, into));
        }
        Value::Array(items) => {
            let words: Vec<String> = items.iter().map(word).collect();
            into.insert(path.to_owned(), words.join(" "));
        }
        leaf => drop(into.insert(path.to_owned(), word(leaf))),
    }
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The files beside the spec.
fn files(root: &Path, folder: &Path, depth: usize, into: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(facts) = fs::metadata(&path) else { continue };
        let Ok(below) = path.strip_prefix(root) else { continue };
        if facts.is_dir() && depth > 0 {
            files(root, &path, depth - 1, into);
        } else if facts.is_file()
            && facts.len() <= MOST_BYTES
            && into.len() < MOST_FILES
            && !COMPOSE_FILES.iter().any(|name| Path::new(name) == below)
            && let Ok(bytes) = fs::read(&path)
        {
            into.insert(below.to_owned(), bytes);
        }
    }
}

fn compare(before: &Spec, after: &Spec) -> Vec<Change> {
    let fields: BTreeSet<&String> = before.fields.keys().chain(after.fields.keys()).collect();
    let mut changes: Vec<Change> = fields
        .into_iter()
        .filter(|field| before.fields.get(*field) != after.fields.get(*field))
        .map(|field| Change {
            what: field.clone(),
            before: before.fields.get(field).cloned(),
            after: after.fields.get(field).cloned(),
            place: place(&after.places, field),
        })
        .collect();
    let files: BTreeSet<&PathBuf> = before.files.keys().chain(after.files.keys()).collect();
    let size =
        |spec: &Spec, file: &PathBuf| spec.files.get(file).map(|bytes| format!("{} bytes", bytes.len()));
    changes.extend(files.into_iter().filter(|file| before.files.get(*file) != after.files.get(*file)).map(
        |file| Change {
            what: format!("file ./{}", file.display()),
            before: size(before, file),
            after: size(after, file),
            place: None,
        },
    ));
    changes
}

/// Where the field was written, or what it stands in.
fn place(places: &BTreeMap<String, String>, field: &str) -> Option<String> {
    let paths = std::iter::successors(Some(field), |path| path.rsplit_once('.').map(|(parent, _)| parent));
    paths.filter_map(|path| places.get(path)).next().cloned()
}

/// For people.
pub(super) fn text(changes: &Changes) -> String {
    let mut text = String::new();
    for (stack, changes) in changes {
        let _ = writeln!(text, "{BOLD}{stack}{BOLD:#}");
        for change in changes {
            let place = change
                .place
                .as_deref()
                .map_or_else(String::new, |place| format!("  {FAINT}{place}{FAINT:#}"));
            let _ = writeln!(text, "  {}{place}", change.what);
            for (mark, look, value) in [('-', BAD, &change.before), ('+', GOOD, &change.after)] {
                if let Some(value) = value {
                    let _ = writeln!(text, "    {look}{mark} {value}{look:#}");
                }
            }
        }
    }
    if text.is_empty() { "nothing differs\n".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, generation: &str, stack: &str, file: &str, text: &str) {
        let folder = root.join(generation).join("etc/compose-agent").join(stack);
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join(file), text).expect("written");
    }

    #[test]
    fn fields_files_and_stacks_that_differ_are_named_and_what_only_moved_is_not() {
        let root = tempfile::tempdir().expect("a folder");
        let spec =
            |image: &str| format!("services:\n  app:\n    image: {image}\n    volumes: ['./conf:/conf']\n");
        for (generation, image, conf) in [("one", "x:1", "a"), ("two", "x:2", "ab")] {
            write(root.path(), generation, "web", "compose.yaml", &spec(image));
            write(root.path(), generation, "web", "conf", conf);
            write(root.path(), generation, "same", "compose.yaml", &spec("y:1"));
        }
        write(root.path(), "two", "new", "compose.yaml", &spec("z:1"));
        let changes = changes(&root.path().join("one"), &root.path().join("two")).expect("both are profiles");
        let text = anstream::adapter::strip_str(&text(&changes)).to_string();
        assert_eq!(
            text,
            "new\n  the stack\n    + declared\n\
             web\n  services.app.image  /run/current-system/etc/compose-agent/web/compose.yaml:3:12\n    - x:1\n    + x:2\n\
             \x20 file ./conf\n    - 1 bytes\n    + 2 bytes\n"
        );
    }
}
