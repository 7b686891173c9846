//! How is a drawing written down: for a terminal, as Mermaid, as Graphviz's DOT, as SVG?

use std::fmt::Write as _;

use anstyle::Style;
use plan::status::HealthSummary;

use super::{Drawing, Node};
use crate::cli::{
    status::health_look,
    table::{BOLD, FAINT},
};

/// A tree for people: what comes up first stands first; under each service what it needs.
pub(super) fn text(drawings: &[Drawing]) -> String {
    let mut text = String::new();
    for drawing in drawings {
        let _ = writeln!(text, "{BOLD}{}{BOLD:#}", drawing.stack);
        for (nth, node) in drawing.nodes.iter().enumerate() {
            let last = nth + 1 == drawing.nodes.len();
            let (branch, below) = if last { ("└─", "  ") } else { ("├─", "│ ") };
            let look: Style = health_look(node.health);
            let networks = if node.networks.is_empty() {
                String::new()
            } else {
                format!(" [{}]", node.networks.join(", "))
            };
            let name = &node.name;
            let _ = writeln!(
                text,
                "{branch} {name} {look}{}{look:#}{FAINT}{networks}{FAINT:#}",
                node.health.as_str()
            );
            for (need, until) in &node.needs {
                let _ = writeln!(text, "{below}   needs {need} ({until})");
            }
        }
    }
    text
}

/// A flowchart that forges and wikis draw.
pub(super) fn mermaid(drawings: &[Drawing]) -> String {
    let mut text = "flowchart LR\n".to_owned();
    for drawing in drawings {
        let _ = writeln!(text, "  subgraph {}[{}]", id(&drawing.stack, ""), quoted(&drawing.stack));
        for node in &drawing.nodes {
            let label = quoted(&format!("{} ({})", node.name, node.health.as_str()));
            let _ =
                writeln!(text, "    {}[{label}]:::{}", id(&drawing.stack, &node.name), node.health.as_str());
        }
        text.push_str("  end\n");
        for (node, need, until) in edges(drawing) {
            let (from, to) = (id(&drawing.stack, &node.name), id(&drawing.stack, need));
            let _ = writeln!(text, "  {from} -->|{until}| {to}");
        }
    }
    for health in HealthSummary::ALL {
        let _ = writeln!(text, "  classDef {} fill:{}", health.as_str(), colour(health));
    }
    text
}

/// Graphviz's language.
pub(super) fn dot(drawings: &[Drawing]) -> String {
    let mut text = "digraph stacks {\n  rankdir=LR\n  node [shape=box style=filled]\n".to_owned();
    for drawing in drawings {
        let cluster = quoted(&format!("cluster_{}", drawing.stack));
        let _ = writeln!(text, "  subgraph {cluster} {{\n    label={}", quoted(&drawing.stack));
        for node in &drawing.nodes {
            let _ = writeln!(
                text,
                "    {} [label={} fillcolor={} tooltip={}]",
                quoted(&format!("{}/{}", drawing.stack, node.name)),
                quoted(&node.name),
                quoted(colour(node.health)),
                quoted(&format!("{} {}", node.health.as_str(), node.networks.join(" "))),
            );
        }
        text.push_str("  }\n");
        for (node, need, until) in edges(drawing) {
            let end = |name: &str| quoted(&format!("{}/{name}", drawing.stack));
            let _ = writeln!(text, "  {} -> {} [label={}]", end(&node.name), end(need), quoted(until));
        }
    }
    text.push_str("}\n");
    text
}

const BOX: (usize, usize) = (150, 34);
const GAP: (usize, usize) = (60, 16);

