//! What does a container run, as which image or declaration says: variables and health check?

use std::collections::BTreeMap;

use plan::container::Healthcheck;
use serde_json::Value;
use specs::{Text, doc::Key};

use super::json::{int, items, texts};

pub(super) fn environment(value: &Value) -> BTreeMap<Key, Option<Text>> {
    items(value)
        .filter_map(Value::as_str)
        .map(|line| match line.split_once('=') {
            Some((key, value)) => (key.into(), Some(Text::plain(value))),
            None => (line.into(), None),
        })
        .collect()
}

/// A health check as the Engine has it.
pub(super) fn healthcheck(value: &Value) -> Healthcheck {
    Healthcheck {
        test: texts(&value["Test"]),
        interval: int(&value["Interval"]),
        timeout: int(&value["Timeout"]),
        start_period: int(&value["StartPeriod"]),
        start_interval: int(&value["StartInterval"]),
        retries: int(&value["Retries"]),
    }
}
