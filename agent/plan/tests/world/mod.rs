//! An Engine in memory, and passes over it: what does a plan come to, step by step?
//!
//! It does what a real Engine does with each act, as far as deciding looks at it: names are unique, stopping and starting
//! change the state, a removed container is gone. A start can be told to fail, to crash, to stay unhealthy.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use plan::{
    account::{Outcomes, account},
    container::fold::fold,
    decide::decide,
    desire::{Wish, desire},
    desired::{Desired, Inputs},
    ids::Time,
    labels,
    memory::StackMemory,
    observed::{ComposeLabels, ContainerState, Health, Observed, ObservedContainer, RunState},
    resource::{ImageFacts, ObservedNetwork, ObservedVolume, Owner},
    status::{StackStatus, Transition},
    step::{Act, NewContainer, Outcome, Plan, Retry, Step, StepId, Target},
};
use specs::{Content, FileKind, LoadRequest, ReadText, load};

pub(crate) const HOST: &str = "lab";

struct OneFile(String);

impl ReadText for OneFile {
    fn read(&self, path: &Path) -> io::Result<Content> {
        if self.kind(path) == FileKind::File {
            return Ok(Content { bytes: self.0.clone().into_bytes().into(), secret: false });
        }
        Err(io::ErrorKind::NotFound.into())
    }

    fn kind(&self, path: &Path) -> FileKind {
        match path.to_str() {
            Some("/stack/compose.yaml") => FileKind::File,
            Some("/stack") => FileKind::Folder,
            _ => FileKind::Missing,
        }
    }

    fn resolve(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
}

/// What a container does once it is started; told by its image's tag.
fn behaviour(image: &str) -> &str {
    image.rsplit(':').next().unwrap_or_default()
}

/// The Engine, the agent's memory of one stack, and a clock.
pub(crate) struct World {
    pub(crate) observed: Observed,
    pub(crate) memory: StackMemory,
    pub(crate) now: Time,
    pub(crate) inputs: Inputs,
    /// Every act that was done, in words.
    pub(crate) done: Vec<String>,
    pub(crate) said: Vec<Transition>,
    next: u32,
}

impl World {
    pub(crate) fn new(images: &[&str]) -> Self {
        let image = |name: &&str| {
            let facts = ImageFacts { id: Some(format!("sha256:{name}").into()), ..ImageFacts::default() };
            ((*name).to_owned(), facts)
        };
        let mut images: BTreeMap<String, ImageFacts> = images.iter().map(image).collect();
        let by_id: Vec<_> =
            images.values().map(|facts| (facts.id.clone().unwrap().to_string(), facts.clone())).collect();
        images.extend(by_id);
        Self {
            observed: Observed { images, ..Observed::default() },
            memory: StackMemory::default(),
            now: Time(1_000_000),
            inputs: Inputs::default(),
            done: Vec::new(),
            said: Vec::new(),
            next: 0,
        }
    }

    pub(crate) fn desired(&self, yaml: &str) -> Desired {
        let request = LoadRequest { working_directory: "/stack".into(), ..LoadRequest::default() };
        let loaded = load(&request, &OneFile(yaml.to_owned())).unwrap_or_else(|error| panic!("{error}"));
        desire(Wish {
            stack: "stack".into(),
            host: HOST.into(),
            generation: "gen".into(),
            project: Arc::new(loaded.project),
            inputs: self.inputs.clone(),
            places: BTreeMap::new(),
        })
    }

    /// One pass, its first `most` steps done; gives the plan and the status.
    pub(crate) fn pass(&mut self, yaml: &str, most: usize) -> (Plan, StackStatus) {
        self.tick();
        let desired = self.desired(yaml);
        let before = self.observed.clone();
        let plan = decide(&desired, &before, &self.memory, self.now);
        let mut outcomes = Outcomes::new();
        let mut made = BTreeMap::new();
        let mut left = most;
        for step in &plan.steps {
            assert!(step.after.iter().all(|before| before.0 < step.id.0), "in order: {plan:#?}");
            let failed = step.after.iter().find(|id| !matches!(outcomes.get(id), Some(Outcome::Done { .. })));
            let outcome = match failed {
                Some(because) => Outcome::Skipped { because: *because },
                None if left == 0 => break,
                None => {
                    left -= 1;
                    self.act(step, &mut made)
                }
            };
            outcomes.insert(step.id, outcome);
        }
        let killed = outcomes.len() < plan.steps.len();
        let (status, memory, said) = account(&desired, &before, &self.memory, (&plan, &outcomes), self.now);
        if !killed {
            self.memory = memory;
            self.said.extend(said);
        }
        (plan, status)
    }

    /// Passes until one finds nothing to do and nothing to wait for.
    pub(crate) fn converge(&mut self, yaml: &str) -> StackStatus {
        for _ in 0..60 {
            let (plan, status) = self.pass(yaml, usize::MAX);
            if plan.steps.is_empty() && status.waiting.is_empty() {
                return status;
            }
        }
        panic!("does not converge: {:#?}", self.done);
    }

