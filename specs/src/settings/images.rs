//! What does an operator say about images: who asks for them, and when do they go?

use std::collections::BTreeMap;

use super::{duration, fields, word};
use crate::{
    Message, Text,
    doc::{Node, Value},
    message,
    model::Duration,
};

/// `prune_images`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PruneImages {
    /// They are kept.
    Never,
    /// Those go that are both.
    Beyond {
        /// Unused for longer than this.
        older_than: Duration,
        /// Not among so many that were used last, of each repository.
        keep_last: usize,
    },
}

impl Default for PruneImages {
    /// The last two of a repository survive at any age, so that the generations before this one need no registry; a
    /// nightly image costs a week of them and two more.
    fn default() -> Self {
        Self::Beyond { older_than: Duration(7 * 86_400_000_000_000), keep_last: 2 }
    }
}

/// `registries.HOST`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RegistryLogin {
    /// The user's name.
    pub username: Text,
    /// The file with the password or the access token: `./ghcr.age`, or `./all.yaml#ghcr/token`.
    pub password_file: Option<Text>,
    /// The file with an identity token, as `docker login` gets one from registries with OAuth.
    pub identity_token_file: Option<Text>,
}

/// `prune_images`.
pub(super) fn prune_images(node: &Node) -> Result<PruneImages, Message> {
    if let Value::Str(text) = &node.value {
        return match text.expose() {
            "never" => Ok(PruneImages::Never),
            _ => Err(message!("expected never, or older_than and keep_last, found '{}'", *text)),
        };
    }
    let known = fields(node, &["older_than", "keep_last"])?;
    let PruneImages::Beyond { mut older_than, mut keep_last } = PruneImages::default() else {
        return Ok(PruneImages::Never);
    };
    for (key, entry) in known {
        match (&**key, &entry.node.value) {
            ("older_than", _) => older_than = duration(&entry.node)?,
            (_, Value::Int(number)) => {
                keep_last = usize::try_from(*number).map_err(|_| "expected a number from 0 on")?;
            }
            _ => return Err(message!("expected a number, found {}", entry.node.kind())),
        }
    }
    Ok(PruneImages::Beyond { older_than, keep_last })
}

/// `check_registry`.
pub(super) fn check_registry(node: &Node) -> Result<Option<Duration>, Message> {
    if word(node)? == "never" { Ok(None) } else { duration(node).map(Some) }
}

/// `registries`.
pub(super) fn registries(node: &Node) -> Result<BTreeMap<String, RegistryLogin>, Message> {
    let map =
        node.as_map().ok_or_else(|| message!("expected a mapping by registry, found {}", node.kind()))?;
    map.iter().map(|(host, entry)| Ok((host.expose().to_owned(), registry_login(&entry.node)?))).collect()
}

fn registry_login(node: &Node) -> Result<RegistryLogin, Message> {
    if node.get("password").is_some() {
        return Err(message!(
            "a password does not stand in the spec: put it into a file, encrypted or not, and name that as \
             password_file"
        ));
    }
    fields(node, &["username", "password_file", "identity_token_file"])?;
    let text = |key: &str| {
        node.get(key).map(|node| word(node).map(|_| node.as_text().cloned().unwrap_or_default())).transpose()
    };
    let (username, password_file, identity_token_file) =
        (text("username")?, text("password_file")?, text("identity_token_file")?);
    match (&username, &password_file, &identity_token_file) {
        (Some(_), Some(_), None) | (None, None, Some(_)) => {}
        _ => return Err(message!("expected username and password_file, or identity_token_file")),
    }
    Ok(RegistryLogin { username: username.unwrap_or_default(), password_file, identity_token_file })
}

#[cfg(test)]
mod tests {
    use super::{super::AgentSettings, *};
    use crate::{
        doc::{FileId, Path},
        yaml,
    };

    /// What the settings come to, or the first mistake with its path.
    fn read(text: &str) -> Result<AgentSettings, String> {
        let nodes = yaml::parse(text, FileId(0), false).expect("it is YAML");
        let (mut settings, mut problems) = (AgentSettings::default(), Vec::new());
        settings.read(&nodes[0], &Path::default(), &mut problems);
        let first = problems.first().map(|problem| format!("{}: {}", problem.path, problem.message));
        first.map_or(Ok(settings), Err)
    }

    #[test]
    fn a_login_is_a_name_and_a_password_s_file_or_a_token_s_file() {
        let settings = read(
            "registries:
              ghcr.io: {username: me, password_file: './all.yaml#ghcr/token'}
              registry.example.com:5000: {identity_token_file: /run/secrets/token}",
        );
        let logins = settings.expect("it is right").registries;
        assert_eq!(logins["ghcr.io"].username, "me");
        assert_eq!(logins["ghcr.io"].password_file.as_ref().map(Text::expose), Some("./all.yaml#ghcr/token"));
        let token = &logins["registry.example.com:5000"];
        assert_eq!(token.identity_token_file.as_ref().map(Text::expose), Some("/run/secrets/token"));
        assert_eq!((token.username.is_empty(), &token.password_file), (true, &None));
        for (text, words) in [
            ("[ghcr.io]", "expected a mapping by registry"),
            ("{r: {username: me, password: hunter2}}", "a password does not stand in the spec"),
            ("{r: {username: me}}", "expected username and password_file, or identity_token_file"),
            ("{r: {password_file: f}}", "expected username and password_file, or identity_token_file"),
            ("{r: {username: me, password_file: f, identity_token_file: f}}", "expected username and"),
            ("{r: {user: me, password_file: f}}", "'user' is unknown"),
            ("{r: {username: 7, password_file: f}}", "expected a string"),
        ] {
            let error = read(&format!("registries: {text}")).expect_err(text);
            assert!(error.starts_with("registries: ") && error.contains(words), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_registry_is_asked_as_often_as_is_said() {
        let checked =
            |text: &str| read(&format!("check_registry: {text}")).map(|settings| settings.check_registry);
        assert_eq!(checked("24h"), Ok(Some(Duration(86_400_000_000_000))));
        assert_eq!(checked("never"), Ok(None));
        assert!(checked("often").is_err() && checked("7").is_err());
    }

    #[test]
    fn images_are_pruned_by_age_and_number_or_never() {
        let pruned =
            |text: &str| read(&format!("prune_images: {text}")).map(|settings| settings.prune_images);
        let hours = |hours: i64| Duration(hours * 3_600_000_000_000);
        for (text, older_than, keep_last) in [
            ("{}", hours(168), 2),
            ("{older_than: 720h}", hours(720), 2),
            ("{keep_last: 0}", hours(168), 0),
            ("{older_than: 0s, keep_last: 7}", hours(0), 7),
        ] {
            assert_eq!(pruned(text), Ok(PruneImages::Beyond { older_than, keep_last }), "{text}");
        }
        assert_eq!(pruned("never"), Ok(PruneImages::Never));
        for text in ["always", "{older_than: soon}", "{keep_last: -1}", "{keep_last: two}", "{keep: 1}", "[]"]
        {
            assert!(pruned(text).is_err(), "{text}");
        }
    }
}
