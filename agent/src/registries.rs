//! Which image does a registry mean by a tag now, where a stack wants to know?
//!
//! Asked beside the passes, one reference after the other, each at most once in the time that its stack says. What came of
//! it is an input of the passes after that; nobody waits for it.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    time::Duration,
};

use docker::Engine;
use plan::{
    decide::to_ask,
    desired::{Desired, Login},
    ids::Time,
    observed::Observed,
    preflight::Unfound,
};
use tokio::task::spawn_local;

use crate::{clock, daemon::Agent, gather::logins, triggers::Trigger};

/// How long one registry may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// More references than a host has.
const MOST: usize = 1000;

/// What registries have answered.
#[derive(Debug, Default)]
pub(crate) struct Registries {
    known: RefCell<BTreeMap<String, Answer>>,
    /// One question at a time.
    busy: Cell<bool>,
}

/// The digest that a tag has there, or why nobody knows.
#[derive(Debug)]
struct Answer {
    at: Time,
    digest: Result<String, String>,
}

impl Registries {
    /// What is known of these.
    fn of<'r>(
        &self,
        references: impl Iterator<Item = &'r String>,
    ) -> BTreeMap<String, Result<String, String>> {
        let known = self.known.borrow();
        references.filter_map(|one| Some((one.clone(), known.get(one)?.digest.clone()))).collect()
    }

    fn is_due(&self, reference: &str, every_ms: i64) -> bool {
        let known = self.known.borrow();
        // A clock that was ahead holds nothing up.
        known.get(reference).is_none_or(|answer| {
            let age = clock::now().since(answer.at);
            age >= every_ms || age < 0
        })
    }

    async fn ask(&self, engine: &Engine, reference: String, login: Result<Login, String>) {
        let login = match login {
            Ok(login) => Ok(login),
            Err(why) => logins::of_docker(&reference, &why).await,
        };
        let asked = engine.ask_registry(&reference, &login, PATIENCE).await;
        let digest = match asked {
            Ok(digest) if digest.is_empty() => Err("the Engine has passed on no digest".to_owned()),
            Ok(digest) => Ok(digest),
            Err(Unfound::Absent(why) | Unfound::Unknown(why)) => Err(why),
        };
        let mut known = self.known.borrow_mut();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(reference, Answer { at: clock::now(), digest });
    }
}

impl Agent {
    /// What registries have said of a stack's images; asks again for what is due, and gives the stack a pass then.
    pub(crate) fn consult_registries(&self, desired: &mut Desired, observed: &Observed) {
        let Some(every) = desired.project.settings.check_registry else { return };
        let references = to_ask(desired, observed);
        desired.inputs.registry = self.registries.of(references.iter());
        let due: Vec<_> = references
            .into_iter()
            .filter(|reference| self.registries.is_due(reference, every.0 / 1_000_000))
            .map(|reference| (desired.inputs.login(&reference), reference))
            .collect();
        let engine = match self.eyes.engine() {
            Some(engine) if !due.is_empty() && !self.registries.busy.replace(true) => engine,
            _ => return,
        };
        let (registries, triggers) = (Rc::clone(&self.registries), self.triggers());
        let stack = desired.stack.clone();
        spawn_local(async move {
            for (login, reference) in due {
                registries.ask(&engine, reference, login).await;
            }
            registries.busy.set(false);
            // Where nobody listens any more, nobody wants to know.
            let _ = triggers.send(Trigger::Stack(stack));
        });
    }
}
