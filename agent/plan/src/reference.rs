//! Which registry, repository and version does an image reference mean?
//!
//! The rules are those of the `distribution/reference` package, which the Engine reads references with: `nginx` is
//! `docker.io/library/nginx:latest`.

/// Docker's own registry.
pub const DOCKER_HUB: &str = "docker.io";

/// A reference in its full form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// `ghcr.io`, `localhost:5000`; Docker Hub is [`DOCKER_HUB`].
    pub registry: String,
    /// `library/nginx`.
    pub repository: String,
    /// `latest` where neither a tag nor a digest is given.
    pub tag: Option<String>,
    /// `sha256:…`.
    pub digest: Option<String>,
}

impl Reference {
    /// Reads a reference; whether its letters are allowed is the Engine's business.
    pub fn parse(text: &str) -> Self {
        let (text, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.to_owned())),
            None => (text, None),
        };
        let name_at = text.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match text[name_at..].split_once(':') {
            Some((last, tag)) => (format!("{}{last}", &text[..name_at]), Some(tag.to_owned())),
            None => (text.to_owned(), None),
        };
        let tag = tag.or_else(|| digest.is_none().then(|| "latest".to_owned()));
        let (registry, repository) = match name.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => {
                (host.to_owned(), rest.to_owned())
            }
            _ => (DOCKER_HUB.to_owned(), name),
        };
        let registry = if registry == "index.docker.io" { DOCKER_HUB.to_owned() } else { registry };
        let repository = if registry == DOCKER_HUB && !repository.contains('/') {
            format!("library/{repository}")
        } else {
            repository
        };
        Self { registry, repository, tag, digest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_short_form_means_its_full_one() {
        for (short, full) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1", "index.docker.io/library/nginx:1"),
            ("me/app:1", "docker.io/me/app:1"),
            ("localhost/app", "localhost/app:latest"),
        ] {
            assert_eq!(Reference::parse(short), Reference::parse(full), "{short}");
        }
        let port = Reference::parse("registry:5000/a/b@sha256:00");
        assert_eq!((port.registry.as_str(), port.repository.as_str()), ("registry:5000", "a/b"));
        assert_eq!((port.tag, port.digest.as_deref()), (None, Some("sha256:00")));
        assert_ne!(Reference::parse("app:1"), Reference::parse("ghcr.io/app:1"));
    }
}
