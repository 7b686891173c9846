//! Secrets of a test's own: an identity, and files encrypted to it.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use age::secrecy::ExposeSecret as _;

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

    /// An age file, armoured.
    ///
    /// # Panics
    /// It cannot be encrypted.
    pub fn encrypt(&self, plaintext: &str) -> String {
        let recipient = self.0.to_public();
        let recipients = std::iter::once(&recipient as &dyn age::Recipient);
        let encryptor = age::Encryptor::with_recipients(recipients).expect("a recipient");
        let mut bytes = Vec::new();
        let armour = age::armor::ArmoredWriter::wrap_output(&mut bytes, age::armor::Format::AsciiArmor);
        let mut writer = encryptor.wrap_output(armour.expect("armour")).expect("a writer");
        writer.write_all(plaintext.as_bytes()).expect("written");
        writer.finish().and_then(age::armor::ArmoredWriter::finish).expect("finished");
        String::from_utf8(bytes).expect("text")
    }
}
