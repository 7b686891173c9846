//! `agentctl check`: would these stacks load, and can they live on one host? No daemon, no Engine, no key.

use std::{
    cell::RefCell,
    io,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use serde_json::json;
use specs::{
    Content, FileKind, LoadRequest, Loaded, Problem, ReadText, Sources, Text,
    disk::Disk,
    doc::{self, Span},
    lint, load, message,
    secrets::{Format as Sops, Kind, detect},
};
use zeroize::Zeroizing;

use super::{config::has_error, print, print_json, problems};
use crate::{
    exit::{Exit, Failure},
    gather::declared::{Declared, FOLDER, compose_file, defaults_of},
};

/// Loads compose files, stack folders or whole profiles, and says everything that is wrong with them.
///
/// Needs no key: of an encrypted file, the names of its variables are read. Exit status 1 for errors.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// A compose file, the folder of a stack, or a system profile.
    #[arg(required = true)]
    paths: Vec<PathBuf>,

    /// How problems are printed.
    #[arg(long, default_value = "text", value_name = "FORMAT")]
    format: Format,

    /// Warnings fail, too.
    #[arg(long)]
    strict: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Github,
}

/// The problems of one load, and the files that they point into.
type Found = (Vec<Problem>, Sources);

impl Check {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let mut found = Vec::new();
        for path in &self.paths {
            let path = std::path::absolute(path)?;
            if path.join(FOLDER).is_dir() {
                found.extend(profile(&path)?);
            } else {
                found.push(one(&path)?.0);
            }
        }
        self.show(&found)?;
        let bad = |list: &Vec<Problem>| has_error(list) || (self.strict && !list.is_empty());
        // Not the status of a stack but of a file: 1, as compilers have it.
        Ok(if found.iter().any(|(list, _)| bad(list)) { Exit::NoAnswer } else { Exit::Converged })
    }

    fn show(&self, found: &[Found]) -> Result<(), Failure> {
        let all =
            || found.iter().flat_map(|(list, sources)| list.iter().map(move |problem| (problem, sources)));
        match self.format {
            Format::Text => {
                for (problem, sources) in all() {
                    print(&problems::text(problem, sources));
                }
                let errors = all().filter(|(problem, _)| has_error(std::slice::from_ref(*problem))).count();
                anstream::eprintln!(
                    "{} checked: {errors} errors, {} warnings",
                    found.len(),
                    all().count() - errors
                );
            }
            Format::Json => {
                let list: Vec<_> = all().map(|(problem, sources)| problems::json(problem, sources)).collect();
                print_json(&json!({ "version": 1, "problems": list }))?;
            }
            Format::Github => all().for_each(|(problem, sources)| print(&problems::github(problem, sources))),
        }
        Ok(())
    }
}

/// A compose file, or the folder of a stack.
fn one(path: &Path) -> Result<(Found, Option<Loaded>), Failure> {
    let is_folder = path.is_dir();
    if is_folder && compose_file(path).is_none() {
        return Err(Failure::usage(format!("{} is neither a stack nor a profile", path.display()))
            .hint(format!("a stack has a compose.yaml, a profile has {FOLDER}/")));
    }
    let request = LoadRequest {
        working_directory: if is_folder { path.to_owned() } else { path.parent().unwrap_or(path).to_owned() },
        files: if is_folder { Vec::new() } else { vec![path.to_owned()] },
        defaults: if is_folder { defaults_of(path) } else { path.parent().and_then(defaults_of) },
        ..LoadRequest::default()
    };
    let reader = Keyless::default();
    Ok(match load(&request, &reader) {
        Ok(loaded) => {
            let mut problems = loaded.warnings.clone();
            problems.extend(lint::lint(&loaded, &|path| path.exists()));
            ((problems, loaded.sources.clone()), Some(loaded))
        }
        Err(_) if !reader.specs.borrow().is_empty() => {
            let list = reader.specs.borrow().iter().map(|path| unknown(path)).collect();
            ((list, Sources::default()), None)
        }
        Err(found) => ((found.list, found.sources), None),
    })
}

/// All stacks of a profile, and what stands between them.
fn profile(path: &Path) -> Result<Vec<Found>, Failure> {
    let declared = Declared::of(path)?;
    let mut found = Vec::new();
    let mut loaded = Vec::new();
    for (stack, folder) in &declared.stacks {
        let (problems, project) = one(folder)?;
        loaded.extend(project.map(|project| (found.len(), stack.to_string(), project)));
        found.push(problems);
    }
    let stacks: Vec<(String, &Loaded)> =
        loaded.iter().map(|(_, stack, loaded)| (stack.clone(), loaded)).collect();
    for (nth, problem) in lint::across(&stacks) {
        found[loaded[nth].0].0.push(problem);
    }
    Ok(found)
}

