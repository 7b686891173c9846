//! Which of the images that the agent brought may go?
//!
//! One that nothing declares and nobody runs is unused, from then on when that was first seen. It goes once it has been so
//! for long enough and is not among the last of its repository. Only the agent's own names are taken away, never by force:
//! a name that somebody else gave the image keeps it.

use std::{cmp::Reverse, collections::BTreeMap};

use specs::settings::PruneImages;

use super::orphans::push;
use crate::{
    container::MountKind,
    desired::DeclaredImages,
    drift::{Drift, DriftKind, Subject},
    ids::{StackName, Time},
    memory::{Brought, Pruning, StackMemory},
    observed::Observed,
    reference::Reference,
    resource::ImageFacts,
    step::{Act, Finding, Memo, Plan, Remember, Verdict},
};

impl Pruning {
    /// What the settings say; `None`: never.
    pub fn of(settings: PruneImages) -> Option<Self> {
        match settings {
            PruneImages::Never => None,
            PruneImages::Beyond { older_than, keep_last } => {
                Some(Self { older_than_ms: older_than.0 / 1_000_000, keep_last })
            }
        }
    }
}

/// The images of a stack that has left the profile, by what it said last.
pub fn prune_gone(observed: &Observed, memory: &StackMemory, declared: &DeclaredImages, now: Time) -> Plan {
    let mut plan = Plan::default();
    prune(&mut plan, memory.pruning, declared, (observed, memory), now);
    plan
}

/// Adds to a plan what is to become of the images that the stack's passes have brought.
pub(super) fn prune(
    plan: &mut Plan,
    policy: Option<Pruning>,
    declared: &DeclaredImages,
    (observed, memory): (&Observed, &StackMemory),
    now: Time,
) {
    let unused = match declared {
        DeclaredImages::Known(declared) => {
            let declared = declared.iter().map(|text| (text.as_str(), Reference::parse(text))).collect();
            note_use(plan, &InUse { observed, declared }, memory, now)
        }
        DeclaredImages::Unread => return,
        DeclaredImages::Unknown(_) => memory
            .brought
            .iter()
            .filter_map(|(id, brought)| Some((id.as_str(), brought, brought.unused_since?)))
            .collect(),
    };
    let Some(policy) = policy else { return };
    for (id, brought, since) in superfluous(policy, unused, now) {
        let Some(name) = observed.images.get(id).and_then(|facts| own_name(id, &brought.reference, facts))
        else {
            continue;
        };
        if let DeclaredImages::Unknown(stack) = declared {
            return plan.findings.push(held_back(stack));
        }
        if memory.backoff.get(id).is_some_and(|backoff| backoff.until > now) {
            continue;
        }
        let cause = format!(
            "nothing has declared or run it since {}, and it is past x-agent.prune_images",
            since.stamp()
        );
        let act = Act::RemoveImage { id: id.to_owned(), reference: brought.reference.clone(), name };
        let step = push(plan, act, &cause, &[]);
        plan.memos.push(Memo { step: Some(step), what: Remember::Forgotten { image: id.to_owned() } });
    }
}

/// One unused image: its id, how it came, and since when it is unused.
type Unused<'a> = (&'a str, &'a Brought, Time);

/// Notes which images have come into use or out of it, and which are gone. Gives the unused ones.
fn note_use<'a>(plan: &mut Plan, in_use: &InUse<'_>, memory: &'a StackMemory, now: Time) -> Vec<Unused<'a>> {
    let mut unused = Vec::new();
    for (id, brought) in &memory.brought {
        let image = id.clone();
        let Some(facts) = in_use.observed.images.get(id) else {
            plan.memos.push(Memo { step: None, what: Remember::Forgotten { image } });
            continue;
        };
        let since = (!in_use.has(id, facts)).then(|| brought.unused_since.unwrap_or(now));
        if since != brought.unused_since {
            plan.memos.push(Memo { step: None, what: Remember::Unused { image, since } });
        }
        unused.extend(since.map(|since| (id.as_str(), brought, since)));
    }
    unused
}

/// Those that are old enough and not among the last of their repository.
fn superfluous(policy: Pruning, mut unused: Vec<Unused<'_>>, now: Time) -> Vec<Unused<'_>> {
    unused.sort_by_key(|(_, brought, since)| Reverse((*since, brought.at)));
    let mut seen: BTreeMap<(String, String), usize> = BTreeMap::new();
    unused.retain(|(_, brought, since)| {
        let Reference { registry, repository, .. } = Reference::parse(&brought.reference);
        let newer = seen.entry((registry, repository)).or_default();
        *newer += 1;
        *newer > policy.keep_last && now.since(*since) >= policy.older_than_ms
    });
    unused
}

/// What all stacks declare, and what the Engine runs.
struct InUse<'a> {
    observed: &'a Observed,
    declared: Vec<(&'a str, Reference)>,
}

impl InUse<'_> {
    fn has(&self, id: &str, facts: &ImageFacts) -> bool {
        let means = |text: &str, reference: &Reference| {
            let known = self.observed.images.get(text).and_then(|found| found.id.as_ref());
            text == id || known.is_some_and(|found| found.as_str() == id) || is_named(facts, reference)
        };
        self.declared.iter().any(|(text, reference)| means(text, reference))
            || self.observed.containers().any(|container| {
                let mounts = container.spec.mounts.values().filter(|mount| mount.kind == MountKind::Image);
                let mut sources = mounts.filter_map(|mount| mount.source.as_ref());
                container.image_id.as_str() == id
                    || sources.any(|source| means(source.expose(), &Reference::parse(source.expose())))
            })
    }
}

/// Whether one of an image's names is this reference.
fn is_named(facts: &ImageFacts, reference: &Reference) -> bool {
    let mut names = facts.tags.iter().chain(&facts.digests).map(|name| Reference::parse(name));
    names.any(|name| {
        let same = (&name.registry, &name.repository) == (&reference.registry, &reference.repository);
        same && match &reference.digest {
            Some(_) => name.digest == reference.digest,
            None => name.tag == reference.tag,
        }
    })
}

/// What to ask the Engine to remove; `None`: only names that somebody else gave it are left.
fn own_name(id: &str, reference: &str, facts: &ImageFacts) -> Option<String> {
    let own = Reference::parse(reference);
    if facts.tags.iter().any(|tag| Reference::parse(tag) == own) {
        return Some(reference.to_owned());
    }
    facts.tags.is_empty().then(|| id.to_owned())
}

fn held_back(stack: &StackName) -> Finding {
    let drift = Drift {
        subject: Subject::Stack,
        kind: DriftKind::NotActedOn,
        field: "x-agent.prune_images".to_owned(),
        want: "images that nothing uses any more removed".to_owned(),
        have: String::new(),
        place: None,
        cause: None,
    };
    let why = format!("no image is removed while the stack {stack}, which may declare it, does not load");
    Finding { drift, verdict: Verdict::Note(why) }
}
