//! Does any mutation of the committed cases bring the loader, the dotenv reader or the interpolation down?
//!
//! Deterministic: a seed gives the same inputs on every machine. `FUZZ_SECONDS` sets how long (5 by default, a share for
//! each target), `FUZZ_SEED` where to begin; a failure prints the seed that shows it again.

#![allow(clippy::unwrap_used, reason = "a test stops where its fixture is broken")]

use std::{
    collections::BTreeMap,
    env, fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use specs::{Content, FileKind, LoadRequest, ReadText, Text, canonical, dotenv, interpolate, load};

/// The longest that one input may take; a debug build on a busy machine is slow.
const SLOW: Duration = Duration::from_secs(5);

/// Files that stand nowhere: every compose file that is asked for is the input.
struct Input<'t> {
    compose: &'t str,
    dotenv: &'t str,
}

impl ReadText for Input<'_> {
    fn read(&self, path: &Path) -> io::Result<Content> {
        let text =
            if path.extension().is_some_and(|kind| kind == "yaml") { self.compose } else { self.dotenv };
        Ok(Content { bytes: text.as_bytes().to_vec().into(), secret: false })
    }

    fn kind(&self, path: &Path) -> FileKind {
        if path.file_name().is_some_and(|name| name == "compose.yaml" || name == ".env") {
            FileKind::File
        } else {
            FileKind::Missing
        }
    }

    fn resolve(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
}

/// SplitMix64: enough to choose mutations with.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end.max(1) as u64)).unwrap()
    }

    fn pick<'t, T>(&mut self, items: &'t [T]) -> &'t T {
        &items[self.below(items.len())]
    }
}

/// Pieces that mean something to one of the targets.
const PIECES: &[&str] = &[
    "${",
    "}",
    "$$",
    "$",
    ":-",
    ":?",
    ":+",
    "${A:-${B:-",
    "&a ",
    "*a",
    "<<: ",
    "!reset ",
    "!override ",
    "- ",
    ": ",
    "? ",
    "\n",
    "\n  ",
    "\t",
    "'",
    "\"",
    "\\",
    "[",
    "]",
    "{",
    "}",
    "|\n",
    ">-\n",
    "#",
    "---\n",
    "!!binary ",
    "~",
    "null",
    "0644",
    "2024-01-01",
    "-1",
    "1e400",
    "99999999999999999999",
    "x-",
    "extends: ",
    "include: [",
    "services:",
    "ports: [1-9:1-9]",
    "\u{feff}",
    "\u{0}",
    "ü",
    "😀",
    "export ",
    "=",
    "\r\n",
    " #",
    "%YAML 1.1",
    "service:",
    "${A",
    "/",
    "..",
    "*",
];

/// A few changes: pieces put in, ranges taken out, doubled or moved, and pieces of another input.
fn mutate(random: &mut Random, corpus: &[String]) -> String {
    let mut text: Vec<char> = random.pick(corpus).chars().take(4_000).collect();
    for _ in 0..=random.below(6) {
        let at = random.below(text.len() + 1);
        let end = (at + random.below(24)).min(text.len());
        match random.below(6) {
            0 | 1 => drop(text.splice(at..at, random.pick(PIECES).chars())),
            2 => drop(text.drain(at..end)),
            3 => {
                let copied: Vec<char> = text[at..end].to_vec();
                let times = random.below(4);
                (0..times).for_each(|_| drop(text.splice(at..at, copied.iter().copied())));
            }
            4 => {
                let other: Vec<char> = random.pick(corpus).chars().collect();
                let from = random.below(other.len() + 1);
                let to = (from + random.below(200)).min(other.len());
                text.splice(at..at, other[from..to].iter().copied());
            }
            _ if at < text.len() => text[at] = char::from(u8::try_from(random.below(128)).unwrap()),
            _ => {}
        }
    }
    text.into_iter().collect()
}

fn corpus(wanted: impl Fn(&Path) -> bool) -> Vec<String> {
    fn walk(folder: &Path, wanted: &dyn Fn(&Path) -> bool, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, wanted, found);
            } else if wanted(&path) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases"), &wanted, &mut found);
    found.sort();
    found.iter().filter_map(|path| fs::read_to_string(path).ok()).collect()
}

/// Runs a target on mutation after mutation, until its time is over.
fn hunt(name: &str, corpus: &[String], target: impl Fn(&str)) {
    assert!(corpus.len() > 50, "{name}: a corpus of {}", corpus.len());
    let number = |name: &str, default: u64| env::var(name).map_or(default, |text| text.parse().unwrap());
    let time = Duration::from_secs(number("FUZZ_SECONDS", 5)) / 3;
    let (start, first) = (Instant::now(), number("FUZZ_SEED", 1));
    let mut seed = first;
    while start.elapsed() < time {
        let input = mutate(&mut Random(seed), corpus);
        let began = Instant::now();
        let fell = catch_unwind(AssertUnwindSafe(|| target(&input))).is_err();
        let took = began.elapsed();
        assert!(!fell && took < SLOW, "{name}: FUZZ_SEED={seed} (took {took:?}):\n{input}");
        seed += 1;
    }
    assert!(seed - first > 20, "{name}: only {} inputs", seed - first);
}

#[test]
fn the_loader_stands_every_file() {
    let files = corpus(|path| {
        path.extension().is_some_and(|kind| kind == "yaml") && !path.ends_with("expected.yaml")
    });
    hunt("loader", &files, |text| {
        let request = LoadRequest {
            working_directory: "/p".into(),
            environment: BTreeMap::from([
                ("HOME".to_owned(), Text::plain("/root")),
                ("V".to_owned(), Text::plain("v$V")),
            ]),
            ..LoadRequest::default()
        };
        let input = Input { compose: text, dotenv: "A=1\nB=$A\n" };
        match load(&request, &input) {
            Ok(loaded) => {
                // What is printed reads as the same project again.
                let printed = canonical::yaml(&loaded.project, canonical::Secrets::Mask);
                assert!(!canonical::json(&loaded.project, canonical::Secrets::Mask).is_empty());
                assert!(
                    specs::yaml::parse(&printed, specs::doc::FileId(0), false).is_ok(),
                    "printed:\n{printed}"
                );
            }
            Err(problems) => assert!(!problems.to_string().is_empty()),
        }
    });
}

#[test]
fn the_dotenv_reader_stands_every_file() {
    let files = corpus(|path| path.extension().is_some_and(|kind| kind == "env") || path.ends_with(".env"));
    hunt("dotenv", &files, |text| {
        let lookup = |name: &str| (name == "HOME").then(|| Text::plain("/root"));
        for found in [dotenv::parse(text, false, &lookup), dotenv::parse_raw(text, false, &lookup)] {
            match found {
                Ok(pairs) => assert!(pairs.len() <= text.len() + 1),
                Err(error) => assert!(error.line as usize <= text.matches('\n').count() + 1, "{error:?}"),
            }
        }
    });
}

#[test]
fn the_interpolation_stands_every_text() {
    let files = corpus(|path| {
        path.starts_with(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/interpolation"))
    });
    hunt("interpolation", &files, |text| {
        let lookup = |name: &str| matches!(name, "V" | "A").then(|| Text::plain("v"));
        let shown = interpolate::expand(&Text::plain(text), &lookup, &mut |_| {});
        // A text without a dollar sign is its own expansion.
        if !text.contains('$') {
            assert_eq!(shown.unwrap(), *text);
        }
    });
}
