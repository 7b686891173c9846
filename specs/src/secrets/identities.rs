//! With what may this host decrypt? Identity files as bytes, each with a label (its file name) for messages.

use std::fmt;

use age::{secrecy::ExposeSecret, ssh, x25519};
use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use sha2::{Digest as _, Sha256, Sha512};
use zeroize::Zeroizing;

use super::plugin::Plugin;

/// The largest identity file that is looked at.
const MAX_IDENTITY_FILE: usize = 1 << 20;

/// The most identities over all files: each of them may be tried on each wrapped key.
const MAX_IDENTITIES: usize = 256;

/// What an identity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum IdentityKind {
    /// A native age key (`AGE-SECRET-KEY-1…`).
    X25519,
    /// An ed25519 ssh key turned into a native age key, as ssh-to-age and sops-nix do.
    SshToAge,
    /// An ed25519 ssh key, as age itself uses it.
    SshEd25519,
    /// An RSA ssh key, as age itself uses it.
    SshRsa,
    /// A key that only an age plugin's program can use.
    Plugin,
}

impl IdentityKind {
    fn name(self) -> &'static str {
        match self {
            Self::X25519 => "age",
            Self::SshToAge => "ssh-to-age",
            Self::SshEd25519 => "ssh-ed25519",
            Self::SshRsa => "ssh-rsa",
            Self::Plugin => "age plugin",
        }
    }
}

/// The printable side of an identity: nothing here is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityName {
    /// The file that it came from.
    pub label: String,
    /// What it is.
    pub kind: IdentityKind,
    /// The recipient to encrypt to: `age1…`, or the public key of an ssh identity; empty where only a plugin knows.
    pub recipient: String,
    /// For an ssh key, the fingerprint that `ssh-keygen -l` prints.
    pub fingerprint: Option<String>,
}

impl fmt::Display for IdentityName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let public = self.fingerprint.as_ref().unwrap_or(&self.recipient);
        write!(f, "{} ({} {public})", self.label, self.kind.name())
    }
}

/// Why an identity file was refused; the identities before it are kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot use the identity file {label}{}: {why}", line.map(|line| format!(", line {line}")).unwrap_or_default())]
pub struct IdentityError {
    /// The file.
    pub label: String,
    /// The line, where one is known.
    pub line: Option<usize>,
    /// What is wrong, and what would be right.
    pub why: String,
}

/// A key that can open something, behind the one trait that `age` asks for.
enum Key {
    Native(x25519::Identity),
    Ssh(Box<ssh::Identity>),
    Plugin(age::plugin::Identity),
}

pub(super) struct Identity {
    pub(super) name: IdentityName,
    key: Key,
}

impl Identity {
    /// Lends the key to `use_key`; a plugin's program is looked for only now.
    pub(super) fn with_key<T>(
        &self,
        plugins: bool,
        use_key: impl FnOnce(&dyn age::Identity) -> T,
    ) -> Option<T> {
        match &self.key {
            Key::Native(key) => Some(use_key(key)),
            Key::Ssh(key) => Some(use_key(key.as_ref())),
            Key::Plugin(_) if !plugins => None,
            Key::Plugin(key) => Plugin::of(key).map(|plugin| use_key(&plugin)),
        }
    }
}

/// Everything that this host may decrypt with.
#[derive(Default)]
pub struct Identities {
    keys: Vec<Identity>,
    plugins: bool,
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl Identities {
    /// A host that can decrypt nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets plugin identities run their plugin's program (`age-plugin-NAME` on `PATH`) while decrypting.
    #[must_use]
    pub fn allow_plugins(mut self, allowed: bool) -> Self {
        self.plugins = allowed;
        self
    }

    /// Whether there is nothing to decrypt with.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The printable side of each identity.
    pub fn names(&self) -> impl Iterator<Item = &IdentityName> {
        self.keys.iter().map(|identity| &identity.name)
    }

    pub(super) fn plugins(&self) -> bool {
        self.plugins
    }

    pub(super) fn keys(&self) -> &[Identity] {
        &self.keys
    }

    /// Adds all that an identity file holds: an age `keys.txt`, or an OpenSSH (or PEM) private key.
    ///
    /// `label` is how messages call it. Answers how many identities were added; an ed25519 ssh key adds two.
    ///
    /// # Errors
    ///
    /// When the file holds no usable identity; nothing of it is added then.
    pub fn add(&mut self, label: &str, bytes: &[u8]) -> Result<usize, IdentityError> {
        let refuse = |line, why: &str| IdentityError { label: label.to_owned(), line, why: why.to_owned() };
        if bytes.len() > MAX_IDENTITY_FILE {
            return Err(refuse(None, "it is larger than 1 MiB"));
        }
        let text = str::from_utf8(bytes).map_err(|_| refuse(None, "it is not text"))?;
        let found = if text.trim_start().starts_with("-----BEGIN AGE ENCRYPTED FILE") {
            return Err(refuse(
                None,
                "it is encrypted with a passphrase; store the identity in the open, readable by root only",
            ));
        } else if text.contains("-----BEGIN ") {
            ssh_identities(label, text).map_err(|why| refuse(None, &why))?
        } else {
            age_identities(label, text).map_err(|(line, why)| refuse(line, why))?
        };
        if self.keys.len() + found.len() > MAX_IDENTITIES {
            return Err(refuse(None, "there are more than 256 identities"));
        }
        let count = found.len();
        self.keys.extend(found);
        Ok(count)
    }
}

fn age_identities(label: &str, text: &str) -> Result<Vec<Identity>, (Option<usize>, &'static str)> {
    let mut found = Vec::new();
    let mut passed_over = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // SOPS_AGE_KEY may hold several keys on one line.
        for word in line.split_whitespace() {
            match age_identity(label, word) {
                Ok(identity) => found.push(identity),
                // One that only newer programs can use takes nothing from those beside it.
                Err(POST_QUANTUM) => passed_over = Some((Some(index + 1), POST_QUANTUM)),
                Err(why) => return Err((Some(index + 1), why)),
            }
        }
    }
    if found.is_empty() { Err(passed_over.unwrap_or((None, "it holds no identity"))) } else { Ok(found) }
}

