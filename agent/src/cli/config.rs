//! `agentctl config`: what does a compose file mean, printed as Docker Compose prints it? No daemon, no Engine.

use std::{
    collections::BTreeMap,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use specs::{
    Content, FileKind, LoadRequest, Loaded, MAX_FILE, ReadText, Severity, Text,
    canonical::{self, Secrets},
    disk::Disk,
    doc::Key,
    hash, load,
    model::Service,
    variables::{Variable, table},
};

use super::{print, problems};
use crate::{
    exit::{Exit, Failure},
    secrets::decrypt::Decrypting,
    secrets::identities::{self, Found},
};

/// Loads a compose project and prints it in canonical form.
#[derive(Debug, Args)]
pub(super) struct Config {
    /// A compose file, `-` for standard input; may be given several times [default: compose.yaml here or above, and its override].
    #[arg(short, long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,

    /// The project's name.
    #[arg(short, long, value_name = "NAME")]
    project_name: Option<String>,

    /// What relative paths start from [default: the folder of the first file].
    #[arg(long, value_name = "DIR")]
    project_directory: Option<PathBuf>,

    /// A dotenv file for `${…}`; may be given several times [default: .env of the project folder].
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,

    /// A profile to activate; may be given several times.
    #[arg(long, value_name = "NAME")]
    profile: Vec<String>,

    /// A file with age identities, or an ssh host key; may be given several times [default: as the daemon's].
    #[arg(long, value_name = "FILE")]
    age_key: Vec<PathBuf>,

    /// How it is printed [default: yaml].
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,

    /// Print what is secret, too.
    #[arg(long)]
    show_secrets: bool,

    #[command(flatten)]
    only: Only,

    /// Only these services.
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Yaml,
    Json,
}

/// Something else than the whole project.
#[derive(Debug, Args)]
#[group(multiple = false)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
struct Only {
    /// Only the names of the services.
    #[arg(long = "services")]
    names: bool,

    /// Only the images.
    #[arg(long)]
    images: bool,

    /// Only the names of the networks.
    #[arg(long)]
    networks: bool,

    /// Only the names of the volumes.
    #[arg(long)]
    volumes: bool,

    /// Only the names of the profiles.
    #[arg(long)]
    profiles: bool,

    /// Only the variables that the files ask for, with their defaults.
    #[arg(long)]
    variables: bool,

    /// Only the environment that is interpolated from.
    #[arg(long)]
    environment: bool,

    /// Only the services' hashes, as in the label `com.docker.compose.config-hash`: of these services, or of all (`*`).
    #[arg(long, value_name = "SERVICE,…", value_delimiter = ',')]
    hash: Vec<String>,

    /// Print nothing: only say whether it loads.
    #[arg(short, long)]
    quiet: bool,
}

impl Config {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let Found { identities, troubles, .. } = identities::load(&identities::places(&self.age_key));
        let failed = |found: specs::Problems| {
            problems::talk(&found.list, &found.sources);
            // What could not be decrypted may be so because of these.
            troubles.iter().for_each(|trouble| anstream::eprintln!("{trouble}"));
            Ok(Exit::NoAnswer)
        };
        let disk = Disk;
        let reader = Decrypting::new(&disk, &identities);
        let reader = WithInput { reader: &reader };
        let request = self.request()?;
        if self.only.variables {
            match specs::variables(&request, &reader) {
                Ok(found) if self.format == Some(Format::Json) => super::print_json(&described(&found))?,
                Ok(found) => print(&table(&found)),
                Err(found) => return failed(found),
            }
            return Ok(Exit::Converged);
        }
        let loaded = match load(&request, &reader) {
            Ok(loaded) => loaded,
            Err(found) => return failed(found),
        };
        problems::talk(&loaded.warnings, &loaded.sources);
        print(&self.text(loaded)?);
        Ok(Exit::Converged)
    }

    fn request(&self) -> Result<LoadRequest, Failure> {
        let mut environment: BTreeMap<String, Text> = std::env::vars_os()
            .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?.into())))
            .collect();
        let folder = std::env::current_dir()?;
        // As Docker Compose has it, whether a shell has set it or not.
        environment.entry("PWD".into()).or_insert_with(|| folder.display().to_string().into());
        let env_files = self.env_files(&environment)?;
        Ok(LoadRequest {
            working_directory: folder,
            files: self.files.clone(),
            project_directory: self.project_directory.clone(),
            name: self.project_name.clone(),
            environment,
            env_files,
            profiles: self.profile.clone(),
            services: self.services.clone(),
            defaults: None,
        })
    }

    /// `--env-file`, or what Docker Compose's variables say about env files.
    fn env_files(&self, environment: &BTreeMap<String, Text>) -> Result<Vec<PathBuf>, Failure> {
        let variable = |name: &str| environment.get(name).map(Text::expose).filter(|value| !value.is_empty());
        if !self.env_file.is_empty() {
            return Ok(self.env_file.clone());
        }
        if let Some(listed) = variable("COMPOSE_ENV_FILES") {
            return Ok(listed.split(',').map(PathBuf::from).collect());
        }
        match variable("COMPOSE_DISABLE_ENV_FILE") {
            None | Some("0" | "f" | "F" | "false" | "False" | "FALSE") => Ok(Vec::new()),
            // A file that is named keeps `.env` from being looked for.
            Some("1" | "t" | "T" | "true" | "True" | "TRUE") => Ok(vec!["/dev/null".into()]),
            Some(_) => Err(Failure::usage("COMPOSE_DISABLE_ENV_FILE is neither true nor false")),
        }
    }

    fn text(&self, loaded: Loaded) -> Result<String, Failure> {
        let Loaded { mut project, environment, .. } = loaded;
        let secrets = if self.show_secrets { Secrets::Reveal } else { Secrets::Mask };
        let shown = |text: &Text| {
            if self.show_secrets { text.expose().to_owned() } else { text.shown().into_owned() }
        };
        if !self.services.is_empty() {
            choose(&mut project.services, &self.services)?;
        }
        let only = &self.only;
        let services = &project.services;
        Ok(match () {
            () if only.quiet => String::new(),
            () if only.names => lines(services.keys().map(ToString::to_string)),
            () if !only.hash.is_empty() => hashes(services, &only.hash)?,
            () if only.images => lines(
                services.iter().map(|(name, service)| image_of(&project.name, name, &shown(&service.image))),
            ),
            () if only.networks => lines(project.networks.keys().map(ToString::to_string)),
            () if only.volumes => lines(project.volumes.keys().map(ToString::to_string)),
            () if only.profiles => {
                let all = services.values().chain(project.disabled_services.values());
                let mut names: Vec<String> =
                    all.flat_map(|service| service.profiles.iter().map(shown)).collect();
                names.sort();
                names.dedup();
                lines(names)
            }
            () if only.environment => {
                lines(environment.iter().map(|(name, value)| format!("{name}={}", shown(value))))
            }
            () if self.format == Some(Format::Json) => canonical::json(&project, secrets),
            () => canonical::yaml(&project, secrets),
        })
    }
}

