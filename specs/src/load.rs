//! In which order do the stages turn compose files into a project?
//!
//! Inputs (environment, files, name) → per file: YAML, interpolation, extends, merge, unify, long forms → of the whole:
//! paths, normalisation, typed project, profiles, consistency, environments of the services.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use crate::{
    FileKind, Problem, Problems, ReadText, Severity, Sources, Text, check, decode,
    doc::{self, Entry, Map, Node, Span, Value},
    dotenv, extends, fields, include, interpolate, merge,
    model::{FileObject, Project, Service},
    name, normalize, paths, settings, yaml,
};

/// Names under which a compose file is looked for, best first.
pub const FILE_NAMES: [&str; 4] =
    ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
const OVERRIDE_NAMES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// What to load.
#[derive(Debug, Clone, Default)]
pub struct LoadRequest {
    /// The folder that relative paths of this request start from, absolute.
    pub working_directory: PathBuf,
    /// `-f`; empty: look for one of [`FILE_NAMES`] and its override.
    pub files: Vec<PathBuf>,
    /// `--project-directory`.
    pub project_directory: Option<PathBuf>,
    /// `-p`.
    pub name: Option<String>,
    /// The environment.
    pub environment: BTreeMap<String, Text>,
    /// `--env-file`; empty: `.env` of the project folder, where it is there.
    pub env_files: Vec<PathBuf>,
    /// `--profile`.
    pub profiles: Vec<String>,
}

/// A loaded project with what is needed to talk about it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The project.
    pub project: Project,
    /// The canonical document: its nodes know where they were written.
    pub document: Node,
    /// The files that were read.
    pub sources: Sources,
    /// What an operator may regret.
    pub warnings: Vec<Problem>,
    /// The variables that were interpolated from: the environment and the env files.
    pub environment: BTreeMap<String, Text>,
    /// Every file that was read, for watching and digests.
    pub inputs: Vec<PathBuf>,
}

impl Loaded {
    /// Where a field, `services.web.ports`, was written: `compose.yaml:12:5`.
    pub fn place(&self, path: &doc::Path) -> Option<String> {
        let mut node = &self.document;
        for part in &path.0 {
            node = match part {
                doc::Part::Key(key) => node.get(key)?,
                doc::Part::Index(index) => node.as_seq()?.get(*index)?,
            };
        }
        node.span.is_written().then(|| self.sources.place(node.span))
    }
}

/// Loads a project.
///
/// # Errors
/// All problems that were found, at least one of them an error.
pub fn load(request: &LoadRequest, read: &dyn ReadText) -> Result<Loaded, Problems> {
    let mut loader = Loader {
        request,
        read,
        sources: RefCell::default(),
        problems: Vec::new(),
        environment: request.environment.clone(),
        inputs: RefCell::default(),
    };
    match loader.run() {
        Some((project, document)) if !loader.failed() => Ok(Loaded {
            project,
            document,
            sources: loader.sources.into_inner(),
            warnings: loader.problems,
            environment: loader.environment,
            inputs: loader.inputs.into_inner(),
        }),
        _ => Err(Problems { list: loader.problems, sources: loader.sources.into_inner() }),
    }
}

pub(crate) struct Loader<'a> {
    request: &'a LoadRequest,
    pub(crate) read: &'a dyn ReadText,
    sources: RefCell<Sources>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) environment: BTreeMap<String, Text>,
    inputs: RefCell<Vec<PathBuf>>,
}

