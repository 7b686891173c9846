//! May a generation be switched to on this host? What of the Engine and the host stands in the way of its stacks, before
//! anything has stopped.
//!
//! An error is what a pass could only wait for or refuse; a warning is what it gets over, or what nobody knows now.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::{Path, PathBuf},
};

use specs::{
    Loaded, Message, Problem, Text,
    doc::{self, Key, Span},
    lint::HostPorts,
    message,
    model::{FileObject, Mount, MountKind, Service},
};

use crate::{
    desired::{Desired, DesiredService},
    ids::ServiceName,
    observed::{Observed, ObservedContainer, RunState},
};

/// One stack of the generation.
#[derive(Debug)]
pub struct Candidate<'a> {
    /// Its spec, which knows where everything was written.
    pub loaded: &'a Loaded,
    /// What it wants; of its inputs only archives and mounts are looked at.
    pub desired: &'a Desired,
}

/// A socket of this host that takes what comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// Where.
    pub address: IpAddr,
    /// At which port.
    pub port: u16,
    /// Whose it is, where that can be told.
    pub process: Option<Process>,
}

/// A process, as a person knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its name.
    pub name: String,
    /// The service that it belongs to: `nginx.service`.
    pub unit: Option<String>,
}

/// Why a registry did not say that it has an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfound {
    /// It has none, does not give it to this host, or cannot be reached.
    Absent(String),
    /// Whether it has one is not known.
    Unknown(String),
}

/// What there is beside the stacks.
pub struct Around<'a> {
    /// The Engine, with every image that the stacks name.
    pub observed: &'a Observed,
    /// The images of [`to_ask`] that no registry has confirmed.
    pub unfound: &'a BTreeMap<String, Unfound>,
    /// The host's sockets; none where the Engine is on another one.
    pub listeners: &'a [Listener],
    /// Whether the generation has a service of this name, too: what it does not have stops in time.
    pub stays: &'a dyn Fn(&str) -> bool,
}

impl std::fmt::Debug for Around<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Around").field("listeners", &self.listeners).finish_non_exhaustive()
    }
}

/// The images that a stack has to pull: registries are to be asked for them.
pub fn to_ask(candidate: &Candidate<'_>, observed: &Observed) -> BTreeSet<String> {
    let services = candidate.services().filter(|(_, service, wanted)| {
        let reference = wanted.spec.image.expose();
        !is_here(candidate, service, reference, observed) && service.pull_policy != *"never"
    });
    services.map(|(_, _, wanted)| wanted.spec.image.expose().to_owned()).collect()
}

/// Whether nothing has to be pulled for a service.
fn is_here(candidate: &Candidate<'_>, service: &Service, reference: &str, observed: &Observed) -> bool {
    observed.images.contains_key(reference)
        || candidate.desired.inputs.archived(reference).is_some()
        || service.build.is_some()
}

