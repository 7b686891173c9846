//! What does the world say about one stack: its spec, its secrets, its files?
//!
//! Reads only, apart from plaintext files on the agent's memory file system. What was loaded is kept and used again while
//! nothing that it was made from has changed, so that an event of the Engine reads no file.

pub(crate) mod api_socket;
pub mod archives;
pub(crate) mod bound;
mod build_secrets;
pub mod builds;
pub mod declared;
pub(crate) mod devices;
pub mod folders;
pub mod images;
pub mod inputs;
pub mod logins;
pub(crate) mod pass;
pub mod rooted;
pub mod seccomp;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use plan::{
    desired::Inputs,
    ids::{Generation, ProjectName},
    status::FailedBy,
};
use specs::{
    LoadRequest, Loaded, Problem, Severity, Sources, canonical, disk::Disk, doc, load, mask::Mask,
    model::Project,
};
use systemd::{
    keys::Places,
    runtime_dir::{Medium, digest_key},
};

use crate::{
    gather::archives::Archives,
    gather::inputs::Look,
    gather::rooted::Rooted,
    secrets::decrypt::{Decrypting, Seen, unchanged},
    secrets::identities::{self, Found},
    secrets::placing::Placing,
};

/// What a stack's spec says, and what it was read from.
#[derive(Debug, Clone)]
pub struct Want {
    /// The generation that it was read from.
    pub generation: Generation,
    /// The stack's folder there.
    pub folder: PathBuf,
    /// The project, or why there is none.
    pub project: Result<Arc<Project>, String>,
    /// What failed it, where that was not the spec itself.
    pub failed_by: Option<FailedBy>,
    /// The warnings of the load.
    pub notes: Vec<String>,
    /// What was found out about its files.
    pub inputs: Inputs,
    /// Where fields were written: `services.web.image` → `compose.yaml:3:5`.
    pub places: BTreeMap<String, String>,
    /// Every path that was looked at.
    pub seen: Arc<Seen>,
    /// What of it was read and is not in the profile: nobody says when it changes.
    pub elsewhere: Arc<Seen>,
    /// What somebody may quote who was told of it.
    pub secrets: Arc<Mask>,
}

impl Want {
    /// Whether reading again would give the same.
    pub fn is_current(&self, generation: &Generation, folder: &Path) -> bool {
        self.generation == *generation
            && self.folder == folder
            && unchanged(&self.seen)
            && self.inputs.all_placed().all(|file| file.path.exists())
    }

    /// The project's name, where it loaded.
    pub fn project_name(&self) -> Option<ProjectName> {
        self.project.as_ref().ok().map(|project| ProjectName::from(project.name.as_str()))
    }
}

/// What is to be read.
#[derive(Debug, Clone)]
pub struct Source {
    /// The generation that declares the stack.
    pub generation: Generation,
    /// The stack's folder there.
    pub folder: PathBuf,
    /// The profile's path, under which it is known.
    pub profile: PathBuf,
    /// Where identities are.
    pub keys: Places,
    /// Where plaintext files go.
    pub runtime_dir: PathBuf,
    /// On what they may lie.
    pub medium: Medium,
    /// Where the digest key is.
    pub state_dir: PathBuf,
    /// What is known of image archives.
    pub archives: Arc<Archives>,
    /// Nothing is written: plaintext files get their places, and not their content.
    pub preview: bool,
}

