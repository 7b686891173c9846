//! What does `extends` bring in?
//!
//! Compose Specification, "extends": the base service, from the same model or from another file, with the service merged
//! on top of it.

use std::path::{Path as FsPath, PathBuf};

use crate::{
    Problem, doc,
    doc::{Map, Node, Span, Value},
    interpolate,
    load::Loader,
    merge, paths,
};

/// How long a chain of bases may get.
const MAX_CHAIN: usize = 64;

/// Replaces every `extends` of a document. `below` is the model of the files before.
pub(crate) fn apply(loader: &mut Loader<'_>, document: &mut Node, folder: &FsPath, below: Option<&Node>) {
    let names: Vec<String> = match document.get("services").and_then(Node::as_map) {
        Some(services) => services.keys().cloned().collect(),
        None => return,
    };
    for name in names {
        let Some(resolved) = resolve(loader, document, below, &name, folder, &mut Vec::new()) else {
            continue;
        };
        if let Value::Map(top) = &mut document.value
            && let Some(Value::Map(services)) = top.get_mut("services").map(|entry| &mut entry.node.value)
            && let Some(entry) = services.get_mut(&name)
        {
            entry.node = resolved;
        }
    }
}

/// The service with its bases merged in; `None` where it extends nothing, or where that failed.
fn resolve(
    loader: &mut Loader<'_>,
    document: &Node,
    below: Option<&Node>,
    name: &str,
    folder: &FsPath,
    chain: &mut Vec<(PathBuf, String)>,
) -> Option<Node> {
    let mut service = document.get("services")?.get(name)?.clone();
    let Value::Map(fields) = &mut service.value else { return None };
    let extends = fields.shift_remove("extends")?.node;
    let path = doc::Path::of("services").key(name).key("extends");
    let (base_name, file) = match &extends.value {
        Value::Str(base) => (base.expose().to_owned(), None),
        Value::Map(_) => {
            let text =
                |key: &str| extends.get(key).and_then(Node::as_text).map(|text| text.expose().to_owned());
            (text("service").unwrap_or_default(), text("file"))
        }
        _ => return None,
    };
    let here = file
        .as_ref()
        .map_or_else(|| folder.to_owned(), |file| PathBuf::from(paths::absolute(file, folder, None)));
    if chain.len() >= MAX_CHAIN || chain.contains(&(here.clone(), base_name.clone())) {
        fail(
            loader,
            extends.span,
            &path,
            format!("circular reference: {name} extends itself through {base_name}"),
        );
        return None;
    }
    chain.push((here.clone(), base_name.clone()));
    let mut base = if file.is_some() {
        from_file(loader, &here, &base_name, extends.span, &path, chain)?
    } else {
        let own = document.get("services").and_then(|services| services.get(&base_name));
        let found = own.or_else(|| below?.get("services")?.get(&base_name));
        let Some(found) = found.cloned() else {
            fail(
                loader,
                extends.span,
                &path,
                format!("cannot extend service '{base_name}': service not found"),
            );
            return None;
        };
        resolve(loader, document, below, &base_name, folder, chain).unwrap_or(found)
    };
    chain.pop();
    if let Value::Map(fields) = &mut base.value {
        fields.shift_remove("extends");
    }
    let mut merged = wrap(name, base);
    merge::merge(&mut merged, wrap(name, service), &mut loader.problems);
    merge::unify(&mut merged);
    merged.get("services")?.get(name).cloned()
}

fn from_file(
    loader: &mut Loader<'_>,
    file: &FsPath,
    name: &str,
    at: Span,
    path: &doc::Path,
    chain: &mut Vec<(PathBuf, String)>,
) -> Option<Node> {
    let before = loader.problems.len();
    let mut document = loader.documents(file).into_iter().next();
    if loader.problems.len() > before {
        let message = format!("cannot extend from {}", file.display());
        fail(loader, at, path, message);
        return None;
    }
    let document = document.as_mut()?;
    let environment = loader.environment.clone();
    let lookup = |name: &str| environment.get(name).cloned();
    interpolate::expand_document(document, &doc::Path::default(), &lookup, &mut loader.problems);
    let folder = paths::folder_of(file);
    let Some(found) = document.get("services").and_then(|services| services.get(name)).cloned() else {
        fail(
            loader,
            at,
            path,
            format!("cannot extend service '{name}' in {}: service not found", file.display()),
        );
        return None;
    };
    let base = resolve(loader, document, None, name, &folder, chain).unwrap_or(found);
    let mut alone = wrap(name, base);
    crate::fields::canonicalize(&mut alone, &mut loader.problems);
    let home = loader.environment.get("HOME").map(|home| PathBuf::from(home.expose()));
    paths::resolve(&mut alone, &paths::Base { folder: &folder, home: home.as_deref(), read: loader.read });
    alone.get("services")?.get(name).cloned()
}

/// A document with this one service, so that merging finds the rules by path.
fn wrap(name: &str, service: Node) -> Node {
    let span = service.span;
    let entry = |node| doc::Entry { key: span, node };
    let services = Node::new(span, Value::Map(Map::from_iter([(name.to_owned(), entry(service))])));
    Node::new(span, Value::Map(Map::from_iter([("services".to_owned(), entry(services))])))
}

fn fail(loader: &mut Loader<'_>, at: Span, path: &doc::Path, message: String) {
    loader.problems.push(Problem::error("extends", at, path, message));
}
