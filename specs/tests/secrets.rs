//! Do files that the real sops and age encrypted decrypt to the same bytes, and are changed ones refused? On
//! recorded fixtures (`data/secrets/record.sh`), so that it runs everywhere; `secrets_peers.rs` asks the programs.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::{fs, path::PathBuf};

use specs::secrets::{
    Format, Identities, IdentityKind, Kind, Plaintext, SecretError, decrypt, detect, inspect,
};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/secrets")
}

fn read(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn with(keys: &[&str]) -> Identities {
    let mut identities = Identities::new();
    for key in keys {
        identities.add(key, &read(&format!("keys/{key}"))).expect(key);
    }
    identities
}

fn ours() -> Identities {
    with(&["age.txt", "several.txt", "host_ed25519", "host_rsa"])
}

/// The names of the recorded cases, without the extension.
fn cases(extension: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder().join("cases"))
        .unwrap()
        .filter_map(|entry| {
            entry.unwrap().file_name().into_string().unwrap().strip_suffix(extension).map(str::to_owned)
        })
        .collect();
    names.sort();
    assert!(!names.is_empty());
    names
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_recorded_sops_file_decrypts_to_the_same_bytes() {
    let identities = ours();
    let mut failed = Vec::new();
    let names = cases(".plain");
    for name in &names {
        let encrypted = read(&format!("cases/{name}.sops"));
        let want = read(&format!("cases/{name}.plain"));
        match decrypt(&encrypted, &identities) {
            Ok(plain) if plain.expose() == want => {}
            Ok(plain) => {
                failed.push(format!("{name}:\n{}\n-- want --\n{}", shown(plain.expose()), shown(&want)));
            }
            Err(error) => failed.push(format!("{name}: {error}")),
        }
    }
    assert!(failed.is_empty(), "{} of {} differ:\n{}", failed.len(), names.len(), failed.join("\n"));
}

#[test]
fn every_recorded_age_file_decrypts_to_the_same_bytes() {
    let identities = ours();
    for name in cases(".age").iter().filter(|name| *name != "whole-stranger") {
        let encrypted = read(&format!("cases/{name}.age"));
        let armored = name.ends_with("-armor");
        assert_eq!(detect(&encrypted), Some(Kind::Age { armored }), "{name}");
        let want = read(if armored { "plain/app.env" } else { "plain/blob.bin" });
        assert!(decrypt(&encrypted, &identities).expect(name).expose() == want, "{name}");
    }
}

#[test]
fn each_kind_of_identity_opens_its_own_files_only() {
    for (key, kind) in [
        ("age.txt", "age"),
        ("several.txt", "several"),
        ("host_rsa", "ssh_rsa"),
        ("host_rsa_pem", "none"),
        ("stranger.txt", "none"),
    ] {
        let identities = with(&[key]);
        for other in ["age", "several", "ssh_ed25519", "ssh_rsa", "ssh_to_age"] {
            let opened = decrypt(&read(&format!("cases/dotenv-{other}.sops")), &identities);
            assert_eq!(opened.is_ok(), other == kind, "{key} {other}");
        }
    }
    // A host key stands for two recipients: its own, and its conversion.
    let host = with(&["host_ed25519"]);
    for (case, label) in [("ssh_ed25519", "(ssh-ed25519 SHA256:"), ("ssh_to_age", "(ssh-to-age age1")] {
        let plain = decrypt(&read(&format!("cases/dotenv-{case}.sops")), &host).unwrap();
        assert!(
            plain.opened_by()[0].starts_with(&format!("host_ed25519 {label}")),
            "{:?}",
            plain.opened_by()
        );
    }
}

#[test]
fn identities_are_named_but_never_shown() {
    let identities = ours();
    let names: Vec<_> = identities.names().collect();
    assert_eq!(names.iter().filter(|name| name.label == "several.txt").count(), 2);
    let converted = names.iter().find(|name| name.kind == IdentityKind::SshToAge).unwrap();
    assert_eq!(converted.recipient, shown(&read("keys/host_ed25519.age")).trim());
    let shown = format!("{identities:?} {names:?}");
    assert!(shown.contains("SHA256:") && !shown.contains("SECRET"), "{shown}");
}

#[test]
fn unusable_identities_say_what_is_wrong() {
    for (key, want) in [
        ("locked_ed25519", "has a passphrase"),
        ("host_ecdsa", "ecdsa"),
        ("postquantum.txt", "post-quantum"),
        ("host_ed25519.pub", "this is no identity"),
        ("host_ed25519.age", "is a recipient"),
    ] {
        let error = Identities::new().add(key, &read(&format!("keys/{key}"))).unwrap_err().to_string();
        assert!(error.contains(want) && error.contains(key), "{error}");
    }
    // A post-quantum identity takes nothing from the one beside it.
    let both = [read("keys/postquantum.txt"), read("keys/age.txt")].concat();
    assert_eq!(Identities::new().add("both", &both), Ok(1));
    let error = Identities::new().add("x", b"# none\n\n").unwrap_err();
    assert_eq!(error.to_string(), "cannot use the identity file x: it holds no identity");
    let error = Identities::new().add("x", b"\n\nAGE-SECRET-KEY-1XYZ\n").unwrap_err();
    assert_eq!((error.line, error.to_string().contains("XYZ")), (Some(3), false));
}

#[test]
fn a_file_for_somebody_else_says_whom_and_what_was_tried() {
    let identities = with(&["age.txt", "host_ed25519"]);
    let error = decrypt(&read("cases/dotenv-several.sops"), &identities).unwrap_err();
    let SecretError::NoIdentity { recipients, tried, groups: None, .. } = &error else { panic!("{error}") };
    assert!(recipients[0].name.starts_with("age1"));
    assert_eq!(tried.len(), 3);
    assert!(error.to_string().contains(&recipients[0].name) && error.to_string().contains("age.txt"));
    assert!(error.hint().contains("updatekeys"));
    let none = decrypt(&read("cases/whole-stranger.age"), &Identities::new()).unwrap_err();
    assert!(none.hint().contains("give this host an identity"), "{}", none.hint());
}

#[test]
fn files_of_a_key_service_ask_for_the_program() {
    let error = decrypt(&read("cases/pgp-only.sops"), &ours()).unwrap_err();
    let call = error.program().expect("a call");
    assert_eq!(
        call.arguments(),
        ["--decrypt", "--input-type", "dotenv", "--output-type", "dotenv", "/dev/stdin"]
    );
    assert!(error.to_string().contains("pgp "), "{error}");
    let plain: Plaintext = call.accept(b"A=1\nB=\n".to_vec()).unwrap();
    assert_eq!(plain.get("A").unwrap().expose(), "1");
    assert!(inspect(&read("cases/pgp-only.sops")).unwrap().needs_program());
}

#[test]
fn one_variable_of_a_dotenv_file() {
    let plain = decrypt(&read("cases/dotenv-age.sops"), &ours()).unwrap();
    let password = plain.get("DB_PASSWORD").unwrap();
    assert_eq!(password.expose(), "c0rrect horse = battery #staple");
    assert!(password.is_secret());
    assert_eq!(plain.get("EMPTY").unwrap_err(), SecretError::KeyEmpty { path: "EMPTY".into() });
    let absent = plain.get("NONE").unwrap_err();
    assert!(absent.hint().contains("DB_HOST"), "{}", absent.hint());
    assert_eq!(format!("{plain:?}"), "Plaintext(sops dotenv, ***)");
}

#[test]
fn an_envelope_needs_no_key_and_shows_no_value() {
    let envelope = inspect(&read("cases/dotenv-recipients.sops")).unwrap();
    assert_eq!(envelope.kind, Kind::Sops(Format::Dotenv));
    assert_eq!((envelope.groups.len(), envelope.threshold, envelope.recipients().count()), (1, 1, 3));
    assert_eq!(envelope.sops_version.as_deref(), Some("3.11.0"));
    assert!(envelope.last_modified.as_deref().is_some_and(|time| time.ends_with('Z')));
    assert_eq!(envelope.names[..2], ["DB_HOST", "DB_PASSWORD"]);
    let groups = inspect(&read("cases/dotenv-key_groups.sops")).unwrap();
    assert_eq!((groups.groups.len(), groups.threshold), (3, 2));
    let age = inspect(&read("cases/whole-ed25519-armor.age")).unwrap();
    assert!(age.recipients().next().unwrap().name.starts_with("ssh-ed25519 "));
}

#[test]
fn key_groups_open_with_enough_of_them() {
    let file = read("cases/dotenv-key_groups.sops");
    for pair in [["age.txt", "several.txt"], ["age.txt", "host_ed25519"], ["host_ed25519", "several.txt"]] {
        assert_eq!(decrypt(&file, &with(&pair)).unwrap().opened_by().len(), 2);
    }
    let error = decrypt(&file, &with(&["age.txt"])).unwrap_err();
    assert!(matches!(error, SecretError::NoIdentity { groups: Some((1, 2)), .. }), "{error}");
    assert!(error.to_string().contains("1 of 2 needed key groups"), "{error}");
}

#[test]
fn one_value_of_a_yaml_file_and_its_names_without_a_key() {
    let file = read("cases/yaml-age.sops");
    let plain = decrypt(&file, &ours()).unwrap();
    for (path, value) in [
        ("postgres/password", "c0rrect horse"),
        ("postgres/port", "5432"),
        ("postgres/ssl", "true"),
        ("hosts/1", "2"),
        ("hosts/2/token_secret", "abc"),
        ("hosts/3/1", "list"),
        ("odd key: #", "yes"),
    ] {
        assert_eq!(plain.get(path).unwrap().expose(), value, "{path}");
    }
    let names = inspect(&file).unwrap().names;
    assert!(names.contains(&"hosts/2/token_secret".to_owned()), "{names:?}");
    let error = inspect(b"a: &x ENC[AES256_GCM,data:x\nb: *x\nsops:\n    mac: ENC[x]\n").unwrap_err();
    assert!(error.program().is_some() && error.to_string().contains("an anchor or an alias"), "{error}");
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 1000, ..Default::default() })]

    /// Whatever stands in such a file, reading it ends, and ends in an answer.
    #[test]
    fn odd_yaml_is_read_or_refused(text in "[-a:#?,'\"|>&*!%~ \n\t\\[\\]{}\\\\é\r]{0,120}") {
        let file = format!("{text}\nsops:\n    mac: ENC[x]\n");
        let _ = inspect(file.as_bytes());
        let file = format!("a:\n  {}\nsops:\n    mac: ENC[x]\n", text.replace('\n', "\n  "));
        let _ = inspect(file.as_bytes());
    }
}
