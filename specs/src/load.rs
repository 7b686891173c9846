//! In which order do the stages turn compose files into a project?
//!
//! Inputs (environment, files, name) → per file: YAML, interpolation, extends, merge, unify, long forms → of the whole:
//! paths, normalisation, typed project, profiles, consistency, environments of the services.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::{
    Message, Problem, Problems, ReadText, Severity, Sources, Text, check, decode,
    doc::{self, Map, Node, Span, Trail, Value},
    extends, fields, include, interpolate, merge, message,
    model::Project,
    normalize, paths, reset, settings, unify, validate,
    variables::{Variable, collect},
};

mod defaults;
mod environment;
mod files;
mod select;
#[cfg(test)]
pub(crate) mod tests;

/// Names under which a compose file is looked for, best first.
pub const FILE_NAMES: [&str; 4] =
    ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
const OVERRIDE_NAMES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// How many services a project may have: what is loaded stays below 100 MB.
const MAX_SERVICES: usize = 4_000;

/// What to load.
#[derive(Debug, Clone, Default)]
pub struct LoadRequest {
    /// The folder that relative paths of this request start from, absolute.
    pub working_directory: PathBuf,
    /// `-f`; empty: what `COMPOSE_FILE` lists, or else one of [`FILE_NAMES`] and its override.
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
    /// Services that take part whatever their profiles are.
    pub services: Vec<String>,
    /// The file with the settings of every stack that does not say otherwise (`agent.yaml`); need not be there.
    pub defaults: Option<PathBuf>,
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
        let node = self.document.at(path)?;
        node.span.is_written().then(|| self.sources.place(node.span))
    }
}

/// Loads a project.
///
/// # Errors
/// All problems that were found, at least one of them an error.
pub fn load(request: &LoadRequest, read: &dyn ReadText) -> Result<Loaded, Problems> {
    let mut loader = Loader::new(request, read);
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

/// The variables that a project asks for, with nothing expanded.
///
/// # Errors
/// All problems that were found, at least one of them an error.
pub fn variables(request: &LoadRequest, read: &dyn ReadText) -> Result<BTreeMap<String, Variable>, Problems> {
    let mut loader = Loader::new(request, read);
    loader.expands = false;
    let mut found = BTreeMap::new();
    if let Some((_, mut model)) = loader.inputs().and_then(|inputs| loader.model(inputs)) {
        // The name is settled by then.
        if let Value::Map(top) = &mut model.value {
            top.shift_remove("name");
        }
        collect(&model, &mut found);
    }
    if loader.failed() {
        return Err(Problems { list: loader.problems, sources: loader.sources.into_inner() });
    }
    Ok(found)
}

/// What a load starts from.
struct Inputs {
    files: Vec<PathBuf>,
    project_dir: PathBuf,
    documents: Vec<Node>,
}

pub(crate) struct Loader<'a> {
    request: &'a LoadRequest,
    pub(crate) read: &'a dyn ReadText,
    sources: RefCell<Sources>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) environment: BTreeMap<String, Text>,
    inputs: RefCell<Vec<PathBuf>>,
    /// What `x-agent` is read on top of.
    settings: settings::AgentSettings,
    /// Whether variables are expanded, and with them everything that needs their values is checked.
    expands: bool,
}

impl<'a> Loader<'a> {
    fn new(request: &'a LoadRequest, read: &'a dyn ReadText) -> Self {
        Self {
            request,
            read,
            sources: RefCell::default(),
            problems: Vec::new(),
            environment: request.environment.clone(),
            inputs: RefCell::default(),
            settings: settings::AgentSettings::default(),
            expands: true,
        }
    }
}

