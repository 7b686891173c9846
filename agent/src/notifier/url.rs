//! Which addresses may a message go to?
//!
//! Plain HTTP, and hence to this machine only: a token that left it unencrypted would be everybody's. What is elsewhere is
//! a `command`'s business, which has curl and its certificates.

use std::net::IpAddr;

/// `http://HOST[:PORT]/PATH`, of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    pub(super) authority: String,
    pub(super) path: String,
}

impl Url {
    /// Reads an address.
    ///
    /// # Errors
    /// It is of another sort, or of another machine; in words that do not repeat it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let elsewhere = "expected an http:// address of this machine (127.0.0.1, [::1], localhost): \
                         for others let `command` run curl, which does encrypt";
        let rest = text.trim().strip_prefix("http://").ok_or(elsewhere)?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let with_port = |port: &str| port.parse::<u16>().is_ok();
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if with_port(port) => host,
            _ => authority,
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let is_own = bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if !is_own {
            return Err(elsewhere.to_owned());
        }
        let authority = if host == authority { format!("{authority}:80") } else { authority.to_owned() };
        Ok(Self { authority, path: if path.is_empty() { "/".to_owned() } else { path.to_owned() } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_of_this_machine() {
        let url = Url::parse("http://127.0.0.1:8080/message").expect("of this machine");
        assert_eq!((url.authority.as_str(), url.path.as_str()), ("127.0.0.1:8080", "/message"));
        let url = Url::parse("http://[::1]").expect("of this machine");
        assert_eq!((url.authority.as_str(), url.path.as_str()), ("[::1]:80", "/"));
        assert!(Url::parse("http://localhost:80/x").is_ok());
        for elsewhere in
            ["https://127.0.0.1/", "http://ntfy.sh/x", "http://127.0.0.1.evil.example/", "ftp://x"]
        {
            let refused = Url::parse(elsewhere).expect_err(elsewhere);
            assert!(refused.contains("curl") && !refused.contains(elsewhere), "{refused}");
        }
    }
}