    /// A second goes by: checks are made, crashed containers are restarted.
    fn tick(&mut self) {
        self.now = self.now.plus_ms(1_000);
        let now = self.now;
        for container in self.observed.containers.iter_mut().map(Arc::make_mut) {
            let how = behaviour(container.spec.image.expose()).to_owned();
            let state = &mut container.state;
            match (state.status, how.as_str()) {
                (RunState::Running, "crash") => {
                    state.restart_count += 1;
                    state.started_at = Some(now);
                    state.exit_code = 1;
                }
                (RunState::Running, "sick") => state.health = Some(Health::Unhealthy),
                (RunState::Running, "slow") => {}
                (RunState::Running, _) if state.health == Some(Health::Starting) => {
                    state.health = Some(Health::Healthy);
                }
                _ => {}
            }
        }
    }

    pub(crate) fn find(&self, name: &str) -> Option<&ObservedContainer> {
        self.observed.containers().find(|container| container.name == name)
    }

    pub(crate) fn id(&self, name: &str) -> String {
        self.find(name).unwrap_or_else(|| panic!("{name} is not there: {:?}", self.names())).id.to_string()
    }

    pub(crate) fn names(&self) -> BTreeSet<String> {
        self.observed.containers().map(|container| container.name.clone()).collect()
    }

    pub(crate) fn change(&mut self, name: &str, change: impl FnOnce(&mut ObservedContainer)) {
        let found = self.observed.containers.iter_mut().find(|container| container.name == name);
        change(Arc::make_mut(found.expect("there")));
    }

    /// Somebody else's container.
    pub(crate) fn add_foreign(&mut self, name: &str) {
        let new = ObservedContainer {
            id: "f0".repeat(32).into(),
            name: name.into(),
            labels: ComposeLabels::default(),
            state: ContainerState { status: RunState::Running, ..ContainerState::default() },
            spec: plan::container::ContainerSpec::default(),
            image_id: "sha256:x".into(),
            attached: BTreeMap::new(),
            anonymous_volumes: BTreeMap::new(),
            created_at: Time(0),
        };
        self.observed.containers.push(new.into());
    }

    #[expect(clippy::too_many_lines, reason = "one arm an act")]
    fn act(&mut self, step: &Step, made: &mut BTreeMap<StepId, String>) -> Outcome {
        assert!(!step.cause.is_empty(), "every step has a cause: {step:?}");
        self.done.push(step.act.to_string());
        let id = |target: &Target, made: &BTreeMap<StepId, String>| match target {
            Target::Existing { id, .. } => id.to_string(),
            Target::Made { step, .. } => made[step].clone(),
        };
        match &step.act {
            Act::PullImage { reference, .. } => {
                if reference.contains("unreachable") {
                    return Outcome::Failed { error: "no such host".into(), retry: Retry::Later };
                }
                let id = format!("sha256:{reference}");
                self.put_image(
                    reference,
                    ImageFacts { id: Some(id.as_str().into()), ..ImageFacts::default() },
                );
                return Outcome::Done { made: Some(id) };
            }
            Act::BuildImage { build } => {
                if build.digest.contains("broken") {
                    return Outcome::Failed { error: "no such file".into(), retry: Retry::Later };
                }
                let id = format!("sha256:built-{}", build.digest);
                let labels = [(labels::BUILD.to_owned(), build.digest.clone())].into();
                let facts = ImageFacts { id: Some(id.as_str().into()), labels, ..ImageFacts::default() };
                self.put_image(&build.reference, facts);
                return Outcome::Done { made: Some(id) };
            }
            Act::LoadImage { archive, reference } => {
                if archive.to_string_lossy().contains("refused") {
                    return Outcome::Failed { error: "no space left".into(), retry: Retry::Later };
                }
                let id = self
                    .inputs
                    .archives
                    .values()
                    .find(|found| found.path == *archive)
                    .and_then(|found| found.images.as_ref().ok()?.first()?.ids.last().cloned());
                self.put_image(reference, ImageFacts { id: id.clone(), ..ImageFacts::default() });
                return Outcome::Done { made: id.map(|id| id.to_string()) };
            }
            Act::RemoveImage { id, name, .. } => {
                if id.contains("built-upon") {
                    let error = "image has dependent child images".to_owned();
                    return Outcome::Failed { error, retry: Retry::Now };
                }
                let used = self.observed.containers().any(|found| found.image_id.as_str() == id);
                assert!(!used, "an image in use is not removed");
                self.observed.images.retain(|known, facts| {
                    facts.tags.retain(|tag| tag != name);
                    known != name && (known != id || !facts.tags.is_empty())
                });
            }
            Act::CreateNetwork { key, spec, labels } => {
                self.observed.networks.push(ObservedNetwork {
                    id: format!("net-{}", spec.name),
                    spec: spec.clone(),
                    owner: owner(labels),
                    key: Some(key.clone()),
                });
            }
            Act::CreateVolume { key, spec, labels } => {
                let (spec, key) = (spec.clone(), Some(key.clone()));
                self.observed.volumes.push(ObservedVolume { spec, owner: owner(labels), key });
            }
            Act::CreateContainer(new) => {
                if self.find(&new.name).is_some() {
                    return Outcome::Failed { error: "the name is taken".into(), retry: Retry::Now };
                }
                let id = self.create(new);
                made.insert(step.id, id.clone());
                return Outcome::Done { made: Some(id) };
            }
            Act::RenameContainer { container, name } => {
                if self.find(name).is_some() {
                    return Outcome::Failed { error: "the name is taken".into(), retry: Retry::Now };
                }
                let id = id(container, made);
                self.by_id(&id).name.clone_from(name);
            }
            Act::RemoveContainer { container } => {
                let id = id(container, made);
                self.observed.containers.retain(|found| found.id.as_str() != id);
            }
            Act::RemoveNetwork { id, .. } => {
                let used =
                    self.observed.containers().any(|found| found.attached.values().any(|net| net == id));
                assert!(!used, "a network in use is not removed");
                self.observed.networks.retain(|network| network.id != *id);
            }
            Act::StartContainer { container } => {
                let id = id(container, made);
                return self.start(&id);
            }
            Act::RestartContainer { container, .. } => {
                let id = id(container, made);
                return self.start(&id);
            }
            Act::StopContainer { container, .. } => {
                let id = id(container, made);
                let now = self.now;
                let state = &mut self.by_id(&id).state;
                (state.status, state.exit_code, state.health, state.finished_at) =
                    (RunState::Exited, 0, None, Some(now));
            }
            Act::UnpauseContainer { container } => {
                let id = id(container, made);
                self.by_id(&id).state.status = RunState::Running;
            }
            Act::UpdateContainer { container, resources, restart } => {
                let id = id(container, made);
                let spec = &mut self.by_id(&id).spec;
                if let Some(resources) = resources {
                    spec.resources = (**resources).clone();
                }
                if let Some(restart) = restart {
                    spec.restart = Some(restart.clone());
                }
            }
            Act::SignalContainer { .. } | Act::RunHook { .. } | Act::CopyFiles { .. } => {}
            other => panic!("this Engine does not know how to {other}"),
        }
        Outcome::Done { made: None }
    }

