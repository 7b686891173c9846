//! Does every case mean what Docker Compose says that it means?
//!
//! A case is a folder `cases/TOPIC/CASE`: a compose file with its side files, and what the real Docker Compose 2.40 said
//! about it, recorded by `tests/record-cases`. The cases were recorded below [`RECORDED_AT`]; a reader that looks there
//! finds the folder of this repository, so that printed paths and hashes are compared byte for byte.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where its fixture is broken")]

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use specs::{
    Content, FileKind, LoadRequest, Loaded, Problems, ReadText, Severity, Text,
    canonical::{self, Secrets},
    disk::Disk,
    hash, load,
    model::Service,
};

const RECORDED_AT: &str = "/tmp/compose-cases";

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

/// Reads what was recorded below [`RECORDED_AT`] from the repository; nothing else of the machine is there.
struct Recorded;

impl Recorded {
    fn place(path: &Path) -> Option<PathBuf> {
        Some(cases().join(path.strip_prefix(RECORDED_AT).ok()?))
    }
}

impl ReadText for Recorded {
    fn read(&self, path: &Path) -> io::Result<Content> {
        Disk.read(&Self::place(path).ok_or(io::ErrorKind::NotFound)?)
    }

    fn kind(&self, path: &Path) -> FileKind {
        Self::place(path).map_or(FileKind::Missing, |path| Disk.kind(&path))
    }

    fn resolve(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
}

struct Case {
    name: String,
    folder: PathBuf,
}

impl Case {
    fn all() -> Vec<Self> {
        let below = |folder: &Path| {
            let mut found: Vec<PathBuf> =
                fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
            found.retain(|path| path.is_dir());
            found.sort();
            found
        };
        let folders = below(&cases()).into_iter().flat_map(|topic| below(&topic));
        folders
            .map(|folder| Self { name: folder.strip_prefix(cases()).unwrap().display().to_string(), folder })
            .collect()
    }

    fn file(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(name)).ok()
    }

    fn request(&self) -> LoadRequest {
        let mut request = LoadRequest {
            working_directory: Path::new(RECORDED_AT).join(&self.name),
            environment: [("HOME", "/home/case"), ("PATH", "/usr/bin")]
                .map(|(key, value)| (key.to_owned(), Text::plain(value)))
                .into(),
            ..LoadRequest::default()
        };
        for line in self.file("environment").iter().flat_map(|text| text.lines()) {
            let (key, value) = line.split_once('=').unwrap();
            request.environment.insert(key.to_owned(), value.into());
        }
        let written = self.file("arguments").unwrap_or_default();
        let mut words = written.lines();
        while let Some(flag) = words.next() {
            let value = words.next().unwrap();
            match flag {
                "-f" => request.files.push(value.into()),
                "-p" => request.name = Some(value.into()),
                "--profile" => request.profiles.push(value.into()),
                "--env-file" => request.env_files.push(value.into()),
                "--project-directory" => request.project_directory = Some(value.into()),
                other => panic!("{}: unknown argument {other}", self.name),
            }
        }
        request
    }

    fn load(&self) -> Result<Loaded, Problems> {
        load(&self.request(), &Recorded)
    }
}

/// The first line in which two texts differ.
fn difference(name: &str, ours: &str, recorded: &str) -> Option<String> {
    if ours == recorded {
        return None;
    }
    let nth = ours.lines().zip(recorded.lines()).take_while(|(a, b)| a == b).count();
    let line = |text: &str| text.lines().nth(nth).unwrap_or("(end)").to_owned();
    Some(format!("{name}:{}\n    ours {}\n    want {}", nth + 1, line(ours), line(recorded)))
}

fn report(failures: &[String], of: usize) {
    assert!(failures.is_empty(), "{} of {of} cases differ:\n{}", failures.len(), failures.join("\n"));
}

/// Holds a printed form of every accepted case against its recording.
fn compare(recording: &str, print: impl Fn(&Loaded) -> String) {
    let recorded: Vec<(Case, String)> = Case::all()
        .into_iter()
        .filter_map(|case| Some((case.file(recording)?, case)))
        .map(|(text, case)| (case, text))
        .collect();
    assert!(recorded.len() > 100, "only {} recordings of {recording}", recorded.len());
    let failures: Vec<String> = recorded
        .iter()
        .filter_map(|(case, text)| match case.load() {
            Ok(loaded) => difference(&case.name, &print(&loaded), text),
            Err(problems) => Some(format!("{}: refused\n    {problems}", case.name)),
        })
        .collect();
    report(&failures, recorded.len());
}

#[test]
fn the_canonical_json_is_docker_composes() {
    compare("expected.json", |loaded| canonical::json(&loaded.project, Secrets::Mask));
}

#[test]
fn the_variables_are_docker_composes() {
    for name in ["printed/variables", "printed/extends", "printed/project", "printed/plain"] {
        let case = Case { name: name.to_owned(), folder: cases().join(name) };
        let found = specs::variables(&case.request(), &Recorded).unwrap();
        let recorded = case.file("expected.variables").unwrap();
        assert_eq!(difference(name, &specs::variables::table(&found), &recorded), None);
    }
}

#[test]
fn the_canonical_yaml_is_docker_composes() {
    compare("expected.yaml", |loaded| canonical::yaml(&loaded.project, Secrets::Mask));
}

#[test]
fn the_hashes_are_docker_composes() {
    compare("expected.hash", |loaded| {
        let line = |name: &str, service: &Service| {
            // `docker compose up` hashes the paths of label files as well, and `config --hash` does not.
            let printed = Service { label_files: Vec::new(), ..service.clone() };
            format!("{name} {}\n", hash::service(&printed, &BTreeMap::new()))
        };
        loaded.project.services.iter().map(|(name, service)| line(name, service)).collect()
    });
}

#[test]
fn what_docker_compose_refuses_is_refused_with_a_place() {
    let refused: Vec<Case> = Case::all().into_iter().filter(|case| case.file("refused").is_some()).collect();
    assert!(refused.len() > 100, "only {} recordings of refused", refused.len());
    let failures: Vec<String> = refused
        .iter()
        .filter_map(|case| match case.load() {
            Ok(_) => Some(format!("{}: accepted; want {}", case.name, case.file("refused")?.trim())),
            Err(problems) => {
                let mut errors = problems.list.iter().filter(|problem| problem.severity == Severity::Error);
                // What was asked for on the command line or in the environment stands in no file.
                let asked = case.name.starts_with("asked/");
                (!asked && !errors.any(|problem| problem.at.is_some()))
                    .then(|| format!("{}: no place: {problems}", case.name))
            }
        })
        .collect();
    report(&failures, refused.len());
}

#[test]
fn every_case_is_recorded() {
    let missing: Vec<String> = Case::all()
        .into_iter()
        .filter(|case| ["expected.yaml", "refused"].iter().all(|name| case.file(name).is_none()))
        .map(|case| case.name)
        .collect();
    report(&missing, Case::all().len());
}
