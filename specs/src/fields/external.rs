//! How is an object of somebody else's declared: `external: true`, or the old `external: {name: x}`?

use super::put;
use crate::{
    Problem,
    doc::{Node, Trail, Value},
};

/// `external: {name}` becomes `external: true` and `name`.
pub(super) fn canonical(node: &mut Node, path: &Trail<'_>, problems: &mut Vec<Problem>) {
    let Value::Map(fields) = &mut node.value else { return };
    let Some(external) = fields.get("external") else { return };
    let Value::Map(old) = &external.node.value else { return };
    let span = external.node.span;
    let inner = old.get("name").map(|entry| entry.node.clone());
    if let (Some(inner), Some(outer)) = (&inner, fields.get("name"))
        && inner.as_text() != outer.node.as_text()
    {
        problems.push(
            Problem::error(
                "external-name",
                span,
                &path.known("external"),
                "external.name and name differ, expected one name",
            )
            .related(outer.node.span, "the other name"),
        );
        return;
    }
    problems.push(
        Problem::warning("external-name", span, &path.known("external"), "external.name is deprecated")
            .hint("write `external: true` and `name:` beside it"),
    );
    put(fields, span, "external", Value::Bool(true));
    if let Some(inner) = inner {
        put(fields, inner.span, "name", inner.value);
    }
}
