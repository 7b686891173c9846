//! What is in an encrypted file, for a host that holds a key? Bytes and identities in, plaintext out.
//!
//! Nothing here reads a file, the environment or the clock: the caller hands in the file's bytes and the bytes of
//! each identity. Two things happen outside: a file whose key only a KMS, PGP or Vault can give comes back as
//! [`SecretError::NeedsProgram`] with the [`ProgramCall`] that the caller may run; and an age *plugin* identity,
//! only when the caller allowed plugins, is asked through the plugin's own program (`plugin.rs`).
//!
//! **Start reading at:** [`decrypt`], then `sops/mod.rs` and `age_file.rs`.
//!
//! **Promises:** a file's kind is told from its content, never from its name; what was not written by somebody
//! with the data key is refused; no error, `Debug` or `Display` holds a value; 16 MiB, 256 keys and 128 levels at
//! most; plaintext, data keys and identities are wiped when dropped.
//!
//! **Not here:** finding identities (systemd), placing files (systemd), reading `KEY=value` lines (the loader).

mod age_file;
mod digest;
mod envelope;
mod error;
mod identities;
mod kind;
mod plaintext;
mod plugin;
mod program;
mod sops;

pub use digest::{DigestKey, keyed_digest};
pub use envelope::{Envelope, KeyService, Recipient, inspect};
pub use error::SecretError;
pub use identities::{Identities, IdentityError, IdentityKind, IdentityName};
pub use kind::{Format, Kind, detect};
pub use plaintext::Plaintext;
pub use program::ProgramCall;

/// The largest encrypted file that is looked at.
pub const MAX_BYTES: usize = 16 << 20;

/// The deepest nesting that is followed in a structured file.
pub(crate) const MAX_DEPTH: usize = 128;

/// The most wrapped keys (recipients, over all key groups) that one file may have.
pub(crate) const MAX_KEYS: usize = 256;

/// Decrypts a file that [`detect`] recognised.
///
/// # Errors
///
/// When the bytes are no encrypted file, no identity opens it, or any part was changed after encryption.
pub fn decrypt(bytes: &[u8], identities: &Identities) -> Result<Plaintext, SecretError> {
    match detect(bytes) {
        Some(kind) => decrypt_as(kind, bytes, identities),
        None => Err(SecretError::NotEncrypted),
    }
}

/// Decrypts a file whose kind the caller knows better than the content tells.
///
/// The one such case: a sops *JSON* file with `data` as its only key looks like a sops *binary* file.
///
/// # Errors
///
/// As [`decrypt`].
pub fn decrypt_as(kind: Kind, bytes: &[u8], identities: &Identities) -> Result<Plaintext, SecretError> {
    if bytes.len() > MAX_BYTES {
        return Err(SecretError::TooLarge { limit: MAX_BYTES });
    }
    match kind {
        Kind::Age { .. } => {
            age_file::decrypt(bytes, identities).map(|opened| Plaintext::of_age(kind, opened))
        }
        Kind::Sops(format) => sops::decrypt(format, bytes, identities),
    }
}
