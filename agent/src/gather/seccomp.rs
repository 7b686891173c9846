//! What do the seccomp profiles say that services name in `security_opt`?
//!
//! The Engine does not read them from the host: their text is sent to it, as one line of JSON.

use std::{collections::BTreeMap, path::Path};

use plan::container::from_service::seccomp_file;
use specs::{ReadText, Text, model::Project};

/// The profiles of the enabled services, by the path as written, which is relative to the project's folder; what is wrong
/// with one is added to `troubles`.
pub fn profiles_of(
    project: &Project,
    reader: &impl ReadText,
    troubles: &mut Vec<String>,
) -> BTreeMap<String, Text> {
    let mut profiles = BTreeMap::new();
    for service in project.services.values() {
        for file in service.security_opt.iter().filter_map(|option| seccomp_file(option.expose())) {
            match profile(&project.working_dir.join(file), reader) {
                Ok(text) => drop(profiles.insert(file.to_owned(), text)),
                Err(why) => troubles.push(format!("services.{}.security_opt: {file}: {why}", service.name)),
            }
        }
    }
    profiles
}

fn profile(path: &Path, reader: &impl ReadText) -> Result<Text, String> {
    let content = reader.read(path).map_err(|error| error.to_string())?;
    let text = std::str::from_utf8(&content.bytes).map_err(|error| error.to_string())?;
    serde_json::from_str::<serde::de::IgnoredAny>(text)
        .map_err(|error| format!("not JSON, as a seccomp profile is: {error}"))?;
    Ok(Text::with_secrecy(compact(text), content.secret))
}

/// JSON without the space between its tokens, as Docker Compose sends it.
fn compact(json: &str) -> String {
    let (mut quoted, mut escaped) = (false, false);
    json.chars()
        .filter(|c| {
            let kept = quoted || !c.is_ascii_whitespace();
            match c {
                '"' if !escaped => quoted = !quoted,
                _ => {}
            }
            escaped = quoted && *c == '\\' && !escaped;
            kept
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::compact;

    #[test]
    fn only_the_space_between_tokens_goes() {
        let text = "{\n  \"a b\": [ 1, \"c \\\" d\" ],\t\"e\\\\\": null\n}";
        assert_eq!(compact(text), "{\"a b\":[1,\"c \\\" d\"],\"e\\\\\":null}");
    }
}
