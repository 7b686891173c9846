//! What does the Engine have now: one snapshot for all passes that were asked for before it was taken?

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use docker::{Address, Cache, Engine, EngineError, Interest, events::EngineEvent};
use plan::{
    ids::{ContainerId, ProjectName},
    labels,
    observed::{Observed, ObservedContainer},
    status::EngineStatus,
    step::{Plan, Target},
};
use tokio::{sync::Mutex, time::Instant};

use crate::clock;

/// The connection to the Engine and the last snapshot.
#[derive(Debug)]
pub struct Eyes {
    address: Result<Address, String>,
    engine: RefCell<Option<Engine>>,
    last: Mutex<Option<Looked>>,
    cache: RefCell<Cache>,
    /// Whose each container of the last snapshot is, for events about one that is looked at again or is gone since.
    owners: RefCell<BTreeMap<ContainerId, Option<ProjectName>>>,
    /// When everything was last forgotten; `None` while no events are heard.
    listening: Cell<Option<Instant>>,
}

/// What was seen is looked at afresh this often, however quiet it is.
const FRESH: Duration = Duration::from_secs(300);

/// Whom an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// This project's objects.
    Project(ProjectName),
    /// Something that may be anybody's: an image, a network.
    Anybody,
    /// Something that no project needs to look at.
    Nobody,
}

/// The last look, and when it began. One that failed is an answer, too: whoever asked before it began need not wait
/// for an Engine that hangs once more.
#[derive(Debug)]
struct Looked {
    taken: Instant,
    seen: Result<Snapshot, String>,
}

/// One snapshot, and what it was to hold.
#[derive(Debug)]
struct Snapshot {
    observed: Rc<Observed>,
    images: BTreeSet<String>,
}

impl Eyes {
    /// The Engine that listens at `host`; asks nothing yet.
    pub fn new(host: &str) -> Self {
        Self {
            address: Address::parse(host),
            engine: RefCell::default(),
            last: Mutex::default(),
            cache: RefCell::default(),
            owners: RefCell::default(),
            listening: Cell::new(None),
        }
    }

    /// Where the Engine listens.
    ///
    /// # Errors
    /// `DOCKER_HOST` cannot be used.
    pub fn address(&self) -> Result<&Address, String> {
        self.address.as_ref().map_err(Clone::clone)
    }

    /// Every event from now on is going to be heard, or none.
    pub fn listen(&self, listening: bool) {
        self.cache.borrow_mut().clear();
        self.listening.set(listening.then(Instant::now));
    }

    /// Somebody wants to know for certain: what an event that is still on its way may have changed is looked at, too.
    pub fn doubt(&self) {
        self.cache.borrow_mut().clear();
    }

    /// Whether events have been heard for at least this long.
    pub fn has_listened(&self, span: Duration) -> bool {
        self.listening.get().is_some_and(|since| since.elapsed() >= span)
    }

    /// Something has happened on the Engine. Answers the project that it is about, where that is known.
    pub fn heard(&self, event: &EngineEvent) -> About {
        self.cache.borrow_mut().heard(event);
        let named = event.attributes.get(labels::PROJECT).map(|name| ProjectName::from(name.as_str()));
        let container = event.attributes.get("container");
        let owners = self.owners.borrow();
        let known = container.map(|id| owners.get(&ContainerId::from(id.as_str())).cloned());
        match (named, known) {
            (Some(project), _) | (None, Some(Some(Some(project)))) => About::Project(project),
            // A container that was never seen is a new one: its own events name its project.
            (None, Some(_)) => About::Nobody,
            (None, None) => About::Anybody,
        }
    }

