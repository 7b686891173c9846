//! How does a container compare with its declaration, and what would put all of that right at once?

use std::{collections::BTreeMap, path::Path};

use specs::{Text, hash, settings::SecretChange};

use super::{draft::Draft, slots::number};
use crate::{
    container::{
        ContainerSpec, MountKind, Namespace, VolumesFrom,
        fields::{Comparison, FieldDifference, HashMatch, ImageKnown, Repair, differences},
        fold::fold,
        from_service::digest_key,
        podman, rootless,
    },
    desire::container_name,
    desired::DesiredService,
    drift::{Drift, DriftKind},
    ids::ServiceName,
    labels,
    observed::{ObservedContainer, RunState},
};

/// How a container compares with its declaration.
#[derive(Debug, Default)]
pub(super) struct Judgement {
    /// Fields.
    pub(super) differences: Vec<FieldDifference>,
    /// A new image under the declared reference: `(wanted, has)`.
    pub(super) image: Option<(String, String)>,
    /// Files that it mounts and that have other bytes now.
    pub(super) content: Vec<Content>,
    /// It shares something with a container that is not the service's container any more: field, wanted, has.
    pub(super) stale: Option<(String, String, String)>,
    /// Every field is as declared, but Compose's hash on it is not that of the declaration.
    pub(super) hash_only: bool,
    /// An updater has made it anew from a newer image of its tag: the image that its label still tells of.
    pub(super) updated_from: Option<String>,
    on_secret_change: SecretChange,
}

/// A file with other bytes than those that the container was told of.
#[derive(Debug, Clone)]
pub(super) struct Content {
    /// The digest label's key.
    pub(super) key: String,
    /// The digest of now.
    pub(super) digest: String,
    /// Whether it is a decrypted one.
    pub(super) secret: bool,
}

impl Judgement {
    /// Whether only a new container will do.
    pub(super) fn must_recreate(&self) -> bool {
        self.stale.is_some()
            || self.image.is_some()
            || self.content.iter().any(|content| !self.is_spared(content))
            || self.differences.iter().any(|difference| self.recreates(difference))
    }

    /// What is done about secrets that changed, where no new container is made.
    pub(super) fn secret_remedy(&self) -> &SecretChange {
        &self.on_secret_change
    }

    /// Whether a file's new bytes reach the container without another one being made.
    pub(super) fn is_spared(&self, content: &Content) -> bool {
        content.secret && self.on_secret_change != SecretChange::Recreate
    }

    /// Whether a difference needs a new container: a secret variable can reach no living one, and `none` leaves it.
    pub(super) fn recreates(&self, difference: &FieldDifference) -> bool {
        difference.repair == Repair::Recreate && !self.is_left(difference)
    }

    /// A secret's new value that policy keeps from the container.
    pub(super) fn is_left(&self, difference: &FieldDifference) -> bool {
        difference.of_secret && self.on_secret_change == SecretChange::Nothing
    }

    /// Why a new container is needed: one difference each.
    pub(super) fn reasons(
        &self,
        draft: &Draft<'_>,
        service: &DesiredService,
        old: &ObservedContainer,
    ) -> Vec<Drift> {
        let named = |kind: DriftKind, field: &str, want: &str, have: &str| {
            let mut drift = draft.drift(service, Some(old), kind, field);
            want.clone_into(&mut drift.want);
            have.clone_into(&mut drift.have);
            drift
        };
        let mut reasons = Vec::new();
        for difference in self.differences.iter().filter(|difference| self.recreates(difference)) {
            reasons.push(if difference.of_secret {
                let field = &difference.field;
                named(DriftKind::Secret, field, "the secret's value of now", "the value it started with")
            } else {
                altered(draft, service, old, difference)
            });
        }
        if let Some((want, have)) = &self.image {
            reasons.push(named(DriftKind::Image, "image", want, have));
        }
        for content in self.content.iter().filter(|content| !self.is_spared(content)) {
            let kind = if content.secret { DriftKind::Secret } else { DriftKind::SideFile };
            reasons.push(named(kind, &content.key, "the bytes of now", "the bytes it started with"));
        }
        if let Some((field, want, have)) = &self.stale {
            reasons.push(named(DriftKind::StaleNamespace, field, want, have));
        }
        reasons
    }
}

