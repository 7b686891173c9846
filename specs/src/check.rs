//! Does the project hang together: does everything that is named exist, and does nothing contradict itself?
//!
//! The consistency rules of Docker Compose, for enabled services.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::{
    Message, Problem, Text,
    doc::{Key, Node, Path, Span},
    join, message,
    model::{MountKind, Project, Service},
};

/// Gives `deploy.replicas` what `scale` says, as Docker Compose does.
pub(crate) fn settle(project: &mut Project) {
    for service in project.services.values_mut() {
        if let (Some(scale), Some(deploy)) = (service.scale, &mut service.deploy)
            && deploy.replicas.is_none()
        {
            deploy.replicas = Some(scale);
        }
    }
}

/// Reports every contradiction, each at the field that causes it.
pub fn consistency(project: &Project, document: &Node, problems: &mut Vec<Problem>) {
    for (name, service) in &project.services {
        let mut check = Check { project, name, document, problems };
        check.image(service);
        check.references(service);
        check.dependencies(service);
        check.limits(service);
        check.targets(service);
        check.build(service);
        check.watch(service);
    }
    for (name, secret) in &project.secrets {
        if !secret.external && secret.file.is_empty() && secret.environment.is_empty() {
            let path = Path::of("secrets").key(name);
            let at = document.get("secrets").and_then(|secrets| secrets.get(name));
            let message = message!("secret \"{}\" must declare either `file` or `environment`", name);
            problems.push(Problem::error(
                "consistency",
                at.map_or_else(Span::default, |node| node.span),
                &path,
                message,
            ));
        }
    }
    container_names(project, document, problems);
    cycles(project, document, problems);
}

fn container_names(project: &Project, document: &Node, problems: &mut Vec<Problem>) {
    let mut taken: BTreeMap<&str, &Key> = BTreeMap::new();
    let place = |service: &Key| {
        let node = document.get("services").and_then(|services| services.get(service)?.get("container_name"));
        node.map_or_else(Span::default, |node| node.span)
    };
    for (name, service) in project.services.iter().filter(|(_, service)| !service.container_name.is_empty()) {
        if let Some(first) = taken.insert(service.container_name.expose(), name) {
            let path = Path::of("services").key(name).key("container_name");
            let message =
                message!("container name '{}' is that of service {}, too", service.container_name, first);
            let problem = Problem::error("consistency", place(name), &path, message);
            problems.push(problem.related(place(first), "the other one"));
        }
    }
}

struct Check<'a> {
    project: &'a Project,
    name: &'a Key,
    document: &'a Node,
    problems: &'a mut Vec<Problem>,
}

