//! Do files decrypt alike whose metadata another version of sops laid out? 3.7 to 3.10 wrote a field for each kind of key
//! service, empty or null, in an order of their own; later ones leave them out, and add kinds that earlier ones do not know.
//! The metadata of recorded files is laid out anew; where the real sops is in `$COMPOSE_AGENT_PEERS/bin` it must take them, too.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, missing_docs)]

use std::{fs, path::PathBuf, process::Command};

use specs::secrets::{Identities, decrypt, inspect};

const VERSIONS: [&str; 9] =
    ["3.7.0", "3.7.3", "3.8.1", "3.9.0", "3.9.4", "3.10.2", "3.11.0", "3.12.0", "3.13.2"];

fn data() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/secrets")
}

/// Whether a version writes fields for key services that a file does not use.
fn writes_empty_ones(version: &str) -> bool {
    ["3.7.", "3.8.", "3.9.", "3.10."].iter().any(|old| version.starts_with(old))
}

/// Whether it knows Huawei's key service.
fn knows_hckms(version: &str) -> bool {
    ["3.12.", "3.13."].iter().any(|new| version.starts_with(new))
}

/// The file as another version would have written its metadata.
fn laid_out(format: &str, file: &str, version: &str) -> String {
    let file = file.replace("3.11.0", version);
    if !writes_empty_ones(version) && !knows_hckms(version) {
        return file;
    }
    let services: &[&str] =
        if knows_hckms(version) { &["hckms"] } else { &["kms", "gcp_kms", "azure_kv", "hc_vault"] };
    let old = !knows_hckms(version);
    match format {
        "yaml" => {
            let empty: String = services.iter().map(|name| format!("    {name}: []\n")).collect();
            let file = file.replacen("sops:\n", &format!("sops:\n{empty}"), 1);
            let pgp = if old { "    pgp: []\n" } else { "" };
            file.replacen("    unencrypted_suffix:", &format!("{pgp}    unencrypted_suffix:"), 1)
        }
        "json" | "binary" => {
            let empty: String = services.iter().map(|name| format!("\t\t\"{name}\": null,\n")).collect();
            file.replacen("\"sops\": {\n", &format!("\"sops\": {{\n{empty}"), 1)
        }
        // Flat formats have a line for each thing that is there, in an order that changes from run to run.
        "dotenv" => {
            let (values, metadata): (Vec<&str>, Vec<&str>) =
                file.lines().partition(|line| !line.starts_with("sops_"));
            let lines = values.into_iter().chain(metadata.into_iter().rev());
            lines.map(|line| format!("{line}\n")).collect()
        }
        _ => {
            let (values, metadata) = file.split_once("[sops]\n").unwrap();
            let lines = metadata.lines().rev().filter(|line| !line.is_empty());
            format!("{values}[sops]\n{}", lines.map(|line| format!("{line}\n")).collect::<String>())
        }
    }
}

#[test]
fn what_any_version_laid_out_decrypts_to_the_same_bytes() {
    let mut identities = Identities::new();
    identities.add("age.txt", &fs::read(data().join("keys/age.txt")).unwrap()).unwrap();
    let sops = std::env::var_os("COMPOSE_AGENT_PEERS").map(|peers| PathBuf::from(peers).join("bin/sops"));
    let sops = sops.filter(|sops| sops.is_file());
    if sops.is_none() {
        eprintln!("without COMPOSE_AGENT_PEERS: the real sops was not asked");
    }
    let home = tempfile::tempdir().unwrap();
    for format in ["yaml", "json", "dotenv", "ini", "binary"] {
        let recorded = fs::read_to_string(data().join(format!("cases/small-{format}.sops"))).unwrap();
        let want = fs::read(data().join(format!("cases/small-{format}.plain"))).unwrap();
        for version in VERSIONS {
            let file = laid_out(format, &recorded, version);
            let name = format!("{format} of {version}");
            assert_eq!(inspect(file.as_bytes()).expect(&name).sops_version.as_deref(), Some(version));
            let plain = decrypt(file.as_bytes(), &identities).expect(&name);
            assert!(plain.expose() == want, "{name}: {}", String::from_utf8_lossy(plain.expose()));
            if let Some(sops) = &sops {
                let path = home.path().join("sealed");
                fs::write(&path, &file).unwrap();
                let mut command = Command::new(sops);
                command.args(["--config", "/dev/null", "--disable-version-check", "--decrypt"]);
                command.args(["--input-type", format, "--output-type", format]).arg(&path);
                let said = command.env("SOPS_AGE_KEY_FILE", data().join("keys/age.txt")).output().unwrap();
                let words = String::from_utf8_lossy(&said.stderr).into_owned();
                assert!(said.status.success() && said.stdout == want, "{name}: sops says {words}");
            }
        }
    }
}
