//! How does a sops file become plaintext? Load the store's format into one tree, get the data key, decrypt every
//! value in place while hashing it, compare the hash with the file's MAC, and write the tree as sops would.
//!
//! Behaviour was measured on sops 3.11 and holds for files of 3.7 to 3.13; where the versions differ, the comment
//! beside the code says how.

mod buffer;
mod cipher;
mod data_key;
mod dotenv;
mod ini;
pub(super) mod json;
mod metadata;
mod number;
mod rule;
mod shamir;
mod time;
pub(super) mod tree;
mod walk;
mod yaml;

use zeroize::Zeroizing;

use self::{json::Numbers, metadata::Metadata, tree::Tree};
use super::{Format, Identities, Kind, Plaintext, SecretError};

/// Decrypts a whole sops file.
pub(super) fn decrypt(
    format: Format,
    bytes: &[u8],
    identities: &Identities,
) -> Result<Plaintext, SecretError> {
    let (mut tree, metadata) = load(format, bytes)?;
    let (key, opened_by) = data_key::recover(format, &metadata, identities)?;
    let is_json = matches!(format, Format::Json | Format::Binary);
    let rounded = (is_json && json::has_large_integers(&tree))
        .then(|| json::parse(format, text(format, bytes)?, Numbers::Rounded));
    if let Err(error) = walk::decrypt(format, &mut tree, &metadata, &key) {
        // Numbers in the open are hashed as the writer's version understood them.
        tree = rounded.ok_or(error)??;
        Metadata::take_from(format, &mut tree)?;
        walk::decrypt(format, &mut tree, &metadata, &key)?;
    }
    let plain = emit(format, &tree, &metadata.version)?;
    let structured = format != Format::Binary;
    Ok(Plaintext::of_tree(Kind::Sops(format), plain, structured.then_some(tree), opened_by))
}

/// Reads an encrypted file: the tree of still encrypted values, without the metadata, and the metadata.
pub(super) fn load(format: Format, bytes: &[u8]) -> Result<(Tree, Metadata), SecretError> {
    let mut tree = parse(format, text(format, bytes)?)?;
    let metadata = Metadata::take_from(format, &mut tree)?;
    Ok((tree, metadata))
}

/// Reads what the `sops` program decrypted, so that single keys can be asked for; a binary file has none.
pub(super) fn load_plain(format: Format, bytes: &[u8]) -> Result<Option<Tree>, SecretError> {
    if format == Format::Binary {
        return Ok(None);
    }
    parse(format, text(format, bytes)?).map(Some)
}

fn text(format: Format, bytes: &[u8]) -> Result<&str, SecretError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    str::from_utf8(bytes)
        .map_err(|_| SecretError::malformed(Kind::Sops(format), None, "it is not UTF-8 text"))
}

fn parse(format: Format, text: &str) -> Result<Tree, SecretError> {
    match format {
        Format::Dotenv => dotenv::parse(text),
        Format::Ini => ini::parse(text),
        Format::Json | Format::Binary => json::parse(format, text, Numbers::Exact),
        Format::Yaml => yaml::parse(text),
    }
}

fn emit(format: Format, tree: &Tree, version: &str) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    match format {
        Format::Dotenv => Ok(dotenv::emit(tree)),
        Format::Ini => ini::emit(tree),
        Format::Json => Ok(json::emit(tree)),
        Format::Binary => json::emit_binary(tree),
        Format::Yaml => Ok(yaml::emit(tree, yaml::keeps_inline(version))),
    }
}
