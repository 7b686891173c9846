//! What does the Engine have now: one snapshot for all passes that were asked for before it was taken?

use std::{cell::RefCell, collections::BTreeSet, rc::Rc};

use docker::{Address, Engine, Interest};
use plan::{observed::Observed, status::EngineStatus};
use tokio::{sync::Mutex, time::Instant};

use crate::clock;

/// The connection to the Engine and the last snapshot.
#[derive(Debug)]
pub struct Eyes {
    address: Result<Address, String>,
    engine: RefCell<Option<Engine>>,
    last: Mutex<Option<(Instant, Rc<Observed>)>>,
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
        if let Some((taken, observed)) = last.as_ref()
            && *taken >= asked
            && images.iter().all(|image| observed.images.contains_key(image))
        {
            return Ok((engine, Rc::clone(observed)));
        }
        let began = Instant::now();
        match engine.observe(&Interest { images }, clock::now()).await {
            Ok(observed) => {
                let observed = Rc::new(observed);
                *last = Some((began, Rc::clone(&observed)));
                Ok((engine, observed))
            }
            Err(error) => {
                *last = None;
                if error.is_unreachable() {
                    // The next one that answers may be another version.
                    self.engine.replace(None);
                }
                Err(error.story())
            }
        }
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
