//! What does an encrypted file say about itself, to someone without a key? Never a value.

use std::fmt;

use super::{Format, Kind, MAX_BYTES, SecretError, age_file, detect, sops};

/// Who holds the key that a recipient names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyService {
    /// An age recipient: a native one, an ssh key, or a plugin's.
    Age,
    /// An `OpenPGP` key.
    Pgp,
    /// Amazon's KMS.
    AwsKms,
    /// Google's KMS.
    GcpKms,
    /// Azure's key vault.
    AzureKeyVault,
    /// `HashiCorp` Vault or `OpenBao`, transit engine.
    Vault,
    /// Huawei Cloud's KMS.
    HuaweiKms,
}

impl KeyService {
    /// Short, as it stands before a recipient in a message.
    pub fn name(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Pgp => "pgp",
            Self::AwsKms => "kms",
            Self::GcpKms => "gcp_kms",
            Self::AzureKeyVault => "azure_kv",
            Self::Vault => "hc_vault",
            Self::HuaweiKms => "hckms",
        }
    }
}

/// One whom a file is encrypted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Who holds the key.
    pub service: KeyService,
    /// The recipient as the file gives it: `age1…`, `ssh-ed25519 AAAA…`, a fingerprint, an ARN, a URL. A whole age
    /// file only tells the stanza's type, and for an ssh key the start of its hash.
    pub name: String,
}

impl Recipient {
    pub(super) fn of_stanza(stanza: &str) -> Self {
        // An X25519 stanza's argument is a one-time share: it names nobody.
        let name =
            if stanza.starts_with("ssh-") { stanza } else { stanza.split(' ').next().unwrap_or(stanza) };
        Self { service: KeyService::Age, name: name.to_owned() }
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.service {
            KeyService::Age => f.write_str(&self.name),
            service => write!(f, "{} {}", service.name(), self.name),
        }
    }
}

/// The outside of an encrypted file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Envelope {
    /// What it is.
    pub kind: Kind,
    /// The recipients, one list a key group; an age file has one group.
    pub groups: Vec<Vec<Recipient>>,
    /// How many of the groups must be opened.
    pub threshold: usize,
    /// When sops last wrote it, as it says itself.
    pub last_modified: Option<String>,
    /// The sops version that wrote it.
    pub sops_version: Option<String>,
    /// The paths of its values (`postgres/password`, `section/key`, variable names), in order; none for age and
    /// binary files.
    pub names: Vec<String>,
}

impl Envelope {
    /// All recipients, whatever group they are in.
    pub fn recipients(&self) -> impl Iterator<Item = &Recipient> {
        self.groups.iter().flatten()
    }

    /// Whether age alone can open it, so that no program is needed.
    pub fn needs_program(&self) -> bool {
        let by_age =
            self.groups.iter().filter(|group| group.iter().any(|one| one.service == KeyService::Age)).count();
        by_age < self.threshold
    }
}

/// Reads what an encrypted file says about itself, without any key. Nothing that it says is verified.
///
/// # Errors
///
/// When the file is not encrypted, or cannot be read as what it says it is.
pub fn inspect(bytes: &[u8]) -> Result<Envelope, SecretError> {
    if bytes.len() > MAX_BYTES {
        return Err(SecretError::TooLarge { limit: MAX_BYTES });
    }
    match detect(bytes).ok_or(SecretError::NotEncrypted)? {
        kind @ Kind::Age { .. } => Ok(Envelope {
            kind,
            groups: vec![age_file::recipients(bytes)?],
            threshold: 1,
            last_modified: None,
            sops_version: None,
            names: Vec::new(),
        }),
        Kind::Sops(format) => {
            let (tree, metadata) = sops::load(format, bytes)?;
            let names = if format == Format::Binary { Vec::new() } else { tree.names() };
            let groups: Vec<Vec<Recipient>> = metadata.recipients();
            Ok(Envelope {
                kind: Kind::Sops(format),
                threshold: metadata.groups_needed(),
                groups,
                last_modified: Some(metadata.last_modified),
                sops_version: Some(metadata.version).filter(|version| !version.is_empty()),
                names,
            })
        }
    }
}
