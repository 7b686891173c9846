//! The projects of awesome-compose: which of them run on a test's Engine, and what stands in for what they build upon?
//!
//! Compose files are as their authors wrote them, except that host ports are made distinct, checks are done every second
//! and paths outside the Engine's own folders are moved into them. Of a Dockerfile all that ends up in the image's
//! configuration is kept, on top of the stand-in.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::corpus::{Stack, checked_often};

/// What does not run here, and the words in its compose file that are the reason: nothing else is left out.
pub const NOT_RUN: [(&str, &str); 2] = [
    ("wasmedge-kafka-mysql", "runtime: io.containerd.wasmedge.v1"),
    ("wasmedge-mysql-nginx", "runtime: io.containerd.wasmedge.v1"),
];

/// The first host port that is given out.
const FIRST_PORT: u16 = 20_000;

/// Every project that runs here.
///
/// # Panics
/// The corpus is not as expected, or one does not load.
pub fn projects(corpus: &Path, agentctl: &Path, scratch: &Path) -> Vec<Stack> {
    let mut ports = FIRST_PORT..;
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> =
        fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|folder| folder.is_dir());
    folders.sort();
    for folder in folders {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let mut files = BTreeMap::new();
        read(&folder, "", &mut files);
        let compose =
            ["compose.yaml", "compose.yml"].into_iter().find_map(|file| files.remove(file)).unwrap();
        if let Some((_, reason)) = NOT_RUN.iter().find(|(other, _)| *other == name) {
            assert!(compose.contains(reason), "{name} may run now: it has no {reason}");
            continue;
        }
        let compose = moved(&with_own_ports(&checked_often(&compose), &mut ports));
        let stack = Stack { name, compose, files, env: BTreeMap::new(), project: Value::Null };
        found.push(stack.load(agentctl, scratch));
    }
    for (name, _) in NOT_RUN {
        assert!(corpus.join(name).is_dir(), "{name} is not there any more");
    }
    found
}

/// All files below a folder, by path; Dockerfiles build upon the stand-in.
fn read(folder: &Path, below: &str, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{below}{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            read(&entry.path(), &format!("{name}/"), files);
            continue;
        }
        let text = fs::read_to_string(entry.path()).unwrap();
        let is_dockerfile = name.rsplit('/').next() == Some("Dockerfile");
        files.insert(name, if is_dockerfile { upon_the_standin(&text) } else { text });
    }
}

/// The same where each host port is another one: `80:80` is `20000:80`.
fn with_own_ports(compose: &str, ports: &mut impl Iterator<Item = u16>) -> String {
    let change = |line: &str| -> Option<String> {
        let (indent, item) = line.split_once("- ")?;
        let item = item.trim().trim_matches(['\'', '"']);
        let (host, container) = item.split_once(':')?;
        let is_port = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_mapping = is_port(host) && is_port(container.split('/').next()?);
        is_mapping.then(|| ports.next().map(|port| format!("{indent}- '{port}:{container}'")))?
    };
    let mut change = change;
    let lines: Vec<String> =
        compose.lines().map(|line| change(line).unwrap_or_else(|| line.to_owned())).collect();
    lines.join("\n") + "\n"
}

/// The same where what would be made on the machine is in a folder of the Engine's own.
fn moved(compose: &str) -> String {
    let folders = ["/etc/pihole/:", "/etc/dnsmasq.d/:", "/usr/share/appdata/"];
    folders.iter().fold(compose.to_owned(), |text, folder| text.replace(folder, &format!("/srv{folder}")))
}

/// A Dockerfile with the same stages and the same configuration that runs nothing and copies nothing.
fn upon_the_standin(dockerfile: &str) -> String {
    let mut stages = Vec::new();
    let mut out = String::new();
    for line in dockerfile.replace("\\\n", " ").lines() {
        let words: Vec<&str> =
            line.split_whitespace().filter(|word| !word.starts_with("--platform=")).collect();
        match words.as_slice() {
            ["FROM", base, rest @ ..] => {
                let base = if stages.contains(base) { base } else { "standin:1" };
                stages.extend(rest.get(1).copied());
                out += &format!("FROM {base} {}\n", rest.join(" "));
            }
            ["HEALTHCHECK", ..] => out += &line.replace("--interval=30s", "--interval=1s"),
            ["ARG" | "CMD" | "ENTRYPOINT" | "ENV" | "EXPOSE" | "USER" | "VOLUME" | "WORKDIR", ..] => {
                out += line;
            }
            _ => {}
        }
        out += "\n";
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_published_ports_are_changed() {
        let compose = "ports:\n  - 80:80\n  - \"53:53/udp\"\nenvironment:\n  - A=1:2\nvolumes:\n  - ./a:/b\n";
        let changed = "ports:\n  - '7:80'\n  - '8:53/udp'\nenvironment:\n  - A=1:2\nvolumes:\n  - ./a:/b\n";
        assert_eq!(with_own_ports(compose, &mut (7..)), changed);
    }

    #[test]
    fn stages_and_configuration_are_kept() {
        let dockerfile = "FROM --platform=$BUILDPLATFORM node AS one\nRUN <<EOF\nuseradd x\nEOF\nHEALTHCHECK --interval=30s \\\n  CMD x\nFROM one\nCOPY . .\nUSER app\n";
        let kept: Vec<String> = upon_the_standin(dockerfile).split_whitespace().map(str::to_owned).collect();
        let kept = kept.join(" ");
        assert_eq!(kept, "FROM standin:1 AS one HEALTHCHECK --interval=1s CMD x FROM one USER app");
    }
}
