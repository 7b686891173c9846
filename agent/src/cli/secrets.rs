//! `agentctl secrets`: which encrypted files does a profile have, can this host read them, and who gets what is in them?
//! Never a value. Needs no daemon, only the right to read the identities.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use clap::Args;
use serde::Serialize;

use super::{
    print, print_json,
    table::{BAD, Cell, FAINT, GOOD, Table, terminal_width},
};
use crate::{
    exit::{Exit, Failure},
    gather::declared::Declared,
    secrets::identities::{self, Found},
    secrets::sealed::{self, Sealed},
};

/// Lists the encrypted files of a profile: what each is, whether this host can read it, and who uses it.
///
/// Exit status 4 where a file that something uses cannot be read. Run it as root: others cannot read the host's keys.
#[derive(Debug, Args)]
pub(super) struct Secrets {
    /// The system profile.
    #[arg(long, default_value = "/run/current-system", value_name = "PATH")]
    profile: PathBuf,

    /// A file with age identities, or an ssh host key; as the daemon's.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    age_key: Vec<PathBuf>,

    /// For programs; has all recipients.
    #[arg(long)]
    json: bool,
}

/// The answer's JSON.
#[derive(Debug, Serialize)]
struct Answer {
    version: u32,
    profile: PathBuf,
    identities: Vec<Identity>,
    /// Identities that were named and cannot be used.
    troubles: Vec<String>,
    files: Vec<File>,
}

#[derive(Debug, Serialize)]
struct Identity {
    label: String,
    recipient: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
}

#[derive(Debug, Serialize)]
struct File {
    stack: String,
    path: PathBuf,
    format: String,
    /// One list a key group.
    recipients: Vec<Vec<String>>,
    /// How many groups must be opened.
    threshold: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_modified: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sops_version: Option<String>,
    readable: bool,
    /// With which identities.
    opened_by: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    used_by: BTreeSet<String>,
}

impl Secrets {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let answer = self.look()?;
        let locked = answer.files.iter().any(|file| !file.readable && !file.used_by.is_empty());
        if self.json {
            print_json(&answer)?;
        } else {
            show(&answer);
        }
        Ok(if locked { Exit::Failed } else { Exit::Converged })
    }

    fn look(&self) -> Result<Answer, Failure> {
        let declared = Declared::of(&self.profile)?;
        let Found { identities, troubles, .. } = identities::load(&identities::places(&self.age_key));
        let mut files = Vec::new();
        for (stack, folder) in &declared.stacks {
            let found = sealed::of_stack(&self.profile, &declared, folder, &identities);
            files.extend(found.into_iter().map(|(path, sealed)| file(stack.as_str(), path, sealed)));
        }
        let identities = identities.names().map(|name| Identity {
            label: name.label.clone(),
            recipient: name.recipient.clone(),
            fingerprint: name.fingerprint.clone(),
        });
        let identities = identities.collect();
        Ok(Answer { version: 1, profile: self.profile.clone(), identities, troubles, files })
    }
}

fn file(stack: &str, path: PathBuf, sealed: Sealed) -> File {
    let envelope = sealed.envelope;
    let recipients = envelope.iter().flat_map(|envelope| &envelope.groups);
    File {
        stack: stack.to_owned(),
        path,
        format: sealed.kind.to_string(),
        recipients: recipients.map(|group| group.iter().map(ToString::to_string).collect()).collect(),
        threshold: envelope.as_ref().map_or(0, |envelope| envelope.threshold),
        last_modified: envelope.as_ref().and_then(|envelope| envelope.last_modified.clone()),
        sops_version: envelope.as_ref().and_then(|envelope| envelope.sops_version.clone()),
        readable: sealed.problem.is_none(),
        opened_by: sealed.opened_by,
        hint: sealed.problem.as_ref().map(|(_, hint)| hint.clone()),
        problem: sealed.problem.map(|(problem, _)| problem),
        used_by: sealed.used_by,
    }
}

/// An identity's name with the start of its public key; JSON has all of it.
fn short(name: &str) -> String {
    match name.rsplit_once(' ') {
        Some((label, key)) if key.chars().count() > 24 => {
            format!("{label} {}…)", key.chars().take(16).collect::<String>())
        }
        _ => name.to_owned(),
    }
}

