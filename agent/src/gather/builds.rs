//! From what is each service's image built, and is it anything that can be built here?
//!
//! Reads contexts, ignore files and Dockerfiles. A build that cannot be done says why, and concerns its service only.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use docker::images::{
    context::{self, entries},
    dockerfile::{bases, with_contexts},
};
use plan::{
    build::{Build, Folder},
    container::from_service::image_of,
    labels,
    reference::Reference,
};
use specs::{
    ReadText, Text,
    model::{self, Project, Service},
    secrets::keyed_digest,
};

use crate::{gather::build_secrets, secrets::decrypt::Decrypting};

/// The file that is sent as the Dockerfile where the context has none that could be used as it is.
const OWN_DOCKERFILE: &str = ".compose-agent.Dockerfile";
/// Where further contexts are put.
const OWN_FOLDER: &str = ".compose-agent.contexts";
/// How deep services may build upon each other.
const DEPTH: usize = 8;

/// The builds of a project, by service.
pub fn of(
    project: &Project,
    reader: &Decrypting<'_>,
    key: &[u8; 32],
) -> BTreeMap<String, Result<Build, String>> {
    let services = project.services.values().filter_map(|service| Some((service, service.build.as_ref()?)));
    let mut builds: BTreeMap<String, Result<Build, String>> = services
        .map(|(service, declared)| {
            let found = Look { project, service, declared, reader, key }.build();
            (service.name.clone(), found.map_err(|error| format!("it cannot be built: {error}")))
        })
        .collect();
    // What builds upon another service's image is built again with it.
    let own: BTreeMap<String, String> = builds
        .values()
        .filter_map(|build| build.as_ref().ok())
        .map(|build| (build.reference.clone(), build.digest.clone()))
        .collect();
    let upon: BTreeMap<String, BTreeSet<String>> = builds
        .values()
        .filter_map(|build| build.as_ref().ok())
        .map(|build| (build.reference.clone(), build.bases.clone()))
        .collect();
    for build in builds.values_mut().filter_map(|build| build.as_mut().ok()) {
        let mut all = build.digest.clone();
        below(&build.reference, &upon, &own, DEPTH, &mut all);
        build.digest = keyed_digest(key, all.as_bytes());
        build.labels.insert(labels::BUILD.to_owned(), Text::plain(build.digest.clone()));
    }
    builds
}

fn below(
    reference: &str,
    upon: &BTreeMap<String, BTreeSet<String>>,
    own: &BTreeMap<String, String>,
    depth: usize,
    all: &mut String,
) {
    let Some(less) = depth.checked_sub(1) else { return };
    for base in upon.get(reference).into_iter().flatten() {
        let wanted = Reference::parse(base);
        if let Some((name, digest)) = own.iter().find(|(name, _)| Reference::parse(name) == wanted) {
            all.push_str(digest);
            below(name, upon, own, less, all);
        }
    }
}

struct Look<'a, 'b> {
    project: &'a Project,
    service: &'a Service,
    declared: &'a model::Build,
    reader: &'a Decrypting<'b>,
    key: &'a [u8; 32],
}

impl Look<'_, '_> {
    fn build(&self) -> Result<Build, String> {
        self.refuse()?;
        let declared = self.declared;
        let mut build = Build {
            reference: image_of(self.project, self.service).expose().to_owned(),
            tags: declared.tags.clone(),
            args: declared
                .args
                .iter()
                .filter_map(|(name, value)| Some((name.expose().to_owned(), value.clone()?)))
                .collect(),
            labels: declared
                .labels
                .iter()
                .map(|(name, value)| (name.expose().to_owned(), value.clone()))
                .collect(),
            target: declared.target.clone(),
            network: declared.network.clone(),
            extra_hosts: extra_hosts(declared),
            shm_size: declared.shm_size.0,
            no_cache: declared.no_cache,
            pull: declared.pull,
            cache_from: declared.cache_from.clone(),
            platform: self.platform(),
            secrets: build_secrets::secrets(self.project, declared, self.reader)?,
            agents: build_secrets::agents(declared, self.reader)?,
            ..Build::default()
        };
        let contexts = self.contexts(&mut build)?;
        self.dockerfile(&mut build, &contexts)?;
        build.digest = self.digest(&build).map_err(|error| error.to_string())?;
        for (key, value) in [(labels::PROJECT, &self.project.name), (labels::SERVICE, &self.service.name)] {
            build.labels.insert(key.to_owned(), Text::plain(value.as_str()));
        }
        Ok(build)
    }

    /// What this agent does not do.
    fn refuse(&self) -> Result<(), String> {
        let declared = self.declared;
        let needs = [
            ("entitlements", !declared.entitlements.is_empty(), "leave them out"),
            ("privileged", declared.privileged, "leave it out"),
        ];
        if let Some((field, _, advice)) = needs.iter().find(|(_, given, _)| *given) {
            return Err(format!(
                "build.{field} is not supported: {advice}, or build the image elsewhere and set pull_policy"
            ));
        }
        let context = declared.context.expose();
        if is_remote(context) {
            return Err(format!("the context {} is not a folder of this host", declared.context.shown()));
        }
        Ok(())
    }

    fn platform(&self) -> Option<Text> {
        let own = (!self.service.platform.is_empty()).then(|| self.service.platform.clone());
        own.or_else(|| match &self.declared.platforms[..] {
            [one] => Some(one.clone()),
            // The Engine's image store has one platform of an image: its own.
            _ => None,
        })
    }

