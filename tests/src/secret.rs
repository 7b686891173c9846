//! Secrets of a test's own: an identity, files encrypted to it, and the spellings in which a value may come to light.

use std::{
    fmt::Write as _,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use age::secrecy::ExposeSecret as _;

/// A file of the recorded fixtures, `keys/age.txt` or `cases/dotenv-age.sops`.
pub fn recorded(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs/tests/data/secrets").join(name)
}

/// An age identity that exists for one test.
#[allow(missing_debug_implementations, reason = "it holds a key")]
pub struct Key(age::x25519::Identity);

impl Default for Key {
    fn default() -> Self {
        Self(age::x25519::Identity::generate())
    }
}

impl Key {
    /// Writes the identity as `age-keygen` does.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn save(&self, folder: &Path) -> PathBuf {
        let path = folder.join("keys.txt");
        let text = format!("# made for a test\n{}\n", self.0.to_string().expose_secret());
        fs::write(&path, text).expect("written");
        path
    }

    /// For whom files are encrypted: `age1…`.
    pub fn recipient(&self) -> String {
        self.0.to_public().to_string()
    }

    /// An age file, armoured.
    ///
    /// # Panics
    /// It cannot be encrypted.
    pub fn encrypt(&self, plaintext: &str) -> String {
        self.encrypt_also_to(&[], plaintext)
    }

    /// The same with more recipients.
    ///
    /// # Panics
    /// It cannot be encrypted.
    pub fn encrypt_also_to(&self, others: &[&Self], plaintext: &str) -> String {
        let recipients: Vec<_> = others.iter().chain([&self]).map(|key| key.0.to_public()).collect();
        let recipients = recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
        let encryptor = age::Encryptor::with_recipients(recipients).expect("a recipient");
        let mut bytes = Vec::new();
        let armour = age::armor::ArmoredWriter::wrap_output(&mut bytes, age::armor::Format::AsciiArmor);
        let mut writer = encryptor.wrap_output(armour.expect("armour")).expect("a writer");
        writer.write_all(plaintext.as_bytes()).expect("written");
        writer.finish().and_then(age::armor::ArmoredWriter::finish).expect("finished");
        String::from_utf8(bytes).expect("text")
    }
}

/// Every spelling that a program may give a value: as it is, in other letters, in hex, for URLs, in base64, in JSON.
pub fn spellings(value: &str) -> Vec<String> {
    let hex = value.bytes().fold(String::new(), |mut all, byte| {
        let _ = write!(all, "{byte:02x}");
        all
    });
    let mut all = vec![value.to_owned(), value.to_uppercase(), value.to_lowercase(), hex.to_uppercase(), hex];
    // Some programs escape what no URL needs escaped.
    all.extend([url(value, b""), url(value, b"-_.~")]);
    // Inside something longer it may begin at any of three places of a group.
    all.extend((0..3).map(|skipped| base64(&value.as_bytes()[skipped..])));
    all.push(value.replace('/', "\\/"));
    all
}

fn url(value: &str, kept: &[u8]) -> String {
    value.bytes().fold(String::new(), |mut all, byte| {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            all.push(char::from(byte));
        } else {
            let _ = write!(all, "%{byte:02X}");
        }
        all
    })
}

/// Without the end, which depends on what follows.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks_exact(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        (0..4).for_each(|digit| text.push(char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63])));
    }
    text
}
