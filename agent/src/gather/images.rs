//! Which images do the stacks of this host mean: those to look at, and those that nobody may remove?

use std::collections::BTreeSet;

use plan::{container::from_service::image_of, desired::DeclaredImages, ids::Generation};
use specs::model::MountKind;

use crate::{daemon::Agent, gather::Want};

/// What a pass has to know of the Engine's images: those of enabled services, and those that builds are based on.
pub fn to_look_at<'w>(wants: impl Iterator<Item = &'w Want>) -> BTreeSet<String> {
    wants.flat_map(used).collect()
}

fn used(want: &Want) -> impl Iterator<Item = String> {
    let projects = want.project.iter();
    let of_services = projects
        .flat_map(|project| project.services.values().map(move |service| image_of(project, service)))
        .map(|image| image.expose().to_owned());
    of_services.chain(want.inputs.bases().cloned())
}

/// Those of services that no profile enables now, and those whose files are mounted.
fn mentioned(want: &Want) -> impl Iterator<Item = String> {
    want.project.iter().flat_map(|project| {
        let disabled = project.disabled_services.values().map(|service| image_of(project, service));
        let services = project.services.values().chain(project.disabled_services.values());
        let mounts = services.flat_map(|service| &service.volumes);
        let images = mounts.filter(|mount| mount.kind == MountKind::Image).map(|mount| mount.source.clone());
        disabled.chain(images).map(|image| image.expose().to_owned()).collect::<Vec<_>>()
    })
}

impl Agent {
    /// What the passes of all stacks have to know of the Engine's images, those included that they brought.
    pub(crate) fn images_to_look_at(&self) -> BTreeSet<String> {
        let mut images = to_look_at(self.wants.borrow().values());
        let memory = &self.memory.borrow().memory;
        images.extend(memory.stacks.values().flat_map(|stack| stack.brought.keys().cloned()));
        images
    }

    /// What all stacks declare, as a pass for this generation may know it.
    pub(crate) fn declared_images(&self, generation: Option<&Generation>) -> DeclaredImages {
        let declared = self.declared.borrow();
        let is_of_now = |now: &Generation| generation.is_none_or(|generation| generation == now);
        let Some(declared) = declared.as_ref().filter(|declared| is_of_now(&declared.generation)) else {
            return DeclaredImages::Unread;
        };
        let wants = self.wants.borrow();
        let mut images = BTreeSet::new();
        for stack in declared.stacks.keys() {
            match wants.get(stack).filter(|want| want.generation == declared.generation) {
                None => return DeclaredImages::Unread,
                Some(want) if want.project.is_err() => return DeclaredImages::Unknown(stack.clone()),
                Some(want) => images.extend(used(want).chain(mentioned(want))),
            }
        }
        DeclaredImages::Known(images)
    }
}
