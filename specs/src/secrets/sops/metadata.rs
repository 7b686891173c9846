//! What does a sops file say about how it was encrypted? The same fields in a nested (`sops:` mapping) and in two
//! flattened forms (`sops_age__list_0__map_enc=…`), read through one list of paths.

use super::{
    super::{Format, KeyService, Kind, MAX_KEYS, Recipient, SecretError},
    rule::Rule,
    tree::{Entry, Item, Tree, Value},
};

/// A recipient with the data key (or, with key groups, a share of it) encrypted to it.
pub(crate) struct WrappedKey {
    pub(crate) recipient: Recipient,
    pub(crate) encrypted: String,
}

pub(crate) struct Metadata {
    pub(crate) groups: Vec<Vec<WrappedKey>>,
    pub(crate) threshold: usize,
    pub(crate) last_modified: String,
    pub(crate) mac: String,
    pub(crate) version: String,
    pub(crate) mac_only_encrypted: bool,
    pub(crate) rule: Rule,
}

/// One step of a path into the metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

type Fields = Vec<(Vec<Step>, String)>;

impl Metadata {
    /// Cuts the metadata out of a loaded file.
    pub(crate) fn take_from(format: Format, tree: &mut Tree) -> Result<Self, SecretError> {
        let fields = take_fields(format, tree);
        if fields.is_empty() {
            return Err(SecretError::MetadataMissing { format });
        }
        Self::read(format, &fields)
    }

    /// The recipients of each group.
    pub(crate) fn recipients(&self) -> Vec<Vec<Recipient>> {
        self.groups.iter().map(|group| group.iter().map(|key| key.recipient.clone()).collect()).collect()
    }

    /// How many groups must be opened. sops writes a threshold of 0 only for a single group.
    pub(crate) fn groups_needed(&self) -> usize {
        match (self.groups.len(), self.threshold) {
            (0 | 1, _) => 1,
            (groups, 0) => groups,
            (_, threshold) => threshold,
        }
    }

    fn read(format: Format, fields: &Fields) -> Result<Self, SecretError> {
        let bad = |what: &str| SecretError::malformed(Kind::Sops(format), None, what);
        let one = |name: &str| {
            fields
                .iter()
                .find(|(path, _)| matches!(path.as_slice(), [Step::Key(key)] if key == name))
                .map(|(_, text)| text)
        };
        let text = |name: &str| one(name).cloned().unwrap_or_default();
        let groups = read_groups(fields).map_err(|what| bad(&what))?;
        if groups.is_empty() {
            return Err(bad("its sops metadata names no key"));
        }
        let threshold = match one("shamir_threshold").map(String::as_str) {
            None | Some("") => 0,
            Some(count) => count.parse().map_err(|_| bad("`shamir_threshold` is no number"))?,
        };
        let last_modified =
            rfc3339(&text("lastmodified")).ok_or_else(|| bad("`lastmodified` is no RFC 3339 time"))?;
        let version = text("version");
        if !is_version(&version) {
            return Err(bad("`version` is no version"));
        }
        let rule = Rule::read(|name| one(name).filter(|text| !text.is_empty()).map(String::as_str), format)?;
        Ok(Self {
            groups,
            threshold,
            last_modified,
            mac: text("mac"),
            version,
            mac_only_encrypted: matches!(text("mac_only_encrypted").as_str(), "true" | "True" | "TRUE" | "1"),
            rule,
        })
    }
}

fn take_fields(format: Format, tree: &mut Tree) -> Fields {
    let mut fields = Fields::new();
    let flat = matches!(format, Format::Dotenv | Format::Ini);
    for (index, document) in tree.documents.iter_mut().enumerate() {
        let entries = std::mem::take(document);
        for entry in entries {
            match entry {
                Entry::Pair(key, value) if format == Format::Dotenv && key.starts_with("sops_") => {
                    let name = key.strip_prefix("sops_").unwrap_or(&key);
                    fields.push((
                        steps(name),
                        value.as_text().map(|line| line.to_string()).unwrap_or_default(),
                    ));
                }
                // sops keeps its metadata in the first document and drops the key from the others.
                Entry::Pair(key, value) if format != Format::Dotenv && key == "sops" => {
                    if index == 0 {
                        collect(&value, &mut Vec::new(), flat, &mut fields);
                    }
                }
                other => document.push(other),
            }
        }
    }
    fields
}

/// Lists every leaf below `value` with its path.
fn collect(value: &Value, path: &mut Vec<Step>, flat: bool, fields: &mut Fields) {
    match value {
        Value::Map(entries) => {
            for entry in entries {
                if let Entry::Pair(key, value) = entry {
                    let depth = path.len();
                    path.extend(if flat { steps(key) } else { vec![Step::Key(key.clone())] });
                    collect(value, path, flat, fields);
                    path.truncate(depth);
                }
            }
        }
        Value::List(items) => {
            let values = items.iter().filter_map(|item| match item {
                Item::Value(value) => Some(value),
                Item::Comment(_) => None,
            });
            for (index, value) in values.enumerate() {
                path.push(Step::Index(index));
                collect(value, path, flat, fields);
                path.pop();
            }
        }
        leaf => {
            let text = leaf.as_text().map(|line| line.to_string()).unwrap_or_default();
            // Only the ini store escapes line breaks a second time.
            fields.push((path.clone(), if flat { text.replace("\\n", "\n") } else { text }));
        }
    }
}

