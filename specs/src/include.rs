//! What does `include` bring in?
//!
//! Compose Specification, "include": other compose files, each loaded as a model of its own (its own project folder, env
//! files, relative paths), whose objects then stand beside this file's own. The same name twice is a conflict, unless both
//! say the same.

use std::path::Path as FsPath;

use crate::{
    FileKind, Problem, Text, doc,
    doc::{Entry, Map, Node, Span, Value},
    join,
    load::Loader,
    message, paths,
};

/// How deep files may include each other.
const MAX_DEPTH: usize = 16;
/// How many files a project may read: an include tree doubles with each level.
const MAX_FILES: usize = 1_000;

/// The sections whose objects are taken over.
const SECTIONS: [&str; 6] = ["services", "volumes", "networks", "secrets", "configs", "models"];

/// Replaces the `include` of a document by what it names. `chain` holds the files that led here.
pub(crate) fn apply(loader: &mut Loader<'_>, document: &mut Node, folder: &FsPath, chain: &[Text]) {
    let Value::Map(top) = &mut document.value else { return };
    let Some(include) = top.shift_remove("include") else { return };
    let path = doc::Path::of("include");
    let Some(entries) = include.node.as_seq() else {
        if include.node.value != Value::Null {
            let message = message!("expected a list, found {}", include.node.kind());
            loader.problems.push(Problem::error("type", include.node.span, &path, message));
        }
        return;
    };
    for (nth, entry) in entries.iter().enumerate() {
        let path = path.index(nth);
        let Some(model) = load(loader, entry, folder, chain, &path) else { continue };
        import(loader, document, model, entry.span, &path);
    }
}

fn load(
    loader: &mut Loader<'_>,
    entry: &Node,
    folder: &FsPath,
    chain: &[Text],
    path: &doc::Path,
) -> Option<Node> {
    let absolute = |text: &Text| text.map(|path| paths::absolute(path, folder, None));
    let files: Vec<Text> = texts(entry.get("path").unwrap_or(entry)).iter().map(absolute).collect();
    let first = files.first().cloned()?;
    if chain.contains(&first) {
        let trail = join(chain.iter().chain([&first]), " include ");
        let message = message!("include cycle detected: {}", trail);
        loader.problems.push(Problem::error("include-cycle", entry.span, path, message));
        return None;
    }
    let deep = chain.len() >= MAX_DEPTH;
    if deep || loader.files_read() > MAX_FILES {
        let message = if deep {
            message!("included files nest deeper than {} levels", MAX_DEPTH)
        } else {
            message!("more than {} included files", MAX_FILES)
        };
        loader.problems.push(Problem::error("include-limit", entry.span, path, message));
        return None;
    }
    let project_dir = entry
        .get("project_directory")
        .and_then(Node::as_text)
        .map_or_else(|| paths::folder_of(FsPath::new(first.expose())), |text| absolute(text).expose().into());
    let outer = loader.environment.clone();
    let mut env_files: Vec<Text> =
        entry.get("env_file").map(texts).unwrap_or_default().iter().map(absolute).collect();
    if env_files.is_empty() && loader.read.kind(&project_dir.join(".env")) == FileKind::File {
        env_files.push(Text::plain(project_dir.join(".env").display().to_string()));
    }
    for file in env_files {
        for (key, value) in loader.dotenv(&file, entry.span).unwrap_or_default() {
            if !outer.contains_key(&key) {
                loader.environment.insert(key, value);
            }
        }
    }
    let mut chain = chain.to_vec();
    chain.push(first);
    let documents: Vec<Node> = files.iter().flat_map(|file| loader.documents(file, entry.span)).collect();
    let model = loader.merged(documents, &project_dir, &chain);
    loader.environment = outer;
    model
}

fn texts(node: &Node) -> Vec<Text> {
    match &node.value {
        Value::Str(text) => vec![text.clone()],
        Value::Seq(items) => items.iter().filter_map(Node::as_text).cloned().collect(),
        _ => Vec::new(),
    }
}

fn import(loader: &mut Loader<'_>, document: &mut Node, model: Node, at: Span, path: &doc::Path) {
    let (Value::Map(top), Value::Map(mut included)) = (&mut document.value, model.value) else { return };
    for section in SECTIONS {
        let Some(Value::Map(objects)) = included.shift_remove(section).map(|entry| entry.node.value) else {
            continue;
        };
        let own = top
            .entry(section.into())
            .or_insert_with(|| Entry { key: at, node: Node::new(at, Value::Map(Map::default())) });
        if own.node.value == Value::Null {
            own.node.value = Value::Map(Map::default());
        }
        let Value::Map(own) = &mut own.node.value else { continue };
        for (name, entry) in objects {
            match own.get(&*name) {
                Some(existing) if !same(&existing.node, &entry.node) => {
                    let message = message!("{}.{} conflicts with imported resource", section, name);
                    loader.problems.push(
                        Problem::error("include-conflict", existing.key, path, message)
                            .related(entry.key, "the imported one"),
                    );
                }
                Some(_) => {}
                None => {
                    own.insert(name, entry);
                }
            }
        }
    }
}

/// Whether two values are equal, places aside.
fn same(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(&a.node, &b.node)))
        }
        (Value::Seq(a), Value::Seq(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (a, b) => a == b,
    }
}
