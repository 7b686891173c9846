//! May a profile be switched to on this host? Its stacks are read as a pass reads them, the host is looked at, the Engine is
//! asked, and nothing is changed; what stands in the way is for [`plan::preflight`] to say.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use docker::{Address, Cache, Engine, Interest};
use futures_util::{StreamExt as _, stream};
use plan::{
    desire::{Wish, desire},
    desired::{Desired, Inputs},
    ids::StackName,
    observed::Observed,
    preflight::{Around, Candidate, Unfound, against_engine, against_files, paths, to_ask},
};
use specs::{
    LoadRequest, Loaded, Problem, Sources, Text, disk::Disk, doc, lint, load, message, secrets::Identities,
};
use systemd::{
    listening::listeners,
    stat::{Asker, StatError},
};
use tokio::time::Instant;

use crate::{
    beside::beside,
    clock,
    exit::Failure,
    gather::{
        archives::Archives,
        declared::{Declared, defaults_of},
        folders, inputs, logins,
        pass::mounts,
        rooted::Rooted,
    },
    secrets::{
        decrypt::Decrypting,
        identities::{self, Found},
        sealed::{self, Sealed},
    },
};

/// How long a path of the host may take to answer.
const LOOK: Duration = Duration::from_secs(2);
/// How long one registry may take to answer, and all of them.
const ASK: Duration = Duration::from_secs(10);
const ASK_ALL: Duration = Duration::from_secs(60);
/// How many are asked at a time.
const PARALLEL: usize = 8;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// The profile that is to become the current one.
    pub profile: PathBuf,
    /// Where the Engine listens.
    pub engine: Address,
    /// Identities, as the daemon has them.
    pub age_key: Vec<PathBuf>,
    /// This host's name in owner labels.
    pub owner: String,
}

/// What was found.
#[derive(Debug)]
pub struct Answer {
    /// Of each stack: mistakes of the spec, which are errors whenever it is used.
    pub specs: Vec<(Vec<Problem>, Sources)>,
    /// Of each stack: what the host and its Engine say now.
    pub now: Vec<(Vec<Problem>, Sources)>,
    /// Why the Engine was not asked.
    pub engine: Result<(), String>,
}

/// One stack as it was read.
struct Read {
    problems: Vec<Problem>,
    sources: Sources,
    /// Where it loads.
    wanted: Option<(Loaded, Desired)>,
}

/// Asks everything.
///
/// # Errors
/// The profile cannot be read.
pub async fn preflight(question: Question) -> Result<Answer, Failure> {
    let (asked, is_local) = (question.clone(), matches!(question.engine, Address::Unix(_)));
    let looked = beside(move || {
        let read = read(&asked)?;
        let missing = if is_local { missing(&asked.profile, &read) } else { Vec::new() };
        Ok::<_, Failure>((read, missing))
    });
    let (mut read, missing) = looked.await.map_err(anyhow::Error::msg)??;
    conflicts(&mut read);
    let mut now: Vec<(Vec<Problem>, Sources)> =
        read.iter().map(|one| (Vec::new(), one.sources.clone())).collect();
    for (nth, problem) in missing {
        now[nth].0.push(problem);
    }
    let engine = against(&question, &read).await.map(|found| {
        found.into_iter().for_each(|(nth, problem)| now[nth].0.push(problem));
    });
    let specs = read.into_iter().map(|one| (one.problems, one.sources)).collect();
    Ok(Answer { specs, now, engine })
}

/// Reads all stacks, and opens what is encrypted in memory.
fn read(question: &Question) -> Result<Vec<Read>, Failure> {
    let declared = Declared::of(&question.profile)?;
    let Found { identities, .. } = identities::load(&identities::places(&question.age_key));
    let one =
        |(stack, folder): (&StackName, &PathBuf)| stack_of(question, &declared, stack, folder, &identities);
    Ok(declared.stacks.iter().map(one).collect())
}