/// A field that has another value than declared.
pub(super) fn altered(
    draft: &Draft<'_>,
    service: &DesiredService,
    container: &ObservedContainer,
    difference: &FieldDifference,
) -> Drift {
    let mut drift = draft.drift(service, Some(container), DriftKind::Altered, &difference.field);
    drift.want = difference.want.shown().into_owned();
    drift.have = difference.have.shown().into_owned();
    drift
}

/// Compares a container with its declaration.
pub(super) fn judge(draft: &Draft<'_>, service: &DesiredService, container: &ObservedContainer) -> Judgement {
    let image = draft.observed.images.get(container.image_id.as_str());
    let current = draft.observed.images.get(service.spec.image.expose());
    let ids = shared_ids(draft, service);
    let (spec, stale) = {
        let mut spec = spec_for(draft, service, number(container));
        let stale = stale(&spec, &ids, container);
        resolve(&mut spec, &ids);
        name_outsiders(draft, &mut spec);
        (spec, stale)
    };
    let folded = fold(&spec, image, &draft.observed.engine);
    // Docker Compose's own is as good: a container that was adopted has it.
    let hashes = [labels::hash(draft.desired, &service.service, &ids), hash::service(&service.service, &ids)];
    let same_hash = container.labels.owner.config_hash.as_ref().is_some_and(|hash| hashes.contains(hash));
    let known = Comparison {
        hash: if same_hash { HashMatch::Same } else { HashMatch::Differs },
        image: if image.is_some() { ImageKnown::Yes } else { ImageKnown::No },
    };
    let moved = current.and_then(|current| current.id.as_ref()).filter(|id| **id != container.image_id);
    // What the Engine leaves empty means its default on both sides.
    let mut have = fold(&container.spec, None, &draft.observed.engine);
    if let (None, Some(wanted), Some(found)) = (&service.spec.logging, &folded.logging, &mut have.logging)
        && wanted.driver == found.driver
    {
        // The Engine's own settings give options to its default driver.
        found.options.clone_from(&wanted.options);
    }
    let mut differences = differences(&folded, &have, known);
    differences.retain(|difference| !is_same_file(draft, difference, &spec, container));
    differences.retain(|difference| !is_copied_in(draft, difference, &spec, container));
    if draft.observed.engine.rootless {
        differences.retain(|difference| !rootless::is_its_own(difference));
    }
    if draft.observed.engine.podman {
        podman::correct(&mut differences, &spec, known.hash);
    }
    if stale.is_some() {
        // Said once, as what it is.
        let joined = ["network_mode", "ipc", "pid", "volumes_from"];
        differences.retain(|difference| !joined.contains(&difference.field.as_str()));
    }
    let image = moved.map(|id| (id.to_string(), container.image_id.to_string()));
    // Docker Compose and the agent write the image into a label; who copies a container copies the label, too.
    let told = container
        .labels
        .image
        .clone()
        .filter(|told| image.is_none() && *told != *container.image_id.as_str());
    let content = content(draft, &spec, container);
    let equal = differences.is_empty() && image.is_none() && content.is_empty() && stale.is_none();
    Judgement {
        hash_only: equal && !same_hash && container.labels.owner.config_hash.is_some(),
        updated_from: told,
        differences,
        image,
        content,
        stale,
        on_secret_change: secret_change(draft, service),
    }
}

