//! `agentctl preflight`: may a profile be switched to on this host? Needs no daemon, and changes nothing.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use docker::Address;
use specs::{Problem, Severity, Sources};
use tokio::runtime;

use super::{config::has_error, problems::talk};
use crate::{
    exit::{Exit, Failure},
    preflight::{Answer, Question, preflight},
};

/// Checks a profile against this host before it is switched to, and changes nothing: specs, secrets, images, bind sources,
/// host ports, container names. Exit status 1 where a stack could not come up.
///
/// Needs the Engine and no daemon. Where the Engine does not answer, that is said, and nothing is refused for it.
#[derive(Debug, Args)]
pub(super) struct Preflight {
    /// The profile: a build's result.
    profile: PathBuf,

    /// Where the Engine listens, `unix:///path` or `tcp://address:port`.
    #[arg(long, value_name = "ADDRESS", env = "DOCKER_HOST", default_value = "unix:///var/run/docker.sock")]
    docker_host: String,

    /// A file with age identities, or an ssh host key; as the daemon's.
    #[arg(long, value_name = "FILE", num_args = 1)]
    age_key: Vec<PathBuf>,

    /// This host's name in the owner label of containers [default: the host's name].
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,

    /// What is done with the profile, in NixOS's words: `boot` warns of what only counts now, `dry-activate` refuses nothing.
    #[arg(long, default_value = "switch", value_name = "VERB", value_parser = Verb::read)]
    verb: Verb,
}

/// What is done with the profile, as far as that makes a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    /// It becomes the current one now.
    Switch,
    /// It becomes the current one when the host starts again: what runs now is gone then.
    Boot,
    /// Nothing.
    Look,
}

impl Verb {
    /// A word that is not known is taken for the one that is checked the most.
    fn read(word: &str) -> Result<Self, std::convert::Infallible> {
        Ok(match word {
            "boot" => Self::Boot,
            "dry-activate" => Self::Look,
            _ => Self::Switch,
        })
    }
}

impl Preflight {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("cannot start the runtime")?;
        let question = Question {
            profile: std::path::absolute(&self.profile)?,
            engine: Address::parse(&self.docker_host).map_err(Failure::usage)?,
            age_key: self.age_key,
            owner: self
                .owner
                .unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned()),
        };
        let mut answer = runtime.block_on(preflight(question))?;
        // A file system that does not answer must not keep the program from ending.
        runtime.shutdown_background();
        if self.verb != Verb::Switch {
            soften(&mut answer.now);
        }
        let refused = show(&answer);
        Ok(if refused && self.verb != Verb::Look { Exit::NoAnswer } else { Exit::Converged })
    }
}

/// Makes warnings of what only counts now.
fn soften(found: &mut [(Vec<Problem>, Sources)]) {
    found.iter_mut().flat_map(|(list, _)| list).for_each(|problem| problem.severity = Severity::Warning);
}

/// Says everything on standard error; whether there is an error among it.
fn show(answer: &Answer) -> bool {
    let all = || answer.specs.iter().chain(&answer.now);
    all().for_each(|(list, sources)| talk(list, sources));
    if let Err(why) = &answer.engine {
        anstream::eprintln!("warning: images, ports and names are not checked: {why}");
    }
    let errors = all().flat_map(|(list, _)| list).filter(|one| one.severity == Severity::Error).count();
    let warnings = all().map(|(list, _)| list.len()).sum::<usize>() - errors;
    anstream::eprintln!("{} stacks: {errors} errors, {warnings} warnings", answer.specs.len());
    all().any(|(list, _)| has_error(list))
}