/// A picture: a column for each depth, left what comes up first.
pub(super) fn svg(drawings: &[Drawing]) -> String {
    let mut body = String::new();
    let (mut top, mut widest) = (0, 0);
    for drawing in drawings {
        let places = places(drawing);
        let _ = writeln!(
            body,
            "<text x=\"10\" y=\"{}\" font-weight=\"bold\">{}</text>",
            top + 20,
            escaped(&drawing.stack)
        );
        let of = |name: &str| {
            let nth = drawing.nodes.iter().position(|node| node.name == name)?;
            places.get(nth).map(|(x, y)| (10 + x, top + 30 + y))
        };
        for (node, need, _) in edges(drawing) {
            if let (Some((x1, y1)), Some((x2, y2))) = (of(&node.name), of(need)) {
                let (y1, y2) = (y1 + BOX.1 / 2, y2 + BOX.1 / 2);
                let _ = writeln!(
                    body,
                    "<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{}\" y2=\"{y2}\" stroke=\"#555\"/>",
                    x2 + BOX.0
                );
            }
        }
        for node in &drawing.nodes {
            let Some((x, y)) = of(&node.name) else { continue };
            let _ = writeln!(
                body,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"5\" fill=\"{}\" stroke=\"#333\"><title>{} {}</title></rect>",
                BOX.0,
                BOX.1,
                colour(node.health),
                node.health.as_str(),
                escaped(&node.networks.join(" "))
            );
            let _ = writeln!(body, "<text x=\"{}\" y=\"{}\">{}</text>", x + 8, y + 22, escaped(&node.name));
        }
        widest = places.iter().map(|(x, _)| x + BOX.0 + 20).max().unwrap_or(0).max(widest);
        top += places.iter().map(|(_, y)| y + BOX.1 + 50).max().unwrap_or(40);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" font-family=\"sans-serif\" font-size=\"13\">\n{body}</svg>\n",
        widest.max(200),
        top + 10
    )
}

/// Where each node of a drawing stands.
fn places(drawing: &Drawing) -> Vec<(usize, usize)> {
    let mut rows = std::collections::BTreeMap::<usize, usize>::new();
    let mut place = |node: &Node| {
        let row = rows.entry(node.depth).or_default();
        *row += 1;
        (node.depth * (BOX.0 + GAP.0), (*row - 1) * (BOX.1 + GAP.1))
    };
    drawing.nodes.iter().map(&mut place).collect()
}

fn edges(drawing: &Drawing) -> impl Iterator<Item = (&Node, &str, &str)> {
    drawing
        .nodes
        .iter()
        .flat_map(|node| node.needs.iter().map(move |(need, until)| (node, need.as_str(), until.as_str())))
}

fn colour(health: HealthSummary) -> &'static str {
    match health {
        HealthSummary::Healthy | HealthSummary::Running => "#b7e1b0",
        HealthSummary::Completed => "#d9e8d5",
        HealthSummary::Starting => "#fbe9a7",
        HealthSummary::Unhealthy => "#f5b7a8",
        HealthSummary::Down => "#ee8a80",
        HealthSummary::Unknown => "#dddddd",
    }
}

/// A name that Mermaid takes as one word.
fn id(stack: &str, service: &str) -> String {
    let word = |name: &str| name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "_");
    format!("{}__{}", word(stack), word(service))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "'"))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawings() -> Vec<Drawing> {
        let node = |name: &str, depth, needs: &[(&str, &str)]| Node {
            name: name.into(),
            health: HealthSummary::Healthy,
            networks: vec!["back".into()],
            depth,
            needs: needs.iter().map(|(name, until)| ((*name).to_owned(), (*until).to_owned())).collect(),
        };
        vec![Drawing {
            stack: "my-app".into(),
            nodes: vec![node("db", 0, &[]), node("web", 1, &[("db", "healthy")])],
        }]
    }

    #[test]
    fn each_pen_has_every_service_and_every_edge() {
        let plain = anstream::adapter::strip_str(&text(&drawings())).to_string();
        assert_eq!(plain, "my-app\n├─ db healthy [back]\n└─ web healthy [back]\n     needs db (healthy)\n");
        let mermaid = mermaid(&drawings());
        assert!(mermaid.contains("my_app__web -->|healthy| my_app__db"), "{mermaid}");
        let dot = dot(&drawings());
        assert!(dot.contains("\"my-app/web\" -> \"my-app/db\" [label=\"healthy\"]"), "{dot}");
        let svg = svg(&drawings());
        assert_eq!((svg.matches("<rect").count(), svg.matches("<line").count()), (2, 1), "{svg}");
    }

    #[test]
    fn a_name_cannot_break_out_of_the_picture() {
        let mut odd = drawings();
        odd[0].stack = "</svg><script>\"".into();
        assert!(!svg(&odd).contains("<script>"));
        assert!(!dot(&odd).contains("script>\"\""));
    }
}
