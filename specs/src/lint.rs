//! What does Docker Compose let pass that an operator regrets?
//!
//! [`lint`] looks at one project, [`across`] at all that are to live on one host. Both are pure: whether a path exists is
//! asked of the caller.

mod across;
mod host_ports;

use std::path::Path as FsPath;

use crate::{
    Loaded, Message, Problem, Text,
    doc::{Node, Path, Span},
    message,
    model::{MountKind, Service},
};

pub use across::across;
pub use host_ports::HostPorts;

/// Words in the name of a variable whose value is nobody's business.
const SECRET_WORDS: [&str; 8] =
    ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "API_KEY", "APIKEY", "PRIVATE_KEY", "ACCESS_KEY"];

/// Warnings about one project. `exists` answers for a path of the host.
pub fn lint(loaded: &Loaded, exists: &dyn Fn(&FsPath) -> bool) -> Vec<Problem> {
    let mut found = Vec::new();
    for (name, service) in &loaded.project.services {
        let mut lint = Lint { loaded, path: Path::of("services").key(name), found: &mut found };
        lint.image(service);
        lint.secrets(service);
        lint.binds(service, exists);
        lint.joined_ports(service);
    }
    found
}

struct Lint<'a> {
    loaded: &'a Loaded,
    path: Path,
    found: &'a mut Vec<Problem>,
}

impl Lint<'_> {
    fn node(&self, path: &Path) -> Option<&Node> {
        self.loaded.document.at(path)
    }

    fn warn(
        &mut self,
        rule: &'static str,
        at: Span,
        path: &Path,
        message: Message,
        hint: impl Into<Message>,
    ) {
        self.found.push(Problem::warning(rule, at, path, message).hint(hint));
    }

    fn image(&mut self, service: &Service) {
        let image = service.image.expose();
        if image.is_empty() || image.contains('@') || service.build.is_some() {
            return;
        }
        let last = image.rsplit('/').next().unwrap_or(image);
        let what = match last.split_once(':').map(|(_, tag)| tag) {
            None => "names no tag, which means 'latest'",
            Some("latest") => "is 'latest'",
            Some(_) => return,
        };
        let path = self.path.key("image");
        let at = self.node(&path).map_or_else(Span::default, |node| node.span);
        let message =
            message!("image '{}' {}: what runs changes with the day it is pulled", service.image, what);
        self.warn("image-tag", at, &path, message, "write a version, `name:1.2.3`, or a digest");
    }

    fn secrets(&mut self, service: &Service) {
        for (name, value) in &service.environment {
            let Some(value) = value else { continue };
            let upper = name.to_ascii_uppercase();
            let looks = SECRET_WORDS.iter().any(|word| upper.contains(word)) && !upper.ends_with("_FILE");
            if !looks || value.is_empty() || value.is_secret() {
                continue;
            }
            let path = self.path.key("environment");
            // In a list the entry stands under its number.
            let listed = self.node(&path).and_then(|node| {
                node.as_seq()?.iter().find(|item| {
                    item.as_text().is_some_and(|text| text.expose().split('=').next() == Some(name.expose()))
                })
            });
            let Some(at) = self.node(&path.key(name)).or(listed).map(|node| node.span) else { continue };
            // What comes from a variable stands in no compose file.
            if !at.is_written() || self.line(at).is_none_or(|line| line.contains('$')) {
                continue;
            }
            let message = message!("{} looks like a secret and stands here for everybody to read", name);
            let hint = "take it from an encrypted env file, `${NAME}`, or from `secrets:`";
            self.warn("plain-secret", at, &path.key(name), message, hint);
        }
    }

    fn line(&self, at: Span) -> Option<&str> {
        let text = self.loaded.sources.get(at.file)?.text.as_ref()?;
        text.lines().nth((at.line as usize).checked_sub(1)?)
    }

    fn binds(&mut self, service: &Service, exists: &dyn Fn(&FsPath) -> bool) {
        for (nth, mount) in service.volumes.iter().enumerate() {
            if mount.kind != MountKind::Bind || exists(FsPath::new(mount.source.expose())) {
                continue;
            }
            let path = self.path.key("volumes").index(nth);
            let at = self.node(&path).map_or_else(Span::default, |node| node.span);
            let creates = mount.bind.as_ref().is_some_and(|bind| bind.create_host_path);
            let then =
                if creates { "Docker makes an empty folder there" } else { "the container will not start" };
            let message = message!("'{}' does not exist on this host: {}", mount.source, then);
            self.warn("missing-bind", at, &path, message, "create it, or use a named volume");
        }
    }

    fn joined_ports(&mut self, service: &Service) {
        let mode = &service.network_mode;
        let shared = |mode: &str| {
            let owner = mode.strip_prefix("service:").or_else(|| mode.strip_prefix("container:"));
            owner.map(str::to_owned)
        };
        let Some(owner) = shared(mode.expose()) else { return };
        let owner = Text::with_secrecy(owner, mode.is_secret());
        if service.ports.is_empty() {
            return;
        }
        let path = self.path.key("ports");
        let at = self.node(&path).map_or_else(Span::default, |node| node.span);
        let message = message!("ports of a service that shares the network of '{}' are not published", owner);
        self.warn("joined-ports", at, &path, message, message!("publish them at '{}'", owner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::tests::loaded;

    fn rules(text: &str) -> Vec<String> {
        let found = lint(&loaded(text), &|path| path.starts_with("/there"));
        found
            .iter()
            .map(|problem| {
                format!("{} {} {}", problem.at.map_or(0, |at| at.line), problem.rule.0, problem.path)
            })
            .collect()
    }

    #[test]
    fn images_without_a_version() {
        let text = "services:\n  a: {image: x}\n  b: {image: 'r:5000/x:latest'}\n  c: {image: 'x:1'}\n  d: {image: 'x@sha256:aa'}\n  e: {image: x, build: .}\n";
        assert_eq!(rules(text), ["2 image-tag services.a.image", "3 image-tag services.b.image"]);
    }

    #[test]
    fn values_that_look_like_secrets() {
        let text = "services:\n  a:\n    image: x:1\n    environment:\n      DB_PASSWORD: hunter2\n      DB_PASSWORD_FILE: /x\n      API_TOKEN: ${GONE:-x}\n      SECRET: ''\n      USER: me\n  b:\n    image: x:1\n    environment: [TOKEN=abc]\n";
        assert_eq!(
            rules(text),
            [
                "5 plain-secret services.a.environment.DB_PASSWORD",
                "12 plain-secret services.b.environment.TOKEN"
            ]
        );
    }

    #[test]
    fn binds_of_nothing() {
        let text = "services:\n  a:\n    image: x:1\n    volumes:\n      - /there/x:/x\n      - /gone:/y\n      - /anonymous\n";
        assert_eq!(rules(text), ["6 missing-bind services.a.volumes[1]"]);
    }

    #[test]
    fn ports_of_a_joiner() {
        let text = "services:\n  a: {image: 'x:1'}\n  b:\n    image: x:1\n    network_mode: service:a\n    ports: ['80:80']\n";
        assert_eq!(rules(text), ["6 joined-ports services.b.ports"]);
    }
}
