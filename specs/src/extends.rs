//! What does `extends` bring in?
//!
//! Compose Specification, "extends": the base service, from the same document or from another file, with the service merged
//! on top of it. Services of the files below cannot be extended, as in Docker Compose 2.40.

use std::{
    collections::BTreeSet,
    path::{Path as FsPath, PathBuf},
};

use crate::{
    Message, Problem, Text, doc,
    doc::{Key, Map, Node, Span, Value},
    load::Loader,
    merge, message, paths, reset, unify,
};

/// How long a chain of bases may get.
const MAX_CHAIN: usize = 50;

/// One document whose services extend each other.
struct Scope {
    document: Node,
    /// Where relative paths in it start.
    folder: PathBuf,
    /// The `!reset` and `!override` paths of the document that the chain began in.
    resets: Vec<doc::Path>,
    /// The services whose bases are merged in already.
    done: BTreeSet<Key>,
}

/// Replaces every `extends` of a document. `resets` are its `!reset` and `!override` paths: they hold against bases too.
pub(crate) fn apply(loader: &mut Loader<'_>, document: &mut Node, folder: &FsPath, resets: &[doc::Path]) {
    let extending: Vec<Key> = match document.get("services").and_then(Node::as_map) {
        Some(services) => services
            .iter()
            .filter(|(_, entry)| entry.node.get("extends").is_some())
            .map(|(name, _)| name.clone())
            .collect(),
        None => return,
    };
    if extending.is_empty() {
        return;
    }
    let taken = std::mem::replace(&mut document.value, Value::Null);
    let mut scope = Scope {
        document: Node::new(document.span, taken),
        folder: folder.to_owned(),
        resets: resets.to_vec(),
        done: BTreeSet::new(),
    };
    for name in extending {
        resolve(loader, &mut scope, &name, &mut Vec::new());
    }
    document.value = scope.document.value;
}

fn service_mut<'d>(document: &'d mut Node, name: &str) -> Option<&'d mut Node> {
    let Value::Map(top) = &mut document.value else { return None };
    let Value::Map(services) = &mut top.get_mut("services")?.node.value else { return None };
    services.get_mut(name).map(|entry| &mut entry.node)
}

/// Merges the bases of one service in. `None` where that failed, which is a problem then.
fn resolve(
    loader: &mut Loader<'_>,
    scope: &mut Scope,
    name: &Key,
    chain: &mut Vec<(Text, Key)>,
) -> Option<()> {
    let node = service_mut(&mut scope.document, name)?;
    let Value::Map(fields) = &mut node.value else { return Some(()) };
    if scope.done.contains(name) || fields.get("extends").is_none_or(|entry| entry.node.value == Value::Null)
    {
        return Some(());
    }
    let extends = fields.get("extends")?.node.clone();
    let path = doc::Path::of("services").key(name).key("extends");
    let (base_name, file) = reference(loader, &extends, &path)?;
    let here = file.as_ref().map_or_else(
        || Text::plain(scope.folder.display().to_string()),
        |file| file.map(|file| paths::absolute(file, &scope.folder, None)),
    );
    if chain.len() >= MAX_CHAIN || chain.contains(&(here.clone(), base_name.clone())) {
        let message = if chain.len() >= MAX_CHAIN {
            message!("{} stands at the end of more than {} bases", name, MAX_CHAIN)
        } else {
            message!("circular reference: {} extends itself through {}", name, base_name)
        };
        return fail(loader, extends.span, &path, message);
    }
    chain.push((here.clone(), base_name.clone()));
    let mut base = if file.is_some() {
        from_file(loader, &here, &base_name, extends.span, &path, chain)?
    } else {
        if service_mut(&mut scope.document, &base_name).is_none() {
            let message = message!("cannot extend service '{}': service not found", base_name);
            return fail(loader, extends.span, &path, message);
        }
        resolve(loader, scope, &base_name, chain)?;
        service_mut(&mut scope.document, &base_name)?.clone()
    };
    chain.pop();
    let node = service_mut(&mut scope.document, name)?;
    if let Value::Map(fields) = &mut node.value {
        fields.shift_remove("extends");
    }
    scope.done.insert(name.clone());
    let Value::Map(fields) = &mut base.value else { return Some(()) };
    fields.shift_remove("extends");
    let own = std::mem::replace(node, Node::new(node.span, Value::Null));
    let mut merged = wrap(name, base);
    reset::clear(&mut merged, &scope.resets);
    merge::merge(&mut merged, wrap(name, own), &mut loader.problems);
    unify::unify(&mut merged, &mut loader.problems);
    *service_mut(&mut scope.document, name)? = merged.get("services")?.get(name)?.clone();
    Some(())
}

/// The service and the file that an `extends` names.
fn reference(loader: &mut Loader<'_>, extends: &Node, path: &doc::Path) -> Option<(Key, Option<Text>)> {
    let text = |key: &str| extends.get(key).and_then(Node::as_text);
    match &extends.value {
        Value::Str(base) => Some((base.into(), None)),
        Value::Map(_) => match text("service") {
            Some(service) => Some((service.into(), text("file").cloned())),
            None => fail(loader, extends.span, path, "'service' is missing, the name of the base"),
        },
        _ => {
            let message = message!("expected a service or {{service, file}}, found {}", extends.kind());
            fail(loader, extends.span, path, message)
        }
    }
}

fn from_file(
    loader: &mut Loader<'_>,
    file: &Text,
    name: &Key,
    at: Span,
    path: &doc::Path,
    chain: &mut Vec<(Text, Key)>,
) -> Option<Node> {
    let before = loader.problems.len();
    let documents = loader.documents(file, at);
    if loader.problems.len() > before {
        let message = message!("cannot extend from {}", file);
        return fail(loader, at, path, message);
    }
    let folder = paths::folder_of(FsPath::new(file.expose()));
    let mut whole: Option<Node> = None;
    let mut resets = Vec::new();
    for mut document in documents {
        resets = reset::collect(&mut document);
        loader.interpolate(&mut document);
        let below = whole.get_or_insert_with(|| Node::new(document.span, Value::Map(Map::default())));
        reset::clear(below, &resets);
        merge::merge(below, document, &mut loader.problems);
        unify::unify(below, &mut loader.problems);
    }
    let mut scope = Scope { document: whole?, folder: folder.clone(), resets, done: BTreeSet::new() };
    if service_mut(&mut scope.document, name).is_none() {
        let message = message!("cannot extend service '{}' in {}: service not found", name, file);
        return fail(loader, at, path, message);
    }
    resolve(loader, &mut scope, name, chain)?;
    let mut alone = wrap(name, service_mut(&mut scope.document, name)?.clone());
    crate::fields::canonicalize(&mut alone, &mut loader.problems);
    let home = loader.home();
    paths::resolve(&mut alone, &paths::Base { folder: &folder, home: home.as_deref(), read: loader.read });
    alone.get("services")?.get(name).cloned()
}

/// A document with this one service, so that merging finds the rules by path.
fn wrap(name: &Key, service: Node) -> Node {
    let span = service.span;
    let entry = |node| doc::Entry { key: span, node };
    let services = Node::new(span, Value::Map(Map::from_iter([(name.clone(), entry(service))])));
    Node::new(span, Value::Map(Map::from_iter([("services".into(), entry(services))])))
}

fn fail<T>(loader: &mut Loader<'_>, at: Span, path: &doc::Path, message: impl Into<Message>) -> Option<T> {
    loader.problems.push(Problem::error("extends", at, path, message));
    None
}
