//! The real Docker Compose: where is it, and how is it run against a test's Engine?

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The real `docker-compose` 2.40.
#[derive(Debug)]
pub struct Compose(PathBuf);

impl Compose {
    /// The one in `$COMPOSE_AGENT_PEERS/bin`, which `tests/run` fills where it can.
    pub fn find() -> Option<Self> {
        let path = PathBuf::from(std::env::var_os("COMPOSE_AGENT_PEERS")?).join("bin/docker-compose");
        path.is_file().then_some(Self(path))
    }

    fn on(&self, host: &str, folder: &Path) -> Command {
        let mut command = Command::new(&self.0);
        // The agent reads no variables of its own environment either.
        command.env_clear().env("DOCKER_HOST", host).arg("-f").arg(folder.join("compose.yaml"));
        command.arg("--project-directory").arg(folder);
        command
    }

    /// `docker compose up -d` of a project folder, on the Engine at `host`.
    ///
    /// # Panics
    /// It failed.
    pub fn up(&self, host: &str, folder: &Path) {
        self.up_with(host, folder, &[]);
    }

    /// The same with variables set.
    ///
    /// # Panics
    /// It failed.
    pub fn up_with(&self, host: &str, folder: &Path, variables: &[(&str, &str)]) {
        let mut command = self.on(host, folder);
        command.envs(variables.iter().copied()).args(["up", "-d", "--remove-orphans"]);
        let output = command.output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", folder.display());
    }

    /// `docker compose create` of one service, which may fail.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn create(&self, host: &str, folder: &Path, service: &str) -> Output {
        self.on(host, folder).args(["create", service]).output().expect("it runs")
    }
}
