//! What does the Engine have now: one snapshot for all passes that were asked for before it was taken?

use std::{cell::RefCell, collections::BTreeSet, rc::Rc};

use docker::{Address, Engine, EngineError, Interest};
use plan::{observed::Observed, status::EngineStatus};
use tokio::{sync::Mutex, time::Instant};

use crate::clock;

/// The connection to the Engine and the last snapshot.
#[derive(Debug)]
pub struct Eyes {
    address: Result<Address, String>,
    engine: RefCell<Option<Engine>>,
    last: Mutex<Option<Snapshot>>,
}

/// One snapshot, and what it was to hold.
#[derive(Debug)]
struct Snapshot {
    taken: Instant,
    observed: Rc<Observed>,
    images: BTreeSet<String>,
}

impl Eyes {
    /// The Engine that listens at `host`; asks nothing yet.
    pub fn new(host: &str) -> Self {
        Self { address: Address::parse(host), engine: RefCell::default(), last: Mutex::default() }
    }

    /// Where the Engine listens.
    ///
    /// # Errors
    /// `DOCKER_HOST` cannot be used.
    pub fn address(&self) -> Result<&Address, String> {
        self.address.as_ref().map_err(Clone::clone)
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
        let engine = self.connected().await?;
        let answer = match last.as_mut() {
            Some(known) if known.taken >= asked => see_images(&engine, known, images).await,
            _ => {
                let taken = Instant::now();
                engine.observe(&Interest { images: images.clone() }, clock::now()).await.map(|observed| {
                    let observed = Rc::new(observed);
                    *last = Some(Snapshot { taken, observed: Rc::clone(&observed), images });
                    observed
                })
            }
        };
        answer.map(|observed| (engine, observed)).map_err(|error| {
            *last = None;
            if error.is_unreachable() {
                // The next one that answers may be another version.
                self.engine.replace(None);
            }
            error.story()
        })
    }

    /// Nothing of the last snapshot counts any more.
    pub async fn forget(&self) {
        *self.last.lock().await = None;
    }

    async fn connected(&self) -> Result<Engine, String> {
        if let Some(engine) = self.engine.borrow().clone() {
            return Ok(engine);
        }
        let engine = Engine::connect(self.address()?).await.map_err(|error| error.story())?;
        self.engine.replace(Some(engine.clone()));
        Ok(engine)
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
) -> Result<Rc<Observed>, EngineError> {
    let unseen: BTreeSet<String> = images.difference(&known.images).cloned().collect();
    if !unseen.is_empty() {
        let found = engine.see_images(unseen).await?;
        Rc::make_mut(&mut known.observed).images.extend(found);
        known.images.extend(images);
    }
    Ok(Rc::clone(&known.observed))
}
