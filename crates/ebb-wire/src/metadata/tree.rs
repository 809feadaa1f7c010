//! How is a tree of facts walked by its paths?

use serde_json::Value;

/// What stands at a path. Slashes before, after and doubled do not matter.
pub(super) fn find<'a>(tree: &'a Value, path: &str) -> Option<&'a Value> {
    let step = |at: &'a Value, name: &str| match at {
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        other => other.get(name),
    };
    path.split('/').filter(|name| !name.is_empty()).try_fold(tree, step)
}

/// A leaf as it is, a directory as its names, one a line, those of directories with a slash.
pub(super) fn text(value: &Value) -> String {
    let line = |name: &str, value: &Value| match value {
        Value::Object(_) | Value::Array(_) => format!("{name}/\n"),
        _ => format!("{name}\n"),
    };
    match value {
        Value::String(leaf) => leaf.clone(),
        Value::Object(names) => names.iter().map(|(name, value)| line(name, value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(n, value)| line(&n.to_string(), value)).collect(),
        other => other.to_string(),
    }
}