fn stack_of(
    question: &Question,
    declared: &Declared,
    stack: &StackName,
    folder: &Path,
    identities: &Identities,
) -> Read {
    let root = PathBuf::from(declared.generation.as_str());
    let rooted = Rooted { inner: &Disk, profile: question.profile.clone(), root };
    let reader = Decrypting::new(&rooted, identities);
    let request = LoadRequest {
        working_directory: folder.to_owned(),
        defaults: defaults_of(folder),
        ..LoadRequest::default()
    };
    let loaded = load(&request, &reader);
    let mut sources = match &loaded {
        Ok(loaded) => loaded.sources.clone(),
        Err(found) => found.sources.clone(),
    };
    let sealed = sealed::of_stack(&question.profile, declared, folder, identities);
    let locked = sealed.iter().filter_map(|(path, file)| locked(&folder.join(path), file, &mut sources));
    let mut problems: Vec<Problem> = locked.collect();
    let wanted = match loaded {
        Ok(loaded) => {
            let inputs = Inputs {
                archives: Archives::default().of(&loaded.project, &reader),
                logins: logins::of_stack(&loaded.project, &reader),
                mounts: mounts(&loaded.project),
                ..Inputs::default()
            };
            let desired = desire(Wish {
                stack: stack.clone(),
                host: question.owner.clone(),
                generation: declared.generation.clone(),
                project: Arc::new(loaded.project.clone()),
                inputs,
                places: BTreeMap::new(),
            });
            Some((loaded, desired))
        }
        // One that stays closed fails the load, too, and is named already.
        Err(_) if !problems.is_empty() => None,
        Err(found) => {
            problems.extend(found.list);
            None
        }
    };
    Read { problems, sources, wanted }
}

/// An encrypted file that is used and stays closed.
fn locked(path: &Path, file: &Sealed, sources: &mut Sources) -> Option<Problem> {
    let (why, hint) = file.problem.as_ref().filter(|_| !file.used_by.is_empty())?;
    let path = Text::plain(path.to_string_lossy());
    let at = doc::Span { file: sources.add(&path, None), line: 1, column: 1, width: 1 };
    let users: Vec<&str> = file.used_by.iter().map(String::as_str).collect();
    let (why, users) = (Text::plain(why.as_str()), Text::plain(users.join(", ")));
    let what = message!("this host cannot open it: {}; needed by {}", why, users);
    let hint = message!("{}", Text::plain(hint.as_str()));
    Some(Problem::error("secret-locked", at, doc::Path::default(), what).hint(hint))
}

/// What stands between the stacks.
fn conflicts(read: &mut [Read]) {
    let loaded: Vec<(usize, String, &Loaded)> = read
        .iter()
        .enumerate()
        .filter_map(|(nth, one)| {
            let (loaded, desired) = one.wanted.as_ref()?;
            Some((nth, desired.stack.to_string(), loaded))
        })
        .collect();
    let stacks: Vec<(String, &Loaded)> =
        loaded.iter().map(|(_, stack, loaded)| (stack.clone(), *loaded)).collect();
    let found: Vec<(usize, Problem)> =
        lint::across(&stacks).into_iter().map(|(nth, problem)| (loaded[nth].0, problem)).collect();
    found.into_iter().for_each(|(nth, problem)| read[nth].problems.push(problem));
}

/// The stacks that load, with their numbers.
fn candidates(read: &[Read]) -> (Vec<usize>, Vec<Candidate<'_>>) {
    let loaded = read.iter().enumerate().filter_map(|(nth, one)| Some((nth, one.wanted.as_ref()?)));
    loaded.map(|(nth, (loaded, desired))| (nth, Candidate { loaded, desired })).unzip()
}

