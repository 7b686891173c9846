//! What should run for one stack: its project, and everything outside it that changes containers?

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use specs::{
    Text,
    model::{FileReference, Project, Service},
    secrets::DigestKey,
};

use crate::{
    build::Build,
    container::ContainerSpec,
    desire::container_name,
    devices::DeviceNeed,
    ids::{Generation, ImageId, ProjectName, ServiceName, StackName},
    observed::{Observed, ObservedContainer},
    reference::Reference,
    resource::{NetworkSpec, VolumeSpec},
    sources::SourceFact,
};

/// One stack as declared by one generation, ready to be compared.
#[derive(Debug, Clone)]
pub struct Desired {
    /// The stack.
    pub stack: StackName,
    /// Its Compose project name.
    pub project_name: ProjectName,
    /// This host's name in owner labels.
    pub host: String,
    /// Which generation declares it.
    pub generation: Generation,
    /// The loaded project; its settings are the stack's policy.
    pub project: Arc<Project>,
    /// Every enabled service.
    pub services: BTreeMap<ServiceName, DesiredService>,
    /// Every network that an enabled service uses, by its key.
    pub networks: BTreeMap<String, DesiredNetwork>,
    /// Every volume that an enabled service uses, by its key.
    pub volumes: BTreeMap<String, DesiredVolume>,
    /// What the stack needs from the host before anything of it is stopped or started.
    pub inputs: Inputs,
    /// Where fields were written, `services.web.ports` → `compose.yaml:12:5`.
    pub places: BTreeMap<String, String>,
}

impl Desired {
    /// Whether a container is this stack's: its project's, and not made by the agent of another host or stack.
    pub fn owns(&self, container: &ObservedContainer) -> bool {
        let owner = &container.labels.owner;
        owner.project.as_ref() == Some(&self.project_name)
            && (owner.agent.is_none() || container.labels.stack_of(&self.host).as_ref() == Some(&self.stack))
    }

    /// A container that has one of the names that a service wants, and is not this service's.
    pub fn foreign_name<'o>(
        &self,
        observed: &'o Observed,
        service: &DesiredService,
    ) -> Option<&'o ObservedContainer> {
        let names: Vec<String> = (1..=service.replicas.max(1))
            .map(|number| container_name(&self.project_name, service, number))
            .collect();
        observed.containers().find(|container| {
            let ours = self.owns(container)
                && container.labels.replica.as_ref().is_some_and(|replica| replica.service == service.name);
            !ours && names.contains(&container.name)
        })
    }
}

/// One service as declared.
#[derive(Debug, Clone)]
pub struct DesiredService {
    /// Its key.
    pub name: ServiceName,
    /// How many containers.
    pub replicas: u32,
    /// `container_name`, verbatim.
    pub container_name: Option<String>,
    /// What each container is; references to other services are symbolic.
    pub spec: ContainerSpec,
    /// The loaded service: its hash and its labels are computed from it when a container is made.
    pub service: Arc<Service>,
    /// Its dependencies, links and shared namespaces included.
    pub depends_on: BTreeMap<ServiceName, Dependency>,
    /// Services whose network, PID or IPC namespace or volumes it shares.
    pub joins: BTreeSet<ServiceName>,
    /// Whether it is meant to end: nothing restarts it, or another service waits for its completion.
    pub one_shot: bool,
    /// Paths of the host that must exist before it starts (bind sources that the Engine would not create).
    pub needs_paths: BTreeSet<PathBuf>,
}

/// One edge of the dependency graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dependency {
    /// What is waited for.
    pub condition: Condition,
    /// Restart or recreate the dependant when the dependency is recreated.
    pub restart: bool,
    /// Whether the dependant waits at all where the dependency is not there.
    pub required: bool,
}

/// `depends_on.*.condition`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// `service_started`.
    Started,
    /// `service_healthy`.
    Healthy,
    /// `service_completed_successfully`.
    Completed,
}

impl Condition {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Healthy => "healthy",
            Self::Completed => "completed",
        }
    }
}

