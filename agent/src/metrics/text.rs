//! In which of the two text forms are metrics given out?
//!
//! OpenMetrics is what the library writes. What reads text files, and whoever does not ask for OpenMetrics, gets the older
//! form of Prometheus, which names a counter with its `_total` also where its type stands, and knows neither units nor an
//! end.

use std::fmt::Write as _;

use prometheus_client::{
    encoding::text::{encode_eof, encode_registry},
    registry::Registry,
};

/// A text form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus's text form 0.0.4.
    Prometheus,
}

impl Format {
    /// What a scraper asks for.
    pub fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// The `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Everything in the registries, in their order.
pub(super) fn of(registries: &[&Registry], format: Format) -> String {
    let mut text = String::new();
    for registry in registries {
        // Writing to memory does not fail.
        let _ = encode_registry(&mut text, registry);
    }
    let _ = encode_eof(&mut text);
    match format {
        Format::OpenMetrics => text,
        Format::Prometheus => older(&text),
    }
}

fn older(text: &str) -> String {
    let counters: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let mut older = String::with_capacity(text.len());
    for line in text.lines() {
        let about = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE "));
        let name = about.and_then(|rest| rest.split(' ').next());
        match name.filter(|name| counters.contains(name)) {
            Some(name) => {
                let (before, after) = line.split_at("# HELP ".len() + name.len());
                let _ = writeln!(older, "{before}_total{after}");
            }
            None if line == "# EOF" || line.starts_with("# UNIT ") => {}
            None => {
                let _ = writeln!(older, "{line}");
            }
        }
    }
    older
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    #[test]
    fn the_older_form_names_a_counter_as_its_sample_and_has_no_end() {
        let mut registry = Registry::with_prefix("x");
        let counter = Counter::<u64>::default();
        registry.register("passes", "Passes", counter.clone());
        counter.inc();
        let text = of(&[&registry], Format::OpenMetrics);
        assert_eq!(text, "# HELP x_passes Passes.\n# TYPE x_passes counter\nx_passes_total 1\n# EOF\n");
        let text = of(&[&registry], Format::Prometheus);
        assert_eq!(text, "# HELP x_passes_total Passes.\n# TYPE x_passes_total counter\nx_passes_total 1\n");
    }

    #[test]
    fn openmetrics_is_for_those_who_ask() {
        assert_eq!(Format::accepted("application/openmetrics-text;version=1.0.0,*/*"), Format::OpenMetrics);
        assert_eq!(Format::accepted("*/*"), Format::Prometheus);
    }
}
