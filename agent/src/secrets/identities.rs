//! With which identities does this agent decrypt? Those that the command line, the service manager and sops's own
//! variables name; else the host's.

use std::{env, path::PathBuf};

use specs::secrets::Identities;
use systemd::keys::{self, Places};
use zeroize::Zeroizing;

/// Where to look: the files of `--age-key`, `$CREDENTIALS_DIRECTORY`, `$SOPS_AGE_KEY_FILE`, `$SOPS_AGE_KEY`, and where
/// none of them says anything, the usual places of a host.
pub fn places(given: &[PathBuf]) -> Places {
    let path = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    Places {
        given: given.to_vec(),
        credentials: path("CREDENTIALS_DIRECTORY"),
        sops_key: env::var("SOPS_AGE_KEY").ok().filter(|key| !key.is_empty()).map(Zeroizing::new),
        sops_key_file: path("SOPS_AGE_KEY_FILE"),
        usual: keys::USUAL.iter().map(PathBuf::from).collect(),
    }
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// What can be decrypted with.
    pub identities: Identities,
    /// What was named and cannot be used; told only where something could not be opened.
    pub troubles: Vec<String>,
    /// Where an identity was found or looked for: another content there may open more.
    pub looked_at: Vec<PathBuf>,
}

/// Reads all of them.
pub fn load(places: &Places) -> Found {
    let (found, errors) = keys::find(places);
    let mut troubles: Vec<String> = errors.iter().map(words).collect();
    // A plugin's program is asked where its identity is given: that is what it is given for.
    let mut identities = Identities::new().allow_plugins(true);
    for identity in &found {
        match identities.add(&identity.label, &identity.bytes) {
            // A credential may be anything; what is no identity is somebody else's.
            Err(_) if is_credential(places, identity) => {}
            Err(error) => troubles.push(error.to_string()),
            Ok(_) => {}
        }
    }
    let named = places.given.iter().chain(&places.sops_key_file).chain(&places.usual).cloned();
    let looked_at = named.chain(found.iter().filter_map(|identity| identity.path.clone())).collect();
    Found { identities, troubles, looked_at }
}

fn is_credential(places: &Places, identity: &keys::Identity) -> bool {
    let folder = places.credentials.as_ref();
    folder.is_some_and(|folder| identity.path.as_ref().is_some_and(|path| path.starts_with(folder)))
}

fn words(error: &keys::KeyError) -> String {
    let cause = std::error::Error::source(error);
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const KEY: &str = "AGE-SECRET-KEY-184JMZMVQH3E6U0PSL869004Y3U2NYV7R30EU99CSEDNPH02YUVFSZW44VU";

    #[test]
    fn every_place_gives_its_identities_and_an_odd_credential_is_passed_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("credentials")).expect("made");
        fs::write(at("credentials/age"), KEY).expect("written");
        fs::write(at("credentials/token"), "something else").expect("written");
        let places = Places {
            given: vec![at("absent")],
            credentials: Some(at("credentials")),
            sops_key: Some(Zeroizing::new(KEY.to_owned())),
            ..Places::default()
        };
        let found = load(&places);
        let labels: Vec<_> = found.identities.names().map(|name| name.label.clone()).collect();
        assert_eq!(labels, [at("credentials/age").display().to_string(), "SOPS_AGE_KEY".to_owned()]);
        assert!(
            matches!(&found.troubles[..], [one] if one.contains("absent") && one.contains("No such file"))
        );
        assert!(found.looked_at.contains(&at("absent")) && found.looked_at.contains(&at("credentials/age")));
        assert!(!format!("{places:?} {found:?}").contains("SECRET"));
    }
}
