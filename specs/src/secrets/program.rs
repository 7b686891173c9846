//! How does a caller get the plaintext of a file whose key only the `sops` program can fetch?

use super::{Format, Kind, Plaintext, SecretError, sops};

/// One run of the `sops` program, as a value: this crate starts no process.
///
/// The ciphertext goes in on standard input and the plaintext comes out on standard output: neither a path nor a
/// plaintext is ever an argument. The caller runs it without a shell, with a deadline and a bound on the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgramCall {
    format: Format,
}

impl ProgramCall {
    pub(super) fn new(format: Format) -> Self {
        Self { format }
    }

    /// The program's name, to be looked for on `PATH`.
    pub fn program(self) -> &'static str {
        "sops"
    }

    /// Its arguments; the file's bytes go to standard input.
    pub fn arguments(self) -> Vec<&'static str> {
        vec![
            "--decrypt",
            "--input-type",
            self.format.name(),
            "--output-type",
            self.format.name(),
            "/dev/stdin",
        ]
    }

    /// Makes what the program wrote into a [`Plaintext`] like any other.
    ///
    /// # Errors
    ///
    /// When the output is not in the format that was asked for.
    pub fn accept(self, output: Vec<u8>) -> Result<Plaintext, SecretError> {
        let output = zeroize::Zeroizing::new(output);
        let tree = sops::load_plain(self.format, &output)?;
        Ok(Plaintext::of_tree(Kind::Sops(self.format), output, tree, vec!["the sops program".to_owned()]))
    }
}