/// A part of a spec that only a key makes readable: neither right nor wrong here.
fn unknown(path: &Path) -> Problem {
    let message =
        message!("{} is encrypted: what it says is not checked", Text::plain(path.display().to_string()));
    let at = Span::default();
    Problem::warning("encrypted", at, doc::Path::default(), message)
        .hint("`agentctl secrets` says who can read it")
}

/// Reads an encrypted file as its shape: the names of its variables, each with a value that stands for any.
#[derive(Default)]
pub(super) struct Keyless {
    /// Encrypted files that a whole spec would be read from.
    specs: RefCell<Vec<PathBuf>>,
}

impl ReadText for Keyless {
    fn read(&self, path: &Path) -> io::Result<Content> {
        let content = Disk.read(path)?;
        Ok(match detect(&content.bytes) {
            None => content,
            Some(kind) => {
                if kind == Kind::Sops(Sops::Yaml) {
                    self.specs.borrow_mut().push(path.to_owned());
                }
                Content { bytes: Zeroizing::new(shape(kind, &content.bytes)), secret: true }
            }
        })
    }

    fn kind(&self, path: &Path) -> FileKind {
        Disk.kind(path)
    }

    fn resolve(&self, path: &Path) -> PathBuf {
        Disk.resolve(path)
    }
}

fn shape(kind: Kind, bytes: &[u8]) -> Vec<u8> {
    if kind != Kind::Sops(Sops::Dotenv) {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(bytes);
    let names = text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name.trim());
    let names = names.filter(|name| !name.starts_with('#') && !name.starts_with("sops_"));
    names.flat_map(|name| format!("{name}=encrypted\n").into_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn stack(root: &Path, name: &str, text: &str) {
        let folder = root.join(FOLDER).join(name);
        fs::create_dir_all(&folder).expect("made");
        fs::write(folder.join("compose.yaml"), text).expect("written");
    }

    fn rules(found: &[Found]) -> Vec<String> {
        found
            .iter()
            .flat_map(|(list, _)| {
                list.iter().map(|problem| format!("{} {}", problem.rule.0, problem.message))
            })
            .collect()
    }

    #[test]
    fn two_stacks_that_want_the_same_name_and_port_are_told_where() {
        let root = tempfile::tempdir().expect("a folder");
        stack(
            root.path(),
            "a",
            "services:\n  web:\n    image: x:1\n    container_name: one\n    ports: ['80:80', '127.0.0.1:81:81']\n",
        );
        stack(
            root.path(),
            "b",
            "services:\n  web:\n    image: x:1\n    container_name: one\n    ports: ['80:8080', '81:81']\n",
        );
        let found = profile(root.path()).expect("readable");
        let collisions: Vec<String> =
            rules(&found).into_iter().filter(|rule| rule.contains("collision")).collect();
        assert_eq!(collisions.len(), 3, "{collisions:?}");
        assert!(
            collisions[0].contains("container name `one`") && collisions[0].contains("compose.yaml:4"),
            "{collisions:?}"
        );
        assert!(collisions[1].contains("host port `80/tcp`"), "{collisions:?}");
        assert!(collisions[2].contains("host port `81/tcp`"), "{collisions:?}");
    }

    #[test]
    fn an_encrypted_env_file_is_known_by_its_names_without_a_key() {
        let root = tempfile::tempdir().expect("a folder");
        stack(
            root.path(),
            "a",
            "services:\n  web:\n    image: x:1\n    environment: {PW: '${PW:?needed}'}\n",
        );
        let env = "PW=ENC[AES256_GCM,data:aa,iv:bb,tag:cc,type:str]\nsops_mac=ENC[AES256_GCM,data:aa,iv:bb,tag:cc,type:str]\nsops_version=3.11.0\n";
        fs::write(root.path().join(FOLDER).join("a/.env"), env).expect("written");
        let found = profile(root.path()).expect("readable");
        assert!(!found.iter().any(|(list, _)| has_error(list)), "{:?}", rules(&found));
    }

    #[test]
    fn a_spec_that_is_encrypted_itself_is_neither_right_nor_wrong() {
        let root = tempfile::tempdir().expect("a folder");
        stack(root.path(), "a", "a: ENC[AES256_GCM,data:aa,iv:bb,tag:cc,type:str]\nsops:\n    mac: ENC[x]\n");
        let found = profile(root.path()).expect("readable");
        assert!(!found.iter().any(|(list, _)| has_error(list)), "{:?}", rules(&found));
        assert!(rules(&found)[0].contains("compose.yaml is encrypted"), "{:?}", rules(&found));
    }

    #[test]
    fn what_is_neither_is_a_wrong_call() {
        let root = tempfile::tempdir().expect("a folder");
        assert_eq!(one(root.path()).expect_err("no stack").exit, Exit::Usage);
    }
}