/// One network as declared.
#[derive(Debug, Clone)]
pub struct DesiredNetwork {
    /// What it is.
    pub spec: NetworkSpec,
    /// Somebody else's: must exist, is never made or removed.
    pub external: bool,
    /// Compose's hash of it.
    pub hash: String,
}

/// One volume as declared.
#[derive(Debug, Clone)]
pub struct DesiredVolume {
    /// What it is.
    pub spec: VolumeSpec,
    /// Somebody else's: must exist, is never made.
    pub external: bool,
    /// Compose's hash of it.
    pub hash: String,
}

/// What the agent has found out about the files and secrets that a stack names. All digests of secrets are keyed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inputs {
    /// Digest of the content of each side file that a container mounts, by the path as declared.
    pub side_files: BTreeMap<PathBuf, FileFact>,
    /// Plaintext files placed for `secrets:` and `configs:` that are encrypted: declared path → placed path and digest.
    pub placed_files: BTreeMap<PathBuf, PlacedFile>,
    /// The same for entries of a service that say an owner or a mode: each of them is a file of its own.
    pub owned_files: BTreeMap<(PathBuf, FileOwner), PlacedFile>,
    /// Mounts that the stack requires, and whether they are there.
    pub mounts: Vec<RequiredMount>,
    /// Bind sources that the profile declares: the path as declared → the path with links resolved. The latter is what is
    /// mounted: a store path stays the same while its content does.
    pub resolved: BTreeMap<PathBuf, PathBuf>,
    /// What stands at the sources of binds whose content nothing else accounts for; one that does not answer is left out.
    pub sources: BTreeMap<PathBuf, SourceFact>,
    /// Seccomp profiles as one line of JSON, by the path as written in `security_opt`.
    pub seccomp_profiles: BTreeMap<String, Text>,
    /// Devices that services need and that are not there, and what was found instead.
    pub absent_devices: BTreeMap<DeviceNeed, String>,
    /// Bind sources that are not there.
    pub missing_paths: BTreeSet<PathBuf>,
    /// The logins of `x-agent.registries`, by registry, or why there is none.
    pub logins: BTreeMap<String, Result<Login, String>>,
    /// The builds, by service, or why there cannot be one.
    pub builds: BTreeMap<String, Result<Build, String>>,
    /// The image archives of `x-agent.images`, by the path as declared.
    pub archives: BTreeMap<PathBuf, Archive>,
    /// The digests that registries have for tags, or why nobody knows, by reference; only where the stack wants to know.
    pub registry: BTreeMap<String, Result<String, String>>,
    /// What all stacks of the host say about images.
    pub declared_images: DeclaredImages,
    /// Digests of contents that no file has (`content:`, `environment:`) and that are copied into the container, by
    /// [`content_path`].
    pub contents: BTreeMap<PathBuf, String>,
    /// The host's digest key, where it is known: hashes of services with secrets are keyed with it.
    pub key: Option<DigestKey>,
}

/// The images that the stacks of the host declare: what none of them means, and nobody runs, may go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum DeclaredImages {
    /// Not every stack has been read yet.
    #[default]
    Unread,
    /// This stack does not load: nobody knows what it declares.
    Unknown(StackName),
    /// The references.
    Known(BTreeSet<String>),
}

/// Under which path the content of an entry of `secrets:` or `configs:` is known that no file has. No file of the
/// profile has such a name unless it wants to.
pub fn content_path(project: &Project, list: &str, name: &str) -> PathBuf {
    project.working_dir.join(format!("{CONTENTS}{list}/{name}"))
}

const CONTENTS: &str = "compose.yaml#";

/// How the Engine introduces itself to a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The user.
    pub username: Text,
    /// The password or access token; empty where there is an identity token.
    pub password: Text,
    /// The identity token, instead of both.
    pub identity_token: Option<Text>,
    /// Where it comes from, for messages.
    pub source: String,
}

/// One image archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// Where it is, links resolved.
    pub path: PathBuf,
    /// What is in it, or why it cannot be used.
    pub images: Result<Vec<ArchivedImage>, String>,
}