/// What of the Engine and of the host's ports stands in the way of these stacks, which are all that there will be; each
/// with the number of its stack.
pub fn against_engine(candidates: &[Candidate<'_>], around: &Around<'_>) -> Vec<(usize, Problem)> {
    let foreign: Vec<&ObservedContainer> =
        around.observed.containers().filter(|container| !is_ours(candidates, container)).collect();
    let mut found = Vec::new();
    for (nth, candidate) in candidates.iter().enumerate() {
        let mut say = |problem: Problem| found.push((nth, problem));
        candidate.unusable_archives().for_each(&mut say);
        for (name, service, wanted) in candidate.services() {
            let path = doc::Path::of("services").key(name);
            candidate.image(&path, service, wanted, around).map(&mut say);
            candidate.foreign_name(&path, wanted, around.observed).map(&mut say);
            for (index, port) in service.ports.iter().enumerate() {
                let Some(ports) = HostPorts::of(port) else { continue };
                let holder = publisher(&foreign, &ports).or_else(|| listener(around, &ports));
                let Some(holder) = holder else { continue };
                let path = path.key("ports").index(index);
                let what = message!("host port {}/{} is taken by {}", port.published, port.protocol, holder);
                let problem = Problem::error("port-taken", candidate.at(&path), &path, what);
                say(problem.hint("stop what has it, or publish another port"));
            }
        }
    }
    found
}

/// Every path of the host that a stack's services use: bind sources, and the files of `secrets` and `configs`.
pub fn paths(candidate: &Candidate<'_>) -> BTreeSet<PathBuf> {
    let binds = candidate.binds().map(|(_, mount)| path_of(&mount.source));
    binds.chain(candidate.files().map(|(_, object)| path_of(&object.file))).collect()
}

/// What of the host's files stands in the way of a stack. `missing` are those of [`paths`] that are not there, and that no
/// pass makes; what is below one of `own` should have come with the generation.
pub fn against_files(
    candidate: &Candidate<'_>,
    missing: &BTreeSet<PathBuf>,
    own: &[PathBuf],
) -> Vec<Problem> {
    let mut found: Vec<Problem> = candidate.absent_mounts().collect();
    for (path, object) in candidate.files().filter(|(_, object)| missing.contains(&path_of(&object.file))) {
        let what = message!("{} does not exist", object.file);
        let problem = Problem::error("missing-file", candidate.at(&path), &path, what);
        found.push(problem.hint("create it, or add it to the stack's files"));
    }
    for (path, mount) in candidate.binds() {
        let source = path_of(&mount.source);
        if !missing.contains(&source) || candidate.waits_for_mount(&source) {
            continue;
        }
        let at = candidate.at(&path);
        let is_made = mount.bind.as_ref().is_none_or(|bind| bind.create_host_path);
        found.push(if own.iter().any(|folder| source.starts_with(folder)) {
            let what = message!("{} is not among the stack's files", mount.source);
            Problem::error("missing-bind", at, &path, what).hint("add it to the stack's files")
        } else if is_made {
            let what = message!("{} does not exist: the Engine makes an empty folder there", mount.source);
            Problem::warning("missing-bind", at, &path, what)
        } else {
            let what = message!("{} does not exist, and the Engine is told not to make it", mount.source);
            Problem::error("missing-bind", at, &path, what)
                .hint("create it, name it in x-agent.ensure_dirs, or name the mount that it is on in x-agent.requires_mounts")
        });
    }
    found
}

impl<'a> Candidate<'a> {
    /// The services that have containers: as loaded, and as wanted.
    fn services(&self) -> impl Iterator<Item = (&'a Key, &'a Service, &'a DesiredService)> {
        let desired = self.desired;
        self.loaded.project.services.iter().filter_map(|(name, service)| {
            let wanted = desired.services.get(&ServiceName::from(name.expose()))?;
            (wanted.replicas > 0).then_some((name, service, wanted))
        })
    }

    fn binds(&self) -> impl Iterator<Item = (doc::Path, &'a Mount)> {
        self.services().flat_map(|(name, service, _)| {
            let path = doc::Path::of("services").key(name).key("volumes");
            let mounts = service.volumes.iter().enumerate();
            let binds = mounts.filter(|(_, mount)| mount.kind == MountKind::Bind);
            binds.map(move |(index, mount)| (path.index(index), mount)).collect::<Vec<_>>()
        })
    }

    /// The `secrets` and `configs` that services use and that are files.
    fn files(&self) -> impl Iterator<Item = (doc::Path, &'a FileObject)> {
        let project = &self.loaded.project;
        let used = |list: &'static str, name: &Key| {
            self.services().any(|(_, service, _)| {
                let references = if list == "secrets" { &service.secrets } else { &service.configs };
                references.iter().any(|reference| reference.source.expose() == name.expose())
            })
        };
        let lists = [("secrets", &project.secrets), ("configs", &project.configs)];
        let files = lists.into_iter().flat_map(|(list, objects)| objects.iter().map(move |one| (list, one)));
        let files = files
            .filter(|(list, (name, object))| !object.external && !object.file.is_empty() && used(list, name));
        files
            .map(|(list, (name, object))| (doc::Path::of(list).key(name).key("file"), object))
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// Where a field was written.
    fn at(&self, path: &doc::Path) -> Span {
        self.loaded.document.at(path).map_or_else(Span::default, |node| node.span)
    }

    fn image(
        &self,
        service_path: &doc::Path,
        service: &Service,
        wanted: &DesiredService,
        around: &Around<'_>,
    ) -> Option<Problem> {
        let reference = &wanted.spec.image;
        if is_here(self, service, reference.expose(), around.observed) {
            return None;
        }
        let path = service_path.key("image");
        if service.pull_policy == *"never" {
            let what = message!("image {} is not on the Engine, and pull_policy is never", reference);
            let problem = Problem::error("image-absent", self.at(&path), &path, what);
            return Some(
                problem.hint("load it, name an archive of it in x-agent.images, or let it be pulled"),
            );
        }
        let (is_known, why) = match around.unfound.get(reference.expose())? {
            Unfound::Absent(why) => (true, why),
            Unfound::Unknown(why) => (false, why),
        };
        let why = Text::plain(why.as_str());
        Some(if is_known {
            let what = message!("image {} is not on the Engine, and cannot be pulled: {}", reference, why);
            Problem::error("image-absent", self.at(&path), &path, what)
        } else {
            let what = message!(
                "image {} is not on the Engine; whether it can be pulled is not known: {}",
                reference,
                why
            );
            Problem::warning("image-unknown", self.at(&path), &path, what)
        })
    }

    fn foreign_name(
        &self,
        service_path: &doc::Path,
        wanted: &DesiredService,
        observed: &Observed,
    ) -> Option<Problem> {
        let foreign = self.desired.foreign_name(observed, wanted)?;
        let own = service_path.key("container_name");
        let path = if wanted.container_name.is_some() { &own } else { service_path };
        let what = message!("{} has the container's name, and is not this stack's", told(foreign));
        let hint = "rename or remove it, or set another container_name";
        Some(Problem::error("foreign-name", self.at(path), path, what).hint(hint))
    }

    fn unusable_archives(&self) -> impl Iterator<Item = Problem> {
        let path = doc::Path::of("x-agent.images");
        let at = self.at(&path);
        self.desired.inputs.archives.iter().filter_map(move |(declared, archive)| {
            let why = Text::plain(archive.images.as_ref().err()?.as_str());
            let what = message!("image archive {}: {}", shown(declared), why);
            Some(Problem::error("image-archive", at, &path, what).hint("replace it, or take it out"))
        })
    }

    fn absent_mounts(&self) -> impl Iterator<Item = Problem> {
        let path = doc::Path::of("x-agent.requires_mounts");
        let at = self.at(&path);
        self.desired.inputs.mounts.iter().filter_map(move |mount| {
            let why = Text::plain(mount.present.as_ref().err()?.as_str());
            let what =
                message!("{}: {}; what binds something below it waits for it", shown(&mount.path), why);
            Some(Problem::warning("mount-absent", at, &path, what))
        })
    }

    /// Whether a path lies below a mount that is not there now.
    fn waits_for_mount(&self, path: &Path) -> bool {
        let mut mounts = self.desired.inputs.mounts.iter();
        mounts.any(|mount| mount.present.is_err() && path.starts_with(&mount.path))
    }
}

/// Whether a container is one of the stacks', or of a stack of this host that is taken down.
fn is_ours(candidates: &[Candidate<'_>], container: &ObservedContainer) -> bool {
    candidates.iter().any(|candidate| {
        candidate.desired.owns(container) || container.labels.stack_of(&candidate.desired.host).is_some()
    })
}

/// The foreign container that has one of these ports.
fn publisher(foreign: &[&ObservedContainer], ports: &HostPorts) -> Option<Message> {
    let holder = foreign.iter().find(|container| is_up(container) && publishes(container, ports))?;
    Some(told(holder))
}

fn publishes(container: &ObservedContainer, ports: &HostPorts) -> bool {
    container.spec.port_bindings.iter().any(|(target, bindings)| {
        let protocol = target.split_once('/').map_or("tcp", |(_, protocol)| protocol);
        let mut bindings = bindings.iter();
        bindings.any(|binding| {
            HostPorts::read(&binding.host_ip, &binding.host_port, protocol)
                .is_some_and(|have| have.clash(ports))
        })
    })
}

fn is_up(container: &ObservedContainer) -> bool {
    matches!(container.state.status, RunState::Running | RunState::Paused | RunState::Restarting)
}

/// The process that has one of these ports and is neither a container's nor about to stop. What containers publish the
/// Engine has said itself; its proxy only stands in for them.
fn listener(around: &Around<'_>, ports: &HostPorts) -> Option<Message> {
    let has = |listener: &&Listener| {
        // An address of version 6 that is every one takes those of version 4, too.
        let every = listener.address.is_unspecified();
        let address = if every { String::new() } else { listener.address.to_string() };
        HostPorts::read(&address, &listener.port.to_string(), listener.protocol)
            .is_some_and(|have| have.clash(ports))
    };
    let stays = |listener: &&Listener| {
        let unit = listener.process.as_ref().and_then(|process| process.unit.as_deref());
        unit.is_none_or(|unit| (around.stays)(unit))
    };
    let is_proxy = |listener: &&Listener| {
        let proxied = HostPorts::read("", &listener.port.to_string(), listener.protocol);
        let name = listener.process.as_ref().map(|process| process.name.as_str());
        let mut containers = around.observed.containers().filter(|container| is_up(container));
        matches!(name, Some("docker-proxy" | "rootlessport"))
            || proxied.is_some_and(|ports| containers.any(|container| publishes(container, &ports)))
    };
    let found = around.listeners.iter().find(|one| has(one) && stays(one) && !is_proxy(one))?;
    Some(match &found.process {
        Some(Process { name, unit: Some(unit) }) => {
            message!("process {} of {}", Text::plain(name.as_str()), Text::plain(unit.as_str()))
        }
        Some(Process { name, unit: None }) => message!("process {}", Text::plain(name.as_str())),
        None => "a process of this host".into(),
    })
}

/// A container, for people.
fn told(container: &ObservedContainer) -> Message {
    let name = Text::plain(container.name.as_str());
    match &container.labels.owner.project {
        Some(project) => message!("container {} of project {}", name, Text::plain(project.as_str())),
        None => message!("container {}", name),
    }
}

fn shown(path: &Path) -> Text {
    Text::plain(path.to_string_lossy())
}

fn path_of(text: &Text) -> PathBuf {
    PathBuf::from(text.expose())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(listeners: &[Listener], stays: bool, wanted: (&str, &str, &str)) -> Option<String> {
        let (observed, unfound) = (Observed::default(), BTreeMap::new());
        let around = Around { observed: &observed, unfound: &unfound, listeners, stays: &|_: &str| stays };
        let (address, port, protocol) = wanted;
        let ports = HostPorts::read(address, port, protocol).expect("a port");
        listener(&around, &ports).map(|words| words.to_string())
    }

    #[test]
    fn a_process_that_stays_has_its_port_and_one_that_the_generation_stops_has_not() {
        let process = |name: &str, unit: Option<&str>| {
            Some(Process { name: name.into(), unit: unit.map(str::to_owned) })
        };
        let at = |address: &str, process| Listener {
            protocol: "tcp",
            address: address.parse().expect("an address"),
            port: 80,
            process,
        };
        let nginx = at("0.0.0.0", process("nginx", Some("nginx.service")));
        let any = ("", "80", "tcp");
        let words = Some("process nginx of nginx.service".to_owned());
        assert_eq!(holder(std::slice::from_ref(&nginx), true, any), words);
        assert_eq!(holder(std::slice::from_ref(&nginx), true, ("127.0.0.1", "80", "tcp")), words);
        assert_eq!(holder(std::slice::from_ref(&nginx), false, any), None, "it stops in time");
        assert_eq!(holder(std::slice::from_ref(&nginx), true, ("", "80", "udp")), None);
        assert_eq!(holder(&[nginx], true, ("", "81", "tcp")), None);
        let by_hand = at("127.0.0.2", process("python3", None));
        assert_eq!(holder(std::slice::from_ref(&by_hand), false, any), Some("process python3".into()));
        assert_eq!(holder(&[by_hand], false, ("127.0.0.1", "80", "tcp")), None);
        let unknown = at("::", None);
        assert_eq!(holder(&[unknown], true, any), Some("a process of this host".into()));
        assert_eq!(holder(&[at("::", process("docker-proxy", None))], true, any), None, "the Engine's own");
    }
}