    /// The Engine and a snapshot that was taken after `asked`.
    ///
    /// # Errors
    /// The Engine could not be asked: nothing is known then.
    pub async fn look(
        &self,
        asked: Instant,
        images: BTreeSet<String>,
    ) -> Result<(Engine, Rc<Observed>), String> {
        let mut last = self.last.lock().await;
        let looked = match last.take().filter(|known| known.taken >= asked) {
            Some(known) => known,
            None => Looked { taken: Instant::now(), seen: self.look_afresh(images.clone()).await },
        };
        let snapshot = last.insert(looked).seen.as_mut().map_err(|error| error.clone())?;
        let engine = self.connected().await?;
        match see_images(&engine, snapshot, images, &self.cache).await {
            Ok(observed) => Ok((engine, observed)),
            Err(error) => {
                *last = None;
                Err(self.failed(&error))
            }
        }
    }

    async fn look_afresh(&self, images: BTreeSet<String>) -> Result<Snapshot, String> {
        match self.listening.get() {
            Some(since) if since.elapsed() < FRESH => {}
            since => self.listen(since.is_some()),
        }
        let engine = self.connected().await?;
        let interest = Interest { images };
        let answer = engine.observe(&interest, &self.cache, clock::now()).await;
        let observed = answer.map_err(|error| self.failed(&error))?;
        let owner = |found: &ObservedContainer| found.labels.owner.project.clone();
        let owners = observed.containers().map(|found| (found.id.clone(), owner(found)));
        self.owners.replace(owners.collect());
        Ok(Snapshot { observed: Rc::new(observed), images: interest.images })
    }

    fn failed(&self, error: &EngineError) -> String {
        if error.is_unreachable() {
            // The next one that answers may be another version.
            self.engine.replace(None);
        }
        error.story()
    }

    /// A plan was done: nothing of the last snapshot counts any more, and what it worked on is looked at again.
    pub async fn forget(&self, plan: &Plan) {
        self.touch(plan);
        *self.last.lock().await = None;
    }

    fn touch(&self, plan: &Plan) {
        let mut cache = self.cache.borrow_mut();
        for step in &plan.steps {
            if let Some(Target::Existing { id, .. }) = step.act.target() {
                cache.touch(id.as_str());
            }
            if step.act.brings_image() {
                cache.clear();
            }
        }
    }

    /// Nothing is about to happen: what the cache does not need is given back.
    pub fn rest(&self) {
        if let Ok(mut last) = self.last.try_lock() {
            *last = None;
        }
        if let Some(engine) = self.engine.borrow().as_ref() {
            engine.rest();
        }
    }

    async fn connected(&self) -> Result<Engine, String> {
        if let Some(engine) = self.engine.borrow().clone() {
            return Ok(engine);
        }
        let engine = Engine::connect(self.address()?).await.map_err(|error| error.story())?;
        self.engine.replace(Some(engine.clone()));
        Ok(engine)
    }

    /// The Engine that answered last.
    pub fn engine(&self) -> Option<Engine> {
        self.engine.borrow().clone()
    }

    /// The Engine as last seen, for the status.
    pub fn status(&self, error: Option<&str>) -> EngineStatus {
        let engine = self.engine.borrow();
        let facts = engine.as_ref().map(Engine::facts);
        EngineStatus {
            reachable: error.is_none() && facts.is_some(),
            version: facts.map(|facts| facts.version.clone()).unwrap_or_default(),
            api: facts.map(|facts| format!("{}.{}", facts.api.0, facts.api.1)).unwrap_or_default(),
            error: error.map(str::to_owned),
        }
    }
}

/// Adds to a snapshot the images that it was not asked for: a reference's image is the same whenever one looks.
async fn see_images(
    engine: &Engine,
    known: &mut Snapshot,
    images: BTreeSet<String>,
    cache: &RefCell<Cache>,
) -> Result<Rc<Observed>, EngineError> {
    let unseen: BTreeSet<String> = images.difference(&known.images).cloned().collect();
    if !unseen.is_empty() {
        let found = engine.see_images(unseen, cache).await?;
        Rc::make_mut(&mut known.observed).images.extend(found);
        known.images.extend(images);
    }
    Ok(Rc::clone(&known.observed))
}
