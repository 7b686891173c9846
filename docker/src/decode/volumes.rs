//! What does the list say of a volume?

use plan::resource::{ObservedVolume, VolumeSpec};
use serde_json::Value;

use super::{
    json::{string, strings_by_name, text, texts_by_name},
    labels::{owner, user_labels},
};

/// One volume from the list.
pub fn volume_summary(value: &Value) -> ObservedVolume {
    let all = strings_by_name(&value["Labels"]);
    ObservedVolume {
        owner: owner(&all),
        key: all.get("com.docker.compose.volume").cloned(),
        spec: VolumeSpec {
            name: string(&value["Name"]),
            driver: text(&value["Driver"]),
            driver_opts: texts_by_name(&value["Options"]),
            labels: user_labels(&value["Labels"]),
        },
    }
}
