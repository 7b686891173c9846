//! One Engine, one profile and the built programs: what most stories need.

use serde_json::Value;

use crate::{Engine, Profile, Programs};

/// The three of them.
#[derive(Debug)]
pub struct Lab {
    /// The Engine.
    pub engine: Engine,
    /// The profile.
    pub profile: Profile,
    /// The programs.
    pub programs: Programs,
}

impl Default for Lab {
    fn default() -> Self {
        let engine = Engine::start(&[]);
        let profile = Profile::new(engine.folder());
        let programs = Programs::new(&engine, &profile);
        Self { engine, profile, programs }
    }
}

impl Lab {
    /// Switches to a generation that declares one stack.
    pub fn declare(&self, generation: &str, stack: &str, compose: &str) {
        self.profile.write(generation, stack, "compose.yaml", compose);
        self.profile.switch(generation);
    }

    /// Waits until a stack has come to `generation` and to rest.
    ///
    /// # Panics
    /// It does not in time.
    pub fn settles(&self, name: &str, generation: &str) {
        self.programs.wait_until(&format!("{name} is as {generation} declares it"), || {
            let stack = self.stack(name);
            stack["phase"] == "converged"
                && stack["generation"].as_str().is_some_and(|now| now.ends_with(generation))
        });
    }

    /// What the status says of a stack.
    pub fn stack(&self, name: &str) -> Value {
        let status = self.programs.status();
        let mut stacks = status["stacks"].as_array().into_iter().flatten();
        stacks.find(|stack| stack["name"] == name).cloned().unwrap_or(Value::Null)
    }

    /// Waits until a stack is in `phase` for a reason with `words` in it.
    ///
    /// # Panics
    /// It does not come to that in time.
    pub fn wait(&self, name: &str, phase: &str, words: &str) {
        self.programs.wait_until(&format!("{name} is {phase}: {words}"), || {
            let stack = self.stack(name);
            stack["phase"] == phase && stack["reason"].as_str().is_some_and(|reason| reason.contains(words))
        });
    }

    /// Whether a container of this name runs.
    pub fn running(&self, name: &str) -> bool {
        !self.engine.docker_prints(&["ps", "-q", "--filter", &format!("name=^{name}$")]).is_empty()
    }
}