/// Another generation's copy of a file with the same bytes: a container that runs need not be made anew for it. One that
/// is stopped is: by its next start the old copy may be gone.
fn is_same_file(
    draft: &Draft<'_>,
    difference: &FieldDifference,
    spec: &ContainerSpec,
    container: &ObservedContainer,
) -> bool {
    let target = difference.field.strip_prefix("volumes.").and_then(|field| field.strip_suffix(".source"));
    let Some(target) = target.filter(|_| container.state.status == RunState::Running) else { return false };
    let key = digest_key(target);
    let started_with = container.labels.digests.get(&key);
    // Docker Compose binds the path as declared, and leaves no digest.
    let (want, have) = (difference.want.expose(), difference.have.expose());
    let mut declared = draft.desired.inputs.resolved.iter();
    if started_with.is_none()
        && declared.any(|(path, leads_to)| leads_to == Path::new(want) && path == Path::new(have))
    {
        return true;
    }
    let same = spec.digests.get(&key).is_some_and(|digest| started_with == Some(digest));
    same && spec.mounts.get(target).is_some_and(|mount| mount.kind == MountKind::Bind)
}

/// A secret content that no file has: Docker Compose has copied it into the container, and a mount of it is ours.
fn is_copied_in(
    draft: &Draft<'_>,
    difference: &FieldDifference,
    spec: &ContainerSpec,
    container: &ObservedContainer,
) -> bool {
    let target = difference.field.strip_prefix("volumes.").filter(|_| container.labels.owner.agent.is_none());
    let Some(target) = target.filter(|target| !container.spec.mounts.contains_key(*target)) else {
        return false;
    };
    let source = spec.mounts.get(target).and_then(|mount| mount.source.as_ref());
    source.is_some_and(|source| draft.desired.inputs.is_content(Path::new(source.expose())))
}

fn secret_change(draft: &Draft<'_>, service: &DesiredService) -> SecretChange {
    let said = &draft.desired.project.settings.on_secret_change;
    said.get(service.name.as_str()).or_else(|| said.get("")).cloned().unwrap_or_default()
}

/// The files whose bytes are not those that the container started with, or was told of since.
fn content(draft: &Draft<'_>, spec: &ContainerSpec, container: &ObservedContainer) -> Vec<Content> {
    let told = draft.memory.delivered.get(container.id.as_str());
    let known = |key: &str| told.and_then(|told| told.get(key)).or_else(|| container.labels.digests.get(key));
    spec.digests
        .iter()
        .filter(|(key, digest)| known(key).is_some_and(|old| old != *digest))
        .map(|(key, digest)| Content {
            key: key.clone(),
            digest: digest.clone(),
            secret: draft.desired.inputs.all_placed().any(|file| file.digest == *digest),
        })
        .collect()
}

/// The declared spec with the number's own name among the aliases.
pub(super) fn spec_for(draft: &Draft<'_>, service: &DesiredService, number: u32) -> ContainerSpec {
    let mut spec = service.spec.clone();
    let name = Text::plain(container_name(&draft.desired.project_name, service, number));
    let links = links(draft, service, number);
    for endpoint in spec.networks.values_mut() {
        endpoint.aliases.insert(name.clone());
        endpoint.links.clone_from(&links);
    }
    spec
}

/// `links` and `external_links`, as Compose writes them into every network of a container: each container of a linked
/// service under its alias, its short name and its full name, both with the *linking* container's number.
fn links(draft: &Draft<'_>, service: &DesiredService, number: u32) -> Vec<Text> {
    let project = &draft.desired.project_name;
    let halves = |link: &Text| -> (String, String) {
        let (name, alias) = link.expose().split_once(':').unwrap_or((link.expose(), link.expose()));
        (name.to_owned(), alias.to_owned())
    };
    let mut links = Vec::new();
    for (name, alias) in service.service.links.iter().map(halves) {
        let Some(linked) = draft.desired.services.get(&ServiceName::from(name.as_str())) else { continue };
        for container in (1..=linked.replicas).map(|number| container_name(project, linked, number)) {
            let names = [alias.clone(), format!("{name}-{number}"), format!("{project}-{name}-{number}")];
            links.extend(names.into_iter().map(|name| Text::plain(format!("{container}:{name}"))));
        }
    }
    let external = service.service.external_links.iter().map(halves);
    links.extend(external.map(|(name, alias)| Text::plain(format!("{name}:{alias}"))));
    links
}

