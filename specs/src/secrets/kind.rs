//! Is this file encrypted, and as what? Told from the content alone, since names lie and most secrets have none.
//!
//! A file that sops wrote but that lost its metadata (cut off, half copied) still counts as sops: handing its
//! `ENC[…]` text to a service as if it were the secret would be worse than refusing it.

use std::fmt;

use super::sops::json;

/// The store format of a sops file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// A YAML mapping, or several documents.
    Yaml,
    /// A JSON object.
    Json,
    /// `KEY=value` lines.
    Dotenv,
    /// Sections of `key = value` lines.
    Ini,
    /// Any bytes, wrapped in JSON.
    Binary,
}

impl Format {
    /// The name that the `sops` program knows it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Yaml => "yaml",
            Self::Json => "json",
            Self::Dotenv => "dotenv",
            Self::Ini => "ini",
            Self::Binary => "binary",
        }
    }
}

/// What an encrypted file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Encrypted value by value, by sops.
    Sops(Format),
    /// Encrypted whole, by age (agenix).
    Age {
        /// Whether it is in the PEM-like text form.
        armored: bool,
    },
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sops(format) => write!(f, "sops {}", format.name()),
            Self::Age { armored: true } => f.write_str("age (armored)"),
            Self::Age { armored: false } => f.write_str("age"),
        }
    }
}

pub(super) const AGE_MAGIC: &[u8] = b"age-encryption.org/v1\n";
pub(super) const AGE_ARMOR: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
const ENCRYPTED_VALUE: &[u8] = b"ENC[AES256_GCM,data:";

/// Tells what an encrypted file is; `None` for a file that nothing encrypted.
pub fn detect(bytes: &[u8]) -> Option<Kind> {
    if bytes.starts_with(AGE_MAGIC) {
        return Some(Kind::Age { armored: false });
    }
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    if text.starts_with(AGE_ARMOR) {
        return Some(Kind::Age { armored: true });
    }
    if text.starts_with(b"{") { detect_json(text) } else { detect_lines(text) }.map(Kind::Sops)
}

fn detect_json(text: &[u8]) -> Option<Format> {
    if !contains(text, b"\"sops\"") && !contains(text, ENCRYPTED_VALUE) {
        return None;
    }
    match json::top_level_keys(text) {
        Ok(keys) => {
            let metadata = keys.iter().any(|key| key == "sops");
            let only_data =
                keys.iter().all(|key| key == "sops" || key == "data") && keys.iter().any(|key| key == "data");
            match (metadata && has_mac(text), only_data) {
                (true, true) => Some(Format::Binary),
                (true, false) => Some(Format::Json),
                (false, _) => starts_a_value(text).then_some(Format::Json),
            }
        }
        // Not JSON, or cut off: a YAML flow mapping is nothing that sops writes.
        Err(_) => starts_a_value(text).then_some(Format::Json),
    }
}

fn detect_lines(text: &[u8]) -> Option<Format> {
    let mut yaml_section = false;
    let mut ini_section = false;
    for line in text.split(|&byte| byte == b'\n') {
        if line.starts_with(b"sops_mac=ENC[") {
            return Some(Format::Dotenv);
        }
        let trimmed = line.trim_ascii();
        if trimmed == b"[sops]" {
            ini_section = true;
        } else if line.trim_ascii_end() == b"sops:" || line.trim_ascii_end() == b"\"sops\":" {
            yaml_section = true;
        } else if trimmed.starts_with(b"[") && trimmed.ends_with(b"]") {
            ini_section = false;
        } else if yaml_section
            && line.first().is_some_and(|byte| !byte.is_ascii_whitespace())
            && !line.starts_with(b"#")
        {
            yaml_section = false;
        }
        let mac = trimmed.strip_prefix(b"mac").map(<[u8]>::trim_ascii_start);
        if yaml_section
            && mac.is_some_and(|rest| rest.starts_with(b": ENC[") || rest.starts_with(b": \"ENC["))
        {
            return Some(Format::Yaml);
        }
        if ini_section && mac.is_some_and(|rest| rest.starts_with(b"=") && contains(rest, b"ENC[")) {
            return Some(Format::Ini);
        }
    }
    damaged(text)
}

/// A file with encrypted values but without the metadata that opens them: which one it was.
fn damaged(text: &[u8]) -> Option<Format> {
    let line = text.split(|&byte| byte == b'\n').find(|line| starts_a_value(line))?;
    let at = find(line, ENCRYPTED_VALUE)?;
    let before = line.get(..at)?.trim_ascii_end();
    Some(match before.last() {
        Some(b'=') if before.ends_with(b" =") => Format::Ini,
        Some(b'=') => Format::Dotenv,
        _ => Format::Yaml,
    })
}

/// Whether an encrypted value stands where a value stands: after a key, or as an item.
fn starts_a_value(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some(at) = find(rest, ENCRYPTED_VALUE) {
        let before = rest.get(..at).unwrap_or_default();
        let before = before.strip_suffix(b"\"").unwrap_or(before).trim_ascii_end();
        if matches!(before.last(), Some(b'=' | b':' | b'-' | b'[' | b',')) && !before.contains(&b'#') {
            return true;
        }
        rest = rest.get(at + ENCRYPTED_VALUE.len()..).unwrap_or_default();
    }
    false
}

fn has_mac(text: &[u8]) -> bool {
    contains(text, b"\"mac\"")
}

fn contains(text: &[u8], what: &[u8]) -> bool {
    find(text, what).is_some()
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    let first = *what.first()?;
    let mut from = 0;
    while let Some(step) = text.get(from..)?.iter().position(|&byte| byte == first) {
        let at = from + step;
        if text.get(at..)?.starts_with(what) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_files_are_none() {
        for plain in [
            "",
            "A=b\n",
            "a: 1\nsops: yes\n",
            "{\"a\": 1}",
            "{\"sops\": 1}",
            "[sops]\nx = 1\n",
            "{",
            "\u{feff}A=1\n",
            "# see ENC[AES256_GCM,data: in the manual\nA=1\n",
            "text about ENC[AES256_GCM,data:\n",
            "-----BEGIN OPENSSH PRIVATE KEY-----\n",
            "age-encryption.org/v2\n",
        ] {
            assert_eq!(detect(plain.as_bytes()), None, "{plain:?}");
        }
    }

    #[test]
    fn a_file_that_lost_its_metadata_is_still_sops() {
        assert_eq!(detect(b"A=ENC[AES256_GCM,data:x"), Some(Kind::Sops(Format::Dotenv)));
        assert_eq!(detect(b"a:\n    - ENC[AES256_GCM,data:x"), Some(Kind::Sops(Format::Yaml)));
        assert_eq!(detect(b"[s]\na = ENC[AES256_GCM,data:x"), Some(Kind::Sops(Format::Ini)));
        assert_eq!(detect(b"{\n\t\"a\": \"ENC[AES256_GCM,data:x"), Some(Kind::Sops(Format::Json)));
    }
}