impl Loader<'_> {
    fn failed(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// A problem of the whole, or of what stands at `at`.
    fn error(&mut self, rule: &'static str, at: Span, message: impl Into<Message>) {
        self.problems.push(Problem::error(rule, at, doc::Path::default(), message));
    }

    /// The home folder that `~` means.
    pub(crate) fn home(&self) -> Option<PathBuf> {
        self.environment.get("HOME").map(|home| PathBuf::from(home.expose()))
    }

    /// Expands the variables of a document.
    pub(crate) fn interpolate(&mut self, document: &mut Node) {
        if !self.expands {
            return;
        }
        let lookup = |name: &str| self.environment.get(name).cloned();
        interpolate::expand_document(document, &Trail::Root, &lookup, &mut self.problems);
    }

    fn inputs(&mut self) -> Option<Inputs> {
        let folder = &self.request.working_directory;
        let given = self
            .request
            .project_directory
            .as_ref()
            .map(|given| PathBuf::from(paths::absolute(&given.display().to_string(), folder, None)));
        // Which files there are may be said in a dotenv file, which is looked for where the files would be.
        let start = given.as_ref().unwrap_or(folder);
        let early = self.request.files.is_empty();
        if early {
            self.env_files(start);
        }
        let files = self.files(folder, start)?;
        let project_dir = given.clone().unwrap_or_else(|| {
            let file = files.iter().find(|file| !is_standard_input(file));
            file.map_or_else(|| folder.clone(), |file| paths::folder_of(file))
        });
        if !early || project_dir != *start {
            self.env_files(&project_dir);
        }
        let documents: Vec<Node> = files
            .iter()
            .map(|file| Text::plain(file.display().to_string()))
            .flat_map(|file| self.documents(&file, Span::default()))
            .collect();
        (!self.failed()).then_some(Inputs { files, project_dir, documents })
    }

    /// The project's name and its merged model.
    fn model(&mut self, inputs: Inputs) -> Option<(String, Node)> {
        let Inputs { files, project_dir, documents } = inputs;
        let defaults = self.default_settings();
        self.agent_env_files(&documents, defaults.as_ref(), &project_dir);
        let name = self.name(&documents, &project_dir)?;
        self.environment.insert("COMPOSE_PROJECT_NAME".into(), Text::plain(&*name));
        let chain: Vec<Text> = files.iter().map(|file| Text::plain(file.display().to_string())).collect();
        let model = self.merged(documents, &project_dir, &chain)?;
        if model.as_map().is_some_and(Map::is_empty) {
            self.error("empty", model.span, "empty compose file");
            return None;
        }
        let services = model.get("services");
        let count = services.and_then(Node::as_map).map_or(0, Map::len);
        if count > MAX_SERVICES {
            let at = services.map_or_else(Span::default, |node| node.span);
            self.error("services", at, message!("{} services, expected at most {}", count, MAX_SERVICES));
            return None;
        }
        Some((name, model))
    }

    fn run(&mut self) -> Option<(Project, Node)> {
        let inputs = self.inputs()?;
        let (files, project_dir) = (inputs.files.clone(), inputs.project_dir.clone());
        let (name, mut model) = self.model(inputs)?;
        normalize::normalize(&mut model, &name, &|name: &str| self.environment.get(name).cloned());
        let mut project = decode::project(&model, &mut self.problems)?;
        project.settings = settings::decode(&model, self.settings.clone(), &mut self.problems);
        project.name = name;
        project.working_dir = project_dir;
        project.compose_files = files;
        project.environment_files.clone_from(&self.request.env_files);
        self.profiles(&mut project);
        check::settle(&mut project);
        check::consistency(&project, &model, &mut self.problems);
        self.service_environments(&mut project, &model);
        self.object_contents(&mut project);
        select::keep_used(&mut project);
        Some((project, model))
    }

    /// Every document on top of the one before, in canonical form.
    pub(crate) fn merged(
        &mut self,
        documents: Vec<Node>,
        project_dir: &Path,
        chain: &[Text],
    ) -> Option<Node> {
        let mut model: Option<Node> = None;
        for mut document in documents {
            let resets = reset::collect(&mut document);
            self.interpolate(&mut document);
            extends::apply(self, &mut document, project_dir, &resets);
            let below = model.get_or_insert_with(|| Node::new(document.span, Value::Map(Map::default())));
            reset::clear(below, &resets);
            include::apply(self, &mut document, project_dir, chain);
            merge::merge(below, document, &mut self.problems);
            unify::unify(below, &mut self.problems);
            if !self.expands {
                continue;
            }
            crate::schema::validate(below, &mut self.problems);
            if let Value::Map(top) = &mut below.value {
                top.shift_remove("version");
            }
            fields::canonicalize(below, &mut self.problems);
            unify::unify(below, &mut self.problems);
        }
        let mut model = model?;
        if !self.expands {
            return (!self.failed()).then_some(model);
        }
        defaults::complete(&mut model);
        validate::validate(&model, &mut self.problems);
        let home = self.home();
        paths::resolve(
            &mut model,
            &paths::Base { folder: project_dir, home: home.as_deref(), read: self.read },
        );
        normalize::inherit_listed(&mut model, &|name: &str| self.environment.get(name).cloned());
        (!self.failed()).then_some(model)
    }
}

/// `-f -`: the reader knows it by this name.
fn is_standard_input(file: &Path) -> bool {
    file == Path::new("-")
}