/// What is missing on this host, with the number of its stack.
fn missing(profile: &Path, read: &[Read]) -> Vec<(usize, Problem)> {
    let own: Vec<PathBuf> =
        std::iter::once(profile.to_owned()).chain(std::fs::canonicalize(profile)).collect();
    let asker = Asker::default();
    let is_gone = |path: &Path| matches!(asker.ask(path, LOOK), Err(StatError::Failed { .. }));
    // `all.yaml#key` is a value of a file.
    let is_missing =
        |path: &PathBuf| is_gone(path) && inputs::split(path, |path| kind(&asker, path)).1.is_none();
    let (numbers, candidates) = candidates(read);
    let found = numbers.into_iter().zip(&candidates).flat_map(|(nth, candidate)| {
        let project = &candidate.loaded.project;
        let missing: BTreeSet<PathBuf> = paths(candidate)
            .into_iter()
            .filter(|path| is_missing(path) && !folders::is_ensured(project, path))
            .collect();
        let found = against_files(candidate, &missing, &own);
        found.into_iter().map(move |problem| (nth, problem)).collect::<Vec<_>>()
    });
    found.collect()
}

fn kind(asker: &Asker, path: &Path) -> specs::FileKind {
    match asker.ask(path, LOOK) {
        Ok(found) if found.is_folder => specs::FileKind::Folder,
        Ok(_) => specs::FileKind::File,
        Err(_) => specs::FileKind::Missing,
    }
}

/// What the Engine, its registries and the host's ports say, with the number of its stack.
async fn against(question: &Question, read: &[Read]) -> Result<Vec<(usize, Problem)>, String> {
    let (numbers, candidates) = candidates(read);
    let engine = Engine::connect(&question.engine).await.map_err(|error| error.story())?;
    let images = candidates
        .iter()
        .flat_map(|candidate| candidate.desired.services.values())
        .map(|service| service.spec.image.expose().to_owned())
        .collect();
    let cache = RefCell::new(Cache::default());
    let observed = engine.observe(&Interest { images }, &cache, clock::now()).await;
    let observed = observed.map_err(|error| error.story())?;
    let unfound = unfound(&engine, &candidates, &observed).await;
    let is_local = matches!(question.engine, Address::Unix(_));
    let listeners = if is_local { beside(listeners).await? } else { Vec::new() };
    let units = question.profile.join("etc/systemd/system");
    let stays = |unit: &str| !units.is_dir() || has_unit(&units, unit);
    let around = Around { observed: &observed, unfound: &unfound, listeners: &listeners, stays: &stays };
    let found = against_engine(&candidates, &around).into_iter();
    Ok(found.map(|(nth, problem)| (numbers[nth], problem)).collect())
}

/// Whether a folder of units has one, or the template of one.
fn has_unit(units: &Path, unit: &str) -> bool {
    let template = unit.split_once('@').map(|(name, _)| format!("{name}@.service"));
    std::iter::once(unit.to_owned()).chain(template).any(|name| units.join(name).symlink_metadata().is_ok())
}

/// The images that have to be pulled and that no registry has confirmed.
async fn unfound(
    engine: &Engine,
    candidates: &[Candidate<'_>],
    observed: &Observed,
) -> BTreeMap<String, Unfound> {
    let mut wanted = BTreeMap::new();
    for candidate in candidates {
        for reference in to_ask(candidate, observed) {
            let login = candidate.desired.inputs.login(&reference);
            wanted.entry(reference).or_insert(login);
        }
    }
    let until = Instant::now() + ASK_ALL;
    let asked = stream::iter(wanted).map(|(reference, login)| async move {
        if Instant::now() >= until {
            let why = format!("registries have taken {} s, and it was not asked for", ASK_ALL.as_secs());
            return Some((reference, Unfound::Unknown(why)));
        }
        let login = match login {
            Ok(login) => Ok(login),
            Err(why) => logins::of_docker(&reference, &why).await,
        };
        let answer = engine.ask_registry(&reference, &login, ASK).await;
        answer.err().map(|why| (reference, why))
    });
    asked.buffer_unordered(PARALLEL).filter_map(std::future::ready).collect().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_there_where_its_template_is() {
        let folder = tempfile::tempdir().expect("a folder");
        for unit in ["nginx.service", "getty@.service"] {
            std::fs::write(folder.path().join(unit), "").expect("written");
        }
        let has = |unit: &str| has_unit(folder.path(), unit);
        assert!(has("nginx.service") && has("getty@tty1.service"));
        assert!(!has("apache.service") && !has("other@tty1.service"));
    }
}