fn show(answer: &Answer) {
    if answer.files.is_empty() {
        anstream::eprintln!("no encrypted file in {}", answer.profile.display());
    }
    let mut table = Table::new(&["STACK", "FILE", "FORMAT", "READ WITH", "USED BY"]);
    for file in &answer.files {
        let with = match (file.readable, file.used_by.is_empty()) {
            (true, _) => Cell::styled(
                file.opened_by.iter().map(|name| short(name)).collect::<Vec<_>>().join(", "),
                GOOD,
            ),
            (false, used) => Cell::styled("cannot be read", if used { FAINT } else { BAD }),
        };
        let used: Vec<&str> = file.used_by.iter().map(String::as_str).collect();
        let used = if used.is_empty() { "nothing".to_owned() } else { used.join(", ") };
        let path = file.path.display().to_string();
        table.row([file.stack.as_str().into(), path.into(), file.format.as_str().into(), with, used.into()]);
    }
    if !answer.files.is_empty() {
        print(&table.render(terminal_width()));
    }
    let mut said = BTreeMap::new();
    for file in answer.files.iter().filter(|file| !file.readable) {
        let name = format!("{}/{}", file.stack, file.path.display());
        said.entry((file.problem.clone(), file.hint.clone())).or_insert_with(Vec::new).push(name);
    }
    for ((problem, hint), names) in said {
        anstream::eprintln!("{}: {}", names.join(", "), problem.unwrap_or_default());
        anstream::eprintln!("  hint: {}", hint.unwrap_or_default());
    }
    for trouble in &answer.troubles {
        anstream::eprintln!("{trouble}");
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn recorded() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs/tests/data/secrets")
    }

    /// A profile with one stack that uses encrypted files in every way.
    fn profile() -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("etc/compose-agent/web");
        fs::create_dir_all(&folder).expect("made");
        let compose = "x-agent: {env_files: [more.env]}\nservices:\n  \
            app:\n    image: 'x:${USER:-1}'\n    env_file: [app.env]\n    secrets: [db, {source: key, target: k}]\n    \
            volumes: ['./blob.bin:/blob:ro']\n  \
            other: {image: 'y:1', configs: [c]}\n\
            secrets:\n  db: {file: './all.yaml#postgres/password'}\n  key: {file: ./all.yaml}\n\
            configs: {c: {file: ./locked.json}}\n";
        fs::write(folder.join("compose.yaml"), compose).expect("written");
        for (case, name) in [
            ("dotenv-age.sops", "app.env"),
            ("small-dotenv.sops", "more.env"),
            ("yaml-recipients.sops", "all.yaml"),
            ("whole-age.age", "blob.bin"),
            ("stranger.sops", "locked.json"),
            ("ini-ssh_rsa.sops", "left.ini"),
        ] {
            fs::copy(recorded().join("cases").join(case), folder.join(name)).expect("copied");
        }
        root
    }

    #[test]
    fn every_encrypted_file_is_listed_with_its_users_and_never_a_value() {
        let root = profile();
        let verb = Secrets {
            profile: root.path().to_owned(),
            age_key: vec![recorded().join("keys/age.txt")],
            json: true,
        };
        let answer = verb.look().expect("readable");
        let lines: Vec<String> = answer
            .files
            .iter()
            .map(|file| {
                let used: Vec<_> = file.used_by.iter().map(String::as_str).collect();
                format!("{} {} {} [{}]", file.path.display(), file.format, file.readable, used.join(", "))
            })
            .collect();
        assert_eq!(
            lines,
            [
                "all.yaml sops yaml true [app: secret db (postgres/password), app: secret key]",
                "app.env sops dotenv true [app: env_file]",
                "blob.bin age true [app: /blob]",
                "left.ini sops ini false []",
                "locked.json sops yaml false [other: config c]",
                "more.env sops dotenv true [variables of the spec]",
            ]
        );
        let all = &answer.files[0];
        assert_eq!((all.recipients[0].len(), all.threshold), (3, 1));
        assert!(all.opened_by[0].contains("age.txt (age age1"), "{:?}", all.opened_by);
        let locked = &answer.files[4];
        assert!(locked.problem.as_ref().is_some_and(|words| words.contains("no identity of this host")));
        let json = serde_json::to_string(&answer).expect("JSON");
        for value in ["c0rrect", "geheim", "SECRET-KEY", "ENC["] {
            assert!(!json.contains(value), "{value}");
        }
        assert_eq!(verb.run().expect("it runs"), Exit::Failed);
    }
}
