//! Is every value what was encrypted? One walk in document order decrypts each leaf in place, bound to its path,
//! and feeds it to the file's MAC; a file whose MAC differs is refused whole.

use sha2::{Digest as _, Sha512};
use zeroize::Zeroizing;

use super::{
    super::{Format, Kind, MAX_DEPTH, SecretError},
    cipher::{Cipher, Encrypted, resembles_encrypted},
    metadata::Metadata,
    number,
    rule::Comments,
    tree::{Comment, Entry, Item, Tree, Value},
};

/// What the hash starts with when it covers encrypted values only, so that the two kinds of MAC never agree: the
/// SHA-256 of `sops`.
const ONLY_ENCRYPTED: [u8; 32] = [
    0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b, 0x0b,
    0x97, 0x5b, 0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
];

struct Walk<'a> {
    format: Format,
    metadata: &'a Metadata,
    cipher: Cipher,
    hash: Sha512,
    path: Vec<String>,
    comments: Comments,
    /// Encrypted comments that do not open where they stand, and where that is.
    strays: Vec<(String, String)>,
}

/// Decrypts the whole tree in place, and verifies it.
pub(super) fn decrypt(
    format: Format,
    tree: &mut Tree,
    metadata: &Metadata,
    key: &[u8],
) -> Result<(), SecretError> {
    let cipher = Cipher::new(key).ok_or_else(|| {
        SecretError::malformed(Kind::Sops(format), None, "its data key is not 32 bytes long")
    })?;
    let mut hash = Sha512::new();
    if metadata.mac_only_encrypted {
        hash.update(ONLY_ENCRYPTED);
    }
    let (path, comments, strays) = (Vec::new(), Vec::new(), Vec::new());
    let mut walk = Walk { format, metadata, cipher, hash, path, comments, strays };
    for document in &mut tree.documents {
        walk.map(document)?;
    }
    walk.check_strays(tree)?;
    walk.verify()
}

