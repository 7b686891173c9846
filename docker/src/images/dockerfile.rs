//! What does a Dockerfile build upon, and how does it get further named contexts?
//!
//! Only as much of it is read as that needs; what it means is BuildKit's business.

use std::collections::{BTreeMap, BTreeSet};

/// The images that a Dockerfile takes something from: `FROM`, `COPY --from`, `--mount=from=`, without its own stages.
/// References with an argument that has no value are left out: BuildKit says what is wrong with them.
pub fn bases(text: &str, args: &BTreeMap<String, String>) -> BTreeSet<String> {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let mut stages: BTreeSet<String> = BTreeSet::new();
    let mut found = BTreeSet::new();
    for line in instructions(text) {
        let mut words = line.split_whitespace();
        let instruction = words.next().unwrap_or_default().to_ascii_uppercase();
        if instruction == "ARG" && stages.is_empty() && found.is_empty() {
            for (name, default) in words.map(|word| word.split_once('=').unwrap_or((word, ""))) {
                let given = args.get(name).cloned();
                let default = default.trim_matches(['"', '\'']).to_owned();
                known.insert(name.to_owned(), given.unwrap_or(default));
            }
            continue;
        }
        let named = if instruction == "FROM" {
            let mut words = words.filter(|word| !word.starts_with("--"));
            let base = words.next().map(str::to_owned);
            let stage = words.nth(1).map(str::to_ascii_lowercase);
            let base = base.into_iter().collect::<Vec<_>>();
            let of_stage = |base: &String| stages.contains(&base.to_ascii_lowercase());
            let base: Vec<String> = base.into_iter().filter(|base| !of_stage(base)).collect();
            stages.insert(stage.unwrap_or_default());
            base
        } else {
            let from = |word: &str| {
                let value = word.strip_prefix("--from=").map(str::to_owned);
                let mount = word.strip_prefix("--mount=");
                let of_mount =
                    || mount?.split(',').find_map(|part| Some(part.strip_prefix("from=")?.to_owned()));
                value.or_else(of_mount)
            };
            let is_other = |name: &String| {
                name.parse::<usize>().is_err() && !stages.contains(&name.to_ascii_lowercase())
            };
            words.take_while(|word| word.starts_with("--")).filter_map(from).filter(is_other).collect()
        };
        found.extend(
            named.iter().filter_map(|name| substitute(name, &known)).filter(|name| name != "scratch"),
        );
    }
    found
}

/// A Dockerfile in which each named context is a stage of its own: what `COPY --from=NAME` and `FROM NAME` mean then.
///
/// # Errors
/// A stage has the name already, or there is no stage at all.
pub fn with_contexts(text: &str, contexts: &BTreeMap<String, String>) -> Result<String, String> {
    if contexts.is_empty() {
        return Ok(text.to_owned());
    }
    let is_from = |line: &str| {
        line.trim_start().get(..5).is_some_and(|word| word.trim_end().eq_ignore_ascii_case("FROM"))
    };
    for line in instructions(text) {
        let mut words = line.split_whitespace().rev();
        let (stage, word) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if is_from(&line) && word.eq_ignore_ascii_case("AS") && contexts.contains_key(stage) {
            return Err(format!("a stage and an additional context are both called `{stage}`: rename one"));
        }
    }
    let at: usize = text.split_inclusive('\n').take_while(|line| !is_from(line)).map(str::len).sum();
    if at >= text.len() {
        return Err("it has no FROM".into());
    }
    let stages: String = contexts.values().map(|stage| format!("{stage}\n")).collect();
    Ok(format!("{}{stages}{}", &text[..at], &text[at..]))
}

/// The instructions, continued lines put together, comments left out.
fn instructions(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut current = String::new();
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        match line.strip_suffix('\\') {
            Some(part) => {
                current.push_str(part);
                current.push(' ');
            }
            None => {
                current.push_str(line);
                all.push(std::mem::take(&mut current));
            }
        }
    }
    all.extend((!current.is_empty()).then_some(current));
    all
}

/// Puts the values of arguments in; `None` where one has none.
fn substitute(text: &str, known: &BTreeMap<String, String>) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (name, default, left) = match after.strip_prefix('{') {
            Some(inner) => {
                let (inner, left) = inner.split_once('}')?;
                let (name, default) =
                    inner.split_once(":-").map_or((inner, None), |(name, default)| (name, Some(default)));
                (name, default, left)
            }
            None => {
                let end = after.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
                let (name, left) = after.split_at(end.unwrap_or(after.len()));
                (name, None, left)
            }
        };
        let value = known.get(name).map(String::as_str).filter(|value| !value.is_empty()).or(default)?;
        out.push_str(value);
        rest = left;
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_are_what_is_taken_from_outside() {
        let text = "# syntax=docker/dockerfile:1\nARG TAG=1\nARG REGISTRY\nFROM --platform=$BUILDPLATFORM ${REGISTRY:-docker.io}/node:$TAG AS Build\nRUN --mount=type=bind,from=tools:2,target=/t \\\n  make\nFROM build AS next\nCOPY --from=build /a /a\nCOPY --from=0 /a /b\nCOPY --chown=1 --from=busybox /bin/sh /sh\nFROM scratch\nFROM $NOWHERE\n";
        let found = |args: &[(&str, &str)]| {
            let args = args.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            bases(text, &args).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(found(&[]), ["busybox", "docker.io/node:1", "tools:2"]);
        assert_eq!(found(&[("TAG", "2"), ("REGISTRY", "ghcr.io/x")])[1], "ghcr.io/x/node:2");
    }

    #[test]
    fn a_named_context_is_a_stage_before_the_first_one() {
        let contexts = BTreeMap::from([("lib".to_owned(), "FROM lib:1 AS lib".to_owned())]);
        let text =
            with_contexts("ARG A=1\nfrom scratch\nCOPY --from=lib /a /a\n", &contexts).expect("it fits");
        assert_eq!(text, "ARG A=1\nFROM lib:1 AS lib\nfrom scratch\nCOPY --from=lib /a /a\n");
        assert!(with_contexts("FROM a AS lib\n", &contexts).is_err());
        assert!(with_contexts("ARG A\n", &contexts).is_err());
    }
}
