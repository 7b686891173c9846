//! What is in a file that age encrypted whole? Also used for the data keys inside sops files, each of which is a
//! small armoured age file.

use std::io::Read as _;

use age::{DecryptError, Decryptor, armor::ArmoredReader};
use zeroize::Zeroizing;

use super::{
    Identities, Kind, MAX_BYTES, MAX_KEYS, Recipient, SecretError,
    identities::Identity,
    kind::{AGE_ARMOR, AGE_MAGIC},
};

/// The longest header that is looked at: 256 recipients with the largest (post-quantum) stanzas fit.
const MAX_HEADER: usize = 1 << 20;

/// Why one wrapped key was not opened.
pub(super) enum Refusal {
    /// None of the identities is a recipient.
    NoIdentity,
    /// It is encrypted with a passphrase.
    Passphrase,
    /// It is no age file, or was changed.
    Broken(&'static str),
}

/// The plaintext of a whole age file, and the name of the identity that opened it.
pub(super) fn decrypt(
    bytes: &[u8],
    identities: &Identities,
) -> Result<(Zeroizing<Vec<u8>>, String), SecretError> {
    let armored = !bytes.starts_with(AGE_MAGIC);
    let kind = Kind::Age { armored };
    let recipients = recipients(bytes)?;
    unwrap(bytes, identities.keys().iter(), identities.plugins()).map_err(|refusal| match refusal {
        Refusal::Passphrase => SecretError::NeedsPassphrase,
        Refusal::NoIdentity => SecretError::NoIdentity {
            kind,
            recipients,
            tried: identities.names().map(ToString::to_string).collect(),
            groups: None,
        },
        Refusal::Broken(what) => SecretError::Tampered { kind, what: what.to_owned() },
    })
}

/// Tries `identities` one after the other, so that the answer can say which one it was.
pub(super) fn unwrap<'a>(
    bytes: &[u8],
    identities: impl Iterator<Item = &'a Identity>,
    plugins: bool,
) -> Result<(Zeroizing<Vec<u8>>, String), Refusal> {
    let binary = unarmor(bytes)?;
    let header_is_bounded = stanzas(&binary).is_some_and(|stanzas| stanzas.len() <= MAX_KEYS);
    if !header_is_bounded {
        return Err(Refusal::Broken("its header is cut off, or has more than 256 recipients"));
    }
    let mut last = Refusal::NoIdentity;
    for identity in identities {
        let opened = identity.with_key(plugins, |key| open(&binary, key));
        match opened {
            None | Some(Err(Refusal::NoIdentity)) => {}
            Some(Ok(plain)) => return Ok((plain, identity.name.to_string())),
            Some(Err(Refusal::Passphrase)) => return Err(Refusal::Passphrase),
            Some(Err(refusal)) => last = refusal,
        }
    }
    // Without any identity nothing looked at the file yet.
    match Decryptor::new_buffered(binary.as_slice()) {
        Ok(file) if file.is_scrypt() => Err(Refusal::Passphrase),
        Ok(_) => Err(last),
        Err(_) => Err(Refusal::Broken("its header cannot be read")),
    }
}

fn open(binary: &[u8], key: &dyn age::Identity) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let file = Decryptor::new_buffered(binary).map_err(|_| Refusal::Broken("its header cannot be read"))?;
    if file.is_scrypt() {
        return Err(Refusal::Passphrase);
    }
    let mut reader = file.decrypt(std::iter::once(key)).map_err(|error| match error {
        DecryptError::InvalidMac => Refusal::Broken("its header does not verify"),
        DecryptError::InvalidHeader | DecryptError::UnknownFormat => {
            Refusal::Broken("its header cannot be read")
        }
        _ => Refusal::NoIdentity,
    })?;
    // The plaintext is shorter than the file: reading never moves the buffer, so that no copy stays behind.
    let mut plain = Zeroizing::new(Vec::with_capacity(binary.len() + 1));
    reader.read_to_end(&mut plain).map_err(|_| Refusal::Broken("its content does not verify"))?;
    Ok(plain)
}

fn unarmor(bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
    if bytes.starts_with(AGE_MAGIC) {
        return Ok(bytes.to_vec());
    }
    let mut binary = Vec::new();
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    if !text.starts_with(AGE_ARMOR) {
        return Err(Refusal::Broken("it is no age file"));
    }
    ArmoredReader::new(text)
        .take(MAX_BYTES as u64)
        .read_to_end(&mut binary)
        .map_err(|_| Refusal::Broken("its armour cannot be read"))?;
    Ok(binary)
}

/// Whom an age file is encrypted to, as far as its header tells: for X25519 it does not.
pub(super) fn recipients(bytes: &[u8]) -> Result<Vec<Recipient>, SecretError> {
    let kind = Kind::Age { armored: !bytes.starts_with(AGE_MAGIC) };
    let binary = match unarmor(bytes) {
        Ok(binary) => binary,
        Err(Refusal::Broken(what)) => return Err(SecretError::malformed(kind, None, what)),
        Err(_) => return Err(SecretError::malformed(kind, None, "it is no age file")),
    };
    let stanzas =
        stanzas(&binary).ok_or_else(|| SecretError::malformed(kind, None, "its header is cut off"))?;
    // Random stanzas that age adds to keep readers honest end in `-grease`.
    let real = stanzas.iter().filter(|stanza| !stanza.ends_with("-grease")).take(MAX_KEYS);
    Ok(real.map(|stanza| Recipient::of_stanza(stanza)).collect())
}

/// The first lines of the header's stanzas (`X25519 …`), without `-> `.
fn stanzas(binary: &[u8]) -> Option<Vec<String>> {
    let header = binary.get(..binary.len().min(MAX_HEADER))?.strip_prefix(AGE_MAGIC)?;
    let mut found = Vec::new();
    for line in header.split(|&byte| byte == b'\n') {
        if line.starts_with(b"---") {
            return Some(found);
        }
        if let Some(stanza) = line.strip_prefix(b"-> ") {
            let text = str::from_utf8(stanza).ok()?;
            found.push(text.split(' ').take(2).collect::<Vec<_>>().join(" "));
        }
    }
    None
}
