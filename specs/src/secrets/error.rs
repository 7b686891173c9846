//! Why could a file not be decrypted, and what should the operator do? Never with a value in the answer.

use std::fmt;

use super::{Format, Kind, ProgramCall, Recipient};

/// Why an encrypted file gave no plaintext.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretError {
    /// The file is not encrypted by anything known here.
    NotEncrypted,
    /// The file is larger than is looked at.
    TooLarge {
        /// The bound, in bytes.
        limit: usize,
    },
    /// The file cannot be read as what it says it is.
    Malformed {
        /// What the file is.
        kind: Kind,
        /// The line, where one is known.
        line: Option<usize>,
        /// What is wrong with it.
        what: String,
    },
    /// The file has encrypted values but not the metadata that opens them: it was cut off or half copied.
    MetadataMissing {
        /// The sops format.
        format: Format,
    },
    /// No identity of this host opens the file.
    NoIdentity {
        /// What the file is.
        kind: Kind,
        /// Whom the file is encrypted to.
        recipients: Vec<Recipient>,
        /// What was tried, as `label (recipient)`.
        tried: Vec<String>,
        /// With key groups: how many of them were opened, and how many must be.
        groups: Option<(usize, usize)>,
    },
    /// Only a key service (KMS, PGP, Vault) can open the file.
    NeedsProgram {
        /// What the caller may run instead.
        call: ProgramCall,
        /// Whom the file is encrypted to.
        recipients: Vec<Recipient>,
    },
    /// The age file asks for a passphrase, which no daemon can type.
    NeedsPassphrase,
    /// Something was changed after encryption.
    Tampered {
        /// What the file is.
        kind: Kind,
        /// What did not verify; a place in the file, never a value.
        what: String,
    },
    /// The file uses something that this program does not do.
    Unsupported {
        /// What that is.
        what: String,
        /// What the caller may run instead, where the `sops` program can.
        call: Option<ProgramCall>,
    },
    /// One key was asked for, and the file does not have it.
    KeyAbsent {
        /// The path that was asked for.
        path: String,
        /// The names at the deepest level that was found.
        names: Vec<String>,
    },
    /// One key was asked for, and it is empty: an empty password is never what was meant.
    KeyEmpty {
        /// The path that was asked for.
        path: String,
    },
    /// One key was asked for, and it holds further keys.
    KeyNotValue {
        /// The path that was asked for.
        path: String,
    },
    /// One key was asked for of a file that has no keys.
    NotStructured {
        /// What the file is.
        kind: Kind,
    },
}

impl SecretError {
    pub(super) fn malformed(kind: Kind, line: Option<usize>, what: impl Into<String>) -> Self {
        Self::Malformed { kind, line, what: what.into() }
    }

    /// What the caller may run to get the plaintext after all.
    pub fn program(&self) -> Option<ProgramCall> {
        match self {
            Self::NeedsProgram { call, .. } => Some(*call),
            Self::Unsupported { call, .. } => *call,
            _ => None,
        }
    }

    /// What the operator can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::NotEncrypted => "use the file as it is, or encrypt it with sops or age".into(),
            Self::TooLarge { .. } => "keep the bulk in an ordinary file and encrypt only its key".into(),
            Self::Malformed { .. } | Self::MetadataMissing { .. } => {
                "copy the file again from where it was encrypted, whole".into()
            }
            Self::NoIdentity { tried, .. } if tried.is_empty() => {
                "give this host an identity: an ssh host key, an age key file, or SOPS_AGE_KEY_FILE".into()
            }
            Self::NoIdentity { kind: Kind::Sops(_), .. } => {
                "add one of this host's recipients to the file (.sops.yaml, then `sops updatekeys FILE`)".into()
            }
            Self::NoIdentity { .. } => "encrypt the file again with one of this host's recipients among its own".into(),
            Self::NeedsProgram { .. } => {
                "put `sops` on the agent's PATH with access to that key service, or add an age recipient to the file"
                    .into()
            }
            Self::NeedsPassphrase => "encrypt the file to this host's recipient (`age -r …`) instead".into(),
            Self::Tampered { .. } => "restore the file from version control, or edit it with `sops FILE` only".into(),
            Self::Unsupported { call: Some(_), .. } => "put `sops` on the agent's PATH".into(),
            Self::Unsupported { call: None, .. } => "encrypt the file again in another way".into(),
            Self::KeyAbsent { names, .. } => format!("one of: {}", Listed(names)),
            Self::KeyEmpty { .. } => "give it a value with `sops FILE`".into(),
            Self::KeyNotValue { .. } => "name one of the keys below it".into(),
            Self::NotStructured { .. } => "leave out the `#…`, which takes one key of a structured file".into(),
        }
    }
}

/// At most a dozen names, since the operator reads them.
struct Listed<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for Listed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 12;
        for (index, name) in self.0.iter().take(SHOWN).enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{name}")?;
        }
        match self.0.len() {
            0 => f.write_str("none"),
            count if count > SHOWN => write!(f, " and {} more", count - SHOWN),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotEncrypted => f.write_str("the file is not encrypted"),
            Self::TooLarge { limit } => write!(f, "the encrypted file is larger than {} MiB", limit >> 20),
            Self::Malformed { kind, line: Some(line), what } => {
                write!(f, "bad {kind} file: line {line}: {what}")
            }
            Self::Malformed { kind, line: None, what } => write!(f, "bad {kind} file: {what}"),
            Self::MetadataMissing { format } => {
                write!(
                    f,
                    "bad sops {} file: encrypted values without sops metadata; was it cut off?",
                    format.name()
                )
            }
            Self::NoIdentity { kind, recipients, tried, groups } => {
                write!(f, "no identity of this host opens the {kind} file")?;
                if let Some((opened, needed)) = groups {
                    write!(f, " ({opened} of {needed} needed key groups opened)")?;
                }
                write!(f, "; encrypted to: {}; tried: {}", Listed(recipients), Listed(tried))
            }
            Self::NeedsProgram { call: _, recipients } => {
                write!(f, "only a key service opens the sops file; encrypted to: {}", Listed(recipients))
            }
            Self::NeedsPassphrase => f.write_str("the age file is encrypted with a passphrase"),
            Self::Tampered { kind, what } => {
                write!(f, "the {kind} file was changed after encryption: {what}")
            }
            Self::Unsupported { what, .. } => write!(f, "cannot read {what}"),
            Self::KeyAbsent { path, .. } => write!(f, "the encrypted file has no key `{path}`"),
            Self::KeyEmpty { path } => write!(f, "the key `{path}` of the encrypted file is empty"),
            Self::KeyNotValue { path } => {
                write!(f, "`{path}` of the encrypted file is a collection, not a value")
            }
            Self::NotStructured { kind } => write!(f, "a {kind} file has no keys to choose from"),
        }
    }
}

impl std::error::Error for SecretError {}
