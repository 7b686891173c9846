//! Which files make the project, what is in them, and what is the project called?

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    FileKind, Problem, Text,
    doc::{self, Node, Span, Value},
    interpolate,
    load::{FILE_NAMES, Loader, OVERRIDE_NAMES, is_standard_input},
    message, name, paths, yaml,
};

impl Loader<'_> {
    /// What the request, or else `COMPOSE_FILE`, lists from `folder` on, or else what stands in `start` or above it.
    pub(super) fn files(&mut self, folder: &Path, start: &Path) -> Option<Vec<PathBuf>> {
        let listed = if self.request.files.is_empty() { self.listed() } else { self.request.files.clone() };
        if !listed.is_empty() {
            let absolute = |file: &PathBuf| {
                if is_standard_input(file) {
                    return file.clone();
                }
                PathBuf::from(paths::absolute(&file.display().to_string(), folder, None))
            };
            return Some(listed.iter().map(absolute).collect());
        }
        let find = |names: &[&str], at: &Path| {
            names.iter().map(|name| at.join(name)).find(|file| self.read.kind(file) == FileKind::File)
        };
        for at in start.ancestors() {
            if let Some(main) = find(&FILE_NAMES, at) {
                return Some([Some(main), find(&OVERRIDE_NAMES, at)].into_iter().flatten().collect());
            }
        }
        self.error(
            "no-file",
            Span::default(),
            message!(
                "no compose file in {} or above it, expected compose.yaml",
                Text::plain(start.display().to_string())
            ),
        );
        None
    }

    /// The files of `COMPOSE_FILE`.
    fn listed(&self) -> Vec<PathBuf> {
        let separator = self.environment.get("COMPOSE_PATH_SEPARATOR").filter(|sign| !sign.is_empty());
        let separator = separator.map_or(":", Text::expose);
        let files = self.environment.get("COMPOSE_FILE").filter(|files| !files.is_empty());
        files.map_or_else(Vec::new, |files| files.expose().split(separator).map(PathBuf::from).collect())
    }

    /// The text of a file, remembered for messages.
    pub(crate) fn text(&self, path: &Text) -> io::Result<(String, doc::FileId, bool)> {
        let place = Path::new(path.expose());
        let content = self.read.read(place)?;
        let text = std::str::from_utf8(&content.bytes).map_err(|error| {
            let line = content.bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
            io::Error::new(io::ErrorKind::InvalidData, format!("not UTF-8 text in line {line}"))
        })?;
        let text = text.to_owned();
        let shown = (!content.secret).then(|| text.clone());
        let file = self.sources.borrow_mut().add(path, shown);
        self.inputs.borrow_mut().push(place.to_owned());
        Ok((text, file, content.secret))
    }

    /// How many files have been read so far.
    pub(crate) fn files_read(&self) -> usize {
        self.inputs.borrow().len()
    }

    /// The YAML documents of a file, which is named at `at`.
    pub(crate) fn documents(&mut self, file: &Text, at: Span) -> Vec<Node> {
        let (text, id, secret) = match self.text(file) {
            Ok(read) => read,
            Err(error) => {
                let at = if error.kind() == io::ErrorKind::InvalidData { self.start_of(file) } else { at };
                self.error("unreadable", at, message!("cannot read {}: {}", file, said(&error, file)));
                return Vec::new();
            }
        };
        match yaml::parse(&text, id, secret) {
            Ok(documents) if documents.iter().all(|node| node.value == Value::Null) => {
                let at = Span { file: id, line: 1, column: 1, width: 1 };
                self.error("empty", at, "empty compose file, expected `services:`");
                Vec::new()
            }
            Ok(documents) => {
                for document in &documents {
                    if !matches!(document.value, Value::Map(_)) {
                        let message =
                            message!("top-level object must be a mapping, found {}", document.kind());
                        self.problems.push(Problem::error(
                            "type",
                            document.span,
                            doc::Path::default(),
                            message,
                        ));
                    }
                }
                documents
            }
            Err(problems) => {
                self.problems.extend(problems);
                Vec::new()
            }
        }
    }

    /// The first place of a file whose text cannot be shown.
    fn start_of(&self, file: &Text) -> Span {
        let file = self.sources.borrow_mut().add(file, None);
        Span { file, line: 1, column: 1, width: 1 }
    }

    pub(super) fn name(&mut self, documents: &[Node], project_dir: &Path) -> Option<String> {
        let given = self.request.name.clone().or_else(|| {
            self.environment
                .get("COMPOSE_PROJECT_NAME")
                .map(|name| name.expose().to_owned())
                .filter(|name| !name.is_empty())
        });
        if let Some(given) = given {
            if name::normalize(&given) != given {
                self.error("project-name", Span::default(), message!("invalid project name '{}': must consist only of lowercase alphanumeric characters, hyphens, and underscores as well as start with a letter or number", Text::plain(given)));
                return None;
            }
            return Some(given);
        }
        let environment = self.environment.clone();
        let lookup = |name: &str| environment.get(name).cloned();
        let written = documents.iter().rev().find_map(|document| {
            let text = document.get("name")?.as_text()?;
            let expanded = interpolate::expand(text, &lookup, &mut |_| {}).ok()?;
            (!expanded.is_empty()).then(|| name::normalize(expanded.expose()))
        });
        let folder =
            project_dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let name = written.unwrap_or_else(|| name::normalize(&folder));
        if name.is_empty() && self.expands {
            self.error(
                "project-name",
                Span::default(),
                "project name must not be empty, expected a top-level `name:`",
            );
            return None;
        }
        Some(name)
    }
}

/// What the operating system says about a file: it may name the file again.
pub(super) fn said(error: &io::Error, file: &Text) -> Text {
    Text::with_secrecy(error.to_string(), file.is_secret())
}