/// The `age` crate encrypts to such recipients and cannot decrypt with their identities.
const POST_QUANTUM: &str =
    "post-quantum identities are not supported yet; add an X25519 one (age-keygen) beside it";

fn age_identity(label: &str, word: &str) -> Result<Identity, &'static str> {
    let named =
        |kind, recipient| IdentityName { label: label.to_owned(), kind, recipient, fingerprint: None };
    if let Ok(key) = word.parse::<x25519::Identity>() {
        let recipient = key.to_public().to_string();
        return Ok(Identity { name: named(IdentityKind::X25519, recipient), key: Key::Native(key) });
    }
    if word.starts_with("AGE-SECRET-KEY-PQ-") {
        return Err(POST_QUANTUM);
    }
    if word.starts_with("age1") {
        return Err("this is a recipient (public); an identity starts with AGE-SECRET-KEY-");
    }
    match word.parse::<age::plugin::Identity>() {
        Ok(key) => {
            let mut name = named(IdentityKind::Plugin, String::new());
            key.plugin().clone_into(&mut name.recipient);
            Ok(Identity { name, key: Key::Plugin(key) })
        }
        Err(_) => Err("this is no identity; one starts with AGE-SECRET-KEY- or AGE-PLUGIN-"),
    }
}

fn ssh_identities(label: &str, text: &str) -> Result<Vec<Identity>, String> {
    let key = ssh::Identity::from_buffer(text.as_bytes(), None)
        .map_err(|_| "it is no OpenSSH or PEM private key that can be read".to_owned())?;
    match &key {
        ssh::Identity::Unencrypted(_) => {}
        ssh::Identity::Encrypted(_)
        | ssh::Identity::Unsupported(
            ssh::UnsupportedKey::EncryptedPem | ssh::UnsupportedKey::EncryptedSsh(_),
        ) => {
            return Err("the ssh key has a passphrase, which a daemon cannot type; use a host key, or remove it with `ssh-keygen -p`".into());
        }
        ssh::Identity::Unsupported(ssh::UnsupportedKey::Hardware(kind)) => {
            return Err(format!("a {kind} key lives in hardware; use an age plugin instead"));
        }
        ssh::Identity::Unsupported(ssh::UnsupportedKey::Type(kind)) => {
            return Err(format!("age cannot decrypt with a {kind} key; use ssh-ed25519"));
        }
    }
    let public =
        ssh::Recipient::try_from(key.clone()).map_err(|_| "its public half cannot be read".to_owned())?;
    let recipient = public.to_string();
    let kind = if matches!(public, ssh::Recipient::SshRsa(..)) {
        IdentityKind::SshRsa
    } else {
        IdentityKind::SshEd25519
    };
    let fingerprint = fingerprint(&recipient);
    let mut found = Vec::with_capacity(2);
    if kind == IdentityKind::SshEd25519 {
        let (native, public) = ssh_to_age(text)?;
        let name = IdentityName {
            label: label.to_owned(),
            kind: IdentityKind::SshToAge,
            recipient: public,
            fingerprint: None,
        };
        found.push(Identity { name, key: Key::Native(native) });
    }
    let name = IdentityName { label: label.to_owned(), kind, recipient, fingerprint };
    found.push(Identity { name, key: Key::Ssh(Box::new(key)) });
    Ok(found)
}

/// The fingerprint as `ssh-keygen -l` prints it.
fn fingerprint(public: &str) -> Option<String> {
    let blob = base64::prelude::BASE64_STANDARD.decode(public.split_whitespace().nth(1)?).ok()?;
    Some(format!("SHA256:{}", BASE64_STANDARD_NO_PAD.encode(Sha256::digest(blob))))
}

/// An ed25519 key's seed, hashed as ed25519 itself hashes it, is an X25519 secret of the same host.
fn ssh_to_age(text: &str) -> Result<(x25519::Identity, String), String> {
    let unreadable = || "its ed25519 seed cannot be read".to_owned();
    let key = ssh_key::PrivateKey::from_openssh(text).map_err(|_| unreadable())?;
    let pair = key.key_data().ed25519().ok_or_else(unreadable)?;
    let seed = Zeroizing::new(pair.private.to_bytes());
    let hash = Zeroizing::new(<[u8; 64]>::from(Sha512::digest(seed.as_slice())));
    let secret = hash.get(..32).ok_or_else(unreadable)?;
    let prefix = bech32::Hrp::parse("age-secret-key-").map_err(|_| unreadable())?;
    let lower = Zeroizing::new(bech32::encode::<bech32::Bech32>(prefix, secret).map_err(|_| unreadable())?);
    let native: x25519::Identity =
        Zeroizing::new(lower.to_uppercase()).parse().map_err(|_: &'static str| unreadable())?;
    let public = native.to_public().to_string();
    debug_assert!(native.to_string().expose_secret().starts_with("AGE-SECRET-KEY-"));
    Ok((native, public))
}
