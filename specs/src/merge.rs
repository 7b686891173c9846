//! What happens when a second file says something about the same thing?
//!
//! Compose Specification, "Merge": mappings merge key by key, lists append, scalars replace; and the exceptions, each in
//! one place below. Afterwards `unify` drops entries of lists that mean the same place twice.

use crate::{
    Problem, Text,
    doc::{Entry, Key, Map, Node, Span, Trail, Value},
    message,
    values::scalar_text,
};

/// Puts `over` on top of `base`.
pub fn merge(base: &mut Node, over: Node, problems: &mut Vec<Problem>) {
    merge_at(base, over, &Trail::Root, problems);
}

/// How many keys of a path are looked at for a rule: `services.*.volumes.*.volume.labels`.
const LONGEST_RULE: usize = 6;

/// A path's keys with indices and the names of objects left out of account: `services.*.ports`. Nothing for a path that is
/// longer than any rule.
fn pattern<'a>(path: &Trail<'a>, room: &'a mut [&'a str; LONGEST_RULE]) -> &'a [&'a str] {
    let depth = path.depth();
    if depth > LONGEST_RULE {
        return &[];
    }
    let mut at = *path;
    for nth in (0..depth).rev() {
        let (above, key) = match at {
            Trail::Key(above, _) if nth == 1 => (above, "*"),
            Trail::Key(above, key) => (above, key.expose()),
            Trail::Known(above, key) => (above, key),
            Trail::Index(above, _) => (above, "*"),
            Trail::Root | Trail::At(_) => break,
        };
        room[nth] = key;
        at = *above;
    }
    &room[..depth]
}

fn merge_at(base: &mut Node, over: Node, path: &Trail<'_>, problems: &mut Vec<Problem>) {
    let mut room = [""; LONGEST_RULE];
    let pattern = pattern(path, &mut room);
    match pattern {
        ["services", _, "command" | "entrypoint"]
        | ["services", _, "healthcheck", "test"]
        | ["services", _, "ulimits", _] => {
            *base = over;
            return;
        }
        _ if over.value == Value::Null => return,
        _ if base.value == Value::Null => {
            *base = over;
            return;
        }
        _ => {}
    }
    match pattern {
        [
            "services",
            _,
            "environment" | "labels" | "annotations" | "sysctls" | "dns" | "dns_opt" | "dns_search"
            | "env_file" | "label_file" | "tmpfs",
        ]
        | ["services", _, "build", "args" | "labels" | "additional_contexts"]
        | ["services", _, "deploy", "labels"]
        | ["networks" | "volumes", _, "labels"]
        | ["services", _, "volumes", _, "volume", "labels"] => append_as_lists(base, over),
        ["services", _, "extra_hosts"] | ["services", _, "build", "extra_hosts"] => {
            append_as_lists(base, over);
            drop_equal(base);
        }
        ["services", _, "depends_on"] => {
            names_to_map(base, Some("service_started"));
            let mut over = over;
            names_to_map(&mut over, Some("service_started"));
            merge_plain(base, over, path, problems);
        }
        ["services", _, "networks" | "models"] => {
            names_to_map(base, None);
            let mut over = over;
            names_to_map(&mut over, None);
            merge_plain(base, over, path, problems);
        }
        ["services", _, "build"] => {
            context_to_map(base);
            let mut over = over;
            context_to_map(&mut over);
            merge_plain(base, over, path, problems);
        }
        ["services", _, "logging"] => {
            let driver =
                |node: &Node| node.get("driver").and_then(Node::as_text).map(|text| text.expose().to_owned());
            match (driver(base), driver(&over)) {
                (Some(old), Some(new)) if old != new => *base = over,
                _ => merge_plain(base, over, path, problems),
            }
        }
        ["networks", _, "ipam", "config"] => merge_pools(base, over, path, problems),
        _ => merge_plain(base, over, path, problems),
    }
}

fn merge_plain(base: &mut Node, over: Node, path: &Trail<'_>, problems: &mut Vec<Problem>) {
    match (&mut base.value, over.value) {
        (Value::Map(below), Value::Map(above)) => {
            for (key, entry) in above {
                match below.get_mut(&key) {
                    Some(existing) => {
                        existing.key = entry.key;
                        merge_at(&mut existing.node, entry.node, &path.key(&key), problems);
                    }
                    None => {
                        below.insert(key, entry);
                    }
                }
            }
            base.span = over.span;
        }
        (Value::Seq(below), Value::Seq(above)) => below.extend(above),
        (Value::Map(_) | Value::Seq(_), above) | (_, above @ (Value::Map(_) | Value::Seq(_))) => {
            let found = Node::new(over.span, above);
            let message =
                message!("cannot override {}: {} below, {} here", path.path(), base.kind(), found.kind());
            problems.push(
                Problem::error("override", over.span, path, message).related(base.span, "the value below"),
            );
        }
        (_, above) => {
            base.value = above;
            base.span = over.span;
        }
    }
}

/// Both sides as lists of `key=value`, one after the other.
fn append_as_lists(base: &mut Node, over: Node) {
    let mut items = as_list(std::mem::replace(&mut base.value, Value::Null), base.span);
    items.extend(as_list(over.value, over.span));
    base.value = Value::Seq(items);
    base.span = over.span;
}

