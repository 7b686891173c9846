//! What happens on the Engine, as it happens?

use std::collections::HashMap;

use bollard::{Docker, query_parameters::EventsOptionsBuilder};
use futures_util::{Stream, StreamExt};

use crate::wire::Address;

/// One thing that happened to a container, a network, a volume or an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineEvent {
    /// `container`, `network`, `volume` or `image`.
    pub kind: String,
    /// `start`, `die`, `health_status: healthy` …
    pub action: String,
    /// The object's id, or its name.
    pub id: String,
    /// Names, labels, exit codes.
    pub attributes: HashMap<String, String>,
}

/// What changes anything that is looked at, in the words of Docker and of Podman. The Engine is asked for nothing else: each
/// health check of each container is three more events, and an agent that is told of them is never idle.
const CHANGES: [&str; 31] = [
    "create",
    "start",
    "restart",
    "stop",
    "kill",
    "die",
    "died",
    "oom",
    "pause",
    "unpause",
    "update",
    "rename",
    "destroy",
    "remove",
    "removed",
    "cleanup",
    "init",
    // With this one in the list the Engine takes all of them as beginnings, `health_status: healthy`.
    "health_status",
    "connect",
    "disconnect",
    "pull",
    "load",
    "loadfromarchive",
    "import",
    "build",
    "commit",
    "tag",
    "untag",
    "delete",
    "prune",
    "reload",
];

/// The stream of events from `since` (seconds since 1970) on: what happens before the connection is made comes, too. It ends where the connection does, and whoever listens looks at everything again then.
///
/// # Errors
/// The address cannot be used.
pub fn events(
    address: &Address,
    since: i64,
) -> Result<impl Stream<Item = EngineEvent> + Send + use<>, String> {
    let host = address.to_string();
    let docker = Docker::connect_with_host(&host).map_err(|error| error.to_string())?;
    let types = ["container", "network", "volume", "image"].map(str::to_owned).to_vec();
    let actions = CHANGES.map(str::to_owned).to_vec();
    let filters = HashMap::from([("type".to_owned(), types), ("event".to_owned(), actions)]);
    let options = EventsOptionsBuilder::default().filters(&filters).since(&since.to_string()).build();
    let stream = docker.events(Some(options));
    Ok(stream.take_while(|event| std::future::ready(event.is_ok())).filter_map(|event| {
        let event = event.ok().and_then(|event| {
            let kind = event.typ.map(|kind| kind.to_string()).unwrap_or_default();
            let actor = event.actor.unwrap_or_default();
            let attributes = actor.attributes.unwrap_or_default();
            Some(EngineEvent { kind, action: event.action?, id: actor.id.unwrap_or_default(), attributes })
        });
        std::future::ready(event)
    }))
}
