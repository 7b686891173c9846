//! How are mounts written: `data:/var/lib`, `./conf:/etc/conf:ro,z`, `/cache`?
//!
//! Compose Specification, `volumes`, short syntax, with the quirks of Docker Compose's own reader: a one-letter source
//! is taken for a Windows drive, an unknown option is passed over.

use super::{map, put, text};
use crate::{
    Problem, Text,
    doc::{Map, Node, Span, Trail, Value},
    message,
    paths::clean,
};

/// Every entry in long form, its target cleaned.
pub(super) fn canonical(node: &mut Node, path: &Trail<'_>, problems: &mut Vec<Problem>) {
    let Value::Seq(items) = &mut node.value else { return };
    for (nth, item) in items.iter_mut().enumerate() {
        let span = item.span;
        if let Value::Str(written) = &item.value {
            match parse(written.expose()) {
                Ok(mount) => item.value = Value::Map(mount.into_map(span, written.is_secret())),
                Err(message) => {
                    let message = message!("'{}' {}", written, message);
                    problems.push(
                        Problem::error("mount", span, &path.index(nth), message)
                            .hint("write [SOURCE:]TARGET[:OPTIONS], for example \"./data:/data:ro\""),
                    );
                }
            }
            continue;
        }
        let has = |key: &str, text: &str| {
            item.get(key).and_then(Node::as_text).is_some_and(|found| *found == *text)
        };
        if has("type", "bind") && (item.get("source").is_none() || has("source", "")) {
            problems.push(Problem::error(
                "mount",
                span,
                &path.index(nth),
                "a bind mount needs a 'source', the path on the host",
            ));
        }
        if let Value::Map(fields) = &mut item.value
            && let Some(entry) = fields.get_mut("target")
            && let Value::Str(target) = &entry.node.value
        {
            entry.node.value = Value::Str(
                target.map(|target| if target.is_empty() { String::new() } else { clean(target) }),
            );
        }
    }
}

#[derive(Debug, Default, PartialEq)]
struct Short {
    source: String,
    target: String,
    read_only: bool,
    nocopy: bool,
    selinux: String,
    propagation: String,
    /// Specs of one or two characters never get a `bind` or `volume` part.
    tiny: bool,
}

impl Short {
    fn into_map(self, span: Span, secret: bool) -> Map {
        let is_bind = is_path(&self.source);
        let mut fields = Map::default();
        put(&mut fields, span, "type", text(if is_bind { "bind" } else { "volume" }));
        if !self.source.is_empty() {
            put(&mut fields, span, "source", Value::Str(Text::with_secrecy(self.source, secret)));
        }
        put(&mut fields, span, "target", Value::Str(Text::with_secrecy(clean(&self.target), secret)));
        if self.read_only {
            put(&mut fields, span, "read_only", Value::Bool(true));
        }
        let mut bind = Map::default();
        if !self.selinux.is_empty() {
            put(&mut bind, span, "selinux", text(self.selinux));
        }
        if !self.propagation.is_empty() {
            put(&mut bind, span, "propagation", text(self.propagation));
        }
        if is_bind {
            put(&mut bind, span, "create_host_path", Value::Bool(true));
        }
        if !bind.is_empty() {
            put(&mut fields, span, "bind", Value::Map(bind));
        }
        if self.nocopy {
            put(&mut fields, span, "volume", map(span, [("nocopy", Value::Bool(true))]));
        } else if !is_bind && !self.tiny {
            put(&mut fields, span, "volume", Value::Map(Map::default()));
        }
        fields
    }
}

fn parse(spec: &str) -> Result<Short, &'static str> {
    if spec.is_empty() {
        return Err("is empty");
    }
    if spec.len() <= 2 {
        return Ok(Short { target: spec.to_owned(), tiny: true, ..Short::default() });
    }
    let mut mount = Short::default();
    let mut section = String::new();
    let chars = spec.chars().map(Some).chain([None]);
    for next in chars {
        match next {
            Some(':') if is_drive(&section) => section.push(':'),
            Some(':') | None => mount.take(&std::mem::take(&mut section), next.is_none())?,
            Some(other) => section.push(other),
        }
    }
    Ok(mount)
}

impl Short {
    fn take(&mut self, section: &str, last: bool) -> Result<(), &'static str> {
        match () {
            () if section.is_empty() => return Err("has an empty section between colons"),
            () if self.source.is_empty() && last => self.target = section.to_owned(),
            () if self.source.is_empty() => self.source = section.to_owned(),
            () if self.target.is_empty() => self.target = section.to_owned(),
            () if !last => return Err("has too many colons"),
            () => section.split(',').for_each(|option| self.option(option)),
        }
        Ok(())
    }

    fn option(&mut self, option: &str) {
        match option {
            "ro" => self.read_only = true,
            "rw" => self.read_only = false,
            "nocopy" => self.nocopy = true,
            "z" | "Z" => option.clone_into(&mut self.selinux),
            "rprivate" | "private" | "rshared" | "shared" | "rslave" | "slave" => {
                option.clone_into(&mut self.propagation);
            }
            _ => {}
        }
    }
}

fn is_drive(section: &str) -> bool {
    let mut chars = section.chars();
    chars.next().is_some_and(char::is_alphabetic) && chars.next().is_none()
}

fn is_path(source: &str) -> bool {
    let mut chars = source.chars();
    match chars.next() {
        None => false,
        Some('.' | '/' | '~') => true,
        Some('\\') => source.starts_with("\\\\"),
        Some(first) => first.is_alphabetic() && chars.next() == Some(':'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_and_options() {
        let mount = parse("./a:/b:ro,z,rslave").unwrap();
        assert_eq!((mount.source.as_str(), mount.target.as_str(), mount.read_only), ("./a", "/b", true));
        assert_eq!((mount.selinux.as_str(), mount.propagation.as_str()), ("z", "rslave"));
        assert_eq!(parse("n:/y").unwrap().target, "n:/y", "a one-letter source is a drive");
        assert_eq!(parse("/x:ro").unwrap().target, "ro", "two sections are source and target");
        assert_eq!(parse("aa::b"), Err("has an empty section between colons"));
        assert_eq!(parse("aa:bb:cc:dd"), Err("has too many colons"));
    }
}