    /// The context and its ignore file; further contexts as stages.
    fn contexts(&self, build: &mut Build) -> Result<BTreeMap<String, String>, String> {
        let mut stages = BTreeMap::new();
        let mut more = Vec::new();
        for (name, context) in &self.declared.additional_contexts {
            let valid = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
            if !name.starts_with(|letter: char| letter.is_ascii_lowercase()) || !name.chars().all(valid) {
                return Err(format!(
                    "additional_contexts.{name}: only names that a stage could have are supported"
                ));
            }
            let text = context.expose();
            let image = text.strip_prefix("docker-image://").map(str::to_owned);
            let stage = if let Some(service) = text.strip_prefix("service:") {
                let service = self
                    .project
                    .services
                    .get(service)
                    .ok_or_else(|| format!("there is no service {service}"))?;
                format!("FROM {} AS {name}", image_of(self.project, service).expose())
            } else if let Some(image) = image {
                format!("FROM {image} AS {name}")
            } else if is_remote(text) {
                return Err(format!(
                    "additional_contexts.{name}: {} is no folder of this host",
                    context.shown()
                ));
            } else {
                let below = format!("{OWN_FOLDER}/{name}");
                let folder = self.folder(Path::new(text), None, below.clone())?;
                more.push(folder);
                format!("FROM scratch AS {name}\nCOPY {below}/ /")
            };
            stages.insert(name.expose().to_owned(), stage);
        }
        build.folders = more;
        Ok(stages)
    }

    fn folder(&self, path: &Path, dockerfile: Option<&Path>, below: String) -> Result<Folder, String> {
        let path = self.look(path);
        let words = |error: io::Error| error.to_string();
        let beside = dockerfile.map(|file| PathBuf::from(format!("{}.dockerignore", file.display())));
        let own = match beside {
            Some(beside) => context::text(&self.look(&beside)).map_err(words)?,
            None => None,
        };
        let ignore = match own {
            Some(own) => Some(own),
            None => context::text(&self.look(&path.join(".dockerignore"))).map_err(words)?,
        };
        Ok(Folder { path, below, ignore: ignore.unwrap_or_default() })
    }

    /// The Dockerfile, and with it what is built upon.
    fn dockerfile(&self, build: &mut Build, contexts: &BTreeMap<String, String>) -> Result<(), String> {
        let declared = self.declared;
        let context = PathBuf::from(declared.context.expose());
        let inline = &declared.dockerfile_inline;
        let file = context.join(declared.dockerfile.expose());
        let file = inline.is_empty().then_some(file);
        let folder = self.folder(&context, file.as_deref(), String::new())?;
        let (text, secret) = match &file {
            None => (inline.expose().to_owned(), inline.is_secret()),
            Some(file) => {
                let text = context::text(&self.look(file)).map_err(|error| error.to_string())?;
                (text.ok_or_else(|| format!("there is no {}", file.display()))?, false)
            }
        };
        let args = build.args.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect();
        let staged = with_contexts(&text, contexts)?;
        build.bases = bases(&staged, &args);
        let within = file.as_ref().and_then(|file| file.strip_prefix(&context).ok());
        let within = within.map(|path| path.to_string_lossy().into_owned()).filter(|name| {
            let ignore = docker::images::ignore::Ignore::parse(&folder.ignore);
            !name.contains("..") && ignore.is_ok_and(|ignore| !ignore.leaves_out(name))
        });
        match within {
            Some(name) if contexts.is_empty() => build.dockerfile = name,
            _ => {
                build.dockerfile = OWN_DOCKERFILE.to_owned();
                build.files = vec![(OWN_DOCKERFILE.to_owned(), Text::with_secrecy(staged, secret))];
            }
        }
        build.folders.insert(0, folder);
        Ok(())
    }

    /// Over everything that makes the image; keyed, since arguments may be secrets.
    fn digest(&self, build: &Build) -> io::Result<String> {
        let mut all = String::new();
        for folder in &build.folders {
            let found = entries(folder)?;
            for entry in &found {
                self.reader.look_into(&entry.path);
            }
            self.reader.look_into(&folder.path);
            all.push_str(&format!("{} {:02x?}\n", folder.below, context::digest(&found)?));
        }
        let text = |text: &Text| text.expose().to_owned();
        for (name, content) in &build.files {
            all.push_str(&format!("{name}\0{}\0", content.expose()));
        }
        for (name, value) in build.args.iter().chain(&build.labels) {
            all.push_str(&format!("{name}={}\0", value.expose()));
        }
        let lists = [&build.extra_hosts, &build.tags];
        let words: Vec<String> = lists.into_iter().flatten().map(text).collect();
        let platform = build.platform.as_ref().map(text).unwrap_or_default();
        all.push_str(&format!(
            "{}\0{}\0{}\0{}\0{platform}\0{words:?}",
            build.dockerfile,
            build.target.expose(),
            build.network.expose(),
            build.shm_size
        ));
        // Which ones there are, not what is in them.
        for id in build.secrets.keys().chain(build.agents.keys()) {
            all.push_str(&format!("\0{id}"));
        }
        Ok(keyed_digest(self.key, all.as_bytes()))
    }

    /// Where a path leads; that it was looked at is remembered.
    fn look(&self, path: &Path) -> PathBuf {
        self.reader.look_into(path);
        self.reader.resolve(path)
    }
}

fn is_remote(context: &str) -> bool {
    context.contains("://") || context.starts_with("git@") || context.starts_with("github.com/")
}

fn extra_hosts(declared: &model::Build) -> Vec<Text> {
    let each = declared.extra_hosts.iter().flat_map(|(host, addresses)| {
        addresses.iter().map(move |address| address.map(|address| format!("{host}:{address}")))
    });
    each.collect()
}