impl Check<'_> {
    fn error(&mut self, field: &str, message: impl Into<Message>) {
        let path = Path::of("services").key(self.name);
        let node = self.document.get("services").and_then(|services| services.get(self.name));
        let written = |node: &&Node| node.span.is_written();
        // What follows from another field has no place of its own.
        let implied = ["links", "volumes_from", "network_mode", "ipc", "pid", "uts", "cgroup"];
        let fields = std::iter::once(field).chain(implied.into_iter().filter(|_| field == "depends_on"));
        let at = node
            .and_then(|node| fields.filter_map(|field| node.get(field)).find(written))
            .or(node)
            .map_or_else(Span::default, |node| node.span);
        let path = if field.is_empty() { path } else { path.key(field) };
        self.problems.push(Problem::error("consistency", at, &path, message));
    }

    fn image(&mut self, service: &Service) {
        if service.image.is_empty() && service.build.is_none() && service.provider.is_none() {
            self.error(
                "",
                message!("service \"{}\" has neither an image nor a build context specified", self.name),
            );
        }
        if let Some(build) = &service.build
            && !build.dockerfile.is_empty()
            && !build.dockerfile_inline.is_empty()
        {
            self.error("build", "dockerfile and dockerfile_inline exclude each other");
        }
    }

    fn references(&mut self, service: &Service) {
        if !service.network_mode.is_empty() && !service.networks.is_empty() {
            self.error(
                "networks",
                message!("service {} declares mutually exclusive `network_mode` and `networks`", self.name),
            );
        }
        for network in service.networks.keys().filter(|name| !self.project.networks.contains_key(*name)) {
            self.error(
                "networks",
                message!("service \"{}\" refers to undefined network {}", self.name, network),
            );
        }
        let volumes = service
            .volumes
            .iter()
            .filter(|mount| mount.kind == MountKind::Volume && !mount.source.is_empty());
        for source in volumes
            .map(|mount| &mount.source)
            .filter(|name| !self.project.volumes.contains_key(name.expose()))
        {
            self.error(
                "volumes",
                message!("service \"{}\" refers to undefined volume {}", self.name, source),
            );
        }
        for reference in &service.secrets {
            let source = &reference.source;
            if !self.project.secrets.contains_key(source.expose()) {
                self.error(
                    "secrets",
                    message!("service \"{}\" refers to undefined secret {}", self.name, source),
                );
            }
        }
        for reference in &service.configs {
            let source = &reference.source;
            if !self.project.configs.contains_key(source.expose()) {
                self.error(
                    "configs",
                    message!("service \"{}\" refers to undefined config {}", self.name, source),
                );
            }
        }
        for model in service.models.keys().filter(|name| !self.project.models.contains_key(*name)) {
            self.error("models", message!("service \"{}\" refers to undefined model {}", self.name, model));
        }
        if let Some(check) = &service.healthcheck
            && let Some(first) = check.test.first()
            && !["CMD", "CMD-SHELL", "NONE"].contains(&first.expose())
        {
            self.error(
                "healthcheck",
                "healthcheck.test must start either by \"CMD\", \"CMD-SHELL\" or \"NONE\"",
            );
        }
    }

    fn dependencies(&mut self, service: &Service) {
        for (dependency, edge) in &service.depends_on {
            let is_disabled = self.project.disabled_services.contains_key(dependency);
            if self.project.services.contains_key(dependency) || is_disabled && !edge.required {
                continue;
            }
            let message = if is_disabled {
                message!(
                    "service \"{}\" is required by \"{}\" but is disabled; enable its profile",
                    dependency,
                    self.name
                )
            } else {
                message!("service \"{}\" depends on undefined service \"{}\"", self.name, dependency)
            };
            self.error("depends_on", message);
        }
        if let Some(owner) = service.network_mode.expose().strip_prefix("service:")
            && !self.project.services.contains_key(owner)
        {
            let owner = Text::with_secrecy(owner, service.network_mode.is_secret());
            self.error(
                "network_mode",
                message!("service \"{}\" not found for network_mode 'service:{}'", owner, owner),
            );
        }
    }

    fn limits(&mut self, service: &Service) {
        let replicas = service.deploy.as_ref().and_then(|deploy| deploy.replicas);
        if let (Some(scale), Some(replicas)) = (service.scale, replicas)
            && scale != replicas
        {
            self.error("scale", "can't set distinct values on 'scale' and 'deploy.replicas'");
        }
        let count = service.scale.or(replicas).unwrap_or(1);
        if count < 0 {
            self.error("scale", "a service cannot have a negative number of containers");
        }
        if count > 1 && !service.container_name.is_empty() {
            self.error(
                "container_name",
                message!("container_name must be unique, and {} containers are asked for", count),
            );
        }
        let Some(deploy) = &service.deploy else { return };
        if let Some(limits) = &deploy.resources.limits {
            let pairs: [(&'static str, bool); 3] = [
                ("cpus", differs(f64::from(service.cpus), f64::from(limits.cpus))),
                ("mem_limit", service.mem_limit.0 != 0 && limits.memory != service.mem_limit),
                ("pids_limit", service.pids_limit != 0 && limits.pids != service.pids_limit),
            ];
            for (field, _) in pairs.into_iter().filter(|(_, differs)| *differs) {
                self.error(
                    field,
                    message!("can't set distinct values on '{}' and 'deploy.resources.limits'", field),
                );
            }
        }
        if let Some(reserved) = &deploy.resources.reservations
            && service.mem_reservation.0 != 0
            && reserved.memory != service.mem_reservation
        {
            let message =
                "can't set distinct values on 'mem_reservation' and 'deploy.resources.reservations.memory'";
            self.error("mem_reservation", message);
        }
    }

    fn build(&mut self, service: &Service) {
        let Some(build) = &service.build else { return };
        for (name, context) in &build.additional_contexts {
            let Some(target) = context.expose().strip_prefix("service:") else { continue };
            let what = match self.project.services.get(target) {
                None => "unknown",
                Some(service) if service.build.is_none() => "non-buildable",
                Some(_) => continue,
            };
            let message = message!(
                "service \"{}\" declares {} service \"{}\" as additional context {}",
                self.name,
                what,
                Text::with_secrecy(target, context.is_secret()),
                name
            );
            self.error("build", message);
        }
        if !service.platform.is_empty()
            && !build.platforms.is_empty()
            && !build.platforms.contains(&service.platform)
        {
            self.error(
                "platform",
                message!("build.platforms must include platform \"{}\"", service.platform),
            );
        }
        for reference in &build.secrets {
            if !self.project.secrets.contains_key(reference.source.expose()) {
                self.error(
                    "build",
                    message!(
                        "service \"{}\" refers to undefined build secret {}",
                        self.name,
                        reference.source
                    ),
                );
            }
        }
    }

    fn watch(&mut self, service: &Service) {
        let rules = service.develop.iter().flat_map(|develop| &develop.watch);
        let needy = |action: &str| action != "rebuild" && action != "restart";
        if rules.into_iter().any(|rule| rule.target.is_empty() && needy(rule.action.expose())) {
            self.error(
                "develop",
                "develop.watch: a target is required for every action but rebuild and restart",
            );
        }
    }

    fn targets(&mut self, service: &Service) {
        let mut seen = BTreeSet::new();
        let folder = |text: &str| text.split(':').next().unwrap_or_default().to_owned();
        let tmpfs = service.tmpfs.iter().map(|entry| entry.map(folder));
        for target in tmpfs.chain(service.volumes.iter().map(|mount| mount.target.clone())) {
            if !seen.insert(target.clone()) {
                self.error("volumes", message!("two mounts have the same target {}", target));
            }
        }
    }
}

