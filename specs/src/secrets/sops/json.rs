//! sops' JSON store (and the binary store, which wraps any bytes in JSON).

/// The keys of the outermost object.
pub(crate) fn top_level_keys(text: &[u8]) -> Result<Vec<String>, ()> {
    let value: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(text).map_err(|_| ())?;
    Ok(value.into_iter().map(|(key, _)| key).collect())
}