    /// A reference means another image from now on.
    pub(crate) fn put_image(&mut self, reference: &str, facts: ImageFacts) {
        let images = &mut self.observed.images;
        images.values_mut().for_each(|facts| facts.tags.retain(|tag| tag != reference));
        let facts = ImageFacts { tags: vec![reference.to_owned()], ..facts };
        images.extend(facts.id.clone().map(|id| (id.to_string(), facts.clone())));
        images.insert(reference.to_owned(), facts);
    }

    fn by_id(&mut self, id: &str) -> &mut ObservedContainer {
        let found = self.observed.containers.iter_mut().find(|found| found.id.as_str() == id);
        Arc::make_mut(found.expect("it is there"))
    }

    fn start(&mut self, id: &str) -> Outcome {
        let now = self.now;
        let container = self.by_id(id);
        let how = behaviour(container.spec.image.expose()).to_owned();
        let checked = container.spec.healthcheck.is_some();
        let state = &mut container.state;
        if how == "broken" {
            state.error = "no such program".into();
            state.exit_code = 127;
            return Outcome::Failed { error: "no such program".into(), retry: Retry::Never };
        }
        let ended = how == "job";
        state.status = if ended { RunState::Exited } else { RunState::Running };
        state.health = (checked && !ended).then_some(Health::Starting);
        state.exit_code = 0;
        state.started_at = Some(now);
        Outcome::Done { made: None }
    }

    fn create(&mut self, new: &NewContainer) -> String {
        self.next += 1;
        let id = format!("{:012x}{}", self.next, "0".repeat(52));
        let image = self.observed.images.get(new.spec.image.expose()).cloned().expect("the image is there");
        let digest = |(key, value): (&String, &String)| {
            Some((key.strip_prefix(labels::DIGEST)?.to_owned(), value.clone()))
        };
        let container = ObservedContainer {
            id: id.as_str().into(),
            name: new.name.clone(),
            labels: ComposeLabels {
                owner: owner(&new.labels),
                replica: Some(new.replica.clone()),
                oneoff: false,
                image: new.labels.get(labels::IMAGE).cloned(),
                replaces: new.replaces.clone(),
                digests: new.labels.iter().filter_map(digest).collect(),
                all: new.labels.clone(),
            },
            state: ContainerState { status: RunState::Created, ..ContainerState::default() },
            spec: fold(&new.spec, Some(&image), &self.observed.engine),
            image_id: image.id.expect("it has an id"),
            attached: new.spec.networks.keys().map(|name| (name.clone(), format!("net-{name}"))).collect(),
            anonymous_volumes: BTreeMap::new(),
            created_at: self.now,
        };
        self.observed.containers.push(container.into());
        id
    }
}

fn owner(labels: &BTreeMap<String, String>) -> Owner {
    Owner {
        project: labels.get(labels::PROJECT).map(|name| name.as_str().into()),
        agent: labels.get(labels::OWNER).cloned(),
        config_hash: labels.get(labels::HASH).cloned(),
    }
}