impl Loader<'_> {
    fn failed(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }

    fn error(&mut self, rule: &'static str, message: impl Into<String>) {
        self.problems.push(Problem::error(rule, Span::default(), &doc::Path::default(), message));
    }

    fn run(&mut self) -> Option<(Project, Node)> {
        let folder = &self.request.working_directory;
        let files = self.files(folder)?;
        let project_dir = match &self.request.project_directory {
            Some(given) => PathBuf::from(paths::absolute(&given.display().to_string(), folder, None)),
            None => paths::folder_of(&files[0]),
        };
        self.env_files(&project_dir);
        let documents: Vec<Node> = files.iter().flat_map(|file| self.documents(file)).collect();
        if self.failed() {
            return None;
        }
        self.agent_env_files(&documents, &project_dir);
        let name = self.name(&documents, &project_dir)?;
        self.environment.insert("COMPOSE_PROJECT_NAME".into(), Text::plain(&*name));
        let mut model = self.merged(documents, &project_dir, &files)?;
        let home = self.environment.get("HOME").map(|home| PathBuf::from(home.expose()));
        paths::resolve(
            &mut model,
            &paths::Base { folder: &project_dir, home: home.as_deref(), read: self.read },
        );
        let environment = self.environment.clone();
        normalize::normalize(&mut model, &name, &|name: &str| environment.get(name).cloned());
        let mut project = decode::project(&model, &mut self.problems)?;
        project.settings = settings::decode(&model, &mut self.problems);
        project.name = name;
        project.working_dir = project_dir;
        project.compose_files = files;
        project.environment_files.clone_from(&self.request.env_files);
        self.profiles(&mut project);
        check::consistency(&project, &model, &mut self.problems);
        self.service_environments(&mut project, &model);
        self.object_contents(&mut project);
        keep_used(&mut project);
        Some((project, model))
    }

    fn files(&mut self, folder: &Path) -> Option<Vec<PathBuf>> {
        if !self.request.files.is_empty() {
            let absolute =
                |file: &PathBuf| PathBuf::from(paths::absolute(&file.display().to_string(), folder, None));
            return Some(self.request.files.iter().map(absolute).collect());
        }
        let find = |names: &[&str], at: &Path| {
            names.iter().map(|name| at.join(name)).find(|file| self.read.kind(file) == FileKind::File)
        };
        for at in folder.ancestors() {
            if let Some(main) = find(&FILE_NAMES, at) {
                return Some([Some(main), find(&OVERRIDE_NAMES, at)].into_iter().flatten().collect());
            }
        }
        self.error(
            "no-file",
            format!("no compose file in {} or above it, expected compose.yaml", folder.display()),
        );
        None
    }

    /// The text of a file, remembered for messages.
    pub(crate) fn text(&self, path: &Path) -> io::Result<(String, doc::FileId, bool)> {
        let content = self.read.read(path)?;
        let text = std::str::from_utf8(&content.bytes)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8 text"))?
            .to_owned();
        let shown = (!content.secret).then(|| text.clone());
        let file = self.sources.borrow_mut().add(path.to_owned(), shown);
        self.inputs.borrow_mut().push(path.to_owned());
        Ok((text, file, content.secret))
    }

    /// The YAML documents of a file.
    pub(crate) fn documents(&mut self, file: &Path) -> Vec<Node> {
        let (text, id, secret) = match self.text(file) {
            Ok(read) => read,
            Err(error) => {
                self.error("unreadable", format!("cannot read {}: {error}", file.display()));
                return Vec::new();
            }
        };
        match yaml::parse(&text, id, secret) {
            Ok(documents) if documents.iter().all(|node| node.value == Value::Null) => {
                self.error("empty", format!("{}: empty compose file", file.display()));
                Vec::new()
            }
            Ok(documents) => {
                for document in &documents {
                    if !matches!(document.value, Value::Map(_)) {
                        let message =
                            format!("top-level object must be a mapping, found {}", document.kind());
                        self.problems.push(Problem::error(
                            "type",
                            document.span,
                            &doc::Path::default(),
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

    fn env_files(&mut self, project_dir: &Path) {
        let folder = &self.request.working_directory;
        let mut files: Vec<(PathBuf, bool)> = self
            .request
            .env_files
            .iter()
            .map(|file| (PathBuf::from(paths::absolute(&file.display().to_string(), folder, None)), true))
            .collect();
        if files.is_empty() {
            files.push((project_dir.join(".env"), false));
        }
        for (file, required) in files {
            if required || self.read.kind(&file) == FileKind::File {
                self.env_file(&file);
            }
        }
    }

    /// Puts a dotenv file under the environment: what is set stays.
    fn env_file(&mut self, file: &Path) {
        for (key, value) in self.dotenv(file, false).unwrap_or_default() {
            if !self.request.environment.contains_key(&key) {
                self.environment.insert(key, value);
            }
        }
    }

    pub(crate) fn dotenv(&mut self, file: &Path, raw: bool) -> Option<Vec<(String, Text)>> {
        let environment = self.environment.clone();
        self.dotenv_with(file, raw, &|name: &str| environment.get(name).cloned())
    }

    fn dotenv_with(
        &mut self,
        file: &Path,
        raw: bool,
        lookup: &dyn interpolate::Lookup,
    ) -> Option<Vec<(String, Text)>> {
        let (text, id, secret) = match self.text(file) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.error("env-file", format!("env file {} not found", file.display()));
                return None;
            }
            Err(error) => {
                self.error("env-file", format!("cannot read env file {}: {error}", file.display()));
                return None;
            }
        };
        let parsed =
            if raw { dotenv::parse_raw(&text, secret, lookup) } else { dotenv::parse(&text, secret, lookup) };
        match parsed {
            Ok(pairs) => Some(pairs),
            Err(error) => {
                let at = Span { file: id, line: error.line, column: 1, width: 1 };
                self.problems.push(Problem::error("dotenv", at, &doc::Path::default(), error.message));
                None
            }
        }
    }

    /// `x-agent.env_files`: read before interpolation, since interpolation is what they are for.
    fn agent_env_files(&mut self, documents: &[Node], project_dir: &Path) {
        let listed = documents.iter().filter_map(|document| document.get("x-agent")?.get("env_files"));
        for item in listed.flat_map(|node| node.as_seq().unwrap_or(std::slice::from_ref(node))) {
            if let Some(path) = item.as_text() {
                let file = PathBuf::from(paths::absolute(path.expose(), project_dir, None));
                self.env_file(&file);
            }
        }
    }

    fn name(&mut self, documents: &[Node], project_dir: &Path) -> Option<String> {
        let given = self.request.name.clone().or_else(|| {
            self.environment
                .get("COMPOSE_PROJECT_NAME")
                .map(|name| name.expose().to_owned())
                .filter(|name| !name.is_empty())
        });
        if let Some(given) = given {
            if name::normalize(&given) != given {
                self.error("project-name", format!("invalid project name '{given}': must consist only of lowercase alphanumeric characters, hyphens, and underscores as well as start with a letter or number"));
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
        if name.is_empty() {
            self.error("project-name", "project name must not be empty, expected a top-level `name:`");
            return None;
        }
        Some(name)
    }

    /// Every document on top of the one before, in canonical form.
    pub(crate) fn merged(
        &mut self,
        documents: Vec<Node>,
        project_dir: &Path,
        chain: &[PathBuf],
    ) -> Option<Node> {
        let environment = self.environment.clone();
        let lookup = |name: &str| environment.get(name).cloned();
        let mut model: Option<Node> = None;
        for mut document in documents {
            interpolate::expand_document(&mut document, &doc::Path::default(), &lookup, &mut self.problems);
            extends::apply(self, &mut document, project_dir, model.as_ref());
            include::apply(self, &mut document, project_dir, chain);
            let below = model.get_or_insert_with(|| Node::new(document.span, Value::Map(Map::new())));
            merge::merge(below, document, &mut self.problems);
            merge::unify(below);
            crate::schema::validate(below, &mut self.problems);
            if let Value::Map(top) = &mut below.value {
                top.shift_remove("version");
            }
            fields::canonicalize(below, &mut self.problems);
            merge::unify(below);
        }
        let mut model = model?;
        complete(&mut model);
        (!self.failed()).then_some(model)
    }

    fn profiles(&self, project: &mut Project) {
        let mut active = self.request.profiles.clone();
        if active.is_empty()
            && let Some(listed) = self.environment.get("COMPOSE_PROFILES")
        {
            active = listed.expose().split(',').map(|profile| profile.trim().to_owned()).collect();
        }
        let enabled = |service: &Service| {
            service.profiles.is_empty()
                || active.iter().any(|active| {
                    active == "*" || service.profiles.iter().any(|profile| *profile == **active)
                })
        };
        let (on, off) =
            std::mem::take(&mut project.services).into_iter().partition(|(_, service)| enabled(service));
        project.services = on;
        project.disabled_services = off;
        let enabled = &project.services;
        let there: std::collections::BTreeSet<String> = enabled.keys().cloned().collect();
        for service in project.services.values_mut() {
            service.depends_on.retain(|name, edge| edge.required || there.contains(name));
        }
    }

    /// Reads `env_file` and `label_file` into `environment` and `labels`.
    fn service_environments(&mut self, project: &mut Project, document: &Node) {
        let services: Vec<String> = project.services.keys().cloned().collect();
        for name in services {
            let Some(mut service) = project.services.remove(&name) else { continue };
            let at = document
                .get("services")
                .and_then(|services| services.get(&name)?.get("env_file"))
                .map_or_else(Span::default, |node| node.span);
            let mut resolved: BTreeMap<String, Option<Text>> = BTreeMap::new();
            for file in std::mem::take(&mut service.env_files) {
                let path = PathBuf::from(file.path.expose());
                if self.read.kind(&path) == FileKind::Missing {
                    if file.required {
                        let path = doc::Path::of("services").key(&name).key("env_file");
                        let message = format!("env file {} not found", file.path.shown());
                        self.problems.push(
                            Problem::error("env-file", at, &path, message)
                                .hint("create it, or write `required: false`"),
                        );
                    }
                    continue;
                }
                let environment = self.environment.clone();
                let (own, earlier) = (service.environment.clone(), resolved.clone());
                let lookup = move |name: &str| {
                    environment
                        .get(name)
                        .cloned()
                        .or_else(|| own.get(name).cloned().flatten())
                        .or_else(|| earlier.get(name).cloned().flatten())
                };
                let raw = *file.format.expose() == *"raw";
                let pairs = self.dotenv_with(&path, raw, &lookup).unwrap_or_default();
                resolved.extend(pairs.into_iter().map(|(key, value)| (key, Some(value))));
            }
            resolved.append(&mut service.environment);
            service.environment = resolved;
            for file in std::mem::take(&mut service.label_files) {
                let labels = self.dotenv(Path::new(file.expose()), false).unwrap_or_default();
                for (key, value) in labels {
                    service.labels.entry(key).or_insert(value);
                }
            }
            project.services.insert(name, service);
        }
    }

    /// Resolves secrets and configs that come from a variable.
    fn object_contents(&self, project: &mut Project) {
        let resolve = |objects: &mut BTreeMap<String, FileObject>| {
            for object in objects.values_mut().filter(|object| !object.environment.is_empty()) {
                object.content = self.environment.get(object.environment.expose()).cloned();
            }
        };
        resolve(&mut project.secrets);
        resolve(&mut project.configs);
    }
}

/// Defaults that Compose writes into the model: a secret's target, a port's protocol and mode, a request's count.
fn complete(model: &mut Node) {
    let Some(Value::Map(services)) = (if let Value::Map(top) = &mut model.value {
        top.get_mut("services").map(|entry| &mut entry.node.value)
    } else {
        None
    }) else {
        return;
    };
    for entry in services.values_mut() {
        let Value::Map(service) = &mut entry.node.value else { continue };
        each_item(service, "ports", |port| {
            absent(port, "mode", "ingress");
            absent(port, "protocol", "tcp");
        });
        each_item(service, "secrets", default_target);
        each_item(service, "gpus", all_devices);
        if let Some(Value::Map(build)) = service.get_mut("build").map(|entry| &mut entry.node.value) {
            absent(build, "context", ".");
            each_item(build, "secrets", default_target);
        }
        if let Some(Value::Map(deploy)) = service.get_mut("deploy").map(|entry| &mut entry.node.value)
            && let Some(Value::Map(resources)) =
                deploy.get_mut("resources").map(|entry| &mut entry.node.value)
            && let Some(Value::Map(reservations)) =
                resources.get_mut("reservations").map(|entry| &mut entry.node.value)
        {
            each_item(reservations, "devices", all_devices);
        }
    }
}

fn default_target(secret: &mut Map) {
    let source = secret.get("source").and_then(|entry| entry.node.as_text()).cloned().unwrap_or_default();
    absent(secret, "target", &format!("/run/secrets/{}", source.expose()));
}

fn all_devices(request: &mut Map) {
    if !request.contains_key("count") && !request.contains_key("device_ids") {
        absent(request, "count", "all");
    }
}

fn each_item(fields: &mut Map, key: &str, mut change: impl FnMut(&mut Map)) {
    if let Some(Value::Seq(items)) = fields.get_mut(key).map(|entry| &mut entry.node.value) {
        for item in items {
            if let Value::Map(fields) = &mut item.value {
                change(fields);
            }
        }
    }
}

fn absent(fields: &mut Map, key: &str, value: &str) {
    if !fields.contains_key(key) {
        let node = Node::new(Span::default(), Value::Str(value.into()));
        fields.insert(key.to_owned(), Entry { key: Span::default(), node });
    }
}

/// Drops networks, volumes, secrets, configs and models that no enabled service uses.
fn keep_used(project: &mut Project) {
    let services: Vec<&Service> = project.services.values().collect();
    let networks = |name: &str| services.iter().any(|service| service.networks.contains_key(name));
    let volumes = |name: &str| {
        services.iter().any(|service| {
            service
                .volumes
                .iter()
                .any(|mount| mount.kind == crate::model::MountKind::Volume && mount.source == *name)
        })
    };
    let secrets = |name: &str| {
        services.iter().any(|service| {
            let build = service.build.iter().flat_map(|build| &build.secrets);
            service.secrets.iter().chain(build).any(|reference| reference.source == *name)
        })
    };
    let configs = |name: &str| {
        services.iter().any(|service| service.configs.iter().any(|reference| reference.source == *name))
    };
    let models = |name: &str| services.iter().any(|service| service.models.contains_key(name));
    project.networks.retain(|name, _| networks(name));
    project.volumes.retain(|name, _| volumes(name));
    project.secrets.retain(|name, _| secrets(name));
    project.configs.retain(|name, _| configs(name));
    project.models.retain(|name, _| models(name));
}
