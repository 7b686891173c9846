//! How is one value encrypted? `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`, bound to its path as additional data.

use aes_gcm::{
    Aes256Gcm, AesGcm, KeyInit as _,
    aead::consts::U32,
    aead::{AeadInPlace as _, generic_array::GenericArray},
    aes::Aes256,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use zeroize::Zeroizing;

/// The data key of one file, ready to use.
pub(super) struct Cipher {
    /// sops writes nonces of 32 bytes.
    long_nonce: Box<AesGcm<Aes256, U32>>,
    /// The standard's nonces of 12 bytes are legal too, and other writers of the format use them.
    short_nonce: Box<Aes256Gcm>,
}

/// An encrypted value, taken apart.
pub(super) struct Encrypted<'a> {
    data: &'a str,
    nonce: &'a str,
    tag: &'a str,
    pub(super) kind: &'a str,
}

impl<'a> Encrypted<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        // A file that went through a tool that ends lines in CRLF is still accepted by sops.
        let inner = text.trim_end_matches('\r').strip_prefix("ENC[AES256_GCM,data:")?.strip_suffix(']')?;
        let (inner, kind) = inner.rsplit_once(",type:")?;
        let (inner, tag) = inner.rsplit_once(",tag:")?;
        let (data, nonce) = inner.rsplit_once(",iv:")?;
        Some(Self { data, nonce, tag, kind })
    }
}

/// Whether a text is, or a moment ago was, an encrypted value: one changed byte cannot hide all three marks.
pub(super) fn resembles_encrypted(text: &str) -> bool {
    ["ENC[AES256_GCM,", ",iv:", ",tag:"].iter().filter(|mark| text.contains(*mark)).count() >= 2
}

impl Cipher {
    pub(super) fn new(key: &[u8]) -> Option<Self> {
        Some(Self {
            long_nonce: Box::new(AesGcm::new_from_slice(key).ok()?),
            short_nonce: Box::new(Aes256Gcm::new_from_slice(key).ok()?),
        })
    }

    /// Decrypts; `None` when anything does not verify.
    pub(super) fn open(&self, value: &Encrypted<'_>, bound_to: &str) -> Option<Zeroizing<Vec<u8>>> {
        let nonce = BASE64_STANDARD.decode(value.nonce).ok()?;
        let tag = BASE64_STANDARD.decode(value.tag).ok()?;
        let mut data = Zeroizing::new(BASE64_STANDARD.decode(value.data).ok()?);
        if tag.len() != 16 {
            return None;
        }
        let tag = GenericArray::from_slice(&tag);
        let bound_to = bound_to.as_bytes();
        match nonce.len() {
            32 => self.long_nonce.decrypt_in_place_detached(
                GenericArray::from_slice(&nonce),
                bound_to,
                &mut data,
                tag,
            ),
            12 => self.short_nonce.decrypt_in_place_detached(
                GenericArray::from_slice(&nonce),
                bound_to,
                &mut data,
                tag,
            ),
            _ => return None,
        }
        .ok()?;
        Some(data)
    }
}
