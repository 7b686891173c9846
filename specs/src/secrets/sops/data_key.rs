//! Which identity gives the file's data key? One of a single group, or a share from as many key groups as needed.

use zeroize::Zeroizing;

use super::{
    super::{
        Format, Identities, KeyService, Kind, ProgramCall, SecretError,
        age_file::{self, Refusal},
        identities::Identity,
    },
    metadata::{Metadata, WrappedKey},
    shamir,
};

type Opened = (Zeroizing<Vec<u8>>, String);

/// The data key, and the names of the identities that opened it.
pub(super) fn recover(
    format: Format,
    metadata: &Metadata,
    identities: &Identities,
) -> Result<(Zeroizing<Vec<u8>>, Vec<String>), SecretError> {
    let opened: Vec<Option<Opened>> =
        metadata.groups.iter().map(|group| open_group(group, identities)).collect();
    let needed = metadata.groups_needed();
    let count = opened.iter().flatten().count();
    if count < needed {
        let left = metadata.groups.iter().zip(&opened).filter(|(group, opened)| {
            opened.is_none() && group.iter().any(|key| key.recipient.service != KeyService::Age)
        });
        let recipients = metadata.recipients().concat();
        if count + left.count() >= needed {
            return Err(SecretError::NeedsProgram { call: ProgramCall::new(format), recipients });
        }
        return Err(SecretError::NoIdentity {
            kind: Kind::Sops(format),
            recipients,
            tried: identities.names().map(ToString::to_string).collect(),
            groups: (metadata.groups.len() > 1).then_some((count, needed)),
        });
    }
    let (mut shares, names): (Vec<_>, Vec<_>) = opened.into_iter().flatten().unzip();
    let key = if metadata.groups.len() == 1 { shares.pop() } else { shamir::combine(&shares) };
    let key = key.filter(|key| key.len() == 32).ok_or_else(|| SecretError::Tampered {
        kind: Kind::Sops(format),
        what: "its wrapped keys do not give a data key".to_owned(),
    })?;
    Ok((key, names))
}

fn open_group(group: &[WrappedKey], identities: &Identities) -> Option<Opened> {
    let (mut ours, mut others) = (Vec::new(), Vec::new());
    for key in group.iter().filter(|key| key.recipient.service == KeyService::Age) {
        let matching: Vec<&Identity> = identities
            .keys()
            .iter()
            .filter(|identity| same_key(&identity.name.recipient, &key.recipient.name))
            .collect();
        if matching.is_empty() { others.push(key) } else { ours.push((key, matching)) }
    }
    // A recipient that is ours by name opens at once; the rest is for plugins, and for keys that others converted.
    for (key, matching) in ours {
        if let Ok(opened) = unwrap(key, matching.into_iter(), identities) {
            return Some(opened);
        }
    }
    others.into_iter().find_map(|key| unwrap(key, identities.keys().iter(), identities).ok())
}

fn unwrap<'a>(
    key: &WrappedKey,
    identities: impl Iterator<Item = &'a Identity>,
    all: &Identities,
) -> Result<Opened, Refusal> {
    age_file::unwrap(key.encrypted.as_bytes(), identities, all.plugins())
}

/// An ssh recipient may carry a comment behind the key.
fn same_key(ours: &str, theirs: &str) -> bool {
    let words = |text: &str| text.split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>();
    !ours.is_empty() && words(ours) == words(theirs)
}