fn as_list(value: Value, span: Span) -> Vec<Node> {
    match value {
        Value::Seq(items) => items,
        Value::Map(map) => {
            let mut entries: Vec<(Key, Entry)> = map.into_iter().collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            entries.into_iter().flat_map(|(key, entry)| pairs(&key, &entry)).collect()
        }
        Value::Null => Vec::new(),
        scalar => vec![Node::new(span, scalar)],
    }
}

fn pairs(key: &Key, entry: &Entry) -> Vec<Node> {
    let pair = |node: &Node| {
        let value = scalar_text(&node.value);
        let written = match node.value {
            Value::Null => key.text(),
            _ if key.is_secret() => Text::secret(format!("{}={}", key.expose(), value.expose())),
            _ => Text::after(&format!("{}=", key.expose()), &value),
        };
        Node::new(node.span, Value::Str(written))
    };
    match &entry.node.value {
        Value::Seq(items) => items.iter().map(pair).collect(),
        _ => vec![pair(&entry.node)],
    }
}

fn drop_equal(node: &mut Node) {
    let Value::Seq(items) = &mut node.value else { return };
    let mut kept: Vec<Node> = Vec::with_capacity(items.len());
    for item in items.drain(..) {
        if !kept.iter().any(|other| other.value == item.value) {
            kept.push(item);
        }
    }
    *items = kept;
}

fn names_to_map(node: &mut Node, condition: Option<&str>) {
    let Value::Seq(items) = &node.value else { return };
    let mut map = Map::default();
    for item in items {
        let value = condition.map_or(Value::Null, |condition| {
            let mut fields = Map::default();
            let put = |fields: &mut Map, key: &str, value| {
                fields.insert(key.into(), Entry { key: item.span, node: Node::new(item.span, value) });
            };
            put(&mut fields, "condition", Value::Str(condition.into()));
            put(&mut fields, "required", Value::Bool(true));
            Value::Map(fields)
        });
        let key = Key::from(&scalar_text(&item.value));
        map.insert(key, Entry { key: item.span, node: Node::new(item.span, value) });
    }
    node.value = Value::Map(map);
}

fn context_to_map(node: &mut Node) {
    if let Value::Str(context) = &node.value {
        let entry = Entry { key: node.span, node: Node::new(node.span, Value::Str(context.clone())) };
        node.value = Value::Map(Map::from_iter([("context".into(), entry)]));
    }
}

/// Pools of one subnet are one; the others follow in the order in which Docker Compose comes upon them, which leaves out
/// a pool of the base where the override has only others.
fn merge_pools(base: &mut Node, over: Node, path: &Trail<'_>, problems: &mut Vec<Problem>) {
    let Value::Seq(above) = over.value else {
        let message = message!("cannot override {}: expected a list, found {}", path.path(), over.kind());
        problems.push(Problem::error("override", over.span, path, message));
        return;
    };
    let Value::Seq(below) = std::mem::replace(&mut base.value, Value::Null) else { return };
    let subnet = |pool: &Node| pool.get("subnet").map(|node| scalar_text(&node.value));
    let mut pools: Vec<Node> = Vec::new();
    for mut pool in below {
        // Where this pool stands in the result: what a later merge changes in it changes there, too.
        let mut placed: Vec<usize> = Vec::new();
        for change in &above {
            if subnet(change) != subnet(&pool) && !pools.iter().any(|known| subnet(known) == subnet(change)) {
                pools.push(change.clone());
                continue;
            }
            merge_plain(&mut pool, change.clone(), path, problems);
            placed.iter().for_each(|at| pools[*at] = pool.clone());
            let at = pools.iter().position(|known| subnet(known) == subnet(&pool)).unwrap_or_else(|| {
                pools.push(pool.clone());
                pools.len() - 1
            });
            pools[at] = pool.clone();
            placed.push(at);
        }
    }
    base.value = Value::Seq(pools);
    base.span = over.span;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{doc::FileId, yaml};

    fn merged(base: &str, over: &str) -> Node {
        let read = |text: &str| yaml::parse(text, FileId(0), false).unwrap().remove(0);
        let (mut base, mut problems) = (read(base), Vec::new());
        merge(&mut base, read(over), &mut problems);
        crate::unify::unify(&mut base, &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        base
    }

    fn web<'n>(document: &'n Node, key: &str) -> Option<&'n Node> {
        document.get("services")?.get("web")?.get(key)
    }

    fn texts(node: &Node) -> Vec<String> {
        node.as_seq().unwrap().iter().map(|item| scalar_text(&item.value).expose().to_owned()).collect()
    }

    #[test]
    fn environments_merge_by_name() {
        let document = merged(
            "services: {web: {environment: {B: 1, A: 1}}}",
            "services: {web: {environment: [B=2, C]}}",
        );
        assert_eq!(texts(web(&document, "environment").unwrap()), ["A=1", "B=2", "C"]);
    }

    #[test]
    fn commands_are_replaced_even_by_nothing() {
        let document = merged(
            "services: {web: {command: [a], image: x}}",
            "services: {web: {command: null, image: null}}",
        );
        assert_eq!(web(&document, "command").unwrap().value, Value::Null);
        assert_eq!(web(&document, "image").unwrap().value, Value::Str("x".into()));
    }

    #[test]
    fn mounts_are_one_per_target() {
        let document = merged(
            "services: {web: {volumes: ['aa:/x', 'bb:/y']}}",
            "services: {web: {volumes: ['cc:/x:ro']}}",
        );
        assert_eq!(texts(web(&document, "volumes").unwrap()), ["cc:/x:ro", "bb:/y"]);
    }
}
