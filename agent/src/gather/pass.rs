//! What does a pass of one stack read: its spec, the Engine's snapshot, and what the host has for it?

use std::{collections::BTreeMap, path::PathBuf, rc::Rc, sync::Arc};

use docker::Engine;
use plan::{
    decide::owned_stacks,
    desired::RequiredMount,
    ids::{Generation, ProjectName, StackName},
    observed::Observed,
    policy,
};
use specs::model::Project;
use systemd::runtime_dir::Medium;
use tokio::time::Instant;

use crate::{
    beside::beside,
    clock,
    daemon::Agent,
    gather::{Source, Want, folders, gather},
    secrets::identities,
    triggers::Trigger,
};

impl Agent {
    /// The stack's spec: as it was loaded where nothing has changed since, else loaded now, in bounded time.
    pub(crate) async fn want(
        &self,
        stack: &StackName,
        generation: Generation,
        folder: PathBuf,
    ) -> Result<Want, String> {
        let known = self.wants.borrow().get(stack).cloned();
        let source = self.source(generation, folder);
        let Some(begun) = self.readings.begin(stack) else {
            return Err(
                "the spec is still being read: a file system that it is on does not answer".to_owned()
            );
        };
        let reading = beside(move || {
            let want = match known.filter(|known| known.is_current(&source.generation, &source.folder)) {
                Some(known) => known,
                None => gather(source),
            };
            (want, begun)
        });
        let (want, _begun) = reading.await.map_err(|error| format!("reading the spec: {error}"))?;
        self.wants.borrow_mut().insert(stack.clone(), want.clone());
        Ok(want)
    }

    /// What is to be read for a stack.
    pub(crate) fn source(&self, generation: Generation, folder: PathBuf) -> Source {
        Source {
            generation,
            folder,
            profile: self.options.profile.clone(),
            keys: identities::places(&self.options.age_key),
            runtime_dir: self.options.runtime_dir.clone(),
            medium: Medium::Memory,
            state_dir: self.options.state_dir.clone(),
            archives: Arc::clone(&self.archives),
            preview: false,
        }
    }

    /// A snapshot, and what it says about stacks that are not declared.
    pub(crate) async fn observe(&self, asked: Instant) -> Result<(Engine, Rc<Observed>), String> {
        let seen = self.eyes.look(asked, self.images_to_look_at()).await;
        self.store.set_engine(self.eyes.status(seen.as_ref().err().map(String::as_str)));
        let (engine, observed) = seen?;
        let declared =
            self.declared.borrow().as_ref().map(|declared| declared.stacks.clone()).unwrap_or_default();
        let owned: BTreeMap<StackName, ProjectName> = owned_stacks(&observed, &self.host)
            .into_iter()
            .filter(|stack| !declared.contains_key(stack))
            .map(|stack| (stack.clone(), ProjectName::from(stack.as_str())))
            .collect();
        for stack in owned.keys().filter(|stack| !self.owned.borrow().contains_key(*stack)) {
            self.trigger(Trigger::Stack(stack.clone()));
        }
        self.owned.replace(owned);
        self.keep_roots(&observed);
        Ok((engine, observed))
    }

    /// The folders that the stack wants to be there; none while it is held, or where a mount that it needs is missing.
    pub(crate) async fn make_folders(&self, stack: &StackName, project: &Project) -> Result<(), String> {
        let is_held = |of| policy::hold(of, None, clock::now()).is_some();
        let held = self.memory.borrow().memory.stacks.get(stack).is_some_and(is_held);
        let waits = || mounts(project).iter().any(|mount| !mount.optional && mount.present.is_err());
        let wanted = project.settings.ensure_dirs.clone();
        if wanted.is_empty() || held || waits() {
            return Ok(());
        }
        let made = beside(move || folders::ensure_all(&wanted)).await;
        made.map_err(|error| format!("making folders: {error}"))?
    }
}

/// The mounts that the stack requires, as the kernel has them now.
pub(crate) fn mounts(project: &Project) -> Vec<RequiredMount> {
    let required = &project.settings.requires_mounts;
    if required.is_empty() {
        return Vec::new();
    }
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mounted = systemd::mounts::parse(&text);
    let one = |mount: &specs::settings::RequiredMount| {
        let path = PathBuf::from(&mount.path);
        let present = systemd::mounts::present(&mounted, &path, mount.fs_type.as_deref()).map(drop);
        RequiredMount { path, present, optional: mount.optional }
    };
    required.iter().map(one).collect()
}
