//! What do relative paths in a compose file mean?
//!
//! Everything that Compose treats as a path of the host becomes absolute, against the project folder; `~` is the home
//! folder first.

use std::path::{Path as FsPath, PathBuf};

use crate::{
    ReadText, Text,
    doc::{Map, Node, Value},
};

/// Go's `path.Clean`: no `.`, no `..` where it can be taken away, no doubled or trailing slash.
pub fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            _ => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

/// `path` against `base`, cleaned; `~` is `home`; what is absolute already stays as it was written.
pub fn absolute(path: &str, base: &FsPath, home: Option<&FsPath>) -> String {
    if let (Some(rest), Some(home)) = (path.strip_prefix('~'), home) {
        return clean(&format!("{}/{rest}", home.display()));
    }
    if path.starts_with('/') || is_windows(path) {
        return path.to_owned();
    }
    clean(&format!("{}/{path}", base.display()))
}

/// `C:\\x` and `\\\\host\\share`: absolute on Windows, and left alone.
fn is_windows(path: &str) -> bool {
    let bytes = path.as_bytes();
    path.starts_with("\\\\")
        || bytes.len() > 2
            && bytes[0].is_ascii_alphabetic()
            && bytes[1] == b':'
            && matches!(bytes[2], b'/' | b'\\')
}

/// Where a document's relative paths start.
pub struct Base<'a> {
    /// The project folder, absolute.
    pub folder: &'a FsPath,
    /// The home folder, where one is known.
    pub home: Option<&'a FsPath>,
    /// The files, for links in `develop.watch`.
    pub read: &'a dyn ReadText,
}

impl Base<'_> {
    fn text(&self, node: &mut Node) {
        if let Value::Str(text) = &node.value {
            node.value = Value::Str(text.map(|path| absolute(path, self.folder, self.home)));
        }
    }

    fn field(&self, fields: &mut Map, key: &str) {
        if let Some(entry) = fields.get_mut(key)
            && entry.node.as_text().is_some_and(|text| !text.is_empty())
        {
            self.text(&mut entry.node);
        }
    }
}

/// Makes every path of a canonical document absolute.
pub fn resolve(document: &mut Node, base: &Base<'_>) {
    let Value::Map(top) = &mut document.value else { return };
    for_each(top, "services", |service| self::service(service, base));
    for section in ["configs", "secrets"] {
        for_each(top, section, |object| {
            if let Some(entry) = object.get_mut("file") {
                base.text(&mut entry.node);
            }
        });
    }
    for_each(top, "volumes", |volume| volume_device(volume, base));
}

/// Makes the paths of one service absolute.
pub fn service(fields: &mut Map, base: &Base<'_>) {
    for_each_value(fields, "build", |build| self::build(build, base));
    for key in ["env_file", "label_file"] {
        for_items(fields, key, |item| match &mut item.value {
            Value::Map(fields) => base.field(fields, "path"),
            _ => base.text(item),
        });
    }
    for_each_value(fields, "extends", |extends| base.field(extends, "file"));
    for_items(fields, "volumes", |item| {
        if let Value::Map(mount) = &mut item.value
            && mount.get("type").is_some_and(|entry| entry.node.as_text().is_some_and(|kind| *kind == "bind"))
        {
            base.field(mount, "source");
        }
    });
    for_each_value(fields, "develop", |develop| {
        for_items(develop, "watch", |item| {
            if let Value::Map(rule) = &mut item.value {
                base.field(rule, "path");
                if let Some(entry) = rule.get_mut("path")
                    && let Value::Str(path) = &entry.node.value
                {
                    let resolved =
                        path.map(|path| base.read.resolve(FsPath::new(path)).display().to_string());
                    entry.node.value = Value::Str(resolved);
                }
            }
        });
    });
}

fn build(fields: &mut Map, base: &Base<'_>) {
    let context = |node: &mut Node| {
        if node.as_text().is_some_and(|text| !text.is_empty() && !is_remote(text.expose())) {
            base.text(node);
        }
    };
    if let Some(entry) = fields.get_mut("context") {
        context(&mut entry.node);
    }
    if let Some(entry) = fields.get_mut("additional_contexts")
        && let Value::Map(contexts) = &mut entry.node.value
    {
        contexts.values_mut().for_each(|entry| context(&mut entry.node));
    }
    if let Some(entry) = fields.get_mut("ssh")
        && let Value::Map(keys) = &mut entry.node.value
    {
        keys.values_mut().for_each(|entry| {
            if entry.node.as_text().is_some_and(|path| !path.is_empty()) {
                base.text(&mut entry.node);
            }
        });
    }
}

/// Whether a build context is no folder: a URL, a repository, another service or an image.
pub fn is_remote(context: &str) -> bool {
    context.contains("://")
        || ["service:", "github.com/", "git@"].iter().any(|prefix| context.starts_with(prefix))
}

fn volume_device(fields: &mut Map, base: &Base<'_>) {
    if fields.get("driver").and_then(|entry| entry.node.as_text()).is_none_or(|driver| *driver != "local") {
        return;
    }
    if let Some(entry) = fields.get_mut("driver_opts")
        && let Value::Map(options) = &mut entry.node.value
        && options.get("o").and_then(|entry| entry.node.as_text()).is_some_and(|o: &Text| *o == "bind")
        && let Some(entry) = options.get_mut("device")
    {
        base.text(&mut entry.node);
    }
}

fn for_each(top: &mut Map, section: &str, mut change: impl FnMut(&mut Map)) {
    if let Some(entry) = top.get_mut(section)
        && let Value::Map(objects) = &mut entry.node.value
    {
        for object in objects.values_mut() {
            if let Value::Map(fields) = &mut object.node.value {
                change(fields);
            }
        }
    }
}

fn for_each_value(fields: &mut Map, key: &str, change: impl FnOnce(&mut Map)) {
    if let Some(entry) = fields.get_mut(key)
        && let Value::Map(inner) = &mut entry.node.value
    {
        change(inner);
    }
}

fn for_items(fields: &mut Map, key: &str, change: impl FnMut(&mut Node)) {
    if let Some(entry) = fields.get_mut(key)
        && let Value::Seq(items) = &mut entry.node.value
    {
        items.iter_mut().for_each(change);
    }
}

/// The parent of a file, or the folder that the program stands in.
pub fn folder_of(file: &FsPath) -> PathBuf {
    file.parent().map_or_else(PathBuf::new, FsPath::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleaning() {
        for (path, cleaned) in [
            ("/a/./b/../c/", "/a/c"),
            ("./a", "a"),
            ("", "."),
            ("../x", "../x"),
            ("/..", "/"),
            ("a//b", "a/b"),
        ] {
            assert_eq!(clean(path), cleaned, "{path}");
        }
    }

    #[test]
    fn home_comes_first() {
        let (base, home) = (FsPath::new("/srv/app"), FsPath::new("/root"));
        assert_eq!(absolute("~/x", base, Some(home)), "/root/x");
        assert_eq!(absolute("./x", base, Some(home)), "/srv/app/x");
        assert_eq!(absolute("/x/", base, Some(home)), "/x/");
    }
}
