//! Does every file that the real sops writes decrypt to the bytes that it decrypts it to? Formats × recipients × options
//! × generated documents, made now by the programs in `$COMPOSE_AGENT_PEERS/bin` or on `PATH`; where there are none, the
//! ones recorded of the same generator are held against what was recorded (`data/secrets/record.sh`, read by
//! `secrets.rs`), so that this test never passes on nothing.
//!
//! `COMPOSE_AGENT_CASES=200` makes that many documents of each format instead of 12.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

mod documents;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use documents::{Dice, document};
use specs::secrets::{Format, Identities, Kind, decrypt, decrypt_as, detect};

const FORMATS: [(&str, Format); 5] = [
    ("yaml", Format::Yaml),
    ("json", Format::Json),
    ("dotenv", Format::Dotenv),
    ("ini", Format::Ini),
    ("binary", Format::Binary),
];

const OPTIONS: [&[&str]; 9] = [
    &[],
    &["--encrypted-regex", "pass|^a"],
    &["--unencrypted-regex", "user|b"],
    &["--encrypted-suffix", "1"],
    &["--unencrypted-suffix", "2"],
    &["--mac-only-encrypted"],
    &["--mac-only-encrypted", "--encrypted-regex", "0$"],
    &["--encrypted-comment-regex", "two|c"],
    &["--unencrypted-comment-regex", "two|double"],
];

fn data() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/secrets")
}

fn key(name: &str) -> PathBuf {
    data().join("keys").join(name)
}

fn ours() -> Identities {
    let mut identities = Identities::new();
    for name in ["age.txt", "several.txt", "host_ed25519", "host_rsa"] {
        identities.add(name, &fs::read(key(name)).unwrap()).expect(name);
    }
    identities
}

/// The real programs, and a home with keys that sops finds.
struct Programs {
    sops: PathBuf,
    age: PathBuf,
    home: tempfile::TempDir,
    recipients: Vec<(&'static str, String)>,
}

impl Programs {
    fn find() -> Option<Self> {
        let peers = std::env::var_os("COMPOSE_AGENT_PEERS").map(|folder| PathBuf::from(folder).join("bin"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = peers.into_iter().chain(std::env::split_paths(&path)).collect();
        let find = |name: &str| folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
        let (sops, age, keygen) = (find("sops")?, find("age")?, find("age-keygen")?);
        let home = tempfile::tempdir().unwrap();
        let ssh = home.path().join(".ssh");
        fs::create_dir(&ssh).unwrap();
        fs::copy(key("host_ed25519"), ssh.join("id_ed25519")).unwrap();
        fs::copy(key("host_rsa"), ssh.join("id_rsa")).unwrap();
        let all = [fs::read(key("age.txt")).unwrap(), fs::read(key("several.txt")).unwrap()].concat();
        fs::write(home.path().join("all"), all).unwrap();
        let recipient = |name: &str| {
            let said = Command::new(&keygen).arg("-y").arg(key(name)).output().unwrap().stdout;
            String::from_utf8(said).unwrap().lines().last().unwrap().to_owned()
        };
        let public = |name: &str| {
            let line = fs::read_to_string(key(name)).unwrap();
            line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
        };
        let (x25519, several) = (recipient("age.txt"), recipient("several.txt"));
        let (ed25519, rsa) = (public("host_ed25519.pub"), public("host_rsa.pub"));
        let stranger = recipient("stranger.txt");
        let groups = format!(
            "creation_rules:\n  - shamir_threshold: 2\n    key_groups:\n      - age: ['{x25519}']\n      \
             - age: ['{several}', '{stranger}']\n      - age: ['{ed25519}']\n"
        );
        fs::write(home.path().join("groups.yaml"), groups).unwrap();
        let both = format!("{stranger},{rsa},{x25519}");
        let recipients = vec![
            ("X25519", x25519),
            ("several", several),
            ("ssh-ed25519", ed25519),
            ("ssh-rsa", rsa),
            ("three", both),
            ("Shamir", String::new()),
        ];
        Some(Self { sops, age, home, recipients })
    }

    fn sops(&self, rules: &str, arguments: &[&str], input: &Path) -> Output {
        let mut command = Command::new(&self.sops);
        command.arg("--config").arg(rules).arg("--disable-version-check").args(arguments).arg(input);
        command.env("HOME", self.home.path()).env("SOPS_AGE_KEY_FILE", self.home.path().join("all"));
        command.current_dir(self.home.path()).output().expect("sops runs")
    }

    /// What sops makes of a document, where it takes it and can read its own file again.
    fn encrypt(&self, case: &Case) -> Option<(Vec<u8>, Vec<u8>)> {
        let (plain, sealed) = (self.home.path().join("plain"), self.home.path().join("sealed"));
        fs::write(&plain, &case.document).unwrap();
        let types = ["--input-type", case.format, "--output-type", case.format];
        let to: Vec<&str> = if case.recipient.is_empty() { vec![] } else { vec!["--age", &case.recipient] };
        let rules = if case.recipient.is_empty() { "groups.yaml" } else { "/dev/null" };
        let made = self.sops(rules, &[&["--encrypt"], &types[..], &to, case.options].concat(), &plain);
        if !made.status.success() {
            return None;
        }
        fs::write(&sealed, &made.stdout).unwrap();
        let opened = self.sops("/dev/null", &[&["--decrypt"], &types[..]].concat(), &sealed);
        opened.status.success().then_some((made.stdout, opened.stdout))
    }
}

struct Case {
    name: String,
    format: &'static str,
    kind: Kind,
    recipient: String,
    options: &'static [&'static str],
    document: Vec<u8>,
}

/// The cases of a run: every recipient and every option in turn.
fn cases(programs: &Programs, of_each: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, format) in FORMATS {
        let mut dice = Dice::new(format as u64 + 7);
        for nth in 0..of_each {
            let (kind, recipient) = &programs.recipients[nth % programs.recipients.len()];
            // A binary file has one value and no comments: nothing to choose.
            let options = if name == "binary" { &[] } else { OPTIONS[nth % OPTIONS.len()] };
            cases.push(Case {
                name: format!("generated-{name}-{nth}-{kind}"),
                format: name,
                kind: Kind::Sops(format),
                recipient: recipient.clone(),
                options,
                document: document(name, &mut dice),
            });
        }
    }
    cases
}

#[test]
fn what_sops_writes_now_decrypts_to_the_bytes_that_it_decrypts_it_to() {
    let Some(programs) = Programs::find() else {
        let recorded = fs::read_dir(data().join("cases")).unwrap().flatten();
        let generated =
            recorded.filter(|entry| entry.file_name().to_string_lossy().starts_with("generated-"));
        assert!(generated.count() >= 100, "neither sops nor its recorded files are here");
        return;
    };
    let of_each = std::env::var("COMPOSE_AGENT_CASES").map_or(12, |count| count.parse().expect("a number"));
    let identities = ours();
    let (mut failed, mut done) = (Vec::new(), 0);
    for case in cases(&programs, of_each) {
        let Some((sealed, want)) = programs.encrypt(&case) else { continue };
        done += 1;
        let detected = detect(&sealed) == Some(case.kind);
        match decrypt_as(case.kind, &sealed, &identities) {
            Ok(plain) if plain.expose() == want && detected => {}
            Ok(_) => failed.push(format!("{} {:?}: other bytes, or not recognised", case.name, case.options)),
            Err(error) => failed.push(format!("{} {:?}: {error}", case.name, case.options)),
        }
        if let Some(folder) = std::env::var_os("COMPOSE_AGENT_RECORD") {
            let at = |end| PathBuf::from(&folder).join(format!("{}.{end}", case.name));
            fs::write(at("sops"), &sealed).unwrap();
            fs::write(at("plain"), &want).unwrap();
        }
    }
    assert!(failed.is_empty(), "{} of {done} differ:\n{}", failed.len(), failed.join("\n"));
    // sops refuses some documents (a key twice), and cannot read all of its own files again; most it can.
    assert!(done * 10 >= of_each * FORMATS.len() * 8, "sops took only {done}");
}

#[test]
fn what_age_writes_now_decrypts() {
    // Without the programs `secrets.rs` reads what they wrote once.
    let Some(programs) = Programs::find() else { return };
    let identities = ours();
    let mut dice = Dice::new(99);
    for (kind, recipient) in programs.recipients.iter().filter(|(_, recipient)| !recipient.is_empty()) {
        for armor in [false, true] {
            let document = document("binary", &mut dice);
            let mut command = Command::new(&programs.age);
            command.arg("--encrypt").args(armor.then_some("--armor"));
            for one in recipient.split(',') {
                command.args(["--recipient", one]);
            }
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("age runs");
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), &document).unwrap();
            let sealed = child.wait_with_output().unwrap().stdout;
            assert_eq!(detect(&sealed), Some(Kind::Age { armored: armor }), "{kind}");
            assert_eq!(decrypt(&sealed, &identities).expect(kind).expose(), document, "{kind}");
        }
    }
}

