//! What does the list say of a network?

use plan::resource::{NetworkSpec, ObservedNetwork, Pool};
use serde_json::Value;

use super::{
    json::{flag, items, string, strings_by_name, text, texts_by_name},
    labels::{owner, user_labels},
};

/// One network from the list.
pub fn network_summary(value: &Value) -> ObservedNetwork {
    let all = strings_by_name(&value["Labels"]);
    let pools = items(&value["IPAM"]["Config"]).map(|pool| Pool {
        subnet: string(&pool["Subnet"]),
        gateway: string(&pool["Gateway"]),
        ip_range: string(&pool["IPRange"]),
        aux_addresses: strings_by_name(&pool["AuxiliaryAddresses"]),
    });
    ObservedNetwork {
        id: string(&value["Id"]),
        owner: owner(&all),
        key: all.get("com.docker.compose.network").cloned(),
        spec: NetworkSpec {
            name: string(&value["Name"]),
            driver: text(&value["Driver"]),
            driver_opts: texts_by_name(&value["Options"]),
            ipam_driver: text(&value["IPAM"]["Driver"]),
            ipam_options: texts_by_name(&value["IPAM"]["Options"]),
            pools: pools.collect(),
            internal: flag(&value["Internal"]),
            attachable: flag(&value["Attachable"]),
            enable_ipv4: value["EnableIPv4"].as_bool(),
            enable_ipv6: value["EnableIPv6"].as_bool(),
            labels: user_labels(&value["Labels"]),
        },
    }
}
