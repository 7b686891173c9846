//! Which variables are there: for `${…}`, and in each service?

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use crate::{
    FileKind, Message, Problem, Text,
    doc::{self, Key, Node, Span, Value},
    dotenv,
    interpolate::Lookup,
    load::{Loader, files::said},
    message,
    model::{FileObject, Project, Service},
    paths, yaml,
};

/// A dotenv file and where it is named.
struct Named<'f> {
    file: &'f Text,
    at: Span,
    raw: bool,
}

impl Loader<'_> {
    pub(super) fn env_files(&mut self, project_dir: &Path) {
        let folder = &self.request.working_directory;
        let files: Vec<Text> = self
            .request
            .env_files
            .iter()
            .map(|file| paths::absolute(&file.display().to_string(), folder, None).into())
            .collect();
        for file in &files {
            self.env_file(file, Span::default());
        }
        let beside = project_dir.join(".env");
        if files.is_empty() && self.read.kind(&beside) == FileKind::File {
            self.env_file(&beside.display().to_string().into(), Span::default());
        }
    }

    /// Puts a dotenv file under the environment: what is set there stays.
    fn env_file(&mut self, file: &Text, at: Span) {
        for (key, value) in self.dotenv(file, at).unwrap_or_default() {
            if !self.request.environment.contains_key(&key) {
                self.environment.insert(key, value);
            }
        }
    }

    /// The variables of a dotenv file that is named at `at`.
    pub(crate) fn dotenv(&mut self, file: &Text, at: Span) -> Option<Vec<(String, Text)>> {
        let environment = std::mem::take(&mut self.environment);
        let lookup = |name: &str| environment.get(name).cloned();
        let found = self.dotenv_with(&Named { file, at, raw: false }, &lookup, &|_: &str| None);
        self.environment = environment;
        found
    }

    /// `known` has what the files before say; a file's own variables come before them, `lookup` before both.
    fn dotenv_with(
        &mut self,
        named: &Named<'_>,
        lookup: &dyn Lookup,
        known: &dyn Lookup,
    ) -> Option<Vec<(String, Text)>> {
        let Named { file, at, raw } = named;
        let (text, id, secret) = match self.text(file) {
            Ok(read) => read,
            Err(error) => {
                let message = if error.kind() == io::ErrorKind::NotFound {
                    message!("env file {} not found", file)
                } else {
                    message!("cannot read env file {}: {}", file, said(&error, file))
                };
                self.error("env-file", *at, message);
                return None;
            }
        };
        let parsed = if *raw {
            dotenv::parse_raw(&text, secret, lookup)
        } else {
            dotenv::parse_after(&text, secret, lookup, known)
        };
        match parsed {
            Ok(pairs) => Some(pairs),
            Err(error) => {
                let at = Span { file: id, line: error.line, column: 1, width: 1 };
                self.problems.push(Problem::error("dotenv", at, doc::Path::default(), error.message));
                None
            }
        }
    }

    /// The settings of all stacks, where the request names a file for them and it is there.
    pub(super) fn default_settings(&mut self) -> Option<Node> {
        let path = self.request.defaults.as_ref().filter(|path| self.read.kind(path) == FileKind::File)?;
        let path = Text::plain(path.display().to_string());
        let (text, id, secret) = match self.text(&path) {
            Ok(read) => read,
            Err(error) => {
                let message = message!("cannot read {}: {}", path, said(&error, &path));
                self.error("unreadable", Span::default(), message);
                return None;
            }
        };
        match yaml::parse(&text, id, secret) {
            Ok(documents) => {
                let node = documents.into_iter().find(|node| node.value != Value::Null)?;
                self.settings.read(&node, &doc::Path::default(), &mut self.problems);
                Some(node)
            }
            Err(problems) => {
                self.problems.extend(problems);
                None
            }
        }
    }

    /// `x-agent.env_files`, or those of all stacks: read before interpolation, since interpolation is what they are for.
    pub(super) fn agent_env_files(
        &mut self,
        documents: &[Node],
        defaults: Option<&Node>,
        project_dir: &Path,
    ) {
        let own = documents.iter().filter_map(|document| document.get("x-agent")?.get("env_files"));
        let mut listed: Vec<&Node> = own.collect();
        if listed.is_empty() {
            listed.extend(defaults.and_then(|node| node.get("env_files")));
        }
        for item in listed.into_iter().flat_map(|node| node.as_seq().unwrap_or(std::slice::from_ref(node))) {
            if let Some(path) = item.as_text() {
                let file = path.map(|path| paths::absolute(path, project_dir, None));
                self.env_file(&file, item.span);
            }
        }
    }

    /// Reads `env_file` and `label_file` into `environment` and `labels`.
    pub(super) fn service_environments(&mut self, project: &mut Project, document: &Node) {
        for (name, service) in &mut project.services {
            let node = document.get("services").and_then(|services| services.get(name));
            self.env_files_of(name, service, node);
            self.label_files_of(service, node);
        }
    }

    fn env_files_of(&mut self, name: &Key, service: &mut Service, node: Option<&Node>) {
        let path = doc::Path::of("services").key(name).key("env_file");
        let listed = node.and_then(|node| node.get("env_file"));
        let mut resolved: BTreeMap<Key, Option<Text>> = BTreeMap::new();
        for (nth, file) in std::mem::take(&mut service.env_files).into_iter().enumerate() {
            let item = listed.and_then(|list| list.as_seq()?.get(nth)).or(listed);
            let at = item.map_or_else(Span::default, |node| node.span);
            let wrong = |message: Message| Problem::error("env-file", at, &path, message);
            let place = PathBuf::from(file.path.expose());
            if self.read.kind(&place) == FileKind::Missing {
                if file.required {
                    let message = message!("env file {} not found", file.path);
                    self.problems.push(wrong(message).hint("create it, or write `required: false`"));
                }
                continue;
            }
            let raw = file.format == "raw";
            if !raw && !file.format.is_empty() {
                let message = message!("unsupported env_file format '{}'", file.format);
                self.problems.push(wrong(message).hint("leave `format` out, or write `format: raw`"));
                continue;
            }
            let environment = std::mem::take(&mut self.environment);
            let own = |name: &str| service.environment.get(name).cloned().flatten();
            let lookup = |name: &str| environment.get(name).cloned().or_else(|| own(name));
            let earlier = |name: &str| resolved.get(name).cloned().flatten();
            let pairs = self.dotenv_with(&Named { file: &file.path, at, raw }, &lookup, &earlier);
            self.environment = environment;
            resolved
                .extend(pairs.unwrap_or_default().into_iter().map(|(key, value)| (key.into(), Some(value))));
        }
        resolved.append(&mut service.environment);
        service.environment = resolved;
    }

    /// Labels of files, later files first; what the service itself says wins.
    fn label_files_of(&mut self, service: &mut Service, node: Option<&Node>) {
        let at = node.and_then(|node| node.get("label_file")).map_or_else(Span::default, |node| node.span);
        let mut labels: BTreeMap<Key, Text> = BTreeMap::new();
        for file in &service.label_files {
            let lookup = |name: &str| labels.get(name).cloned();
            let named = Named { file, at, raw: false };
            let found = self.dotenv_with(&named, &lookup, &|_: &str| None);
            labels.extend(found.unwrap_or_default().into_iter().map(|(key, value)| (key.into(), value)));
        }
        labels.append(&mut service.labels);
        service.labels = labels;
    }

    /// Resolves secrets and configs that come from a variable.
    pub(super) fn object_contents(&self, project: &mut Project) {
        let resolve = |objects: &mut BTreeMap<Key, FileObject>| {
            for object in objects
                .values_mut()
                .filter(|object| !object.environment.is_empty() && object.content.is_none())
            {
                object.content = self.environment.get(object.environment.expose()).cloned();
            }
        };
        resolve(&mut project.secrets);
        resolve(&mut project.configs);
    }
}
