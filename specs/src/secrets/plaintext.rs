//! What came out of an encrypted file, held so that it leaves only where someone asks for it by name.

use std::fmt;

use zeroize::Zeroizing;

use super::{Kind, SecretError, sops::tree::Tree};
use crate::Text;

/// A decrypted file: wiped when dropped, shown by nothing but [`Plaintext::expose`] and [`Plaintext::get`].
pub struct Plaintext {
    kind: Kind,
    bytes: Zeroizing<Vec<u8>>,
    tree: Option<Tree>,
    opened_by: Vec<String>,
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plaintext({}, ***)", self.kind)
    }
}

impl Plaintext {
    pub(super) fn of_age(kind: Kind, (bytes, opened_by): (Zeroizing<Vec<u8>>, String)) -> Self {
        Self { kind, bytes, tree: None, opened_by: vec![opened_by] }
    }

    pub(super) fn of_tree(
        kind: Kind,
        bytes: Zeroizing<Vec<u8>>,
        tree: Option<Tree>,
        opened_by: Vec<String>,
    ) -> Self {
        Self { kind, bytes, tree, opened_by }
    }

    /// The bytes, exactly as `sops --decrypt` or `age --decrypt` would write them.
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }

    /// What the file was.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The identities that opened it, as `label (recipient)`: one, or one a key group.
    pub fn opened_by(&self) -> &[String] {
        &self.opened_by
    }

    /// One value of a structured file: `postgres/password`, `hosts/0/token`, an ini `section/key`, or a variable.
    ///
    /// A key that itself holds a `/` is found too. Numbers and booleans come as sops writes them.
    ///
    /// # Errors
    ///
    /// When the file has no such key, the key is empty or null, or holds further keys.
    pub fn get(&self, path: &str) -> Result<Text, SecretError> {
        let tree = self.tree.as_ref().ok_or(SecretError::NotStructured { kind: self.kind })?;
        tree.get(path).map(Text::from)
    }
}