/// Loads a stack's spec; encrypted files are decrypted in memory. May hang with the file system that it reads from.
///
/// The daemon's own environment is not looked at: what a spec means must not depend on who started the agent.
pub fn gather(source: Source) -> Want {
    let Found { identities, troubles, looked_at } = identities::load(&source.keys);
    let root = PathBuf::from(source.generation.as_str());
    let known_as = source.folder.strip_prefix(&root).map(|below| source.profile.join(below));
    let working_directory = known_as.unwrap_or_else(|_| source.folder.clone());
    let rooted = Rooted { inner: &Disk, profile: source.profile.clone(), root };
    let reader = Decrypting::new(&rooted, &identities);
    for key in &looked_at {
        reader.look_into(key);
    }
    let defaults = declared::defaults_of(&working_directory);
    let request = LoadRequest { working_directory, defaults, ..LoadRequest::default() };
    let mut places = BTreeMap::new();
    let mut inputs = Inputs::default();
    let mut secrets = Mask::default();
    let (project, notes) = match load(&request, &reader) {
        Ok(loaded) => {
            let notes = loaded.warnings.iter().map(|problem| line(problem, &loaded.sources)).collect();
            places = places_of(&loaded);
            secrets = Mask::of(loaded.environment.values().chain(&canonical::secret_values(&loaded.project)));
            let mut project = loaded.project;
            let given = api_socket::give(&mut project, &reader).map_err(|error| vec![error]);
            match given.and_then(|()| look(&source, &reader, &project)) {
                Ok(found) => {
                    inputs = found;
                    inputs.logins = logins::of_stack(&project, &reader);
                    inputs.archives = source.archives.of(&project, &reader);
                    (Ok(Arc::new(project)), notes)
                }
                Err(found) => (Err(found.into_iter().chain(troubles).collect::<Vec<_>>().join("; ")), notes),
            }
        }
        Err(found) => {
            let errors = found.list.iter().filter(|problem| problem.severity == Severity::Error);
            let lines: Vec<String> =
                errors.map(|problem| line(problem, &found.sources)).chain(troubles).collect();
            (Err(lines.join("; ")), Vec::new())
        }
    };
    let failed_by = (project.is_err() && reader.was_refused()).then_some(FailedBy::Secrets);
    let outside =
        |path: &PathBuf| !path.starts_with(&source.profile) && !path.starts_with(source.generation.as_str());
    let elsewhere = reader.read_files().into_iter().filter(|(path, _)| outside(path)).collect();
    let seen = Arc::new(reader.seen());
    let secrets = Arc::new(secrets);
    Want {
        generation: source.generation,
        folder: source.folder,
        failed_by,
        project,
        notes,
        inputs,
        places,
        seen,
        elsewhere: Arc::new(elsewhere),
        secrets,
    }
}

/// What the project's files are; encrypted ones are placed as plaintext.
fn look(source: &Source, reader: &Decrypting<'_>, project: &Project) -> Result<Inputs, Vec<String>> {
    let key = digest_key(&source.state_dir).map_err(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        vec![format!("cannot use the digest key: {error}: {cause}")]
    })?;
    let placing = Placing::new(&source.runtime_dir, source.medium);
    let place = |declared: &Path, bytes: &[u8], owner, how| {
        if source.preview {
            Ok(placing.place_of(declared, owner))
        } else {
            placing.place(declared, bytes, owner, how)
        }
    };
    let declared_below =
        vec![source.profile.clone(), source.folder.clone(), PathBuf::from(source.generation.as_str())];
    let mut inputs = Look { reader, key: &key, declared_below, place: &place }.inputs_of(project)?;
    inputs.builds = builds::of(project, reader, &key);
    Ok(inputs)
}

/// The places of every service and of its fields.
pub(crate) fn places_of(loaded: &Loaded) -> BTreeMap<String, String> {
    let services = doc::Path::of("services");
    let fields = |name: &str| {
        let service = loaded.document.get("services").and_then(|services| services.get(name));
        service
            .and_then(doc::Node::as_map)
            .map(|map| map.keys().cloned().collect::<Vec<_>>())
            .unwrap_or_default()
    };
    let of = |path: doc::Path| Some((path.to_string(), loaded.place(&path)?));
    loaded
        .project
        .services
        .keys()
        .flat_map(|name| {
            let service = services.key(name);
            let fields = fields(name).into_iter().map(|field| service.key(&field)).collect::<Vec<_>>();
            std::iter::once(service.clone()).chain(fields)
        })
        .filter_map(of)
        .collect()
}

