//! Does hostile input end in a clear error, within a second and a small part of 100 MB?
//!
//! One process a case: this test starts itself again, so that time and the largest resident size are the case's own.

#![allow(clippy::unwrap_used, reason = "a test stops where its fixture is broken")]

use std::{
    collections::BTreeMap,
    env,
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use specs::{Content, FileKind, LoadRequest, MAX_FILE, ReadText, Text, load};

/// Wall time of a case; the debug build is ten times slower than what runs on a host.
const TIME: Duration = Duration::from_secs(if cfg!(debug_assertions) { 15 } else { 1 });
/// Resident memory of a case's whole process, in KiB.
const MEMORY: u64 = 100 << 10;

struct Files(BTreeMap<PathBuf, String>);

impl ReadText for Files {
    fn read(&self, path: &Path) -> io::Result<Content> {
        let text = self.0.get(path).ok_or(io::ErrorKind::NotFound)?;
        // As the reader of the disk does.
        if text.len() as u64 > MAX_FILE {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(Content { bytes: text.as_bytes().to_vec().into(), secret: false })
    }

    fn kind(&self, path: &Path) -> FileKind {
        if self.0.contains_key(path) { FileKind::File } else { FileKind::Missing }
    }

    fn resolve(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
}

type Case = (&'static str, fn() -> Vec<(&'static str, String)>, &'static str);

fn web(field: &str) -> String {
    format!("services: {{web: {{image: x, {field}}}}}\n")
}

fn aliases(levels: usize, wide: usize, open: &str, close: &str, item: fn(usize, usize) -> String) -> String {
    let mut text = "x-a0: &a0 {k: v}\n".to_owned();
    for level in 1..=levels {
        let items: Vec<String> = (0..wide).map(|nth| item(level - 1, nth)).collect();
        let _ = writeln!(text, "x-a{level}: &a{level} {open}{}{close}", items.join(", "));
    }
    text + &web("restart: always")
}

/// Each case: its files, and a word of the error.
const CASES: &[Case] = &[
    ("aliases in lists", || one(aliases(9, 9, "[", "]", |level, _| format!("*a{level}"))), "aliases expand"),
    (
        "aliases in maps",
        || one(aliases(9, 9, "{", "}", |level, nth| format!("k{nth}: *a{level}"))),
        "aliases expand",
    ),
    ("flow nesting", || one("[".repeat(10_000)), "nest"),
    (
        "block nesting",
        || one((0..10_000).fold(String::new(), |text, n| text + &" ".repeat(n % 400) + "a:\n")),
        "",
    ),
    ("dashes", || one("- ".repeat(10_000)), "nest"),
    ("100 MB", || one("#".repeat(100 << 20)), "cannot read"),
    (
        "8 MB of services",
        || {
            one((0..200_000)
                .fold("services:\n".to_owned(), |text, n| text + &format!("  s{n}: {{image: x}}\n")))
        },
        "more than",
    ),
    ("many keys twice", || one("a: 1\n".repeat(40_000)), "already defined"),
    (
        "many unset variables",
        || one(web(&format!("command: \"{}\"", "${A:?x}".repeat(100_000)))),
        "required variable",
    ),
    (
        "deep defaults",
        || one(web(&format!("command: \"{}{}\"", "${A:-".repeat(50_000), "}".repeat(50_000)))),
        "nests too deep",
    ),
    (
        "doubling variables",
        || {
            vec![
                ("/p/compose.yaml", web("command: $V40")),
                (
                    "/p/.env",
                    (1..=40).fold("V0=xxxxxxxxxxxxxxxx\n".to_owned(), |text, n| {
                        text + &format!("V{n}=$V{0}$V{0}\n", n - 1)
                    }),
                ),
            ]
        },
        "",
    ),
    ("open braces", || one(web(&format!("command: \"{}\"", "${A:-".repeat(100_000)))), "interpolation"),
    ("include of itself", || one("include: [compose.yaml]\nservices: {a: {image: x}}".into()), "cycle"),
    (
        "include in a ring",
        || {
            vec![
                ("/p/compose.yaml", "include: [b.yaml]".into()),
                ("/p/b.yaml", "include: [compose.yaml]".into()),
            ]
        },
        "cycle",
    ),
    (
        "include tree",
        || {
            let twice = |next: &str| format!("include: [{next}, {{path: {next}, project_directory: /q}}]\n");
            let names = [
                "/p/compose.yaml",
                "/p/b",
                "/p/c",
                "/p/d",
                "/p/e",
                "/p/f",
                "/p/g",
                "/p/h",
                "/p/i",
                "/p/j",
                "/p/k",
                "/p/l",
                "/p/m",
                "/p/n",
                "/p/o",
                "/p/q",
                "/p/r",
                "/p/s",
                "/p/t",
                "/p/u",
            ];
            names
                .iter()
                .enumerate()
                .map(|(nth, name)| {
                    (*name, names.get(nth + 1).map_or_else(|| web("restart: always"), |next| twice(next)))
                })
                .collect()
        },
        "included files",
    ),
    ("extends in a ring", || one("services: {a: {extends: b}, b: {extends: a}}".into()), "circular"),
    (
        "extends chain",
        || {
            one((1..5_000).rev().fold("services:\n".to_owned(), |text, n| {
                text + &format!("  s{n}: {{extends: s{}}}\n", n - 1)
            }) + "  s0: {image: x}\n")
        },
        "more than",
    ),
    (
        "extends of files in a ring",
        || {
            vec![
                ("/p/compose.yaml", "services: {a: {extends: {file: b.yaml, service: a}}}".into()),
                ("/p/b.yaml", "services: {a: {extends: {file: compose.yaml, service: a}}}".into()),
            ]
        },
        "circular",
    ),
    (
        "port range",
        || {
            one(web(&(1..250)
                .fold("ports: [".to_owned(), |text, n| text + &format!("'10.0.0.{n}:1-65535:1-65535', "))
                .replace(", '10.0.0.249:1-65535:1-65535', ", "]")))
        },
        "ports",
    ),
    (
        "dependency ring",
        || {
            one((0..2_000).fold("services:\n".to_owned(), |text, n| {
                text + &format!("  s{n}: {{image: x, depends_on: [s{}]}}\n", (n + 1) % 2_000)
            }))
        },
        "cycle",
    ),
    (
        "dependency chain",
        || {
            one((0..20_000).fold("services:\n".to_owned(), |text, n| {
                text + &format!("  s{n}: {{image: x, depends_on: [s{}]}}\n", n + 1)
            }))
        },
        "services",
    ),
    (
        "open quote in .env",
        || {
            vec![
                ("/p/compose.yaml", web("restart: always")),
                ("/p/.env", "A=\"".to_owned() + &"\\\n".repeat(1 << 20)),
            ]
        },
        "unterminated",
    ),
    (
        "bad lines in .env",
        || vec![("/p/compose.yaml", web("restart: always")), ("/p/.env", "A=\n".repeat(500_000) + "!")],
        "unexpected character",
    ),
];

fn one(text: String) -> Vec<(&'static str, String)> {
    vec![("/p/compose.yaml", text)]
}

/// The error of one case, with the time that it took.
fn run(case: &Case) -> (String, Duration) {
    let files = Files(case.1().into_iter().map(|(path, text)| (path.into(), text)).collect());
    let request = LoadRequest {
        working_directory: "/p".into(),
        environment: BTreeMap::from([("HOME".to_owned(), Text::plain("/root"))]),
        ..LoadRequest::default()
    };
    let start = Instant::now();
    let said = load(&request, &files).map_or_else(|problems| problems.to_string(), |_| "loaded".into());
    (said, start.elapsed())
}

/// The largest resident size of this process so far, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn every_case_ends_soon_and_small() {
    const CHILD: &str = "HOSTILE_CASE";
    if let Ok(name) = env::var(CHILD) {
        let case = CASES.iter().find(|case| case.0 == name).unwrap();
        let held: usize = case.1().iter().map(|(_, text)| text.len()).sum();
        let (said, took) = run(case);
        let grown = peak().saturating_sub(2 * held as u64 / 1024);
        assert!(said.contains(case.2), "{name}: said {said:.300}");
        assert!(took < TIME, "{name}: took {took:?}");
        assert!(grown < MEMORY, "{name}: grew to {grown} KiB");
        return;
    }
    let failures: Vec<String> = CASES
        .iter()
        .filter_map(|case| {
            let mut child = Command::new(env::current_exe().unwrap());
            let out = child
                .args(["every_case_ends_soon_and_small", "--exact"])
                .env(CHILD, case.0)
                .output()
                .unwrap();
            (!out.status.success())
                .then(|| format!("{}: {}\n{}", case.0, out.status, String::from_utf8_lossy(&out.stdout)))
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
