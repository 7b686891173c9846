//! How do the parts of the daemon hang together? What every part shares is [`Agent`]; `run` starts the parts.

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
};

use plan::{
    container::MountKind,
    ids::{Generation, ProjectName, StackName},
    memory::StackMemory,
    observed::Observed,
    status::{HealthSummary, Phase, StackStatus},
};
use systemd::{gc_roots::Roots, notify, stat::Asker};
use tokio::sync::{Mutex, Notify, mpsc::UnboundedSender};
use tracing::Span;

use crate::{
    beside::beside,
    clock,
    eyes::Eyes,
    gather::Want,
    gather::archives::Archives,
    gather::declared::Declared,
    gather::devices::Search,
    heard::Ear,
    memory::MemoryFile,
    metrics::{Format, Metrics},
    options::Options,
    registries::Registries,
    report::history::History,
    report::quiet::Limiter,
    report::voice::Voice,
    secrets::decrypt::Seen,
    secrets::tidy::Readings,
    store::Store,
    triggers::Trigger,
};

/// Everything that the daemon's tasks share. They all run on one thread; nothing is borrowed across a wait.
pub struct Agent {
    /// How the daemon was started.
    pub options: Options,
    /// This host's name in owner labels.
    pub host: String,
    /// What is known, for whoever asks.
    pub store: Store,
    /// What is remembered across restarts.
    pub memory: RefCell<MemoryFile>,
    /// What has happened.
    pub history: History,
    /// What the profile declares, as last seen.
    pub declared: RefCell<Option<Declared>>,
    /// What each stack's spec says, as last loaded.
    pub wants: RefCell<BTreeMap<StackName, Want>>,
    /// Stacks that the Engine has containers of, though the profile does not declare them.
    pub owned: RefCell<BTreeMap<StackName, ProjectName>>,
    /// The Engine, as seen by every pass.
    pub eyes: Eyes,
    /// What is known of image archives.
    pub archives: Arc<Archives>,
    /// What registries have answered.
    pub(crate) registries: Rc<Registries>,
    /// How much was said of each stack lately.
    pub limiter: RefCell<Limiter>,
    /// What has happened on the Engine lately.
    pub ear: Ear,
    /// Looks at paths that may not answer.
    pub asker: Asker,
    /// The devices that each stack's services miss.
    pub(crate) missed: RefCell<BTreeMap<StackName, Search>>,
    /// How many specs are being read.
    pub readings: Readings,
    /// Told when no pass runs: what stacks want may have become something else.
    pub quiet: Notify,
    looking: Mutex<()>,
    /// An operator has confirmed that the profile means to declare no stack.
    empty_confirmed: Cell<bool>,
    /// Something is to be removed, and was held back when that was last looked at.
    guarded: Cell<bool>,
    /// The store paths that are kept.
    rooted: RefCell<BTreeSet<PathBuf>>,
    /// What the service manager was told last.
    told: RefCell<String>,
    /// Where messages go.
    pub voice: Arc<Voice>,
    /// How many passes there were.
    passes: Cell<u64>,
    /// What is counted, from when somebody is to collect it.
    pub metrics: OnceCell<Metrics>,
    triggers: UnboundedSender<Trigger>,
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agent")
            .field("host", &self.host)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Agent {
    /// Reads what is remembered; nothing is known of the world yet.
    pub fn new(options: Options, voice: Arc<Voice>, triggers: UnboundedSender<Trigger>) -> Rc<Self> {
        let host = options.host();
        let (memory, trouble) = MemoryFile::open(&options.state_dir);
        let store = Store::new(&host, &options.profile.to_string_lossy());
        if let Some(error) = trouble {
            tracing::warn!("{}", crate::exit::Failure::from(error));
        }
        Rc::new(Self {
            history: History::of(&options.state_dir),
            eyes: Eyes::new(&options.docker_host),
            options,
            host,
            store,
            memory: RefCell::new(memory),
            declared: RefCell::default(),
            wants: RefCell::default(),
            owned: RefCell::default(),
            archives: Arc::default(),
            registries: Rc::default(),
            limiter: RefCell::default(),
            ear: Ear::default(),
            asker: Asker::default(),
            missed: RefCell::default(),
            readings: Readings::default(),
            quiet: Notify::new(),
            looking: Mutex::default(),
            empty_confirmed: Cell::new(false),
            guarded: Cell::new(false),
            rooted: RefCell::default(),
            told: RefCell::default(),
            voice,
            passes: Cell::new(0),
            metrics: OnceCell::new(),
            triggers,
        })
    }

    /// What everything that is said during a stack's next pass is marked with.
    pub fn span_of_pass(&self, stack: &StackName) -> Span {
        self.passes.set(self.passes.get() + 1);
        let folder = self.folder_of(stack);
        let generation = folder.as_ref().map(|(generation, _)| generation.as_str());
        tracing::error_span!("pass", STACK = %stack, GENERATION = generation, PASS = self.passes.get())
    }

    /// Something may have changed.
    pub fn trigger(&self, trigger: Trigger) {
        // The loop is gone only when the daemon ends.
        let _ = self.triggers.send(trigger);
    }

    /// Looks at the profile again. Answers the stacks whose declaration may be another one now.
    pub async fn rescan(&self) -> Vec<StackName> {
        // One look at a time: an older one must not have the last word.
        let _looking = self.looking.lock().await;
        let profile = self.options.profile.clone();
        let looked = beside(move || Declared::of(&profile)).await;
        let found = match looked {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return self.profile_unknown(crate::exit::Failure::from(error).to_string()),
            Err(error) => return self.profile_unknown(format!("reading the profile: {error}")),
        };
        let before = self.declared.borrow().clone();
        self.remember_generation(&found.generation);
        if before.as_ref() == Some(&found) {
            return Vec::new();
        }
        let mut touched: Vec<StackName> = found.stacks.keys().cloned().collect();
        touched.extend(before.into_iter().flat_map(|before| before.stacks.into_keys()));
        touched.extend(self.owned.borrow().keys().cloned());
        touched.sort();
        touched.dedup();
        if !found.stacks.is_empty() {
            self.empty_confirmed.set(false);
        }
        self.wants.borrow_mut().retain(|stack, _| found.stacks.contains_key(stack));
        self.missed.borrow_mut().retain(|stack, _| found.stacks.contains_key(stack));
        for stack in found.stacks.keys().filter(|stack| self.store.stack(stack).is_none()) {
            self.store.put(unknown(stack, "not looked at yet"));
        }
        *self.declared.borrow_mut() = Some(found);
        self.note_guard();
        touched
    }

    fn profile_unknown(&self, why: String) -> Vec<StackName> {
        self.store.set_generation(None, Some(why));
        Vec::new()
    }

    fn remember_generation(&self, generation: &Generation) {
        let mut file = self.memory.borrow_mut();
        let known = file.memory.generation.clone().filter(|(known, _)| known == generation);
        let seen = known.unwrap_or_else(|| (generation.clone(), clock::now()));
        file.memory.generation = Some(seen.clone());
        self.store.set_generation(Some(seen), None);
    }

    /// Where a stack is declared, and by which generation.
    pub fn folder_of(&self, stack: &StackName) -> Option<(Generation, PathBuf)> {
        let declared = self.declared.borrow();
        let declared = declared.as_ref()?;
        Some((declared.generation.clone(), declared.stacks.get(stack)?.clone()))
    }

    /// The profile declares no stack, and an operator says that this is meant.
    pub fn confirm_empty(&self) {
        self.empty_confirmed.set(true);
        self.note_guard();
    }

    /// Why nothing may be taken away now, where that is so: a spec that does not load may be one that was moved, and a
    /// profile that suddenly declares nothing is more often a mistake than a wish.
    pub fn removal_guard(&self) -> Option<String> {
        let declared = self.declared.borrow();
        let Some(declared) = declared.as_ref() else {
            return Some("the profile has not been read".to_owned());
        };
        let wants = self.wants.borrow();
        for stack in declared.stacks.keys() {
            match wants.get(stack) {
                None => return Some(format!("the stack {stack} has not been loaded yet")),
                Some(want) if want.project.is_err() => {
                    return Some(format!("the stack {stack} does not load"));
                }
                Some(_) => {}
            }
        }
        let meant = self.empty_confirmed.get() || declared.allows_empty;
        (declared.stacks.is_empty() && !meant).then(|| {
            "the profile declares no stack: confirm with `agentctl reconcile --allow-empty`, or `allow_empty: true` in agent.yaml"
                .to_owned()
        })
    }

    /// Says on the host's status why removals are held back, where there is something to remove; once nothing holds them
    /// back any more, what is gone gets its pass.
    pub fn note_guard(&self) {
        let gone: Vec<StackName> = {
            let declared = self.declared.borrow();
            let is_declared =
                |stack: &&StackName| declared.as_ref().is_some_and(|d| d.stacks.contains_key(*stack));
            self.owned.borrow().keys().filter(|stack| !is_declared(stack)).cloned().collect()
        };
        let guard = self.removal_guard().filter(|_| !gone.is_empty());
        if self.guarded.replace(guard.is_some()) && guard.is_none() {
            gone.iter().for_each(|stack| self.trigger(Trigger::Stack(stack.clone())));
        }
        let note = guard.map(|why| {
            let gone: Vec<&str> = gone.iter().map(StackName::as_str).collect();
            format!("{} no longer declared and not taken down: {why}", gone.join(", "))
        });
        self.store.set_notes(note.into_iter().collect());
    }

    /// The stacks that require a mount.
    pub fn stacks_with_mounts(&self) -> Vec<StackName> {
        let wants = self.wants.borrow();
        let requires = |want: &Want| {
            want.project.as_ref().is_ok_and(|project| !project.settings.requires_mounts.is_empty())
        };
        wants.iter().filter(|(_, want)| requires(want)).map(|(stack, _)| stack.clone()).collect()
    }

    /// The stacks that bind something at or below one of these mount points.
    pub fn stacks_on(&self, points: &BTreeSet<PathBuf>) -> Vec<StackName> {
        let wants = self.wants.borrow();
        let binds = |want: &Want| {
            let services = want.project.iter().flat_map(|project| project.services.values());
            let mut sources = services.flat_map(|service| &service.volumes);
            sources.any(|mount| {
                mount.kind == specs::model::MountKind::Bind
                    && points.iter().any(|point| Path::new(mount.source.expose()).starts_with(point))
            })
        };
        wants.iter().filter(|(_, want)| binds(want)).map(|(stack, _)| stack.clone()).collect()
    }

    /// The files outside the profile that stacks were read from, as they were then.
    pub fn files_elsewhere(&self) -> Vec<(StackName, Arc<Seen>)> {
        let wants = self.wants.borrow();
        let read = wants.iter().filter(|(_, want)| !want.elsewhere.is_empty());
        read.map(|(stack, want)| (stack.clone(), Arc::clone(&want.elsewhere))).collect()
    }

    /// Keeps what this host's containers mount, and what the specs of now are about to mount, from the store's garbage
    /// collector. Called before anything is done: a path that a plan mounts is rooted by then.
    pub fn keep_roots(&self, observed: &Observed) {
        // Whosever they are: one that Docker Compose made and that a held stack has taken over has no label of the agent's.
        let mounts = observed.containers().flat_map(|found| found.spec.mounts.values());
        let sources = mounts.filter(|mount| mount.kind == MountKind::Bind);
        let mut used: BTreeSet<PathBuf> =
            sources.filter_map(|mount| Some(PathBuf::from(mount.source.as_ref()?.expose()))).collect();
        for want in self.wants.borrow().values() {
            used.extend(want.inputs.resolved.values().cloned());
            used.extend(want.inputs.side_files.values().map(|file| file.resolved.clone()));
        }
        used.retain(|path| path.starts_with(&self.options.store));
        if *self.rooted.borrow() == used {
            return;
        }
        match Roots::at(&self.options.gc_roots, &self.options.store).keep(&used) {
            Ok(()) => drop(self.rooted.replace(used)),
            Err(error) => tracing::error!("{}", crate::exit::Failure::from(error)),
        }
    }

    /// How everything stands, in a line: what `agentctl status` says first.
    pub fn in_a_line(&self) -> String {
        let Some(status) = self.store.status(None, None) else { return "no status yet".to_owned() };
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for stack in &status.stacks {
            *counts.entry(stack.phase.as_str()).or_default() += 1;
        }
        let counts: Vec<String> =
            counts.into_iter().map(|(phase, count)| format!("{count} {phase}")).collect();
        format!("{}: {} stacks ({})", status.phase.as_str(), status.stacks.len(), counts.join(", "))
    }

    /// The metrics as they are now, where they are collected.
    pub fn metrics_text(&self, format: Format) -> Option<String> {
        let status = self.store.status(None, None)?;
        Some(self.metrics.get()?.text(&status, format))
    }

    /// Tells the service manager how everything stands, where that has changed.
    pub fn tell_manager(&self) {
        let line = self.in_a_line();
        if *self.told.borrow() != line {
            notify::status(&line);
            self.told.replace(line);
        }
    }

    /// Where triggers go.
    pub(crate) fn triggers(&self) -> UnboundedSender<Trigger> {
        self.triggers.clone()
    }

    /// Changes what is remembered of a stack.
    pub fn remember(&self, stack: &StackName, change: impl FnOnce(&mut StackMemory)) {
        change(self.memory.borrow_mut().memory.stacks.entry(stack.clone()).or_default());
    }

    /// An operator asks for another try: what failed before is held against nothing any more.
    pub fn try_again(&self, stack: Option<&str>) {
        let stacks = &mut self.memory.borrow_mut().memory.stacks;
        for (_, memory) in
            stacks.iter_mut().filter(|(name, _)| stack.is_none_or(|stack| stack == name.as_str()))
        {
            memory.backoff.clear();
            memory.rejected.clear();
            memory.corrections.clear();
        }
    }

    /// Writes what is remembered, where it has changed.
    pub fn save(&self) {
        if let Err(error) = self.memory.borrow_mut().save() {
            tracing::error!("cannot write the memory in {}: {error}", self.options.state_dir.display());
        }
    }

    /// All stacks that are declared, or that the Engine still has something of: images, too, that they brought.
    pub fn stacks(&self) -> Vec<StackName> {
        let declared = self.declared.borrow();
        let memory = &self.memory.borrow().memory;
        let bringers = memory.stacks.iter().filter(|(_, memory)| !memory.brought.is_empty());
        let mut stacks: Vec<StackName> =
            declared.iter().flat_map(|declared| declared.stacks.keys().cloned()).collect();
        stacks.extend(self.owned.borrow().keys().cloned());
        stacks.extend(bringers.map(|(stack, _)| stack.clone()));
        stacks.sort();
        stacks.dedup();
        stacks
    }

    /// The stack with this Compose project.
    pub fn stack_of(&self, project: &ProjectName) -> Option<StackName> {
        let wants = self.wants.borrow();
        let declared = wants.iter().find(|(_, want)| want.project_name().as_ref() == Some(project));
        let owned = self.owned.borrow();
        let found = declared.map(|(stack, _)| stack);
        found.or_else(|| owned.iter().find(|(_, of)| *of == project).map(|(stack, _)| stack)).cloned()
    }
}

/// A stack of which nothing is known, and why.
pub fn unknown(stack: &StackName, reason: &str) -> StackStatus {
    StackStatus {
        name: stack.clone(),
        project: ProjectName::from(stack.as_str()),
        generation: None,
        phase: Phase::Unknown,
        since: clock::now(),
        failed_by: None,
        reason: reason.to_owned(),
        applied: false,
        health: HealthSummary::Unknown,
        services: Vec::new(),
        drift: Vec::new(),
        waiting: Vec::new(),
        progress: Vec::new(),
        notes: Vec::new(),
        next_wake: None,
        last_pass: None,
    }
}
