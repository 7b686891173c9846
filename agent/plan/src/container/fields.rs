//! In which fields does a container differ from its declaration, and what would put each right?
//!
//! Both sides are in one form; the declared one has been folded ([`super::fold::fold`]). A field is named in Compose's
//! words. What the Engine may have filled in by itself is told from what somebody declared by Compose's own hash: where
//! the hash on the container is that of the declaration, such a field was not declared.

mod endpoints;
mod mounts;
mod process;
mod resources;

use std::collections::{BTreeMap, BTreeSet};

use specs::{Text, doc::Key};

use super::ContainerSpec;

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldDifference {
    /// In Compose's words: `environment.TZ`, `networks.front.aliases`, `mem_limit`.
    pub field: String,
    /// What is declared; empty: nothing.
    pub want: Text,
    /// What the Engine has. Both are masked where one of them is, or may have been, a secret.
    pub have: Text,
    /// Whether a secret is declared: then it is the secret that has changed.
    pub of_secret: bool,
    /// What puts it right.
    pub repair: Repair,
}

/// What puts a difference right, from the gentlest to the roughest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Repair {
    /// Nothing can, or nothing need: it is only reported.
    None,
    /// `docker update`: limits and restart policy.
    Update,
    /// `docker unpause`.
    Unpause,
    /// `docker rename`.
    Rename,
    /// `docker network connect` to this network (the Engine's name).
    Connect(String),
    /// Leave this network and join it again with the declared aliases and addresses.
    Reconnect(String),
    /// `docker network disconnect` from this network.
    Disconnect(String),
    /// Only a new container has it.
    Recreate,
}

impl Repair {
    /// Whether a living container is put right.
    pub fn is_in_place(&self) -> bool {
        !matches!(self, Self::None | Self::Recreate)
    }
}

/// What is known beside the two descriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comparison {
    /// Whether the container's hash label is (one of) the declaration's.
    pub hash: HashMatch,
    /// Whether the declared side was folded with the image that the container was made from.
    pub image: ImageKnown,
}

/// Whether the container was made from this very declaration, as far as Compose's hash tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashMatch {
    /// Additions of the Engine's own making are not differences.
    Same,
    /// An addition may be something that is not declared any more.
    Differs,
}

/// Whether the image's defaults were folded in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageKnown {
    /// They were.
    Yes,
    /// The image is not on the Engine any more: what the container has beyond the declaration may be the image's.
    No,
}

/// Compares a folded declaration with what the Engine has. Digests and copied files are not fields: their drift has
/// kinds of its own.
#[must_use]
pub fn differences(want: &ContainerSpec, have: &ContainerSpec, known: Comparison) -> Vec<FieldDifference> {
    let mut found = Found { out: Vec::new(), known };
    process::compare(&mut found, want, have);
    mounts::compare(&mut found, want, have);
    endpoints::compare(&mut found, want, have);
    resources::compare(&mut found, want, have);
    found.out
}

/// The differences so far.
struct Found {
    out: Vec<FieldDifference>,
    known: Comparison,
}

impl Found {
    #[expect(clippy::needless_pass_by_value, reason = "both are copied into new texts of one secrecy")]
    fn push(&mut self, field: impl Into<String>, want: Text, have: Text, repair: Repair) {
        let of_secret = want.is_secret();
        let secret = of_secret || have.is_secret();
        let have = Text::with_secrecy(have.expose(), secret);
        let want = Text::with_secrecy(want.expose(), secret);
        self.out.push(FieldDifference { field: field.into(), want, have, of_secret, repair });
    }

    /// Whether something that only the Engine's side has may be its own addition.
    fn tolerates_additions(&self) -> bool {
        self.known.hash == HashMatch::Same
    }

    /// Whether something that only the Engine's side has may come from an image that is gone.
    fn may_be_the_images(&self) -> bool {
        self.known.image == ImageKnown::No
    }

    fn text(&mut self, field: &str, want: Option<&Text>, have: Option<&Text>) {
        let empty = Text::default();
        let (want, have) = (want.unwrap_or(&empty), have.unwrap_or(&empty));
        if want != have {
            self.push(field, want.clone(), have.clone(), Repair::Recreate);
        }
    }

    /// A text whose default only the Engine knows: an undeclared one differs only where the hash says that it was
    /// declared, and never where it is one of `defaults`.
    fn chosen(&mut self, field: &str, want: Option<&Text>, have: Option<&Text>, defaults: &[&str]) {
        if want.is_some() {
            return self.text(field, want, have);
        }
        let Some(have) = have else { return };
        if !defaults.contains(&have.expose()) && !self.tolerates_additions() {
            self.push(field, Text::default(), have.clone(), Repair::Recreate);
        }
    }

    fn list(&mut self, field: &str, want: &[Text], have: &[Text]) {
        if want != have {
            self.push(field, shown_list(want), shown_list(have), Repair::Recreate);
        }
    }

    fn set(&mut self, field: &str, want: BTreeSet<Text>, have: BTreeSet<Text>) {
        if want != have {
            let line = |set: BTreeSet<Text>| shown_list(&set.into_iter().collect::<Vec<_>>());
            self.push(field, line(want), line(have), Repair::Recreate);
        }
    }

    fn flag(&mut self, field: &str, want: bool, have: bool) {
        if want != have {
            self.push(field, want.to_string().into(), have.to_string().into(), Repair::Recreate);
        }
    }

    fn map(&mut self, field: &str, want: &BTreeMap<Key, Text>, have: &BTreeMap<Key, Text>, extra: Extra) {
        for (key, value) in want {
            let theirs = have.get(key);
            if theirs != Some(value) {
                let theirs = theirs.cloned().unwrap_or_default();
                self.push(format!("{field}.{key}"), value.clone(), theirs, Repair::Recreate);
            }
        }
        if extra == Extra::Ignored || (extra == Extra::MayBeTheEngines && self.tolerates_additions()) {
            return;
        }
        for (key, value) in have.iter().filter(|(key, _)| !want.contains_key(*key)) {
            self.push(format!("{field}.{key}"), Text::default(), value.clone(), Repair::Recreate);
        }
    }
}

/// What an entry means that only the Engine's side has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extra {
    Differs,
    MayBeTheEngines,
    Ignored,
}

/// A list on one line, secret if any of it is.
fn shown_list(values: &[Text]) -> Text {
    let line = values.iter().map(Text::expose).collect::<Vec<_>>().join(" ");
    Text::with_secrecy(line, values.iter().any(Text::is_secret))
}

#[cfg(test)]
mod tests;