/// A reader that knows `-` as standard input.
struct WithInput<'r> {
    reader: &'r dyn ReadText,
}

impl ReadText for WithInput<'_> {
    fn read(&self, path: &Path) -> io::Result<Content> {
        if path != Path::new("-") {
            return self.reader.read(path);
        }
        let mut bytes = zeroize::Zeroizing::new(Vec::new());
        io::stdin().take(MAX_FILE + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(Content { bytes, secret: false })
    }

    fn kind(&self, path: &Path) -> FileKind {
        self.reader.kind(path)
    }

    fn resolve(&self, path: &Path) -> PathBuf {
        self.reader.resolve(path)
    }
}

/// The variables for a program, with Docker Compose's names.
fn described(variables: &BTreeMap<String, Variable>) -> serde_json::Value {
    let one = |(name, variable): (&String, &Variable)| {
        let fields = serde_json::json!({
            "Name": name, "DefaultValue": variable.default.shown(),
            "PresenceValue": variable.alternate.shown(), "Required": variable.required,
        });
        (name.clone(), fields)
    };
    variables.iter().map(one).collect::<serde_json::Map<_, _>>().into()
}

/// Keeps the named services and what they depend on.
fn choose(services: &mut BTreeMap<Key, Service>, names: &[String]) -> Result<(), Failure> {
    let mut kept: Vec<Key> = Vec::new();
    let mut open: Vec<Key> = names.iter().map(Key::from).collect();
    while let Some(name) = open.pop() {
        let Some(service) = services.get(&name) else {
            return Err(Failure::usage(format!("there is no service `{name}`")));
        };
        open.extend(service.depends_on.keys().filter(|needed| !kept.contains(needed)).cloned());
        kept.push(name);
    }
    services.retain(|name, _| kept.contains(name));
    Ok(())
}

/// A line per service. A joined service counts by its name: which container that is, only the Engine knows.
fn hashes(services: &BTreeMap<Key, Service>, wanted: &[String]) -> Result<String, Failure> {
    let all = wanted.iter().any(|name| name == "*");
    if let Some(name) = wanted.iter().find(|name| !all && !services.contains_key(name.as_str())) {
        return Err(Failure::usage(format!("there is no service `{name}`")));
    }
    let chosen =
        services.iter().filter(|(name, _)| all || wanted.iter().any(|wanted| name.expose() == wanted));
    Ok(lines(chosen.map(|(name, service)| format!("{name} {}", hash::service(service, &BTreeMap::new())))))
}

/// An image that is built and has no name of its own is called after project and service.
fn image_of(project: &str, service: &str, image: &str) -> String {
    if image.is_empty() { format!("{project}-{service}") } else { image.to_owned() }
}

fn lines(items: impl IntoIterator<Item = String>) -> String {
    items.into_iter().map(|item| format!("{item}\n")).collect()
}

/// Whether any of the problems stops the load.
pub(super) fn has_error(list: &[specs::Problem]) -> bool {
    list.iter().any(|problem| problem.severity == Severity::Error)
}
