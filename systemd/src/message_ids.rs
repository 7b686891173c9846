//! Which 128-bit id has each sort of entry in the journal?
//!
//! `journalctl MESSAGE_ID=…` finds them, and `journalctl --catalog` explains them with `systemd/catalog/`. An id is forever:
//! a sort that changes its meaning gets a new one. The names they stand for are those of `KIND=` and `EVENT=`.

use plan::{drift::DriftKind, status::TransitionEvent};

/// The id of an entry: of the kind of difference where one was found or noted, else of what has happened.
pub fn of(event: TransitionEvent, kind: Option<DriftKind>) -> &'static str {
    match (event, kind) {
        (TransitionEvent::Found | TransitionEvent::Note, Some(kind)) => of_kind(kind),
        _ => of_event(event),
    }
}

/// The id of a difference that was found.
pub fn of_kind(kind: DriftKind) -> &'static str {
    match kind {
        DriftKind::Missing => "2f6c8c0650a54e24ba6ee70de59e4e23",
        DriftKind::Stopped => "6fa8ecb4fdca40ffb774f8bc887d14e4",
        DriftKind::Restarting => "08268cf748864b61916ff6021d3663af",
        DriftKind::Unhealthy => "d102735c92bd4ee9b935fa5c475487b2",
        DriftKind::Paused => "7b94a1e3ae664fb79dfea2228b12c06e",
        DriftKind::Altered => "3f71b83d3b23420c81b726679e8b6cf4",
        DriftKind::Image => "0d3b5158b1994b768fc36e47c58f8af8",
        DriftKind::SideFile => "eec164da60b24870b4238892b3115133",
        DriftKind::Secret => "1abdec5ecfbb4d268ff0389d1353f437",
        DriftKind::StaleNamespace => "0858262661f84bc0b23d7d04aa69cc46",
        DriftKind::StaleMount => "1637b8fdbf27463fa925fb42004a383b",
        DriftKind::StaleBind => "22e499a2b70f4b6caa2847f7581aa88b",
        DriftKind::Options => "3a97a3a74c7941e5817c13ebfcff8b33",
        DriftKind::Orphan => "170fda55b5e645d3b36b56d19fe44b94",
        DriftKind::ForeignName => "d23fa134f997456e91863b92c78a6461",
        DriftKind::Unfinished => "76951fa27e9a4bc3ae6e44254dd53a2f",
        DriftKind::NotActedOn => "4cf14b3db0c34d5d8de292421d9d5a02",
        DriftKind::HashOnly => "feb9c4bc94364d14bf1067b5410deb2c",
        DriftKind::Updated => "3ec76d635217491aa26bfc3ff748c338",
    }
}

/// The id of what has happened.
pub fn of_event(event: TransitionEvent) -> &'static str {
    match event {
        TransitionEvent::Found => "6b53c74869c6447ea32fa938a5060335",
        TransitionEvent::Corrected => "b62a7925a02b4bd3aa952be49b9ef674",
        TransitionEvent::Gone => "cf706d87cb394d649701e2434cc46122",
        TransitionEvent::Failed => "291d8c766b2b4ba68016c1cbe686b2aa",
        TransitionEvent::Done => "5bcb582045c6477399e82e186ec76e01",
        TransitionEvent::Phase => "0d0b2f8ea07146178e14f08e1018804c",
        TransitionEvent::Waiting => "296654ec22024b818f13f743fc37993b",
        TransitionEvent::Generation => "75c8c512846f4e30b95a228e546099de",
        TransitionEvent::Note => "5697909dc84d4a9192bc36dd9e22f3f4",
        TransitionEvent::Explained => "15ed9c7cebe54cedb39a1e9d88a1d1b6",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const CATALOG: &str = include_str!("../catalog/compose-agent.catalog");

    const EVENTS: [TransitionEvent; 10] = [
        TransitionEvent::Found,
        TransitionEvent::Corrected,
        TransitionEvent::Gone,
        TransitionEvent::Failed,
        TransitionEvent::Done,
        TransitionEvent::Phase,
        TransitionEvent::Waiting,
        TransitionEvent::Generation,
        TransitionEvent::Note,
        TransitionEvent::Explained,
    ];

    /// Every id and the name it stands for.
    fn ids() -> BTreeMap<&'static str, String> {
        let kinds = DriftKind::ALL.map(|kind| (of_kind(kind), format!("KIND={}", kind.as_str())));
        let all: Vec<_> = kinds
            .into_iter()
            .chain(EVENTS.into_iter().map(|event| (of_event(event), format!("EVENT={}", event.as_str()))))
            .collect();
        let map: BTreeMap<_, _> = all.iter().cloned().collect();
        assert_eq!(map.len(), all.len(), "an id is used twice");
        map
    }

    #[test]
    fn every_id_is_one_and_has_its_entry_in_the_catalogue_and_no_entry_is_without() {
        let ids = ids();
        for id in ids.keys() {
            assert!(
                id.len() == 32 && id.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')),
                "{id}"
            );
        }
        let entries: Vec<&str> = CATALOG.lines().filter_map(|line| line.strip_prefix("-- ")).collect();
        let mut sorted = entries.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, ids.keys().copied().collect::<Vec<_>>());
        for (id, name) in &ids {
            let entry = CATALOG.split("-- ").find(|entry| entry.starts_with(id)).expect("an entry");
            let subject = entry.lines().nth(1).unwrap_or_default();
            assert!(subject.starts_with("Subject: ") && subject.len() < 80, "{name}: {subject}");
            assert!(entry.contains(&format!("\n{name}\n")), "{id} does not say {name}");
        }
    }

    #[test]
    fn the_page_about_drift_has_every_kind_and_every_event() {
        let rows: Vec<&str> = include_str!("../../docs/drift.md")
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once(" | ").map(|(names, _)| names))
            .flat_map(|names| names.split(", "))
            .map(|name| name.trim_matches('`'))
            .collect();
        let kinds = DriftKind::ALL.map(DriftKind::as_str);
        assert_eq!(rows[..kinds.len()], kinds);
        let mut events: Vec<&str> = rows[kinds.len()..].to_vec();
        let mut all = EVENTS.map(TransitionEvent::as_str);
        events.sort_unstable();
        all.sort_unstable();
        assert_eq!(events, all);
    }

    #[test]
    fn a_found_difference_goes_by_its_kind_and_its_end_by_the_event() {
        let kind = Some(DriftKind::Stopped);
        assert_eq!(of(TransitionEvent::Found, kind), of_kind(DriftKind::Stopped));
        assert_eq!(of(TransitionEvent::Note, kind), of_kind(DriftKind::Stopped));
        assert_eq!(of(TransitionEvent::Corrected, kind), of_event(TransitionEvent::Corrected));
        assert_eq!(of(TransitionEvent::Found, None), of_event(TransitionEvent::Found));
    }
}
