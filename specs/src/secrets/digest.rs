//! Did a secret change, told without keeping anything that would let someone test a guess?

use std::fmt::{self, Write as _};

use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// A host's own random key for digests: without it nobody can test a guess against one.
#[derive(Clone, PartialEq, Eq)]
pub struct DigestKey(Zeroizing<[u8; 32]>);

impl DigestKey {
    /// The key with these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// HMAC-SHA256 in hex, as long as a plain SHA-256; empty where none could be had, which matches nothing.
    pub(crate) fn whole(&self, bytes: &[u8]) -> String {
        hex(&self.0, bytes, 32)
    }
}

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey(***)")
    }
}

/// A digest of `bytes` that only a holder of `key` can recompute, fit for a label or a state file.
///
/// HMAC-SHA256, its first 16 bytes in hex, after `1:`, the version of this recipe.
pub fn keyed_digest(key: &[u8; 32], bytes: &[u8]) -> String {
    match hex(key, bytes, 16) {
        digest if digest.is_empty() => digest,
        digest => format!("1:{digest}"),
    }
}

fn hex(key: &[u8; 32], bytes: &[u8], length: usize) -> String {
    // The key is shorter than the hash's block, so that it cannot be refused; an unkeyed digest must not come out.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return String::new();
    };
    mac.update(bytes);
    let mut digest = String::new();
    for byte in mac.finalize().into_bytes().iter().take(length) {
        // Writing to a string cannot fail.
        let _ = write!(digest, "{byte:02x}");
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value was computed with `openssl dgst -sha256 -mac HMAC -macopt hexkey:00…`.
    #[test]
    fn is_hmac_sha256_cut_to_half() {
        assert_eq!(keyed_digest(&[0; 32], b"value"), "1:60171bc5120682242e965d963059fa40");
        assert_ne!(keyed_digest(&[1; 32], b"value"), keyed_digest(&[0; 32], b"value"));
    }
}
