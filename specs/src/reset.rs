//! What do `!reset` and `!override` take out of the files below?
//!
//! Compose Specification, "Merge", "Reset value" and "Replace value". A tag acts in two places: in its own document, where a
//! `!reset` value vanishes, and in what the document is merged onto, where the value of the same path is taken out first.

use crate::doc::{Directive, Node, Part, Path, Value};

/// Takes the tags out of a document, and every `!reset` value with them. The paths are what [`clear`] wants.
pub fn collect(document: &mut Node) -> Vec<Path> {
    let mut paths = Vec::new();
    walk(document, &mut Path::default(), &mut paths);
    paths
}

/// Whether the value itself goes.
fn walk(node: &mut Node, at: &mut Path, paths: &mut Vec<Path>) -> bool {
    match node.directive.take() {
        Some(Directive::Reset) => {
            paths.push(at.clone());
            return true;
        }
        // What is inside is taken as it is.
        Some(Directive::Override) => {
            paths.push(at.clone());
            return false;
        }
        None => {}
    }
    match &mut node.value {
        Value::Map(map) => map.retain(|key, entry| {
            at.0.push(Part::Key(key.clone()));
            let gone = walk(&mut entry.node, at, paths);
            at.0.pop();
            !gone
        }),
        Value::Seq(items) => {
            let mut nth = 0;
            items.retain_mut(|item| {
                at.0.push(Part::Index(nth));
                nth += 1;
                let gone = walk(item, at, paths);
                at.0.pop();
                !gone
            });
        }
        _ => {}
    }
    false
}

/// Takes the values of these paths out of a document. Items of lists stay: Docker Compose has no way to name one.
pub fn clear(document: &mut Node, paths: &[Path]) {
    for path in paths {
        remove(document, &path.0);
    }
}

fn remove(node: &mut Node, path: &[Part]) {
    let (Some((Part::Key(key), rest)), Value::Map(map)) = (path.split_first(), &mut node.value) else {
        return;
    };
    // A name `*` stands for every name, as in Docker Compose.
    let named = |name: &str| key == "*" || key == name;
    if rest.is_empty() {
        map.retain(|name, _| !named(name));
        return;
    }
    for (_, entry) in map.iter_mut().filter(|(name, _)| named(name)) {
        remove(&mut entry.node, rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{doc::FileId, yaml};

    fn read(text: &str) -> Node {
        yaml::parse(text, FileId(0), false).unwrap().remove(0)
    }

    #[test]
    fn a_reset_value_goes_and_an_overriding_one_stays() {
        let mut document = read("a: {b: !reset 1, c: !override [2], d: [!reset 3, 4]}");
        let paths: Vec<String> = collect(&mut document).iter().map(ToString::to_string).collect();
        assert_eq!(paths, ["a.b", "a.c", "a.d[0]"]);
        let a = document.get("a").unwrap();
        assert!(a.get("b").is_none());
        assert_eq!(a.get("c").unwrap().as_seq().unwrap().len(), 1);
        assert_eq!(a.get("d").unwrap().as_seq().unwrap().len(), 1);
    }

    #[test]
    fn what_is_named_goes_from_the_document_below() {
        let mut below = read("a: {b: 1, c: 2}\nd: [1]");
        clear(&mut below, &[Path::of("a.b"), Path::of("d").index(0), Path::of("gone.x")]);
        assert!(below.get("a").unwrap().get("b").is_none());
        assert!(below.get("a").unwrap().get("c").is_some());
        assert_eq!(below.get("d").unwrap().as_seq().unwrap().len(), 1);
    }
}
