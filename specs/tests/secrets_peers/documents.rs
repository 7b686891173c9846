//! Documents that nobody would write, one after the other from a seed: odd keys, unicode, long values, nested lists,
//! numbers, booleans, nulls, times, comments in every place.

use std::fmt::Write as _;

/// What stands in keys and values.
const WORDS: [&str; 66] = [
    "a",
    "user",
    "password",
    "db_pass",
    "x y",
    "key: odd",
    "#hash",
    "yes",
    "null",
    "~",
    "1",
    "0x1f",
    "é",
    "🔑",
    "-",
    "- a",
    "?",
    "? a",
    ":",
    "a:b",
    "it's",
    "say \"hi\"",
    "tab\there",
    "@at",
    "`tick",
    "%p",
    "[x]",
    "{y}",
    "*star",
    "&amp",
    "!bang",
    "|",
    ">",
    "2024-01-02",
    "12:30:00",
    "1e3",
    ".5",
    "1_000",
    "0644",
    "true",
    "On",
    "trailing ",
    "  lead",
    "a #b",
    "a# b",
    "back\\slash",
    "=",
    "<<",
    "nel\u{85}x",
    "ls\u{2028}x",
    "nbsp\u{a0}x",
    "日本",
    "q?",
    "---",
    "...",
    "--- x",
    "end:",
    "Null",
    ".nan",
    "+1",
    "08",
    "1:2",
    "\u{7f}",
    "\u{1b}[0m",
    "n_unencrypted",
    "a long one that goes on and on and on, past every width at which somebody might think of breaking a line, and then some more",
];

/// Texts of several lines.
const TEXTS: [&str; 13] = [
    "line1\nline2",
    "line1\nline2\n",
    "\nlead",
    "a\n\nb\n\n",
    "  indented\nx\n",
    "x\n  y\n",
    "trail \nx",
    "tab\t\nx",
    "# no comment\nx",
    "é\n🔑\n",
    "-----BEGIN-----\nabc\n-----END-----\n",
    "\n",
    "a\r\nb\r\n",
];

/// Plain YAML scalars, which the reader gives a type.
const SCALARS: [&str; 34] = [
    "1",
    "-5",
    "0",
    "017",
    "0x1F",
    "1_000",
    "1e3",
    "1e21",
    "0.25",
    "1.0",
    "-0.0",
    "123456789.5",
    ".5",
    "6.02e23",
    "1e-7",
    "0o17",
    "12345678901",
    "true",
    "False",
    "null",
    "~",
    "2024-01-02",
    "2024-02-29T12:30:00Z",
    "2001-12-14t21:59:43.10-05:00",
    "2001-12-14 21:59:43.10",
    "{}",
    "[]",
    "[a, b]",
    "{a: 1, b: [x]}",
    "abc",
    "hello world",
    "'single'",
    "http://x",
    "user@host",
];

/// A sequence of numbers that is the same for the same seed.
pub(crate) struct Dice(u64);

impl Dice {
    /// Started from a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `sides`.
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % sides
    }

    fn chance(&mut self, of_100: usize) -> bool {
        self.roll(100) < of_100
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len())]
    }
}

/// A document in a format of sops's.
pub(crate) fn document(format: &str, dice: &mut Dice) -> Vec<u8> {
    match format {
        "yaml" => yaml(dice).into_bytes(),
        "json" => json(dice, 0).to_string().into_bytes(),
        "dotenv" => dotenv(dice).into_bytes(),
        "ini" => ini(dice).into_bytes(),
        _ => (0..dice.roll(300)).map(|_| u8::try_from(dice.roll(256)).unwrap_or(0)).collect(),
    }
}

fn yaml(dice: &mut Dice) -> String {
    let comments = dice.one(&[0, 10, 25]);
    let mut out = String::new();
    for index in 0..if dice.chance(90) { 1 } else { 2 } {
        if index > 0 || dice.chance(5) {
            out += "---\n";
        }
        mapping(dice, &mut out, 0, 0, comments);
    }
    out
}

/// JSON's quoting is YAML's, too.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("text")
}

fn word(dice: &mut Dice) -> String {
    let several = dice.chance(20);
    let mut text = dice.one(&WORDS).to_owned();
    if several {
        text += dice.one(&TEXTS);
        text += dice.one(&WORDS);
    }
    text
}

fn comments(dice: &mut Dice, out: &mut String, indent: usize, of_100: usize) {
    while dice.chance(of_100) {
        let shift = dice.one(&[0, 0, 0, 2, 4]);
        let indent = if dice.chance(50) { indent.saturating_sub(shift) } else { indent + shift };
        let text =
            dice.one(&["#", "# c", "# two words", "#no space", "# x: y", "#  - z", "# é", "## double"]);
        let _ = writeln!(out, "{:indent$}{text}", "");
        if dice.chance(20) {
            out.push('\n');
        }
    }
}

fn inline(dice: &mut Dice) -> &'static str {
    if dice.chance(10) { " # right of it" } else { "" }
}