/// Both given, and not the same.
fn differs(field: f64, limit: f64) -> bool {
    field != 0.0 && (field - limit).abs() > f64::EPSILON
}

fn cycles(project: &Project, document: &Node, problems: &mut Vec<Problem>) {
    let Some(cycle) = find_cycle(project) else { return };
    let start = cycle[0];
    let service = document.get("services").and_then(|services| services.get(start));
    let at = service
        .and_then(|service| service.get("depends_on"))
        .filter(|node| node.span.is_written())
        .or(service)
        .map_or_else(Span::default, |node| node.span);
    let path = Path::of("services").key(start).key("depends_on");
    // A long way round is named by its beginning.
    let shown = if cycle.len() > 50 { &cycle[..10] } else { &cycle[..] };
    let texts: Vec<Text> = shown.iter().map(|name| name.text()).collect();
    let mut names = message!("{}", join(&texts, " -> "));
    if cycle.len() > 50 {
        names = message!("{} -> … ({} services)", names, cycle.len() - 1);
    }
    problems.push(Problem::error("cycle", at, &path, message!("dependency cycle detected: {}", names)));
}

/// The first way from a service back to itself, its end included. No recursion: the way may be as long as the file.
fn find_cycle(project: &Project) -> Option<Vec<&Key>> {
    let needs = |name: &Key| project.services.get(name).map(|service| service.depends_on.keys());
    // Seen services: whether the search is still below them.
    let mut open: HashMap<&Key, bool> = HashMap::new();
    for start in project.services.keys() {
        if open.contains_key(start) {
            continue;
        }
        open.insert(start, true);
        let mut trail = vec![(start, needs(start)?)];
        while let Some((name, left)) = trail.last_mut() {
            let Some(next) = left.next() else {
                open.insert(name, false);
                trail.pop();
                continue;
            };
            match open.get(next) {
                Some(true) => {
                    let way = trail.iter().map(|(name, _)| *name).skip_while(|name| *name != next);
                    return Some(way.chain([next]).collect());
                }
                Some(false) => {}
                None => {
                    if let Some(left) = needs(next) {
                        open.insert(next, true);
                        trail.push((next, left));
                    }
                }
            }
        }
    }
    None
}