/// Takes a flattened name apart: `age__list_0__map_enc` is `age`, 0, `enc`.
fn steps(name: &str) -> Vec<Step> {
    const MAP: &str = "__map_";
    const LIST: &str = "__list_";
    let mut steps = Vec::new();
    let mut rest = name;
    let mut is_index = false;
    loop {
        let end = [rest.find(MAP), rest.find(LIST)].into_iter().flatten().min().unwrap_or(rest.len());
        let (word, tail) = rest.split_at(end);
        steps.push(match word.parse() {
            Ok(index) if is_index => Step::Index(index),
            _ => Step::Key(word.to_owned()),
        });
        if let Some(tail) = tail.strip_prefix(MAP) {
            (rest, is_index) = (tail, false);
        } else if let Some(tail) = tail.strip_prefix(LIST) {
            (rest, is_index) = (tail, true);
        } else {
            return steps;
        }
    }
}

fn read_groups(fields: &Fields) -> Result<Vec<Vec<WrappedKey>>, String> {
    // Fields at the top mean one group, and then `key_groups` is not looked at, as in sops.
    let single = read_group(fields, &[])?;
    if !single.is_empty() {
        return Ok(vec![single]);
    }
    let mut groups = Vec::new();
    let mut keys = 0;
    for index in 0..MAX_KEYS {
        let prefix = [Step::Key("key_groups".into()), Step::Index(index)];
        if !fields.iter().any(|(path, _)| path.starts_with(&prefix)) {
            break;
        }
        let group = read_group(fields, &prefix)?;
        keys += group.len();
        groups.push(group);
    }
    if keys > MAX_KEYS { Err(too_many()) } else { Ok(groups) }
}

fn too_many() -> String {
    format!("it has more than {MAX_KEYS} recipients")
}

/// Services in the order in which sops lists them within a group; the fields that name the key of each.
const SERVICES: [(&str, KeyService, &[&str]); 7] = [
    ("kms", KeyService::AwsKms, &["arn"]),
    ("gcp_kms", KeyService::GcpKms, &["resource_id"]),
    ("hckms", KeyService::HuaweiKms, &["key_id"]),
    ("azure_kv", KeyService::AzureKeyVault, &["vault_url", "name", "version"]),
    ("hc_vault", KeyService::Vault, &["vault_address", "engine_path", "key_name"]),
    ("pgp", KeyService::Pgp, &["fp"]),
    ("age", KeyService::Age, &["recipient"]),
];

fn read_group(fields: &Fields, prefix: &[Step]) -> Result<Vec<WrappedKey>, String> {
    let mut group = Vec::new();
    for (name, service, naming) in SERVICES {
        let mut found: std::collections::BTreeMap<usize, Vec<(&str, &str)>> =
            std::collections::BTreeMap::new();
        for (path, text) in fields {
            match path.strip_prefix(prefix) {
                Some([Step::Key(key), Step::Index(index), Step::Key(field)]) if key == name => {
                    found.entry(*index).or_default().push((field, text));
                }
                // A list of none may be written as nothing, and a key service may have settings of its own.
                Some([Step::Key(key), Step::Index(_), Step::Key(_), ..] | [Step::Key(key)])
                    if key == name => {}
                Some([Step::Key(key), ..]) if key == name => {
                    return Err(format!("its list of `{name}` recipients cannot be read"));
                }
                _ => {}
            }
        }
        if group.len() + found.len() > MAX_KEYS {
            return Err(too_many());
        }
        for parts in found.values() {
            let part =
                |field: &str| parts.iter().find(|(name, _)| *name == field).map_or("", |(_, text)| *text);
            let names: Vec<&str> =
                naming.iter().map(|field| part(field)).filter(|text| !text.is_empty()).collect();
            group.push(WrappedKey {
                recipient: Recipient { service, name: names.join("/") },
                encrypted: part("enc").to_owned(),
            });
        }
    }
    Ok(group)
}

/// `3.11.0`, and what may follow: sops refuses a file that does not say which sops wrote it.
fn is_version(text: &str) -> bool {
    let mut parts = text.splitn(3, '.');
    let number = |part: Option<&str>| {
        part.is_some_and(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    number(parts.next())
        && number(parts.next())
        && parts.next().is_some_and(|patch| number(patch.split(['-', '+']).next()))
}

/// The time as sops feeds it to the MAC: whole seconds, `Z` for UTC. `None` where sops would refuse it.
fn rfc3339(text: &str) -> Option<String> {
    let (seconds, rest) = text.split_at_checked(19)?;
    let shape = seconds.bytes().zip(b"0000-00-00T00:00:00").all(|(byte, want)| match want {
        b'0' => byte.is_ascii_digit(),
        want => byte == *want,
    });
    let zone = rest
        .strip_prefix('.')
        .map_or(rest, |digits| digits.trim_start_matches(|digit: char| digit.is_ascii_digit()));
    let zone = match zone {
        "Z" | "+00:00" | "-00:00" => "Z",
        zone if zone.len() == 6 && zone.starts_with(['+', '-']) => zone,
        _ => return None,
    };
    shape.then(|| format!("{seconds}{zone}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flattened_names_come_apart() {
        let key = |text: &str| Step::Key(text.to_owned());
        assert_eq!(steps("mac"), [key("mac")]);
        assert_eq!(
            steps("key_groups__list_1__map_age__list_0__map_enc"),
            [key("key_groups"), Step::Index(1), key("age"), Step::Index(0), key("enc")]
        );
    }

    #[test]
    fn times_are_as_go_writes_them() {
        assert_eq!(rfc3339("2026-01-02T03:04:05Z").as_deref(), Some("2026-01-02T03:04:05Z"));
        assert_eq!(rfc3339("2026-01-02T03:04:05.123+00:00").as_deref(), Some("2026-01-02T03:04:05Z"));
        assert_eq!(rfc3339("2026-01-02T03:04:05+02:00").as_deref(), Some("2026-01-02T03:04:05+02:00"));
        assert_eq!(rfc3339("2026-01-02 03:04:05Z"), None);
    }
}