fn mapping(dice: &mut Dice, out: &mut String, indent: usize, depth: usize, of_100: usize) {
    for nth in 0..=dice.roll(4) {
        comments(dice, out, indent, of_100);
        let key = match dice.roll(10) {
            0..6 => {
                format!("{}{nth}", dice.one(&["a", "user", "pass", "db_password", "n_unencrypted", "host"]))
            }
            6..9 => quoted(&format!("{}{nth}", dice.one(&WORDS))),
            _ => quoted(&format!("{}{nth}", dice.one(&TEXTS))),
        };
        let _ = write!(out, "{:indent$}{key}:", "");
        value(dice, out, indent, depth, of_100);
    }
    comments(dice, out, indent, of_100);
}

fn value(dice: &mut Dice, out: &mut String, indent: usize, depth: usize, of_100: usize) {
    match dice.roll(10) {
        0..2 if depth < 4 => {
            let _ = writeln!(out, "{}", inline(dice));
            let deeper = indent + dice.one(&[2, 4]);
            mapping(dice, out, deeper, depth + 1, of_100);
        }
        2..4 if depth < 4 => {
            let _ = writeln!(out, "{}", inline(dice));
            let deeper = indent + dice.one(&[0, 2, 4]);
            list(dice, out, deeper, depth + 1, of_100);
        }
        4 => block(dice, out, indent + 2),
        _ => leaf(dice, out),
    }
}

fn leaf(dice: &mut Dice, out: &mut String) {
    let text = match dice.roll(3) {
        0 => dice.one(&SCALARS).to_owned(),
        _ => quoted(&word(dice)),
    };
    let _ = writeln!(out, " {text}{}", inline(dice));
}

fn block(dice: &mut Dice, out: &mut String, indent: usize) {
    let _ = writeln!(out, " {}", dice.one(&["|", "|-", "|+", ">", ">-"]));
    for nth in 0..=dice.roll(4) {
        let line =
            if nth == 0 { "first" } else { dice.one(&["abc", "x y", "# not", "  deeper", "a: b", ""]) };
        let _ = writeln!(
            out,
            "{}",
            if line.is_empty() { String::new() } else { format!("{:indent$}{line}", "") }
        );
    }
}

fn list(dice: &mut Dice, out: &mut String, indent: usize, depth: usize, of_100: usize) {
    for _ in 0..=dice.roll(4) {
        comments(dice, out, indent, of_100);
        let _ = write!(out, "{:indent$}-", "");
        match dice.roll(10) {
            0..2 if depth < 4 => {
                out.push('\n');
                mapping(dice, out, indent + 2, depth + 1, of_100);
            }
            2 if depth < 4 => {
                out.push('\n');
                list(dice, out, indent + 2, depth + 1, of_100);
            }
            3 => block(dice, out, indent + 2),
            _ => leaf(dice, out),
        }
    }
}

fn json(dice: &mut Dice, depth: usize) -> serde_json::Value {
    use serde_json::{Value, json};
    let mut map = serde_json::Map::new();
    for nth in 0..=dice.roll(6) {
        let value = match dice.roll(12) {
            0..2 if depth < 4 => json(dice, depth + 1),
            2..4 if depth < 4 => Value::Array((0..dice.roll(4)).map(|_| json(dice, depth + 2)).collect()),
            4 => dice.one(&[json!(null), json!(true), json!(false)].each_ref()).clone(),
            5 => json!([[1, [2.5, "x"]], [], {}]),
            6 => json!(dice.roll(1 << 30)),
            7 => dice.one(&[json!(0.1), json!(-1e21), json!(1e-7), json!(123_456_789.5)].each_ref()).clone(),
            _ => json!(word(dice)),
        };
        map.insert(format!("{}{nth}", dice.one(&WORDS)), value);
    }
    Value::Object(map)
}

fn dotenv(dice: &mut Dice) -> String {
    let mut out = String::new();
    for nth in 0..=dice.roll(8) {
        if dice.chance(20) {
            let _ = writeln!(out, "#{}", dice.one(&["", " c", " two words", "A=1", " é"]));
        }
        let value = word(dice).replace(['\n', '\r'], "\\n");
        let _ = writeln!(
            out,
            "{}_{nth}={value}",
            dice.one(&["A", "DB_PASSWORD", "user", "N_unencrypted", "x.y"])
        );
    }
    out
}

fn ini(dice: &mut Dice) -> String {
    let mut out = String::new();
    for section in 0..=dice.roll(3) {
        let _ = writeln!(out, "[{}{section}]", dice.one(&["db", "web server", "a.b", "n_unencrypted"]));
        for nth in 0..=dice.roll(4) {
            if dice.chance(20) {
                let _ = writeln!(out, "; {}", dice.one(&["c", "two words", "é"]));
            }
            let value =
                dice.one(&["x", "a b", "", "1", "true", "é🔑", "a;b", "http://x", "0.5", "ends in \\ x"]);
            let _ = writeln!(out, "{}{nth} = {value}", dice.one(&["user", "pass", "key.x", "n_unencrypted"]));
        }
    }
    out
}