/// One image of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ArchivedImage {
    /// What an Engine may call it: the digest of its configuration, or of its manifest.
    pub ids: Vec<ImageId>,
    /// Its names, as written in the archive.
    pub tags: Vec<String>,
}

/// One file outside the compose file that a container uses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileFact {
    /// Digest of the content.
    pub digest: String,
    /// The path with links resolved: a store path to keep alive.
    pub resolved: PathBuf,
    /// Device and inode, to tell a replaced file.
    pub identity: Option<(u64, u64)>,
}

impl Inputs {
    /// What was placed for an entry of a service's `secrets` or `configs`, or for a bind source, which has no owner.
    pub fn placed(&self, declared: &Path, owner: FileOwner) -> Option<&PlacedFile> {
        if owner == FileOwner::default() {
            return self.placed_files.get(declared);
        }
        self.owned_files.get(&(declared.to_owned(), owner))
    }

    /// The stack's own login for the registry of a reference, or why there is none.
    pub fn login(&self, reference: &str) -> Result<Login, String> {
        let registry = Reference::parse(reference).registry;
        let none = || Err(format!("x-agent.registries has no login for {registry}"));
        self.logins.get(&registry).cloned().unwrap_or_else(none)
    }

    /// The archive that brings a reference, by its path as declared, and the image in it. The last one counts where several
    /// do.
    pub fn archived(&self, reference: &str) -> Option<(&PathBuf, &Archive, &ArchivedImage)> {
        let wanted = Reference::parse(reference);
        let means = |tag: &String| Reference::parse(tag) == wanted;
        self.archives.iter().rev().find_map(|(declared, archive)| {
            let images = archive.images.as_ref().ok()?;
            let image = images.iter().find(|image| image.tags.iter().any(means))?;
            Some((declared, archive, image))
        })
    }

    /// The images that builds are based on.
    pub fn bases(&self) -> impl Iterator<Item = &String> {
        self.builds.values().filter_map(|build| build.as_ref().ok()).flat_map(|build| &build.bases)
    }

    /// Whether a placed file is the content of an entry of `secrets:` or `configs:` that no file has.
    pub fn is_content(&self, placed: &Path) -> bool {
        let all = self.placed_files.iter();
        let all = all.chain(self.owned_files.iter().map(|((declared, _), file)| (declared, file)));
        all.filter(|(_, file)| file.path == placed).any(|(declared, _)| {
            declared
                .parent()
                .and_then(Path::file_name)
                .is_some_and(|list| list.to_string_lossy().starts_with(CONTENTS))
        })
    }

    /// All plaintext files of the stack.
    pub fn all_placed(&self) -> impl Iterator<Item = &PlacedFile> {
        self.placed_files.values().chain(self.owned_files.values())
    }
}

/// Whose a placed file is to be: `uid`, `gid` and `mode` of an entry of a service's `secrets` or `configs` (Compose
/// Specification, "secrets", long syntax). Docker Compose itself ignores them for files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct FileOwner {
    /// The user's number.
    pub uid: Option<u32>,
    /// The group's number.
    pub gid: Option<u32>,
    /// Permission bits.
    pub mode: Option<u32>,
}

impl FileOwner {
    /// What an entry says. A user or a group that is no number is nobody known here: the host has no way to ask the image.
    pub fn of(reference: &FileReference) -> Self {
        let mode = reference.mode.and_then(|mode| u32::try_from(mode.0).ok());
        Self { uid: reference.uid.expose().parse().ok(), gid: reference.gid.expose().parse().ok(), mode }
    }
}

/// One decrypted file on the agent's memory file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedFile {
    /// Where the plaintext is.
    pub path: PathBuf,
    /// Its keyed digest.
    pub digest: String,
}

/// One required mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredMount {
    /// The path that must lie on a mounted file system.
    pub path: PathBuf,
    /// Whether it does; the words say what was found instead.
    pub present: Result<(), String>,
    /// Optional mounts are reported, and not waited for.
    pub optional: bool,
}