/// The containers that `service:X` and `volumes_from: [X]` mean now.
pub(super) fn shared_ids(draft: &Draft<'_>, service: &DesiredService) -> BTreeMap<String, String> {
    let first = |name| draft.containers_of(name).first().map(|found| found.id.to_string());
    service.joins.iter().filter_map(|name| Some((name.to_string(), first(name)?))).collect()
}

/// Puts ids where services are named.
pub(super) fn resolve(spec: &mut ContainerSpec, ids: &BTreeMap<String, String>) {
    for mode in [&mut spec.network_mode, &mut spec.ipc, &mut spec.pid].into_iter().flatten() {
        if let Namespace::Service(name) = mode
            && let Some(id) = ids.get(name)
        {
            *mode = Namespace::Container(id.as_str().into());
        }
    }
    for from in &mut spec.volumes_from {
        if let VolumesFrom::Service(name) = from
            && let Some(id) = ids.get(name)
        {
            *from = VolumesFrom::Container(Text::plain(id.as_str()));
        }
    }
}

/// `container:NAME` is what the Engine answers with an id: the one that has the name now.
fn name_outsiders(draft: &Draft<'_>, spec: &mut ContainerSpec) {
    for mode in [&mut spec.network_mode, &mut spec.ipc, &mut spec.pid].into_iter().flatten() {
        if let Namespace::Container(name) = mode
            && let Some(found) = draft.observed.containers().find(|found| found.name == name.as_str())
        {
            *mode = Namespace::Container(found.id.clone());
        }
    }
}

/// Where a container shares something with another container than the one that is the service now.
fn stale(
    spec: &ContainerSpec,
    ids: &BTreeMap<String, String>,
    container: &ObservedContainer,
) -> Option<(String, String, String)> {
    let short = |id: &str| id.get(..12).unwrap_or(id).to_owned();
    let modes = [
        ("network_mode", &spec.network_mode, &container.spec.network_mode),
        ("ipc", &spec.ipc, &container.spec.ipc),
        ("pid", &spec.pid, &container.spec.pid),
    ];
    for (field, wanted, has) in modes {
        if let (Some(Namespace::Service(name)), Some(Namespace::Container(old))) = (wanted, has)
            && ids.get(name).is_none_or(|id| old.as_str() != id)
        {
            let id = ids.get(name).map_or("not there".to_owned(), |id| short(id));
            let wanted = format!("service:{name} ({id})");
            return Some((field.to_owned(), wanted, old.short().to_owned()));
        }
    }
    let has: Vec<&str> = container
        .spec
        .volumes_from
        .iter()
        .filter_map(|from| if let VolumesFrom::Container(id) = from { Some(id.expose()) } else { None })
        .collect();
    spec.volumes_from.iter().find_map(|from| {
        let VolumesFrom::Service(name) = from else { return None };
        let id = ids.get(name)?;
        let lacks = !has.iter().any(|has| has.split(':').next() == Some(id.as_str()));
        lacks.then(|| {
            let has: Vec<String> = has.iter().map(|id| short(id)).collect();
            ("volumes_from".to_owned(), format!("{name} ({})", short(id)), has.join(", "))
        })
    })
}

/// What a declaration comes to: equal means that a container made from it would be the same.
pub(super) fn declaration(draft: &Draft<'_>, service: &DesiredService) -> String {
    let image = draft.observed.images.get(service.spec.image.expose()).and_then(|image| image.id.as_ref());
    let mut words = labels::hash(draft.desired, &service.service, &BTreeMap::new());
    words.extend(image.map(|id| format!(" {id}")));
    words.extend(service.spec.digests.iter().map(|(key, digest)| format!(" {key}={digest}")));
    words
}