/// A changed file is refused, or says the same. The small files have nothing that sops's MAC leaves out: comments, which
/// can be taken away, and the names of what is not encrypted (values in the open, empty ones, nulls).
#[test]
fn no_changed_byte_gives_another_plaintext() {
    let identities = ours();
    let programs = Programs::find();
    let mut refused: Vec<String> = Vec::new();
    for (name, format) in FORMATS {
        let sealed = fs::read(data().join(format!("cases/small-{name}.sops"))).unwrap();
        let want = fs::read(data().join(format!("cases/small-{name}.plain"))).unwrap();
        let mut accepted = 0;
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1 << (at % 7);
            let Ok(plain) = decrypt_as(Kind::Sops(format), &changed, &identities) else { continue };
            accepted += 1;
            let near = String::from_utf8_lossy(&changed[at.saturating_sub(20)..(at + 20).min(changed.len())])
                .into_owned();
            assert!(plain.expose() == want, "{name}: another plaintext with byte {at} changed: {near:?}");
            // What is taken is taken by sops, too; a few of them, since each is a run of the program.
            if let Some(programs) = programs.as_ref().filter(|_| accepted % 2 == 1) {
                let path = programs.home.path().join("changed");
                fs::write(&path, &changed).unwrap();
                let types = ["--decrypt", "--input-type", name, "--output-type", name];
                let said = programs.sops("/dev/null", &types, &path);
                if !said.status.success() || said.stdout != want {
                    refused.push(format!(
                        "{name}: byte {at}: {near:?}: {}",
                        String::from_utf8_lossy(&said.stderr)
                    ));
                }
            }
        }
        assert!(accepted < sealed.len() / 3, "{name}: {accepted} of {} changes were taken", sealed.len());
    }
    assert!(refused.is_empty(), "sops does not take what is taken here:\n{}", refused.join("\n"));
}