/// A problem in one line.
fn line(problem: &Problem, sources: &Sources) -> String {
    let place = problem.at.map_or_else(String::new, |at| format!("{}: ", sources.place(at)));
    let path = if problem.path.0.is_empty() { String::new() } else { format!("{}: ", problem.path) };
    let hint = problem.hint.as_ref().map_or_else(String::new, |hint| format!("; {hint}"));
    format!("{place}{path}{}{hint}", problem.message)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use specs::settings::DriftAction;

    use super::*;

    fn source(folder: &Path) -> Source {
        Source {
            generation: folder.to_string_lossy().as_ref().into(),
            folder: folder.to_owned(),
            profile: folder.join("profile"),
            keys: Places::default(),
            runtime_dir: folder.join("run"),
            medium: Medium::Any,
            state_dir: folder.to_owned(),
            archives: Arc::default(),
            preview: false,
        }
    }

    #[test]
    fn a_spec_is_read_again_only_when_something_that_it_was_made_from_has_changed() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("compose.yaml"), "services: {web: {image: 'x:${TAG:-1}'}}\n")
            .expect("written");
        let want = gather(source(folder.path()));
        assert_eq!(want.project.as_ref().expect("it loads").services["web"].image, "x:1");
        assert!(want.is_current(&want.generation, folder.path()));
        assert!(!want.is_current(&"another".into(), folder.path()));
        fs::write(folder.path().join(".env"), "TAG=2\n").expect("written");
        assert!(!want.is_current(&"g".into(), folder.path()), "a file that was looked for has appeared");
        let want = gather(source(folder.path()));
        assert_eq!(want.project.expect("it loads").services["web"].image, "x:2");
    }

    #[test]
    fn what_agent_yaml_says_counts_for_every_stack_that_does_not_say_otherwise() {
        let folder = tempfile::tempdir().expect("a folder");
        let all = folder.path().join(declared::FOLDER);
        std::os::unix::fs::symlink(folder.path(), folder.path().join("profile")).expect("linked");
        let put = |file: &str, text: &str| {
            let path = all.join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, text).expect("written");
        };
        let gathered = |stack: &str| gather(Source { folder: all.join(stack), ..source(folder.path()) });
        put("agent.yaml", "drift: report\nhealth_deadline: 7s\nenv_files: [common.env]\n");
        put(
            "own/compose.yaml",
            "x-agent: {drift: correct, env_files: []}\nservices: {web: {image: 'x:1'}}\n",
        );
        put("all/compose.yaml", "services: {web: {image: 'x:${TAG}'}}\n");
        put("all/common.env", "TAG=2\n");
        let own = gathered("own").project.expect("it loads");
        assert_eq!(own.settings.drift.default, DriftAction::Correct);
        assert_eq!(own.settings.health_deadline.0, 7_000_000_000, "key by key");
        let want = gathered("all");
        let project = want.project.as_ref().expect("it loads");
        assert_eq!(project.settings.drift.default, DriftAction::Report);
        assert_eq!(project.services["web"].image, "x:2");
        put("agent.yaml", "drift: perhaps\nno_such: 1\n");
        assert!(!want.is_current(&want.generation, &want.folder), "it is one of the stack's files");
        let error = gathered("all").project.expect_err("nobody knows what is wanted");
        assert!(error.contains("agent.yaml:1:8") && error.contains("agent.yaml:2:1"), "{error}");
    }

    #[test]
    fn what_does_not_load_says_where_and_an_unusable_identity_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("compose.yaml"), "services:\n  web: 7\n").expect("written");
        let want = gather(Source {
            keys: Places { given: vec!["/nowhere/key".into()], ..Places::default() },
            ..source(folder.path())
        });
        let error = want.project.expect_err("it does not load");
        assert!(error.contains("compose.yaml:2") && error.contains("/nowhere/key"), "{error}");
    }
}