impl Walk<'_> {
    fn verify(self) -> Result<(), SecretError> {
        let tampered =
            |what: &str| SecretError::Tampered { kind: Kind::Sops(self.format), what: what.to_owned() };
        let stored = Encrypted::parse(&self.metadata.mac)
            .filter(|mac| mac.kind == "str")
            .and_then(|mac| self.cipher.open(&mac, &self.metadata.last_modified))
            .ok_or_else(|| tampered("its MAC, or the time beside it, does not verify"))?;
        let mut computed: Vec<u8> = Vec::with_capacity(128);
        for byte in self.hash.finalize() {
            computed
                .extend(HEX.get(usize::from(byte >> 4)).into_iter().chain(HEX.get(usize::from(byte & 15))));
        }
        if *stored == computed { Ok(()) } else { Err(tampered("its MAC does not match its values")) }
    }

    fn enter(&mut self) -> Result<(), SecretError> {
        if self.comments.len() >= MAX_DEPTH {
            let what = format!("it is nested deeper than {MAX_DEPTH} levels");
            return Err(SecretError::malformed(Kind::Sops(self.format), None, what));
        }
        self.comments.push(Vec::new());
        Ok(())
    }

    fn map(&mut self, entries: &mut [Entry]) -> Result<(), SecretError> {
        self.enter()?;
        for entry in entries {
            match entry {
                Entry::Comment(comment) => self.comment(comment)?,
                Entry::Pair(key, value) => {
                    self.path.push(key.clone());
                    self.value(value)?;
                    self.path.pop();
                    self.forget_comments();
                }
            }
        }
        self.comments.pop();
        Ok(())
    }

    fn list(&mut self, items: &mut [Item]) -> Result<(), SecretError> {
        self.enter()?;
        for item in items {
            match item {
                Item::Comment(comment) => {
                    self.comment(comment)?;
                    // An empty one among encrypted ones comes back as an empty item: sops loses its kind.
                    if comment.text.is_empty()
                        && self.metadata.rule.encrypts(&self.path, &self.comments, true)
                    {
                        *item = Item::Value(Value::text(""));
                    }
                }
                // An item is bound to its list's path, without an index.
                Item::Value(value) => {
                    match self.comment_as_item(value)? {
                        Some(text) => *item = Item::Comment(Comment { text, inline: false }),
                        None => self.value(value)?,
                    }
                    self.forget_comments();
                }
            }
        }
        self.comments.pop();
        Ok(())
    }

    /// In a list sops writes an encrypted comment as if it were an item; it is in no MAC, like every comment.
    fn comment_as_item(&self, value: &Value) -> Result<Option<Zeroizing<String>>, SecretError> {
        let Value::Text(text) = value else { return Ok(None) };
        match Encrypted::parse(text).filter(|encrypted| encrypted.kind == "comment") {
            Some(encrypted) if self.metadata.rule.encrypts(&self.path, &self.comments, false) => {
                let opened = self.cipher.open(&encrypted, &self.bound_to());
                opened
                    .map(|bytes| Some(text_of(&bytes)))
                    .ok_or_else(|| self.tampered("a comment does not verify"))
            }
            _ => Ok(None),
        }
    }

    fn forget_comments(&mut self) {
        if let Some(level) = self.comments.last_mut() {
            level.clear();
        }
    }

    fn bound_to(&self) -> String {
        let mut bound_to = self.path.join(":");
        bound_to.push(':');
        bound_to
    }

    fn comment(&mut self, comment: &mut Comment) -> Result<(), SecretError> {
        if self.metadata.rule.reads_comments()
            && let Some(level) = self.comments.last_mut()
        {
            level.push(comment.text.to_string());
        }
        if !self.metadata.rule.encrypts(&self.path, &self.comments, true) || comment.text.is_empty() {
            return Ok(());
        }
        let opened =
            Encrypted::parse(&comment.text).and_then(|value| self.cipher.open(&value, &self.bound_to()));
        match opened.map(|bytes| text_of(&bytes)) {
            Some(text) => comment.text = text,
            // Comments are not in the MAC. Older versions left them in the open, so that a readable one is kept;
            // but one that was encrypted and opens nowhere was changed, though sops would print it with a warning.
            None if resembles_encrypted(&comment.text) => {
                self.strays.push((comment.text.to_string(), self.place()));
            }
            None => {}
        }
        Ok(())
    }

    fn value(&mut self, value: &mut Value) -> Result<(), SecretError> {
        match value {
            Value::Map(entries) => return self.map(entries),
            Value::List(items) => return self.list(items),
            // sops neither encrypts nor hashes a null.
            Value::Null => return Ok(()),
            _ => {}
        }
        let encrypted = self.metadata.rule.encrypts(&self.path, &self.comments, false);
        if encrypted {
            let plain = match value {
                Value::Text(text) => self.leaf(text)?,
                _ => return Err(self.tampered("it should be encrypted")),
            };
            *value = plain;
        }
        if encrypted || !self.metadata.mac_only_encrypted {
            self.hash_leaf(value);
        }
        Ok(())
    }

    fn leaf(&self, text: &str) -> Result<Value, SecretError> {
        if text.is_empty() {
            return Ok(Value::text(""));
        }
        let encrypted = Encrypted::parse(text).ok_or_else(|| self.tampered("it should be encrypted"))?;
        let plain = self
            .cipher
            .open(&encrypted, &self.bound_to())
            .ok_or_else(|| self.tampered("it does not verify"))?;
        typed(encrypted.kind, plain).ok_or_else(|| self.tampered("its type does not fit it"))
    }

    fn place(&self) -> String {
        if self.path.is_empty() { "the top level".to_owned() } else { format!("`{}`", self.path.join("/")) }
    }

    fn tampered(&self, what: &str) -> SecretError {
        let what = format!("{}: {what}", self.place());
        SecretError::Tampered { kind: Kind::Sops(self.format), what }
    }

    /// When sops writes a YAML file, its library may put a comment where, read again, it belongs to another collection.
    /// sops then shows its ciphertext, and so does this; one that opens in no collection of the file was changed.
    fn check_strays(&self, tree: &Tree) -> Result<(), SecretError> {
        if self.strays.is_empty() {
            return Ok(());
        }
        let mut places = vec![":".to_owned()];
        tree.documents.iter().for_each(|entries| places_in_map(entries, "", &mut places));
        let genuine = |text: &str| {
            Encrypted::parse(text)
                .is_some_and(|value| places.iter().any(|place| self.cipher.open(&value, place).is_some()))
        };
        match self.strays.iter().find(|(text, _)| !genuine(text)) {
            None => Ok(()),
            Some((_, place)) => Err(SecretError::Tampered {
                kind: Kind::Sops(self.format),
                what: format!("{place}: a comment does not verify"),
            }),
        }
    }

    fn hash_leaf(&mut self, value: &Value) {
        match value {
            Value::Bool(true) => self.hash.update("True"),
            Value::Bool(false) => self.hash.update("False"),
            Value::Int(number) => self.hash.update(Zeroizing::new(number.to_string()).as_bytes()),
            Value::Float(number) => self.hash.update(Zeroizing::new(number::plain(*number)).as_bytes()),
            Value::Text(text) | Value::Time(text) => self.hash.update(text.as_bytes()),
            Value::Bytes(bytes) => self.hash.update(bytes.as_slice()),
            Value::Null | Value::List(_) | Value::Map(_) => {}
        }
    }
}

/// What values and comments below each mapping are bound to.
fn places_in_map(entries: &[Entry], above: &str, places: &mut Vec<String>) {
    for entry in entries {
        if let Entry::Pair(key, value) = entry {
            places_in(value, &format!("{above}{key}:"), places);
        }
    }
}

fn places_in(value: &Value, at: &str, places: &mut Vec<String>) {
    match value {
        Value::Map(entries) => {
            places.push(at.to_owned());
            places_in_map(entries, at, places);
        }
        Value::List(items) => {
            places.push(at.to_owned());
            for item in items {
                if let Item::Value(value) = item {
                    places_in(value, at, places);
                }
            }
        }
        _ => {}
    }
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

fn text_of(bytes: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(String::from_utf8_lossy(bytes).into_owned())
}

/// Makes decrypted bytes into what their type says, by Go's rules.
fn typed(kind: &str, mut bytes: Zeroizing<Vec<u8>>) -> Option<Value> {
    let text = str::from_utf8(&bytes);
    Some(match (kind, text) {
        ("str" | "bytes", Ok(_)) => {
            // Valid by the check above, and moved rather than copied.
            Value::Text(Zeroizing::new(String::from_utf8(std::mem::take(&mut *bytes)).ok()?))
        }
        ("str" | "bytes", Err(_)) => Value::Bytes(bytes),
        ("int", Ok(text)) => Value::Int(text.strip_prefix('+').unwrap_or(text).parse().ok()?),
        ("float", Ok(text)) => Value::Float(number::parse(text)?),
        ("bool", Ok("1" | "t" | "T" | "true" | "TRUE" | "True")) => Value::Bool(true),
        ("bool", Ok("0" | "f" | "F" | "false" | "FALSE" | "False")) => Value::Bool(false),
        ("time", Ok(text)) => Value::Time(Zeroizing::new(super::time::canonical(text)?)),
        _ => return None,
    })
}
