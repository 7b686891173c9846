//! What was inspected before and cannot have changed since?
//!
//! A snapshot lists everything and inspects only what the list or an event says has changed: a hundred containers that
//! stay as they are cost three questions. Whoever owns the cache tells it every event and every act; where events may
//! have been missed, everything is forgotten.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use plan::{observed::ObservedContainer, resource::ImageFacts};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::events::EngineEvent;

/// Inspected containers and images.
#[derive(Debug, Default)]
pub struct Cache {
    containers: BTreeMap<String, (Fingerprint, Arc<ObservedContainer>)>,
    images: BTreeMap<String, Option<ImageFacts>>,
    /// What was touched since the last look began: an answer may be older than that.
    touched: BTreeSet<String>,
    images_touched: bool,
    /// Everything was: it was forgotten.
    all_touched: bool,
}

impl Cache {
    /// Takes an event in.
    pub fn heard(&mut self, event: &EngineEvent) {
        if event.kind == "image" {
            self.images.clear();
            self.images_touched = true;
            return;
        }
        self.touch(&event.id);
        if let Some(container) = event.attributes.get("container") {
            self.touch(container);
        }
    }

    /// A container is about to be another one, or has been.
    pub fn touch(&mut self, container: &str) {
        self.containers.remove(container);
        self.touched.insert(container.to_owned());
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self { images_touched: true, all_touched: true, ..Self::default() };
    }

    pub(crate) fn begin(&mut self) {
        self.touched.clear();
        self.images_touched = false;
        self.all_touched = false;
    }

    /// The container, where the list says of it what it said when it was inspected.
    pub(crate) fn known(&self, id: &str, fingerprint: Fingerprint) -> Option<&Arc<ObservedContainer>> {
        let (known, container) = self.containers.get(id)?;
        (*known == fingerprint).then_some(container)
    }

    pub(crate) fn keep(&mut self, id: &str, fingerprint: Fingerprint, container: &Arc<ObservedContainer>) {
        if !self.all_touched && !self.touched.contains(id) {
            self.containers.insert(id.to_owned(), (fingerprint, Arc::clone(container)));
        }
    }

    pub(crate) fn retain(&mut self, is_there: impl Fn(&str) -> bool) {
        self.containers.retain(|id, _| is_there(id));
    }

    pub(crate) fn image(&self, reference: &str) -> Option<&Option<ImageFacts>> {
        self.images.get(reference)
    }

    pub(crate) fn keep_image(&mut self, reference: &str, facts: Option<ImageFacts>) {
        if !self.images_touched {
            self.images.insert(reference.to_owned(), facts);
        }
    }
}

/// What a list says of a container, in short.
pub(crate) type Fingerprint = [u8; 32];

/// What the list says of a container, without what changes by itself (how long it has been up).
pub(crate) fn fingerprint(summary: &Value) -> Fingerprint {
    let status = summary["Status"].as_str().unwrap_or_default();
    let lasting = status.split_once('(').map_or("", |(_, rest)| rest.split(')').next().unwrap_or_default());
    let words = ["State", "Names", "ImageID", "Image", "NetworkSettings", "Mounts"];
    let all = words.iter().fold(lasting.to_owned(), |all, key| format!("{all}\n{}", summary[*key]));
    Sha256::digest(all).into()
}

#[cfg(test)]
mod tests {
    use plan::{
        container::ContainerSpec,
        ids::Time,
        observed::{ComposeLabels, ContainerState},
    };
    use serde_json::json;

    use super::*;

    fn container() -> Arc<ObservedContainer> {
        Arc::new(ObservedContainer {
            id: "a".into(),
            name: "web".into(),
            labels: ComposeLabels::default(),
            state: ContainerState::default(),
            spec: ContainerSpec::default(),
            image_id: "i".into(),
            attached: BTreeMap::new(),
            anonymous_volumes: BTreeMap::new(),
            created_at: Time(0),
        })
    }

    fn event(kind: &str, id: &str, about: &str) -> EngineEvent {
        let attributes = [("container".to_owned(), about.to_owned())].into();
        EngineEvent { kind: kind.into(), action: "connect".into(), id: id.into(), attributes }
    }

    #[test]
    fn time_that_goes_by_is_no_change_and_health_is() {
        let listed = |status: &str| fingerprint(&json!({ "State": "running", "Status": status }));
        let mut cache = Cache::default();
        cache.begin();
        cache.keep("a", listed("Up 2 seconds (healthy)"), &container());
        assert!(cache.known("a", listed("Up 3 weeks (healthy)")).is_some());
        assert!(cache.known("a", listed("Up 3 weeks (unhealthy)")).is_none());
    }

    #[test]
    fn what_an_event_is_about_is_looked_at_again() {
        let summary = fingerprint(&json!({ "State": "running" }));
        let mut cache = Cache::default();
        cache.keep("a", summary, &container());
        cache.heard(&event("network", "net", "a"));
        assert!(cache.known("a", summary).is_none());
        // An answer that was on its way while the event came may be older than the event.
        cache.keep("a", summary, &container());
        assert!(cache.known("a", summary).is_none());
        cache.begin();
        cache.keep("a", summary, &container());
        assert!(cache.known("a", summary).is_some());
    }
}
