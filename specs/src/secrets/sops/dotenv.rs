//! sops' dotenv store: one `KEY=value` a line, `#` comments, `\n` for a line break; no quotes, no spaces, no rules.

use zeroize::Zeroizing;

use super::{
    super::{Format, Kind, SecretError},
    tree::{Comment, Entry, Tree, Value},
};

pub(super) fn parse(text: &str) -> Result<Tree, SecretError> {
    let mut entries = Vec::new();
    for (index, line) in text.split('\n').enumerate() {
        // sops refuses a line that holds only a carriage return; a file converted to CRLF has one behind each line.
        if line.is_empty() || line == "\r" {
            continue;
        }
        entries.push(if let Some(comment) = line.strip_prefix('#') {
            Entry::Comment(Comment::new(comment))
        } else if let Some((key, value)) = line.split_once('=') {
            Entry::Pair(key.to_owned(), Value::Text(Zeroizing::new(value.replace("\\n", "\n"))))
        } else {
            let what = "neither `KEY=value` nor a `#` comment";
            return Err(SecretError::malformed(Kind::Sops(Format::Dotenv), Some(index + 1), what));
        });
    }
    Ok(Tree { documents: vec![entries] })
}

pub(super) fn emit(tree: &Tree) -> Zeroizing<Vec<u8>> {
    let mut out = super::buffer::Buffer::new();
    for entry in tree.documents.iter().flatten() {
        match entry {
            Entry::Comment(comment) => {
                out.push("#");
                out.push(&comment.text);
            }
            Entry::Pair(key, value) => {
                out.push(key);
                out.push("=");
                match value {
                    Value::Bytes(bytes) => {
                        for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
                            out.push(if index == 0 { "" } else { "\\n" });
                            out.push_bytes(line);
                        }
                    }
                    value => {
                        let line = value.as_text().unwrap_or_default();
                        for (index, line) in line.split('\n').enumerate() {
                            out.push(if index == 0 { "" } else { "\\n" });
                            out.push(line);
                        }
                    }
                }
            }
        }
        out.push("\n");
    }
    out.into_bytes()
}
