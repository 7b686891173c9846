//! What does an image say of the containers that are made from it?

use plan::resource::ImageFacts;
use serde_json::Value;

use super::{
    json::{entries, items, string, strings_by_name, time},
    process::{environment, healthcheck},
};

/// One image from its inspection.
pub fn image(value: &Value) -> ImageFacts {
    let config = &value["Config"];
    let list = |value: &Value| items(value).filter_map(Value::as_str).map(str::to_owned).collect();
    let keys = |value: &Value| entries(value).map(|(key, _)| key.clone()).collect();
    ImageFacts {
        id: value["Id"].as_str().map(Into::into),
        tags: list(&value["RepoTags"]),
        digests: list(&value["RepoDigests"]),
        command: list(&config["Cmd"]),
        entrypoint: list(&config["Entrypoint"]),
        environment: environment(&config["Env"])
            .into_iter()
            .map(|(key, value)| (key.expose().to_owned(), value.unwrap_or_default().expose().to_owned()))
            .collect(),
        labels: strings_by_name(&config["Labels"]),
        exposed_ports: keys(&config["ExposedPorts"]),
        volumes: keys(&config["Volumes"]),
        user: string(&config["User"]),
        working_dir: string(&config["WorkingDir"]),
        stop_signal: string(&config["StopSignal"]),
        healthcheck: config["Healthcheck"].as_object().map(|_| healthcheck(&config["Healthcheck"])),
        platform: format!("{}/{}", string(&value["Os"]), string(&value["Architecture"])),
        tagged_at: time(&value["Metadata"]["LastTagTime"]),
    }
}
