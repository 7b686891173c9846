//! Which files of a build's context does a `.dockerignore` leave out?
//!
//! The rules are those of the Engine's `patternmatcher`: one pattern a line, the last one that matches a path or a folder
//! above it counts, `!` brings back, `**` stands for any number of folders.

use regex::Regex;

/// The patterns of one file.
#[derive(Debug, Default)]
pub struct Ignore {
    patterns: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    brings_back: bool,
    matches: Regex,
}

impl Ignore {
    /// Reads the patterns.
    ///
    /// # Errors
    /// A pattern that cannot be understood, in words, with its line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut patterns = Vec::new();
        for (line, number) in text.trim_start_matches('\u{feff}').lines().zip(1..) {
            let pattern = line.trim();
            if line.starts_with('#') || pattern.is_empty() {
                continue;
            }
            let (brings_back, pattern) = match pattern.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, pattern),
            };
            let cleaned = clean(pattern);
            if cleaned.is_empty() {
                if pattern.is_empty() {
                    return Err(format!("line {number}: a `!` with nothing behind it"));
                }
                continue;
            }
            let matches = expression(&cleaned).and_then(|text| Regex::new(&text).ok());
            let matches = matches.ok_or_else(|| format!("line {number}: `{pattern}` is no pattern"))?;
            patterns.push(Pattern { brings_back, matches });
        }
        Ok(Self { patterns })
    }

    /// Whether a path, relative to the context and with `/` between its parts, is left out.
    pub fn leaves_out(&self, path: &str) -> bool {
        let parents = || path.match_indices('/').map(|(at, _)| &path[..at]);
        self.patterns.iter().fold(false, |out, pattern| {
            // One that could change nothing is not looked at.
            if pattern.brings_back != out {
                return out;
            }
            let matches =
                pattern.matches.is_match(path) || parents().any(|parent| pattern.matches.is_match(parent));
            if matches { !pattern.brings_back } else { out }
        })
    }

    /// Whether something below a folder that is left out may be brought back.
    pub fn may_bring_back(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern.brings_back)
    }
}

/// Go's `filepath.Clean`, without the slash in front: `./a//b/../c/` is `a/c`.
fn clean(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// A pattern as a regular expression; `None` where it ends in the middle of something.
fn expression(pattern: &str) -> Option<String> {
    let mut out = String::from("^");
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '*' if letters.peek() == Some(&'*') => {
                letters.next();
                // `**/` is the same as `**`.
                letters.next_if_eq(&'/');
                out.push_str(if letters.peek().is_none() { ".*" } else { "(.*/)?" });
            }
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '\\' => out.push_str(&regex::escape(&letters.next()?.to_string())),
            '[' => {
                out.push('[');
                loop {
                    match letters.next()? {
                        ']' => break,
                        '\\' => out.push_str(&regex::escape(&letters.next()?.to_string())),
                        letter @ ('^' | '-') => out.push(letter),
                        letter => out.push_str(&regex::escape(&letter.to_string())),
                    }
                }
                out.push(']');
            }
            letter => out.push_str(&regex::escape(&letter.to_string())),
        }
    }
    out.push('$');
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cases of the Engine's own rules.
    #[test]
    fn the_last_pattern_that_matches_a_path_or_a_folder_above_counts() {
        let cases = [
            ("a", "a", true),
            ("a", "b/a", false),
            ("a", "a/b/c", true),
            ("/a/", "a/b", true),
            ("./a/../b", "b", true),
            ("*", "a/b", true),
            ("*.md", "README.md", true),
            ("*.md", "docs/README.md", false),
            ("**/*.md", "docs/deep/README.md", true),
            ("**/*.md", "README.md", true),
            ("a/**", "a/b/c", true),
            ("a/**", "a", false),
            ("**", "anything/at/all", true),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("*\n!keep", "keep", false),
            ("*\n!keep", "keep/inside", false),
            ("*\n!keep\nkeep/not", "keep/not", true),
            ("!a\na", "a", true),
            ("docs\n!docs/README.md", "docs/README.md", false),
            ("docs\n!docs/README.md", "docs/other.md", true),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
            ("[a-c].txt", "b.txt", true),
            ("[^a].txt", "a.txt", false),
            ("a.b", "aXb", false),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("# a\n\n  b  ", "b", true),
            ("# a", "# a", false),
            (".", "a", false),
        ];
        for (text, path, expected) in cases {
            let ignore = Ignore::parse(text).expect("patterns");
            assert_eq!(ignore.leaves_out(path), expected, "{text:?} on {path}");
        }
        assert!(Ignore::parse("a\n!").expect_err("nothing behind it").contains("line 2"));
        assert!(Ignore::parse("[a").expect_err("no end").contains("line 1"));
    }
}
